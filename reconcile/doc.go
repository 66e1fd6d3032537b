// Package reconcile holds three books against each other, to the paisa: what a
// shop has captured and refunded, what Plural's orders say, and what has reached
// the bank in settlements.
//
// [Run] is one night: it reads what there is to read, and writes a [Report].
//
//	books, err := reconcile.New(payments) // every payment of the last ten days
//	state, err := reconcile.Run(ctx, reconcile.FromClient(client), books, days, state, report)
//
// [Books] is the core, without network or clock: whoever has lines and orders
// from elsewhere gives them to it.
//
// # What is held against what
//
// The join is exact: a line belongs to a payment by its transaction_id, which is
// the id of the payment, or of a refund of its order. The id of an order that is
// cut out of it is only a hint to read that order.
//
// The transaction_amount of the lines is held against what was captured, in
// exact paise; so is Plural's order, where it was read. Deductions and what is
// paid out are reported as Plural sent them and compared with nothing but the
// bank's statement: in Plural's own published sample they do not add up.
// Nothing is called a chargeback, since no line says that it is one.
//
// # What the outcomes rest on
//
// Each rests on what was read, and never on what was not: money comes days
// later, and a settlement that could not be read may hold any line.
// [Settled] rests on lines alone. A further line, in a settlement of tomorrow or
// in one that could not be read, makes it [Differs] on the night that reads it.
package reconcile
