package plural_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	bookedLink  = "pl-v1-270118060912-aa-Hk3VnD"
	bookedOrder = "v1-270118060912-aa-Bt8Rw5"
)

func orderDocument(status, payments string) string {
	return fmt.Sprintf(`{"data":{"order_id":%q,"type":"CHARGE","status":%q,`+
		`"order_amount":{"value":319950,"currency":"INR"},"payments":[%s]}}`, bookedOrder, status, payments)
}

// After a refused cancel, the SDK reads the link and its order from the books.
// The call returns nil or a final error only if these two documents do not
// contradict each other.
func TestLinkCancelByTheBooks(t *testing.T) {
	t.Parallel()
	payment := func(status, more string) string {
		return fmt.Sprintf(`{"id":"p-1","status":%q,"payment_amount":{"value":319950,"currency":"INR"}%s}`, status, more)
	}
	const entry = `,"capture_data":[{"merchant_capture_reference":"c","capture_amount":{"value":319950,"currency":"INR"}}]`
	for name, tc := range map[string]struct {
		link, order, payments string
		is                    error // nil: the link is cancelled, unless review is true
		review                bool
	}{
		"cancelled":                      {link: "CANCELLED", order: "CREATED"},
		"cancelled after a try":          {link: "CANCELLED", order: "ATTEMPTED", payments: payment("FAILED", "")},
		"cancelled, and so is the order": {link: "CANCELLED", order: "CANCELLED"},
		"cancelled and paid": {
			link: "CANCELLED", order: "PROCESSED", payments: payment("PROCESSED", ""), is: plural.ErrConflict,
		},
		"cancelled and held": {
			link: "CANCELLED", order: "AUTHORIZED", payments: payment("AUTHORIZED", ""), is: plural.ErrConflict,
		},
		"cancelled, paid without payments": {link: "CANCELLED", order: "PROCESSED", review: true},
		"cancelled, held without payments": {link: "CANCELLED", order: "AUTHORIZED", review: true},
		"cancelled, refunded, no payments": {link: "CANCELLED", order: "FULLY_REFUNDED", review: true},
		"cancelled, paid in an unknown way": {
			link: "CANCELLED", order: "PROCESSED", payments: payment("SETTLED", ""), review: true,
		},
		"cancelled, and the order is strange": {link: "CANCELLED", order: "PARTIALLY_PROCESSED", review: true},
		"cancelled, a payment is held": {
			link: "CANCELLED", order: "ATTEMPTED", payments: payment("AUTHORIZED", ""), review: true,
		},
		"cancelled, PENDING with a held payment": {
			link: "CANCELLED", order: "PENDING", payments: payment("AUTHORIZED", ""), review: true,
		},
		"cancelled, CREATED with a strange payment": {
			link: "CANCELLED", order: "CREATED", payments: payment("SETTLED", ""), review: true,
		},
		"cancelled, a payment is begun": {link: "CANCELLED", order: "ATTEMPTED", payments: payment("PENDING", "")},
		"cancelled, FAILED but held": {
			link: "CANCELLED", order: "FAILED", payments: payment("AUTHORIZED", ""), review: true,
		},
		"expired, FAILED but held": {
			link: "EXPIRED", order: "FAILED", payments: payment("AUTHORIZED", ""), review: true,
		},
		"expired, FAILED with a strange payment": {
			link: "EXPIRED", order: "FAILED", payments: payment("SETTLED", ""), review: true,
		},
		"expired": {link: "EXPIRED", order: "CREATED", is: plural.ErrNotApplied},
		"expired, and the order failed": {
			link: "EXPIRED", order: "FAILED", payments: payment("FAILED", ""), is: plural.ErrNotApplied,
		},
		"expired, FAILED but captured": {
			link: "EXPIRED", order: "FAILED", payments: payment("PROCESSED", entry), review: true,
		},
		"expired, FAILED but paid": {
			link: "EXPIRED", order: "FAILED", payments: payment("PROCESSED", ""), review: true,
		},
		"expired, CANCELLED but captured": {
			link: "EXPIRED", order: "CANCELLED", payments: payment("PROCESSED", entry), review: true,
		},
		"expired, CANCELLED, and a payment still reads as held": {
			link: "EXPIRED", order: "CANCELLED", payments: payment("AUTHORIZED", ""), is: plural.ErrNotApplied,
		},
		"expired, paid without payments": {link: "EXPIRED", order: "PROCESSED", review: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := strings.Replace(string(payload(t, "link_created.json")), `"CREATED"`, fmt.Sprintf("%q", tc.link), 1)
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPut:
						return answer(422, `{"code":"OPERATION_NOT_ALLOWED","message":"no"}`), nil
					case strings.Contains(r.URL.Path, "/paymentlink/"):
						return answer(http.StatusOK, document), nil
					}
					return answer(http.StatusOK, orderDocument(tc.order, tc.payments)), nil
				})
				link, err := client.PaymentLinks.Cancel(t.Context(), bookedLink)
				switch {
				case tc.review:
					require.Error(t, err)
					require.NotErrorIs(t, err, plural.ErrNotApplied)
					require.NotErrorIs(t, err, plural.ErrConflict)
					require.True(t, plural.NeedsReview(err), err)
				case tc.is != nil:
					require.ErrorIs(t, err, tc.is)
				default:
					require.NoError(t, err)
					require.Equal(t, plural.PaymentLinkStatusCancelled, link.Status)
				}
			})
		})
	}
}

