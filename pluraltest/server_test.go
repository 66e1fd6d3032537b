package pluraltest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// recordingTB is a test that can fail without failing this one.
type recordingTB struct {
	*testing.T

	errors, fatal []string
}

func (r *recordingTB) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recordingTB) Fatalf(format string, args ...any) {
	r.fatal = append(r.fatal, fmt.Sprintf(format, args...))
	panic(r)
}

func TestAssertExactlyOnceFailsOnADouble(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New(pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted))
	t.Cleanup(srv.Close)
	id := authorized(t, srv, "r", 5000)
	require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
	for range 2 {
		_, err := srv.Refund(id, "back", inr(100))
		require.NoError(t, err)
	}
	tb := &recordingTB{T: t}
	srv.AssertExactlyOnce(tb)
	require.Len(t, tb.errors, 1)
	require.Contains(t, tb.errors[0], "refund back made 2 times")
	require.Equal(t, srv.Refunds(id)[1].ID, srv.OrdersByReference("back")[1].ID)
}

func TestNewServerFailsTheTestWhenItCannotListen(t *testing.T) {
	t.Parallel()
	tb := &recordingTB{T: t}
	require.Panics(t, func() { pluraltest.NewServer(tb, pluraltest.WithAddr("127.0.0.1:notaport")) })
	require.Len(t, tb.fatal, 1)
}

func TestCertificateIsTrustedByClientOnly(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithTLS())
	require.NoError(t, srv.Certificate().VerifyHostname("127.0.0.1"))
	a := newAPI(t, srv)
	require.Equal(t, http.StatusUnprocessableEntity, a.get("none").status)
	require.Equal(t, "HTTP/1.1", srv.Requests()[0].Proto)
	a.client = &http.Client{Transport: &http.Transport{}}
	_, err := a.try(t.Context(), http.MethodGet, "/api/pay/v1/orders/x", "")
	require.ErrorContains(t, err, "certificate")
	require.Nil(t, pluraltest.NewServer(t).Certificate())
}

func TestClock(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	srv.Advance(time.Hour)
	srv.SetClock(func() time.Time { return noon })
	require.Equal(t, noon, srv.Now())
	srv.Advance(time.Minute)
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(100)})
	require.NoError(t, err)
	order, _ := srv.Order(id)
	require.Equal(t, noon.Add(time.Minute), order.CreatedAt)
	require.Contains(t, string(srv.Document(id)), `"created_at":"2026-01-01T12:01:00.000Z"`)
}

func TestBooksOfUnknownOrders(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	_, ok := srv.Order("none")
	require.False(t, ok)
	require.Empty(t, srv.Captures("none"))
	require.Empty(t, srv.Cancels("none"))
	require.Empty(t, srv.Refunds("none"))
	require.Empty(t, srv.OrdersByReference("none"))
	require.Error(t, srv.Capture("none", "c", inr(100)))
	require.Error(t, srv.Cancel("none"))
	_, err := srv.Refund("none", "r", inr(100))
	require.Error(t, err)
	_, err = srv.AddOrder(pluraltest.OrderSpec{Amount: inr(100)})
	require.ErrorContains(t, err, "must not be empty")
	_, err = srv.AddOrder(pluraltest.OrderSpec{Reference: "r"})
	require.ErrorContains(t, err, "Amount")
}

func TestRequestsAreNoted(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id := authorized(t, srv, "r", 5000)
	for range 2 {
		a.capture(id, `{"merchant_capture_reference":"c"}`)
	}
	a.get(id)
	requests := srv.Requests()
	require.Len(t, requests, 3)
	first, second := requests[0], requests[1]
	require.Equal(t, 1, first.Seq)
	require.Equal(t, pluraltest.OpCapturesCreate, first.Op)
	require.Equal(t, http.MethodPut, first.Method)
	require.Equal(t, "/api/pay/v1/orders/"+id+"/capture", first.Path)
	require.Equal(t, id, first.OrderID)
	require.Equal(t, "c", first.Reference)
	require.Equal(t, "rid-1", first.RequestID)
	require.JSONEq(t, `{"merchant_capture_reference":"c"}`, string(first.Body))
	require.Equal(t, "application/json", first.Header.Get("Content-Type"))
	require.False(t, first.Reused)
	require.True(t, second.Reused)
	require.Equal(t, []int{1, 2}, []int{first.Attempt, second.Attempt})
	require.Equal(t, []int{200, 422}, []int{first.Status, second.Status})
	require.Len(t, srv.RequestsTo(pluraltest.OpOrdersGet), 1)
	require.Equal(t, "rid-1", srv.Captures(id)[0].RequestID)
}

func TestHandleAddsPages(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithOutboundClient(&http.Client{}))
	srv.Handle("/hello", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }))
	a := newAPI(t, srv)
	require.Equal(t, "hi", string(a.do(http.MethodGet, "/hello", "").body))
	require.Empty(t, srv.Requests(), "pages are not API requests")
}

func TestCloseTwiceAndUseAfter(t *testing.T) {
	t.Parallel()
	srv, err := pluraltest.Start()
	require.NoError(t, err)
	id := authorized(t, srv, "r", 5000)
	srv.Close()
	srv.Close()
	require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}), "the books stay open")
	require.Len(t, srv.Captures(id), 1)
}

func TestBigBodyIsRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil) // a loopback port that is certainly free afterwards
	addr := srv.Listener.Addr().String()
	srv.Close()
	plural := pluraltest.NewServer(t, pluraltest.WithAddr(addr))
	require.Equal(t, "http://"+addr, plural.URL)
	a := newAPI(t, plural)
	r, err := a.try(t.Context(), http.MethodPost, "/api/checkout/v1/orders", `{"notes":"`+string(make([]byte, 2<<20))+`"}`)
	if err == nil { // the server may hang up before the client has sent it all
		require.Equal(t, http.StatusBadRequest, r.status)
	}
	require.Empty(t, plural.Orders())
}
