package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

// A world has the random payments of a shop, Plural's orders, and the
// settlements of three nights. This data is what really happened. The type
// reader returns only a part of the data, and some of its reads fail.

const nights = 3

var firstNight = time.Date(2026, 11, 20, 0, 0, 0, 0, plural.India())

func nightOf(n int) time.Time { return firstNight.AddDate(0, 0, n) }

type paid struct {
	id       string
	captured int64
}

type refunded struct {
	order, payment string
	amount         int64
}

// The type order is an order at Plural.
type order struct {
	id, reference string
	day           time.Time // the day of the capture
	paid          []paid
	refunds       []refunded
	silent        bool // the document does not show what was captured
	orphans       bool // the documents of its refunds do not name the order
}

func (o *order) captured() (sum int64) {
	for _, p := range o.paid {
		sum += p.captured
	}
	return sum
}

func (o *order) returned() (sum int64) {
	for _, r := range o.refunds {
		sum += r.amount
	}
	return sum
}

// The type row is a payment that is on the shop's list for some nights. The
// fields startNight and endNight are the first and the last of these nights.
type row struct {
	reconcile.Payment

	order                *order
	startNight, endNight int
}

// The type line is a line of a settlement. The field startNight is the first
// night on which the line exists.
type line struct {
	plural.SettlementLine

	startNight int
	statuses   [nights]plural.PayoutStatus
}

func (l *line) on(night int) plural.SettlementLine {
	shown := l.SettlementLine
	shown.PayoutStatus = l.statuses[night]
	return shown
}

type settlement struct {
	utr    string
	day    time.Time
	lines  []*line
	more   int  // the list's number of lines is too high by this number
	double bool // the reader reports the settlement as incomplete, because a line came twice
}

func (s *settlement) on(night int) (list []plural.SettlementLine) {
	for _, l := range s.lines {
		if l.startNight <= night {
			list = append(list, l.on(night))
		}
	}
	return list
}

// isOdd reports whether the settlement can never be read completely.
func (s *settlement) isOdd() bool { return s.more > 0 || s.double }

type world struct {
	*rand.Rand

	orders      []*order
	rows        []*row
	settlements []*settlement
}

func newWorld(rng *rand.Rand, odd bool) *world {
	w := &world{Rand: rng}
	chance := func(percent int) bool { return odd && w.IntN(100) < percent }
	for i := range 4 + w.IntN(40) {
		w.addOrder(i, chance)
	}
	for _, o := range w.orders {
		for i := range o.paid {
			w.settlePayment(o, i, chance)
		}
		for _, r := range o.refunds {
			if chance(40) {
				w.add(o.day.AddDate(0, 0, 1+w.IntN(4)), r.payment, "-"+rupees(r.amount), chance)
			}
		}
	}
	for i := range w.IntN(4) {
		if chance(50) { // a payment in a store, a chargeback, or a payment of another shop
			id := fmt.Sprintf("v1-2611110000%02d-aa-Nobody-cc-a", i)
			if chance(50) {
				id = fmt.Sprintf("POS%d", i)
			}
			w.add(firstNight.AddDate(0, 0, -w.IntN(8)), id, rupees(1+w.Int64N(1e6)), chance)
		}
	}
	for _, s := range w.settlements {
		if chance(3) {
			s.more = 1
		}
		s.double = chance(3)
	}
	return w
}

func (w *world) addOrder(i int, chance func(int) bool) {
	o := &order{
		id:        fmt.Sprintf("v1-26111%d%05d0-aa-%06x", w.IntN(10), i, i),
		reference: fmt.Sprintf("order-%d", i),
		day:       firstNight.AddDate(0, 0, w.IntN(12)-9),
		silent:    chance(3),
		orphans:   chance(5),
	}
	for n := range 1 + w.IntN(8)/7 {
		o.paid = append(o.paid, paid{fmt.Sprintf("%s-cc-%c", o.id, 'a'+n), 100 + w.Int64N(1e7)})
	}
	if w.IntN(5) == 0 {
		id := fmt.Sprintf("v1-2611199%05d-aa-%06xR", i, i)
		amount := 1 + w.Int64N(o.captured()-1)
		if w.IntN(4) == 0 {
			amount = o.captured()
		}
		o.refunds = append(o.refunds, refunded{id, id + "-cc-N", amount})
	}
	w.orders = append(w.orders, o)

	from, till := max(0, int(o.day.Sub(firstNight).Hours()/24)), nights-1
	if chance(5) {
		from = min(from+1, nights-1)
	}
	for till >= from && !o.day.After(nightOf(till).AddDate(0, 0, -10)) {
		till--
	}
	if chance(3) {
		till = from
	}
	hasIDs := w.IntN(5) > 0
	for n, p := range o.paid {
		r := &row{order: o, startNight: from, endNight: till}
		r.Payment = reconcile.Payment{
			Reference: o.reference, OrderID: o.id, PaymentID: p.id, Captured: plural.INR(p.captured), Refunded: plural.INR(0),
		}
		if !hasIDs {
			r.PaymentID, r.Captured = "", plural.INR(o.captured())
			if w.IntN(2) == 0 {
				r.OrderID = ""
			}
		}
		if n == 0 {
			r.Refunded = plural.INR(o.returned())
		}
		if chance(3) {
			r.Captured.Value += 1 + w.Int64N(100)
		}
		if chance(3) {
			r.Refunded.Value += 1 + w.Int64N(100)
		}
		w.rows = append(w.rows, r)
		if !hasIDs {
			break
		}
	}
}