// The answer to the request that cancels a link shows only that the link is
// CANCELLED. The link's order shows whether somebody paid before that.
func TestLinkCancelReadsTheOrderBeforeNil(t *testing.T) {
	t.Parallel()
	const paid = `{"id":"p-1","status":"PROCESSED","payment_amount":{"value":100000,"currency":"INR"}}`
	cancelled := strings.Replace(string(payload(t, "link_created.json")), `"CREATED"`, `"CANCELLED"`, 1)
	another := strings.Replace(orderDocument("CREATED", ""), bookedOrder, "v1-else", 1)
	for name, tc := range map[string]struct {
		status int
		order  string
		then   string // what later reads of the order show; "": the same
		is     error  // nil: the link is cancelled
		review bool
	}{
		"unpaid":       {status: http.StatusOK, order: orderDocument("CREATED", "")},
		"paid in part": {status: http.StatusOK, order: orderDocument("ATTEMPTED", paid), is: plural.ErrConflict},
		"paid":         {status: http.StatusOK, order: orderDocument("PROCESSED", paid), is: plural.ErrConflict},
		"in no known status": {
			status: http.StatusOK, order: orderDocument("ODD", ""), is: plural.ErrOutcomeUnknown, review: true,
		},
		"paid, without payments": {
			status: http.StatusOK, order: orderDocument("PROCESSED", ""), is: plural.ErrOutcomeUnknown, review: true,
		},
		"paid, and its payments are shown later": {
			status: http.StatusOK, order: orderDocument("PROCESSED", ""), then: orderDocument("PROCESSED", paid),
			is: plural.ErrConflict,
		},
		"it cannot be read": {status: http.StatusBadGateway, is: plural.ErrOutcomeUnknown},
		"it is not found": {
			status: http.StatusUnprocessableEntity, order: `{"code":"ORDER_NOT_FOUND"}`,
			is: plural.ErrOutcomeUnknown, review: true,
		},
		"another's is shown": {status: http.StatusOK, order: another, is: plural.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPut {
						return answer(http.StatusOK, cancelled), nil
					}
					if looks++; looks > 1 && tc.then != "" {
						return answer(http.StatusOK, tc.then), nil
					}
					return answer(tc.status, tc.order), nil
				})
				link, err := client.PaymentLinks.Cancel(t.Context(), bookedLink)
				if tc.is == nil {
					require.NoError(t, err)
					require.Equal(t, plural.PaymentLinkStatusCancelled, link.Status)
					return
				}
				require.ErrorIs(t, err, tc.is)
				require.Equal(t, tc.review, plural.NeedsReview(err))
				requireTidy(t, err.Error())
			})
		})
	}
}

