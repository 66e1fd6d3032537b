package plural_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// If Plural carried out a refund twice, each later Find reports that.
func TestFindRefundThatIsThereTwice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.doubles = 1
		w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		d.refund(w.orderID, w.reference, partAmount)
		d.refund(w.orderID, w.reference, partAmount)
		_, err := newClient(t, d.srv).Refunds.Find(t.Context(), w.orderID, w.reference)
		var twice *plural.DoubleRefundError
		require.ErrorAs(t, err, &twice)
		require.Len(t, twice.Refunds, 2)
		require.NotErrorIs(t, err, plural.ErrNotApplied)
	}, pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted))
}

// Find reports what the books say about a refund, and sends no refund.
func TestFindRefund(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		c := newClient(t, d.srv)
		_, err := c.Refunds.Find(t.Context(), w.orderID, w.reference)
		require.ErrorIs(t, err, plural.ErrNotFound)

		d.refund(w.orderID, w.reference, partAmount)
		r, err := c.Refunds.Find(t.Context(), w.orderID, w.reference)
		require.NoError(t, err)
		require.Equal(t, plural.INR(partAmount), r.OrderAmount)

		other := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		_, err = c.Refunds.Find(t.Context(), other.orderID, w.reference)
		require.ErrorIs(t, err, plural.ErrConflict)
		require.NotErrorIs(t, err, plural.ErrNotApplied)
		require.Empty(t, d.srv.RequestsTo(pluraltest.OpRefundsCreate), "Find may send no refund")
	})
}

// refundServer has an order and its refunds. It behaves in ways that the
// emulator does not offer.
type refundServer struct {
	posts   int
	refunds []string // their documents, oldest first
	post    func(n int) (*http.Response, error)
	shows   func() bool // whether reads show the refunds yet
}

func refundDocument(id, status string) string {
	return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","parent_order_id":"v1-p","status":%q,`+
		`"merchant_order_reference":"refund-1","order_amount":{"value":400,"currency":"INR"}}`, id, status)
}

func (s *refundServer) create(t *testing.T) (*plural.Order, error) {
	t.Helper()
	g := &gateway{api: func(r sent) (*http.Response, error) {
		if r.Method == http.MethodPost {
			s.posts++
			return s.post(s.posts)
		}
		shown := s.refunds
		if s.shows != nil && !s.shows() {
			shown = nil
		}
		if !strings.Contains(r.URL.Path, "/reference/") {
			return answer(200, `{"data":{"order_id":"v1-p","type":"CHARGE","status":"PROCESSED",`+
				`"merchant_order_reference":"order-1","order_amount":{"value":1000,"currency":"INR"},`+
				`"refunds":[`+strings.Join(shown, ",")+`]}}`), nil
		}
		if len(shown) == 0 {
			return answer(404, `{"code":"ORDER_NOT_FOUND"}`), nil
		}
		return answer(200, `{"data":`+shown[0]+`}`), nil
	}}
	return g.client(t).Refunds.Create(t.Context(), "v1-p",
		&plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(400)})
}

