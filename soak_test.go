package plural_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/racetest"
	"github.com/plural-go/plural/pluraltest"
)

// soakSeed returns PLURAL_SEED, or a random seed. The seed decides the order of
// the actions and the fault of each request.
func soakSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("PLURAL_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		seed = given
	}
	t.Logf("replay with PLURAL_SEED=%d", seed)
	return seed
}

// soakSize returns how many writes a soak test makes. With PLURAL_SOAK=full
// (`make soak`) this is the value of the parameter full. Otherwise it is a
// tenth of that value, or a twentieth under the race detector.
func soakSize(full int) int {
	switch {
	case isFullSoak():
		return full
	case racetest.Enabled:
		return full / 20
	}
	return full / 10
}

func isFullSoak() bool { return os.Getenv("PLURAL_SOAK") == "full" }

const (
	soakWorkers = 64
	soakRate    = 0.45 // the share of requests that get a fault
)

// A soak is a test under load: a group of workers captures, cancels and refunds
// many orders at the same time. Sometimes two workers make the same call at the
// same time, or one worker captures an order while another worker cancels it.
type soak struct {
	srv      *pluraltest.Server
	client   *plural.Client
	opts     []plural.CallOption
	patience time.Duration // time limit of a call; 0: none
	rivalry  bool          // true: sometimes two workers make the same call, or capture and cancel the same order
}

// A soakWrite is one write of a soak, with its outcome.
type soakWrite struct {
	outcome

	rivals bool // other calls have the same order or reference

	mu    sync.Mutex
	links map[string]bool // ids of links that have the call's reference, and that an answer to the call has shown
}

type soakWriteKey struct{}

// planWrites makes orders in the states that the writes need, and returns the
// list of the writes.
func (s *soak) planWrites(t *testing.T, n int, random *rand.Rand) []*soakWrite {
	t.Helper()
	s.srv.Inject(pluraltest.On(pluraltest.OpToken), make([]pluraltest.Fault, 10*n)...) // token requests get no faults
	d := &desk{t: t, srv: s.srv}
	var all []*soakWrite
	for i := 0; len(all) < n; i++ {
		id := d.order(fmt.Sprint("order-", i), true)
		if random.IntN(3) == 0 {
			d.pay(id, pluraltest.ApproveWithPoints(pointsAmount))
		} else {
			d.pay(id, pluraltest.Approve)
		}
		reference := fmt.Sprint("write-", i)
		amount := int64(100 * (1 + random.IntN(wholeAmount/100-1)))
		var writes []write
		switch random.IntN(6) {
		case 0:
			writes = []write{{pluraltest.OpCapturesCreate, id, reference, 0}}
		case 1, 2:
			writes = []write{{pluraltest.OpCapturesCreate, id, reference, amount}}
		case 3:
			writes = []write{{pluraltest.OpCancelsCreate, id, "", 0}}
		case 4:
			d.capture(id, "before", 0)
			writes = []write{{pluraltest.OpRefundsCreate, id, reference, wholeAmount}}
		case 5:
			d.capture(id, "before", 0)
			writes = []write{
				{pluraltest.OpRefundsCreate, id, reference, amount},
				{pluraltest.OpRefundsCreate, id, reference + "-b", wholeAmount - amount},
			}
		}
		rivals := s.rivalry && random.IntN(8) == 0
		if rivals && writes[0].op == pluraltest.OpCapturesCreate && random.IntN(2) == 0 {
			writes = append(writes, write{pluraltest.OpCancelsCreate, id, "", 0})
		} else if rivals {
			writes = append(writes, writes[0])
		}
		for _, w := range writes {
			all = append(all, &soakWrite{outcome: outcome{write: w}, rivals: rivals})
		}
	}
	return all
}

