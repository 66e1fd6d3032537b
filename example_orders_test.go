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

// Create an order and send the payer to its link. If a field of the request is
// invalid, nothing is sent.
func ExampleOrderService_Create() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()

	req := &plural.CreateOrderRequest{
		MerchantOrderReference: "order 2001", // a reference must not have a space
		OrderAmount:            plural.INR(149950),
		CallbackURL:            "https://shop.example.com/plural/return",
	}
	_, err := client.Orders.Create(ctx, req)
	if invalid, ok := errors.AsType[*plural.ValidationError](err); ok {
		fmt.Println("not sent:", invalid.Fields[0].Field)
	}

	req.MerchantOrderReference = "order-2001"
	link, err := client.Orders.Create(ctx, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Store link.OrderID with the order, and redirect to link.RedirectURL.
	fmt.Println(link.OrderID != "", link.RedirectURL != "")
	// Output:
	// not sent: merchant_order_reference
	// true true
}

// Find an order by the merchant's own reference.
func ExampleOrderService_GetByReference() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-2003")

	for _, reference := range []string{"order-2003", "order-9999"} {
		order, err := client.Orders.GetByReference(ctx, reference)
		switch {
		case err == nil:
			fmt.Println(order.OrderID == orderID, order.Status.Text())
		case errors.Is(err, plural.ErrNotFound):
			fmt.Println("no such order")
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// true the money is on hold
	// no such order
}

// A program that cannot receive webhooks can wait until the payer has paid.
func ExampleOrderService_Wait() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-2004")

	order, err := client.Orders.Wait(ctx, orderID, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.Status, order.CanCapture(), order.CanCancel(), order.CanRefund())
	// Output: AUTHORIZED true true false
}

// Read an order, its payments, and the amount that can still be captured.
func ExampleOrderService_Get() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	orderID := heldOrder(ctx, srv, client, "order-2005")

	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range order.Payments {
		fmt.Println(p.Status, p.PaymentMethod, p.PaymentAmount)
	}
	fmt.Println(order.CapturableAmount())
	// Output:
	// AUTHORIZED CARD INR 500.00
	// INR 500.00 true
}

// Make a reference from data that the shop has stored. Then every process, and
// every repetition of a call, makes the same reference.
func ExampleReference() {
	fmt.Println(plural.Reference("capture", 1001))
	fmt.Println(plural.Reference("refund", "1001", 2))
	long := plural.Reference("refund", "an order number that is longer than a reference, and has spaces")
	fmt.Println(len(long) <= plural.MaxReference, long[:7])
	// Output:
	// capture_1001
	// refund_1001_2
	// true refund_
}

// The error code of a callback, a payment or an Error shows what to do next.
func ExampleErrorCode() {
	for _, code := range []plural.ErrorCode{
		plural.CodeCardExpired,
		plural.CodeAPIRateLimit,
		plural.CodeInvalidRequest,
		"A_NEW_ONE",
	} {
		switch {
		case code.NeedsAnotherMethod():
			fmt.Println(code, "- ask for another card:", code.Text())
		case code.MayPassLater():
			fmt.Println(code, "- try again later:", code.Text())
		case code.IsRequestFault():
			fmt.Println(code, "- a bug of the shop:", code.Text())
		default:
			fmt.Println(code, "- known:", code.IsKnown())
		}
	}
	// Output:
	// CARD_EXPIRED - ask for another card: the card has expired
	// API_RATE_LIMIT - try again later: too many requests
	// INVALID_REQUEST - a bug of the shop: the request is malformed or breaks a rule
	// A_NEW_ONE - known: false
}

// A payment that failed is among the order's payments, with its code.
func ExampleErrorDetail() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	link, err := client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: "order-2006",
		OrderAmount:            plural.INR(50000),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = srv.Pay(link.OrderID, pluraltest.DeclineFor("INSUFFICIENT_FUNDS", "Insufficient funds"))

	order, err := client.Orders.Get(ctx, link.OrderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.Status)
	if e := order.Payments[0].ErrorDetail; e != nil {
		fmt.Println(e.Code, e.Code.NeedsAnotherMethod())
	}
	// Output:
	// ATTEMPTED
	// INSUFFICIENT_FUNDS true
}

// When the payer's browser comes back, verify the callback, and compare the
// order in Plural's books with what the shop expects.
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

// If the payer has not paid, ask whether the payer may still pay through the
// link.
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

// A handler for the callback URL verifies the callback, finds the order,
// confirms it, and answers with 303 to another page of the shop. The browser
// sends the form from Plural's site, so protection against cross-site request
// forgery has to let it through.
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
	protection.AddInsecureBypassPattern("POST /plural/return") // the callback's signature protects this path
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

