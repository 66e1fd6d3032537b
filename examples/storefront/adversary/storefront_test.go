// Package adversary_test has storefronts meet the gateway of the root module's
// folder adversary, which lags, loses answers and lies, while their processes
// are killed. What the shop says of each decision is judged by what was really
// carried out. The gateway's files are links to that folder.
//
// All scenarios run at the same time, in real time, behind one address; the
// gateway's times are shorter than in the other tests.
//
//	PLURAL_SEED=7        the first seed (1 by default)
//	PLURAL_ADVERSARY=n   so many scenarios
package adversary_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	faster           = 2 // than the gateway's usual times
	trouble          = 15 * time.Second
	patience         = 2 * time.Minute // for what is left, once the gateway is well
	password         = "shipping-and-handling"
	secret           = "5c0f9a3de1b2476688aa1f0b7c3d9e24"
	maxVersions      = 300 // of an order in the shop
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
	ctx, calm := context.WithTimeout(t.Context(), trouble)
	defer calm()
	var work sync.WaitGroup
	work.Go(func() { f.havoc(ctx, rand.New(rand.NewPCG(uint64(first), 1))) })
	for _, o := range f.orders {
		work.Go(func() { f.staff(ctx, o) })
		work.Go(func() { f.tell(ctx, o) })
	}
	watched, unwatch := context.WithCancel(t.Context())
	defer unwatch()
	var watching sync.WaitGroup
	watching.Go(func() { f.watch(watched) })
	work.Wait()
	for _, o := range f.orders {
		o.wg.Wait() // what is late has happened
		o.mu.Lock()
		o.well = true
		o.say("-", "the gateway is well")
		o.mu.Unlock()
	}
	well := time.Since(began)
	f.settle()
	for _, o := range f.orders {
		o.wg.Wait() // what was done since the gateway is well has come to its end
	}
	f.settle()
	settled := time.Since(began)
	unwatch()
	watching.Wait()

	told := map[string]int{}
	for _, o := range f.orders {
		decisions := f.decisions(o)
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

// fleet is storefronts with one database, and the gateways of all scenarios.
type fleet struct {
	t      *testing.T
	db     *sql.DB
	binary string
	env    []string
	orders []*shopOrder
	by     map[string]*shopOrder // the orders' ids and references, and those of refunds

	mu        sync.Mutex
	addresses []string
	processes []*servertest.Process
	kills     int
}

// shopOrder is an order of the shop's, at a gateway of its own.
type shopOrder struct {
	*gateway

	number string
	hold   int64
	seen   map[string]map[string]time.Time // the states of each decision, by its reference
}

// decision is what the shop says of one.
type decision struct {
	reference, kind, state, reason, job string
	amount, jobID                       int64
	whole                               bool
}

func open(t *testing.T, first, n int) *fleet {
	t.Helper()
	f := &fleet{
		t: t, by: map[string]*shopOrder{}, binary: filepath.Join(t.TempDir(), "storefront.test"),
		addresses: make([]string, fleetSize), processes: make([]*servertest.Process, fleetSize),
	}
	// The fleet's test in that folder has a storefront that works jobs quickly.
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
		f.add(uint64(seed))
	}
	return f
}

