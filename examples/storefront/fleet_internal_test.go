package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

func TestMain(m *testing.M) {
	if servertest.Role() == "shop" {
		runShop()
		return
	}
	os.Exit(m.Run())
}

// runShop is the main function of a process of the fleet, which runs until it
// is killed. It has the program's settings, but a quicker pace. It prints
// "open" when it is ready.
func runShop() {
	s, err := parseSettings(nil)
	if err == nil {
		s.pace = quickPace()
		s.pace.Timeout, s.pace.Rescue = 10*time.Second, 12*time.Second
		s.opened = func(string) { fmt.Println("open") }
		err = run(context.Background(), s, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		fmt.Println(err)
	}
}

// A fleet has storefronts behind a load balancer, with one database and one
// Redis.
type fleet struct {
	t        *testing.T
	gateway  *pluraltest.Server
	balancer *httptest.Server
	env      []string

	mu        sync.Mutex
	processes []*servertest.Process
	addresses []*url.URL
	up        []bool
	kills     int
	outages   int
	next      atomic.Uint64
}

const fleetSize = 2

func openFleet(t *testing.T, gateway *pluraltest.Server, database, redis string) *fleet {
	t.Helper()
	f := &fleet{
		t:         t,
		gateway:   gateway,
		processes: make([]*servertest.Process, fleetSize),
		addresses: make([]*url.URL, fleetSize),
		up:        make([]bool, fleetSize),
	}
	f.balancer = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(f.pick())
			r.Out.Host = r.In.Host
		},
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(f.balancer.Close)
	f.env = []string{
		"STOREFRONT_URL=" + f.balancer.URL, "STOREFRONT_DATABASE=" + database, "STOREFRONT_REDIS=" + redis,
		"STOREFRONT_PASSWORD=" + password, "PLURAL_BASE_URL=" + gateway.URL, "PLURAL_ENVIRONMENT=",
		"PLURAL_CLIENT_ID=" + gateway.ClientID, "PLURAL_CLIENT_SECRET=" + gateway.ClientSecret,
	}
	for i := range fleetSize {
		f.addresses[i] = &url.URL{Scheme: "http", Host: freeAddress(t)}
		f.start(i)
	}
	gateway.SetWebhookURL(f.balancer.URL + "/plural/webhook")
	return f
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// The method pick returns the address of a running process. It takes the
// running processes in turn. If no process is running, it returns the address
// of a stopped process.
func (f *fleet) pick() *url.URL {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := int(f.next.Add(1) % fleetSize)
	if !f.up[n] && f.up[(n+1)%fleetSize] {
		n = (n + 1) % fleetSize
	}
	return f.addresses[n]
}

func (f *fleet) start(i int) {
	f.t.Helper()
	p := servertest.StartProcess(f.t, "shop", append(f.env, "STOREFRONT_ADDR="+f.addresses[i].Host)...)
	if line := p.Line(); line != "open" {
		f.t.Errorf("a storefront does not start: %s", line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes[i], f.up[i] = p, true
}

// The method kill ends a process at once.
func (f *fleet) kill(i int) {
	f.mu.Lock()
	p := f.processes[i]
	f.kills++
	f.mu.Unlock()
	p.Kill()
	time.Sleep(50 * time.Millisecond) // so some requests still go to the dead process
	f.mu.Lock()
	f.up[i] = false
	f.mu.Unlock()
}

// The method havoc kills and restarts processes until ctx ends. Sometimes it
// makes Plural fail instead, for six seconds. The SDK stops retrying a request
// before these six seconds have passed.
func (f *fleet) havoc(ctx context.Context, random *rand.Rand, usual func(pluraltest.Request) pluraltest.Fault) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(500+random.IntN(2000)) * time.Millisecond):
		}
		if n%12 == 0 {
			f.gateway.SetFaultPlan(outage)
			time.Sleep(6 * time.Second) // the SDK stops retrying a request before this time has passed
			f.gateway.SetFaultPlan(usual)
			f.outages++
			continue
		}
		i := random.IntN(fleetSize)
		f.kill(i)
		time.Sleep(time.Duration(random.IntN(800)) * time.Millisecond)
		f.start(i)
	}
}

