// Package reconcile compares three records:
//
//   - what a shop has captured and refunded;
//   - what Plural's orders show;
//   - what has reached the bank in settlements.
//
// The comparison is exact. A difference of one paisa counts as a difference.
//
// [Run] does the work of one night. It reads the orders and settlements that
// are needed, and writes a [Report].
//
//	from := reconcile.FromClient(client)
//	books, err := reconcile.New(payments) // every payment of the last ten days
//	state, err := reconcile.Run(ctx, from, books, days, state, report)
//
// [Books] is the core of the package. It uses no network and no clock. Your own
// code can also read the orders and lines, and pass them to [Books.Order] and
// [Books.Line].
//
// # What is compared
//
// A line is matched with a payment only by the exact transaction_id. That is
// the id of the payment, or of a refund of the payment's order. Often the first
// part of a transaction_id looks like an order's id. [Run] uses this part only
// to guess which order it should read.
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
// An outcome says only what follows from the data that was read. A missing line
// does not show that the money is missing. There are two reasons: money comes
// days later, and the line may be in a settlement that could not be read.
// [Settled] depends only on the lines in the result. The payment may have
// another line in tomorrow's settlement, or in a settlement that could not be
// read. If a later run reads this other line, the outcome in that run is
// [Differs].
package reconcile
