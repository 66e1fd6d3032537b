package pluralotel_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/pluraltest"
)

// A span for each request, named by what it is for.
func ExampleInstrument() {
	srv, err := pluraltest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	spans := tracetest.NewInMemoryExporter() // in place of a collector
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))

	opts := append(pluralotel.Instrument(pluralotel.WithTracerProvider(tracers)), plural.WithBaseURL(srv.URL))
	client, err := plural.NewClient(plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}, opts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Orders.Create(context.Background(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-5005", OrderAmount: plural.INR(149950), PreAuth: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
		for _, a := range span.Attributes {
			if a.Key == "plural.reference" || a.Key == "http.response.status_code" {
				fmt.Println(a.Key, a.Value.String())
			}
		}
	}
	// Output:
	// plural orders.create
	// plural.reference order-5005
	// http.response.status_code 200
}