// runWrites makes the writes. The workers share them, and work at the same
// time. The result has the complaints about the outcomes.
func (s *soak) runWrites(ctx context.Context, writes []*soakWrite) (wrong []string) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		queue   = make(chan *soakWrite)
	)
	for range soakWorkers {
		workers.Go(func() {
			for w := range queue {
				w.order, w.err = s.makeWrite(ctx, w)
				if what := s.findContradiction(w); what != "" {
					mu.Lock()
					wrong = append(wrong, what)
					mu.Unlock()
				}
			}
		})
	}
	for _, w := range writes {
		queue <- w
	}
	close(queue)
	workers.Wait()
	s.srv.ClearFaults()
	s.srv.Flush()
	for _, w := range writes {
		if what := s.findContradiction(w); what != "" {
			wrong = append(wrong, "in the end: "+what)
		}
	}
	return wrong
}

// makeWrite makes one write. The field patience is the time limit of the call.
func (s *soak) makeWrite(ctx context.Context, w *soakWrite) (*plural.Order, error) {
	if s.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.patience)
		defer cancel()
	}
	return w.run(context.WithValue(ctx, soakWriteKey{}, w), s.client, s.opts...)
}

// findContradiction returns a text if the result of a call contradicts the
// books. Several calls may make the same write. Then one of them may report
// that its own request was not accepted, although the request of another call
// was accepted. This is not a contradiction. It happens if the server was busy,
// or refused the token twice.
func (s *soak) findContradiction(w *soakWrite) string {
	n := w.countEffects(s.srv)
	var failed *plural.Error
	if w.rivals && errors.As(w.err, &failed) && (failed.Retryable() || errors.Is(w.err, plural.ErrUnauthorized)) &&
		n == 1 {
		return ""
	}
	return w.contradictsLaterWith(n, s.srv)
}

// soakResult counts results by kind. An unknown outcome counts as review if a
// person has to check it. Otherwise it counts as unknown.
type soakResult struct{ applied, ruledOut, review, rejected, notSent, unknown int }

// readSettlements settles all captures. Then it reads the settlements, while
// requests get the same faults as in the soak. A list that ends without an
// error must have each line exactly once.
func (s *soak) readSettlements(t *testing.T, seed uint64) {
	t.Helper()
	time.Sleep(48 * time.Hour)
	s.srv.Settle()
	settled := s.srv.Settlements()
	require.NotEmpty(t, settled)
	utr, most := "", -1
	for _, one := range settled {
		if n := len(s.srv.SettlementLines(one.UTR)); n > most {
			utr, most = one.UTR, n
		}
	}
	var want []string
	for _, line := range s.srv.SettlementLines(utr) {
		want = append(want, line.TransactionID)
	}
	require.Greater(t, len(want), 50)
	whole := 0
	for range 40 {
		rows, err := all(s.client.Settlements.List(t.Context(), lastDays(5)))
		if err == nil {
			whole |= 1
			require.Len(t, rows, len(settled), "seed %d", seed)
		}
		lines, err := all(s.client.Settlements.Lines(t.Context(), utr))
		if err == nil {
			whole |= 2
			var got []string
			for _, line := range lines {
				got = append(got, line.TransactionID)
			}
			require.ElementsMatch(t, want, got, "seed %d", seed)
		}
		if whole == 3 {
			return
		}
	}
	require.Fail(t, "no reading was complete", "seed %d", seed)
}

func count(writes []*soakWrite) (r soakResult) {
	for _, w := range writes {
		var failed *plural.Error
		switch {
		case w.err == nil:
			r.applied++
		case plural.NeedsReview(w.err):
			r.review++
		case errors.Is(w.err, plural.ErrOutcomeUnknown):
			r.unknown++
		case errors.Is(w.err, plural.ErrNotApplied) || errors.Is(w.err, plural.ErrConflict):
			r.ruledOut++
		case errors.As(w.err, &failed) && !failed.Retryable():
			r.rejected++
		default:
			r.notSent++
		}
	}
	return r
}

func (r soakResult) total() int {
	return r.applied + r.ruledOut + r.review + r.rejected + r.notSent + r.unknown
}

func (r soakResult) settled() float64 { return 100 * float64(r.total()-r.unknown) / float64(r.total()) }