// add has the shop know an order, as after its checkout.
func (f *fleet) add(seed uint64) {
	f.t.Helper()
	sc := newScenario(seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	sc.setup = pick(rng, "authorized", "authorized", "authorized", "authorized", "after failed attempt", "lapsed",
		"created", "attempted", "pending", "captured", "partial", "refunded in part", "refund pending elsewhere")
	sc.plans = []plan{{order: mainOrder}} // the staff decides
	sc.leavesAlways = false
	sc.faster = faster
	sc.updates = chance(rng, 0.7)
	sc.say("but before: %s; times are %d times shorter; documents have updated_at: %t", sc.setup, faster, sc.updates)
	for n := range 4 {
		if chance(rng, 0.6) {
			sc.writeEvents[n] = append(sc.writeEvents[n], writeEvent(rng))
		}
		var f writeFault
		for _, e := range sc.writeEvents[n] {
			e(&f)
		}
		sc.say("all events of write %d:%s", n, f)
	}
	if chance(rng, 0.4) {
		sc.say("event: %s", sc.readEvent(rng))
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
		f.by[reference] = o // nobody asks for these
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
		g.later(e.at/faster, func() { g.happen(e.what) })
	}
	if main.status == created || main.status == attempted || main.status == pending {
		g.later(between(rng, 0, 3*time.Second), func() { g.happen("pay") })
	}
}

// ServeHTTP hands a request to the gateway of its order.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/pay/v1/")
	path = strings.TrimPrefix(strings.TrimPrefix(path, "orders/"), "reference/")
	path = strings.TrimPrefix(path, "refunds/")
	id, _, _ := strings.Cut(path, "/")
	o := f.by[id]
	if r.URL.Path == "/api/auth/v1/token" {
		o = f.orders[0]
	}
	if o == nil {
		f.t.Errorf("nobody knows what %s %s is about", r.Method, r.URL.Path)
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

// havoc kills processes and starts them again, until ctx ends.
func (f *fleet) havoc(ctx context.Context, rng *rand.Rand) {
	for isPast(ctx, between(rng, 0, 1500*time.Millisecond)) {
		i := rng.IntN(fleetSize)
		f.processes[i].Kill()
		f.kills++
		time.Sleep(between(rng, 0, time.Second))
		f.start(i)
	}
}

// isPast waits, and reports whether ctx has not ended.
func isPast(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// do asks any of the processes; "" where it is not there.
func (f *fleet) do(rng *rand.Rand, method, path string, form url.Values) string {
	req, err := http.NewRequestWithContext(f.t.Context(), method,
		"http://"+f.addresses[rng.IntN(fleetSize)]+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Error(err)
		return ""
	}
	req.SetBasicAuth("operator", password)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(req)
}

func send(req *http.Request) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

var (
	versionField = regexp.MustCompile(`name="version" value="([0-9]+)"`)
	tryAgain     = regexp.MustCompile(`action="(/operator/orders/[^"]*/jobs/[0-9]+)"`)
	writtenOff   = regexp.MustCompile(`name="reference" value="([^"]+)"`)
)

// staff decides whatever the order's page offers, until ctx ends.
func (f *fleet) staff(ctx context.Context, o *shopOrder) {
	rng := rand.New(rand.NewPCG(o.sc.seed, 3))
	at := "/operator/orders/" + o.number
	for isPast(ctx, between(rng, 0, 3*time.Second)) {
		page := f.do(rng, http.MethodGet, at, nil)
		version := versionField.FindStringSubmatch(page)
		var ideas []string
		for _, kind := range []string{"capture", "cancel", "refund"} {
			if strings.Contains(page, `name="kind" value="`+kind+`"`) {
				ideas = append(ideas, kind)
			}
		}
		if again := tryAgain.FindStringSubmatch(page); again != nil && chance(rng, 0.3) {
			f.do(rng, http.MethodPost, again[1], nil)
		}
		off := writtenOff.FindStringSubmatch(page)
		if version == nil || len(ideas) == 0 && off == nil {
			continue
		}
		form := url.Values{"version": {version[1]}}
		if off != nil && chance(rng, 0.1) {
			f.do(rng, http.MethodPost, at+"/writeoff", url.Values{"version": form["version"], "reference": {off[1]}})
			continue
		}
		if len(ideas) == 0 {
			continue
		}
		kind := pick(rng, append(ideas, ideas[0])...)
		if chance(rng, 0.5) {
			form.Set("whole", "1")
		} else {
			form.Set("amount", pick(rng, "3.00", "30.00", "120.00"))
		}
		var twice sync.WaitGroup
		if chance(rng, 0.3) {
			twice.Go(func() { f.do(rand.New(rand.NewPCG(o.sc.seed, 4)), http.MethodPost, at+"/"+kind, form) })
		}
		f.do(rng, http.MethodPost, at+"/"+kind, form)
		twice.Wait()
	}
}

// tell sends webhooks of what has changed: late, twice or not at all.
func (f *fleet) tell(ctx context.Context, o *shopOrder) {
	rng := rand.New(rand.NewPCG(o.sc.seed, 5))
	for told := 0; isPast(ctx, between(rng, 0, time.Second)); {
		o.mu.Lock()
		main := o.orders[0]
		versions := len(o.versions[main.id])
		doc := map[string]any{"event_type": "ORDER_" + main.status, "data": o.orderDoc(main.clone(), docFault{})}
		o.mu.Unlock()
		if versions == told || chance(rng, 0.3) {
			told = versions
			continue
		}
		told = versions
		body, err := json.Marshal(doc)
		if err != nil {
			f.t.Error(err)
			return
		}
		for range pick(rng, 1, 2) {
			f.webhook(rng, fmt.Sprintf("msg_%d_%d", o.sc.seed, versions), body)
		}
	}
}

func (f *fleet) webhook(rng *rand.Rand, id string, body []byte) {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost,
		"http://"+f.addresses[rng.IntN(fleetSize)]+"/plural/webhook", bytes.NewReader(body))
	if err != nil {
		f.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	send(req)
}

// decisions are what the shop says at this moment.
func (f *fleet) decisions(o *shopOrder) (list []decision) {
	rows, err := f.db.QueryContext(context.WithoutCancel(f.t.Context()), `SELECT d.reference, d.kind, d.state, d.reason,
			COALESCE(j.state::text, ''), d.amount, d.job_id, d.whole = 1
		FROM decisions d LEFT JOIN river_job j ON j.id = d.job_id WHERE d.order_number = $1 ORDER BY decided_at`, o.number)
	if err != nil {
		f.t.Error(err)
		return nil
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var d decision
		if err := rows.Scan(&d.reference, &d.kind, &d.state, &d.reason, &d.job, &d.amount, &d.jobID, &d.whole); err != nil {
			f.t.Error(err)
		}
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		f.t.Error(err)
	}
	return list
}

// watch notes each state that a decision is seen in, until ctx ends.
func (f *fleet) watch(ctx context.Context) {
	for isPast(ctx, 100*time.Millisecond) {
		for _, o := range f.orders {
			for _, d := range f.decisions(o) {
				if o.seen[d.reference] == nil {
					o.seen[d.reference] = map[string]time.Time{}
				}
				if _, ok := o.seen[d.reference][d.state]; !ok {
					o.seen[d.reference][d.state] = time.Now()
					o.mu.Lock()
					o.say("[shop]", "%s %s of %d under %s: %s", d.kind, d.state, d.amount, d.reference, d.reason)
					o.mu.Unlock()
				}
			}
		}
	}
}

// settle has the staff press "Try now" where they can, and waits until every
// decision has ended or is to be looked at, and the shop's books are the
// gateway's.
func (f *fleet) settle() {
	rng := rand.New(rand.NewPCG(1, 6))
	for _, o := range f.orders {
		for _, d := range f.decisions(o) {
			if d.state == "waiting" {
				f.do(rng, http.MethodPost, fmt.Sprintf("/operator/orders/%s/jobs/%d", o.number, d.jobID), nil)
			}
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		left := 0
		for _, o := range f.orders {
			left += len(f.unsettled(o, f.decisions(o)))
		}
		if left == 0 {
			return
		}
	}
}

// unsettled is what is not over, or not known to the shop.
func (f *fleet) unsettled(o *shopOrder, decisions []decision) (left []string) {
	for _, d := range decisions {
		if d.state == "waiting" && (d.reason == "" || d.job == "running" || d.job == "available") && d.job != "discarded" {
			left = append(left, fmt.Sprintf("a decision that neither ends nor is to be looked at: %+v", d))
		}
	}
	var status string
	var captured, refunded int64
	err := f.db.QueryRowContext(f.t.Context(), `SELECT status, captured, refunded FROM orders WHERE number = $1`, o.number).
		Scan(&status, &captured, &refunded)
	o.mu.Lock()
	defer o.mu.Unlock()
	main := o.orders[0]
	if err != nil || status != main.status || captured != main.taken() || refunded != main.refunded(refund.good) {
		left = append(left, fmt.Sprintf("the shop has %s, captured %d, refunded %d; true is %s, %d, %d (%v)",
			status, captured, refunded, main.status, main.taken(), main.refunded(refund.good), err))
	}
	return left
}

// judge says what the shop got wrong.
func (f *fleet) judge(o *shopOrder, decisions []decision) (wrong []string) {
	wrong = f.unsettled(o, decisions)
	o.mu.Lock()
	defer o.mu.Unlock()
	main := o.orders[0]
	known := map[string]bool{}
	for _, d := range decisions {
		known[d.reference] = true
		states := o.seen[d.reference]
		if states == nil {
			states = map[string]time.Time{}
		}
		if states[d.state].IsZero() {
			states[d.state] = time.Now()
		}
		bad := func(text string, args ...any) {
			wrong = append(wrong, fmt.Sprintf(text, args...)+fmt.Sprintf(": %+v", d))
		}
		done, isDone := states["done"]
		_, isRefused := states["refused"]
		if d.kind == "cancel" {
			switch {
			case isDone && main.status != cancelled:
				bad("a cancel is said to be carried out, and the order is %s", main.status)
			case isRefused && (main.open() || d.state == "refused" && main.status == cancelled):
				bad("a cancel is said to be refused, and the order is %s", main.status)
			}
			continue
		}
		sum, good, number := int64(0), int64(0), 0
		for _, e := range o.effects {
			if e.op != d.kind || e.reference != d.reference {
				continue
			}
			if isDone && e.at.After(done) {
				bad("said to be carried out before it was")
			}
			sum, number = sum+e.amount, number+1
			if e.op == "capture" || o.isGood(e.refund) {
				good += e.amount
			}
		}
		want := d.amount
		if d.kind == "capture" && d.whole {
			want = o.hold
		}
		twice := d.kind == "refund" && number > 1 && o.sc.unique != unique
		if isDone && sum != want && !twice {
			bad("said to be carried out, and true is %d", sum)
		}
		if d.state == "done" && good != want && !twice {
			bad("said to be carried out to the end, and true is %d", good)
		}
		if isRefused && good > 0 && !(d.kind == "refund" && twice) {
			bad("said to be refused, and %d has moved", good)
		}
		if isRefused && d.kind == "capture" && main.open() && !main.lapsed && want <= o.hold {
			bad("said to be refused, and the order is %s", main.status)
		}
		if d.kind == "refund" && number > 1 && good > want && o.sc.unique != notUnique {
			bad("given back twice")
		}
	}
	for _, e := range o.effects {
		if e.by == "-" && e.op != "cancel" && !known[e.reference] {
			wrong = append(wrong, fmt.Sprintf("nobody decided %+v", e))
		}
	}
	return wrong
}

// isGood reports whether a refund's money is on its way or has arrived.
func (o *shopOrder) isGood(id string) bool {
	for _, r := range o.orders[0].refunds {
		if r.id == id {
			return r.good()
		}
	}
	return false
}