// settlePayment adds the lines of a payment to settlements. A random number
// decides how many lines it adds and what their amounts are. Sometimes
// settlePayment adds no line, because the payment is not settled yet.
func (w *world) settlePayment(o *order, i int, chance func(int) bool) {
	p, day := o.paid[i], o.day.AddDate(0, 0, 1+w.IntN(3))
	switch kind := w.IntN(100); {
	case kind < 12: // not settled yet
	case !chance(100) || kind > 40:
		w.add(day, p.id, rupees(p.captured), chance)
	case kind < 20: // in two parts
		first := 1 + w.Int64N(p.captured-1)
		w.add(day, p.id, rupees(first), chance)
		w.add(day.AddDate(0, 0, w.IntN(3)), p.id, rupees(p.captured-first), chance)
	case kind < 24: // the refunds are deducted
		w.add(day, p.id, rupees(p.captured-o.returned()), chance)
	case kind < 28: // up to a paisa too much or too little
		w.add(day, p.id, rupees(p.captured+w.Int64N(3)-1), chance)
	case kind < 32: // paid twice
		w.add(day, p.id, rupees(p.captured), chance)
		w.add(day.AddDate(0, 0, 1+w.IntN(2)), p.id, rupees(p.captured), chance)
	case kind < 36: // an amount in another notation, or not a number
		w.add(day, p.id, []string{"1e2", "12.345", "", "soon", "1e99"}[w.IntN(5)], chance)
	default: // two amounts that are not whole paise; their sum is the captured amount
		w.add(day, p.id, rupees(p.captured-1)+"5", chance)
		w.add(day, p.id, "0.005", chance)
	}
}

func (w *world) add(day time.Time, id, amount string, chance func(int) bool) {
	var s *settlement
	for _, each := range w.settlements {
		if each.day.Equal(day) && w.IntN(3) > 0 {
			s = each
		}
	}
	if s == nil {
		s = &settlement{utr: fmt.Sprintf("6333%08d", len(w.settlements)), day: day}
		w.settlements = append(w.settlements, s)
	}
	l := &line{SettlementLine: plural.SettlementLine{
		TransactionID: id, UTRNumber: s.utr, TransactionAmount: plural.Rupees(amount), Program: "CARD",
		ProcessedDate: plural.LocalTime(day.Format("2006-01-02T15:04:05")), SettledAmount: "0",
		TID: strconv.Itoa(len(s.lines)), // no two lines of a settlement are equal
	}}
	if chance(5) {
		l.startNight = w.IntN(nights)
	}
	if chance(3) {
		l.UTRNumber = ""
	}
	status := plural.PayoutStatusSuccess
	for night := range nights {
		switch {
		case chance(10):
			status = "SUCCESS"
		case night == 0 && chance(3):
			status = "Failed"
		case status == "Failed" && chance(50):
			status = plural.PayoutStatusSuccess
		}
		l.statuses[night] = status
	}
	s.lines = append(s.lines, l)
}

func rupees(paise int64) string { return fmt.Sprintf("%d.%02d", paise/100, paise%100) }

// paymentsOn returns the shop's list as it is on the given night.
func (w *world) paymentsOn(night int) iter.Seq2[reconcile.Payment, error] {
	return func(yield func(reconcile.Payment, error) bool) {
		for _, r := range w.rows {
			if r.startNight <= night && night <= r.endNight && !yield(r.Payment, nil) {
				return
			}
		}
	}
}

// The type reader is a [reconcile.Reader]. Its methods return the orders and
// settlements as they are on one night. They also record which data they have
// returned. The field faults is the percentage of reads that fail.
type reader struct {
	*world

	night, faults int

	mu          sync.Mutex
	listed      plural.Days // days that List has returned completely
	listFailed  bool
	whole       map[string]bool // settlements that were returned completely, by UTR
	failedReads map[string]bool // settlements whose read failed, by UTR
	orders      map[*order]bool // orders that were returned
	failed      map[*order]bool
	failedHints bool
	requests    int
}

func newReader(w *world, night, faults int) *reader {
	return &reader{
		world: w, night: night, faults: faults,
		whole: map[string]bool{}, failedReads: map[string]bool{}, orders: map[*order]bool{}, failed: map[*order]bool{},
	}
}

func (r *reader) failedToRead(utr string) bool { return r.failedReads[utr] }

var errFault = errors.New("plural: something:\n 500 a fault")

func (r *reader) fails() bool { return r.IntN(100) < r.faults }