func (r soakResult) String() string {
	return fmt.Sprintf("%d writes, %.2f %% settled: %d applied, %d ruled out, %d to be looked at, "+
		"%d rejected, %d not taken, %d unknown",
		r.total(), r.settled(), r.applied, r.ruledOut, r.review, r.rejected, r.notSent, r.unknown)
}

// soakFaults returns all faults. Some faults with a late effect or a pending
// result are in the list more than once, with different delays.
func soakFaults() []pluraltest.Fault {
	list := []pluraltest.Fault{
		pluraltest.ApplyLate.After(100 * time.Millisecond),
		pluraltest.ApplyLateReset.After(20 * time.Second),
		pluraltest.ApplyLateTimedOut.After(time.Minute),
		pluraltest.PendingResult.After(20 * time.Second),
		pluraltest.PendingResult.AfterReads(2),
	}
	for _, f := range pluraltest.AllFaults() {
		if f.Answer == pluraltest.AnswerHuge {
			f.Size = 4<<20 + 1
		}
		list = append(list, f)
	}
	return list
}

func TestSoak(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		duplicates pluraltest.DuplicateMode
		opts       []plural.CallOption
		doubles    bool
	}{
		"duplicates return the existing": {duplicates: pluraltest.DuplicateReturnsExisting},
		"duplicates are rejected":        {duplicates: pluraltest.DuplicateRejected},
		"duplicates are accepted":        {duplicates: pluraltest.DuplicateAccepted, doubles: true},
		"duplicates are accepted, calls without retry": {
			duplicates: pluraltest.DuplicateAccepted, opts: []plural.CallOption{plural.WithoutRetry()},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				seed := soakSeed(t)
				srv := pluraltest.New(
					pluraltest.WithRandomFaults(seed, soakRate, soakFaults()...),
					pluraltest.WithDuplicateRefunds(test.duplicates), pluraltest.WithDuplicateCaptures(test.duplicates),
				)
				t.Cleanup(srv.Close)
				s := &soak{
					srv: srv, client: newClient(t, srv, plural.WithRetry(plural.RetryPolicy{MaxAttempts: 6})), opts: test.opts,
					rivalry: test.duplicates != pluraltest.DuplicateAccepted,
				}
				size := soakSize(10_000)
				if test.duplicates == pluraltest.DuplicateAccepted && !isFullSoak() {
					size /= 2
				}
				writes := s.planWrites(t, size, rand.New(rand.NewPCG(seed, 0)))
				wrong := s.runWrites(t.Context(), writes)
				result := count(writes)
				t.Logf("%v; %d requests, %d faults", result, len(srv.Requests()), len(srv.FaultLog()))
				s.readSettlements(t, seed)
				if test.doubles {
					t.Logf("%d doubles, %d answers that contradict the books", len(srv.Doubles()), len(wrong))
					for _, double := range srv.Doubles() {
						require.Contains(t, double, "refund", "only refunds may be carried out twice here; seed %d", seed)
					}
					for _, what := range wrong {
						require.Contains(t, what, pluraltest.OpRefundsCreate, "no other answer may be wrong; seed %d", seed)
					}
					return
				}
				require.Empty(t, wrong, "seed %d", seed)
				require.Empty(t, srv.Doubles(), "seed %d", seed)
				if test.opts == nil {
					require.GreaterOrEqual(t, result.settled(), 97.0, "seed %d", seed)
				}
			})
		})
	}
}

