package plural_test

import (
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

// What the books say of a refund, asked without sending anything.
func TestFindRefund(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpRefundsCreate, partAmount)
		c := newClient(t, d.srv)
		_, err := c.Refunds.Find(t.Context(), w.orderID, w.reference)
		require.ErrorIs(t, err, plural.ErrNotFound)

		d.refund(w.orderID, w.reference, partAmount)
		r, err := c.Refunds.Find(t.Context(), w.orderID, w.reference)
		require.NoError(t, err)
		require.Equal(t, plural.INR(partAmount), r.OrderAmount)

		other := d.ready(pluraltest.OpRefundsCreate, partAmount)
		_, err = c.Refunds.Find(t.Context(), other.orderID, w.reference)
		require.ErrorIs(t, err, plural.ErrReferenceReused)
		require.ErrorIs(t, err, plural.ErrNotApplied)
		require.Empty(t, d.srv.RequestsTo(pluraltest.OpRefundsCreate), "nothing may be sent")
	})
}

// refundServer is a parent order and its refunds, for what no emulator does by
// itself.
type refundServer struct {
	posts   int
	refunds []string // documents, in the order of their arrival
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

// Only statuses that are known to be alive are carried out, and only those that
// are known to be dead are final.
func TestRefundStatuses(t *testing.T) {
	t.Parallel()
	for status, is := range map[string]error{
		"PROCESSED": nil, "PENDING": nil, "CREATED": nil,
		"FAILED": plural.ErrNotApplied, "CANCELLED": plural.ErrNotApplied,
		"REJECTED": plural.ErrOutcomeUnknown, "DECLINED": plural.ErrOutcomeUnknown,
		"REVERSED": plural.ErrOutcomeUnknown, "EXPIRED": plural.ErrOutcomeUnknown,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &refundServer{refunds: []string{refundDocument("v1-r", status)}}
			s.post = func(int) (*http.Response, error) { return answer(200, `{"data":`+s.refunds[0]+`}`), nil }
			_, err := s.create(t)
			if is == nil {
				require.NoError(t, err, status)
				return
			}
			require.ErrorIs(t, err, is, status)
		})
	}
}

// A server that checks and then inserts, and whose books lag: the refund is
// sent again only after three seconds without a sight of it, and where that was
// too soon all the same, the caller is told.
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
