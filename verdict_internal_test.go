package plural

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the documents of these tests are about.
const (
	ours   = "capture-1"
	theirs = "capture-2"
	parent = "v1-parent"
)

func TestJudgeCaptureAgreesWithTheContract(t *testing.T) {
	t.Parallel()
	amounts := []Amount{{}, INR(1000), INR(700), INR(600), INR(900), {Value: 700, Currency: "USD"}}
	verdicts := map[verdict]int{}
	judged := 0
	forEachCapturable(func(o *Order) {
		for _, amount := range amounts {
			got := judgeCapture(o, ours, amount)
			judged++
			verdicts[got.verdict]++
			if want := oracleCapture(o, ours, amount); got.verdict != want {
				t.Fatalf("capture of %v: %v (%s), want %v\n%s", amount, got.verdict, got.reason, want, describe(o))
			}
			checkCaptureInvariants(t, o, amount, got)
		}
	})
	for _, v := range []verdict{
		verdictUnclear, verdictUnpaid, verdictOpen, verdictApplied, verdictConflict,
		verdictClosed, verdictNoHold,
	} {
		require.Positive(t, verdicts[v], "%v was never the verdict", v)
	}
	t.Logf("%d documents judged: %v", judged, verdicts)
}

// checkCaptureInvariants are the sentences that hold for every document.
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
	case (f.verdict == verdictApplied || f.verdict == verdictConflict) && !present:
		fail("our reference is not there")
	case (f.verdict == verdictClosed || f.verdict == verdictOpen || f.verdict == verdictUnpaid) && present:
		fail("our reference is there")
	case f.verdict == verdictApplied && amount.Value != 0 && sum != amount.Value:
		fail("another amount is captured")
	case f.verdict == verdictApplied && (o.Status == OrderStatusCancelled || o.Status == OrderStatusFailed ||
		o.Status == OrderStatusPending || !o.Status.IsKnown()):
		fail("the status rules it out")
	case f.verdict != verdictApplied && f.reason == "":
		fail("there is no reason")
	case f.pending && f.verdict != verdictUnclear:
		fail("only what is unclear is pending")
	case f.verdict == verdictApplied && contradictsCapturedAmount(o, amount):
		fail("CapturedAmount says something else")
	case f.pending && !isUnderWay(o):
		fail("nothing is under way")
	}
}

