package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// The test has many guests, at a hotel that runs as two processes. Some guests
// come, some do not come, some cancel, and some get money back. Plural's
// answers get lost, its books lag, and each webhook comes three times. Both
// processes are killed in the middle of a capture. Afterwards the hotel's rows
// and Plural's books agree to the paisa.
func TestSeason(t *testing.T) {
	t.Parallel()
	const seed = 22
	waits := []time.Duration{200 * time.Millisecond, 500 * time.Millisecond}
	for range 30 {
		waits = append(waits, time.Second)
	}
	usual := pluraltest.RandomFaults(seed, 0.25,
		pluraltest.ResetBeforeApply, pluraltest.ResetAfterApply, pluraltest.CloseAfterApply, pluraltest.Truncate,
		pluraltest.ApplyLateReset.After(500*time.Millisecond), pluraltest.UnavailableBeforeApply, pluraltest.StaleRead)
	var isKilled atomic.Bool
	captured := make(chan struct{})
	gateway := pluraltest.NewServer(
		t, pluraltest.WithWebhookDuplicates(2), pluraltest.WithWebhookSchedule(waits...),
		pluraltest.WithReadLag(200*time.Millisecond),
		pluraltest.WithFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpCapturesCreate && isKilled.CompareAndSwap(false, true) {
				close(captured)
				return pluraltest.HangAfterApply // the process is killed before the answer comes
			}
			return usual(r)
		}),
	)
	c := startHotel(t, gateway, 2)

	var guests sync.WaitGroup
	for i := range 15 {
		guests.Go(func() {
			number, _ := c.makeHeldBooking(i%2 == 0)
			switch i % 5 {
			case 0:
				c.pressButton(number, kindCheckOut, "13250.50")
				c.pressButton(number, kindRefund, "250.50")
			case 1:
				c.pressButton(number, kindNoShow, "")
			case 2:
				c.pressButton(number, kindCancel, "")
			case 3: // two people at the desk decide differently
				var desk sync.WaitGroup
				desk.Go(func() { c.pressButton(number, kindCheckOut, "17000") })
				desk.Go(func() { c.pressButton(number, kindCancel, "") })
				desk.Wait()
			case 4: // the desk decides nothing, and the hold stays
			}
		})
	}
	<-captured
	for i := range c.processes { // kill -9
		c.processes[i].Kill()
	}
	for i := range c.processes {
		c.start(i)
		require.Equal(t, "open", c.processes[i].Line())
	}
	guests.Wait()
	gateway.ClearFaults()
	gateway.Flush()
	require.NoError(t, gateway.WaitWebhooks(t.Context()))
	c.waitForValue("0", `SELECT count(*) FROM decisions WHERE state = 'under way'`)
	c.waitForAgreement()

	require.Equal(t, "12", c.queryText(`SELECT count(*) FROM decisions WHERE state = 'done' AND kind <> 'refund'`))
	require.Equal(t, "3", c.queryText(`SELECT count(*) FROM decisions WHERE state = 'done' AND kind = 'refund'`))
	require.Equal(t, "0", c.queryText(`SELECT count(*) FROM decisions WHERE state = 'look'`))
	gateway.AssertExactlyOnce(t)
	events := strconv.Itoa(len(gateway.Deliveries()))
	require.Equal(t, events, c.queryText(`SELECT count(*) FROM plural_inbox`), "each once")
	require.Equal(t, "15",
		c.queryText(`SELECT count(*) FROM river_job WHERE kind = 'letter' AND args->>'text' LIKE 'Your room%'`))
	require.NotEqual(t, "0", c.queryText(`SELECT count(*) FROM river_job WHERE kind = 'plural_capture' AND attempt > 1`))
	require.LessOrEqual(t, gateway.TokensIssued(), 5, "processes share a token")
}

// waitForAgreement waits until the hotel's rows agree with Plural's books.
func (c *hotelProcesses) waitForAgreement() {
	c.t.Helper()
	differ := c.differ()
	for end := time.Now().Add(40 * time.Second); differ != "" && time.Now().Before(end); differ = c.differ() {
		time.Sleep(50 * time.Millisecond)
	}
	require.Empty(c.t, differ)
}

