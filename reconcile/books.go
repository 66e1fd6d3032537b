package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/plural-go/plural"
)

// Payment is a payment that the shop has captured, with the shop's figures. If
// an order was paid with points and a card, give the order in one of these
// ways:
//
//   - two payments, each with its PaymentID;
//   - one payment for the whole order, without a PaymentID.
type Payment struct {
	// Reference is the merchant_order_reference.
	Reference string
	// OrderID is Plural's id of the order. If it is "", the order is read by its
	// Reference.
	OrderID string
	// PaymentID is the ID from [plural.Order.Captures]. Store it when you
	// capture. If the order was paid without a hold, it may list no captures.
	// Then use the ID from [plural.Order.Payments]. If PaymentID is "", the
	// order has to be read, and this Payment stands for all payments of the
	// order.
	PaymentID string
	// Captured and Refunded are in paise. Refunded includes refunds that
	// are under way, as [plural.Order.RefundedAmount] does. If Refunded is
	// the zero Amount, nothing was refunded. If Captured is the zero
	// Amount, [New] returns an error, because the shop may have forgotten
	// the amount. If nothing was captured, set Captured to INR(0).
	Captured, Refunded plural.Amount
}

// Books has the shop's payments, and the data that was read about them. Books
// is not safe for concurrent use.
//
// Pass the orders first, then the lines. Then call Results. Books keeps copies,
// so you may change the arguments afterwards.
type Books struct {
	payments []entry
	owners   map[string]owner // the key is the id of a payment, of a refund or of a refund's payment
	byOrder  map[string]int32 // the key is an order's id, the value is the order's first payment
	byRef    map[string]int32 // as byOrder, for payments without an OrderID; the key is the reference
	orders   []orderBook
	lines    chunkedList[keptLine]
	last     *plural.SettlementLine // the last line that was kept

	unread   map[string]error // by UTR
	unlisted error            // why the settlements of some days could not be listed
	isUsed   bool             // Run was called with these books
}

// entry is a payment, with the indexes of its data in Books. The index -1 means
// that there is no such item.
type entry struct {
	Payment

	first, last int32 // the payment's first and last line in Books.lines
	next        int32 // the next payment of the same order, in Books.payments
	order       int32 // what is known about the payment's order, in Books.orders
	// In Plural's documents, this order and another order have the same id of a
	// payment or of a refund. This field is set only in the entry of the
	// order's first payment.
	isContested bool
}

type owner struct {
	payment  int32
	isRefund bool
}

// orderBook is what is known about an order, or the reason why nothing is
// known.
type orderBook struct {
	err        error
	isRead     bool
	reference  string
	captured   amount
	refunded   amount
	status     plural.OrderStatus
	lacksOne   string // the id of a payment that is on the shop's list, but not in Plural's order
	isOfOthers bool
	lacksID    bool // a payment has no id, so no line can be matched with it
}

type amount struct {
	plural.Amount

	isKnown bool
}

// keptLine is a line that belongs to a payment. The field nextLine is the index
// of the payment's next line in Books.lines.
type keptLine struct {
	plural.SettlementLine

	nextLine int32
	isRefund bool
}

const none = int32(-1)

// New makes Books from the shop's payments. Pass all payments of the last ten
// days, settled or not. Also pass every older payment that is not settled yet.
// New returns one of these errors:
//
//   - an error that comes from the sequence of payments;
//   - an error if a payment has neither a reference nor an order id;
//   - an error if an amount is below zero;
//   - an error if an amount is in another currency than INR, because
//     settlements are in INR;
//   - an error if two payments have the same PaymentID;
//   - an error if an order has several payments and one of them has no
//     PaymentID, because then New cannot distinguish the payments.
func New(payments iter.Seq2[Payment, error]) (*Books, error) {
	b := &Books{
		last: new(plural.SettlementLine), owners: map[string]owner{},
		byOrder: map[string]int32{}, byRef: map[string]int32{}, unread: map[string]error{},
	}
	for p, err := range payments {
		if err == nil {
			err = p.check()
		}
		if err == nil {
			err = b.add(p)
		}
		if err != nil {
			return nil, fmt.Errorf("reconcile: payment %d of the list: %w", len(b.payments)+1, err)
		}
	}
	return b, nil
}

func (p *Payment) check() error {
	switch {
	case p.Reference == "" && p.OrderID == "":
		return errors.New("it has neither a reference nor an order id")
	case p.Captured.Currency != plural.CurrencyINR:
		return fmt.Errorf("captured is in %q: settlements are in INR", p.Captured.Currency)
	case p.Refunded != plural.Amount{} && p.Refunded.Currency != plural.CurrencyINR:
		return fmt.Errorf("refunded is in %q: settlements are in INR", p.Refunded.Currency)
	case p.Captured.Value < 0 || p.Refunded.Value < 0:
		return errors.New("an amount is below zero")
	}
	return nil
}