// Neither pre_auth nor the order's type nor anything beside status, payments
// and the order's amount has a part in the verdict.
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
		amount  Amount // zero: in full
		want    verdict
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
		"partial capture in an order that says PROCESSED": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			amount: INR(1200),
			want:   verdictApplied,
		},
		"full capture asked, the reference took a part, the order says PROCESSED": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			want: verdictConflict,
		},
		"full capture asked, the reference took a part, since refunded": {
			order: Order{
				Status:      "FULLY_REFUNDED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(1200)))},
			},
			want: verdictConflict,
		},
		"another amount": {
			order: Order{
				Status:      "PROCESSED",
				OrderAmount: INR(2000),
				Payments:    []Payment{paid("PROCESSED", INR(2000), entry(ours, INR(2000)))},
			},
			amount: INR(1200),
			want:   verdictConflict,
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
		"points and card, the order's amount is the card's alone": {
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
		"points captured, card released, the order says so": {
			order: Order{Status: "PARTIALLY_CAPTURED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("CANCELLED", INR(100), nil),
			}},
			want: verdictConflict,
		},
		"points captured, card released, since refunded": {
			order: Order{Status: "PARTIALLY_REFUNDED", OrderAmount: INR(200), Payments: []Payment{
				paid("PROCESSED", INR(100), entry(ours, INR(100))), paid("CANCELLED", INR(100), nil),
			}},
			want: verdictUnclear,
		},
		"in full, after an attempt that the payer gave up": {
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
			want: verdictConflict,
		},
		"foreign card, amount asked in rupees": {
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
		"amounts beyond all bounds": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(1000), Payments: []Payment{
				paid(
					"PROCESSED",
					INR(1000),
					entry(ours, INR(math.MaxInt64)),
				),
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
			want:  verdictNoHold,
		},
		"captured under another one": {
			order: Order{Status: "PROCESSED", Payments: []Payment{paid("PROCESSED", INR(100), entry(theirs, INR(100)))}},
			want:  verdictClosed,
		},
		"another one's capture failed": {
			order: Order{
				Status:   "AUTHORIZED",
				Payments: []Payment{paid("FAILED", INR(100), entry(theirs, INR(100))), paid("AUTHORIZED", INR(100), nil)},
			},
			want: verdictOpen,
		},
		"another one's capture under way": {
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
			want:  verdictClosed,
		},
		"cancelled, with our capture": {
			order: Order{Status: "CANCELLED", Payments: []Payment{paid("PROCESSED", INR(100), entry(ours, INR(100)))}},
			want:  verdictUnclear,
		},
		"failed": {
			order: Order{Status: "FAILED", Payments: []Payment{paid("FAILED", INR(100), nil)}},
			want:  verdictClosed,
		},
		"failed, with our capture": {
			order: Order{Status: "FAILED", Payments: []Payment{paid("PROCESSED", INR(100), entry(ours, INR(100)))}},
			want:  verdictUnclear,
		},
		"failed, with another's capture": {
			order: Order{Status: "FAILED", Payments: []Payment{paid("FAILED", INR(100), entry(theirs, INR(100)))}},
			want:  verdictClosed,
		},
		"not paid": {order: Order{Status: "CREATED"}, want: verdictUnpaid},
		"not paid, after an attempt": {
			order: Order{Status: "ATTEMPTED", Payments: []Payment{paid("FAILED", INR(100), nil)}},
			want:  verdictUnpaid,
		},
		"status of tomorrow": {
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
		"points captured, card in a status of tomorrow": {
			order: Order{Status: "PROCESSED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("ON_HOLD", INR(1700), nil),
			}},
			want: verdictUnclear,
		},
		"a part over two legs, half-way, card AUTHORIZED": {
			order: Order{Status: "PARTIALLY_CAPTURED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("AUTHORIZED", INR(1700), nil),
			}},
			amount: INR(1000), want: verdictUnclear, pending: true,
		},
		"a part over two legs, half-way, card PENDING": {
			order: Order{Status: "PARTIALLY_CAPTURED", OrderAmount: INR(2000), Payments: []Payment{
				paid("PROCESSED", INR(300), entry(ours, INR(300))), paid("PENDING", INR(1700), entry(ours, INR(700))),
			}},
			amount: INR(1000), want: verdictUnclear, pending: true,
		},
		"our part, order and payment both AUTHORIZED": {
			order: Order{Status: "AUTHORIZED", OrderAmount: INR(2000), Payments: []Payment{
				paid("AUTHORIZED", INR(2000), entry(ours, INR(1000))),
			}},
			amount: INR(1000), want: verdictUnclear, pending: true,
		},
		"our whole, order and payment both AUTHORIZED": {
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
			require.Equal(t, test.want, f.verdict, f.reason)
			require.Equal(t, test.pending, f.pending)
		})
	}
}

// Where the document has nothing to go by, the reason says so: it is what the
// merchant reads in an unknown outcome.
func TestJudgeCaptureSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, status := range []OrderStatus{
		OrderStatusProcessed, OrderStatusPartiallyCaptured,
		OrderStatusPartiallyRefunded, OrderStatusFullyRefunded,
	} {
		require.Contains(
			t,
			judgeCapture(&Order{Status: status}, ours, Amount{}).reason,
			"without a hold, or captured already",
		)
	}
}

