package pluraltest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// recordingTB takes the place of a test and records failures. The recorded
// failures do not make the real test fail.
type recordingTB struct {
	*testing.T

	mu                  sync.Mutex
	errors, logs, fatal []string
}

func (r *recordingTB) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recordingTB) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

func (r *recordingTB) said() (errors, logs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errors), slices.Clone(r.logs)
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

func TestDoublesOfOneReference(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New(
		pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted),
		pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted),
	)
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	one, two := authorized(t, srv, "one", 5000), authorized(t, srv, "two", 5000)
	for _, id := range []string{one, two} {
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
	}
	_, err := srv.Refund(one, "back", inr(100))
	require.NoError(t, err)
	srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.FailedResult)
	require.Equal(t, 200, a.refund(two, `{"merchant_order_reference":"back"}`).status)
	srv.AssertExactlyOnce(t) // a failed refund does not count

	_, err = srv.Refund(two, "back", inr(100))
	require.NoError(t, err)
	ordered := []string{authorized(t, srv, "again", 5000), authorized(t, srv, "again", 7000)}
	require.Equal(t, []string{
		"refund back made 2 times: " + srv.Refunds(one)[0].ID + " of order " + one + ", " + srv.Refunds(two)[1].ID +
			" of order " + two,
		"order again made 2 times: " + ordered[0] + ", " + ordered[1],
	}, srv.Doubles())
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
	_, err = srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(100), Methods: []string{"CARD", "BARTER"}})
	require.ErrorContains(t, err, "Payment method")
	require.Empty(t, srv.Orders())
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
	id, open := authorized(t, srv, "r", 5000), newPayer(t, srv, pluraltest.OrderSpec{Reference: "open"}).id
	srv.Close()
	srv.Close()
	require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}), "the books stay open")
	require.Len(t, srv.Captures(id), 1)
	_, err = srv.Pay(open, pluraltest.Approve)
	require.ErrorContains(t, err, "server closed")
	require.ErrorContains(t, srv.Up(), "server closed")
}

// TestCloseWaits closes the server from two goroutines while a page and the
// merchant's handler are busy.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		work := func(d time.Duration) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) { // this handler does not read the body
				<-r.Context().Done()
				<-time.After(d)
				ended.Add(1)
			}
		}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(work(time.Second)))
		srv.Handle("/page", work(2*time.Second))
		authorized(t, srv, "r", 500)
		authorized(t, srv, "held-up", 500)
		go func() { _, _ = newAPI(t, srv).try(t.Context(), http.MethodPost, "/page", "{}") }()
		synctest.Wait()
		var closers sync.WaitGroup
		start := time.Now()
		for range 2 {
			closers.Go(func() {
				srv.Close()
				assert.Equal(t, 2*time.Second, time.Since(start))
			})
		}
		closers.Wait()
		require.Equal(t, int32(3), ended.Load(), "Close waits for two webhooks and the page")
	})
}