// A refund counts as carried out only if its status is PROCESSED, PENDING or
// CREATED. It counts as failed only if its status is FAILED or CANCELLED. With
// any other status the outcome is unknown.
func TestRefundStatuses(t *testing.T) {
	t.Parallel()
	for status, is := range map[string]error{
		"PROCESSED": nil, "PENDING": nil, "CREATED": nil,
		"FAILED": plural.ErrNotApplied, "CANCELLED": plural.ErrNotApplied,
		"REJECTED": plural.ErrOutcomeUnknown, "DECLINED": plural.ErrOutcomeUnknown,
		"REVERSED": plural.ErrOutcomeUnknown, "EXPIRED": plural.ErrOutcomeUnknown,
	} {
		synctest.Test(t, func(t *testing.T) {
			made := strings.TrimSuffix(refundDocument("v1-r", status), "}") +
				`,"created_at":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
			s := &refundServer{refunds: []string{made}}
			s.post = func(int) (*http.Response, error) {
				a := answer(200, `{"data":`+made+`}`)
				a.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
				return a, nil
			}
			_, err := s.create(t)
			if is == nil {
				require.NoError(t, err, status)
				return
			}
			require.ErrorIs(t, err, is, status)
		})
	}
}

// The server carries out every refund request, even with a reference that was
// used before. Its books show a refund only after some time. The SDK sends the
// refund again if the books have not shown it for three seconds. If the books
// show the refund later than that, the refund is carried out twice, and the
// caller gets an error.
func TestRefundCarriedOutTwice(t *testing.T) {
	t.Parallel()
	for lag, posts := range map[time.Duration]int{2500 * time.Millisecond: 1, time.Minute: 2} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			s := &refundServer{shows: func() bool { return time.Since(began) > lag }}
			s.post = func(n int) (*http.Response, error) {
				s.refunds = append(s.refunds, refundDocument(fmt.Sprint("v1-r", n), "PROCESSED"))
				if n == 1 {
					return nil, io.ErrUnexpectedEOF
				}
				s.shows = nil
				return answer(200, `{"data":`+s.refunds[n-1]+`}`), nil
			}
			_, err := s.create(t)
			require.Equal(t, posts, s.posts)
			if posts == 1 {
				require.NoError(t, err)
				return
			}
			var double *plural.DoubleRefundError
			require.ErrorAs(t, err, &double)
			require.Len(t, double.Refunds, 2)
			require.NotErrorIs(t, err, plural.ErrNotApplied)
			require.EqualError(t, err,
				"plural: refund order v1-p: reference refund-1 was refunded 2 times: v1-r1 of INR 4.00 v1-r2 of INR 4.00")
		})
	}
}

// A refund that the bank has not carried out yet counts as a success, because
// Plural has accepted it.
func TestPendingRefundIsAccepted(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]pluraltest.Fault{
		"answered": {pluraltest.PendingThenFailed.After(72 * time.Hour)},
		"lost":     {{Name: "lost", Effect: pluraltest.ApplyPending, Answer: pluraltest.AnswerReset, Delay: 72 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
				d.srv.Inject(pluraltest.On(w.op), faults...)
				start := time.Now()
				o := d.agrees(t.Context(), w, newClient(t, d.srv))
				require.NoError(t, o.err)
				require.Equal(t, plural.OrderStatusPending, o.order.Status)
				require.LessOrEqual(t, time.Since(start), time.Second)
			})
		})
	}
}

func TestParentOrderIDAbsent(t *testing.T) {
	t.Parallel()
	absent := []pluraltest.Fault{
		pluraltest.ParentAbsent,
		pluraltest.ParentAbsent,
		pluraltest.ParentAbsent,
		pluraltest.ParentAbsent,
	}
	t.Run("in the answer", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ParentAbsent)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
			require.Equal(t, 1, w.touches(d.srv))
		})
	})
	t.Run("only the refunded order's document has the parent_order_id", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), absent...)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), absent...)
			o := d.agrees(t.Context(), w, newClient(t, d.srv))
			require.NoError(t, o.err)
			require.NotEmpty(t, o.order.RawJSON())
			require.Equal(
				t, 2, d.reads()-len(d.srv.RequestsTo(pluraltest.OpOrdersGetByReference)),
				"one read of the parent order settles the refund, the other looks for a double refund",
			)
		})
	})
	t.Run("the refund belongs to another order", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			c := newClient(t, d.srv)
			require.NoError(t, d.agrees(t.Context(), d.readyWrite(pluraltest.OpRefundsCreate, partAmount), c).err)
			other := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(other.op), pluraltest.ResetBeforeApply)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ParentAbsent, 100)...)
			requireUnknown(t, d.agrees(t.Context(), other, c).err)
			d.srv.ClearFaults()
			requireRuledOut(t, d.agrees(t.Context(), other, c).err, plural.ErrConflict)
		})
	})
	t.Run("not found by reference, but in the parent order", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
			d.srv.Inject(
				pluraltest.On(pluraltest.OpOrdersGetByReference),
				pluraltest.StatusFault(422, "ORDER_NOT_FOUND", pluraltest.ApplyNow),
			)
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
			require.Equal(t, 1, w.touches(d.srv))
		})
	})
}

// In the older shape, the answer to a refund is the refunded order, which
// contains the refund. There the refund's fields have other names.
func TestLegacyRefundShape(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		legacy := rewriteAnswers(t, pluraltest.OpRefundsCreate, func(data map[string]any) any {
			return map[string]any{
				"order_id": w.orderID, "merchant_order_reference": "order-0", "type": "CHARGE", "status": "PARTIALLY_REFUNDED",
				"order_amount": map[string]any{"value": wholeAmount, "currency": "INR"},
				"refunds": []any{map[string]any{
					"merchant_refund_reference": w.reference, "refund_id": data["order_id"], "status": data["status"],
					"merchant_id": data["merchant_id"], "refund_amount": data["order_amount"], "created_at": data["created_at"],
				}},
			}
		})
		o := d.agrees(t.Context(), w, newClient(t, d.srv, legacy))
		require.NoError(t, o.err)
		require.Equal(t, 1, d.reads(), "one read is enough: it shows whether there is another refund")
	})
	t.Run("without the order's own fields", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
			legacy := rewriteAnswers(t, pluraltest.OpRefundsCreate, func(data map[string]any) any {
				return map[string]any{"refunds": []any{
					map[string]any{
						"merchant_refund_reference": w.reference,
						"refund_id":                 data["order_id"],
						"status":                    data["status"],
						"refund_amount":             data["order_amount"],
					},
				}}
			})
			require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv, legacy)).err)
			require.Equal(t, 1, w.touches(d.srv))
		})
	})
}

// A look-up of the reference may find an order, or an earlier refund that
// FAILED. Then only the refunded order shows whether the refund was carried
// out.
func TestRefundThatOnlyItsParentShows(t *testing.T) {
	t.Parallel()
	refund := func(id, reference, status string) string {
		return `{"order_id":"` + id + `","type":"REFUND","parent_order_id":"v1-p","status":"` + status +
			`","merchant_order_reference":"` + reference + `",` +
			`"order_amount":{"value":400,"currency":"INR"}}`
	}
	order := func(refunds ...string) string {
		return `{"order_id":"v1-p","type":"CHARGE","status":"PARTIALLY_REFUNDED",` +
			`"merchant_order_reference":"order-1","order_amount":{"value":1000,"currency":"INR"},` +
			`"refunds":[` + strings.Join(
			refunds,
			",",
		) + `]}`
	}
	tests := map[string]struct {
		reference           string
		byReference, parent string
		want                string // the id of the refund; "": no refund is returned
		is                  error
	}{
		"an earlier one FAILED": {
			"refund-1",
			refund("v1-r1", "refund-1", "FAILED"),
			order(refund("v1-r1", "refund-1", "FAILED"), refund("v1-r2", "refund-1", "PROCESSED")),
			"v1-r2",
			nil,
		},
		"the order's own reference": {"order-1", order(), order(refund("v1-r1", "order-1", "PROCESSED")), "v1-r1", nil},
		"both FAILED": {
			"refund-1",
			refund("v1-r1", "refund-1", "FAILED"),
			order(refund("v1-r1", "refund-1", "FAILED")),
			"",
			plural.ErrOutcomeUnknown, // this refund may be older than the lost answer
		},
		"the parent has none": {
			"refund-1",
			refund("v1-r1", "refund-1", "FAILED"),
			order(),
			"",
			plural.ErrOutcomeUnknown,
		},
		"an order's reference, and no refund": {"order-1", order(), order(), "", plural.ErrOutcomeUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{api: func(s sent) (*http.Response, error) {
					switch {
					case s.Method == http.MethodPost:
						return nil, io.ErrUnexpectedEOF // the answer is lost
					case strings.Contains(s.URL.Path, "/reference/"):
						return answer(200, `{"data":`+test.byReference+`}`), nil
					}
					return answer(200, `{"data":`+test.parent+`}`), nil
				}}
				o, err := g.client(t).Refunds.Create(
					t.Context(), "v1-p", &plural.RefundRequest{MerchantOrderReference: test.reference, OrderAmount: plural.INR(400)},
				)
				if test.want == "" {
					require.ErrorIs(t, err, test.is)
					require.NotErrorIs(t, err, plural.ErrNotApplied)
					return
				}
				require.NoError(t, err)
				require.Equal(t, test.want, o.OrderID)
			})
		})
	}
}