func (c *hotelProcesses) differ() string {
	c.t.Helper()
	rows, err := c.db.QueryContext(c.t.Context(), `SELECT plural_id, status, taken, refunded,
		(SELECT count(*) FROM decisions d WHERE d.number = b.number AND state = 'done' AND kind <> 'link') FROM bookings b`)
	require.NoError(c.t, err)
	defer func() { _ = rows.Close() }()
	var differ strings.Builder
	for rows.Next() {
		var id, status string
		var taken, refunded int64
		var done int
		require.NoError(c.t, rows.Scan(&id, &status, &taken, &refunded, &done))
		o, _ := c.gateway.Order(id)
		applied := len(c.gateway.Captures(id)) + len(c.gateway.Cancels(id)) + len(c.gateway.Refunds(id))
		if status != o.Status || taken != o.Captured || refunded != o.Refunded || done != applied {
			fmt.Fprintf(&differ, "%s: the hotel has %s, taken %d, refunded %d, by %d decisions; "+
				"Plural has %s, taken %d, refunded %d, by %d\n",
				id, status, taken, refunded, done, o.Status, o.Captured, o.Refunded, applied)
		}
	}
	require.NoError(c.t, rows.Err())
	return differ.String()
}

// While Plural does not answer, the hotel's other jobs go on.
func TestAnOutageKeepsNoLetterWaiting(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	c := startHotel(t, gateway, 1, "HOTEL_TEST_PATIENT=1") // each call waits so long that none ends during the test
	const guests = 14                                      // more guests than workers
	numbers := make([]string, guests)
	var wg sync.WaitGroup
	for i := range guests {
		wg.Go(func() { numbers[i], _ = c.makeHeldBooking(true) })
	}
	wg.Wait()
	c.waitForValue(strconv.Itoa(guests), `SELECT count(*) FROM letters WHERE text LIKE 'Your room%'`)
	gateway.SetFaultPlan(func(pluraltest.Request) pluraltest.Fault { return pluraltest.HangBeforeApply })
	for _, number := range numbers {
		require.Equal(t, http.StatusSeeOther, c.pressButton(number, kindNoShow, "").status)
	}
	c.waitForValue(strconv.Itoa(guests), `SELECT count(*) FROM letters WHERE text LIKE 'We have noted%'`)
	require.Equal(t, "0",
		c.queryText(`SELECT count(*) FROM river_job WHERE kind = 'plural_capture' AND errors IS NOT NULL`),
		"no call has ended yet")
	require.Equal(t, strconv.Itoa(guests), c.queryText(`SELECT count(*) FROM decisions WHERE state = 'under way'`))
}

// The bank releases a hold before the guest leaves. Before that, the desk's
// page shows that the hold may end soon. If Plural then refuses the capture,
// the page shows that a person has to look. Once Plural's books show that the
// hold has ended, the page offers no check-out.
func TestLapsedHolds(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var spans bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&spans, r.Body)
	}))
	defer collector.Close()
	gateway := pluraltest.NewServer(t)
	c := startHotel(
		t, gateway, 1, "HOTEL_HOLD_FOR=1ms", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=100",
	)

	// The desk sees the warning before the hold ends.
	number, _ := c.makeHeldBooking(true)
	c.waitForDesk(number, "may end any day")

	// The bank has released the hold, but Plural's books still show it. Plural
	// refuses the capture. The desk gives up the capture, and cancels the
	// order.
	number, id := c.makeHeldBooking(true)
	require.NoError(t, gateway.LapseHold(id, pluraltest.LapseAtBank))
	c.pressButton(number, kindCheckOut, "13250.50")
	c.waitForDesk(number, "check-out ₹13250.50: look needs review")
	reference := c.queryText(`SELECT reference FROM decisions WHERE number = $1`, number)
	require.Equal(t, http.StatusSeeOther,
		c.sendRequest(http.MethodPost, "/desk/"+number+"/give-up", url.Values{"reference": {reference}}).status)
	c.pressButton(number, kindCancel, "")
	c.waitForDesk(number, "cancel ₹0.00: done")
	c.waitForValue("CANCELLED", `SELECT status FROM bookings WHERE number = $1`, number)

	// The bank has released the hold, and Plural's books show that.
	number, id = c.makeHeldBooking(true)
	require.NoError(t, gateway.LapseHold(id, pluraltest.LapseEverywhere))
	c.waitForValue("CANCELLED", `SELECT status FROM bookings WHERE number = $1`, number)
	require.Contains(t, c.sendRequest(http.MethodGet, "/bookings/"+number, nil).body, "taken nothing")
	require.NotContains(t, c.sendRequest(http.MethodGet, "/desk/"+number, nil).body, "Check out")
	require.Equal(t, http.StatusConflict, c.sendRequest(http.MethodPost, "/desk/"+number+"/check-out",
		url.Values{"before": {"0"}, "amount": {"100"}}).status)

	// The bank has released the hold, and Plural's books show that. The hotel
	// may not know it yet, because the webhooks are delayed. The desk tries to
	// check the guest out. The check-out fails, and nothing is taken.
	number, id = c.makeHeldBooking(true)
	gateway.HoldWebhooks()
	require.NoError(t, gateway.LapseHold(id, pluraltest.LapseEverywhere))
	c.sendRequest(http.MethodPost, "/desk/"+number+"/check-out", url.Values{"before": {"0"}, "amount": {"13250.50"}})
	c.waitForValue("CANCELLED", `SELECT status FROM bookings WHERE number = $1`, number)
	gateway.ReleaseWebhooks(false)
	require.NotEqual(t, "done", c.queryText(`SELECT COALESCE(max(state), 'none') FROM decisions WHERE number = $1`, number))
	gateway.AssertExactlyOnce(t)

	// The span of each call to Plural lies inside the span of the job that
	// makes the call.
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		text := spans.String()
		return strings.Contains(text, "captures.create") && strings.Contains(text, "river.work")
	}, time.Minute, 50*time.Millisecond)
}

