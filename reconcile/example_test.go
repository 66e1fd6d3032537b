package reconcile_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
	"github.com/plural-go/plural/reconcile"
)

// This example calls Run once, as a shop does every night. All orders and
// settlements come from the emulator. The shop has two payments, and the
// emulator has settled one of them.
func ExampleRun() {
	srv := pluraltest.New(pluraltest.WithSettlementDays(-1))
	defer srv.Close()
	first, second := makeCapturedOrder(srv, "order-1"), makeCapturedOrder(srv, "order-2")
	_ = srv.AddSettlement(pluraltest.Settlement{
		UTR: "633300000101", ProcessedAt: time.Now(), SettledAt: time.Now(),
		Lines: []pluraltest.SettlementLine{{TransactionID: first.PaymentID, Amount: "1499.50", PaidAt: time.Now()}},
	})
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
		plural.WithBaseURL(srv.URL), plural.WithHTTPClient(&http.Client{Transport: srv.Transport()}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	payments := paymentList(first, second) // from the shop's own database
	books, err := reconcile.New(payments)
	if err != nil {
		fmt.Println(err)
		return
	}
	today := time.Now().In(plural.India())
	days := plural.Days{First: today.AddDate(0, 0, -9), Last: today}
	var last reconcile.State // from the night before
	report := &recorder{}    // or reconcile.NewCSV(os.Stdout)
	next, err := reconcile.Run(context.Background(), reconcile.FromClient(client), books, days, last, report)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for _, result := range report.results {
		fmt.Println(result.Payment.Reference, result.Outcome, result.UTRs())
	}
	fmt.Println(len(next.UTRs), "settlement need not be read again")
	// Output:
	// order-1 settled [633300000101]
	// order-2 not seen []
	// 1 settlement need not be read again
}

// makeCapturedOrder makes an order that is paid and captured, and returns its
// payment.
func makeCapturedOrder(srv *pluraltest.Server, reference string) reconcile.Payment {
	amount := pluraltest.Amount{Value: 149950, Currency: "INR"}
	id, _ := srv.AddOrder(pluraltest.OrderSpec{Reference: reference, Amount: amount, PreAuth: true})
	_, _ = srv.Pay(id, pluraltest.Approve)
	_ = srv.Capture(id, "capture", amount)
	o, _ := srv.Order(id)
	paid := slices.IndexFunc(o.Payments, func(p pluraltest.Payment) bool { return p.ID != "" })
	return reconcile.Payment{
		Reference: reference, OrderID: id, PaymentID: o.Payments[paid].ID, Captured: plural.INR(149950),
	}
}