func TestRefundLookups(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c, ctx := newClient(t, d.srv), t.Context()
		w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		refund := d.agrees(ctx, w, c).order
		byID, err := c.Refunds.Get(ctx, refund.OrderID)
		require.NoError(t, err)
		require.Equal(t, refund.RawJSON(), byID.RawJSON())
		byReference, err := c.Refunds.GetByReference(ctx, w.reference)
		require.NoError(t, err)
		require.Equal(t, refund.RawJSON(), byReference.RawJSON())

		_, err = c.Refunds.Get(ctx, w.orderID)
		charge := stateError(t, err, plural.ErrReferenceReused)
		require.Equal(t, w.orderID, charge.Order.OrderID)
		_, err = c.Refunds.GetByReference(ctx, "never")
		require.ErrorIs(t, err, plural.ErrNotFound)
	})
}

// If the answer has the older shape, with the refund inside the refunded order,
// Create still returns the refund.
func TestRefundAnsweredInTheOlderShape(t *testing.T) {
	t.Parallel()
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
		return answer(http.StatusOK, payload(t, "refund_response_older_shape.json")), nil
	})
	refund, err := client.Refunds.Create(t.Context(), "v1-515151515151-aa-O1dprt",
		&plural.RefundRequest{MerchantOrderReference: "own-old-refund-1", OrderAmount: plural.INR(8800)})
	require.NoError(t, err)
	require.Equal(t, "v1-525252525252-aa-O1drfd", refund.OrderID)
	require.Equal(t, "v1-515151515151-aa-O1dprt", refund.ParentOrderID)
	require.Equal(t, plural.OrderTypeRefund, refund.Type)
	require.Equal(t, plural.INR(8800), refund.OrderAmount)
}

