// Package adversary_test runs storefronts against the gateway in the folder
// adversary of the root module. That gateway answers with an older state, loses
// answers and gives wrong answers. Meanwhile the test kills the storefronts'
// processes. The test compares what the shop says about each decision with what
// was really carried out. The files with the gateway's code are symbolic links
// to that folder.
//
// All scenarios run at the same time, in real time, and share one address. The
// gateway's delays are shorter than in the other tests that use it.
//
//	PLURAL_SEED=7        the first seed (1 by default)
//	PLURAL_ADVERSARY=n   n scenarios (36 by default)
package adversary_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/servertest"
)

const (
	defaultScenarios = 36
	fleetSize        = 2
	faster           = 2 // the gateway's delays are divided by this
	trouble          = 15 * time.Second
	patience         = 2 * time.Minute // how long the shop may take to finish, once the gateway is healthy
	password         = "shipping-and-handling"
	secret           = "5c0f9a3de1b2476688aa1f0b7c3d9e24"
	maxVersions      = 300 // more versions than an order of the shop ever has
)

func TestStorefront(t *testing.T) {
	t.Parallel()
	first, n := 1, defaultScenarios
	for name, into := range map[string]*int{"PLURAL_SEED": &first, "PLURAL_ADVERSARY": &n} {
		if s := os.Getenv(name); s != "" {
			var err error
			*into, err = strconv.Atoi(s)
			require.NoError(t, err)
		}
	}
	began := time.Now()
	f := open(t, first, n)
	opened := time.Since(began)
	ctx, calm := context.WithTimeout(t.Context(), trouble*time.Duration(max(1, n/defaultScenarios)))
	defer calm()
	var work sync.WaitGroup
	work.Go(func() { f.havoc(ctx, rand.New(rand.NewPCG(uint64(first), 1))) })
	for _, o := range f.orders {
		work.Go(func() { f.staff(ctx, o) })
		work.Go(func() { f.sendWebhooks(ctx, o) })
	}
	watched, unwatch := context.WithCancel(t.Context())
	defer unwatch()
	var watching sync.WaitGroup
	watching.Go(func() { f.watch(watched) })
	work.Wait()
	for _, o := range f.orders {
		o.wg.Wait() // wait for the calls that take effect late
		o.mu.Lock()
		o.well = true
		o.record("-", "the gateway is well")
		o.mu.Unlock()
	}
	well := time.Since(began)
	f.settleOrders()
	for _, o := range f.orders {
		o.wg.Wait() // wait until the last tries have taken effect
	}
	f.settleOrders()
	settled := time.Since(began)
	unwatch()
	watching.Wait()

	told := map[string]int{}
	for _, o := range f.orders {
		decisions := f.listDecisions(o)
		for _, d := range decisions {
			told[d.kind+" "+d.state]++
		}
		if wrong := f.judge(o, decisions); len(wrong) > 0 {
			t.Errorf("seed %d: %s\n%s\n%s", o.sc.seed, strings.Join(wrong, "\n"), o.sc, strings.Join(o.trace, "\n"))
		}
	}
	t.Log("opened, well, settled after", opened, well, settled)
	t.Logf("%d scenarios, processes killed: %d, decisions: %v", n, f.kills, told)
	require.NotZero(t, told["capture done"])
	require.NotZero(t, f.kills)
}

// A fleet has the storefront's processes, their database, and the gateways of
// all scenarios.
type fleet struct {
	t      *testing.T
	db     *sql.DB
	binary string
	env    []string
	orders []*shopOrder
	by     map[string]*shopOrder // keys: the ids and references of the orders and their refunds

	mu        sync.Mutex
	addresses []string
	processes []*servertest.Process
	kills     int
}

// shopOrder is an order of the shop. Each order has a gateway of its own.
type shopOrder struct {
	*gateway

	number string
	hold   int64
	seen   map[string]map[string]time.Time // when each state was first seen; keys: a decision's reference, then a state
}

func open(t *testing.T, first, n int) *fleet {
	t.Helper()
	f := &fleet{
		t: t, by: map[string]*shopOrder{}, binary: filepath.Join(t.TempDir(), "storefront.test"),
		addresses: make([]string, fleetSize), processes: make([]*servertest.Process, fleetSize),
	}
	// The test binary of the storefront can also run a storefront with quick
	// jobs: see its TestMain.
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", f.binary, "..").CombinedOutput()
	require.NoError(t, err, string(out))
	plurals := httptest.NewServer(f)
	t.Cleanup(plurals.Close)
	postgres := servertest.StartPostgres(t)
	f.db, err = sql.Open("pgx", postgres.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.db.Close() })
	f.env = []string{
		"STOREFRONT_DATABASE=" + postgres.URL, "STOREFRONT_REDIS=", "STOREFRONT_URL=", "STOREFRONT_PASSWORD=" + password,
		"PLURAL_BASE_URL=" + plurals.URL, "PLURAL_ENVIRONMENT=", "PLURAL_CLIENT_ID=shop", "PLURAL_CLIENT_SECRET=" + secret,
	}
	for i := range fleetSize {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f.addresses[i] = l.Addr().String()
		require.NoError(t, l.Close())
		f.start(i)
	}
	for seed := first; seed < first+n; seed++ {
		f.addOrder(uint64(seed))
	}
	return f
}