// The checkout's JavaScript passes an object to the shop's page. The page sends
// that object to the shop's server.
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

// While a secret is being rotated, both secrets are accepted. KeyIndex shows
// when callbacks are no longer signed with the old secret.
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

// bothKeys makes both keys of a secret. Callbacks are signed with the hex key,
// webhooks with either key.
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

// If a payer closes the browser, only the webhook reports the payment. Do not
// rely on the data in the webhook's event. ConfirmEvent reads the order in
// Plural's books, and compares it with what the shop expects.
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

// settledOrder returns the id of a payment whose money has reached the bank,
// and the id of the bank transfer.
func settledOrder(ctx context.Context, srv *pluraltest.Server, client *plural.Client) (paymentID, utr string) {
	id := heldOrder(ctx, srv, client, "order-3001")
	order, err := client.Captures.Create(ctx, id, &plural.CaptureRequest{
		MerchantCaptureReference: "capture-3001", FullAmount: true,
	})
	if err != nil {
		panic(err)
	}
	return order.Captures()[0].PaymentID, srv.Settle()
}

// List the payments whose money reached the bank in the last week, each with
// the shop's order that it belongs to. The shop stored the id of each payment
// when it captured the payment.
func ExampleSettlementService_List() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	paymentID, _ := settledOrder(ctx, srv, client)
	orders := map[string]string{paymentID: "order-3001"}

	today := time.Now().In(plural.India())
	week := plural.Days{First: today.AddDate(0, 0, -6), Last: today}
	for settlement, err := range client.Settlements.List(ctx, week) {
		if err != nil {
			fmt.Println(err) // the list ends here; the error matches plural.ErrIncomplete if a part of the list has come
			return
		}
		for line, err := range client.Settlements.Lines(ctx, settlement.UTRNumber) {
			if err != nil {
				fmt.Println(err)
				break
			}
			fmt.Println(orders[line.TransactionID], line.TransactionAmount, line.SettledAmount, line.PayoutStatus.IsSuccess())
		}
	}
	// Output:
	// order-3001 500 488.2 true
}

// Add up the lines of one settlement. The SDK returns the figures as Plural
// sends them, so the shop has to check that they are right.
func ExampleSettlementService_Lines() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	_, utr := settledOrder(ctx, srv, client)

	total := plural.Rupees("0")
	for line, err := range client.Settlements.Lines(ctx, utr) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if total, err = total.Add(line.SettledAmount); err != nil {
			fmt.Println(err) // the amount is not a number
			return
		}
	}
	paise, isExact := total.Paise()
	fmt.Println(total, paise, isExact)
	// Output:
	// 488.2 48820 true
}

// Read a whole settlement. If only some of its lines could be read, the error
// says so, and the settlement has those lines.
func ExampleSettlementService_Get() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()
	_, utr := settledOrder(ctx, srv, client)
	says := func(n int) {
		if err := srv.ChangeSettlement(utr, func(s *pluraltest.Settlement) { s.SaidLines = n }); err != nil {
			panic(err)
		}
	}

	settlement, err := client.Settlements.Get(ctx, utr)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(settlement.TotalTransactionAmount, settlement.TotalMDRAmount, settlement.TotalGSTAmount)

	says(3)
	settlement, err = client.Settlements.Get(ctx, utr)
	if incomplete, ok := errors.AsType[*plural.IncompleteError](err); ok {
		fmt.Println(len(settlement.Transactions), "of", incomplete.Want, "lines; read it again later")
	}
	// Output:
	// 500 10 1.8
	// 1 of 3 lines; read it again later
}

// A difference of two Rupees values is exact. It has every digit after the
// point.
func ExampleRupees_Sub() {
	line := plural.SettlementLine{
		ActualTransactionAmount: "1250.1", TotalDeductionAmount: "22.12505", SettledAmount: "1227.97",
	}
	net, err := line.ActualTransactionAmount.Sub(line.TotalDeductionAmount)
	if err != nil {
		fmt.Println(err)
		return
	}
	missing, err := net.Sub(line.SettledAmount)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, isExact := missing.Paise()
	fmt.Println(net, missing, isExact)
	// Output:
	// 1227.97495 0.00495 false
}

// The times of a settlement come without a zone. They are very likely in Indian
// time.
func ExampleLocalTime_In() {
	settled := plural.LocalTime("2026-11-27T10:59:46")
	at, err := settled.In(plural.India())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(at.UTC())
	// Output:
	// 2026-11-27 05:29:46 +0000 UTC
}
