// Package reconcile compares three records, to the paisa: what a shop has
// captured and refunded, what Plural's orders show, and what has reached the
// bank in settlements.
//
// [Run] does the work of one night. It reads the orders and settlements that
// are needed, and writes a [Report].
//
//	books, err := reconcile.New(payments) // every payment of the last ten days
//	state, err := reconcile.Run(ctx, reconcile.FromClient(client), books, days, state, report)
//
// [Books] is the core of the package. It uses no network and no clock. You can
// also give Books lines and orders that other code has read.
//
// # What is compared
//
// A line is matched with a payment only by the exact transaction_id. That is
// the id of the payment, or of a refund of the payment's order. A part of the
// transaction_id looks like the order's id. That part only suggests which order
// to read.
//
// The transaction_amount of the lines is compared with the captured amount, in
// exact paise. If Plural's order was read, the order is also compared with the
// shop's figures. Deductions and net amounts are reported as Plural sent them,
// because they do not add up in the sample that Plural itself publishes. The
// net amount is compared only with the bank's statement. No line is called a
// chargeback, because no line shows that it is a chargeback.
//
// # What the outcomes depend on
//
// An outcome says only what follows from the data that was read. Nothing
// follows from a line that is missing, for two reasons: money comes days later,
// and a settlement that could not be read may have a line of any payment.
// [Settled] depends only on the lines in the result. The payment may have
// another line in tomorrow's settlement, or in a settlement that could not be
// read. The night that reads the other line reports that the payment [Differs].
package reconcile
