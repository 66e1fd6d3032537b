package plural_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// One client a merchant: make it at the start, and keep it.
func ExampleNewClient() {
	clientID, clientSecret := "4a1f7c1e-0d5b-4f0e-9a55-5f3f7d1f0a11", "00112233445566778899AABBCCDDEEFF"

	client, err := plural.NewClient(
		plural.Credentials{ClientID: clientID, ClientSecret: clientSecret},
		plural.WithEnvironment(plural.UAT),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Environment())
	// Output: uat
}

// The whole flow: an order is held, its callback verified, the order confirmed,
// captured in part, and refunded in part.
func Example() {
	srv, client := emulator()
	defer srv.Close()
	clientSecret := srv.ClientSecret
	ctx := context.Background()

	// An order that holds the money.
	link, err := client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1001",
		OrderAmount:            plural.INR(149950), // paise: 1499.50 rupees
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            "https://shop.example.com/plural/return",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Send the payer to link.RedirectURL. Here the emulator plays the payer, and
	// makes the request with which the browser comes back.
	if _, err := srv.Pay(link.OrderID, pluraltest.Approve); err != nil {
		fmt.Println(err)
		return
	}
	r, err := srv.CallbackRequest(ctx, link.OrderID)
	if err != nil {
		fmt.Println(err)
		return
	}

	verifier, err := plural.NewVerifier(clientSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	callback, err := verifier.VerifyCallbackRequest(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	held, err := client.Orders.Confirm(ctx, callback, plural.Expected{
		MerchantOrderReference: "order-1001",
		OrderAmount:            plural.INR(149950),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(held.Status, held.OrderAmount)

	// The browser may hang up now: what moves money has a deadline of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	captured, err := client.Captures.Create(ctx, held.OrderID, &plural.CaptureRequest{
		MerchantCaptureReference: "capture-1001",
		CaptureAmount:            plural.INR(120000),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(captured.Status)

	refund, err := client.Refunds.Create(ctx, held.OrderID, &plural.RefundRequest{
		MerchantOrderReference: "refund-1001",
		OrderAmount:            plural.INR(20000),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(refund.Type, refund.Status, refund.OrderAmount)
	// Output:
	// AUTHORIZED INR 1499.50
	// PARTIALLY_CAPTURED
	// REFUND PROCESSED INR 200.00
}

// The connection breaks after Plural has captured. The call still tells what
// happened.
func ExampleCaptureService_Create() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-1002")

	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	capture := &plural.CaptureRequest{MerchantCaptureReference: "capture-1002", FullAmount: true}
	_, err := client.Captures.Create(ctx, orderID, capture)
	switch {
	case err == nil:
		fmt.Println("captured")
	case errors.Is(err, plural.ErrNotApplied):
		fmt.Println("not captured, and that is final:", err)
	case errors.Is(err, plural.ErrConflict):
		fmt.Println("final, and somebody has to look:", err)
	case plural.NeedsReview(err):
		fmt.Println("somebody has to look; call again tomorrow, with the same reference:", err)
	default:
		fmt.Println("call again, with the same reference:", err)
	}
	fmt.Println("captures in Plural's books:", len(srv.Captures(orderID)))
	// Output:
	// captured
	// captures in Plural's books: 1
}

func ExampleCancelService_Create() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-1003")

	cancelled, err := client.Cancels.Create(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cancelled.Status)

	// What is cancelled cannot be captured. The error has the order.
	_, err = client.Captures.Create(
		ctx,
		orderID,
		&plural.CaptureRequest{MerchantCaptureReference: "capture-1003", FullAmount: true},
	)
	if state, ok := errors.AsType[*plural.StateError](err); ok {
		fmt.Println(state.Reason, errors.Is(err, plural.ErrNotApplied))
	}
	// Output:
	// CANCELLED
	// the order is CANCELLED true
}

// A handler for webhooks verifies them, tells repetitions apart, and calls the
// function, which reads the order from the server.
func ExampleNewWebhookHandler() {
	srv, client := emulator()
	defer srv.Close()
	orderID := heldOrder(context.Background(), srv, client, "order-1004")
	expected := func(string) plural.Expected { // from the shop's database
		return plural.Expected{MerchantOrderReference: "order-1004", OrderAmount: plural.INR(50000)}
	}
	paid := func(_ context.Context, order *plural.Order) error { // the shop's own work
		fmt.Println(order.MerchantOrderReference, order.Status)
		return nil
	}
	verifier, err := plural.NewVerifier(srv.WebhookSecret)
	if err != nil {
		fmt.Println(err)
		return
	}

	mux := http.NewServeMux()
	mux.Handle("POST /plural/webhook", plural.NewWebhookHandler(verifier,
		func(ctx context.Context, e *plural.Event) error {
			id, err := e.OrderID() // of a refund's event, the order that was refunded
			if errors.Is(err, plural.ErrNoOrder) {
				return nil // about a customer, a token, a subscription
			}
			if err != nil {
				return err // delivered again
			}
			order, err := client.Orders.ConfirmEvent(ctx, e, expected(id)) // an event is a hint
			if errors.Is(err, plural.ErrNotPaid) {
				return nil // or paid and moved on, or another order: see NotPaidError
			}
			if err != nil {
				return err
			}
			return paid(ctx, order)
		},
	))

	// The emulator makes a delivery, signed; the second time it is a repetition.
	for range 2 {
		r, err := srv.WebhookRequest("ORDER_AUTHORIZED", orderID, pluraltest.WebhookID("msg_1"))
		if err != nil {
			fmt.Println(err)
			return
		}
		r.URL.Path = "/plural/webhook"
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code == http.StatusOK || w.Code == http.StatusNoContent)
	}
	// Output:
	// order-1004 AUTHORIZED
	// true
	// true
}

func ExampleParseAmount() {
	for _, text := range []string{"1499.5", "10,00,000", "0.999"} {
		amount, err := plural.ParseAmount(text, plural.CurrencyINR)
		fmt.Println(amount.Value, err)
	}
	// Output:
	// 149950 <nil>
	// 100000000 <nil>
	// 0 plural: parse amount: "0.999": INR takes up to 2 decimals
}

// An endpoint that this package has no method for.
func ExampleClient_Do() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-1005")

	var answer struct {
		Data struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	err := client.Do(ctx, http.MethodGet, "/api/pay/v1/orders/"+orderID, nil, &answer)
	fmt.Println(answer.Data.Status, err)
	// Output: AUTHORIZED <nil>
}

// emulator starts Plural on localhost, and a client for it.
func emulator(opts ...plural.Option) (*pluraltest.Server, *plural.Client) {
	srv, err := pluraltest.Start()
	if err != nil {
		panic(err)
	}
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		append(opts, plural.WithBaseURL(srv.URL))...,
	)
	if err != nil {
		panic(err)
	}
	return srv, client
}

// heldOrder is the id of an order that the payer has approved.
func heldOrder(ctx context.Context, srv *pluraltest.Server, client *plural.Client, reference string) string {
	order, err := client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: reference,
		OrderAmount:            plural.INR(50000),
		PreAuth:                true,
		CallbackURL:            "https://shop.example.com/plural/return",
	})
	if err != nil {
		panic(err)
	}
	if _, err := srv.Pay(order.OrderID, pluraltest.Approve); err != nil {
		panic(err)
	}
	return order.OrderID
}
