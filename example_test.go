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

// Each merchant has one client: make it at the start, and keep it.
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

// This example follows an order from start to end: the money is put on hold,
// the callback is verified, and the order is confirmed. Then it is captured in
// part, and refunded in part.
func Example() {
	srv, client := emulator()
	defer srv.Close()
	clientSecret := srv.ClientSecret
	ctx := context.Background()

	// With PreAuth, a payment only puts the money on hold.
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

	// The browser may hang up now, so the calls that move money get a deadline
	// of their own.
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

// The connection breaks after Plural has carried out the capture. The call
// still finds out what happened.
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

	// A cancelled order cannot be captured. The error's Order field shows the
	// order.
	_, err = client.Captures.Create(
		ctx, orderID, &plural.CaptureRequest{MerchantCaptureReference: "capture-1003", FullAmount: true},
	)
	if state, ok := errors.AsType[*plural.StateError](err); ok {
		fmt.Println(state.Reason, errors.Is(err, plural.ErrNotApplied))
	}
	// Output:
	// CANCELLED
	// the order is CANCELLED true
}

// A webhook handler verifies each delivery, recognises a repeated one, and
// calls the shop's function. That function reads the order from Plural.
func ExampleNewWebhookHandler() {
	srv, client := emulator()
	defer srv.Close()
	orderID := heldOrder(context.Background(), srv, client, "order-1004")
	expected := func(string) plural.Expected { // looked up in the shop's database
		return plural.Expected{MerchantOrderReference: "order-1004", OrderAmount: plural.INR(50000)}
	}
	paid := func(_ context.Context, order *plural.Order) error { // here the shop does its work, such as packing the goods
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
			id, err := e.OrderID() // for a refund's event, this is the order that was refunded
			if errors.Is(err, plural.ErrNoOrder) {
				return nil // the event is about a customer, a token or a subscription
			}
			if err != nil {
				return err // Plural delivers the event again
			}
			order, err := client.Orders.ConfirmEvent(ctx, e, expected(id)) // reads the order in Plural's books
			if errors.Is(err, plural.ErrNotPaid) {
				// The order is unpaid, or was captured in part or refunded,
				// or is not the expected order: see NotPaidError.
				return nil
			}
			if err != nil {
				return err
			}
			return paid(ctx, order)
		},
	))

	// The emulator makes two signed deliveries of one event.
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

// Call an endpoint for which this package has no method.
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

// The function emulator starts an emulator of Plural on localhost, and makes a
// client for it.
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

// heldOrder makes an order, lets the payer approve it, and returns its id.
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

// roundTripper makes an http.RoundTripper of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Middleware sees each try of a request. From the request's context, middleware
// can learn the operation and the reference.
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

// For metrics, the client calls an observer at the end of each call.
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

// Fetch the token at the start of a program. Then the first sale does not wait
// for it, and the program knows that the credentials are right.
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

// The answer is stored as Plural sent it, so you can show the answer to
// Plural's support. Plural's answer is stored even if the call returns an
// error.
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

// If Plural refuses a call, log the fields of the error. Tell Plural's support
// some of them, such as the request id.
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

