package plural_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The function deliver passes a webhook to the handler, and returns the status
// of the answer.
func deliver(h http.Handler, header http.Header, body []byte) int {
	return serve(h, webhookRequest(header, body)).Code
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// countFunc returns a function that NewWebhookHandler accepts. The function
// only counts how often it is called.
func countFunc(calls *atomic.Int32) func(context.Context, *plural.Event) error {
	return func(context.Context, *plural.Event) error {
		calls.Add(1)
		return nil
	}
}

func TestWebhookHandlerHandlesAnEventOnce(t *testing.T) {
	t.Parallel()
	var events []*plural.Event
	h := plural.NewWebhookHandler(webhookVerifier(t), func(_ context.Context, e *plural.Event) error {
		events = append(events, e)
		return nil
	})
	header, body := goodWebhook(webhookBody)
	for range 3 {
		require.Equal(t, http.StatusOK, deliver(h, header, body))
	}
	require.Len(t, events, 1)
	require.Equal(t, webhookID, events[0].ID)
	require.Equal(t, plural.EventOrderAuthorized, events[0].Type)
	order, err := events[0].Order()
	require.NoError(t, err)
	require.Equal(t, "v1-2511220915-aa-Zq7Lm2", order.OrderID)

	// Only webhook-id tells events apart. Two deliveries with the same body
	// but with different ids are two events. A redelivery has a new
	// timestamp and the same id, so it is the same event.
	other := webhookHeader(
		"msg_other", "1763802000", naiveWebhookSignature([]byte(signatureSecret), "msg_other", "1763802000", webhookBody),
	)
	require.Equal(t, http.StatusOK, deliver(h, other, body))
	require.Len(t, events, 2)
	restamped, body := signedWebhook([]byte(signatureSecret), webhookClock().Unix()+60, webhookBody)
	require.Equal(t, http.StatusOK, deliver(h, restamped, body))
	require.Len(t, events, 2)
}

func TestWebhookHandlerPassesUnknownEventsOn(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"event_type":"ORDER_TELEPORTED","data":{"x":[1,{}]},"later":true}`,
		`{"payload":"payload"}`, `{}`,
	} {
		var got string
		h := plural.NewWebhookHandler(webhookVerifier(t), func(_ context.Context, e *plural.Event) error {
			got = string(e.RawJSON())
			return nil
		})
		header, raw := goodWebhook(body)
		require.Equal(t, http.StatusOK, deliver(h, header, raw))
		require.Equal(t, body, got)
	}
}

func TestWebhookHandlerRefuses(t *testing.T) {
	t.Parallel()
	good, body := goodWebhook(webhookBody)
	with := func(change func(r *http.Request)) *http.Request {
		r := webhookRequest(good, body)
		change(r)
		return r
	}
	setBody := func(r *http.Request, body string, length int64) {
		r.Body = io.NopCloser(strings.NewReader(body))
		r.ContentLength = length
	}
	big := strings.Repeat("x", 2<<20)
	for name, tc := range map[string]struct {
		request *http.Request
		status  int
		reason  plural.VerificationReason
	}{
		"GET":        {with(func(r *http.Request) { r.Method = http.MethodGet }), http.StatusMethodNotAllowed, ""},
		"HEAD":       {with(func(r *http.Request) { r.Method = http.MethodHead }), http.StatusMethodNotAllowed, ""},
		"PUT":        {with(func(r *http.Request) { r.Method = http.MethodPut }), http.StatusMethodNotAllowed, ""},
		"no headers": {with(func(r *http.Request) { r.Header = nil }), http.StatusBadRequest, plural.ReasonWebhookID},
		"no id": {
			with(func(r *http.Request) { r.Header.Del("webhook-id") }), http.StatusBadRequest,
			plural.ReasonWebhookID,
		},
		"bad timestamp": {
			with(func(r *http.Request) { r.Header.Set("webhook-timestamp", "now") }),
			http.StatusBadRequest, plural.ReasonWebhookTimestamp,
		},
		"no signature": {
			with(func(r *http.Request) { r.Header.Del("webhook-signature") }), http.StatusUnauthorized,
			plural.ReasonSignatureMissing,
		},
		"wrong signature": {
			with(func(r *http.Request) { setBody(r, "{}", 2) }), http.StatusUnauthorized,
			plural.ReasonSignatureMismatch,
		},
		"compressed": {
			with(func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }),
			http.StatusBadRequest, plural.ReasonContentEncoding,
		},
		"empty body": {
			with(func(r *http.Request) { setBody(r, "", 0) }), http.StatusBadRequest,
			plural.ReasonBodyEmpty,
		},
		"nil body": {with(func(r *http.Request) { r.Body = nil }), http.StatusBadRequest, plural.ReasonBodyEmpty},
		"announced big": {
			with(func(r *http.Request) { setBody(r, big, int64(len(big))) }),
			http.StatusRequestEntityTooLarge, plural.ReasonBodyTooLarge,
		},
		"chunked big": {
			with(func(r *http.Request) { setBody(r, big, -1) }), http.StatusRequestEntityTooLarge,
			plural.ReasonBodyTooLarge,
		},
		"announced 4 GiB": {
			with(func(r *http.Request) { setBody(r, "{}", 4<<30) }), http.StatusRequestEntityTooLarge,
			plural.ReasonBodyTooLarge,
		},
		"more than announced": {
			with(func(r *http.Request) { setBody(r, big, 2) }), http.StatusRequestEntityTooLarge,
			plural.ReasonBodyTooLarge,
		},
		"broken body": {with(func(r *http.Request) {
			r.Body = io.NopCloser(iotest.ErrReader(errors.New("connection reset")))
		}), http.StatusBadRequest, plural.ReasonBodyUnreadable},
		"not JSON, but signed": {signedRequest("hello"), http.StatusBadRequest, plural.ReasonJSON},
		"stale": {func() *http.Request {
			header, body := signedWebhook([]byte(signatureSecret), webhookClock().Unix()-301, webhookBody)
			return webhookRequest(header, body)
		}(), http.StatusUnauthorized, plural.ReasonTimestampPast},
		"from the future": {func() *http.Request {
			header, body := signedWebhook([]byte(signatureSecret), webhookClock().Unix()+301, webhookBody)
			return webhookRequest(header, body)
		}(), http.StatusUnauthorized, plural.ReasonTimestampFuture},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			var calls atomic.Int32
			deduper := new(scriptedDeduper)
			h := plural.NewWebhookHandler(webhookVerifier(t), countFunc(&calls), plural.WithDeduper(deduper),
				plural.WithHandlerLogger(slog.New(slog.NewTextHandler(&log, nil))))
			w := serve(h, tc.request)
			require.Equal(t, tc.status, w.Code)
			require.Zero(t, calls.Load())
			require.Empty(t, deduper.calls, "no unverified delivery reaches the Deduper")
			require.Equal(t, http.StatusText(tc.status)+"\n", w.Body.String())
			if tc.status == http.StatusMethodNotAllowed {
				require.Equal(t, http.MethodPost, w.Header().Get("Allow"))
				return
			}
			require.Contains(t, log.String(), fmt.Sprintf("status=%d", tc.status))
			require.Contains(t, log.String(), ": "+string(tc.reason)+`"`)
		})
	}
}

