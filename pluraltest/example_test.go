package pluraltest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// ship is a merchant's own code: it takes the money of a hold when the goods leave.
func ship(ctx context.Context, client *plural.Client, orderID string) error {
	_, err := client.Captures.Create(ctx, orderID, &plural.CaptureRequest{
		MerchantCaptureReference: "ship-" + orderID[len(orderID)-6:],
		FullAmount:               true,
	})
	return err
}

// A merchant tests code of their own against an answer that is lost: the capture
// reaches the gateway and is carried out, and the connection breaks.
func Example_lostAnswer() {
	srv := pluraltest.New() // in a test: pluraltest.NewServer(t)
	defer srv.Close()
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(srv.Client()),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	orderID, err := srv.AddOrder(pluraltest.OrderSpec{
		Reference: "order-1001",
		Amount:    pluraltest.Amount{Value: 149950, Currency: "INR"},
		PreAuth:   true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err = srv.Pay(orderID, pluraltest.Approve); err != nil {
		fmt.Println(err)
		return
	}

	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ResetAfterApply)
	fmt.Println("shipped:", ship(ctx, client, orderID) == nil)

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