// A webhook may come before the hotel has Plural's answer with the new order's
// id. A payer's return may come again and again.
func TestEarlyWebhooksAndReturns(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t, pluraltest.WithWebhookDuplicates(2))
	c := startHotel(t, gateway, 1)

	// Plural makes the order, but the answer with the link is lost. The hotel
	// then makes a new order.
	gateway.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
	number, id := c.makeBooking()
	require.NotEmpty(t, id)

	// The event comes before the hotel has stored the order's id.
	_, err := c.db.ExecContext(t.Context(), `UPDATE bookings SET plural_id = '' WHERE number = $1`, number)
	require.NoError(t, err)
	back, err := gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	c.waitForValue(id, `SELECT plural_id FROM bookings WHERE number = $1 AND held
		UNION ALL SELECT '' LIMIT 1`, number)

	// If a signed return is repeated, the hotel does not read the order again.
	require.Equal(t, "/bookings/"+number, c.sendRequest(http.MethodPost, "/plural/return", back.Form).location)
	require.NoError(t, gateway.WaitWebhooks(t.Context()))
	c.waitForValue("0", `SELECT count(*) FROM river_job WHERE kind = 'plural_look' AND finalized_at IS NULL`)
	reads := func() (n int) {
		for _, r := range gateway.RequestsTo(pluraltest.OpOrdersGet) {
			if r.OrderID == id {
				n++
			}
		}
		return n
	}
	before := reads()
	for range 20 {
		require.Equal(t, http.StatusSeeOther, c.sendRequest(http.MethodPost, "/plural/return", back.Form).status)
	}
	require.Equal(t, before, reads())
	forged := url.Values{"order_id": {id}, "status": {"AUTHORIZED"}, "signature": {strings.Repeat("A", 64)}}
	require.Equal(t, http.StatusNotFound, c.sendRequest(http.MethodPost, "/plural/return", forged).status)

	// The second click on one page is refused, and so are amounts that cannot
	// be refunded.
	for _, want := range []int{http.StatusSeeOther, http.StatusConflict} {
		p := c.sendRequest(http.MethodPost, "/desk/"+number+"/no-show", url.Values{"before": {"0"}})
		require.Equal(t, want, p.status, p.body)
	}
	c.waitForDesk(number, "no-show ₹6000.00: done")
	for _, amount := range []string{"6000.01", "0.99", "-1", "1e3"} {
		require.Equal(t, http.StatusConflict, c.pressButton(number, kindRefund, amount).status, amount)
	}
	require.Equal(t, http.StatusSeeOther, c.pressButton(number, kindRefund, "6000").status)
	c.waitForDesk(number, "refund ₹6000.00: done")
	c.waitForValue("600000", `SELECT refunded FROM bookings WHERE number = $1`, number)
	c.waitForAgreement()
	gateway.AssertExactlyOnce(t)
}

