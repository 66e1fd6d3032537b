package main

import (
	"bytes"
	"context"
	"database/sql"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/pluraltest"
)

const password = "shipping-and-handling"

// quickPace returns a pace for tests, in which jobs are tried again very soon.
func quickPace() pace {
	return pace{
		Poll: 50 * time.Millisecond, Timeout: 20 * time.Second, Rescue: 25 * time.Second,
		Sweep: time.Second, Look: 2 * time.Second, Hold: time.Hour, Bank: time.Second, Retry: soon{},
	}
}

type soon struct{}

func (soon) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Duration(job.Attempt)*100*time.Millisecond, time.Second))
}

// A site is a storefront that runs in this process, with the test's emulator.
type site struct {
	t       *testing.T
	gateway *pluraltest.Server
	db      string
	url     string
	logged  *bytes.Buffer // the log; it is complete after the call of close
	close   func()        // stops the site in the way in which SIGTERM stops the program
}

// connectTo connects a shop to the test's emulator.
func connectTo(emulator *pluraltest.Server) connect {
	return func(_ *slog.Logger, _ string, opts ...plural.Option) (*gateway, error) {
		creds := plural.Credentials{ClientID: emulator.ClientID, ClientSecret: emulator.ClientSecret}
		client, err := plural.NewClient(creds, append(opts, plural.WithBaseURL(emulator.URL))...)
		return &gateway{client, emulator.ClientSecret, func() {}}, err
	}
}

// openSite starts a storefront that runs its jobs at the given pace.
func openSite(t *testing.T, gateway *pluraltest.Server, database string, p pace) *site {
	t.Helper()
	return openWith(t, gateway, settings{Database: database, pace: p, connect: connectTo(gateway)})
}

// openWith starts a storefront. It uses SQLite, unless the settings name
// another database.
func openWith(t *testing.T, gateway *pluraltest.Server, set settings) *site {
	t.Helper()
	if set.Database == "" {
		set.Database, set.pace = sqliteFile(t), quickPace()
	}
	s := &site{t: t, gateway: gateway, db: set.Database, logged: &bytes.Buffer{}}
	set.Addr, set.Password = "127.0.0.1:0", password
	opened := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		set.opened = func(url string) { opened <- url }
		ended <- run(ctx, set, slog.New(slog.NewTextHandler(s.logged, nil)))
	}()
	select {
	case s.url = <-opened:
	case err := <-ended:
		cancel()
		require.NoError(t, err)
	}
	closed := false
	s.close = func() {
		if closed {
			return
		}
		closed = true
		cancel()
		require.NoError(t, <-ended)
	}
	t.Cleanup(s.close)
	gateway.SetWebhookURL(s.url + "/plural/webhook")
	return s
}

// openUsual starts a storefront on SQLite, with an emulator of its own.
func openUsual(t *testing.T, opts ...pluraltest.Option) (*pluraltest.Server, *site) {
	t.Helper()
	gateway := pluraltest.NewServer(t, opts...)
	return gateway, openSite(t, gateway, sqliteFile(t), quickPace())
}

func sqliteFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "shop.db")
}

// A browser is somebody who visits a site.
type browser struct {
	t    *testing.T
	site *site
	http *http.Client
	user string // the staff's user name; "" for a customer
}

