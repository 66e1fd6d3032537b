package plural_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// A hotel takes a deposit by payment link: the customer gets a message, and
// pays on Plural's page. When you make a link, also store the result of
// link.Expected. Later, pass this result to Confirm. Confirm compares the
// link's order with it.
func ExamplePaymentLinkService_Create() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()

	link, err := client.PaymentLinks.Create(ctx, &plural.PaymentLinkRequest{
		MerchantPaymentLinkReference: plural.Reference("deposit", 4411),
		Amount:                       plural.INR(500000),
		Customer:                     &plural.Customer{FirstName: "Asha", MobileNumber: "9000000001"},
		Description:                  "Deposit for booking 4411",
		ExpireBy:                     time.Now().Add(48 * time.Hour),
		PreAuth:                      true,
		AllowedPaymentMethods:        []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:                  "https://hotel.example.com/plural/return",
	})
	if err != nil {
		fmt.Println(err) // ErrConflict is final; after most other errors, call again with the same reference
		return
	}
	want := link.Expected()
	// The shop stores link.PaymentLinkID and the variable want with the
	// booking.
	fmt.Println(link.Status, len(srv.Notifications(link.PaymentLinkID)), "message")

	srv.Pay(link.OrderID, pluraltest.Approve) // the customer pays
	verifier, _ := plural.NewVerifier(srv.ClientSecret)
	callback, err := verifier.VerifyCallback(srv.CallbackForm(link.OrderID))
	if err != nil {
		fmt.Println(err)
		return
	}
	// The shop finds the booking by callback.OrderID, and loads the stored
	// variable want.
	order, err := client.Orders.Confirm(ctx, callback, want)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.Status, order.CanCapture())
	// Output:
	// CREATED 1 message
	// AUTHORIZED true
}

// A merchant withdraws a link. If the payer has already paid, the order has to
// be cancelled or refunded.
func ExamplePaymentLinkService_Cancel() {
	srv, client := emulator()
	defer srv.Close()
	ctx := context.Background()

	for _, paid := range []bool{false, true} {
		link, err := client.PaymentLinks.Create(ctx, &plural.PaymentLinkRequest{
			MerchantPaymentLinkReference: plural.Reference("deposit", paid),
			Amount:                       plural.INR(500000),
			Customer:                     &plural.Customer{EmailID: "asha@example.com"},
			PreAuth:                      true,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		if paid {
			srv.Pay(link.OrderID, pluraltest.Approve)
		}
		_, err = client.PaymentLinks.Cancel(ctx, link.PaymentLinkID)
		switch conflict, _ := errors.AsType[*plural.PaymentLinkError](err); {
		case err == nil:
			fmt.Println("withdrawn")
		case conflict != nil: // the payer paid before the link was withdrawn
			order, err := client.Cancels.Create(ctx, conflict.Order.OrderID)
			fmt.Println("paid before, and now", order.Status, err)
		case errors.Is(err, plural.ErrNotApplied):
			fmt.Println("expired")
		default:
			fmt.Println(err) // the outcome is not known yet: call again
		}
	}
	// Output:
	// withdrawn
	// paid before, and now CANCELLED <nil>
}
