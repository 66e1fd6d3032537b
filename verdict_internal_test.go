package plural

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests use one order's id and two references.
const (
	ours   = "capture-1"
	theirs = "capture-2"
	parent = "v1-parent"
)

func TestJudgeCaptureAgreesWithTheContract(t *testing.T) {
	t.Parallel()
	amounts := []Amount{{}, INR(1000), INR(700), INR(600), INR(900), {Value: 700, Currency: "USD"}}
	rulings := map[ruling]int{}
	judged := 0
	forEachCapturable(func(o *Order) {
		for _, amount := range amounts {
			got := judgeCapture(o, ours, amount)
			judged++
			rulings[rulingOf(got)]++
			if want := oracleCapture(o, ours, amount); rulingOf(got) != want {
				t.Fatalf("capture of %v: %v (%s), want %v\n%s", amount, rulingOf(got), got.reason, want, describe(o))
			}
			checkCaptureInvariants(t, o, amount, got)
		}
	})
	for _, v := range []verdictKind{verdictUnclear, verdictNotYet, verdictOpen, verdictApplied} {
		require.Positive(t, rulings[ruling{verdict: v}], "no document gave the verdict %v", v)
	}
	for _, row := range allEvidence {
		if row.of == "capture" {
			require.Positive(t, rulings[ruling{verdictFinal, row}], "no document gave the row %q", row.shows)
		}
	}
	t.Logf("%d documents judged: %v", judged, rulings)
}

// checkCaptureInvariants checks the verdict about a capture by rules that apply
// to every document.
func checkCaptureInvariants(t *testing.T, o *Order, amount Amount, f finding) {
	t.Helper()
	present, sum := false, int64(0)
	for _, p := range o.Payments {
		for _, c := range p.CaptureData {
			if c.MerchantCaptureReference == ours {
				present, sum = true, sum+c.CaptureAmount.Value
			}
		}
	}
	fail := func(rule string) {
		t.Helper()
		t.Fatalf("%s: capture of %v is %v (%s)\n%s", rule, amount, f.verdict, f.reason, describe(o))
	}
	switch {
	case (f.verdict == verdictApplied || f.row == rowCaptureDiffers || f.row == rowCapturesDiffer) && !present:
		fail("the order does not have our reference")
	case (f.verdict == verdictFinal && !f.row.isConflict() || f.verdict == verdictOpen) && present &&
		o.Status != OrderStatusAuthorized:
		fail("the order has our reference")
	case (f.verdict == verdictFinal) != (f.row != nil):
		fail("a verdict must have a row if, and only if, it is final")
	case f.verdict == verdictApplied && amount.Value != 0 && sum != amount.Value:
		fail("another amount is captured")
	case f.verdict == verdictApplied && (o.Status == OrderStatusCancelled || o.Status == OrderStatusFailed ||
		o.Status == OrderStatusPending || !o.Status.IsKnown()):
		fail("the status rules out a capture")
	case f.verdict != verdictApplied && f.reason == "":
		fail("the verdict has no reason")
	case f.pending && f.verdict != verdictUnclear:
		fail("only an unclear verdict can be pending")
	case f.verdict == verdictApplied && contradictsCapturedAmount(o, amount):
		fail("CapturedAmount disagrees")
	case f.pending && !isUnderWay(o):
		fail("nothing is under way")
	}
}

// The verdict depends only on the status, the payments and the order's amount.
// pre_auth and the order's type do not matter.
func TestJudgeCaptureIgnoresTheRest(t *testing.T) {
	t.Parallel()
	forEachCapturable(func(o *Order) {
		if len(o.Payments) > 1 {
			return
		}
		for _, amount := range []Amount{{}, INR(700), INR(600)} {
			want := judgeCapture(o, ours, amount)
			other := *o
			other.PreAuth, other.Type, other.MerchantOrderReference = !o.PreAuth, OrderTypeCharge, ours
			other.Refunds = []Order{{MerchantOrderReference: ours}}
			require.Equal(t, want, judgeCapture(&other, ours, amount))
		}
	})
}

