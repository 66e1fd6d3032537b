package plural_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// A refund may be shown once, in the answer to its request or in the books.
// Then the SDK does not send the refund again, even if later reads do not show
// the refund. The exception is a refund that the books have shown as FAILED or
// CANCELLED.
func TestRefundThatWasShownIsNotSentAgain(t *testing.T) {
	t.Parallel()
	refund := func(status, reference string) string {
		return fmt.Sprintf(`{"data":{"order_id":"v1-r","type":"REFUND","status":%q,"merchant_order_reference":%q,`+
			`"order_amount":{"value":1000,"currency":"INR"}}}`, status, reference)
	}
	without := func(field, document string) string {
		return regexp.MustCompile(`"`+field+`":"[^"]*",`).ReplaceAllString(document, "")
	}
	const parent = `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED","order_amount":{"value":319950,` +
		`"currency":"INR"},"payments":[{"id":"p","status":"PROCESSED","payment_method":"UPI","payment_amount":` +
		`{"value":319950,"currency":"INR"}}]}}`
	const none = `{"code":"ORDER_NOT_FOUND","message":"no"}`
	for name, tc := range map[string]struct {
		own, first string // the answer to the refund, and to the first read of the books
		sends      int
	}{
		"nothing was shown":                  {own: `{}`, first: none, sends: 2},
		"by its own answer":                  {own: refund("PENDING", "own-refund-1"), first: none, sends: 1},
		"by the books":                       {own: `{}`, first: refund("PROCESSED", "own-refund-1"), sends: 1},
		"a failed one, by the books":         {own: `{}`, first: refund("FAILED", "own-refund-1"), sends: 2},
		"of another reference":               {own: refund("PENDING", "own-refund-2"), first: none, sends: 2},
		"in an unknown status":               {own: refund("ODD", "own-refund-1"), first: none, sends: 1},
		"in an unknown status, by the books": {own: `{}`, first: refund("ODD", "own-refund-1"), sends: 1},
		"without a status":                   {own: refund("", "own-refund-1"), first: none, sends: 1},
		"without a status, by the books":     {own: `{}`, first: refund("", "own-refund-1"), sends: 1},
		"without a type": {
			own: without("type", refund("PENDING", "own-refund-1")), first: none, sends: 1,
		},
		"without a type, by the books": {
			own: `{}`, first: without("type", refund("PENDING", "own-refund-1")), sends: 1,
		},
		"without a reference": {
			own: without("merchant_order_reference", refund("PENDING", "")), first: none, sends: 1,
		},
		"without a reference, by the books": {
			own: `{}`, first: without("merchant_order_reference", refund("PENDING", "")), sends: 1,
		},
		"cancelled, by the books": {own: `{}`, first: refund("CANCELLED", "own-refund-1"), sends: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sends, looks := 0, 0
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPost:
						sends++
						return answer(http.StatusOK, tc.own), nil
					case !strings.Contains(r.URL.Path, "/reference/"):
						return answer(http.StatusOK, parent), nil
					}
					if looks++; looks == 1 && tc.first != none {
						return answer(http.StatusOK, tc.first), nil
					}
					return answer(http.StatusUnprocessableEntity, none), nil
				}, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2}))
				_, err := client.Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(1000)})
				requireUnknown(t, err)
				require.Equal(t, tc.sends, sends)
				require.Equal(t, tc.sends == 1, plural.NeedsReview(err), "somebody is told")
			})
		})
	}
}

// refundBooks answers requests about a refund of order "v1-o" with the
// reference "own-refund-1".
type refundBooks struct {
	own         string // the answer to the refund; "": it is lost
	byReference string // the document that a look-up of the reference finds; "": none
	listed      string // the order's refunds
	isGone      bool   // only the first read of the order shows the refunds in listed
	status      string // the order's status
}