func (b *Books) add(p Payment) error {
	n := int32(len(b.payments)) //nolint:gosec // two billion payments do not fit into memory
	name, index := p.OrderID, b.byOrder
	if name == "" {
		name, index = p.Reference, b.byRef
	}
	before, hasOthers := index[name]
	if hasOthers && (p.PaymentID == "" || b.payments[before].PaymentID == "") {
		return fmt.Errorf("order %s is on the list twice, and one of the two has no payment id", name)
	}
	if _, isTaken := b.owners[p.PaymentID]; isTaken {
		return fmt.Errorf("payment %s is on the list twice", p.PaymentID)
	}
	p.Reference, p.OrderID, p.PaymentID = compactNames(p)
	p.Refunded.Currency = plural.CurrencyINR
	e := entry{Payment: p, first: none, last: none, next: none, order: none}
	if hasOthers {
		e.next, b.payments[before].next = b.payments[before].next, n
	} else {
		index[cmp.Or(p.OrderID, p.Reference)] = n
	}
	if p.PaymentID != "" {
		b.owners[p.PaymentID] = owner{payment: n}
	}
	b.payments = append(b.payments, e)
	return nil
}

// compactNames copies a payment's reference and ids into one piece of memory. A
// PaymentID usually begins with the OrderID, so the two share their memory.
func compactNames(p Payment) (reference, orderID, paymentID string) {
	text := p.Reference + p.PaymentID
	if !strings.HasPrefix(p.PaymentID, p.OrderID) {
		text += p.OrderID
	}
	reference, paymentID = text[:len(p.Reference)], text[len(p.Reference):len(p.Reference)+len(p.PaymentID)]
	orderID = text[len(reference)+len(paymentID):]
	if orderID == "" {
		orderID = paymentID[:len(p.OrderID)]
	}
	return reference, orderID, paymentID
}

// Line adds a line of a settlement to the payment that the line belongs to.
// Call Line once for each line. If the line belongs to no payment on the list,
// Line returns false and does not keep the line.
func (b *Books) Line(l *plural.SettlementLine) bool {
	of, isKnown := b.owners[l.TransactionID]
	if l.TransactionID == "" || !isKnown {
		return false
	}
	p := &b.payments[of.payment]
	n := b.lines.add(keptLine{*l, none, of.isRefund})
	own := &b.lines.at(n).SettlementLine
	copyTexts(own, b.last, p.PaymentID)
	b.last = own
	if p.last == none {
		p.first = n
	} else {
		b.lines.at(p.last).nextLine = n
	}
	p.last = n
	return true
}

// isKnownID reports whether the books know the given id. They know the ids of
// payments on the list, and of refunds of these payments.
func (b *Books) isKnownID(transactionID string) bool {
	_, ok := b.owners[transactionID]
	return ok && transactionID != ""
}

// Order adds the document of an order to the books. The argument o is this
// document, as Plural sent it. The books keep the ids of the order's payments
// and refunds, and the captured and refunded amounts. If o is the document of a
// refund, the books keep only the refund's ids. If you pass the same order
// again, the new document replaces the earlier document.
//
// The method returns an error in these cases:
//
//   - o is nil;
//   - no payment on the list belongs to the order;
//   - an id in the order also belongs to another payment on the list.
func (b *Books) Order(o *plural.Order) error {
	if o == nil {
		return errors.New("reconcile: there is no order")
	}
	if o.Type == plural.OrderTypeRefund {
		first, ok := b.byOrder[o.ParentOrderID]
		if o.ParentOrderID == "" || !ok {
			return fmt.Errorf("reconcile: refund %s belongs to no order on the list", o.OrderID)
		}
		return b.addRefund(o, first)
	}
	hasPayment := func(id string) bool {
		return slices.ContainsFunc(o.Payments, func(p plural.Payment) bool { return p.ID == id })
	}
	first, ok := b.findOrder(o.OrderID)
	named, isNamed := b.byRef[o.MerchantOrderReference]
	switch {
	case !ok && !isNamed:
		return fmt.Errorf("reconcile: order %s is not on the list", o.OrderID)
	case !ok:
		first = named
		b.byOrder[strings.Clone(o.OrderID)] = first
	case isNamed && named != first:
		b.joinPayments(first, named, hasPayment)
	}
	book := b.bookOf(first)
	*book = orderBook{isRead: true, reference: strings.Clone(o.MerchantOrderReference), status: o.Status}
	book.captured.Amount, book.captured.isKnown = o.CapturedAmount()
	book.refunded.Amount, book.refunded.isKnown = o.RefundedAmount()
	for n := first; n != none; n = b.payments[n].next {
		if id := b.payments[n].PaymentID; id != "" && !hasPayment(id) {
			book.lacksOne = id
		}
	}
	if b.payments[first].PaymentID == "" {
		for i := range o.Payments {
			book.lacksID = book.lacksID || o.Payments[i].ID == ""
			if err := b.own(o.Payments[i].ID, owner{payment: first}); err != nil {
				book.isOfOthers = true
				return err
			}
		}
	}
	for i := range o.Refunds {
		if err := b.addRefund(&o.Refunds[i], first); err != nil {
			book.isOfOthers = true
			return err
		}
	}
	return nil
}