// Call customer to get the browser of a new customer. The browser does not
// follow redirects that lead out of the shop.
func (s *site) customer() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	return &browser{t: s.t, site: s, http: &http.Client{
		Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if !strings.HasPrefix(r.URL.String(), s.url) {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

func (s *site) staff() *browser {
	b := s.customer()
	b.user = "operator"
	return b
}

// A page is an answer of the shop.
type page struct {
	status int
	at     *url.URL
	to     string // where a redirect out of the shop leads
	body   string
}

func (b *browser) do(method, path string, form url.Values) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.site.url+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if b.user != "" {
		req.SetBasicAuth(b.user, password)
	}
	res, err := b.http.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return page{res.StatusCode, res.Request.URL, res.Header.Get("Location"), html.UnescapeString(string(body))}
}

func (b *browser) get(path string) page { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) page {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

// The method field returns the value of a hidden field of a page.
func (p page) field(t *testing.T, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(p.body)
	require.NotNil(t, found, "there is no field %s on the page: %s", name, p.body)
	return found[1]
}

// placesOrder puts a product into the cart and goes to the checkout. It returns
// the order's number and its id at Plural.
func (b *browser) placesOrder(product string) (number, id string) {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, b.post("/cart", "product", product).status)
	number = b.get("/cart").field(b.t, "number")
	answer := b.post("/checkout", "number", number)
	require.Equal(b.t, http.StatusSeeOther, answer.status, answer.body)
	require.Contains(b.t, answer.to, b.site.gateway.URL)
	orders := b.site.gateway.OrdersByReference(number)
	require.Len(b.t, orders, 1)
	return number, orders[0].ID
}

// comeBack posts the form that Plural gives to the browser. It returns the next
// page.
func (b *browser) comeBack(form url.Values) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(
		b.t.Context(), http.MethodPost, b.site.url+"/plural/return", strings.NewReader(form.Encode()),
	)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Origin", b.site.gateway.URL)
	res, err := b.http.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return page{status: res.StatusCode, at: res.Request.URL, body: html.UnescapeString(string(body))}
}

// This method makes an order with one product, and pays for the order.
func (b *browser) pays(product string) (number, id string) {
	b.t.Helper()
	number, id = b.placesOrder(product)
	back, err := b.site.gateway.Pay(id, pluraltest.Approve)
	require.NoError(b.t, err)
	after := b.comeBack(back.Form)
	require.Equal(b.t, "/orders/"+number, after.at.Path)
	require.Contains(b.t, after.body, "Thank you")
	return number, id
}

// This method sends an operator's decision about an order. The form also
// contains the version of the order that the operator's page shows.
func (b *browser) decides(number, kind string, pairs ...string) page {
	b.t.Helper()
	version := b.get("/operator/orders/"+number).field(b.t, "version")
	return b.post("/operator/orders/"+number+"/"+kind, append(pairs, "version", version)...)
}

// This method loads a page again and again, until the page shows all of the
// texts.
func (b *browser) eventually(path string, texts ...string) {
	b.t.Helper()
	var last string
	ok := false
	for end := time.Now().Add(30 * time.Second); !ok && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		last = b.get(path).body
		ok = true
		for _, text := range texts {
			ok = ok && strings.Contains(last, text)
		}
	}
	if !ok {
		_, body, _ := strings.Cut(last, "<main")
		b.t.Fatalf("%s never shows %q: %s", path, texts, body)
	}
}

// The method query runs an SQL statement in the shop's SQLite database, and
// returns the one value that the statement finds.
func (s *site) query(t *testing.T, statement string) (value string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.db+"?_pragma=busy_timeout(20000)")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	require.NoError(t, db.QueryRowContext(t.Context(), statement).Scan(&value))
	return value
}

// This method runs an SQL statement again and again, until the statement finds
// the wanted value.
func (s *site) eventually(t *testing.T, want, statement string) {
	t.Helper()
	require.Eventually(t, func() bool { return s.query(t, statement) == want }, 30*time.Second, 50*time.Millisecond)
}

// outcomeOf returns the outcome that contrib/river would pass to the desk for a
// decision.
func outcomeOf(d *decision, err error) pluralriver.Outcome {
	kinds := map[string]string{
		kindCapture: pluralriver.KindCapture, kindCancel: pluralriver.KindCancel, kindRefund: pluralriver.KindRefund,
	}
	return pluralriver.Outcome{Kind: kinds[d.Kind], OrderID: "v1-1", Reference: d.Reference, Err: err}
}

func orderPage(number string) string   { return "/orders/" + number }
func operatePage(number string) string { return "/operator/orders/" + number }
