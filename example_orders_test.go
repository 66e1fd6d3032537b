package plural_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// An order, and the link to send the payer to. A wrong request is refused
// before anything is sent.
func ExampleOrderService_Create() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()

	req := &plural.CreateOrderRequest{
		MerchantOrderReference: "order 2001", // a space
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

// A program without a server waits until the payer has decided.
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

// Read an order: its payments, and what of it can still be captured.
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

// The reference is made of what the shop knows, so every process and every
// repetition makes the same.
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

// An error code of a callback, a payment or an Error says what to do next.
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