func (b refundBooks) client(t *testing.T, sends *int) *plural.Client {
	t.Helper()
	const order = `{"order_id":"v1-o","type":"CHARGE","status":%q,"order_amount":{"value":1000,"currency":"INR"},` +
		`"payments":[{"id":"p","status":"PROCESSED","payment_method":"UPI","payment_amount":{"value":1000,"currency":"INR"}}],` +
		`"refunds":[%s]}`
	looks := 0
	return newPeerClient(t, func(r *http.Request) (*http.Response, error) {
		a := answer(http.StatusUnprocessableEntity, `{"code":"ORDER_NOT_FOUND","message":"no"}`)
		switch {
		case r.Method == http.MethodPost:
			if *sends++; b.own == "" {
				a = answer(http.StatusBadGateway, "")
			} else {
				a = answer(http.StatusOK, `{"data":`+b.own+`}`)
			}
		case !strings.Contains(r.URL.Path, "/reference/"):
			if looks++; looks > 1 && b.isGone {
				b.listed, b.status = "", "PROCESSED"
			}
			a = answer(http.StatusOK, `{"data":`+fmt.Sprintf(order, b.status, b.listed)+`}`)
		case b.byReference != "":
			a = answer(http.StatusOK, `{"data":`+b.byReference+`}`)
		}
		a.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		return a, nil
	}, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2}))
}

// The books may leave out data of a refund. Then the outcome is unknown: the
// call ends with an error that is not final. The call does not send the refund
// again.
func TestRefundOfHalfWrittenBooks(t *testing.T) {
	t.Parallel()
	refund := func(id, status, more string) string {
		return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","status":%q,"order_amount":{"value":700,"currency":"INR"}%s}`,
			id, status, more)
	}
	const ours, of = `,"merchant_order_reference":"own-refund-1"`, `,"parent_order_id":"v1-o"`
	older := func(listed string) string {
		return `{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED","order_amount":{"value":1000,"currency":"INR"},` +
			`"refunds":[` + listed + `]}`
	}
	soon := func() string {
		return `,"created_at":"` + time.Now().UTC().Add(5*time.Second).Format(time.RFC3339) + `"`
	}
	for name, tc := range map[string]struct {
		books func() refundBooks // called inside the bubble, because it reads the bubble's clock
		asked int64
	}{
		"a listed one without a reference, which leaves less": {func() refundBooks {
			return refundBooks{status: "PARTIALLY_REFUNDED", listed: refund("v1-r", "PROCESSED", "")}
		}, 700},
		"a listed one without a reference, which leaves enough": {func() refundBooks {
			return refundBooks{status: "PARTIALLY_REFUNDED", listed: refund("v1-r", "PROCESSED", "")}
		}, 300},
		"one without its order, and a FAILED one in the order": {func() refundBooks {
			return refundBooks{
				status: "PROCESSED", byReference: refund("v1-r1", "PROCESSED", ours), listed: refund("v1-r2", "FAILED", ours+of),
			}
		}, 700},
		"two listed ones without an id": {func() refundBooks {
			both := refund("", "PENDING", ours) + "," + refund("", "PENDING", ours)
			return refundBooks{status: "PARTIALLY_REFUNDED", listed: both}
		}, 700},
		"one answered without its order, and a FAILED one": {func() refundBooks {
			failed := refund("v1-r2", "FAILED", ours+of+soon())
			return refundBooks{
				status: "PROCESSED", own: refund("v1-r1", "PENDING", ours), byReference: failed, listed: failed,
			}
		}, 700},
		"a listed one without a reference, and a FAILED one": {func() refundBooks {
			failed := refund("v1-r2", "FAILED", ours+of+soon())
			return refundBooks{
				status: "PARTIALLY_REFUNDED", byReference: failed, listed: failed + "," + refund("v1-r1", "PROCESSED", ""),
			}
		}, 700},
		"a listed one without a reference, which is missing later": {func() refundBooks {
			return refundBooks{status: "PARTIALLY_REFUNDED", listed: refund("v1-r", "PENDING", ""), isGone: true}
		}, 700},
		"one without a reference, only in the answer of the older form": {func() refundBooks {
			return refundBooks{status: "PROCESSED", own: older(refund("v1-r", "PENDING", ""))}
		}, 700},
		"one without a status, only in the answer of the older form": {func() refundBooks {
			return refundBooks{status: "PROCESSED", own: older(refund("v1-r", "", ours))}
		}, 700},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sends := 0
				_, err := tc.books().client(t, &sends).Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(tc.asked)})
				requireUnknown(t, err)
				require.NotErrorIs(t, err, plural.ErrNotApplied)
				require.Equal(t, 1, sends)
				require.True(t, plural.NeedsReview(err))
			})
		})
	}
}

