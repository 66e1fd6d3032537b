package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

func TestMain(m *testing.M) {
	if servertest.Role() == "hotel" {
		runHotel()
		return
	}
	os.Exit(m.Run())
}

// runHotel is the main function of a hotel process. The process runs until it
// is killed, or until it reads a line from its standard input. The line stops
// the process as a signal would. The process has the program's usual settings,
// but shorter times between tries.
func runHotel() {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		if bufio.NewScanner(os.Stdin).Scan() {
			stop()
		}
	}()
	s, err := fromEnv()
	if err == nil {
		s.Quiet, s.Sweep, s.Retry = time.Second, time.Second, soon{}
		s.Try = 10 * time.Second
		if os.Getenv("HOTEL_TEST_PATIENT") != "" {
			s.Try = time.Minute
		}
		s.Rescue = s.Try
		s.opened = func() { fmt.Println("open") }
		err = run(ctx, s, slog.New(testLog()))
	}
	fmt.Println(err)
}

// testLog returns a handler that writes all records to the file that
// HOTEL_TEST_LOG names. If the variable is not set, the handler writes nothing.
func testLog() slog.Handler {
	f, err := os.OpenFile(os.Getenv("HOTEL_TEST_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return slog.DiscardHandler
	}
	return slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})
}

type soon struct{}

func (soon) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Duration(job.Attempt)*100*time.Millisecond, time.Second))
}

// hotelProcesses is one hotel that runs as several processes.
type hotelProcesses struct {
	t         *testing.T
	gateway   *pluraltest.Server
	db        *sql.DB
	url       string // URL of the load balancer
	addresses []string
	env       []string
	processes []*servertest.Process
	next      atomic.Uint64
}

// startHotel starts a hotel with an empty database. All processes of the hotel
// start at the same time.
func startHotel(t *testing.T, gateway *pluraltest.Server, processes int, env ...string) *hotelProcesses {
	t.Helper()
	postgres, redis := servertest.StartPostgres(t), servertest.StartRedis(t)
	c := &hotelProcesses{t: t, gateway: gateway, processes: make([]*servertest.Process, processes)}
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			host := c.addresses[int(c.next.Add(1)%uint64(processes))]
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host
		},
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(balancer.Close)
	c.url = balancer.URL
	c.env = append([]string{
		"HOTEL_URL=" + c.url, "HOTEL_DATABASE=" + postgres.URL, "HOTEL_REDIS=redis://" + redis.Addr,
		"HOTEL_PASSWORD=keys", "PLURAL_BASE_URL=" + gateway.URL, "PLURAL_ENVIRONMENT=",
		"PLURAL_CLIENT_ID=" + gateway.ClientID, "PLURAL_CLIENT_SECRET=" + gateway.ClientSecret,
	}, env...)
	for range processes {
		c.addresses = append(c.addresses, freeAddress(t))
	}
	for i := range processes {
		c.start(i)
	}
	for i := range processes {
		require.Equal(t, "open", c.processes[i].Line())
	}
	gateway.SetWebhookURL(c.url + "/plural/webhook")
	var err error
	c.db, err = sql.Open("pgx", postgres.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.db.Close() })
	return c
}

func (c *hotelProcesses) start(i int) {
	c.processes[i] = servertest.StartProcess(c.t, "hotel", append(c.env, "HOTEL_ADDR="+c.addresses[i])...)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// webAnswer is the hotel's answer to a request.
type webAnswer struct {
	status   int
	location string
	body     string
}

// sendRequest sends a request to the hotel, and repeats the request until a
// process answers.
func (c *hotelProcesses) sendRequest(method, path string, form url.Values) webAnswer {
	client := &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for range 200 {
		req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			c.t.Error(err)
			return webAnswer{}
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		req.SetBasicAuth("desk", "keys")
		res, err := client.Do(req)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode < http.StatusInternalServerError {
			return webAnswer{res.StatusCode, res.Header.Get("Location"), html.UnescapeString(string(body))}
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Errorf("%s %s is never answered", method, path)
	return webAnswer{}
}

// makeBooking makes a booking. It returns the booking's number, and Plural's id
// of the order for the booking.
func (c *hotelProcesses) makeBooking() (number, id string) {
	p := c.sendRequest(http.MethodPost, "/bookings", url.Values{"room": {"Lake"}, "nights": {"2"}})
	for range 50 {
		if orderID, ok := c.atPlural(p.location); ok {
			return c.queryText(`SELECT number FROM bookings WHERE plural_id = $1`, orderID), orderID
		}
		number := strings.TrimPrefix(p.location, "/bookings/") // the guest tries again, because Plural may be down
		p = c.sendRequest(http.MethodPost, "/bookings/"+number+"/pay", nil)
	}
	c.t.Errorf("no way to pay: %v", p)
	return "", ""
}

func (c *hotelProcesses) atPlural(link string) (id string, ok bool) {
	if !strings.HasPrefix(link, c.gateway.URL) {
		return "", false
	}
	return c.queryText(`SELECT plural_id FROM bookings WHERE link = $1`, link), true
}

// payDeposit makes the guest pay the deposit at Plural. If comesBack is true,
// the guest's browser then comes back to the hotel.
func (c *hotelProcesses) payDeposit(id string, comesBack bool) {
	back, err := c.gateway.Pay(id, pluraltest.Approve)
	if err != nil {
		c.t.Errorf("pay: %v", err)
		return
	}
	if comesBack {
		c.sendRequest(http.MethodPost, "/plural/return", back.Form)
	}
}

// makeHeldBooking books a room and pays the deposit. Then it waits until the
// hotel knows that the deposit is held.
func (c *hotelProcesses) makeHeldBooking(comesBack bool) (number, id string) {
	number, id = c.makeBooking()
	c.payDeposit(id, comesBack)
	c.waitForDesk(number, "check-out")
	return number, id
}

// waitForDesk waits until the desk's page of a booking contains the text. Then
// it returns the page.
func (c *hotelProcesses) waitForDesk(number, text string) string {
	var body string
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if body = c.sendRequest(http.MethodGet, "/desk/"+number, nil).body; strings.Contains(body, text) {
			return body
		}
	}
	c.t.Errorf("the desk's page of %s never shows %q: %s", number, text, body)
	return body
}

var beforeField = regexp.MustCompile(`name="before" value="([0-9]+)"`)

// pressButton waits until the desk's page has a button for the decision, and
// presses that button.
func (c *hotelProcesses) pressButton(number, kind, amount string) webAnswer {
	body := c.waitForDesk(number, "/desk/"+number+"/"+kind+`"`)
	found := beforeField.FindStringSubmatch(body)
	if found == nil {
		return webAnswer{}
	}
	return c.sendRequest(http.MethodPost, "/desk/"+number+"/"+kind, url.Values{"before": found[1:], "amount": {amount}})
}

// queryText returns the one value that an SQL statement finds.
func (c *hotelProcesses) queryText(statement string, args ...any) (value string) {
	if err := c.db.QueryRowContext(c.t.Context(), statement, args...).Scan(&value); err != nil {
		c.t.Errorf("%s: %v", statement, err)
	}
	return value
}

// waitForValue repeats an SQL statement until the statement finds the wanted
// value.
func (c *hotelProcesses) waitForValue(want, statement string, args ...any) {
	var got string
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = c.queryText(statement, args...); got == want {
			return
		}
	}
	c.t.Errorf("%s: got %q, but never %q", statement, got, want)
}