// A server may check the reference when a refund arrives, but enter the refund
// in its books later. If the SDK sent the refund again in between, the server
// would carry out both. So the SDK does not send the refund again before it has
// read the books for three seconds. A caller with less time gets an unknown
// outcome.
func TestRefundIsNotSentAgainTooSoon(t *testing.T) {
	t.Parallel()
	for patience, sent := range map[time.Duration]int{2 * time.Second: 1, 5 * time.Second: 1, 20 * time.Second: 1} {
		inBubble(t, func(t *testing.T, d *desk) {
			w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
			d.srv.Inject(pluraltest.On(w.op), pluraltest.InsertLate.After(2900*time.Millisecond))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			d.agrees(ctx, w, newClient(t, d.srv))
			require.Equal(t, sent, w.touches(d.srv))
		})
	}
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetBeforeApply)
		require.NoError(t, d.agrees(t.Context(), w, newClient(t, d.srv)).err)
		require.Equal(t, 2, w.touches(d.srv), "sent again: the first refund was not in the books for three seconds")
	})
}

// Two refunds with the same reference are a double refund if they have
// different ids, and if both are PROCESSED, PENDING or CREATED. It does not
// matter where the two are listed. A refund that is listed twice counts once. A
// refund in another status, such as FAILED, does not count.
func TestDoubleRefundsAreDistinctIDs(t *testing.T) {
	t.Parallel()
	list := func(refunds ...string) []string { return refunds }
	r := func(id, status string) string {
		return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","parent_order_id":"v1-agreed","status":%q,`+
			`"merchant_order_reference":"refund-1","order_amount":{"value":500,"currency":"INR"}}`, id, status)
	}
	one, two := r("v1-r1", "PROCESSED"), r("v1-r2", "PROCESSED")
	for name, tc := range map[string]struct {
		answered    string   // the answer to the POST; "" is a 504
		byReference string   // the order that is found by the reference
		listed      []string // the refunds that the order lists
		twice       bool
	}{
		"once":                                    {one, one, list(one), false},
		"not listed yet":                          {one, one, list(), false},
		"once per payment":                        {one, one, list(one, one), false},
		"once per payment, settled by reading":    {"", one, list(one, one), false},
		"once per payment, one PENDING":           {"", one, list(r("v1-r1", "PENDING"), one), false},
		"beside a REJECTED one":                   {"", one, list(one, r("v1-r2", "REJECTED")), false},
		"after a REJECTED one":                    {"", one, list(r("v1-r2", "REJECTED"), one), false},
		"beside a FAILED one":                     {"", one, list(one, r("v1-r2", "FAILED")), false},
		"beside a CANCELLED one":                  {"", one, list(one, r("v1-r2", "CANCELLED")), false},
		"two":                                     {one, one, list(one, two), true},
		"two, one PENDING":                        {"", one, list(one, r("v1-r2", "PENDING")), true},
		"two, each once per payment":              {"", one, list(one, one, two, two), true},
		"one listed, another in hand":             {one, two, list(two), true},
		"one listed, another under its reference": {"", one, list(two), true},
		"one answered, without its order": {
			strings.Replace(one, `"parent_order_id":"v1-agreed",`, "", 1), two, list(two), true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newPeerClient(t, func(req *http.Request) (*http.Response, error) {
					switch {
					case req.Method == http.MethodPost && tc.answered == "":
						return answer(504, `{}`), nil
					case req.Method == http.MethodPost:
						return answer(200, `{"data":`+tc.answered+`}`), nil
					case strings.HasSuffix(req.URL.Path, "/reference/refund-1"):
						return answer(200, `{"data":`+tc.byReference+`}`), nil
					}
					return answer(200, `{"data":{"order_id":"v1-agreed","type":"CHARGE","status":"PARTIALLY_REFUNDED",`+
						`"merchant_order_reference":"order-1","order_amount":{"value":2000,"currency":"INR"},`+
						`"refunds":[`+strings.Join(tc.listed, ",")+`]}}`), nil
				})
				_, err := c.Refunds.Create(t.Context(), "v1-agreed", &plural.RefundRequest{
					MerchantOrderReference: "refund-1", OrderAmount: plural.INR(500),
				})
				_, found := c.Refunds.Find(t.Context(), "v1-agreed", "refund-1")
				if name == "one listed, another in hand" || name == "one answered, without its order" {
					found = err // Find sees only the refunds in the books
				}
				for call, err := range map[string]error{"create": err, "find": found} {
					if !tc.twice {
						require.NoError(t, err, call)
						continue
					}
					var twice *plural.DoubleRefundError
					require.ErrorAs(t, err, &twice, call)
					require.Len(t, twice.Refunds, 2, call)
					require.NotEqual(t, twice.Refunds[0].OrderID, twice.Refunds[1].OrderID, call)
				}
			})
		})
	}
}
