package plural_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// roundTripper is a function that is an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Middleware sees each try, and learns what it is about.
func ExampleWithMiddleware() {
	trace := func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			_, reference := plural.OrderFromContext(r.Context())
			fmt.Println(plural.OperationFromContext(r.Context()), reference, r.Header.Get("Authorization") == "")
			return next.RoundTrip(r)
		})
	}
	srv, client := emulator(plural.WithMiddleware(trace))
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-5001")

	req := &plural.CaptureRequest{MerchantCaptureReference: "capture-5001", FullAmount: true}
	if _, err := client.Captures.Create(ctx, orderID, req); err != nil {
		fmt.Println(err)
	}
	// Output:
	// orders.create order-5001 true
	// captures.create capture-5001 true
}

// An observer is told of each call that has ended, for metrics.
func ExampleWithObserver() {
	srv, client := emulator(plural.WithObserver(func(_ context.Context, o plural.Observation) {
		fmt.Println(o.Operation, o.Attempts, o.Settled, o.Err)
	}))
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-5002")

	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	req := &plural.CaptureRequest{MerchantCaptureReference: "capture-5002", FullAmount: true}
	if _, err := client.Captures.Create(ctx, orderID, req); err != nil {
		fmt.Println(err)
	}
	// Output:
	// token 1 false <nil>
	// orders.create 1 false <nil>
	// captures.create 1 true <nil>
}

// At the start of a program: fetch the token, so the first sale does not wait
// for it, and find out whether the credentials are right.
func ExampleClient_Warm() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()

	err := client.Warm(ctx)
	fmt.Println(err, srv.TokensIssued())

	wrong, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: "not-the-secret"},
		plural.WithBaseURL(srv.URL),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(errors.Is(wrong.Warm(ctx), plural.ErrUnauthorized))
	// Output:
	// <nil> 1
	// true
}

// The answer as it came, for support: also when the call fails.
func ExampleWithResponseInto() {
	srv, client := emulator()
	defer srv.Close()

	var answer plural.Response
	_, err := client.Orders.GetByReference(
		context.Background(),
		"order-5003",
		plural.WithRequestID("0d9e4c1e-6a37-4a39-9d0c-6d0b3f3f5003"),
		plural.WithResponseInto(&answer),
	)
	fmt.Println(errors.Is(err, plural.ErrNotFound), answer.StatusCode, answer.Attempts)
	fmt.Println(answer.RequestID)
	// Output:
	// true 422 1
	// 0d9e4c1e-6a37-4a39-9d0c-6d0b3f3f5003
}

// Plural's answer, where it refuses: what to write into a log, and to tell its
// support.
func ExampleError() {
	srv, client := emulator()
	defer srv.Close()

	const code = "PAYMENT_METHOD_NOT_ENABLED"
	srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.StatusFault(422, code, pluraltest.ApplyNever))
	_, err := client.Orders.Create(context.Background(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-5004",
		OrderAmount:            plural.INR(60000),
	})
	if refused, ok := errors.AsType[*plural.Error](err); ok {
		fmt.Println(refused.Op, refused.OrderID, refused.StatusCode, refused.Code)
		fmt.Println(refused.Code.Text())
		fmt.Println(refused.RequestID != "", refused.Attempts, refused.Retryable())
	}
	// Output:
	// orders.create order-5004 422 PAYMENT_METHOD_NOT_ENABLED
	// the payment method is not enabled for the merchant
	// true 1 false
}
