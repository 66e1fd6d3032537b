package plural_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// planLinks lists writes that make or cancel payment links. Two processes make
// some of the links at the same time. Some writes use a reference that already
// belongs to a link with another amount. Some payers open or pay a link while
// the shop cancels it.
func (s *soak) planLinks(t *testing.T, n int, random *rand.Rand) []*soakWrite {
	t.Helper()
	s.srv.Inject(pluraltest.On(pluraltest.OpToken), make([]pluraltest.Fault, 10*n)...) // token requests get no faults
	d := &desk{t: t, srv: s.srv}
	var all []*soakWrite
	add := func(w write, rivals bool) { all = append(all, &soakWrite{outcome: outcome{write: w}, rivals: rivals}) }
	for i := 0; len(all) < n; i++ {
		reference := fmt.Sprint("link-", i)
		create := write{op: pluraltest.OpPaymentLinksCreate, reference: reference, amount: wholeAmount}
		switch random.IntN(8) {
		case 0:
			d.link(reference, wholeAmount+100)
			add(create, false)
		case 1:
			add(create, true)
			add(create, true)
		case 2, 3:
			id := d.link(reference, wholeAmount)
			add(write{op: pluraltest.OpPaymentLinksCancel, orderID: id}, true)
			decision := random.IntN(4)
			after := time.Duration(random.Int64N(int64(20 * time.Second)))
			time.AfterFunc(after, func() {
				switch decision {
				case 0:
					_, _ = s.srv.Pay(d.orderOf(write{orderID: id}), pluraltest.Approve) // this fails if the cancel was faster
				case 1:
					_ = s.srv.OpenLink(id)
				}
			})
		default:
			add(create, false)
		}
	}
	return all
}

// 64 workers make and cancel links: 1,000 links, or 10,000 with
// PLURAL_SOAK=full. Nearly half of all requests get a fault.
func TestSoakOfLinks(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pluraltest.DuplicateMode{
		"duplicates return the existing": pluraltest.DuplicateReturnsExisting,
		"duplicates are rejected":        pluraltest.DuplicateRejected,
		"duplicates are accepted":        pluraltest.DuplicateAccepted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				seed := soakSeed(t)
				srv := pluraltest.New(
					pluraltest.WithRandomFaults(seed, soakRate, soakFaults()...), pluraltest.WithDuplicateLinks(mode),
				)
				t.Cleanup(srv.Close)
				s := &soak{srv: srv, client: newClient(t, srv,
					plural.WithRetry(plural.RetryPolicy{MaxAttempts: 6}), plural.WithMiddleware(seeLinks))}
				writes := s.planLinks(t, soakSize(10_000), rand.New(rand.NewPCG(seed, 1)))
				wrong := s.runWrites(t.Context(), writes)
				result := count(writes)
				t.Logf("%v; %d links, %d requests, %d faults, %d doubles",
					result, len(srv.Links()), len(srv.Requests()), len(srv.FaultLog()), len(srv.Doubles()))
				for _, w := range writes {
					require.False(t, w.err == nil && len(w.links) > 1, "%v: nil, and the call saw two links; seed %d", w.write, seed)
				}
				if mode == pluraltest.DuplicateAccepted {
					for _, what := range wrong { // a read may show another link with the reference
						require.Regexp(t, "applied [0-9]+ times|books have exactly this write", what, "seed %d", seed)
					}
					return
				}
				require.Empty(t, wrong, "seed %d", seed)
				require.Empty(t, srv.Doubles(), "seed %d", seed)
				require.GreaterOrEqual(t, result.settled(), 95.0, "seed %d", seed)
			})
		})
	}
}

// seeLinks is middleware that reads the answers to each call. If an answer
// shows a link with the call's reference, seeLinks notes that the call has seen
// this link. An answer that breaks off does not count.
func seeLinks(next http.RoundTripper) http.RoundTripper {
	return transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		w, isOurs := r.Context().Value(soakWriteKey{}).(*soakWrite)
		if err == nil && isOurs && resp.StatusCode == http.StatusOK {
			resp.Body = &seenBody{ReadCloser: resp.Body, by: w}
		}
		return resp, err
	})
}

type seenBody struct {
	io.ReadCloser

	by   *soakWrite
	read []byte
}

func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if len(b.read) < 64<<10 { // seeLinks ignores bodies that are longer
		b.read = append(b.read, p[:n]...)
	}
	return n, err
}

func (b *seenBody) Close() error {
	var link struct {
		ID        string `json:"payment_link_id"`
		Reference string `json:"merchant_payment_link_reference"`
	}
	if json.Unmarshal(b.read, &link) == nil && link.ID != "" && link.Reference == b.by.reference {
		b.by.mu.Lock()
		defer b.by.mu.Unlock()
		if b.by.links == nil {
			b.by.links = map[string]bool{}
		}
		b.by.links[link.ID] = true
	}
	return b.ReadCloser.Close()
}
