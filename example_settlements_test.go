package plural_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// settledOrder returns the id of a payment whose money has reached the bank,
// and the id of the transfer.
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

// This example lists what reached the bank in the last week, and the shop's
// orders that it was for. The shop stored the ids of payments when it captured.
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
			fmt.Println(err) // the list ends; errors.Is(err, plural.ErrIncomplete) if a part of it came
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

// The lines of one settlement, and their sum. The figures are as Plural sends
// them: the shop has to check them.
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
			fmt.Println(err) // it is not a number
			return
		}
	}
	paise, isExact := total.Paise()
	fmt.Println(total, paise, isExact)
	// Output:
	// 488.2 48820 true
}

// One complete settlement. If it could not be read completely, the error says
// so, and the result has what was read.
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

// Differences are exact.
func ExampleRupees_Sub() {
	line := plural.SettlementLine{ActualTransactionAmount: "1250.1", TotalDeductionAmount: "22.12505", SettledAmount: "1227.97"}
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

// The times of settlements have no zone. They are surely in India's time.
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
