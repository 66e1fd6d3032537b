package plural_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// heapAfter is how many bytes more are in use after work than before.
func heapAfter(work func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	work()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// A shop that keeps an id does not keep the document that it was in.
//
//nolint:paralleltest // it measures memory
func TestKeptIDsDoNotKeepDocuments(t *testing.T) {
	skipUnderRace(t)
	const size, most = 50 << 10, 1 << 20
	v := webhookVerifier(t)
	var kept []string
	used := heapAfter(func() {
		for n := range 200 {
			padding := strings.Repeat("x", size)
			header, body := goodWebhook(fmt.Sprintf(
				`{"event_type":"TYPE_%d","padding":%q,"data":{"order_id":"v1-%d","notes":%q}}`, n, padding, n, padding))
			event, err := v.VerifyWebhook(header, body)
			require.NoError(t, err)
			orderID, err := event.OrderID()
			require.NoError(t, err)
			kept = append(kept, event.ID, string(event.Type), orderID)
		}
	})
	require.Less(t, used, int64(most), "events")

	used = heapAfter(func() {
		for n := range 200 {
			form := failedForm(strings.Repeat("x", size))
			form.Set("order_id", fmt.Sprintf("v1-%d", n))
			signedForm(t, signatureSecret, form)
			callback, err := v.VerifyCallbackRequest(formRequest(form.Encode()))
			require.NoError(t, err)
			kept = append(kept, callback.OrderID, string(callback.Status))
		}
	})
	require.Less(t, used, int64(most), "callbacks")
	runtime.KeepAlive(kept)
}

// strangers send to h all at once, and stall after so many bytes of body. It
// returns how much memory each of them holds then.
func strangers(t *testing.T, h http.Handler, header http.Header, announced int64, sent int) int64 {
	t.Helper()
	const count = 200
	var stalled, ended sync.WaitGroup
	release := make(chan struct{})
	stalled.Add(count)
	used := heapAfter(func() {
		for range count {
			ended.Go(func() {
				reach := sync.OnceFunc(stalled.Done)
				defer reach()
				r := webhookRequest(header, nil)
				left := sent
				r.Body, r.ContentLength = io.NopCloser(readerFunc(func(p []byte) (int, error) {
					if left == 0 {
						reach()
						<-release
						return 0, io.EOF
					}
					n := min(left, len(p), 4<<10)
					left -= n
					return n, nil
				})), announced
				serve(h, r)
			})
		}
		stalled.Wait()
	})
	close(release)
	ended.Wait()
	return used / count
}

//nolint:paralleltest // it measures memory
func TestStrangersHoldLittleMemory(t *testing.T) {
	skipUnderRace(t)
	const most = 256 << 10
	h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error { return nil })
	plausible := webhookHeader(webhookID, "1763802000", "v1,"+strings.Repeat("A", 43)+"=")
	stale := webhookHeader(webhookID, "1763801000", "v1,"+strings.Repeat("A", 43)+"=")
	for name, tc := range map[string]struct {
		header    http.Header
		announced int64
		sent      int
		holds     int64
	}{
		"no headers":                   {http.Header{}, -1, 1 << 20, 8 << 10},
		"an old timestamp":             {stale, -1, 1 << 20, 8 << 10},
		"plausible, announces only":    {plausible, most, 0, 8 << 10},
		"plausible, sends a little":    {plausible, most, 10 << 10, 32 << 10},
		"plausible, sends what it may": {plausible, -1, most, most + 32<<10},
		"plausible, sends more":        {plausible, -1, most + 1, 8 << 10},
		"plausible, announces more":    {plausible, most + 1, 0, 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, strangers(t, h, tc.header, tc.announced, tc.sent), tc.holds)
		})
	}
}
