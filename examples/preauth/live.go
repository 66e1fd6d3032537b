package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/plural-go/plural"
)

// runLive creates a real order for one rupee, waits for somebody to pay it, and
// releases the hold.
func runLive(ctx context.Context, out io.Writer) error {
	client, err := plural.NewClientFromEnv()
	if err != nil {
		return err
	}
	req := &plural.CreateOrderRequest{
		MerchantOrderReference: "preauth-" + uuid.NewString(),
		OrderAmount:            plural.INR(100),
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
	}
	order, err := client.Orders.Create(ctx, req)
	if err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"Environment  %s\nOrder        %s for %s\nOpen         %s\n\nWaiting up to 15 minutes for the payer...\n",
		client.Environment(),
		order.OrderID,
		req.OrderAmount,
		order.RedirectURL,
	)

	waiting, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	paid, err := client.Orders.Wait(waiting, order.OrderID, nil)
	if err != nil && waiting.Err() != nil { // the 15 minutes are over, or somebody has pressed Ctrl-C
		fmt.Fprintf(
			out,
			"Nobody has paid yet, and this program stops waiting. "+
				"The link can still be paid. Order %s would then hold %s until somebody cancels it.\n",
			order.OrderID,
			req.OrderAmount,
		)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The order is %s.\n", paid.Status)
	if !paid.CanCancel() {
		return nil
	}

	// The release has its own deadline. An interrupt does not stop the release,
	// because the payer's money is on hold.
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	cancelled, err := client.Cancels.Create(releasing, order.OrderID)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The hold is released: the order is %s.\n", cancelled.Status)
	return nil
}