func TestJudgeCancel(t *testing.T) {
	t.Parallel()
	want := map[OrderStatus]verdict{
		"CANCELLED":          verdictApplied,
		"AUTHORIZED":         verdictOpen,
		"CREATED":            verdictUnpaid,
		"ATTEMPTED":          verdictUnpaid,
		"PROCESSED":          verdictClosed,
		"PARTIALLY_CAPTURED": verdictClosed,
		"PARTIALLY_REFUNDED": verdictClosed,
		"FULLY_REFUNDED":     verdictClosed,
		"FAILED":             verdictClosed,
	}
	forEachCapturable(func(o *Order) {
		if len(o.Payments) > 1 {
			return
		}
		f := judgeCancel(o)
		expected := want[o.Status] // the rest is unclear
		for _, p := range o.Payments {
			mayMove := p.Status == PaymentStatusPending || p.Status == PaymentStatusAuthorized
			isOdd := !mayMove && p.Status != PaymentStatusFailed && p.Status != PaymentStatusCancelled
			named := len(p.CaptureData) > 0 && !slices.ContainsFunc(p.CaptureData,
				func(c CaptureData) bool { return c.MerchantCaptureReference == "" })
			isCaptured := len(p.CaptureData) > 0 && (mayMove || isOdd || !named)
			switch o.Status {
			case OrderStatusAuthorized:
				if p.Status == PaymentStatusPending || isOdd || isCaptured {
					expected = verdictUnclear
				}
			case OrderStatusCancelled, OrderStatusFailed:
			default:
				if mayMove {
					expected = verdictUnclear // nothing is final yet
				}
			}
		}
		require.Equal(t, expected, f.verdict, "%s", describe(o))
		require.True(t, !f.pending || isUnderWay(o))
		require.Equal(t, f.verdict == verdictApplied, f.reason == "")
	})
}

func TestJudgeRefund(t *testing.T) {
	t.Parallel()
	verdicts := map[verdict]int{}
	for _, r := range refundDocuments() {
		f := judgeRefund(&r, parent, "refund-1", INR(500))
		verdicts[f.verdict]++
		require.Equal(t, oracleRefund(r), f.verdict, "%+v: %s", r, f.reason)
		require.Equal(t, f.verdict == verdictApplied, f.reason == "")
		require.False(t, f.pending, "a PENDING refund is accepted")
	}
	require.Len(t, verdicts, 4)
	for _, status := range []OrderStatus{"CREATED", "PENDING", "PROCESSED"} {
		r := Order{
			Type:                   "REFUND",
			Status:                 status,
			MerchantOrderReference: "refund-1",
			ParentOrderID:          parent,
			OrderAmount:            INR(500),
		}
		require.Equal(t, verdictApplied, judgeRefund(&r, parent, "refund-1", INR(500)).verdict, "%s", status)
	}
}

func TestRefundIn(t *testing.T) {
	t.Parallel()
	refund := func(id, reference string, status OrderStatus) Order {
		return Order{OrderID: id, MerchantOrderReference: reference, Status: status, OrderAmount: INR(500)}
	}
	find := func(refunds ...Order) *Order {
		return refundIn(&Order{OrderID: parent, Type: OrderTypeCharge, Refunds: refunds}, "refund-1")
	}
	require.Nil(t, find())
	require.Nil(t, find(refund("v1-r", "refund-2", "PROCESSED"), refund("v1-s", "", "PROCESSED")))

	found := find(refund("v1-q", "refund-2", "PROCESSED"), refund("v1-r", "refund-1", "PENDING"))
	require.Equal(t, "v1-r", found.OrderID)
	require.Equal(t, OrderTypeRefund, found.Type, "the parent implies it")
	require.Equal(t, parent, found.ParentOrderID, "the parent implies it")

	said := refund("v1-r", "refund-1", "PENDING")
	said.Type, said.ParentOrderID = OrderTypeCharge, "v1-other"
	kept := find(said)
	require.Equal(t, OrderTypeCharge, kept.Type, "what the entry says stands")
	require.Equal(t, "v1-other", kept.ParentOrderID, "what the entry says stands")

	for _, order := range [][]OrderStatus{
		{"FAILED", "PROCESSED"},
		{"PROCESSED", "FAILED"},
		{"FAILED", "PROCESSED", "PENDING"},
	} {
		var refunds []Order
		for i, status := range order {
			refunds = append(refunds, refund(fmt.Sprint("v1-", i), "refund-1", status))
		}
		require.Equal(
			t,
			OrderStatusProcessed,
			find(refunds...).Status,
			"a refund that did not fail counts before one that did",
		)
	}
	require.Equal(t, OrderStatusFailed, find(refund("v1-r", "refund-1", "FAILED")).Status)

	given := &Order{OrderID: parent, Refunds: []Order{refund("v1-r", "refund-1", "PENDING")}}
	refundIn(given, "refund-1")
	require.Empty(t, given.Refunds[0].ParentOrderID, "the document is left as it came")
}

