package pluralriver_test

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
	pluralriver "github.com/plural-go/plural/contrib/river"
)

type linkBooks func(r *http.Request) (status int, body string)

func (b linkBooks) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := http.StatusOK, `{"access_token":"token","expires_in":3600}`
	if !strings.HasSuffix(r.URL.Path, "/token") {
		status, body = b(r)
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func (b linkBooks) client(t *testing.T) *plural.Client {
	t.Helper()
	client, err := plural.NewClient(plural.Credentials{ClientID: "shop", ClientSecret: "secret-of-the-shop"},
		plural.WithHTTPClient(&http.Client{Transport: b}), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	return client
}

func linkOf(status string, amount int64) string {
	return fmt.Sprintf(`{"payment_link":"https://s.example/x","payment_link_id":"pl-1","order_id":"v1-1",`+
		`"merchant_payment_link_reference":"deposit-1","status":%q,"amount":{"value":%d,"currency":"INR"},"pre_auth":true}`,
		status, amount)
}

const noLink = `{"code":"ORDER_NOT_FOUND","message":"no"}`

// A later run of a job reads the books for three seconds. The run sends its
// link only if every read shows that Plural does not have the link. If the link
// expires meanwhile, the job does not end, because the link may have been paid.
func TestLaterRunLooksForItsLink(t *testing.T) {
	t.Parallel()
	type say func(since time.Duration) (int, string)
	always := func(status int, body string) say { return func(time.Duration) (int, string) { return status, body } }
	for name, tc := range map[string]struct {
		say   say
		found bool
		is    error // the error that FindLink's error must match, or nil
		fails bool  // FindLink returns an error, so the run does not send its link
	}{
		"there":      {say: always(http.StatusOK, linkOf("CREATED", 5000)), found: true},
		"not there":  {say: always(http.StatusUnprocessableEntity, noLink)},
		"other":      {say: always(http.StatusOK, linkOf("CREATED", 6000)), is: plural.ErrReferenceReused, fails: true},
		"odd":        {say: always(http.StatusOK, linkOf("CREATED", 0)), fails: true},
		"broken":     {say: always(http.StatusInternalServerError, noLink), fails: true},
		"a page":     {say: always(http.StatusNotFound, "<html>not found</html>"), fails: true},
		"a bare 404": {say: always(http.StatusNotFound, "{}"), fails: true},
		"late": {say: func(since time.Duration) (int, string) {
			if since < 2500*time.Millisecond {
				return http.StatusUnprocessableEntity, noLink
			}
			return http.StatusOK, linkOf("EXPIRED", 5000)
		}, found: true},
		"gone again": {say: func(since time.Duration) (int, string) {
			if since < time.Second {
				return http.StatusUnprocessableEntity, noLink
			}
			return http.StatusServiceUnavailable, ""
		}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				client := linkBooks(func(r *http.Request) (int, string) {
					require.Equal(t, http.MethodGet, r.Method)
					return tc.say(time.Since(began))
				}).client(t)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the shortest allowed
				defer cancel()
				link, err := pluralriver.FindLink(ctx, client, pluralriver.LinkArgs{
					Reference: "deposit-1", Amount: plural.INR(5000), PreAuth: true, ExpireBy: began.Add(-time.Hour),
				}, true)
				require.Equal(t, tc.found, link != nil)
				require.Equal(t, tc.fails, err != nil, err)
				require.NotErrorIs(t, err, plural.ErrNotApplied)
				require.NotErrorIs(t, err, plural.ErrInvalidRequest)
				if tc.is != nil {
					require.ErrorIs(t, err, tc.is)
				} else {
					require.NotErrorIs(t, err, plural.ErrConflict)
				}
				if link == nil && err == nil {
					require.GreaterOrEqual(t, time.Since(began), 3*time.Second)
				}
			})
		})
	}
}

// A new job may have the reference of a job that has ended. If Plural does not
// keep references unique, the new job could make a second link. So the first
// run, too, looks for a link before it makes one.
func TestFirstRunLooksForItsLink(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		found  bool
		is     error
	}{
		"there":     {status: http.StatusOK, body: linkOf("CREATED", 5000), found: true},
		"other":     {status: http.StatusOK, body: linkOf("CREATED", 6000), is: plural.ErrReferenceReused},
		"not there": {status: http.StatusUnprocessableEntity, body: noLink},
		"broken":    {status: http.StatusInternalServerError, body: noLink},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			looks := 0
			client := linkBooks(func(r *http.Request) (int, string) {
				require.Equal(t, http.MethodGet, r.Method)
				looks++
				return tc.status, tc.body
			}).client(t)
			args := pluralriver.LinkArgs{Reference: "deposit-1", Amount: plural.INR(5000), PreAuth: true}
			link, err := pluralriver.FindLink(t.Context(), client, args, false)
			require.Equal(t, tc.found, link != nil)
			require.ErrorIs(t, err, tc.is)
			require.Equal(t, 1, looks)
		})
	}
}

