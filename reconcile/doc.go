// Package reconcile compares three books, to the paisa: what a shop has captured
// and refunded, what Plural's orders say, and what has reached the bank in
// settlements.
//
// [Run] is one night: it reads what there is to read, and writes a [Report].
//
//	books, err := reconcile.New(payments) // every payment of the last ten days
//	state, err := reconcile.Run(ctx, reconcile.FromClient(client), books, days, state, report)
//
// [Books] is the core. It uses no network and no clock, and takes lines and
// orders that were read elsewhere, too.
//
// # What is compared
//
// The join is exact: a line belongs to a payment by its transaction_id, which is
// the id of the payment, or of a refund of its order. The id of an order that is
// cut out of it is only a hint to read that order.
//
// The transaction_amount of the lines is compared with what was captured, in
// exact paise. Plural's order is compared with the shop's figures, too, where it
// was read. Deductions and net amounts are reported as Plural sent them: in
// Plural's own published sample they do not add up. Only the bank's statement is
// compared with the net amount. Nothing is called a chargeback, since no line
// says that it is one.
//
// # What the outcomes rest on
//
// An outcome rests on what was read, and never on what is missing: money comes
// days later, and a settlement that could not be read may have any line.
// [Settled] rests on the lines in the result. There may be a further line in a
// settlement of tomorrow, or in one that could not be read. The night that reads
// that line reports that the payment [Differs].
package reconcile