// A guest who books by telephone gets one link, even if Plural's answer with
// the link is lost and the process is killed. A deposit that is held through
// the link works like any other deposit.
func TestDepositByTelephone(t *testing.T) {
	t.Parallel()
	made := make(chan struct{})
	var isLost atomic.Bool
	gateway := pluraltest.NewServer(t, pluraltest.WithWebhookDuplicates(2), pluraltest.WithReadLag(200*time.Millisecond),
		pluraltest.WithFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpPaymentLinksCreate && isLost.CompareAndSwap(false, true) {
				close(made)
				return pluraltest.HangAfterApply // the process is killed before the answer comes
			}
			return pluraltest.NoFault
		}),
	)
	c := startHotel(t, gateway, 1)
	require.Equal(t, http.StatusUnprocessableEntity,
		c.sendRequest(http.MethodPost, "/desk", url.Values{"room": {"Lake"}, "nights": {"2"}, "mobile": {"12"}}).status)
	p := c.sendRequest(http.MethodPost, "/desk", url.Values{"room": {"Lake"}, "nights": {"2"}, "mobile": {"9876543210"}})
	number := strings.TrimPrefix(p.location, "/desk/")
	<-made
	c.processes[0].Kill()

	// The guest is faster than the hotel, and pays before the hotel knows the
	// link.
	links := gateway.Links()
	require.Len(t, links, 1)
	c.payDeposit(links[0].OrderID, false)
	c.start(0)
	require.Equal(t, "open", c.processes[0].Line())

	c.waitForDesk(number, "check-out")
	require.Equal(t, links[0].OrderID, c.queryText(`SELECT plural_id FROM bookings WHERE number = $1`, number))
	require.Equal(t, http.StatusConflict,
		c.sendRequest(http.MethodPost, "/desk/"+number+"/link", url.Values{"before": {"1"}}).status, "there is a link")
	c.pressButton(number, kindCheckOut, "13250.50")
	c.waitForDesk(number, "check-out ₹13250.50: done")
	c.waitForValue("1325050", `SELECT taken FROM bookings WHERE number = $1`, number)
	c.waitForAgreement()
	require.Len(t, gateway.Links(), 1)
	require.Len(t, gateway.Notifications(links[0].ID), 1, "one message")
	gateway.AssertExactlyOnce(t)
}

// The desk gives up the decision to send a link, although Plural has sent the
// link. If the desk asks for the link again, the guest gets no second link,
// even if Plural would make a second one. Only the desk sees the guest's mobile
// number.
func TestLinkThatWasGivenUp(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t, pluraltest.WithDuplicateLinks(pluraltest.DuplicateAccepted))
	logged := filepath.Join(t.TempDir(), "log")
	c := startHotel(t, gateway, 1, "HOTEL_TEST_LOG="+logged)
	p := c.sendRequest(http.MethodPost, "/desk", url.Values{"room": {"Lake"}, "nights": {"2"}, "mobile": {"9876543210"}})
	number := strings.TrimPrefix(p.location, "/desk/")
	c.waitForValue("done", `SELECT state FROM decisions WHERE number = $1`, number)
	link := c.queryText(`SELECT link FROM bookings WHERE number = $1`, number)
	for _, statement := range []string{
		`UPDATE decisions SET state = 'given up'`, `UPDATE bookings SET link = '', plural_id = '', status = ''`,
	} {
		_, err := c.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}

	require.Equal(t, http.StatusSeeOther, c.pressButton(number, kindLink, "").status)
	c.waitForValue(link, `SELECT link FROM bookings WHERE number = $1`, number)
	require.Equal(t, "1", c.queryText(`SELECT count(*) FROM decisions WHERE state = 'done'`))
	require.Len(t, gateway.Links(), 1)
	c.payDeposit(gateway.Links()[0].OrderID, true)
	c.waitForDesk(number, "check-out")

	require.NotContains(t, c.sendRequest(http.MethodGet, "/bookings/"+number, nil).body, "9876543210")
	text, err := os.ReadFile(logged)
	require.NoError(t, err)
	require.Contains(t, string(text), "payment_links.create", "the calls are logged")
	require.NotContains(t, string(text), "9876543210", "the log must not have the mobile number")
}