// Capture a part of the money that is on hold. Plural then releases the rest,
// because an order can be captured only once.
func ExampleCaptureRequest() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3001")

	captured, err := client.Captures.Create(ctx, orderID, &plural.CaptureRequest{
		MerchantCaptureReference: plural.Reference("capture", 3001),
		CaptureAmount:            plural.INR(20000),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	taken, ok := captured.CapturedAmount()
	fmt.Println(captured.Status, taken, ok)
	left, ok := captured.CapturableAmount()
	fmt.Println("left to capture:", left.Value, ok)
	// Output:
	// PARTIALLY_CAPTURED INR 200.00 true
	// left to capture: 0 true
}

// Capture all the money that is on hold.
func ExampleCaptureRequest_fullAmount() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3002")

	captured, err := client.Captures.Create(ctx, orderID, &plural.CaptureRequest{
		MerchantCaptureReference: plural.Reference("capture", 3002),
		FullAmount:               true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	taken, ok := captured.CapturedAmount()
	fmt.Println(captured.Status, taken, ok)
	// Output: PROCESSED INR 500.00 true
}

// After a restart, or from another process, call again with the same reference.
// The call finds the first capture, and does not capture again. If the amount
// differs from that of the first capture, the error matches ErrConflict, and a
// person has to look at the order.
func ExampleCaptureService_Create_again() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3003")

	for _, paise := range []int64{20000, 20000, 30000} {
		_, err := client.Captures.Create(ctx, orderID, &plural.CaptureRequest{
			MerchantCaptureReference: "capture-3003",
			CaptureAmount:            plural.INR(paise),
		})
		switch {
		case err == nil:
			fmt.Println("captured")
		case errors.Is(err, plural.ErrConflict):
			fmt.Println("the reference stands for another amount")
		default:
			fmt.Println(err)
		}
	}
	fmt.Println("captures in Plural's books:", len(srv.Captures(orderID)))
	// Output:
	// captured
	// captured
	// the reference stands for another amount
	// captures in Plural's books: 1
}

// For the nightly reconciliation, find out whether a capture is in Plural's
// books. Find only reads, and moves no money.
func ExampleCaptureService_Find() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3004")
	_ = srv.Capture(orderID, "capture-3004", pluraltest.Amount{Value: 20000, Currency: "INR"})

	for _, reference := range []string{"capture-3004", "capture-3005"} {
		order, err := client.Captures.Find(ctx, orderID, reference)
		switch {
		case err == nil:
			fmt.Println(reference, "took", order.Captures()[0].CaptureAmount)
		case errors.Is(err, plural.ErrNotApplied):
			fmt.Println(reference, "took nothing, and cannot take anything later")
		case errors.Is(err, plural.ErrNotFound):
			fmt.Println(reference, "is not in the books yet")
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// capture-3004 took INR 200.00
	// capture-3005 took nothing, and cannot take anything later
}

// Plural carries out the capture, but its answer is lost and the books cannot
// be read. When Plural works again, Settle reads the books. It captures
// nothing.
func ExampleOutcomeUnknownError_Settle() {
	srv, client := emulator(plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2, MaxDelay: time.Millisecond}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3006")

	srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		switch r.Op {
		case pluraltest.OpCapturesCreate:
			return pluraltest.ResetAfterApply
		case pluraltest.OpOrdersGet:
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	req := &plural.CaptureRequest{MerchantCaptureReference: "capture-3006", FullAmount: true}
	_, err := client.Captures.Create(ctx, orderID, req)
	fmt.Println("unknown:", errors.Is(err, plural.ErrOutcomeUnknown))

	srv.SetFaultPlan(nil)
	if unknown, ok := errors.AsType[*plural.OutcomeUnknownError](err); ok {
		order, err := unknown.Settle(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(unknown.Reference, order.Status)
	}
	// Output:
	// unknown: true
	// capture-3006 PROCESSED
}

// A job takes messages from a queue, and each message asks for a capture, a
// cancel or a refund. After the call the job decides what to do with the
// message. The text of a StateError says why Plural cannot carry out the
// request.
func ExampleStateError() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3010")
	_ = srv.Capture(orderID, "capture-3010", pluraltest.Amount{Value: 50000, Currency: "INR"})

	_, err := client.Cancels.Create(ctx, orderID)
	switch {
	case err == nil:
		fmt.Println("done")
	case errors.Is(err, plural.ErrNotApplied):
		fmt.Println("done, and the cancel has failed")
	case errors.Is(err, plural.ErrConflict):
		fmt.Println("done, and somebody is told")
	case plural.NeedsReview(err):
		fmt.Println("back to the queue, for a day, and somebody is told")
	default:
		fmt.Println("back to the queue, for a while")
	}
	if state, ok := errors.AsType[*plural.StateError](err); ok {
		fmt.Println("the order is", state.Order.Status)
	}
	// Output:
	// done, and the cancel has failed
	// the order is PROCESSED
}

// Display writes an amount for a page of the shop. String, which fmt uses,
// writes it for logs.
func ExampleAmount_Display() {
	price := plural.INR(123456789)
	fmt.Println(price.Display())
	fmt.Println(price)
	// Output:
	// ₹12,34,567.89
	// INR 1234567.89
}

func ExampleAmount_Add() {
	lamp, postage := plural.INR(149950), plural.INR(9900)
	total, err := lamp.Add(postage)
	fmt.Println(total, err)
	_, err = total.Add(plural.Amount{Value: 100, Currency: "USD"})
	fmt.Println(err)
	// Output:
	// INR 1598.50 <nil>
	// plural: INR 1598.50 and USD 1.00 are in two currencies
}

func ExampleAmount_Sub() {
	held, final := plural.INR(500000), plural.INR(423050)
	released, err := held.Sub(final)
	fmt.Println(released.Display(), err)
	// Output: ₹769.50 <nil>
}

func ExampleAmount_Cmp() {
	bill, held := plural.INR(510000), plural.INR(500000)
	if c, err := bill.Cmp(held); err == nil && c > 0 {
		fmt.Println("the bill is more than was held: take", held.Display())
	}
	// Output: the bill is more than was held: take ₹5,000.00
}
