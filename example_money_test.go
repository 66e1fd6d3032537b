package plural_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// Take a part of what is on hold. Plural releases the rest: there is one
// capture for each order.
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
	fmt.Println("still to be had:", left.Value, ok)
	// Output:
	// PARTIALLY_CAPTURED INR 200.00 true
	// still to be had: 0 true
}

// Take all that is on hold.
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

// Call again with the same reference, after a restart or from another process:
// the capture is found, and not made again. With another amount somebody has to
// look.
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

// For the night's reconciliation: is this capture in Plural's books? Nothing is
// sent that moves money.
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
			fmt.Println(reference, "took nothing, and cannot any more")
		case errors.Is(err, plural.ErrNotFound):
			fmt.Println(reference, "is not in the books yet")
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// capture-3004 took INR 200.00
	// capture-3005 took nothing, and cannot any more
}

// Plural captures, but its answer is lost and the books cannot be read. Settle
// asks them again when Plural is well again, and sends nothing.
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

// Give a part back, and then the rest.
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

// Refund what is left. The reference is decided on before the order is read.
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

// For the night's reconciliation: is this refund in Plural's books?
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

// What a job on a queue does with its message, for every answer of a write.
// StateError says what rules the write out.
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

// Logs and pages write an amount in two ways.
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
