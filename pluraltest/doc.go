// Package pluraltest is Plural (Pine Labs Online) on localhost: a stateful fake
// of the payment gateway, for tests of code that takes payments.
//
//	srv := pluraltest.NewServer(t)
//	client, err := plural.NewClient(
//		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
//		plural.WithBaseURL(srv.URL),
//	)
//	order, err := client.Orders.Create(ctx, &plural.CreateOrderRequest{...})
//	back, err := srv.Pay(order.OrderID, pluraltest.Approve) // the payer pays
//	// back.Form is what the payer's browser posts to the merchant, signed.
//
// The emulator keeps orders as the service would. Tokens expire. Orders and
// refunds share one namespace of references. An order changes its status only
// in ways that the service allows, and can be captured once. Refunds stay
// within the captured sum. Errors are the documented ones, callbacks are
// signed, and webhooks follow the documented schedule. The package signs and
// encodes with code of its own and shares no code with the SDK, so a bug of the
// SDK cannot hide behind the same bug in the emulator.
//
// # Ways in
//
// [NewServer] and [Start] make a server that listens on a loopback port. A
// server made by [New] does not listen. [Server.Transport] and [Server.Client]
// reach such a server over connections in memory that behave as sockets do. You
// can also use them with a server that listens on a port. A server made by New
// inside a testing/synctest bubble runs on the bubble's clock, and must be
// closed in the bubble.
//
// # Faults
//
// [Server.Inject] queues faults for the next requests that match.
// [WithRandomFaults] and [Server.SetFaultPlan] choose a fault for each request.
//
//	captures := pluraltest.On(pluraltest.OpCapturesCreate)
//	srv.Inject(captures, pluraltest.ResetAfterApply)
//
// A [Fault] says what happens to the books (its Effect) and what the client
// receives (its Answer). [Server.FaultLog] lists what was injected and what
// became of each effect. A fault that makes no sense causes a panic.
//
// # Books
//
// [Server.Orders], [Server.Captures], [Server.Refunds], [Server.Deliveries] and
// [Server.Requests] read the emulator's books. [Server.AssertExactlyOnce] fails
// a test if anything was applied twice. It does not check that a write was
// applied. To check that, read the books, for example with [Server.Captures].
//
// Amounts are in minor units (paise). Times in documents are UTC.
package pluraltest
