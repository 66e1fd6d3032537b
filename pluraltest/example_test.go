package pluraltest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// shipOrder stands for the merchant's own code. When the goods leave the
// merchant, shipOrder captures the held money.
func shipOrder(ctx context.Context, client *plural.Client, orderID string) error {
	_, err := client.Captures.Create(ctx, orderID, &plural.CaptureRequest{
		MerchantCaptureReference: "ship-" + orderID[len(orderID)-6:],
		FullAmount:               true,
	})
	return err
}

// newEmulator makes an emulated gateway and a client for it. It also makes an
// order that the payer has approved, and returns the order's id.
func newEmulator() (srv *pluraltest.Server, client *plural.Client, orderID string) {
	srv = pluraltest.New() // in a test: pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(srv.Client()),
	)
	if err != nil {
		panic(err)
	}
	orderID, err = srv.AddOrder(pluraltest.OrderSpec{
		Reference: "order-1001",
		Amount:    pluraltest.Amount{Value: 149950, Currency: "INR"},
		PreAuth:   true,
	})
	if err != nil {
		panic(err)
	}
	if _, err = srv.Pay(orderID, pluraltest.Approve); err != nil {
		panic(err)
	}
	return srv, client, orderID
}

// A merchant tests their own code against a lost answer. The gateway carries
// out the capture, and then the connection breaks.
func Example_lostAnswer() {
	srv, client, orderID := newEmulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	fmt.Println("shipped:", shipOrder(ctx, client, orderID) == nil)

	for _, fault := range srv.FaultLog() {
		fmt.Println(fault.Fault, fault.Effect)
	}
	for _, capture := range srv.Captures(orderID) {
		fmt.Println("captured", capture.Amount.Value)
	}
	fmt.Println("twice:", len(srv.Doubles()))
	// Output:
	// shipped: true
	// ResetAfterApply applied
	// captured 149950
	// twice: 0
}

// The capture is made, its answer is lost, and the books cannot be read. The
// outcome stays unknown until the gateway answers again.
func ExampleServer_SetFaultPlan() {
	srv, client, orderID := newEmulator()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		switch r.Op {
		case pluraltest.OpCapturesCreate:
			return pluraltest.ResetAfterApply
		case pluraltest.OpOrdersGet:
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.NoFault
	})
	fmt.Println("unknown:", errors.Is(shipOrder(ctx, client, orderID), plural.ErrOutcomeUnknown))

	srv.ClearFaults()
	fmt.Println("settled:", shipOrder(ctx, client, orderID) == nil)
	fmt.Println("captures:", len(srv.Captures(orderID)))
	// Output:
	// unknown: true
	// settled: true
	// captures: 1
}