// A link may be shown once, in the answer to its create or in the books. Then
// the SDK does not send the create again, even if the SDK cannot use the
// document that shows the link.
func TestLinkThatWasShownIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	const none = `{"code":"INVALID_REQUEST","message":"No matching records found"}`
	good := string(payload(t, "link_created.json"))
	for name, tc := range map[string]struct {
		document string
		sends    int
	}{
		"no link to open": {strings.Replace(good, "https://shortener", "http://shortener", 1), 1},
		"no amount":       {strings.Replace(good, `"amount":`, `"amount_2":`, 1), 1},
		"no order":        {strings.Replace(good, `"order_id":`, `"order":`, 1), 1},
		"no status":       {strings.Replace(good, `"CREATED"`, `""`, 1), 1},
		"another's":       {strings.Replace(good, `"own-inv-4412"`, `"own-inv-4"`, 1), 2},
		"no reference":    {strings.Replace(good, `"merchant_payment_link_reference":`, `"reference":`, 1), 1},
		"of nothing":      {`{}`, 2},
	} {
		for _, by := range []string{http.MethodPost, http.MethodGet} {
			t.Run(name+" by "+by, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					sent := map[string]int{}
					client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
						sent[r.Method]++
						switch {
						case r.Method == by && sent[by] == 1:
							return answer(http.StatusOK, tc.document), nil
						case r.Method == http.MethodPost:
							return answer(http.StatusBadGateway, ""), nil
						}
						return answer(http.StatusBadRequest, none), nil
					}, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 2}))
					_, err := client.PaymentLinks.Create(t.Context(), minimalLink())
					requireUnknown(t, err)
					require.Equal(t, tc.sends, sent[http.MethodPost])
					require.Equal(t, tc.sends == 1, plural.NeedsReview(err), "somebody is told")
				})
			})
		}
	}
}

// The SDK sends the request for a link again only if the answers prove that the
// link does not exist.
func TestLinkIsNotMadeAgainWithoutAbsence(t *testing.T) {
	t.Parallel()
	const none = `{"code":"ORDER_NOT_FOUND","message":"no"}`
	others := strings.Replace(string(payload(t, "link_created.json")), `"own-inv-4412"`, `"own-inv-4"`, 1)
	for name, read := range map[string]func(looks int) *http.Response{
		"a bare 404": func(int) *http.Response { return answer(http.StatusNotFound, `{}`) },
		"a page": func(int) *http.Response {
			return answer(http.StatusNotFound, "<html>no</html>", "Content-Type", "text/html")
		},
		"a 200":             func(int) *http.Response { return answer(http.StatusOK, none) },
		"a broken server":   func(int) *http.Response { return answer(http.StatusInternalServerError, none) },
		"another reference": func(int) *http.Response { return answer(http.StatusOK, others) },
		"at times": func(looks int) *http.Response {
			if looks%3 == 0 {
				return answer(http.StatusNotFound, `{}`)
			}
			return answer(http.StatusUnprocessableEntity, none)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sends, looks := 0, 0
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost {
						sends++
						return answer(http.StatusBadGateway, ""), nil
					}
					looks++
					return read(looks), nil
				}, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 4}))
				_, err := client.PaymentLinks.Create(t.Context(), minimalLink())
				requireUnknown(t, err)
				require.Equal(t, 1, sends)
			})
		})
	}
}

// If Plural refuses the create and the books have a link with the reference,
// the outcome depends on that link, and not on the refusal's code.
func TestLinkConflictsAreThoseOfTheBooks(t *testing.T) {
	t.Parallel()
	good := string(payload(t, "link_created.json"))
	for name, tc := range map[string]struct {
		document string
		is       error
	}{
		"the same":         {good, nil},
		"another amount":   {strings.Replace(good, "319950", "319951", 1), plural.ErrReferenceReused},
		"another currency": {strings.Replace(good, `"INR"`, `"USD"`, 1), plural.ErrReferenceReused},
		"another pre_auth": {
			strings.Replace(good, `"pre_auth": false`, `"pre_auth": "true"`, 1), plural.ErrReferenceReused,
		},
		"no pre_auth": {strings.Replace(good, `"pre_auth": false,`, ``, 1), nil},
		"no amount":   {strings.Replace(good, `"amount":`, `"amount_2":`, 1), plural.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost {
						return answer(http.StatusUnprocessableEntity, `{"code":"DUPLICATE_REQUEST","message":"no"}`), nil
					}
					return answer(http.StatusOK, tc.document), nil
				})
				began := time.Now()
				link, err := client.PaymentLinks.Create(t.Context(), minimalLink())
				if tc.is == nil {
					require.NoError(t, err)
					require.Equal(t, bookedLink, link.PaymentLinkID)
					require.Zero(t, time.Since(began))
					return
				}
				require.ErrorIs(t, err, tc.is)
				requireTidy(t, err.Error())
				require.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "meera")
			})
		})
	}
}
