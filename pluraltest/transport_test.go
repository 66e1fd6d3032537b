package pluraltest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestHungRequestInBubble(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := pluraltest.New(opts...)
				defer srv.Close()
				a := newAPI(t, srv)
				id := authorized(t, srv, "hang-1", 5000)
				srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.HangAfterApply)

				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				_, err := a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"c"}`)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 10*time.Second, time.Since(start))
				require.Equal(t, "PROCESSED", a.get(id).data(t)["status"])
				require.Len(t, srv.Captures(id), 1)
			})
		})
	}
}

func TestCloseEndsHungRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		a := newAPI(t, srv)
		srv.Inject(pluraltest.Match{}, pluraltest.HangBeforeApply)
		failed := make(chan error)
		go func() {
			_, err := a.try(t.Context(), "GET", "/api/pay/v1/orders/x", "")
			failed <- err
		}()
		synctest.Wait()
		srv.Close()
		require.Error(t, <-failed)
		_, err := a.try(t.Context(), "GET", "/api/pay/v1/orders/x", "")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestRefuseWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		defer srv.Close()
		a := newAPI(t, srv)
		id := authorized(t, srv, "refuse-1", 5000)
		require.Equal(t, 200, a.get(id).status) // this request leaves a connection that can be reused
		srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.Refuse)

		var wrote, got bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn:      func(httptrace.GotConnInfo) { got = true },
			WroteHeaders: func() { wrote = true },
		})
		_, err := a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"c"}`)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.False(t, wrote)
		require.False(t, got)
		require.Empty(t, srv.RequestsTo(pluraltest.OpCapturesCreate))
		log := srv.FaultLog()
		require.Len(t, log, 1)
		require.Equal(t, pluraltest.EffectNotApplied, log[0].Effect)
		require.Equal(t, 200, a.capture(id, `{"merchant_capture_reference":"c"}`).status)
	})
}

func TestApplyLateInBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		defer srv.Close()
		a := newAPI(t, srv)
		id := authorized(t, srv, "late-1", 5000)
		srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ApplyLate.After(7*time.Second))

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := a.try(ctx, "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"c"}`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, pluraltest.EffectWaiting, srv.FaultLog()[0].Effect)
		passTime(6 * time.Second)
		require.Equal(t, "AUTHORIZED", a.get(id).data(t)["status"])
		passTime(2 * time.Second)
		require.Equal(t, "PROCESSED", a.get(id).data(t)["status"])
		require.Equal(t, pluraltest.EffectAppliedLate, srv.FaultLog()[0].Effect)
	})
}

func TestCloseDropsLateEffects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		a := newAPI(t, srv)
		id := authorized(t, srv, "late-2", 5000)
		srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.ApplyLateReset)
		_, err := a.try(t.Context(), "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"c"}`)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		srv.Close()
		require.Equal(t, pluraltest.EffectDropped, srv.FaultLog()[0].Effect)
		require.Empty(t, srv.Captures(id))
	})
}

// After a reset of the HTTP/2 stream, net/http repeats a request if it can
// rewind the body. From Go 1.27 on it no longer does so.
func TestStreamResetIsRetriedByNetHTTP(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithHTTP2())
	a := newAPI(t, srv)
	id := authorized(t, srv, "rst-1", 5000)
	require.Equal(t, "HTTP/2.0", func() string { a.get(id); return srv.Requests()[0].Proto }())

	for _, rewind := range []bool{false, true} {
		srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.StreamResetAfterApply)
		before := len(srv.RequestsTo(pluraltest.OpRefundsCreate))
		req := a.request(t.Context(), "POST", "/api/pay/v1/refunds/"+id, `{"merchant_order_reference":"r-1"}`)
		if rewind {
			body := `{"merchant_order_reference":"r-1"}`
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(reader(body)), nil }
		}
		resp, err := a.client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		delivered := len(srv.RequestsTo(pluraltest.OpRefundsCreate)) - before
		if rewind && err == nil {
			require.Equal(t, 2, delivered, "net/http repeats a request whose body it can rewind")
		} else {
			require.Error(t, err)
			require.Equal(t, 1, delivered)
		}
	}
}

func TestConnectionClosedAfterReuse(t *testing.T) {
	t.Parallel()
	for name, inMemory := range map[string]bool{"tcp": false, "memory": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t)
			a := newAPI(t, srv)
			if inMemory {
				a.client = &http.Client{Transport: srv.Transport()}
			}
			id := authorized(t, srv, "reuse-1", 5000)
			require.Equal(t, 200, a.get(id).status)
			srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.CloseAfterApply)
			_, err := a.try(t.Context(), "PUT", "/api/pay/v1/orders/"+id+"/capture", `{"merchant_capture_reference":"c"}`)
			require.ErrorIs(t, err, io.EOF)
			record := srv.FaultLog()[0]
			require.True(t, record.Reused)
			require.Equal(t, pluraltest.EffectApplied, record.Effect)
			require.Len(t, srv.RequestsTo(pluraltest.OpCapturesCreate), 1)
		})
	}
}