// During an outage, Plural carries out half of the captures, cancels, refunds
// and new orders, but does not confirm any of them. It refuses all other
// requests.
func outage(r pluraltest.Request) pluraltest.Fault {
	switch r.Op {
	case pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate, pluraltest.OpOrdersCreate:
		if r.Seq%2 == 0 {
			return pluraltest.ResetBeforeApply
		}
		return pluraltest.ResetAfterApply
	}
	return pluraltest.UnavailableBeforeApply
}

// TestFleet simulates a sale with many customers. The customers make orders.
// Some customers pay, and some of those come back to the shop. Two operators
// capture, cancel and refund, sometimes against each other. Plural's answers
// get lost, and the shop's processes are killed. Afterwards every order must
// have the same status and the same amounts in the shop's database and in
// Plural's books.
//
// STOREFRONT_PURCHASES is the number of customers, and `make sale` sets it.
func TestFleet(t *testing.T) {
	t.Parallel()
	purchases := 100
	if text := os.Getenv("STOREFRONT_PURCHASES"); text != "" {
		var err error
		purchases, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	seed := rand.Uint64()
	t.Logf("%d purchases, seed %d", purchases, seed)
	waits := []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second}
	for range 60 {
		waits = append(waits, 2*time.Second)
	}
	usual := pluraltest.RandomFaults(seed, 0.25,
		pluraltest.ResetBeforeApply, pluraltest.ResetAfterApply, pluraltest.CloseAfterApply, pluraltest.Truncate,
		pluraltest.ApplyLateReset.After(500*time.Millisecond), pluraltest.ApplyLateTimedOut.After(time.Second),
		pluraltest.ServerErrorBeforeApply, pluraltest.UnavailableBeforeApply, pluraltest.StaleRead,
		pluraltest.LaggingRead.After(time.Second))
	gateway := pluraltest.NewServer(
		t, pluraltest.WithFaultPlan(usual),
		pluraltest.WithWebhookSchedule(waits...),
		pluraltest.WithWebhookDuplicates(1),
		pluraltest.WithReadLag(200*time.Millisecond),
	)
	postgres, redis := servertest.StartPostgres(t), servertest.StartRedis(t)
	f := openFleet(t, gateway, postgres.URL, "redis://"+redis.Addr)

	ctx, calm := context.WithCancel(t.Context())
	var trouble, customers sync.WaitGroup
	trouble.Go(func() { f.havoc(ctx, rand.New(rand.NewPCG(seed, 0)), usual) })
	queue := make(chan int)
	for range min(24, purchases) {
		customers.Go(func() {
			for i := range queue {
				v := &visit{f: f, random: rand.New(rand.NewPCG(seed, uint64(i+1)))}
				v.run()
			}
		})
	}
	for i := range purchases {
		queue <- i
	}
	close(queue)
	customers.Wait()
	calm()
	trouble.Wait()
	gateway.ClearFaults()
	gateway.Flush()
	for i := range fleetSize { // the new processes take over the jobs of the killed processes
		f.kill(i)
		f.start(i)
	}
	patient, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	require.NoError(t, gateway.WaitWebhooks(patient))

	db, err := sql.Open("pgx", postgres.URL)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	books := &ledger{t: t, db: db, gateway: gateway}
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		if books.compareOrders() == "" {
			break
		}
		require.True(t, time.Now().Before(end), "the shop and Plural do not agree:\n%s", books.compareOrders())
	}
	gateway.AssertExactlyOnce(t)
	books.checkEvents()
	counts := books.counts()
	t.Logf(
		"%s; processes killed: %d; faults: %d; tokens: %d",
		counts,
		f.kills,
		len(gateway.FaultLog()),
		gateway.TokensIssued(),
	)
}

