// Package reconcile compares three books, to the paisa: what a shop has
// captured and refunded, what Plural's orders say, and what has reached the
// bank in settlements.
//
// [Run] is one night: it reads what is needed, and writes a [Report].
//
//	books, err := reconcile.New(payments) // every payment of the last ten days
//	state, err := reconcile.Run(ctx, reconcile.FromClient(client), books, days, state, report)
//
// [Books] is the core. It uses no network and no clock, and also takes lines
// and orders that other code has read.
//
// # What is compared
//
// The join is exact: a line belongs to a payment by its transaction_id, which
// is the id of the payment, or of a refund of its order. The order's id is cut
// out of the transaction_id. It is only a hint to read that order.
//
// The transaction_amount of the lines is compared with what was captured, in
// exact paise. If Plural's order was read, it is also compared with the shop's
// figures. Deductions and net amounts are reported as Plural sent them: in
// Plural's own published sample they do not add up. Only the bank's statement
// is compared with the net amount. No line is called a chargeback, because no
// line says that it is one.
//
// # What the outcomes depend on
//
// An outcome depends on what was read, and never on what is missing: money
// comes days later, and a settlement that could not be read may have any line.
// [Settled] depends on the lines in the result. There may be a further line in
// tomorrow's settlement, or in one that could not be read. The night that reads
// that line reports that the payment [Differs].
package reconcile
