package reconcile_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

const (
	orderA = "v1-261126181200-aa-8Hk2Lm"
	payA   = orderA + "-cc-k"
)

// paymentList returns the given payments as a shop's list. The list ends
// without an error.
func paymentList(payments ...reconcile.Payment) iter.Seq2[reconcile.Payment, error] {
	return func(yield func(reconcile.Payment, error) bool) {
		for _, p := range payments {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func paymentA() reconcile.Payment {
	return reconcile.Payment{
		Reference: "order-1", OrderID: orderA, PaymentID: payA, Captured: plural.INR(10000), Refunded: plural.INR(4000),
	}
}

func lineA(amount plural.Rupees) *plural.SettlementLine {
	return &plural.SettlementLine{
		TransactionID: payA, UTRNumber: "633300000101", TransactionAmount: amount, PayoutStatus: "Success",
	}
}

// The call seen() returns the ten days whose settlements most tests read.
func seen() plural.Days { return plural.Days{First: nightOf(-9), Last: nightOf(0)} }

// orderOf returns a captured order from Plural, with one refund.
func orderOf(captured, returned int64) *plural.Order {
	return (&order{
		id: orderA, reference: "order-1", paid: []paid{{payA, captured}},
		refunds: []refunded{{"v1-261127010000-aa-Rf0Und", "v1-261127010000-aa-Rf0Und-cc-N", returned}},
	}).document()
}

func one(t *testing.T, b *reconcile.Books, d plural.Days) reconcile.Result {
	t.Helper()
	results := slices.Collect(b.Results(d))
	require.Len(t, results, 1)
	return results[0]
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	lost := errors.New("a fault")
	for _, test := range []struct {
		name   string
		give   func(b *reconcile.Books)
		want   reconcile.Outcome
		reason string
		noDays bool
	}{
		{name: "one line", give: func(b *reconcile.Books) { b.Line(lineA("100")) }, want: reconcile.Settled},
		{name: "digits of any form", give: func(b *reconcile.Books) { b.Line(lineA("1e2")) }, want: reconcile.Settled},
		{name: "two lines", want: reconcile.Settled, give: func(b *reconcile.Books) {
			b.Line(lineA("59.995"))
			b.Line(lineA("40.005"))
		}},
		{
			name: "a paisa less", give: func(b *reconcile.Books) { b.Line(lineA("99.99")) }, want: reconcile.Differs,
			reason: "the lines add up to 99.99 rupees, the shop has captured INR 100.00",
		},
		{
			name: "less than a paisa", give: func(b *reconcile.Books) { b.Line(lineA("99.999")) },
			want:   reconcile.Differs,
			reason: "the lines add up to 99.999 rupees",
		},
		{
			name: "refund netted", give: func(b *reconcile.Books) { b.Line(lineA("60")) }, want: reconcile.Differs,
			reason: "it is the captured amount less the refunds, INR 40.00",
		},
		{name: "paid twice", want: reconcile.Differs, reason: "200", give: func(b *reconcile.Books) {
			b.Line(lineA("100"))
			b.Line(lineA("100"))
		}},
		{name: "nothing", give: func(*reconcile.Books) {}, want: reconcile.NotSeen},
		{
			name: "nothing was listed", give: func(*reconcile.Books) {},
			want: reconcile.Unknown, noDays: true, reason: "no settlement was read",
		},
		{
			name: "no number", give: func(b *reconcile.Books) { b.Line(lineA("soon")) },
			want: reconcile.Unknown, reason: "not a number",
		},
		{
			name: "no figure", give: func(b *reconcile.Books) { b.Line(lineA("")) },
			want: reconcile.Unknown, reason: "not a number",
		},
		{name: "another status", want: reconcile.Unknown, reason: `is "Failed"`, give: func(b *reconcile.Books) {
			l := lineA("100")
			l.PayoutStatus = "Failed"
			b.Line(l)
		}},
		{
			name: "its settlement was not read whole", want: reconcile.Unknown, reason: "has a line of this payment",
			give: func(b *reconcile.Books) {
				b.Line(lineA("100"))
				b.Unread("633300000101", "", lost)
			},
		},
		{name: "another settlement was not read whole", want: reconcile.Settled, give: func(b *reconcile.Books) {
			b.Line(lineA("100"))
			b.Unread("633300000102", "", lost)
		}},
		{
			name: "the rest may be in a settlement that was not read", want: reconcile.Unknown, reason: "633300000102",
			give: func(b *reconcile.Books) {
				b.Line(lineA("60"))
				b.Unread("633300000102", "", nil)
			},
		},
		{
			name: "all lines may be in a settlement that was not read", want: reconcile.Unknown, reason: "633300000102",
			give: func(b *reconcile.Books) {
				b.Unread("633300000102", "", lost)
			},
		},
		{
			name: "many settlements were not read", want: reconcile.Unknown, reason: "4 settlements were not read whole",
			give: func(b *reconcile.Books) {
				for _, utr := range []string{"1", "2", "3", "4"} {
					b.Unread(utr, "", lost)
				}
			},
		},
		{
			name: "the rest may be on a day that was not listed", want: reconcile.Unknown, reason: "a fault",
			give: func(b *reconcile.Books) {
				b.Line(lineA("60"))
				b.Unread("", "", lost)
			},
		},
		{name: "no line, and some days were not listed", want: reconcile.NotSeen, give: func(b *reconcile.Books) {
			b.Unread("", "", lost)
		}},
		{name: "the order agrees", want: reconcile.Settled, give: func(b *reconcile.Books) {
			_ = b.Order(orderOf(10000, 4000))
			b.Line(lineA("100"))
		}},
		{
			name: "the order has another captured amount", want: reconcile.Differs,
			reason: "INR 90.00 was captured, the shop has INR 100.00",
			give: func(b *reconcile.Books) {
				_ = b.Order(orderOf(9000, 4000))
				b.Line(lineA("100"))
			},
		},
		{
			name: "the order has another refunded amount", want: reconcile.Differs, reason: "INR 30.00 was refunded",
			give: func(b *reconcile.Books) {
				_ = b.Order(orderOf(10000, 3000))
				b.Unread("633300000102", "", lost)
			},
		},
		{
			name: "the order has another reference", want: reconcile.Differs, reason: `"order-2"`,
			give: func(b *reconcile.Books) {
				o := orderOf(10000, 4000)
				o.MerchantOrderReference = "order-2"
				_ = b.Order(o)
			},
		},
		{
			name: "the order does not list the payment", want: reconcile.Unknown, reason: "does not list payment " + payA,
			give: func(b *reconcile.Books) {
				o := orderOf(10000, 4000)
				o.Payments[0].ID = "v1-other"
				_ = b.Order(o)
				b.Line(lineA("100"))
			},
		},
		{
			name: "the order does not show the amount", want: reconcile.Unknown, reason: "does not say how much was captured",
			give: func(b *reconcile.Books) {
				o := orderOf(10000, 4000)
				o.Status = plural.OrderStatusPending
				_ = b.Order(o)
			},
		},
		{name: "the lines show the amount, but the order does not", want: reconcile.Settled, give: func(b *reconcile.Books) {
			o := orderOf(10000, 4000)
			o.Status = plural.OrderStatusPending
			_ = b.Order(o)
			b.Line(lineA("100"))
		}},
		{
			name: "the order was not read", want: reconcile.Unknown, reason: "the order could not be read: a fault",
			give: func(b *reconcile.Books) {
				b.Line(lineA("100"))
				b.Unread("", orderA, lost)
			},
		},
		{name: "the order was read after all", want: reconcile.Settled, give: func(b *reconcile.Books) {
			b.Unread("", orderA, lost)
			_ = b.Order(orderOf(10000, 4000))
			b.Line(lineA("100"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, err := reconcile.New(paymentList(paymentA()))
			require.NoError(t, err)
			test.give(b)
			d := seen()
			if test.noDays {
				d = plural.Days{}
			}
			got := one(t, b, d)
			require.Equal(t, test.want, got.Outcome, "%q", got.Reasons)
			require.Contains(t, strings.Join(got.Reasons, "\n"), test.reason)
			require.Equal(t, test.want == reconcile.Differs || test.want == reconcile.Unknown, got.Reasons != nil)
			require.Equal(t, d, got.Seen)
		})
	}
}

func TestJoinIsExact(t *testing.T) {
	t.Parallel()
	b, err := reconcile.New(paymentList(paymentA()))
	require.NoError(t, err)
	for _, id := range []string{"", orderA, orderA + "-cc-l", payA + "x", payA[:len(payA)-1], strings.ToLower(payA)} {
		l := lineA("100")
		l.TransactionID = id
		require.False(t, b.Line(l), "%q", id)
	}
	refund := lineA("-40")
	refund.TransactionID = "v1-261127010000-aa-Rf0Und-cc-N"
	require.False(t, b.Line(refund), "the refund's id is not known before the order is read")
	require.NoError(t, b.Order(orderOf(10000, 4000)))
	require.True(t, b.Line(refund))
	l := lineA("100")
	require.True(t, b.Line(l))
	l.TransactionAmount = "1" // this changes nothing in the books, because they keep a copy of the line
	got := one(t, b, seen())
	require.Equal(t, reconcile.Settled, got.Outcome)
	require.Equal(t, plural.Rupees("100"), got.Settled())
	require.Equal(t, payA, got.Lines[0].TransactionID)
	require.Equal(t, refund.TransactionID, got.Lines[1].TransactionID)
	require.Equal(t, []string{"633300000101"}, got.UTRs())
}

// A payment without an id stands for all payments of its order. The order is
// read by its reference if the shop has no order id.
func TestOrdersGiveIDs(t *testing.T) {
	t.Parallel()
	for _, orderID := range []string{"", orderA} {
		p := paymentA()
		p.OrderID, p.PaymentID, p.Refunded = orderID, "", plural.Amount{}
		b, err := reconcile.New(paymentList(p))
		require.NoError(t, err)
		require.False(t, b.Line(lineA("100")))
		require.Equal(t, reconcile.Unknown, one(t, b, seen()).Outcome)
		points := orderA + "-pt-x"
		o := (&order{id: orderA, reference: "order-1", paid: []paid{{payA, 6000}, {points, 4000}}}).document()
		require.NoError(t, b.Order(o))
		require.Equal(t, reconcile.NotSeen, one(t, b, seen()).Outcome)
		require.True(t, b.Line(lineA("60")))
		require.Equal(t, reconcile.Differs, one(t, b, seen()).Outcome)
		l := lineA("40")
		l.TransactionID = points
		require.True(t, b.Line(l))
		require.Equal(t, reconcile.Settled, one(t, b, seen()).Outcome)
	}
}

// An order with two payments is compared with the sum of the two payments.
func TestTwoPaymentsOfAnOrder(t *testing.T) {
	t.Parallel()
	card, points := paymentA(), paymentA()
	points.PaymentID, points.Captured, points.Refunded = orderA+"-pt-x", plural.INR(500), plural.INR(0)
	b, err := reconcile.New(paymentList(card, points))
	require.NoError(t, err)
	o := &order{
		id: orderA, reference: "order-1", paid: []paid{{payA, 10000}, {points.PaymentID, 500}},
		refunds: []refunded{{"v1-r", "v1-r-pt-N", 4000}},
	}
	document := o.document()
	document.Refunds[0].Payments[0].ParentPaymentID = points.PaymentID
	require.NoError(t, b.Order(document))
	back := lineA("-40")
	back.TransactionID = "v1-r-pt-N"
	require.True(t, b.Line(lineA("100")))
	require.True(t, b.Line(back))
	results := slices.Collect(b.Results(seen()))
	require.Equal(t, reconcile.Settled, results[0].Outcome)
	require.Equal(t, reconcile.NotSeen, results[1].Outcome, "%q", results[1].Reasons)
	require.Len(t, results[0].Lines, 1)
	require.Len(t, results[1].Lines, 1, "the refund belongs to the points payment")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	change := func(with func(p *reconcile.Payment)) reconcile.Payment {
		p := paymentA()
		with(&p)
		return p
	}
	for want, payments := range map[string][]reconcile.Payment{
		"payment 1 of the list: it has neither":   {{Captured: plural.INR(1)}},
		`payment 1 of the list: captured is in "`: {{Reference: "x"}},
		`captured is in "USD"`:                    {change(func(p *reconcile.Payment) { p.Captured.Currency = "USD" })},
		`refunded is in "USD"`:                    {change(func(p *reconcile.Payment) { p.Refunded.Currency = "USD" })},
		"below zero":                              {change(func(p *reconcile.Payment) { p.Captured.Value = -1 })},
		"payment 2 of the list: payment " + payA:  {paymentA(), paymentA()},
		"one of the two has no payment id":        {paymentA(), change(func(p *reconcile.Payment) { p.PaymentID = "" })},
		"order " + orderA + " is on the list":     {change(func(p *reconcile.Payment) { p.PaymentID = "" }), paymentA()},
		"order order-1 is on the list": {
			change(func(p *reconcile.Payment) { p.PaymentID, p.OrderID = "", "" }),
			change(func(p *reconcile.Payment) { p.PaymentID, p.OrderID = "", "" }),
		},
	} {
		_, err := reconcile.New(paymentList(payments...))
		require.ErrorContains(t, err, want)
	}
	broken := errors.New("line 7")
	_, err := reconcile.New(func(yield func(reconcile.Payment, error) bool) { yield(reconcile.Payment{}, broken) })
	require.ErrorIs(t, err, broken)
}

func TestOrderRefuses(t *testing.T) {
	t.Parallel()
	other := paymentA()
	other.OrderID, other.PaymentID, other.Reference, other.Refunded = "v1-b", "", "order-2", plural.INR(0)
	b, err := reconcile.New(paymentList(paymentA(), other))
	require.NoError(t, err)
	require.Error(t, b.Order(nil))
	require.ErrorContains(t, b.Order(&plural.Order{OrderID: "v1-x"}), "not on the list")
	require.ErrorContains(t, b.Order(&plural.Order{OrderID: "v1-r", Type: plural.OrderTypeRefund}), "no order on the list")
	stranger := (&order{id: "v1-b", reference: "order-2", paid: []paid{{payA, 10000}}}).document()
	require.ErrorContains(t, b.Order(stranger), "belongs to two payments")
	results := slices.Collect(b.Results(seen()))
	require.Equal(t, reconcile.Unknown, results[1].Outcome)
	b.Unread("", "v1-nobody", errors.New("it touches nothing"))
}

// If the amount of a line is not a number, the line never settles a payment.
func TestTextsThatAreNoFigures(t *testing.T) {
	t.Parallel()
	for _, text := range []plural.Rupees{"1..5", "1..", "..15", "1.5.", "15.", ".15", "1.5e", " 0.15", "0,15", "NaN"} {
		p := paymentA()
		p.Captured.Value, p.Refunded.Value = 15, 0
		b, err := reconcile.New(paymentList(p))
		require.NoError(t, err)
		b.Line(lineA(text))
		require.Equal(t, reconcile.Unknown, one(t, b, seen()).Outcome, text)
	}
}

// If Plural's order does not show the id of a payment, no line can be matched
// with the payment. So it is not known whether the payment has a line.
func TestPaymentOfAnOrderWithoutID(t *testing.T) {
	t.Parallel()
	p := paymentA()
	p.PaymentID, p.Refunded = "", plural.Amount{}
	for name, test := range map[string]struct {
		hide, line string
		want       reconcile.Outcome
	}{
		"no line of it":          {payA, "", reconcile.Unknown},
		"a line that has its id": {payA, payA, reconcile.Unknown},
		"all ids are shown":      {"", "", reconcile.NotSeen},
	} {
		b, err := reconcile.New(paymentList(p))
		require.NoError(t, err)
		o := (&order{id: orderA, reference: "order-1", paid: []paid{{payA, 10000}}}).document()
		if test.hide != "" {
			o.Payments[0].ID = ""
		}
		require.NoError(t, b.Order(o))
		if test.line != "" {
			require.False(t, b.Line(lineA("100")))
		}
		got := one(t, b, seen())
		require.Equal(t, test.want, got.Outcome, "%s: %q", name, got.Reasons)
	}
}

// The shop may name one order by its id in one payment, and by its reference in
// another. Books compares the order with the sum of the two payments, and never
// with one payment alone.
func TestOrderNamedInTwoWays(t *testing.T) {
	t.Parallel()
	card, points := paymentA(), paymentA()
	points.PaymentID, points.Captured, points.Refunded = orderA+"-pt-x", plural.INR(500), plural.INR(0)
	card.Refunded = plural.INR(0)
	o := (&order{id: orderA, reference: "order-1", paid: []paid{{payA, 10000}, {points.PaymentID, 500}}}).document()
	for name, change := range map[string]func(){
		"the card payment names the reference":   func() { card.OrderID, points.OrderID = "", orderA },
		"the points payment names the reference": func() { card.OrderID, points.OrderID = orderA, "" },
	} {
		change()
		b, err := reconcile.New(paymentList(card, points))
		require.NoError(t, err)
		require.NoError(t, b.Order(o))
		require.True(t, b.Line(lineA("100")))
		results := slices.Collect(b.Results(seen()))
		require.NotEqual(t, reconcile.Differs, results[0].Outcome, "%s: %q", name, results[0].Reasons)
		require.NotEqual(t, reconcile.Differs, results[1].Outcome, "%s: %q", name, results[1].Reasons)
	}
}
