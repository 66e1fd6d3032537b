package plural_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// The payer's browser comes back: the callback is verified, and compared with
// the order as Plural has it.
func ExampleOrderService_Confirm() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-4001")
	verifier, err := plural.NewVerifier(srv.ClientSecret)
	if err != nil {
		fmt.Println(err)
		return
	}

	callback, err := verifier.VerifyCallback(srv.CallbackForm(orderID))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, price := range []plural.Amount{plural.INR(50000), plural.INR(70000)} {
		want := plural.Expected{MerchantOrderReference: "order-4001", OrderAmount: price}
		order, err := client.Orders.Confirm(ctx, callback, want)
		var notPaid *plural.NotPaidError
		switch {
		case err == nil:
			fmt.Println(order.Status)
		case errors.As(err, &notPaid):
			fmt.Println("another order or amount:", notPaid.Mismatch)
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// AUTHORIZED
	// another order or amount: true
}

// The payer did not pay: may the link still lead to a payment?
func ExampleNotPaidError() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	want := plural.Expected{MerchantOrderReference: "order-4002", OrderAmount: plural.INR(50000)}
	link, err := client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: want.MerchantOrderReference,
		OrderAmount:            want.OrderAmount,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = srv.Pay(link.OrderID, pluraltest.FailOTP)

	order, err := client.Orders.Get(ctx, link.OrderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	if notPaid, ok := errors.AsType[*plural.NotPaidError](want.Check(order)); ok {
		fmt.Println(notPaid.Order.Status, notPaid.MayStillBePaid(), notPaid.WasPaid())
	}
	// Output: ATTEMPTED true false
}

// A handler for the callback URL: verify, find the order, confirm, and answer
// with 303 to a page of one's own. The request comes from another site, so
// protection against request forgery has to let it through.
func ExampleVerifier_VerifyCallbackRequest() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-4003")
	orders := map[string]plural.Expected{
		orderID: {MerchantOrderReference: "order-4003", OrderAmount: plural.INR(50000)},
	}
	verifier, err := plural.NewVerifier(srv.ClientSecret)
	if err != nil {
		fmt.Println(err)
		return
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /plural/return", func(w http.ResponseWriter, r *http.Request) {
		callback, err := verifier.VerifyCallbackRequest(r)
		if err != nil {
			http.Error(w, "not from Plural", http.StatusBadRequest)
			return
		}
		page := "/thanks"
		if _, err := client.Orders.Confirm(r.Context(), callback, orders[callback.OrderID]); err != nil {
			page = "/not-paid"
		}
		http.Redirect(w, r, page, http.StatusSeeOther)
	})
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern("POST /plural/return") // its signature vouches for it
	handler := protection.Handler(mux)

	r, err := srv.CallbackRequest(ctx, orderID) // what the browser sends
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /thanks
}

// The checkout's JavaScript hands an object to the page, which passes it on.
func ExampleVerifier_VerifyCallbackJSON() {
	srv, client := emulator()
	defer srv.Close()
	orderID := heldOrder(context.Background(), srv, client, "order-4004")
	verifier, err := plural.NewVerifier(srv.ClientSecret)
	if err != nil {
		fmt.Println(err)
		return
	}

	callback, err := verifier.VerifyCallbackJSON(srv.CallbackJSON(orderID))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(callback.OrderID == orderID, callback.Status)

	_, err = verifier.VerifyCallbackJSON([]byte(`{"order_id":"v1-1","status":"AUTHORIZED"}`))
	if refused, ok := errors.AsType[*plural.VerificationError](err); ok {
		fmt.Println(refused.Reason(), errors.Is(err, plural.ErrInvalidSignature))
	}
	// Output:
	// true AUTHORIZED
	// signature_missing true
}

// While a secret is being rotated, both are accepted. KeyIndex tells when the
// old one is not used any more.
func ExampleWithCallbackKeys() {
	srv, client := emulator()
	defer srv.Close()
	orderID := heldOrder(context.Background(), srv, client, "order-4005")

	newHex, newRaw := bothKeys("00112233445566778899AABBCCDDEEFF")
	oldHex, oldRaw := bothKeys(srv.ClientSecret)
	verifier, err := plural.NewVerifier("",
		plural.WithCallbackKeys(newHex, oldHex),
		plural.WithWebhookKeys(newHex, newRaw, oldHex, oldRaw),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	callback, err := verifier.VerifyCallback(srv.CallbackForm(orderID))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println([]string{"the new secret", "the old secret"}[callback.KeyIndex])
	// Output: the old secret
}

// bothKeys are the two forms of a secret: a callback is signed with the first,
// a webhook with either.
func bothKeys(secret string) (hex, raw plural.Key) {
	hex, err := plural.HexKey(secret)
	if err != nil {
		panic(err)
	}
	raw, err = plural.RawKey(secret)
	if err != nil {
		panic(err)
	}
	return hex, raw
}

// A payer who closes the browser comes back by webhook alone. The event is a
// hint, what counts is the order.
func ExampleOrderService_ConfirmEvent() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-4006")
	verifier, err := plural.NewVerifier(srv.WebhookSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	want := plural.Expected{MerchantOrderReference: "order-4006", OrderAmount: plural.INR(50000)}

	r, err := srv.WebhookRequest("ORDER_AUTHORIZED", orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	event, err := verifier.VerifyWebhookRequest(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := client.Orders.ConfirmEvent(ctx, event, want)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(event.Type, order.Status, order.OrderAmount.Display())
	// Output: ORDER_AUTHORIZED AUTHORIZED ₹500.00
}
