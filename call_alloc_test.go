package plural_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// What docs/performance.md promises of memory. The race detector allocates
// more.
//
//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestCallsAllocateLittle(t *testing.T) {
	skipUnderRace(t)
	capture := capturing(t)
	require.NoError(t, capture())
	require.LessOrEqual(
		t,
		testing.AllocsPerRun(200, func() { _ = capture() }),
		70.0,
		"a capture, its transport's part included",
	)

	document := dataOf(t, payload(t, "capture_response_partially_captured.json"))
	var o plural.Order
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { _ = o.UnmarshalJSON(document) }), 20.0, "an order")
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestCostGrowsWithTheDocumentAndNoFaster(t *testing.T) {
	skipUnderRace(t)
	payment := `{"id":"v1-p","status":"PROCESSED","payment_amount":{"value":1,"currency":"INR"},"capture_data":[]}`
	order := func(payments int) []byte {
		list := strings.TrimSuffix(strings.Repeat(payment+",", payments), ",")
		return fmt.Appendf(nil, `{"order_id":"v1-a","status":"PROCESSED","payments":[%s]}`, list)
	}
	perPayment := func(payments int) (allocs, size float64) {
		document := order(payments)
		var before, after runtime.MemStats
		allocs = testing.AllocsPerRun(5, func() { require.NoError(t, new(plural.Order).UnmarshalJSON(document)) })
		runtime.ReadMemStats(&before)
		require.NoError(t, new(plural.Order).UnmarshalJSON(document))
		runtime.ReadMemStats(&after)
		return allocs / float64(payments), float64(after.TotalAlloc-before.TotalAlloc) / float64(payments)
	}
	fewAllocs, fewBytes := perPayment(10)
	manyAllocs, manyBytes := perPayment(1000)
	require.LessOrEqual(t, manyAllocs, fewAllocs)
	require.LessOrEqual(t, manyBytes, 1.5*fewBytes, "a list that grows is copied a few times")
}

//nolint:paralleltest // it measures memory
func TestEndlessAnswerTakesLittleMemory(t *testing.T) {
	skipUnderRace(t)
	const most = 8 << 20
	var before, now runtime.MemStats
	var peak uint64
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
		endless := readerFunc(func(p []byte) (int, error) {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
			return copy(p, bytes.Repeat([]byte("a"), min(len(p), 256))), nil
		})
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(io.LimitReader(endless, 1<<30)), ContentLength: -1,
		}, nil
	})
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := client.Orders.Get(t.Context(), "v1-a", plural.WithoutRetry())
	require.ErrorContains(t, err, "larger than 4 MiB")
	require.Less(t, peak, before.HeapAlloc+most)
}