func TestJudgeCaptureNamedCases(t *testing.T) {
	t.Parallel()
	entry := func(reference string, a Amount) []CaptureData {
		return []CaptureData{{MerchantCaptureReference: reference, CaptureAmount: a}}
	}
	paid := func(status PaymentStatus, held Amount, data []CaptureData) Payment {
		return Payment{Status: status, PaymentAmount: held, CaptureData: data}
	}
	usd := func(cents int64) Amount { return Amount{Value: cents, Currency: "USD"} }
	tests := map[string]struct {
		order   Order
		amount  Amount // zero: the full amount
		want    verdictKind
		row     *evidence
		pending bool
	}{
		"published full capture": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(1100),
				Payments:    []Payment{paid("PROCESSED", INR(1100), entry(ours, INR(1100)))},
			},
			want: verdictApplied,
		},
		"published partial capture": {
			order: Order{
				Status:      "PARTIALLY_CAPTURED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			amount: INR(1200),
			want:   verdictApplied,
		},
		"partial capture in an order with status PROCESSED": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			amount: INR(1200),
			want:   verdictApplied,
		},
		"full capture requested, captured in part, the order is PROCESSED": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			want: verdictFinal, row: rowCaptureDiffers,
		},
		"full capture requested, captured in part, then refunded": {
			order: Order{
				Status:      "FULLY_REFUNDED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			want: verdictFinal, row: rowCaptureDiffers,
		},
		"another amount": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(2000)))},
			},
			amount: INR(1200),
			want:   verdictFinal,
			row:    rowCaptureDiffers,
		},
		"points and card in full": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("PROCESSED", INR(100), entry(ours, INR(100))),
			}},
			want: verdictApplied,
		},
		"points and card in full, by amount": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("PROCESSED", INR(100), entry(ours, INR(100))),
			}},
			amount: INR(200), want: verdictApplied,
		},
		"points and card, the order's amount is only that of the card": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(100), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("PROCESSED", INR(60), entry(ours, INR(60))),
			}},
			want: verdictApplied,
		},
		"points captured, card not yet": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("AUTHORIZED", INR(100), nil),
			}},
			want: verdictUnclear, pending: true,
		},
		"points captured, card released, the order is PARTIALLY_CAPTURED": {
			order: Order{Status: "PARTIALLY_CAPTURED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("CANCELLED", INR(100), nil),
			}},
			want: verdictFinal, row: rowCaptureDiffers,
		},
		"points captured, card released, then refunded": {
			order: Order{Status: "PARTIALLY_REFUNDED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("CANCELLED", INR(100), nil),
			}},
			want: verdictUnclear,
		},
		"in full, after a payment that the payer gave up": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(100), Payments: []Payment{
				paid("CANCELLED", INR(100), nil), paid("PROCESSED", INR(100), entry(ours, INR(100))),
			}},
			want: verdictApplied,
		},
		"captured whole in an order that says PARTIALLY_CAPTURED": {
			order: Order{
				Status:      "PARTIALLY_CAPTURED",
				OrderAmount: INR(100),
				Payments:    []Payment{paid("PROCESSED", INR(100), entry(ours, INR(100)))},
			},
			want: verdictUnclear,
		},
		"foreign card, captured in its own currency": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				{Status: "PROCESSED", PaymentAmount: usd(12), BaseAmount: INR(1000), CaptureData: entry(ours, usd(12))},
			}},
			want: verdictApplied,
		},
		"foreign card, captured in rupees": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				{Status: "PROCESSED", PaymentAmount: usd(12), BaseAmount: INR(1000), CaptureData: entry(ours, INR(1000))},
			}},
			want: verdictApplied,
		},
		"foreign card, captured in rupees in part": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				{Status: "PROCESSED", PaymentAmount: usd(12), BaseAmount: INR(1000), CaptureData: entry(ours, INR(400))},
			}},
			want: verdictFinal, row: rowCaptureDiffers,
		},
		"foreign card, amount requested in rupees": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				{Status: "PROCESSED", PaymentAmount: usd(12), BaseAmount: INR(1000), CaptureData: entry(ours, usd(12))},
			}},
			amount: INR(1000), want: verdictUnclear,
		},
		"points in rupees and a foreign card": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("PROCESSED", usd(12), entry(ours, usd(12))),
			}},
			want: verdictUnclear,
		},
		"amounts beyond an int64": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				paid("PROCESSED", INR(1000), entry(ours, INR(math.MaxInt64))),
				paid("PROCESSED", INR(1000), entry(ours, INR(math.MaxInt64))),
			}},
			want: verdictUnclear,
		},
		"hold": {
			order: Order{Status: "AUTHORIZED", Payments: []Payment{paid("AUTHORIZED", INR(100), nil)}},
			want:  verdictOpen,
		},
		"hold after a failed attempt": {
			order: Order{
				Status:   "AUTHORIZED",
				Payments: []Payment{paid("FAILED", INR(100), nil), paid("AUTHORIZED", INR(100), nil)},
			},
			want: verdictOpen,
		},
		"hold without payments": {order: Order{Status: "AUTHORIZED"}, want: verdictOpen},
		"paid without capture data": {
			order: Order{Status: "PROCESSED", Payments: []Payment{paid("PROCESSED", INR(100), nil)}},
			want:  verdictFinal,
			row:   rowNoHold,
		},
		"captured under another reference": {
			order: Order{Status: "PROCESSED", Payments: []Payment{paid("PROCESSED", INR(100), entry(theirs, INR(100)))}},
			want:  verdictFinal,
			row:   rowCaptureByOther,
		},
		"another reference's capture failed": {
			order: Order{
				Status:   "AUTHORIZED",
				Payments: []Payment{paid("FAILED", INR(100), entry(theirs, INR(100))), paid("AUTHORIZED", INR(100), nil)},
			},
			want: verdictOpen,
		},
		"another reference's capture under way": {
			order:   Order{Status: "AUTHORIZED", Payments: []Payment{paid("PENDING", INR(100), entry(theirs, INR(100)))}},
			want:    verdictUnclear,
			pending: true,
		},
		"our capture under way": {
			order:   Order{Status: "PROCESSED", Payments: []Payment{paid("PENDING", INR(100), entry(ours, INR(100)))}},
			want:    verdictUnclear,
			pending: true,
		},
		"our capture failed": {
			order: Order{Status: "PROCESSED", Payments: []Payment{paid("FAILED", INR(100), entry(ours, INR(100)))}},
			want:  verdictUnclear,
		},
		"order under way": {
			order:   Order{Status: "PENDING", Payments: []Payment{paid("PENDING", INR(100), entry(ours, INR(100)))}},
			want:    verdictUnclear,
			pending: true,
		},
		"cancelled": {
			order: Order{Status: "CANCELLED", Payments: []Payment{paid("PROCESSED", INR(100), nil)}},
			want:  verdictFinal,
			row:   rowCaptureOfEnded,
		},
		"cancelled, with our capture": {
			order: Order{Status: "CANCELLED", Payments: []Payment{paid("PROCESSED", INR(100), entry(ours, INR(100)))}},
			want:  verdictUnclear,
		},
		"failed": {
			order: Order{Status: "FAILED", Payments: []Payment{paid("FAILED", INR(100), nil)}},
			want:  verdictFinal,
			row:   rowCaptureOfEnded,
		},
		"failed, with our capture": {
			order: Order{Status: "FAILED", Payments: []Payment{paid("PROCESSED", INR(100), entry(ours, INR(100)))}},
			want:  verdictUnclear,
		},
		"failed, with another reference's capture": {
			order: Order{Status: "FAILED", Payments: []Payment{paid("FAILED", INR(100), entry(theirs, INR(100)))}},
			want:  verdictUnclear,
		},
		"not paid": {order: Order{Status: "CREATED"}, want: verdictNotYet},
		"not paid, after an attempt": {
			order: Order{Status: "ATTEMPTED", Payments: []Payment{paid("FAILED", INR(100), nil)}},
			want:  verdictNotYet,
		},
		"unknown status": {
			order: Order{Status: "CAPTURED", Payments: []Payment{paid("PROCESSED", INR(100), entry(ours, INR(100)))}},
			want:  verdictUnclear,
		},
		"points captured, card PENDING": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("PENDING", INR(1700), nil),
			}},
			want: verdictUnclear, pending: true,
		},
		"points captured, card FAILED": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("FAILED", INR(1700), nil),
			}},
			want: verdictUnclear,
		},
		"points captured, card PROCESSED without an entry": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("PROCESSED", INR(1700), nil),
			}},
			want: verdictUnclear,
		},
		"points captured, card in an unknown status": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("ON_HOLD", INR(1700), nil),
			}},
			want: verdictUnclear,
		},
		"a part from two payments, half captured, card AUTHORIZED": {
			order: Order{Status: "PARTIALLY_CAPTURED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("AUTHORIZED", INR(1700), nil),
			}},
			amount: INR(1000), want: verdictUnclear, pending: true,
		},
		"a part from two payments, half captured, card PENDING": {
			order: Order{Status: "PARTIALLY_CAPTURED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("PENDING", INR(1700), entry(ours, INR(700))),
			}},
			amount: INR(1000), want: verdictUnclear, pending: true,
		},
		"our partial capture, order and payment both AUTHORIZED": {
			order: Order{Status: "AUTHORIZED", OrderAmount: INR(2000), Payments: []Payment{
				paid("AUTHORIZED", INR(2000), entry(ours, INR(1000))),
			}},
			amount: INR(1000), want: verdictUnclear, pending: true,
		},
		"our full capture, order and payment both AUTHORIZED": {
			order: Order{Status: "AUTHORIZED", OrderAmount: INR(2000), Payments: []Payment{
				paid("AUTHORIZED", INR(2000), entry(ours, INR(2000))),
			}},
			want: verdictUnclear, pending: true,
		},
		"our entry on a CANCELLED payment": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("CANCELLED", INR(1700), entry(ours, INR(700))),
			}},
			amount: INR(1000), want: verdictUnclear,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := judgeCapture(&test.order, ours, test.amount)
			require.Equal(t, ruling{test.want, test.row}, rulingOf(f), f.reason)
			require.Equal(t, test.pending, f.pending)
		})
	}
}