// The document of a refund may leave out which order was refunded. Then the
// refund belongs to the order whose list of refunds has the refund's id. This
// is so even if that list leaves out the refund's reference.
func TestRefundThatOnlyItsOrderNames(t *testing.T) {
	t.Parallel()
	for name, reference := range map[string]string{"its reference": "own-refund-1", "no reference": "", "another": "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				refund := func(reference string) string {
					return fmt.Sprintf(`{"order_id":"v1-r","type":"REFUND","status":"PENDING","merchant_order_reference":%q,`+
						`"order_amount":{"value":700,"currency":"INR"}}`, reference)
				}
				sends := 0
				books := refundBooks{
					status: "PARTIALLY_REFUNDED", byReference: refund("own-refund-1"), listed: refund(reference),
				}
				o, err := books.client(t, &sends).Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(700)})
				if reference == "other" {
					requireUnknown(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, "v1-o", o.ParentOrderID)
			})
		})
	}
}

// An answer in the older shape may list two refunds with the reference. Both
// count, even if the order cannot be read.
func TestRefundAnsweredTwice(t *testing.T) {
	t.Parallel()
	refund := func(id, status string) string {
		return fmt.Sprintf(`{"refund_id":%q,"merchant_refund_reference":"own-refund-1","status":%q,`+
			`"refund_amount":{"value":700,"currency":"INR"}}`, id, status)
	}
	for name, tc := range map[string]struct {
		refunds []string
		twice   bool
	}{
		"one":                      {[]string{refund("v1-r1", "PROCESSED")}, false},
		"one, listed again":        {[]string{refund("v1-r1", "PENDING"), refund("v1-r1", "PROCESSED")}, false},
		"one, and one that FAILED": {[]string{refund("v1-r2", "FAILED"), refund("v1-r1", "PROCESSED")}, false},
		"two":                      {[]string{refund("v1-r1", "PROCESSED"), refund("v1-r2", "PENDING")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodGet {
					return answer(http.StatusBadGateway, ""), nil
				}
				return answer(http.StatusOK, `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED",`+
					`"order_amount":{"value":2000,"currency":"INR"},"refunds":[`+strings.Join(tc.refunds, ",")+`]}}`), nil
			})
			o, err := client.Refunds.Create(t.Context(), "v1-o",
				&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(700)})
			if !tc.twice {
				require.NoError(t, err)
				require.Equal(t, "v1-r1", o.OrderID)
				return
			}
			var twice *plural.DoubleRefundError
			require.ErrorAs(t, err, &twice)
			require.Len(t, twice.Refunds, 2)
		})
	}
}

// The answer to a refund says PENDING. Later the books list this refund as
// FAILED, next to another refund that was carried out. The failed refund does
// not count, so this is not a double refund.
func TestRefundThatFailedMeanwhileIsNotTheSecond(t *testing.T) {
	t.Parallel()
	refund := func(id, status string) string {
		return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","status":%q,"parent_order_id":"v1-o",`+
			`"merchant_order_reference":"own-refund-1","order_amount":{"value":700,"currency":"INR"}}`, id, status)
	}
	for status, isTwice := range map[string]bool{"FAILED": false, "CANCELLED": false, "PENDING": true, "ODD": true} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPost: // it does not say which order was refunded
						own := strings.Replace(refund("v1-r1", "PENDING"), `"parent_order_id":"v1-o",`, "", 1)
						return answer(http.StatusOK, `{"data":`+own+`}`), nil
					case strings.Contains(r.URL.Path, "/reference/"):
						return answer(http.StatusOK, `{"data":`+refund("v1-r2", "PROCESSED")+`}`), nil
					}
					return answer(http.StatusOK, `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED",`+
						`"order_amount":{"value":2000,"currency":"INR"},"refunds":[`+
						refund("v1-r1", status)+`,`+refund("v1-r2", "PROCESSED")+`]}}`), nil
				})
				o, err := client.Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(700)})
				if isTwice {
					var twice *plural.DoubleRefundError
					require.ErrorAs(t, err, &twice)
					return
				}
				require.NoError(t, err)
				require.Equal(t, "v1-r2", o.OrderID)
			})
		})
	}
}

