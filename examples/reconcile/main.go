// Command reconcile compares a shop's list of orders and refunds with Plural's
// books, and says where the two differ. It only reads, so it can run every
// night.
//
//	export PLURAL_CLIENT_ID=... PLURAL_CLIENT_SECRET=... PLURAL_ENVIRONMENT=uat
//	go run ./examples/reconcile < list.csv
//
// The list has a header and the columns reference, amount (in rupees), captured
// and refunded, as the shop has them; see [testdata/list.csv]. The output has a
// line for each reference: what Plural says, and what differs. The program
// exits with 1 if anything differs, and with 2 if it could not check.
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/plural-go/plural"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	client, err := plural.NewClientFromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	differences, err := reconcile(ctx, client, os.Stdin, os.Stdout)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case differences > 0:
		os.Exit(1)
	}
}

// reconcile writes a line for each reference of the list, and counts those that
// differ.
func reconcile(ctx context.Context, client *plural.Client, list io.Reader, report io.Writer) (int, error) {
	rows := csv.NewReader(list)
	header, err := rows.Read()
	if err != nil {
		return 0, fmt.Errorf("read the list's header: %w", err)
	}
	if !slices.Equal(header, []string{"reference", "amount", "captured", "refunded"}) {
		return 0, fmt.Errorf("the list's columns are %q", header)
	}
	differences := 0
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return differences, nil
		}
		if err != nil {
			return differences, fmt.Errorf("read the list: %w", err)
		}
		says, differs, err := compare(ctx, client, row)
		if err != nil {
			return differences, err
		}
		if differs {
			differences++
			says = "DIFFERS: " + says
		}
		fmt.Fprintf(report, "%s: %s\n", row[0], says)
	}
}

// compare says what Plural's books have of one order, and whether that differs
// from the shop's list.
func compare(ctx context.Context, client *plural.Client, row []string) (says string, differs bool, err error) {
	var shop [3]plural.Amount
	for i := range shop {
		if shop[i], err = plural.ParseAmount(row[i+1], plural.CurrencyINR); err != nil {
			return "", false, fmt.Errorf("%s: %w", row[0], err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	order, err := client.Orders.GetByReference(ctx, row[0])
	switch {
	case errors.Is(err, plural.ErrNotFound):
		return "Plural has no such order", true, nil
	case err != nil:
		return "", false, err
	}
	captured, captureKnown := order.CapturedAmount()
	refunded, refundKnown := order.RefundedAmount()
	switch {
	case order.OrderAmount != shop[0]:
		return fmt.Sprintf("ordered %s, the shop has %s", order.OrderAmount.Display(), shop[0].Display()), true, nil
	case !captureKnown || !refundKnown:
		return string(
			order.Status,
		) + ", and the order does not say how much was taken: look at it in the dashboard", true, nil
	case captured != shop[1]:
		return fmt.Sprintf("captured %s, the shop has %s", captured.Display(), shop[1].Display()), true, nil
	case refunded != shop[2]:
		return fmt.Sprintf("refunded %s, the shop has %s", refunded.Display(), shop[2].Display()), true, nil
	}
	return order.Status.Text(), false, nil
}