func (r *reader) List(_ context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error] {
	return func(yield func(*plural.Settlement, error) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests++
		end, fails := d.Last, r.fails()
		if fails {
			r.listFailed = true
			if r.IntN(2) == 0 {
				yield(nil, errFault)
				return
			}
			end = d.First.AddDate(0, 0, r.IntN(10)-1)
		}
		r.listed = plural.Days{First: d.First, Last: end}
		for _, s := range r.settlements {
			lines := s.on(r.night)
			isRead := !s.day.After(end) || fails && r.IntN(2) == 0
			if len(lines) == 0 || s.day.Before(d.First) || s.day.After(d.Last) || !isRead {
				continue
			}
			for range 1 + r.IntN(20)/19 {
				if !yield(&plural.Settlement{
					UTRNumber: s.utr, TotalTransactionsCount: len(lines) + s.more, TotalAmount: "12.34",
					SettledDate: plural.LocalTime(s.day.Format("2006-01-02T15:04:05")),
				}, nil) {
					return
				}
			}
		}
		if fails {
			yield(nil, &plural.IncompleteError{Days: plural.Days{First: end.AddDate(0, 0, 1), Last: d.Last}, Err: errFault})
		}
	}
}

func (r *reader) Lines(
	_ context.Context,
	listed *plural.Settlement,
	give func(*plural.SettlementLine) error,
) (*plural.SettlementDetail, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	for _, s := range r.settlements {
		if s.utr != listed.UTRNumber {
			continue
		}
		lines, fails := s.on(r.night), r.fails()
		if fails {
			r.failedReads[s.utr] = true
			lines = lines[:r.IntN(len(lines)+1)]
		}
		if fails && len(lines) == 0 {
			return nil, errFault
		}
		for i := range lines {
			if err := give(&lines[i]); err != nil {
				return nil, err
			}
		}
		head := &plural.SettlementDetail{UTRNumber: s.utr, TotalRefund: "1.50", BankAccNumber: "00011122233344"}
		if fails || s.isOdd() {
			return head, &plural.IncompleteError{UTR: s.utr, Got: len(lines), Want: len(lines) + 1}
		}
		r.whole[s.utr] = true
		return head, nil
	}
	return nil, &plural.Error{Op: "get settlement", StatusCode: 404}
}

func (r *reader) Order(_ context.Context, id, reference string) (*plural.Order, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if (id == "") == (reference == "") {
		return nil, errors.New("want an id or a reference")
	}
	for _, o := range r.world.orders {
		if id == o.id || reference == o.reference {
			if r.fails() {
				r.failed[o] = true
				return nil, errFault
			}
			delete(r.failed, o)
			r.orders[o] = true
			return o.document(), nil
		}
		for _, back := range o.refunds {
			if id != back.order {
				continue
			}
			if r.fails() {
				r.failedHints = true
				return nil, errFault
			}
			return back.document(o), nil
		}
	}
	if r.fails() {
		return nil, errFault
	}
	return nil, fmt.Errorf("plural: get order: %w", plural.ErrNotFound)
}

func (o *order) document() *plural.Order {
	d := &plural.Order{
		OrderID: o.id, MerchantOrderReference: o.reference, Type: plural.OrderTypeCharge, PreAuth: true,
		Status: plural.OrderStatusProcessed, OrderAmount: plural.INR(o.captured()),
	}
	for _, p := range o.paid {
		each := plural.Payment{
			ID: p.id, Status: plural.PaymentStatusProcessed, PaymentMethod: plural.PaymentMethodCard,
			PaymentAmount: plural.INR(p.captured),
		}
		if !o.silent {
			each.CaptureData = []plural.CaptureData{{
				MerchantCaptureReference: "capture-" + o.reference, CaptureAmount: plural.INR(p.captured),
			}}
		}
		d.Payments = append(d.Payments, each)
	}
	for _, back := range o.refunds {
		d.Refunds = append(d.Refunds, *back.document(o))
		d.Status = plural.OrderStatusPartiallyRefunded
		if o.returned() == o.captured() {
			d.Status = plural.OrderStatusFullyRefunded
		}
	}
	return d
}

func (r refunded) document(of *order) *plural.Order {
	d := &plural.Order{
		OrderID: r.order, ParentOrderID: of.id, MerchantOrderReference: r.order + "-ref", Type: plural.OrderTypeRefund,
		Status: plural.OrderStatusProcessed, OrderAmount: plural.INR(r.amount),
		Payments: []plural.Payment{
			{ID: r.payment, Status: plural.PaymentStatusProcessed, PaymentAmount: plural.INR(r.amount)},
		},
	}
	if of.orphans {
		d.ParentOrderID = ""
	}
	return d
}

// ofOrder finds the order that a line belongs to, and whether the line is a
// refund. It searches the payments and refunds of all orders.
func (w *world) ofOrder(id string) (o *order, isRefund bool) {
	for _, o := range w.orders {
		for _, p := range o.paid {
			if p.id == id {
				return o, false
			}
		}
		for _, r := range o.refunds {
			if r.payment == id || strings.TrimSpace(id) == r.order {
				return o, true
			}
		}
	}
	return nil, false
}