func signedRequest(body string) *http.Request {
	header, raw := goodWebhook(body)
	return webhookRequest(header, raw)
}

func TestWebhookHandlerMaxBody(t *testing.T) {
	t.Parallel()
	for most, accepted := range map[int64]bool{
		int64(len(webhookBody)): true, int64(len(webhookBody)) - 1: false, 0: true, -1: true, math.MaxInt64: true,
		math.MaxInt64 - 1: true, 1: false,
	} {
		var calls atomic.Int32
		h := plural.NewWebhookHandler(webhookVerifier(t), countFunc(&calls), plural.WithMaxBody(most))
		for _, announced := range []bool{true, false} {
			r := signedRequest(webhookBody)
			if !announced {
				r.ContentLength = -1
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusRequestEntityTooLarge}[accepted]
			require.Equal(t, want, serve(h, r).Code, most)
		}
	}
}

func TestWebhookHandlerErrorIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	var calls int
	var log bytes.Buffer
	h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error {
		calls++
		if calls == 1 {
			return errors.New("the database is away")
		}
		return nil
	}, plural.WithHandlerLogger(slog.New(slog.NewTextHandler(&log, nil))))
	header, body := goodWebhook(webhookBody)
	w := serve(h, webhookRequest(header, body))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "database", "the sender is not told why")
	require.Contains(t, log.String(), "the database is away")
	require.Contains(t, log.String(), webhookID)

	require.Equal(t, http.StatusOK, deliver(h, header, body))
	require.Equal(t, http.StatusOK, deliver(h, header, body))
	require.Equal(t, 2, calls)
}

func TestWebhookHandlerPanic(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"error": errors.New("boom"), "text": "boom", "abort": http.ErrAbortHandler,
		"nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls int
			var log bytes.Buffer
			h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error {
				calls++
				if calls == 1 {
					panic(value)
				}
				return nil
			}, plural.WithHandlerLogger(slog.New(slog.NewTextHandler(&log, nil))))
			header, body := goodWebhook(webhookBody)
			require.NotPanics(t, func() {
				require.Equal(t, http.StatusInternalServerError, deliver(h, header, body))
			})
			require.Contains(t, log.String(), "webhook function panicked")
			require.Contains(t, log.String(), "webhook_handler_test.go", "the stack")
			require.Contains(t, log.String(), webhookID)
			require.NotContains(t, log.String(), "v1-2511220915-aa-Zq7Lm2", "the log has no data of the event")

			require.Equal(t, http.StatusOK, deliver(h, header, body), "the claim was released")
			require.Equal(t, 2, calls)
		})
	}
}