// Here only the first read of the books shows the refund as FAILED. The later
// reads show only another refund, which was carried out. This is not a double
// refund either.
func TestRefundThatWasSeenToFailIsNotTheSecond(t *testing.T) {
	t.Parallel()
	refund := func(id, status string) string {
		return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","status":%q,"parent_order_id":"v1-o",`+
			`"merchant_order_reference":"own-refund-1","order_amount":{"value":700,"currency":"INR"}}`, id, status)
	}
	for status, isTwice := range map[string]bool{"FAILED": false, "CANCELLED": false, "ODD": true} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPost: // it does not say which order was refunded
						own := strings.Replace(refund("v1-r1", "PENDING"), `"parent_order_id":"v1-o",`, "", 1)
						return answer(http.StatusOK, `{"data":`+own+`}`), nil
					case !strings.Contains(r.URL.Path, "/reference/") && looks == 1:
						return answer(http.StatusOK, `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED",`+
							`"order_amount":{"value":2000,"currency":"INR"}}}`), nil
					case !strings.Contains(r.URL.Path, "/reference/"):
						return answer(http.StatusBadGateway, ""), nil
					}
					if looks++; looks == 1 {
						return answer(http.StatusOK, `{"data":`+refund("v1-r1", status)+`}`), nil
					}
					return answer(http.StatusOK, `{"data":`+refund("v1-r2", "PROCESSED")+`}`), nil
				})
				o, err := client.Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(700)})
				if isTwice {
					var twice *plural.DoubleRefundError
					require.ErrorAs(t, err, &twice)
					return
				}
				require.NoError(t, err)
				require.Equal(t, "v1-r2", o.OrderID)
			})
		})
	}
}

// The answer to a refund says PENDING, and later the books list this refund as
// FAILED. Another refund with the same reference is FAILED, too. Then the error
// is final, because no refund is left that may still succeed.
func TestTwoRefundsThatFailed(t *testing.T) {
	t.Parallel()
	for status, is := range map[string]error{"FAILED": plural.ErrNotApplied, "ODD": plural.ErrOutcomeUnknown} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				refund := func(id, status, parent string) string {
					return fmt.Sprintf(`{"order_id":%q,"type":"REFUND","status":%q,"merchant_order_reference":"own-refund-1",`+
						`"order_amount":{"value":700,"currency":"INR"},"created_at":%q%s}`,
						id, status, time.Now().UTC().Add(5*time.Second).Format(time.RFC3339), parent)
				}
				const of = `,"parent_order_id":"v1-o"`
				sends, second := 0, refund("v1-r2", "FAILED", of)
				_, err := refundBooks{
					status: "PROCESSED", own: refund("v1-r1", "PENDING", ""),
					byReference: second, listed: refund("v1-r1", status, of) + "," + second,
				}.client(t, &sends).Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(700)})
				require.ErrorIs(t, err, is)
				require.Equal(t, 1, sends)
			})
		})
	}
}

// The methods Get and GetByReference of RefundService return a conflict if the
// document shows the type of an order. If the document has no type, or a type
// that the SDK does not know, the error is not a conflict.
func TestGetOfARefundWithoutAKnownType(t *testing.T) {
	t.Parallel()
	for typ, isConflict := range map[string]bool{"CHARGE": true, "": false, "REFUND_V2": false} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
				return answer(http.StatusOK, fmt.Sprintf(`{"data":{"order_id":"v1-r","type":%q,"status":"PROCESSED",`+
					`"merchant_order_reference":"own-refund-1","order_amount":{"value":700,"currency":"INR"}}}`, typ)), nil
			})
			_, byID := client.Refunds.Get(t.Context(), "v1-r")
			_, byReference := client.Refunds.GetByReference(t.Context(), "own-refund-1")
			for _, err := range []error{byID, byReference} {
				require.Error(t, err)
				require.Equal(t, isConflict, errors.Is(err, plural.ErrConflict))
				require.Equal(t, isConflict, errors.Is(err, plural.ErrReferenceReused))
				require.NotErrorIs(t, err, plural.ErrNotFound)
				if e := (*plural.Error)(nil); !isConflict {
					require.ErrorAs(t, err, &e)
					require.Equal(t, http.StatusOK, e.StatusCode)
					require.False(t, e.Retryable())
				}
			}
		})
	}
}

