package main

import (
	"testing"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// A merchant's own test: the program's capture against Plural on localhost. It
// is carried out, but its answer is lost: the program finds out, and nothing is
// taken twice.
func TestCapture(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		plural.WithBaseURL(srv.URL),
	)
	if err != nil {
		t.Fatal(err)
	}
	order, err := client.Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1",
		OrderAmount:            plural.INR(149950),
		PreAuth:                true,
	})
	if err != nil {
		t.Fatal(err)
	}
	orderID := order.OrderID
	back, err := srv.Pay(orderID, pluraltest.Approve)
	if err != nil {
		t.Fatal(err)
	}
	if back.Form.Get("order_id") != orderID {
		t.Errorf("the browser brings %v", back.Form)
	}
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	for range 2 { // the second run finds that it is done
		if got := capture(t.Context(), client, orderID, "capture-1"); got != "captured INR 1499.50" {
			t.Errorf("got %q", got)
		}
	}
	if n := len(srv.Captures(orderID)); n != 1 {
		t.Errorf("captured %d times", n)
	}
	srv.AssertExactlyOnce(t)
}