// A test that fails inside the handler's function ends the goroutine without a
// panic.
func TestWebhookHandlerGoexitReleasesTheClaim(t *testing.T) {
	t.Parallel()
	var calls int
	h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error {
		calls++
		if calls == 1 {
			runtime.Goexit()
		}
		return nil
	})
	header, body := goodWebhook(webhookBody)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		deliver(h, header, body)
	}()
	<-ended
	require.Equal(t, http.StatusOK, deliver(h, header, body))
	require.Equal(t, 2, calls)
}

func TestWebhookHandlerConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const deliveries = 50
		var calls atomic.Int32
		finish := make(chan struct{})
		h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error {
			calls.Add(1)
			<-finish
			return nil
		})
		header, body := goodWebhook(webhookBody)
		statuses := make(chan int, deliveries)
		for range deliveries {
			go func() { statuses <- deliver(h, header, body) }()
		}
		synctest.Wait()
		require.Len(t, statuses, deliveries-1, "all deliveries are answered except the one that is being handled")
		for range deliveries - 1 {
			require.Equal(t, http.StatusConflict, <-statuses)
		}
		close(finish)
		require.Equal(t, http.StatusOK, <-statuses)
		require.Equal(t, http.StatusOK, deliver(h, header, body))
		require.Equal(t, int32(1), calls.Load())
	})
}

type contextKey struct{}

// Plural hangs up after five seconds. That must not roll back the merchant's
// work.
func TestWebhookHandlerSenderHangsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls int
		h := plural.NewWebhookHandler(webhookVerifier(t), func(ctx context.Context, _ *plural.Event) error {
			calls++
			require.Equal(t, "value", ctx.Value(contextKey{}))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Second):
				return nil
			}
		})
		sender, cancel := context.WithTimeout(context.WithValue(t.Context(), contextKey{}, "value"), 5*time.Second)
		defer cancel()
		header, body := goodWebhook(webhookBody)
		require.Equal(t, http.StatusOK, serve(h, webhookRequest(header, body).WithContext(sender)).Code)
		require.ErrorIs(t, sender.Err(), context.DeadlineExceeded)
		require.Equal(t, http.StatusOK, deliver(h, header, body))
		require.Equal(t, 1, calls)
	})
}

// Here the webhook comes over a real connection. When the connection closes,
// the server cancels the request's context.
func TestWebhookHandlerSenderHangsUpOverHTTP(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	hangUp := make(chan struct{})
	requestEnded := make(chan (<-chan struct{}), 1)
	handled := make(chan error, 1)
	h := plural.NewWebhookHandler(webhookVerifier(t), func(ctx context.Context, _ *plural.Event) error {
		calls.Add(1)
		hangUp <- struct{}{}
		<-<-requestEnded
		handled <- ctx.Err()
		return nil
	})
	served := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requestEnded <- r.Context().Done():
		default:
		}
		h.ServeHTTP(w, r)
		served <- struct{}{}
	}))
	defer server.Close()

	header, body := goodWebhook(webhookBody)
	post := func(ctx context.Context) (int, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, bytes.NewReader(body))
		require.NoError(t, err)
		r.Header = header.Clone()
		resp, err := server.Client().Do(r)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	sender, cancel := context.WithCancel(t.Context())
	go func() {
		<-hangUp
		cancel()
	}()
	_, err := post(sender)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, <-handled, "the function's context outlives the request's")
	<-served

	status, err := post(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "the work was recorded, although the sender had hung up")
	require.Equal(t, int32(1), calls.Load())
}

func TestWebhookHandlerContextEndsBeforeTheLease(t *testing.T) {
	t.Parallel()
	for lease, want := range map[time.Duration]time.Duration{
		-1:               55 * time.Second, // the default
		0:                55 * time.Second,
		time.Nanosecond:  5 * time.Second, // this lease is too short for any function, so the handler uses ten seconds
		5 * time.Second:  5 * time.Second,
		10 * time.Second: 5 * time.Second,
		11 * time.Second: 6 * time.Second,
		10 * time.Minute: 10*time.Minute - 5*time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			deduper := new(scriptedDeduper)
			start := time.Now()
			h := plural.NewWebhookHandler(webhookVerifier(t), func(ctx context.Context, _ *plural.Event) error {
				<-ctx.Done()
				return ctx.Err()
			}, plural.WithLease(lease), plural.WithDeduper(deduper))
			header, body := goodWebhook(webhookBody)
			require.Equal(t, http.StatusInternalServerError, deliver(h, header, body))
			require.Equal(t, want, time.Since(start))
			require.Equal(t, want+5*time.Second, deduper.lease)
			require.Equal(t, []string{"claim", "release"}, deduper.calls)
		})
	}
}