// If the SDK does not know the type of a document, the document proves nothing.
// So the outcome is unknown, and the error is not a conflict.
func TestUnknownTypeIsNoConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return nil, errors.New("broken off")
			}
			return answer(http.StatusOK, `{"data":{"order_id":"v1-r","type":"REFUND_V2","status":"PROCESSED",`+
				`"parent_order_id":"v1-o","merchant_order_reference":"own-1","order_amount":{"value":700,"currency":"INR"}}}`), nil
		})
		_, err := client.Refunds.Create(t.Context(), "v1-o",
			&plural.RefundRequest{MerchantOrderReference: "own-1", OrderAmount: plural.INR(700)})
		requireUnknown(t, err)
		require.NotErrorIs(t, err, plural.ErrConflict)
		_, err = client.Orders.Create(t.Context(),
			&plural.CreateOrderRequest{MerchantOrderReference: "own-1", OrderAmount: plural.INR(700)})
		requireUnknown(t, err)
		require.NotErrorIs(t, err, plural.ErrConflict)
	})
}

// A call that reads the books for a long time remembers what it has seen, but
// does not keep the documents in memory.
//
//nolint:paralleltest // it measures memory
func TestLooksKeepNoDocuments(t *testing.T) {
	skipUnderRace(t)
	shown := `{"data":{"order_id":"v1-r","status":"PROCESSED","merchant_order_reference":"own-refund-1",` +
		`"order_amount":{"value":700,"currency":"INR"},"notes":"` + strings.Repeat("x", 1<<20) + `"}}`
	var early, late uint64
	looks := 0
	client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
		switch {
		case r.Method == http.MethodPost:
			return answer(http.StatusOK, `{}`), nil
		case !strings.Contains(r.URL.Path, "/reference/"):
			return answer(http.StatusOK, `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PENDING",`+
				`"order_amount":{"value":2000,"currency":"INR"}}}`), nil
		}
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		if late = now.HeapAlloc; looks == 3 {
			early = late
		}
		looks++
		return answer(http.StatusOK, shown), nil
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		_, err := client.Refunds.Create(ctx, "v1-o",
			&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(700)})
		requireUnknown(t, err)
	})
	require.Less(t, late, early+2<<20)
}

// Find reads the books several times. The first read may show a refund that the
// later reads do not show. Then the outcome is unknown: Find does not return
// ErrNotFound.
func TestFindOfARefundThatWasShown(t *testing.T) {
	t.Parallel()
	const shown = `{"data":{"order_id":"v1-r","type":"REFUND","status":"ODD","merchant_order_reference":"own-refund-1",` +
		`"order_amount":{"value":1000,"currency":"INR"}}}`
	const none = `{"code":"ORDER_NOT_FOUND","message":"no"}`
	const unpaid = `{"data":{"order_id":"v1-o","type":"CHARGE","status":"CREATED",` +
		`"order_amount":{"value":1000,"currency":"INR"}}}`
	for name, parent := range map[string]string{"the order is not found": none, "the order is not paid": unpaid} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if strings.Contains(r.URL.Path, "/reference/") {
						if looks++; looks == 1 {
							return answer(http.StatusOK, shown), nil
						}
						return answer(http.StatusUnprocessableEntity, none), nil
					}
					if parent == none {
						return answer(http.StatusUnprocessableEntity, none), nil
					}
					return answer(http.StatusOK, parent), nil
				})
				_, err := client.Refunds.Find(t.Context(), "v1-o", "own-refund-1")
				requireUnknown(t, err)
				require.NotErrorIs(t, err, plural.ErrNotFound)
			})
		})
	}
}

// A cache may hold answers for an hour, together with their Date header. Then
// the SDK cannot find out from the times in the books whether a refund is older
// than the call. The same is true if the cache holds the answer to the refund.
func TestRefundByAClockThatContradictsItself(t *testing.T) {
	t.Parallel()
	for name, isOwnOld := range map[string]bool{"the books": false, "the answer to the refund": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testRefundWithOldDate(t, isOwnOld) })
		})
	}
}

func testRefundWithOldDate(t *testing.T, isOwnOld bool) {
	t.Helper()
	time.Sleep(24 * time.Hour)
	failed := fmt.Sprintf(`{"data":{"order_id":"v1-r","type":"REFUND","status":"FAILED","parent_order_id":"v1-o",`+
		`"merchant_order_reference":"own-refund-1","order_amount":{"value":1000,"currency":"INR"},"created_at":%q}}`,
		time.Now().UTC().Add(-10*time.Minute).Format(time.RFC3339))
	const parent = `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED",` +
		`"order_amount":{"value":1000,"currency":"INR"}}}`
	client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
		a, isOld := answer(http.StatusOK, parent), false
		switch {
		case r.Method == http.MethodPost && isOwnOld:
			a, isOld = answer(http.StatusOK, failed), true
		case r.Method == http.MethodPost:
			a = answer(http.StatusBadGateway, "")
		case strings.Contains(r.URL.Path, "/reference/"):
			a, isOld = answer(http.StatusOK, failed), !isOwnOld
		}
		date := time.Now().UTC()
		if isOld {
			date = date.Add(-time.Hour)
		}
		a.Header.Set("Date", date.Format(http.TimeFormat))
		return a, nil
	})
	_, err := client.Refunds.Create(t.Context(), "v1-o",
		&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(1000)})
	requireUnknown(t, err)
	require.NotErrorIs(t, err, plural.ErrNotApplied)
}