// A visit is one purchase. It acts as the customer, and as the operator who
// decides about the order.
type visit struct {
	f      *fleet
	random *rand.Rand
	number string
	id     string
}

func (v *visit) run() {
	customer := v.newClient("")
	if !v.placeOrder(customer) {
		return
	}
	if !v.payOrder(customer) || v.random.IntN(10) == 0 { // sometimes nobody decides
		return
	}
	captured := v.decideOrder()
	if captured && v.random.IntN(3) == 0 {
		v.refundOrder()
	}
}

// newClient returns the HTTP client of a customer. If user is set, it returns
// the HTTP client of a member of staff.
func (v *visit) newClient(user string) *http.Client {
	shop := (&site{t: v.f.t, url: v.f.balancer.URL, gateway: v.f.gateway}).customer()
	c := shop.http
	c.Timeout = 20 * time.Second
	c.Transport = &http.Transport{DisableKeepAlives: true}
	if user != "" {
		c.Transport = asUser{c.Transport, user}
	}
	return c
}

type asUser struct {
	next http.RoundTripper
	user string
}

func (a asUser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(a.user, password)
	return a.next.RoundTrip(r)
}

// repeatRequest sends a request again and again, until a process gives an
// answer that is not a server error.
func (v *visit) repeatRequest(c *http.Client, method, path string, form url.Values) page {
	for range 200 {
		p, err := request(v.f.t.Context(), c, method, v.f.balancer.URL+path, form)
		if err == nil && p.status < http.StatusInternalServerError {
			return p
		}
		time.Sleep(time.Duration(20+v.random.IntN(100)) * time.Millisecond)
	}
	v.f.t.Errorf("%s %s is never answered", method, path)
	return page{}
}

