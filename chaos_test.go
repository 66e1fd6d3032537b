package plural_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// TestChaos runs one client and one webhook handler against emulators that
// misbehave in every way, over sockets, and come and go at one address. After
// each of them the books have to show no double effect, and in the end the
// client must be as small as it was: nothing of what it has met may pile up.
//
// It takes a few seconds. PLURAL_CHAOS=10m makes it ten minutes: `make chaos`.
func TestChaos(t *testing.T) { //nolint:paralleltest // it measures the heap and counts goroutines
	duration := time.Second
	if text := os.Getenv("PLURAL_CHAOS"); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	c := newChaos(t)
	var heap []uint64
	var goroutines []int
	until := time.Now().Add(duration)
	for epoch := uint64(1); epoch <= 4 || time.Now().Before(until); epoch++ {
		c.epoch(t, epoch, 16, duration/8)
		c.epoch(t, 0, 0, 0) // whatever still refers to an emulator now refers to this one, in which nothing happened
		h, g := atRest(c.client)
		heap, goroutines = append(heap, h), append(goroutines, g)
	}
	quarter := len(heap) / 4
	early, late := median(heap[:quarter]), median(heap[len(heap)-quarter:])
	t.Logf(
		"%d emulators, %d calls: %d settled, %d unknown, %d failed; %d webhooks; heap %d KiB early, %d KiB late; goroutines %v",
		len(
			heap,
		),
		c.calls.Load(),
		c.settled.Load(),
		c.unknown.Load(),
		c.failed.Load(),
		c.events.Load(),
		early>>10,
		late>>10,
		goroutines[len(goroutines)-1],
	)
	require.Less(t, late, early+512<<10, "the heap grows: %v", heap)
	require.LessOrEqual(
		t,
		slices.Max(goroutines[len(goroutines)-quarter:]),
		slices.Max(goroutines[:quarter])+2,
		"goroutines pile up: %v",
		goroutines,
	)
}

type chaos struct {
	addr     string
	creds    plural.Credentials
	client   *plural.Client
	verifier *plural.Verifier

	calls, settled, unknown, failed, events atomic.Int64
}

func newChaos(t *testing.T) *chaos {
	first, err := pluraltest.Start()
	require.NoError(t, err)
	c := &chaos{
		addr:  first.URL[len("http://"):],
		creds: plural.Credentials{ClientID: first.ClientID, ClientSecret: first.ClientSecret},
	}
	first.Close()
	c.client, err = plural.NewClient(c.creds,
		plural.WithBaseURL("http://"+c.addr),
		plural.WithAttemptTimeout(250*time.Millisecond),
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 6, MinDelay: time.Millisecond, MaxDelay: 50 * time.Millisecond}),
	)
	require.NoError(t, err)
	c.verifier, err = plural.NewVerifier(c.creds.ClientSecret)
	require.NoError(t, err)
	return c
}

// epoch is the life of one emulator, with so many workers.
func (c *chaos) epoch(t *testing.T, number uint64, count int, most time.Duration) {
	shop := httptest.NewServer(plural.NewWebhookHandler(c.verifier, func(_ context.Context, e *plural.Event) error {
		if c.events.Add(1)%3 == 0 {
			return errors.New("not this time")
		}
		_, err := e.Order()
		return err
	}))
	defer shop.Close()
	srv, err := pluraltest.Start(
		pluraltest.WithAddr(c.addr),
		pluraltest.WithCredentials(c.creds.ClientID, c.creds.ClientSecret),
		pluraltest.WithRandomFaults(number, 0.3),
		pluraltest.WithWebhookURL(shop.URL),
		pluraltest.WithWebhookTimeScale(0.001),
	)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), min(most, 10*time.Second))
	defer cancel()
	var workers sync.WaitGroup
	for w := range count {
		workers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c.sale(srv, fmt.Sprintf("chaos-%d-%d-%d", number, w, n), n)
			}
		})
	}
	workers.Wait()
	srv.ClearFaults()
	require.Empty(t, srv.Doubles(), "epoch %d", number)
	srv.Close()
}

// sale is one order and what becomes of it.
func (c *chaos) sale(srv *pluraltest.Server, reference string, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	id, err := srv.AddOrder(
		pluraltest.OrderSpec{Reference: reference, Amount: pluraltest.Amount{Value: 5000, Currency: "INR"}, PreAuth: true},
	)
	if err != nil {
		c.failed.Add(1)
		return
	}
	if _, err := srv.Pay(id, pluraltest.Approve); err != nil {
		c.failed.Add(1)
		return
	}
	switch n % 4 {
	case 0:
		_, err = c.client.Cancels.Create(ctx, id)
	case 1:
		_, err = c.client.Captures.Create(
			ctx,
			id,
			&plural.CaptureRequest{MerchantCaptureReference: reference + "-c", CaptureAmount: plural.INR(2000)},
		)
	default:
		_, err = c.client.Captures.Create(
			ctx,
			id,
			&plural.CaptureRequest{MerchantCaptureReference: reference + "-c", FullAmount: true},
		)
		if err == nil {
			c.count(nil)
			_, err = c.client.Refunds.Create(
				ctx,
				id,
				&plural.RefundRequest{MerchantOrderReference: reference + "-r", OrderAmount: plural.INR(1000)},
			)
		}
	}
	c.count(err)
}

func (c *chaos) count(err error) {
	c.calls.Add(1)
	switch {
	case err == nil:
		c.settled.Add(1)
	case errors.Is(err, plural.ErrOutcomeUnknown):
		c.unknown.Add(1)
	default:
		c.failed.Add(1)
		<-time.After(5 * time.Millisecond) // as long as there is no token, calls fail at once
	}
}

// atRest is the size of the heap and the number of goroutines when nothing is
// going on.
func atRest(client *plural.Client) (heap uint64, goroutines int) {
	client.CloseIdleConnections()
	if idle, ok := http.DefaultTransport.(*http.Transport); ok {
		idle.CloseIdleConnections()
	}
	for range 50 { // what has been told to end takes a moment
		runtime.GC()
		runtime.GC()
		before := runtime.NumGoroutine()
		<-time.After(5 * time.Millisecond)
		if goroutines = runtime.NumGoroutine(); goroutines >= before {
			break
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, goroutines
}

func median(values []uint64) uint64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
