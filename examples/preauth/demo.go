package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// runDemo sells three times on the emulator. It captures a part of the first
// order, and cancels the second order. It captures the third order over a
// connection that loses the answer. Then it refunds a part of the third order's
// money.
func runDemo(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	emulator, err := pluraltest.Start()
	if err != nil {
		return err
	}
	defer emulator.Close()
	shop, err := openShop(emulator.ClientSecret)
	if err != nil {
		return err
	}
	defer shop.close()
	emulator.SetWebhookURL(shop.url + "/webhook")

	client, err := plural.NewClient(
		plural.Credentials{ClientID: emulator.ClientID, ClientSecret: emulator.ClientSecret},
		plural.WithBaseURL(emulator.URL),
	)
	if err != nil {
		return err
	}
	w := &walk{out: out, emulator: emulator, shop: shop, client: client}
	for _, step := range []func(context.Context) error{w.token, w.partialCapture, w.cancel, w.lostAnswer, w.refund} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := w.checkBooks(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nDone. The emulator's books show every effect exactly once.")
	return nil
}

type walk struct {
	out      io.Writer
	emulator *pluraltest.Server
	shop     *shop
	client   *plural.Client
	captured *plural.Order // step 4 captures this order, and step 5 refunds a part of the money
	effects  []effect      // the emulator's books must show each of these effects exactly one time
}

// An effect is a change to an order, such as a capture. The function
// countInBooks returns how often the emulator's books show this change.
type effect struct {
	what         string
	countInBooks func() int
}

func (w *walk) expect(what string, count func() int) {
	w.effects = append(w.effects, effect{what, count})
}

// checkBooks compares the emulator's books with what the demo has done. The
// books must show each effect once.
func (w *walk) checkBooks() error {
	for _, e := range w.effects {
		if n := e.countInBooks(); n != 1 {
			return fmt.Errorf("the emulator's books show %s %d times", e.what, n)
		}
	}
	if doubles := w.emulator.Doubles(); len(doubles) > 0 {
		return fmt.Errorf("the emulator's books show: %v", doubles)
	}
	return nil
}

func (w *walk) title(text string) { fmt.Fprintf(w.out, "\n%s\n", text) }

func (w *walk) say(what, format string, args ...any) {
	fmt.Fprintf(w.out, "  %-22s %s\n", what, fmt.Sprintf(format, args...))
}

func (w *walk) token(ctx context.Context) error {
	fmt.Fprintf(w.out, "Plural is emulated at %s, the shop listens at %s.\n", w.emulator.URL, w.shop.url)
	w.title("1. Access token")
	if err := w.client.Warm(ctx); err != nil {
		return err
	}
	w.say("token", "fetched, cached, and renewed before it expires")
	return nil
}

func (w *walk) partialCapture(ctx context.Context) error {
	w.title("2. An order, held, then captured in part")
	order, err := w.hold(ctx, "order-1001", plural.INR(149950))
	if err != nil {
		return err
	}
	captured, err := w.client.Captures.Create(ctx, order.OrderID, &plural.CaptureRequest{
		MerchantCaptureReference: "capture-1001",
		CaptureAmount:            plural.INR(120000),
	})
	if err != nil {
		return err
	}
	w.expect("the capture in part", func() int { return len(w.emulator.Captures(order.OrderID)) })
	amount, _ := captured.CapturedAmount()
	w.say("captured", "%s of %s; the order is %s, the rest is released", amount, captured.OrderAmount, captured.Status)
	return w.expectEvent(ctx, plural.EventOrderProcessed)
}

func (w *walk) cancel(ctx context.Context) error {
	w.title("3. An order, held, then cancelled")
	order, err := w.hold(ctx, "order-1002", plural.INR(50000))
	if err != nil {
		return err
	}
	cancelled, err := w.client.Cancels.Create(ctx, order.OrderID)
	if err != nil {
		return err
	}
	w.expect("the cancellation", func() int { return len(w.emulator.Cancels(order.OrderID)) })
	w.say("cancelled", "the order is %s, the hold is released", cancelled.Status)
	return w.expectEvent(ctx, plural.EventOrderCancelled)
}

// lostAnswer captures an order. Plural carries out the capture, but then the
// connection breaks, and the answer is lost. A naive client might then capture
// a second time, or believe that nothing was captured.
func (w *walk) lostAnswer(ctx context.Context) error {
	w.title("4. An order, held, and a capture whose answer is lost")
	order, err := w.hold(ctx, "order-1003", plural.INR(75000))
	if err != nil {
		return err
	}
	w.emulator.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	w.say("fault", "the next capture is applied, but the connection is reset before the answer")
	var response plural.Response
	captured, err := w.client.Captures.Create(ctx, order.OrderID, &plural.CaptureRequest{
		MerchantCaptureReference: "capture-1003",
		FullAmount:               true,
	}, plural.WithResponseInto(&response))
	if err != nil {
		return err
	}
	w.expect("the capture whose answer was lost", func() int { return len(w.emulator.Captures(order.OrderID)) })
	amount, _ := captured.CapturedAmount()
	w.say(
		"settled",
		"captured %s, sent %s: the SDK read the order and found its own reference",
		amount,
		times(response.Attempts),
	)
	w.say("in the books", "captured %s", times(len(w.emulator.Captures(order.OrderID))))
	w.captured = captured
	return w.expectEvent(ctx, plural.EventOrderProcessed)
}

func (w *walk) refund(ctx context.Context) error {
	w.title("5. A part of it given back")
	refund, err := w.client.Refunds.Create(ctx, w.captured.OrderID, &plural.RefundRequest{
		MerchantOrderReference: "refund-1003",
		OrderAmount:            plural.INR(25000),
	})
	if err != nil {
		return err
	}
	w.expect("the refund", func() int { return len(w.emulator.Refunds(w.captured.OrderID)) })
	w.say("refunded", "%s by refund %s (%s)", refund.OrderAmount, refund.OrderID, refund.Status)
	return w.expectEvent(ctx, plural.EventRefundProcessed)
}

// The method hold goes through all steps from a new order to money on hold. The
// shop gets the payment link, verifies the callback, confirms the payment and
// receives the webhook.
func (w *walk) hold(ctx context.Context, reference string, amount plural.Amount) (*plural.Order, error) {
	order, err := w.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: reference,
		OrderAmount:            amount,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            w.shop.url + "/return",
	})
	if err != nil {
		return nil, err
	}
	w.say("order", "%s for %s", order.OrderID, amount)
	w.say("checkout link", "%s", order.RedirectURL)

	if _, err := w.emulator.Pay(order.OrderID, pluraltest.Approve); err != nil {
		return nil, err
	}
	w.say("payer", "approves")
	page, err := w.emulator.PostCallback(ctx, order.OrderID)
	if err != nil {
		return nil, err
	}
	_ = page.Body.Close()
	callback := w.shop.findCallback(order.OrderID)
	if page.StatusCode != http.StatusOK || callback == nil {
		return nil, errors.New("the shop refused the callback")
	}
	w.say("callback verified", "order %s, status %s", callback.OrderID, callback.Status)

	held, err := w.client.Orders.Confirm(
		ctx, callback, plural.Expected{MerchantOrderReference: reference, OrderAmount: amount},
	)
	if err != nil {
		return nil, err
	}
	w.say("order confirmed", "Plural's books say %s, %s", held.Status, held.OrderAmount)
	return held, w.expectEvent(ctx, plural.EventOrderAuthorized)
}

func (w *walk) expectEvent(ctx context.Context, want plural.EventType) error {
	e, err := w.shop.nextEvent(ctx)
	if err != nil {
		return err
	}
	if e.Type != want {
		return fmt.Errorf("got webhook %s, want %s", e.Type, want)
	}
	w.say("webhook verified", "%s (%s)", e.Type, e.ID)
	return nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprint(n, " times")
}