// If the first run of a job comes after ExpireBy, the link cannot be made any
// more. But an earlier job with the same reference may have made it, and it may
// have been paid. So the job ends only if the books have no such link.
func TestFirstRunAfterTheLinkExpired(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		found  bool
		fails  bool          // FindLink returns an error, so the run does not send its link
		left   time.Duration // until ExpireBy
	}{
		"there":     {status: http.StatusOK, body: linkOf("PROCESSED", 5000), found: true},
		"not there": {status: http.StatusUnprocessableEntity, body: noLink},
		"broken":    {status: http.StatusInternalServerError, body: noLink, fails: true},
		"a page":    {status: http.StatusNotFound, body: "<html>not found</html>", fails: true},
		"meanwhile": {status: http.StatusInternalServerError, body: noLink, fails: true, left: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := linkBooks(func(r *http.Request) (int, string) {
					require.Equal(t, http.MethodGet, r.Method)
					time.Sleep(3 * time.Second)
					return tc.status, tc.body
				}).client(t)
				link, err := pluralriver.FindLink(t.Context(), client, pluralriver.LinkArgs{
					Reference: "deposit-1", Amount: plural.INR(5000), PreAuth: true, ExpireBy: time.Now().Add(tc.left),
				}, false)
				require.Equal(t, tc.found, link != nil)
				require.Equal(t, tc.fails, err != nil, err)
				require.NotErrorIs(t, err, plural.ErrInvalidRequest)
			})
		})
	}
}

// Printing the arguments of a job shows nothing of the customer.
func TestLinkArgsPrintNoCustomer(t *testing.T) {
	t.Parallel()
	args := pluralriver.LinkArgs{
		Reference: "deposit-1", Customer: &plural.Customer{FirstName: "Asha", MobileNumber: "9000000001"},
	}
	text := fmt.Sprintf("%v %+v %#v %v", args, args, args, &args)
	require.Contains(t, text, "deposit-1")
	require.NotContains(t, text, "Asha")
	require.NotContains(t, text, "9000000001")
}

// If a link is cancelled, but its order may be paid, the run calls
// PaymentLinks.Cancel. That call finds out that the payer was faster. The payer
// may have paid a part, which the order's status does not show.
func TestLaterRunOfACancelLooksAtTheOrder(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status, payments string
		found            bool
	}{
		"unpaid":         {status: "CREATED", found: true},
		"attempted":      {status: "ATTEMPTED", found: true},
		"a failed try":   {status: "ATTEMPTED", payments: "FAILED", found: true},
		"under way":      {status: "PENDING"},
		"held":           {status: "AUTHORIZED"},
		"paid":           {status: "PROCESSED"},
		"paid back":      {status: "FULLY_REFUNDED"},
		"other":          {status: "OTHER"},
		"a part paid":    {status: "CREATED", payments: "PROCESSED"},
		"a part held":    {status: "ATTEMPTED", payments: "AUTHORIZED"},
		"a part to come": {status: "ATTEMPTED", payments: "PENDING"},
		"an odd part":    {status: "CREATED", payments: "OTHER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payments := ""
			if tc.payments != "" {
				payments = fmt.Sprintf(`{"id":"v1-p","status":%q,"payment_amount":{"value":2000,"currency":"INR"}}`, tc.payments)
			}
			client := linkBooks(func(r *http.Request) (int, string) {
				if strings.Contains(r.URL.Path, "/paymentlink/") {
					return http.StatusOK, linkOf("CANCELLED", 5000)
				}
				return http.StatusOK, fmt.Sprintf(`{"data":{"order_id":"v1-1","status":%q,"payments":[%s]}}`, tc.status, payments)
			}).client(t)
			link, err := pluralriver.FindLink(t.Context(), client, pluralriver.LinkCancelArgs{PaymentLinkID: "pl-1"}, true)
			require.NoError(t, err)
			require.Equal(t, tc.found, link != nil)
		})
	}
}