// addOrder makes the order of one scenario, and stores it in the shop's
// database, as the checkout does.
func (f *fleet) addOrder(seed uint64) {
	f.t.Helper()
	sc := newScenario(seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	sc.setup = pick(rng, "authorized", "authorized", "authorized", "authorized", "after failed attempt", "lapsed",
		"created", "attempted", "pending", "captured", "partial", "refunded in part", "refund pending elsewhere")
	sc.plans = []plan{{order: mainOrder}} // the staff decide
	sc.leavesAlways = false
	sc.faster = faster
	sc.updates = chance(rng, 0.7)
	sc.record("changed for this test: before: %s; times are %d times shorter; documents have updated_at: %t",
		sc.setup, faster, sc.updates)
	for n := range 4 {
		if chance(rng, 0.6) {
			sc.writeEvents[n] = append(sc.writeEvents[n], writeEvent(rng))
		}
		var f writeFault
		for _, e := range sc.writeEvents[n] {
			e(&f)
		}
		sc.record("all events of write %d:%s", n, f)
	}
	if chance(rng, 0.4) {
		sc.record("event: %s", sc.readEvent(rng))
		sc.leavesAlways = false
	}
	g := newGateway(sc)
	g.ids = int(seed) * 1000
	g.setUp()
	o := &shopOrder{
		gateway: g, number: "order-" + strings.NewReplacer("0", "a", "1", "b", "8", "c", "9", "d").
				Replace(fmt.Sprintf("%026d", seed)), seen: map[string]map[string]time.Time{},
	}
	g.mu.Lock()
	main := g.orders[0]
	g.versions = map[string][]version{"v1-" + strconv.FormatUint(seed, 10): g.versions[main.id]}
	main.id, main.reference = "v1-"+strconv.FormatUint(seed, 10), o.number
	for i := range g.versions[main.id] {
		v := &g.versions[main.id][i].order
		v.id, v.reference = main.id, o.number
	}
	o.hold = main.amount - main.coupon
	g.mu.Unlock()
	f.by[main.id], f.by[o.number] = o, o
	for i := range maxVersions {
		f.by[plural.Reference("refund", o.number, i)] = o
	}
	for _, reference := range []string{"R-other", "R-desk"} {
		f.by[reference] = o // the gateway's own references, for refunds that the shop did not make
	}
	for i := range 1000 {
		f.by[fmt.Sprintf("v1-r%d", int(seed)*1000+i)] = o
	}
	f.orders = append(f.orders, o)
	_, err := f.db.ExecContext(f.t.Context(), `INSERT INTO orders
		(number, plural_id, lines, amount, looked_at, created_at) VALUES ($1, $2, '[]', $3, 0, $4)`,
		o.number, main.id, main.amount, time.Now().Add(-time.Hour).UnixMicro())
	require.NoError(f.t, err)
	for _, e := range sc.outside {
		g.runAfter(e.at/faster, func() { g.actAsSomebody(e.what) })
	}
	if main.status == created || main.status == attempted || main.status == pending {
		g.runAfter(between(rng, 0, 3*time.Second), func() { g.actAsSomebody("pay") })
	}
}

// ServeHTTP passes a request to the gateway of the order that the request is
// about.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/settlements/") { // the nightly job asks for settlements, and there are none
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data":[],"total_settlement_count":0}`))
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/pay/v1/")
	path = strings.TrimPrefix(strings.TrimPrefix(path, "orders/"), "reference/")
	path = strings.TrimPrefix(path, "refunds/")
	id, _, _ := strings.Cut(path, "/")
	o := f.by[id]
	if r.URL.Path == "/api/auth/v1/token" {
		o = f.orders[0]
	}
	if o == nil {
		f.t.Errorf("the request %s %s belongs to no order", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
		return
	}
	res, err := o.RoundTrip(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = res.Body.Close() }()
	w.Header()["Date"] = res.Header["Date"]
	w.Header()["Content-Type"] = res.Header["Content-Type"]
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

func (f *fleet) start(i int) {
	p := servertest.StartProgram(f.t, f.binary, "shop", append(f.env, "STOREFRONT_ADDR="+f.addresses[i])...)
	if line := p.Line(); line != "open" {
		f.t.Errorf("a storefront does not start: %s", line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes[i] = p
}

// The method havoc kills processes and starts them again, until ctx ends.
func (f *fleet) havoc(ctx context.Context, rng *rand.Rand) {
	for isPast(ctx, between(rng, 0, 1500*time.Millisecond)) {
		i := rng.IntN(fleetSize)
		f.processes[i].Kill()
		f.kills++
		time.Sleep(between(rng, 0, time.Second))
		f.start(i)
	}
}

// isPast waits for d, and returns true. If ctx ends first, it returns false.
func isPast(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