func TestJudgeCancel(t *testing.T) {
	t.Parallel()
	want := map[OrderStatus]ruling{
		"CANCELLED":  {verdict: verdictApplied},
		"AUTHORIZED": {verdict: verdictOpen},
		"CREATED":    {verdict: verdictNotYet},
		"ATTEMPTED":  {verdict: verdictNotYet},
		"FAILED":     {verdictFinal, rowCancelOfFailed},
	}
	forEachCapturable(func(o *Order) {
		if len(o.Payments) > 1 {
			return
		}
		f := judgeCancel(o)
		expected := want[o.Status] // any other status is unclear
		for _, p := range o.Payments {
			hasEnded := p.Status == PaymentStatusFailed || p.Status == PaymentStatusCancelled
			isHeld := p.Status == PaymentStatusAuthorized && len(p.CaptureData) == 0
			isUntouched := hasEnded || isHeld && o.Status == OrderStatusAuthorized
			switch o.Status {
			case OrderStatusCancelled:
			case OrderStatusFailed:
				if len(p.CaptureData) > 0 {
					expected = ruling{verdict: verdictUnclear}
				}
			default:
				if !isUntouched {
					expected = ruling{verdict: verdictUnclear}
				}
			}
			taken, isKnown := o.CapturedAmount()
			if p.Status == PaymentStatusProcessed && isKnown && taken == o.OrderAmount && taken.Value > 0 {
				expected = ruling{verdictFinal, rowCancelOfTaken}
			}
		}
		require.Equal(t, expected, rulingOf(f), "%s", describe(o))
		require.True(t, !f.pending || isUnderWay(o))
		require.Equal(t, f.verdict == verdictApplied, f.reason == "")
	})
}