// TestSoakOverTCP runs the soak over sockets, in real time and with shorter
// delays. It does not check how many outcomes are known in the end, because
// that depends on the machine.
func TestSoakOverTCP(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]pluraltest.Option{"HTTP/1.1": nil, "HTTP/2 with TLS": {pluraltest.WithHTTP2()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := soakSeed(t)
			var faults []pluraltest.Fault
			for _, f := range soakFaults() {
				switch f.Answer {
				case pluraltest.AnswerReset, pluraltest.AnswerClose, pluraltest.AnswerThenClose, pluraltest.AnswerRefused:
					if opts != nil {
						continue // over HTTP/2 such a fault ends the requests of all workers, so few would succeed
					}
				default:
				}
				f.Delay /= 200
				faults = append(faults, f)
			}
			srv := pluraltest.NewServer(t, append(opts, pluraltest.WithRandomFaults(seed, soakRate, faults...))...)
			c, err := plural.NewClient(plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret},
				plural.WithBaseURL(srv.URL), plural.WithHTTPClient(srv.Client()), plural.WithAttemptTimeout(500*time.Millisecond),
				plural.WithRetry(plural.RetryPolicy{MaxAttempts: 6, MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond}))
			require.NoError(t, err)
			s := &soak{srv: srv, client: c, rivalry: true, patience: time.Second}
			writes := s.planWrites(t, soakSize(3_000), rand.New(rand.NewPCG(seed, 0)))
			wrong := s.runWrites(t.Context(), writes)
			t.Logf("%v; %d requests, %d faults", count(writes), len(srv.Requests()), len(srv.FaultLog()))
			require.Empty(t, wrong, "seed %d", seed)
			require.Empty(t, srv.Doubles(), "seed %d", seed)
		})
	}
}

// TestChaos runs one client and one webhook handler over sockets. At one
// address, one emulator after the other starts, answers with random faults, and
// stops. The books of each emulator must show no write that was carried out
// twice. At the end the client must use as little memory and as few goroutines
// as at the start.
//
// The test takes a few seconds. With PLURAL_CHAOS=10m (`make chaos`) it takes
// ten minutes.
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
		c.runEpoch(t, epoch, 16, duration/8)
		// This starts one more emulator, without workers and without orders. If
		// any code still keeps the last emulator in memory, that is now this
		// small emulator. The emulator with many orders can then be freed.
		c.runEpoch(t, 0, 0, 0)
		h, g := atRest(c.client)
		heap, goroutines = append(heap, h), append(goroutines, g)
	}
	quarter := len(heap) / 4
	early, late := median(heap[:quarter]), median(heap[len(heap)-quarter:])
	t.Logf(
		"%d emulators, %d calls: %d settled, %d unknown, %d failed; %d webhooks; heap %d KiB early, %d KiB late; goroutines %v",
		len(heap),
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

// runEpoch starts one emulator, lets the given number of workers make sales,
// and closes the emulator.
func (c *chaos) runEpoch(t *testing.T, number uint64, count int, most time.Duration) {
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
				c.makeSale(srv, fmt.Sprintf("chaos-%d-%d-%d", number, w, n), n)
			}
		})
	}
	workers.Wait()
	srv.ClearFaults()
	require.Empty(t, srv.Doubles(), "epoch %d", number)
	srv.Close()
}

// makeSale makes one order, and cancels, captures or refunds it.
func (c *chaos) makeSale(srv *pluraltest.Server, reference string, n int) {
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
			ctx, id, &plural.CaptureRequest{MerchantCaptureReference: reference + "-c", CaptureAmount: plural.INR(2000)},
		)
	default:
		_, err = c.client.Captures.Create(
			ctx, id, &plural.CaptureRequest{MerchantCaptureReference: reference + "-c", FullAmount: true},
		)
		if err == nil {
			c.count(nil)
			_, err = c.client.Refunds.Create(
				ctx, id, &plural.RefundRequest{MerchantOrderReference: reference + "-r", OrderAmount: plural.INR(1000)},
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
		<-time.After(5 * time.Millisecond) // calls without a token fail at once, so wait a little
	}
}

// atRest waits until the number of goroutines no longer falls. It returns that
// number, and the size of the heap.
func atRest(client *plural.Client) (heap uint64, goroutines int) {
	client.CloseIdleConnections()
	if idle, ok := http.DefaultTransport.(*http.Transport); ok {
		idle.CloseIdleConnections()
	}
	for range 50 { // goroutines need a moment to end
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