// The clock of Plural's documents may be two seconds ahead of the clock of the
// Date headers. So a failed refund whose time is only a little later than the
// request may be older than the request.
func TestRefundByAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ahead = 2 * time.Second
		time.Sleep(24 * time.Hour)
		made := time.Now().UTC().Add(ahead - 500*time.Millisecond) // half a second before the call
		failed := fmt.Sprintf(`{"data":{"order_id":"v1-r","type":"REFUND","status":"FAILED","parent_order_id":"v1-o",`+
			`"merchant_order_reference":"own-refund-1","order_amount":{"value":1000,"currency":"INR"},"created_at":%q}}`,
			made.Format(time.RFC3339Nano))
		const parent = `{"data":{"order_id":"v1-o","type":"CHARGE","status":"PROCESSED",` +
			`"order_amount":{"value":1000,"currency":"INR"}}}`
		client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
			a := answer(http.StatusOK, parent)
			switch {
			case r.Method == http.MethodPost:
				a = answer(http.StatusBadGateway, "")
			case strings.Contains(r.URL.Path, "/reference/"):
				a = answer(http.StatusOK, failed)
			}
			a.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
			return a, nil
		})
		_, err := client.Refunds.Create(t.Context(), "v1-o",
			&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(1000)})
		requireUnknown(t, err)
		require.NotErrorIs(t, err, plural.ErrNotApplied)
	})
}

// If the deadline leaves no time for another read of the books, the error says
// that the deadline ended the call.
func TestFindEndsWithItsDeadline(t *testing.T) {
	t.Parallel()
	const odd = `{"data":{"order_id":"v1-o","type":"CHARGE","status":"ODD",` +
		`"order_amount":{"value":1000,"currency":"INR"}}}`
	for name, find := range map[string]func(context.Context, *plural.Client) error{
		"capture": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Captures.Find(ctx, "v1-o", "own-capture-1")
			return err
		},
		"settle": func(ctx context.Context, c *plural.Client) error {
			short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, err := c.Captures.Create(short, "v1-o",
				&plural.CaptureRequest{MerchantCaptureReference: "own-capture-1", FullAmount: true})
			var unknown *plural.OutcomeUnknownError
			if !errors.As(err, &unknown) {
				return err
			}
			_, err = unknown.Settle(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodGet {
						return answer(http.StatusBadGateway, ""), nil
					}
					return answer(http.StatusOK, odd), nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := find(ctx, client)
				requireUnknown(t, err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// If Plural refuses a refund, and also refuses every read of the books, nothing
// explains the first refusal. So a person has to check what happened.
func TestRefusalOverBooksThatRefuse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		review bool
	}{
		"an unknown code":      {http.StatusNotFound, `{"code":"PAYMENT_LINK_NOT_FOUND","message":"no"}`, true},
		"a firewall":           {http.StatusForbidden, `<html>no</html>`, true},
		"no document":          {http.StatusOK, `{}`, true},
		"a broken server":      {http.StatusBadGateway, ``, false},
		"the token is refused": {http.StatusUnauthorized, `{"code":"UNAUTHORIZED"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodGet {
						return answer(http.StatusUnprocessableEntity, `{"code":"INVALID_REQUEST","message":"no"}`), nil
					}
					return answer(tc.status, tc.body), nil
				})
				_, err := client.Refunds.Create(t.Context(), "v1-o",
					&plural.RefundRequest{MerchantOrderReference: "own-refund-1", OrderAmount: plural.INR(1000)})
				requireUnknown(t, err)
				require.Equal(t, tc.review, plural.NeedsReview(err), err)
				_, err = client.PaymentLinks.Create(t.Context(), minimalLink())
				requireUnknown(t, err)
				require.Equal(t, tc.review, plural.NeedsReview(err), err)
			})
		})
	}
}