func TestJudgeRefund(t *testing.T) {
	t.Parallel()
	rulings := map[ruling]int{}
	for _, r := range refundDocuments() {
		f := judgeRefund(&r, parent, "refund-1", INR(500))
		rulings[rulingOf(f)]++
		require.Equal(t, oracleRefund(r), rulingOf(f), "%+v: %s", r, f.reason)
		require.Equal(t, f.verdict == verdictApplied, f.reason == "")
		require.False(t, f.pending, "a PENDING refund counts as accepted")
	}
	require.Len(t, rulings, 5)
}

// The books do not show the refund that was asked for. Then the parent order
// shows only whether the order was paid, and whether the order has enough money
// left for the refund.
func TestJudgeAbsence(t *testing.T) {
	t.Parallel()
	refund := func(status OrderStatus, paise int64) []Order {
		return []Order{{
			OrderID: "v1-a", MerchantOrderReference: "refund-of-v1-a", Status: status, OrderAmount: INR(paise),
		}}
	}
	nameless := func(status OrderStatus, paise int64) []Order {
		listed := refund(status, paise)
		listed[0].MerchantOrderReference = ""
		return listed
	}
	paidBy := func(p Payment) []Payment {
		p.PaymentAmount = INR(2000)
		return []Payment{p}
	}
	paid := paidBy(Payment{
		Status:      PaymentStatusProcessed,
		CaptureData: []CaptureData{{MerchantCaptureReference: "capture-1", CaptureAmount: INR(2000)}},
	})
	const partly, fully = OrderStatusPartiallyRefunded, OrderStatusFullyRefunded
	stillOpen, isUnclear := ruling{verdict: verdictOpen}, ruling{verdict: verdictUnclear}
	notNow := ruling{verdict: verdictNotYet}
	tooMuch, ofNothing := ruling{verdictFinal, rowRefundTooMuch}, ruling{verdictFinal, rowRefundOfNothing}
	tests := map[string]struct {
		status   OrderStatus
		payments []Payment
		refunds  []Order
		asked    int64
		want     ruling
	}{
		"paid":                      {"PROCESSED", paid, nil, 2000, stillOpen},
		"more than was captured":    {"PROCESSED", paid, nil, 2001, tooMuch},
		"less is left than asked":   {partly, paid, refund("PROCESSED", 1500), 501, tooMuch},
		"as much is left as asked":  {partly, paid, refund("PROCESSED", 1500), 500, stillOpen},
		"a PENDING refund may fail": {partly, paid, refund("PENDING", 1500), 501, stillOpen},
		"listed twice, counted once": {
			partly, paid, append(refund("PROCESSED", 1000), refund("PROCESSED", 1000)...), 1000, stillOpen,
		},
		"the list leaves refunds out":    {partly, paid, nil, 100, isUnclear},
		"all refunded":                   {fully, paid, refund("PROCESSED", 2000), 100, tooMuch},
		"all refunded, a part is listed": {fully, paid, refund("PROCESSED", 500), 2000, isUnclear},
		"all refunded, list absent":      {fully, paid, nil, 2000, isUnclear},
		"an unknown refund status":       {partly, paid, refund("REVERSED", 2000), 100, isUnclear},
		"one without a reference":        {partly, paid, nameless("PROCESSED", 1500), 501, isUnclear},
		"without a reference, PENDING":   {partly, paid, nameless("PENDING", 500), 500, isUnclear},
		"without a reference, FAILED":    {"PROCESSED", paid, nameless("FAILED", 500), 500, stillOpen},
		"captures are absent": {
			"PROCESSED", paidBy(Payment{Status: "PROCESSED", PaymentMethod: "CARD"}), nil, 9000, stillOpen,
		},
		"not paid":                {"CREATED", nil, nil, 100, notNow},
		"on hold":                 {"AUTHORIZED", paidBy(Payment{Status: "AUTHORIZED"}), nil, 100, notNow},
		"cancelled":               {"CANCELLED", paidBy(Payment{Status: "CANCELLED"}), nil, 100, ofNothing},
		"cancelled, and paid":     {"CANCELLED", paid, nil, 100, isUnclear},
		"failed":                  {"FAILED", paidBy(Payment{Status: "FAILED"}), nil, 100, ofNothing},
		"under way":               {"PENDING", nil, nil, 100, isUnclear},
		"an unknown order status": {"ON_HOLD", paid, nil, 100, isUnclear},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &Order{
				OrderID: parent, Status: test.status, OrderAmount: INR(2000),
				Payments: test.payments, Refunds: test.refunds,
			}
			f := judgeAbsence(o, INR(test.asked))
			require.Equal(t, test.want, rulingOf(f), f.reason)
			if f.row == rowRefundTooMuch {
				left, isKnown := o.RefundableAmount()
				require.True(t, isKnown)
				require.Less(t, left.Value, test.asked, "the amounts agree")
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	refund := func(id, reference string, status OrderStatus) Order {
		return Order{OrderID: id, MerchantOrderReference: reference, Status: status, OrderAmount: INR(500)}
	}
	find := func(refunds ...Order) *Order {
		listed := refundsIn(&Order{OrderID: parent, Type: OrderTypeCharge, Refunds: refunds}, "refund-1")
		r, _ := chooseEntry(listed, func(r *Order) finding { return judgeRefund(r, parent, "refund-1", INR(500)) })
		return r
	}
	require.Nil(t, find())
	require.Nil(t, find(refund("v1-r", "refund-2", "PROCESSED"), refund("v1-s", "", "PROCESSED")))

	found := find(refund("v1-q", "refund-2", "PROCESSED"), refund("v1-r", "refund-1", "PENDING"))
	require.Equal(t, "v1-r", found.OrderID)
	require.Equal(t, OrderTypeRefund, found.Type, "set, because the order lists the refund")
	require.Equal(t, parent, found.ParentOrderID, "set, because the order lists the refund")

	said := refund("v1-r", "refund-1", "PENDING")
	said.Type, said.ParentOrderID = OrderTypeCharge, "v1-other"
	kept := find(said)
	require.Equal(t, OrderTypeCharge, kept.Type, "the type that the refund's document has is kept")
	require.Equal(t, "v1-other", kept.ParentOrderID, "the order id that the refund's document has is kept")

	for _, order := range [][]OrderStatus{
		{"FAILED", "PROCESSED"},
		{"PROCESSED", "FAILED"},
		{"FAILED", "PROCESSED", "PENDING"},
	} {
		var refunds []Order
		for i, status := range order {
			refunds = append(refunds, refund(fmt.Sprint("v1-", i), "refund-1", status))
		}
		require.Equal(t, OrderStatusProcessed, find(refunds...).Status, "a failed refund comes after the others")
	}
	require.Equal(t, OrderStatusFailed, find(refund("v1-r", "refund-1", "FAILED")).Status)

	given := &Order{OrderID: parent, Refunds: []Order{refund("v1-r", "refund-1", "PENDING")}}
	refundsIn(given, "refund-1")
	require.Empty(t, given.Refunds[0].ParentOrderID, "refundsIn must not change its argument")
}

func TestJudgeOrder(t *testing.T) {
	t.Parallel()
	for _, typ := range []OrderType{OrderTypeCharge, OrderTypeRefund, "OTHER", ""} {
		for _, reference := range []string{"order-1", "order-2", ""} {
			for _, amount := range []Amount{INR(1000), INR(999), {1000, "USD"}, {}} {
				for _, held := range []bool{true, false} {
					for _, status := range allOrderStatuses() {
						testJudgeOrder(t, &Order{
							Type: typ, MerchantOrderReference: reference, OrderAmount: amount,
							PreAuth: held, Status: status,
						})
					}
				}
			}
		}
	}
}

func testJudgeOrder(t *testing.T, o *Order) {
	t.Helper()
	for _, wanted := range []bool{true, false} {
		req := &CreateOrderRequest{MerchantOrderReference: "order-1", OrderAmount: INR(1000), PreAuth: wanted}
		f := judgeOrder(o, req)
		want := ruling{verdictFinal, rowOrderDiffers}
		isUnpaid := o.Status == "CREATED" || o.Status == "ATTEMPTED" || o.Status == "PENDING"
		switch {
		case o.Type == "REFUND":
		case o.Type == "OTHER", o.MerchantOrderReference != "order-1", o.OrderAmount == Amount{}:
			want = ruling{verdict: verdictUnclear}
		case o.OrderAmount == INR(1000) && (o.PreAuth == wanted || !isUnpaid):
			want = ruling{verdict: verdictApplied}
		}
		require.Equal(t, want, rulingOf(f), "%+v", o)
		require.Equal(t, f.verdict == verdictApplied, f.reason == "")
	}
}

// If a document has no pre_auth field, the order may still be a hold.
func TestAbsentPreAuthIsNotNo(t *testing.T) {
	t.Parallel()
	req := &CreateOrderRequest{MerchantOrderReference: "order-1", OrderAmount: INR(1000), PreAuth: true}
	for field, want := range map[string]ruling{
		``:                   {verdict: verdictApplied},
		`,"pre_auth":null`:   {verdict: verdictApplied},
		`,"preAuth":"false"`: {verdictFinal, rowOrderDiffers},
		`,"pre_auth":"true"`: {verdict: verdictApplied},
		`,"pre_auth":false`:  {verdictFinal, rowOrderDiffers},
	} {
		o, err := parseOrder(`{"merchant_order_reference":"order-1","status":"CREATED",` +
			`"order_amount":{"value":1000,"currency":"INR"}` + field + `}`)
		require.NoError(t, err)
		require.Equal(t, want, rulingOf(judgeOrder(o, req)), field)
	}
}

// String names a verdict in the messages of these tests.
func (v verdictKind) String() string {
	switch v {
	case verdictNotYet:
		return "not yet"
	case verdictOpen:
		return "open"
	case verdictApplied:
		return "applied"
	case verdictFinal:
		return "final"
	case verdictUnclear:
	}
	return "unclear"
}

// docs/finals.md has a line for each row of evidence.go. "go test -run Finals .
// -update" writes these lines.
func TestFinalsAreDocumented(t *testing.T) {
	t.Parallel()
	const page, mark = "docs/finals.md", "<!-- the rows -->\n"
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	head, rows, found := strings.Cut(string(written), mark)
	require.True(t, found)
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(page, []byte(head+mark+finalsTable()), 0o600))
		return
	}
	require.Equal(t, finalsTable(), rows)
}

func finalsTable() string {
	var b strings.Builder
	b.WriteString("\n| | the books show | so it is | reads | because |\n|---|---|---|---|---|\n")
	for _, row := range allEvidence {
		reads := "one"
		if row.needsAgreement {
			reads = "three seconds"
		}
		name := map[error]string{
			ErrNotApplied: "`ErrNotApplied`", ErrConflict: "`ErrConflict`", ErrNoHold: "`ErrNoHold`",
		}[row.is]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", row.of, row.shows, name, reads, row.because)
	}
	return b.String()
}

// Each row of evidence.go has one kind of error, and all the texts that
// docs/finals.md needs.
func TestEvidenceIsWhole(t *testing.T) {
	t.Parallel()
	for _, row := range allEvidence {
		require.NotEmpty(t, row.of)
		require.NotEmpty(t, row.shows)
		require.NotEmpty(t, row.because)
		require.Contains(t, []error{ErrNotApplied, ErrConflict, ErrNoHold}, row.is, row.shows)
	}
}