// The handler's function ignores its context and runs longer than the lease, so
// a second worker handles the redelivery. If the first worker then succeeds
// late, that must not count as the second worker's success.
func TestWebhookHandlerAttackOutlastsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var log bytes.Buffer
		h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error {
			if calls.Add(1) == 1 {
				<-time.After(90 * time.Second) // the first worker ends while the second is still busy
			} else {
				<-time.After(50 * time.Second)
			}
			return nil
		}, plural.WithHandlerLogger(slog.New(slog.NewTextHandler(&log, nil))))
		header, body := goodWebhook(webhookBody)
		first, second := make(chan int, 1), make(chan int, 1)
		go func() { first <- deliver(h, header, body) }()
		<-time.After(59 * time.Second)
		require.Equal(t, http.StatusConflict, deliver(h, header, body))
		<-time.After(2 * time.Second)
		go func() { second <- deliver(h, header, body) }()

		require.Equal(t, http.StatusInternalServerError, <-first, "the claim is lost")
		require.Contains(t, log.String(), "webhook handled and not recorded")
		require.Equal(t, http.StatusConflict, deliver(h, header, body), "the second worker still has the event")
		require.Equal(t, http.StatusOK, <-second)
		require.Equal(t, http.StatusOK, deliver(h, header, body))
		require.Equal(t, int32(2), calls.Load())
	})
}

func TestWebhookHandlerMadeWrongly(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var log bytes.Buffer
	logger := plural.WithHandlerLogger(slog.New(slog.NewTextHandler(&log, nil)))
	header, body := goodWebhook(webhookBody)
	require.Equal(
		t, http.StatusInternalServerError, deliver(plural.NewWebhookHandler(nil, countFunc(&calls), logger), header, body),
	)
	require.Equal(
		t, http.StatusInternalServerError, deliver(plural.NewWebhookHandler(webhookVerifier(t), nil, logger), header, body),
	)
	for name, tc := range map[string]struct {
		opt  plural.HandlerOption
		want int
	}{
		"the deduper is nil":  {plural.WithDeduper(nil), http.StatusServiceUnavailable},
		"deduper is nil":      {plural.WithDeduper((*plural.MemoryDeduper)(nil)), http.StatusServiceUnavailable},
		"an option is nil":    {nil, http.StatusInternalServerError},
		"the logger is nil":   {plural.WithHandlerLogger(nil), http.StatusInternalServerError},
		"the merchant's name": {plural.WithMerchant("a/b"), http.StatusInternalServerError},
	} {
		log.Reset()
		h := plural.NewWebhookHandler(webhookVerifier(t), countFunc(&calls), logger, tc.opt)
		require.Contains(t, log.String(), name, "the mistake is logged when the handler is made")
		require.Equal(t, tc.want, deliver(h, header, body), name)
	}
	log.Reset()
	h := plural.NewWebhookHandler(new(plural.Verifier), countFunc(&calls), logger)
	require.Equal(t, http.StatusInternalServerError, deliver(h, header, body))
	require.Contains(t, log.String(), "the verifier is nil")
	require.Zero(t, calls.Load())
}

func TestWebhookHandlerBodyThatPanics(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	r := signedRequest(webhookBody)
	r.Body = io.NopCloser(panickingReader{})
	w := httptest.NewRecorder()
	require.NotPanics(t, func() { plural.NewWebhookHandler(webhookVerifier(t), countFunc(&calls)).ServeHTTP(w, r) })
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Zero(t, calls.Load())
}

type panickingReader struct{}

func (panickingReader) Read([]byte) (int, error) { panic("broken middleware") }

// Over a socket, a chunked body arrives slowly and in pieces.
func TestWebhookHandlerOverHTTP(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(plural.NewWebhookHandler(webhookVerifier(t), countFunc(&calls)))
	defer server.Close()
	post := func(body io.Reader, header http.Header) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
		require.NoError(t, err)
		r.Header = header.Clone()
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	header, body := goodWebhook(webhookBody)
	require.Equal(
		t, http.StatusOK, post(struct{ io.Reader }{iotest.OneByteReader(bytes.NewReader(body))}, header), "chunked",
	)
	require.Equal(t, http.StatusOK, post(bytes.NewReader(body), header), "a repeated delivery, with a length")
	require.Equal(t, int32(1), calls.Load())

	repeated := header.Clone()
	repeated.Add("Webhook-Signature", repeated.Get("Webhook-Signature"))
	require.Equal(t, http.StatusUnauthorized, post(bytes.NewReader(body), repeated), "the header comes twice")
	require.Equal(
		t,
		http.StatusRequestEntityTooLarge,
		post(struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 1<<20+1))}, header),
	)
}
