package plural_test

import (
	"context"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// Refund a part of an order, and then the rest.
func ExampleRefundService_Create() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3007")
	_ = srv.Capture(orderID, "capture-3007", pluraltest.Amount{Value: 50000, Currency: "INR"})

	part := &plural.RefundRequest{MerchantOrderReference: "refund-3007-1", OrderAmount: plural.INR(12000)}
	refund, err := client.Refunds.Create(ctx, orderID, part)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(refund.Type, refund.Status, refund.OrderAmount, refund.ParentOrderID == orderID)

	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	rest, ok := order.RefundableAmount()
	fmt.Println(order.Status, rest, ok)
	// Output:
	// REFUND PROCESSED INR 120.00 true
	// PARTIALLY_REFUNDED INR 380.00 true
}

// Refund what is left. The shop chooses the reference before it reads the
// order.
func ExampleOrder_RefundableAmount() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3008")
	_ = srv.Capture(orderID, "capture-3008", pluraltest.Amount{Value: 50000, Currency: "INR"})
	_, _ = srv.Refund(orderID, "refund-3008-1", pluraltest.Amount{Value: 12000, Currency: "INR"})

	reference := plural.Reference("refund", 3008, "rest")
	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	rest, ok := order.RefundableAmount()
	if !ok || rest.Value == 0 {
		fmt.Println("nothing to give back, or the order does not say how much")
		return
	}
	req := &plural.RefundRequest{MerchantOrderReference: reference, OrderAmount: rest}
	refund, err := client.Refunds.Create(ctx, orderID, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(refund.MerchantOrderReference, refund.OrderAmount)
	// Output: refund_3008_rest INR 380.00
}

// A card payment without a hold is refunded in part. The order does not show
// how much was taken, so the shop adds up its refunds itself.
func ExampleOrder_CanRefund() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	price := plural.INR(60000)
	link, err := client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: "order-3012",
		OrderAmount:            price, // no PreAuth: the money is taken at once
		CallbackURL:            "https://shop.example.com/plural/return",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	orderID := link.OrderID
	if _, err := srv.Pay(orderID, pluraltest.Approve); err != nil {
		fmt.Println(err)
		return
	}
	// The shop has refunded 150 rupees, and wants to refund 200 more.
	_, _ = srv.Refund(orderID, "refund-3012-1", pluraltest.Amount{Value: 15000, Currency: "INR"})
	refunded, back, reference := plural.INR(15000), plural.INR(20000), "refund-3012-2"

	left, err := price.Sub(refunded)
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	if more, err := back.Cmp(left); err != nil || more > 0 || !order.CanRefund() {
		fmt.Println("that cannot be given back")
		return
	}
	refund, err := client.Refunds.Create(ctx, orderID, &plural.RefundRequest{
		MerchantOrderReference: reference,
		OrderAmount:            back,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(refund.Status, refund.OrderAmount)

	order, err = client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	underWay, isKnown := order.RefundingAmount()
	fmt.Println(order.Status, underWay, isKnown)
	_, isKnown = order.RefundableAmount()
	fmt.Println(order.Payments[0].PaymentMethod, isKnown)
	// Output:
	// PROCESSED INR 200.00
	// PARTIALLY_REFUNDED INR 0.00 true
	// CARD false
}

// For the nightly reconciliation, find out whether a refund is in Plural's
// books.
func ExampleRefundService_Find() {
	srv, client := emulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orderID := heldOrder(ctx, srv, client, "order-3009")
	_ = srv.Capture(orderID, "capture-3009", pluraltest.Amount{Value: 50000, Currency: "INR"})
	_, _ = srv.Refund(orderID, "refund-3009", pluraltest.Amount{Value: 12000, Currency: "INR"})

	refund, err := client.Refunds.Find(ctx, orderID, "refund-3009")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(refund.Status, refund.OrderAmount)
	// Output: PROCESSED INR 120.00
}