// TestPanicsAreReported uses pages, plans and handlers that panic. The server
// cuts the connection and reports to the test.
func TestPanicsAreReported(t *testing.T) {
	t.Parallel()
	get := func(_ *testing.T, a *api) error {
		_, err := a.try(a.t.Context(), http.MethodGet, "/api/pay/v1/orders/x", "")
		return err
	}
	nonsense := pluraltest.Fault{Answer: "gibberish"}
	for name, tt := range map[string]struct {
		plan func(pluraltest.Request) pluraltest.Fault
		call func(t *testing.T, a *api) error
		want string
	}{
		"page": {
			call: func(_ *testing.T, a *api) error {
				_, err := a.try(a.t.Context(), http.MethodGet, "/boom", "")
				return err
			},
			want: "GET /boom: panic: the page's own bug",
		},
		"nonsense of a plan": {
			plan: func(pluraltest.Request) pluraltest.Fault { return nonsense },
			call: get, want: `fault plan: fault answer gibberish, effect : there is no answer "gibberish"`,
		},
		"a plan's invalid fault, met by a plain client": {
			plan: func(pluraltest.Request) pluraltest.Fault { return nonsense },
			call: func(t *testing.T, a *api) error { t.Helper(); a.client = &http.Client{}; return get(t, a) },
			want: `there is no answer "gibberish"`,
		},
		"refusal that makes no sense": {
			plan: func(pluraltest.Request) pluraltest.Fault { return pluraltest.Refuse.After(-1) },
			call: get, want: "fault plan: fault Refuse: the delay -1ns is negative",
		},
		"bug of a plan": {
			plan: func(pluraltest.Request) pluraltest.Fault { panic("the plan's own bug") },
			call: func(t *testing.T, a *api) error { t.Helper(); a.client = &http.Client{}; return get(t, a) },
			want: "GET /api/pay/v1/orders/x: panic: the plan's own bug",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := &recordingTB{T: t}
			srv := pluraltest.NewServer(tb, pluraltest.WithFaultPlan(tt.plan))
			srv.Handle("/boom", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the page's own bug") }))
			require.Error(t, tt.call(t, newAPI(t, srv)))
			errors, _ := tb.said()
			require.Len(t, errors, 1)
			require.Contains(t, errors[0], tt.want)
			require.Contains(t, errors[0], "goroutine ", "with its stack")

			srv.SetFaultPlan(nil)
			srv.Inject(pluraltest.Match{}, pluraltest.CloseBeforeApply, pluraltest.StreamResetBeforeApply, pluraltest.Truncate)
			for range 3 {
				require.Error(t, get(t, newAPI(t, srv)))
			}
			errors, _ = tb.said()
			require.Len(t, errors, 1, "a fault that cuts the connection is not reported")
		})
	}
}

func TestPanicOfTheMerchantIsMentioned(t *testing.T) {
	t.Parallel()
	tb := &recordingTB{T: t}
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the shop's own bug") })
	srv := pluraltest.NewServer(tb, pluraltest.WithWebhookHandler(handler), pluraltest.WithWebhookSchedule())
	authorized(t, srv, "r", 500)
	require.NoError(t, srv.WaitWebhooks(t.Context()))
	errors, logs := tb.said()
	require.Empty(t, errors)
	require.Len(t, logs, 1)
	require.Contains(t, logs[0], "POST /webhook: panic: the shop's own bug")
	require.NotEmpty(t, srv.Deliveries()[0].Attempts[0].Err)
}

// TestUpKeepsTheAddress takes the server down and up while other goroutines
// read its URL.
func TestUpKeepsTheAddress(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	id := authorized(t, srv, "r", 500)
	first := srv.URL
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r, err := srv.CallbackRequest(t.Context(), id)
					assert.True(t, err == nil && r.Header.Get("Origin") == first)
				}
			}
		})
	}
	for range 5 {
		srv.Down()
		require.NoError(t, srv.Up())
	}
	close(stop)
	readers.Wait()
	require.NoError(t, srv.Up(), "it is up")
	require.Equal(t, 422, newAPI(t, srv).get("none").status)
}

func TestURLNamesTheLoopback(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "127.0.0.1:0"} {
		srv := pluraltest.NewServer(t, pluraltest.WithAddr(addr))
		require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, srv.URL)
		srv.Down()
		require.NoError(t, srv.Up())
		require.Equal(t, 422, newAPI(t, srv).get("none").status, addr)
	}
}

func TestBigBodyIsRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil) // its loopback port is free after Close
	addr := srv.Listener.Addr().String()
	srv.Close()
	plural := pluraltest.NewServer(t, pluraltest.WithAddr(addr))
	require.Equal(t, "http://"+addr, plural.URL)
	a := newAPI(t, plural)
	r, err := a.try(t.Context(), http.MethodPost, "/api/checkout/v1/orders", `{"notes":"`+string(make([]byte, 2<<20))+`"}`)
	if err == nil { // the server may close the connection before the client has sent the whole body
		require.Equal(t, http.StatusBadRequest, r.status)
	}
	require.Empty(t, plural.Orders())
	requests := plural.RequestsTo(pluraltest.OpOrdersCreate)
	require.Len(t, requests, 1)
	require.Len(t, requests[0].Body, 1<<20)
	require.Equal(t, http.StatusBadRequest, requests[0].Status)
}