func request(ctx context.Context, c *http.Client, method, link string, form url.Values) (page, error) {
	req, err := http.NewRequestWithContext(ctx, method, link, strings.NewReader(form.Encode()))
	if err != nil {
		return page{}, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := c.Do(req)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return page{res.StatusCode, res.Request.URL, res.Header.Get("Location"), string(body)}, err
}

// placeOrder makes an order, and reports whether the customer gets to Plural's
// page and stays there.
func (v *visit) placeOrder(c *http.Client) bool {
	v.repeatRequest(c, http.MethodPost, "/cart", url.Values{"product": {products[v.random.IntN(len(products))].ID}})
	cart := v.repeatRequest(c, http.MethodGet, "/cart", nil)
	v.number = cart.field(v.f.t, "number")
	p := v.repeatRequest(c, http.MethodPost, "/checkout", url.Values{"number": {v.number}})
	for range 10 {
		if p.status == http.StatusSeeOther {
			break
		}
		p = v.repeatRequest(c, http.MethodPost, orderPage(v.number)+"/pay", nil)
	}
	orders := v.f.gateway.OrdersByReference(v.number)
	if p.status != http.StatusSeeOther || len(orders) == 0 {
		return false
	}
	v.id = orders[0].ID
	return v.random.IntN(10) > 0 // some customers close the browser
}

// payOrder acts as the payer on Plural's page. Not all payers come back to the
// shop. payOrder reports whether the order was paid.
func (v *visit) payOrder(c *http.Client) bool {
	if v.random.IntN(5) == 0 {
		back, err := v.f.gateway.Pay(v.id, pluraltest.Decline("insufficient funds"))
		if err != nil {
			v.f.t.Errorf("decline: %v", err)
			return false
		}
		v.repeatRequest(c, http.MethodPost, "/plural/return", back.Form)
		if v.random.IntN(2) == 0 {
			return false
		}
	}
	back, err := v.f.gateway.Pay(v.id, pluraltest.Approve)
	if err != nil {
		v.f.t.Errorf("pay: %v", err)
		return false
	}
	if v.random.IntN(3) > 0 {
		v.repeatRequest(c, http.MethodPost, "/plural/return", back.Form)
	}
	return true
}

// waitForOffer waits until the operator's page offers a decision. Then it
// returns the version of the order on that page. If the page never offers the
// decision, waitForOffer returns "", and the test fails.
func (v *visit) waitForOffer(c *http.Client, offer string) string {
	for range 1200 {
		p := v.repeatRequest(c, http.MethodGet, operatePage(v.number), nil)
		if strings.Contains(p.body, offer) {
			return p.field(v.f.t, "version")
		}
		time.Sleep(100 * time.Millisecond)
	}
	v.f.t.Errorf("%s never offers %q", v.number, offer)
	return ""
}

// decideOrder acts as an operator who captures or cancels the order. Sometimes
// a second operator decides about the same order at the same time.
func (v *visit) decideOrder() (captured bool) {
	staff := v.newClient("operator")
	version := v.waitForOffer(staff, "/capture")
	ideas := []func() (string, url.Values){
		func() (string, url.Values) { return "capture", url.Values{"version": {version}, "whole": {"1"}} },
		func() (string, url.Values) {
			return "capture", url.Values{
				"version": {version},
				"amount":  {fmt.Sprintf("%d.%02d", 1+v.random.IntN(500), v.random.IntN(100))},
			}
		},
		func() (string, url.Values) { return "cancel", url.Values{"version": {version}} },
	}
	kind, form := ideas[[]int{0, 0, 0, 1, 1, 2}[v.random.IntN(6)]]()
	var rival sync.WaitGroup
	if v.random.IntN(6) == 0 {
		other, otherForm := ideas[v.random.IntN(3)]()
		rival.Go(func() {
			_, _ = request(
				v.f.t.Context(),
				v.newClient("operator"),
				http.MethodPost,
				v.f.balancer.URL+operatePage(v.number)+"/"+other,
				otherForm,
			)
		})
	}
	v.repeatRequest(staff, http.MethodPost, operatePage(v.number)+"/"+kind, form)
	rival.Wait()
	return len(v.f.gateway.Cancels(v.id)) == 0 && kind == "capture" && v.random.IntN(2) == 0
}

// refundOrder waits until money was captured. Then it refunds a part of the
// money or all of it. If the order's page shows that no capture will come,
// refundOrder refunds nothing.
func (v *visit) refundOrder() {
	staff := v.newClient("operator")
	for range 1200 {
		p := v.repeatRequest(staff, http.MethodGet, operatePage(v.number), nil)
		switch {
		case strings.Contains(p.body, "/refund"):
			form := url.Values{"version": {p.field(v.f.t, "version")}, "whole": {"1"}}
			if v.random.IntN(2) == 0 {
				form = url.Values{"version": form["version"], "amount": {"1.25"}}
			}
			v.repeatRequest(staff, http.MethodPost, operatePage(v.number)+"/refund", form)
			return
		case strings.Contains(p.body, "Cancellation carried out"), strings.Contains(p.body, "not carried out"):
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A ledger compares the shop's database with Plural's books.
type ledger struct {
	t       *testing.T
	db      *sql.DB
	gateway *pluraltest.Server
}

// compareOrders returns a list of the differences between the shop's database
// and Plural's books.
func (b *ledger) compareOrders() string {
	b.t.Helper()
	var differ strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&differ, format+"\n", args...) }
	for _, o := range b.gateway.Orders() {
		if o.ParentID != "" {
			continue
		}
		var id, status string
		var amount, captured, refunded int64
		err := b.db.QueryRowContext(b.t.Context(),
			`SELECT plural_id, status, amount, captured, refunded FROM orders WHERE number = $1`, o.Reference).
			Scan(&id, &status, &amount, &captured, &refunded)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			say("%s: the shop has no such order", o.Reference)
		case err != nil:
			say("%s: %v", o.Reference, err)
		case id != o.ID || amount != o.Amount.Value || captured != o.Captured || refunded != o.Refunded:
			say("%s: the shop has %s %d, captured %d, refunded %d; Plural has %s %d, captured %d, refunded %d",
				o.Reference, id, amount, captured, refunded, o.ID, o.Amount.Value, o.Captured, o.Refunded)
		case status != o.Status && (status != "" || o.Status != pluraltest.StatusCreated):
			say("%s: the shop has %s, Plural has %s", o.Reference, status, o.Status)
		}
		b.compareDecisions(o, say)
	}
	return differ.String()
}

// compareDecisions compares the decisions about an order with what was carried
// out.
func (b *ledger) compareDecisions(o pluraltest.Order, say func(format string, args ...any)) {
	done := map[string]int64{}
	for _, c := range b.gateway.Captures(o.ID) {
		done[c.Reference] += c.Amount.Value
	}
	for _, r := range b.gateway.Refunds(o.ID) {
		if r.Status == pluraltest.StatusProcessed {
			done[r.Reference] += r.Amount.Value
		}
	}
	rows, err := b.db.QueryContext(b.t.Context(),
		`SELECT reference, kind, amount, state FROM decisions WHERE order_number = $1`, o.Reference)
	decided, err := collectRows(rows, err, func(rows *sql.Rows) (d struct {
		reference, kind, state string
		amount                 int64
	}, err error,
	) {
		return d, rows.Scan(&d.reference, &d.kind, &d.amount, &d.state)
	})
	if err != nil {
		say("%s: %v", o.Reference, err)
	}
	for _, d := range decided {
		if d.state == stateWaiting {
			say("%s: %s of %d is still waiting", o.Reference, d.kind, d.amount)
		}
		if d.kind == kindCancel {
			if (d.state == stateDone) != (len(b.gateway.Cancels(o.ID)) == 1) {
				say("%s: cancel is %s", o.Reference, d.state)
			}
			continue
		}
		amount, ok := done[d.reference]
		if ok != (d.state == stateDone) || ok && amount != d.amount {
			say("%s: %s of %d is %s; Plural has %d", o.Reference, d.kind, d.amount, d.state, amount)
		}
		delete(done, d.reference)
	}
	if len(done) > 0 {
		say("%s: nobody decided %v", o.Reference, done)
	}
}

// checkEvents fails the test unless the history of the shop's orders shows each
// webhook exactly once.
func (b *ledger) checkEvents() {
	b.t.Helper()
	for _, d := range b.gateway.Deliveries() {
		var n int
		require.NoError(
			b.t,
			b.db.QueryRowContext(b.t.Context(), `SELECT count(*) FROM history WHERE what LIKE '%(' || $1 || ')'`, d.ID).Scan(&n),
		)
		require.Equal(b.t, 1, n, "event %s, %s", d.ID, d.State)
	}
}

func (b *ledger) counts() string {
	b.t.Helper()
	var out bytes.Buffer
	rows, err := b.db.QueryContext(
		b.t.Context(),
		`SELECT 'orders ' || CASE status WHEN '' THEN 'NEW' ELSE status END, count(*) FROM orders GROUP BY status
		UNION ALL SELECT kind || ' ' || state, count(*) FROM decisions GROUP BY kind, state
		UNION ALL SELECT 'events', count(*) FROM plural_inbox
		UNION ALL SELECT 'money jobs tried again', count(*) FROM river_job
			WHERE kind LIKE 'plural_%' AND attempt > 1 ORDER BY 1`,
	)
	_, err = collectRows(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var what string
		var n int
		err := rows.Scan(&what, &n)
		fmt.Fprintf(&out, "%s: %d, ", what, n)
		return struct{}{}, err
	})
	require.NoError(b.t, err)
	return strings.TrimSuffix(out.String(), ", ")
}
