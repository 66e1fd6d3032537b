package plural_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

var errLater = errors.New("the outcome is not known yet: the queue delivers the message again")

// lampShop captures the money when it ships the lamp. The map of its orders
// stands for a table in a database.
type lampShop struct {
	client   *plural.Client
	verifier *plural.Verifier
	orders   map[string]plural.Expected
	refunds  map[string]plural.Amount
}

func (s *lampShop) checkout(ctx context.Context, orderNo string, price plural.Amount) (*plural.CheckoutOrder, error) {
	want := plural.Expected{MerchantOrderReference: plural.Reference("order", orderNo), OrderAmount: price}
	order, err := s.client.Orders.Create(ctx, &plural.CreateOrderRequest{
		MerchantOrderReference: want.MerchantOrderReference,
		OrderAmount:            want.OrderAmount,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            "https://shop.example.com/plural/return",
	})
	if err == nil {
		s.orders[order.OrderID] = want
	}
	return order, err
}

func (s *lampShop) comeBack(r *http.Request) (*plural.Order, error) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		return nil, err
	}
	return s.client.Orders.Confirm(r.Context(), callback, s.orders[callback.OrderID])
}

func (s *lampShop) event(ctx context.Context, e *plural.Event) error {
	id, err := e.OrderID()
	if errors.Is(err, plural.ErrNoOrder) {
		return nil
	}
	if err == nil {
		_, err = s.client.Orders.ConfirmEvent(ctx, e, s.orders[id])
	}
	if errors.Is(err, plural.ErrNotPaid) {
		return nil
	}
	return err
}

func (s *lampShop) ship(ctx context.Context, id, orderNo string, take plural.Amount) error {
	req := &plural.CaptureRequest{MerchantCaptureReference: plural.Reference("capture", orderNo), CaptureAmount: take}
	_, err := s.client.Captures.Create(ctx, id, req)
	return settled("captured", err)
}

func (s *lampShop) giveUp(ctx context.Context, id string) error {
	_, err := s.client.Cancels.Create(ctx, id)
	return settled("cancelled", err)
}

func (s *lampShop) refundTheRest(ctx context.Context, id, orderNo string) error {
	rest, isStored := s.refunds[orderNo]
	if !isStored { // each call sends the same amount, because the first call may have been carried out
		order, err := s.client.Orders.Get(ctx, id)
		if err != nil {
			return err
		}
		var ok bool
		if rest, ok = order.RefundableAmount(); !ok {
			return errLater
		}
		s.refunds[orderNo] = rest
	}
	req := &plural.RefundRequest{MerchantOrderReference: plural.Reference("refund", orderNo), OrderAmount: rest}
	_, err := s.client.Refunds.Create(ctx, id, req)
	return settled("refunded "+rest.Display(), err)
}

func settled(what string, err error) error {
	switch {
	case err == nil:
		fmt.Println(what)
		return nil
	case errors.Is(err, plural.ErrNotApplied):
		fmt.Println("not", what)
		return nil
	case errors.Is(err, plural.ErrConflict), plural.NeedsReview(err):
		fmt.Println("somebody has to look:", err)
	}
	return errLater
}

// This example is a whole shop: checkout, the payer's return, webhook, capture
// at shipment, cancel, and refund of the rest.
func Example_shop() {
	srv, client := emulator()
	defer srv.Close()
	verifier, _ := plural.NewVerifier(srv.ClientSecret)
	s := &lampShop{client, verifier, map[string]plural.Expected{}, map[string]plural.Amount{}}
	http.NewServeMux().Handle("POST /plural/webhook", plural.NewWebhookHandler(verifier, s.event))
	ctx := context.Background()
	order, err := s.checkout(ctx, "1042", plural.INR(149950))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = srv.Pay(order.OrderID, pluraltest.Approve)
	r, _ := srv.CallbackRequest(ctx, order.OrderID)
	paid, err := s.comeBack(r)
	fmt.Println(paid.Status, err)
	fmt.Println(s.ship(ctx, order.OrderID, "1042", plural.INR(149950)), s.giveUp(ctx, order.OrderID))
	fmt.Println(s.refundTheRest(ctx, order.OrderID, "1042"))
	// Output:
	// AUTHORIZED <nil>
	// captured
	// not cancelled
	// <nil> <nil>
	// refunded ₹1,499.50
	// <nil>
}