// The shop may name one order by its id in some payments, and by its reference
// in other payments. Then joinPayments puts all these payments together as the
// payments of one order. It does this only if both of these conditions are
// true:
//
//   - Each of the payments has a PaymentID.
//   - Plural's order lists the PaymentID of each payment that names the order
//     by its reference.
func (b *Books) joinPayments(first, named int32, hasPayment func(id string) bool) {
	last := named
	for n := named; n != none; n = b.payments[n].next {
		if id := b.payments[n].PaymentID; id == "" || !hasPayment(id) {
			return
		}
		last = n
	}
	if b.payments[first].PaymentID == "" {
		return
	}
	b.byRef[b.payments[named].Reference] = first
	b.payments[first].isContested = b.payments[first].isContested || b.payments[named].isContested
	b.payments[last].next, b.payments[first].next = b.payments[first].next, named
	book := b.payments[first].order
	for n := named; n != none; n = b.payments[n].next {
		b.payments[n].order = book
	}
}

// addRefund keeps the ids of a refund.
func (b *Books) addRefund(refund *plural.Order, first int32) error {
	to := owner{payment: first, isRefund: true}
	for i := range refund.Payments {
		if of, ok := b.owners[refund.Payments[i].ParentPaymentID]; ok && !of.isRefund && b.belongsToOrder(of.payment, first) {
			to.payment = of.payment
		}
	}
	err := b.own(refund.OrderID, to)
	for i := range refund.Payments {
		err = errors.Join(err, b.own(refund.Payments[i].ID, to))
	}
	return err
}

// belongsToOrder reports whether the payment n is one of an order's payments.
// The parameter firstPayment is the first payment of this order.
func (b *Books) belongsToOrder(n, firstPayment int32) bool {
	for other := firstPayment; other != none; other = b.payments[other].next {
		if n == other {
			return true
		}
	}
	return false
}

func (b *Books) own(id string, to owner) error {
	if id == "" {
		return nil
	}
	of, isTaken := b.owners[id]
	first := b.firstOf(&b.payments[to.payment])
	if isTaken && (of.isRefund != to.isRefund || !b.belongsToOrder(of.payment, first)) {
		if b.payments[of.payment].PaymentID != id { // the id is from Plural's order, not from the shop's list
			b.payments[b.firstOf(&b.payments[of.payment])].isContested = true
		}
		return fmt.Errorf("reconcile: id %s belongs to two payments of the list", id)
	}
	if !isTaken {
		b.owners[strings.Clone(id)] = to
	}
	return nil
}

// firstOf returns the index of the first payment that has the same order as p.
// The first payment may be p itself.
func (b *Books) firstOf(p *entry) int32 {
	if p.OrderID != "" {
		return b.byOrder[p.OrderID]
	}
	return b.byRef[p.Reference]
}

// bookOf returns what is known about an order. The parameter firstPayment is
// the first payment of this order.
func (b *Books) bookOf(firstPayment int32) *orderBook {
	if b.payments[firstPayment].order == none {
		b.orders = append(b.orders, orderBook{})
		for n := firstPayment; n != none; n = b.payments[n].next {
			b.payments[n].order = int32(len(b.orders) - 1) //nolint:gosec // there are at most as many orders as payments
		}
	}
	return &b.orders[b.payments[firstPayment].order]
}

// findOrder returns the index of the first payment of an order.
func (b *Books) findOrder(orderID string) (first int32, ok bool) {
	first, ok = b.byOrder[orderID]
	return first, ok && orderID != ""
}

// Unread records that something could not be read, and why. The arguments
// depend on what could not be read:
//
//   - For a settlement, pass its UTR, and "" as the order id.
//   - For an order, pass "" as the UTR, and the order's id. If the shop's list
//     does not have the order's id, pass the order's reference instead.
//   - For the list of settlements, pass "" for both.
//
// The results that depend on the missing data become [Unknown].
func (b *Books) Unread(utr, orderID string, err error) {
	if err == nil {
		err = errors.New("it was not read")
	}
	first, ok := b.findOrder(orderID)
	if !ok {
		first, ok = b.byRef[orderID]
	}
	switch {
	case utr != "":
		b.unread[strings.Clone(utr)] = err
	case orderID == "":
		b.unlisted = err
	case ok:
		*b.bookOf(first) = orderBook{err: err}
	}
}