func TestJudgeOrder(t *testing.T) {
	t.Parallel()
	for _, typ := range []OrderType{OrderTypeCharge, OrderTypeRefund, "OTHER", ""} {
		for _, reference := range []string{"order-1", "order-2", ""} {
			for _, amount := range []Amount{INR(1000), INR(999), {1000, "USD"}, {}} {
				for _, held := range []bool{true, false} {
					for _, wanted := range []bool{true, false} {
						for _, status := range allOrderStatuses() {
							o := &Order{Type: typ, MerchantOrderReference: reference, OrderAmount: amount, PreAuth: held, Status: status}
							f := judgeOrder(
								o,
								&CreateOrderRequest{MerchantOrderReference: "order-1", OrderAmount: INR(1000), PreAuth: wanted},
							)
							want := verdictConflict
							isUnpaid := status == "CREATED" || status == "ATTEMPTED" || status == "PENDING"
							switch {
							case typ != "" && typ != "CHARGE":
							case reference != "order-1", amount == Amount{}:
								want = verdictUnclear
							case amount == INR(1000) && (held == wanted || !isUnpaid):
								want = verdictApplied
							}
							require.Equal(t, want, f.verdict, "%+v", o)
							require.Equal(t, want == verdictApplied, f.reason == "")
						}
					}
				}
			}
		}
	}
}

// If refund references should turn out not to be unique, one constant stops
// refunds from being sent again.
func TestNotResendable(t *testing.T) {
	t.Parallel()
	for _, resendable := range []bool{true, false} {
		sent := 0
		transport := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			body, status := `{"access_token":"t","expires_in":3600}`, http.StatusOK
			switch {
			case r.URL.Path == "/api/auth/v1/token":
			case r.Method == http.MethodPost:
				sent++
				return nil, io.ErrUnexpectedEOF
			case strings.HasPrefix(r.URL.Path, "/api/pay/v1/orders/reference/"):
				body, status = `{"code":"ORDER_NOT_FOUND"}`, http.StatusNotFound
			default:
				body = `{"data":{"order_id":"` + parent + `","status":"PROCESSED"}}`
			}
			return &http.Response{
				StatusCode: status,
				Header:     http.Header{},
				Body:       io.NopCloser(strings.NewReader(body)),
				Request:    r,
			}, nil
		})
		c, err := NewClient(
			Credentials{ClientID: "id", ClientSecret: "secret"},
			WithHTTPClient(&http.Client{Transport: transport}),
			WithRetry(RetryPolicy{MaxAttempts: 3, MinDelay: 1, MaxDelay: 1}),
		)
		require.NoError(t, err)
		req := &RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: INR(500)}
		write, err := c.p.newCall(t.Context(), opRefund, "/api/pay/v1/refunds/"+parent, parent, req, req.check(), nil)
		require.NoError(t, err)
		judge := func(r *Order) finding { return judgeRefund(r, parent, "refund-1", INR(500)) }
		s := settlement{
			write: write, orderID: parent, reference: "refund-1", resendable: resendable,
			decode: decodeRefund("refund-1"), judge: judge, look: c.Refunds.look(write, parent, "refund-1", judge),
		}
		_, err = s.run(t.Context())
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		if resendable {
			require.Equal(t, 3, sent)
		} else {
			require.Equal(t, 1, sent)
		}
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// String is for the messages of these tests.
func (v verdict) String() string {
	switch v {
	case verdictUnpaid:
		return "unpaid"
	case verdictOpen:
		return "open"
	case verdictAbsent:
		return "absent"
	case verdictNoHold:
		return "no hold"
	case verdictApplied:
		return "applied"
	case verdictConflict:
		return "conflict"
	case verdictClosed:
		return "closed"
	case verdictUnclear:
	}
	return "unclear"
}
