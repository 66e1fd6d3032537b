package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

// secondOrder makes another order at Plural under a number, as if Plural had
// not noticed that a request was repeated.
func secondOrder(t *testing.T, gateway *pluraltest.Server, shop *site, number string) string {
	t.Helper()
	id, err := gateway.AddOrder(pluraltest.OrderSpec{
		Reference: number, Amount: pluraltest.Amount{Value: 149950, Currency: "INR"}, PreAuth: true,
		CallbackURL: shop.url + "/plural/return",
	})
	require.NoError(t, err)
	return id
}

func approve(t *testing.T, gateway *pluraltest.Server, id string) url.Values {
	t.Helper()
	back, err := gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	return back.Form
}

// Two orders at Plural carry the same order number of the shop, and both are
// paid. The order that was paid first keeps the number. The other order gets a
// page of its own. Only one of the two is captured.
func TestTwoOrdersUnderOneNumber(t *testing.T) {
	t.Parallel()
	postgres := func(t *testing.T) string { t.Helper(); return servertest.StartPostgres(t).URL }
	tests := map[string]struct {
		ownFirst bool
		database func(*testing.T) string
	}{
		"the shop's own order is paid first":         {true, sqliteFile},
		"the other order is paid first":              {false, sqliteFile},
		"the other order is paid first, on Postgres": {false, postgres},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := pluraltest.NewServer(t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted))
			shop := openSite(t, gateway, test.database(t), quickPace())
			customer, staff := shop.customer(), shop.staff()
			number, own := customer.placesOrder("lamp")
			other := secondOrder(t, gateway, shop, number)
			paid, late := own, other
			if !test.ownFirst {
				paid, late = other, own
			}

			require.Contains(t, customer.comeBack(approve(t, gateway, paid)).body, "Your bank holds ₹1,499.50")
			staff.eventually(operatePage(number), paid, "Capture ₹1,499.50")
			require.NotContains(t, customer.get(orderPage(number)).body, "second payment")

			approve(t, gateway, late) // the browser does not come back, and the webhook reports the payment
			twin := number + "-1"
			staff.eventually(operatePage(twin), late, "the money is on hold", "Plural under one number")
			staff.eventually(operatePage(number), paid, "Plural has another order under this number")
			customer.eventually(orderPage(number), "second payment", "Your bank holds")
			require.Equal(t, http.StatusNotFound, customer.get(orderPage(twin)).status)
			require.Contains(t, staff.get("/operator").body, "second order")

			require.NotContains(t, staff.get(operatePage(twin)).body, "Capture ₹1,499.50", "the customer owes once")
			require.Equal(t, http.StatusConflict, staff.decides(twin, "capture", "whole", "1").status)
			staff.decides(number, "capture", "whole", "1")
			staff.eventually(operatePage(number), "Capture of ₹1,499.50 carried out", paid)
			staff.decides(twin, "cancel")
			staff.eventually(operatePage(twin), "Cancellation carried out", late)
			require.Len(t, gateway.Captures(paid), 1)
			require.Empty(t, gateway.Captures(late))
			require.Len(t, gateway.Cancels(late), 1)
			customer.eventually(orderPage(number), "taken ₹1,499.50")
			require.NotContains(t, customer.get(orderPage(number)).body, "second payment")
		})
	}
}

// An earlier version of the shop has made the database. The present version
// keeps the orders and decisions in this database.
func TestOldDatabases(t *testing.T) {
	t.Parallel()
	path := sqliteFile(t)
	old, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	text, err := schema.ReadFile("schema/1_tables.sql")
	require.NoError(t, err)
	for _, statement := range []string{
		`CREATE TABLE schemas (digest text PRIMARY KEY)`, string(text),
		fmt.Sprintf(`INSERT INTO schemas VALUES ('%x')`, sha256.Sum256(text)),
		`INSERT INTO orders (number, plural_id, lines, amount, looked_at, created_at)
			VALUES ('order-1', 'v1-1', '[]', 100, 1, 1)`,
		`INSERT INTO decisions (reference, order_number, kind, amount, whole, state, job_id, decided_at)
			VALUES ('capture-1', 'order-1', 'capture', 100, 1, 'waiting', 1, 1)`,
	} {
		_, err := old.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, old.Close())
	for range 2 {
		db, err := openStore(t.Context(), path)
		require.NoError(t, err)
		o, err := db.order(t.Context(), db, "order-1")
		require.NoError(t, err)
		require.Equal(t, "v1-1", o.PluralID)
		decisions, err := db.listDecisions(t.Context(), db, "order-1")
		require.NoError(t, err)
		require.Len(t, decisions, 1)
		require.NoError(t, db.Close())
	}
}

// A decision about one order is carried out for that order, even if another
// order at Plural is paid under the same number in the meantime.
func TestDecisionsStayWithTheirOrder(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted))
	customer, staff := shop.customer(), shop.staff()
	number, own := customer.pays("lamp")
	other := secondOrder(t, gateway, shop, number)
	gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpCapturesCreate {
			return pluraltest.ResetBeforeApply
		}
		return pluraltest.NoFault
	})
	staff.decides(number, "capture", "amount", "1000")
	gateway.Advance(time.Minute) // so the documents of the other order are newer
	customer.comeBack(approve(t, gateway, other))
	staff.eventually(operatePage(number+"-1"), other, "the money is on hold")
	gateway.SetFaultPlan(nil)
	staff.eventually(operatePage(number), "Capture of ₹1,000.00 carried out", own, "Refund ₹1,000.00")
	require.Len(t, gateway.Captures(own), 1)
	require.Empty(t, gateway.Captures(other))

	// Somebody captures the other order on Plural's dashboard. The shop learns
	// of that.
	require.NoError(t, gateway.Capture(other, "by-hand", pluraltest.Amount{}))
	staff.eventually(operatePage(number+"-1"), "captured ₹1,499.50", "Refund ₹1,499.50")
	staff.decides(number+"-1", "refund", "whole", "1")
	staff.eventually(operatePage(number+"-1"), "Refund of ₹1,499.50 carried out")
	require.Len(t, gateway.Refunds(other), 1)
	require.Empty(t, gateway.Refunds(own))
}

// A second order with another amount never gets the number.
func TestSecondOrderOfAnotherAmount(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted))
	customer, staff := shop.customer(), shop.staff()
	number, _ := customer.placesOrder("lamp")
	cheap, err := gateway.AddOrder(pluraltest.OrderSpec{
		Reference: number, Amount: pluraltest.Amount{Value: 100, Currency: "INR"}, PreAuth: true,
		CallbackURL: shop.url + "/plural/return",
	})
	require.NoError(t, err)
	require.Contains(t, customer.comeBack(approve(t, gateway, cheap)).body, "Not paid yet")
	staff.eventually(operatePage(number+"-1"), cheap, "the money is on hold", "₹1.00")
	require.NotContains(t, staff.get(operatePage(number)).body, "Ship or let go")
}

// Several tabs go to the payment at the same time. Plural is slow, and would
// not notice that all of them want the same order. The order is still made only
// once.
func TestTwoTabsMakeOneOrder(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted))
	customer := shop.customer()
	customer.post("/cart", "product", "lamp")
	number := customer.get("/cart").field(t, "number")
	gateway.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.SlowHeaders.After(time.Second))
	var tabs sync.WaitGroup
	links := make([]string, 4)
	for i := range links {
		tabs.Go(func() { links[i] = customer.post("/checkout", "number", number).to })
	}
	tabs.Wait()
	require.Contains(t, links[0], gateway.URL)
	require.Len(t, slices.Compact(links), 1)
	require.Len(t, gateway.OrdersByReference(number), 1)
	require.Len(t, gateway.RequestsTo(pluraltest.OpOrdersCreate), 1)
}

func TestPayersAreToldThatPluralIsDown(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer := shop.customer()
	customer.post("/cart", "product", "lamp")
	number := customer.get("/cart").field(t, "number")
	gateway.SetFaultPlan(func(pluraltest.Request) pluraltest.Fault { return pluraltest.UnavailableBeforeApply })
	require.Contains(t, customer.post("/checkout", "number", number).body, "cannot reach the payment page")
	require.NotContains(t, customer.get(orderPage(number)).body, "cannot reach")
	gateway.SetFaultPlan(nil)
	require.Contains(t, customer.post(orderPage(number)+"/pay").to, gateway.URL)
	require.NotContains(t, shop.staff().get(operatePage(number)).body, "not at Plural yet", "it has an id at Plural")
}

// connectWithRewrite connects a shop to the emulator. The function rewrite
// changes each of the emulator's answers before the shop gets the answer.
func connectWithRewrite(emulator *pluraltest.Server, rewrite func(body []byte) []byte) connect {
	return func(log *slog.Logger, webhookURL string, opts ...plural.Option) (*gateway, error) {
		return connectTo(emulator)(log, webhookURL, append(opts, plural.WithMiddleware(
			func(next http.RoundTripper) http.RoundTripper { return rewriter{next, rewrite} }))...)
	}
}

type rewriter struct {
	next    http.RoundTripper
	rewrite func(body []byte) []byte
}

func (rw rewriter) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := rw.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	body = rw.rewrite(body)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Del("Content-Length")
	return res, nil
}

var updatedAt = regexp.MustCompile(`"updated_at":"[^"]*"`)

// In some of Plural's documents the time of the last change is not a valid
// time, or lies in the future. The shop still stores these documents, and the
// documents after them.
func TestDocumentsWithoutATime(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"no time": "yesterday", "none at all": "",
		"to come": "2199-01-01T00:00:00Z", "before there was any": "0001-01-01T00:00:00Z",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			emulator := pluraltest.NewServer(t)
			var bad atomic.Bool
			s := settings{connect: connectWithRewrite(emulator, func(body []byte) []byte {
				if !bad.Load() {
					return body
				}
				return updatedAt.ReplaceAll(body, []byte(`"updated_at":"`+value+`"`))
			})}
			shop := openWith(t, emulator, s)
			customer, staff := shop.customer(), shop.staff()
			number, _ := customer.pays("lamp")
			bad.Store(true)
			staff.decides(number, "capture", "amount", "1000")
			staff.eventually(operatePage(number), "Capture of ₹1,000.00 carried out", "Refund ₹1,000.00")
			customer.eventually(orderPage(number), "taken ₹1,000.00")
			bad.Store(false)
			staff.decides(number, "refund", "amount", "1")
			staff.eventually(operatePage(number), "Refund of ₹1.00 carried out", "Refund ₹999.00")
			customer.eventually(orderPage(number), "gave back ₹1.00")
		})
	}
}

// Plural's books show a refund, but its amount is not the amount that the
// operator decided. Then money may have moved. A person has to look, and until
// then the page does not offer the decided amount again.
func TestRefundsInDoubtAreNotOfferedAgain(t *testing.T) {
	t.Parallel()
	emulator := pluraltest.NewServer(t)
	shop := openWith(t, emulator, settings{connect: connectWithRewrite(emulator, func(body []byte) []byte {
		if bytes.Contains(body, []byte(`"type":"REFUND"`)) {
			return bytes.ReplaceAll(body, []byte(`"value":10000`), []byte(`"value":9900`)) // as if a fee of one rupee was kept
		}
		return body
	})})
	staff := shop.staff()
	number, _ := shop.customer().pays("lamp")
	staff.decides(number, "capture", "whole", "1")
	staff.eventually(operatePage(number), "Refund ₹1,499.50")
	staff.decides(number, "refund", "amount", "100")
	staff.eventually(operatePage(number), "Refund of ₹100.00 has to be looked at")
	page := staff.get(operatePage(number)).body
	require.NotContains(t, page, "not carried out")
	require.NotContains(t, page, "Refund ₹1,499.50", "the refund may have moved money")
	require.Equal(t, http.StatusConflict, staff.decides(number, "refund", "amount", "1,450").status)
	require.Contains(t, staff.get("/operator").body, "refund: look at it")

	require.Contains(t, staff.writesOff(t, number), "Refund of ₹100.00 written off")
	staff.eventually(operatePage(number), "refunded ₹99.00")
	require.Len(t, emulator.Refunds(emulator.OrdersByReference(number)[0].ID), 1)
}

// Plural's books list a refund that failed, and a second try under the same
// reference, which may still succeed. The shop does not mark the decision as
// refused.
func TestRefundsThatMayStillComeAreNotTakenBack(t *testing.T) {
	t.Parallel()
	db, err := openStore(t.Context(), sqliteFile(t))
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for _, test := range []struct{ second, state string }{
		{"PENDING", stateDone},
		{"CREATED", stateDone},
		{"PROCESSED", stateDone},
		{"SOMETHING_NEW", stateDone},
		{"FAILED", stateRefused},
		{"CANCELLED", stateRefused},
	} {
		number := newNumber()
		b := &orderBooks{db: db, log: slog.New(slog.DiscardHandler)}
		o, err := b.place(t.Context(), &order{Number: number, Amount: plural.INR(50000)})
		require.NoError(t, err)
		d := &decision{Reference: "refund_" + number, Number: number, Kind: kindRefund, Amount: plural.INR(100)}
		var booked plural.Order
		require.NoError(t, json.Unmarshal(fmt.Appendf(nil, `{"order_id":"v1-1","merchant_order_reference":%q,
			"type":"CHARGE","status":"PROCESSED","order_amount":{"value":50000,"currency":"INR"},"refunds":[
			{"merchant_order_reference":%q,"type":"REFUND","status":"FAILED","order_amount":{"value":100,"currency":"INR"}},
			{"merchant_order_reference":%q,"type":"REFUND","status":%q,"order_amount":{"value":100,"currency":"INR"}}]}`,
			number, d.Reference, d.Reference, test.second), &booked))
		require.NoError(t, db.transact(t.Context(), func(tx *sql.Tx) error {
			require.NoError(t, db.insertDecision(t.Context(), tx, d))
			require.NoError(t, b.settle(t.Context(), tx, d, stateDone, ""))
			return b.recordOrder(t.Context(), tx, o, &booked)
		}))
		d, err = db.findDecision(t.Context(), db, number, d.Reference)
		require.NoError(t, err)
		require.Equal(t, test.state, d.State, test.second)
	}
}

// The bank has released a hold, but Plural's books still show AUTHORIZED. After
// one call the staff see that they have to look at Plural's dashboard. They can
// also cancel. The customer's page does not say what happened to the money.
func TestHoldThatLapsedAtTheBank(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer, staff := shop.customer(), shop.staff()
	number, id := customer.pays("lamp")
	require.NoError(t, gateway.LapseHold(id, pluraltest.LapseAtBank))
	staff.decides(number, "capture", "whole", "1")
	staff.eventually(operatePage(number), "has to be looked at: Plural refused it", "tried 1 time",
		"Look at Plural's dashboard", "Cancel the order", "Write it off")
	require.Contains(t, staff.get("/operator").body, "capture: look at it")
	body := customer.get(orderPage(number)).body
	require.Contains(t, body, "Please get in touch with us.")
	for _, promise := range []string{"holds", "Thank you", "shipped", "Nothing was taken", "take it when"} {
		require.NotContains(t, body, promise)
	}
	require.NotContains(t, staff.get(operatePage(number)).body, `name="kind" value="capture"`)

	staff.decides(number, "cancel")
	staff.eventually(operatePage(number), "Cancellation carried out")
	require.Len(t, gateway.Cancels(id), 1)
	require.Empty(t, gateway.Captures(id))
	customer.eventually(orderPage(number), "Nothing was taken")
	staff.decidesAgain(number) // Plural's books now show why the capture cannot be carried out
	staff.eventually(operatePage(number), "Capture of ₹1,499.50 not carried out: ")
}

// Plural may refuse a cancel just as it may refuse a capture. The staff can
// close that decision ("Write it off"), and then decide to cancel again.
func TestCancelsCanBeDecidedAgain(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer, staff := shop.customer(), shop.staff()
	number, id := customer.pays("lamp")
	refuse := pluraltest.StatusFault(http.StatusUnprocessableEntity, "PAYMENT_EXPIRED", pluraltest.ApplyNever)
	gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpCancelsCreate || r.Op == pluraltest.OpCapturesCreate {
			return refuse
		}
		return pluraltest.NoFault
	})
	staff.decides(number, "cancel")
	staff.eventually(operatePage(number), "Cancellation decided, and has to be looked at")
	require.Equal(t, http.StatusConflict, staff.post(operatePage(number)+"/cancel",
		"version", shop.query(t, `SELECT version FROM orders`)).status, "one cancel waits already")
	require.Contains(t, staff.writesOff(t, number), "Cancellation written off")
	require.Contains(t, customer.get(orderPage(number)).body, "Please get in touch with us.")
	shop.eventually(t, "cancelled", `SELECT state FROM river_job WHERE kind = 'plural_cancel'`)
	require.Equal(t, http.StatusConflict, staff.post(operatePage(number)+"/writeoff",
		"version", shop.query(t, `SELECT version FROM orders`),
		"reference", shop.query(t, `SELECT reference FROM decisions`)).status, "the decision is written off already")

	gateway.SetFaultPlan(nil)
	require.Equal(t, http.StatusOK, staff.decides(number, "cancel").status)
	staff.eventually(operatePage(number), "Cancellation carried out")
	require.Len(t, gateway.Cancels(id), 1)
	customer.eventually(orderPage(number), "Nothing was taken")
}

// An operator closes a decision ("Write it off") while Plural carries out the
// decision. The shop still records that the decision was carried out.
func TestWrittenOffWhileItIsCarriedOut(t *testing.T) {
	t.Parallel()
	db, err := openStore(t.Context(), sqliteFile(t))
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	number := newNumber()
	s := &staffDesk{&orderBooks{db: db, log: slog.New(slog.DiscardHandler)}}
	_, err = s.place(t.Context(), &order{Number: number, Amount: plural.INR(50000)})
	require.NoError(t, err)
	d := &decision{Reference: "capture_1", Number: number, Kind: kindCapture, Amount: plural.INR(50000)}
	s.river, err = river.NewClient(db.river, &river.Config{Logger: s.log})
	require.NoError(t, err)
	require.NoError(t, db.transact(t.Context(), func(tx *sql.Tx) error {
		require.NoError(t, db.insertDecision(t.Context(), tx, d))
		require.NoError(t, s.settle(t.Context(), tx, d, stateWrittenOff, ""))
		return s.onEnded(t.Context(), tx, outcomeOf(d, nil))
	}))
	d, err = db.findDecision(t.Context(), db, number, d.Reference)
	require.NoError(t, err)
	require.Equal(t, stateDone, d.State)
}

// Two runs of a job get different answers. If each has made a refund, the page
// says so.
func TestAJobWithTwoAnswers(t *testing.T) {
	t.Parallel()
	db, err := openStore(t.Context(), sqliteFile(t))
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	twice := &plural.DoubleRefundError{Refunds: make([]*plural.Order, 2)}
	const other = "(Plural said something else before)"
	for _, test := range []struct {
		first         string
		second        error
		state, reason string
	}{
		{stateDone, nil, stateDone, "2 times: settle it with Plural"},
		{stateDone, twice, stateDone, "2 times: settle it with Plural"},
		{stateDone, plural.ErrNotApplied, stateReview, other},
		{stateDone, plural.ErrOutcomeUnknown, stateReview, other},
		{stateRefused, nil, stateDone, other},
	} {
		number := newNumber()
		s := &staffDesk{&orderBooks{db: db, log: slog.New(slog.DiscardHandler)}}
		_, err = s.place(t.Context(), &order{Number: number, Amount: plural.INR(50000)})
		require.NoError(t, err)
		d := &decision{Reference: "refund_" + number, Number: number, Kind: kindRefund, Amount: plural.INR(100)}
		require.NoError(t, db.transact(t.Context(), func(tx *sql.Tx) error {
			require.NoError(t, db.insertDecision(t.Context(), tx, d))
			require.NoError(t, s.settle(t.Context(), tx, d, test.first, ""))
			a := pluralriver.Attempt{Number: 1, Why: pluralriver.Contradicted, Err: errors.New("contradicted")}
			return s.onUnsettled(t.Context(), tx, outcomeOf(d, test.second), a)
		}))
		d, err = db.findDecision(t.Context(), db, number, d.Reference)
		require.NoError(t, err)
		require.Equal(t, test.state, d.State, test.second)
		require.Equal(t, test.reason, d.Reason, test.second)
	}
}

// Somebody sends a payer's signed return again and again. If the order is paid,
// the further returns cause no request to Plural and no job. If the order is
// still open, the shop reads the order at most once in ten seconds
// (repeatPause) because of these returns. The same limit applies if the shop
// does not know the order in the return.
func TestReplayedReturns(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	p := quickPace()
	p.Sweep, p.Look = time.Hour, time.Hour // so the sweep reads nothing
	shop := openSite(t, gateway, sqliteFile(t), p)
	customer := shop.customer()
	_, id := customer.placesOrder("lamp")
	back := approve(t, gateway, id)
	customer.comeBack(back)
	require.NoError(t, gateway.WaitWebhooks(t.Context()))
	jobs := func() string { return shop.query(t, `SELECT count(*) FROM river_job WHERE kind = 'plural_look'`) }
	shop.eventually(t, "0", `SELECT count(*) FROM river_job WHERE kind = 'plural_look' AND finalized_at IS NULL`)
	requests, before := len(gateway.Requests()), jobs()
	replay := func(form url.Values) page {
		var last page
		for range 30 {
			last = customer.comeBack(form)
		}
		return last
	}
	require.Contains(t, replay(back).body, "Thank you")
	require.Len(t, gateway.Requests(), requests)
	require.Equal(t, before, jobs())

	_, id = customer.placesOrder("tea")
	declined, err := gateway.Pay(id, pluraltest.Decline("insufficient funds"))
	require.NoError(t, err)
	reads := func(id string) (n int) {
		for _, r := range gateway.RequestsTo(pluraltest.OpOrdersGet) {
			if r.OrderID == id {
				n++
			}
		}
		return n
	}
	// If the same return is sent again and again, the shop reads the order at
	// most once in ten seconds (repeatPause). If the shop gets an old document,
	// it may read the order again.
	looks := func(begun time.Time) int { return 1 + int(time.Since(begun)/repeatPause) }
	n, begun := reads(id), time.Now()
	require.Contains(t, replay(declined.Form).body, "nothing was taken")
	require.LessOrEqual(t, reads(id)-n, 1+3*looks(begun), "and one read for the webhook")

	const nobodys = "v1-000000000000-aa-aaaaaa"
	unknown := gateway.SignForm(url.Values{"order_id": {nobodys}, "status": {"AUTHORIZED"}})
	begun = time.Now()
	require.Equal(t, http.StatusNotFound, customer.comeBack(unknown).status)
	require.Contains(t, []int{http.StatusNotFound, http.StatusServiceUnavailable}, replay(unknown).status)
	require.LessOrEqual(t, reads(nobodys), looks(begun))
}

// The staff are warned about a hold that the bank may release, but only once.
func TestHoldsThatMayLapse(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	p := quickPace()
	p.Hold, p.Look = time.Nanosecond, 100*time.Millisecond
	shop := openSite(t, gateway, sqliteFile(t), p)
	number, _ := shop.customer().pays("lamp")
	staff := shop.staff()
	const text = "The hold may lapse any day"
	staff.eventually(operatePage(number), text)
	looks := `SELECT CASE WHEN count(*) >= 3 THEN 'often' ELSE '' END FROM river_job
		WHERE kind = 'plural_look' AND state = 'completed'`
	shop.eventually(t, "often", looks)
	require.Equal(t, 1, strings.Count(staff.get(operatePage(number)).body, text))
}

func TestKnownBrowsersCannotBeMadeUp(t *testing.T) {
	t.Parallel()
	s := &staffPages{&shop{password: "one"}}
	ask := func(value string) bool {
		r := &http.Request{Header: http.Header{}}
		r.AddCookie(&http.Cookie{Name: knownCookie, Value: value})
		return s.isKnown(r)
	}
	past, future := "1000000000", "9999999999"
	require.True(t, ask(future+"."+s.browserMark(future)))
	for _, value := range []string{
		"", ".", future, future + ".", past + "." + s.browserMark(past), future + "." + s.browserMark(past),
		future + "." + (&staffPages{&shop{password: "two"}}).browserMark(future), "x." + s.browserMark("x"),
	} {
		require.False(t, ask(value), value)
	}
}

func TestPlainAddresses(t *testing.T) {
	t.Parallel()
	for address, plain := range map[string]bool{
		"http://127.0.0.1:8082": false, "http://localhost:8082": false, "http://[::1]:8082": false,
		"https://shop.example": false, "http://shop.example": true, "http://10.0.0.7:80": true, "http://[::]:8082": true,
		"http://localhost.example": true,
	} {
		require.Equal(t, plain, isPlain(address), address)
	}
}

// All answers have the security headers, not only pages.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	_, shop := openUsual(t)
	for _, path := range []string{
		"/", "/static/style.css", "/healthz", "/operator", "/metrics", "/nothing", "/plural/webhook",
	} {
		res, err := http.Get(shop.url + path)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", res.Header.Get("Referrer-Policy"), path)
	}
}

// A page that reloads itself has a link to stop that.
func TestReloadsCanBeStopped(t *testing.T) {
	t.Parallel()
	_, shop := openUsual(t)
	customer := shop.customer()
	number, _ := customer.placesOrder("lamp")
	const refresh = `http-equiv="refresh"`
	require.Contains(t, customer.get(orderPage(number)).body, refresh)
	still := customer.get(orderPage(number) + "?still=1").body
	require.NotContains(t, still, refresh)
	require.Contains(t, still, "Have it load itself again")
}

// Before the whole amount is captured, released or refunded, a page shows the
// amount and asks again.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	staff := shop.staff()
	number, id := shop.customer().pays("lamp")
	version := staff.get(operatePage(number)).field(t, "version")
	sure := func(kind, version string) page {
		return staff.get(operatePage(number) + "/sure?kind=" + kind + "&version=" + version)
	}
	require.Contains(t, sure("cancel", version).body, "Cancel the order, and let go of ₹1,499.50?")
	page := sure("capture", version)
	require.Contains(t, page.body, "Capture ₹1,499.50?")
	require.Equal(t, http.StatusConflict, sure("capture", "99").status)
	require.Equal(t, http.StatusConflict, sure("refund", version).status)
	require.Equal(t, http.StatusConflict, sure("writeoff", version).status)
	require.Empty(t, gateway.Captures(id))
	staff.post(operatePage(number)+"/capture", "version", page.field(t, "version"), "whole", page.field(t, "whole"))
	staff.eventually(operatePage(number), "Capture of ₹1,499.50 carried out", "Refund ₹1,499.50")
	require.Contains(t, sure("refund", staff.get(operatePage(number)).field(t, "version")).body, "Refund ₹1,499.50?")

	// An amount that is not allowed stays in its field, and the field is
	// marked.
	wrong := staff.decides(number, "refund", "amount", "2,000.00")
	require.Contains(t, wrong.body, `value="2,000.00" aria-invalid="true" aria-describedby="problem"`)
	require.Equal(t, 1, strings.Count(wrong.body, "aria-invalid"))
}

// The method writesOff acts as an operator. For the first decision that a
// person has to look at, the operator clicks "Write it off", and confirms.
func (b *browser) writesOff(t *testing.T, number string) (after string) {
	t.Helper()
	page := b.get(operatePage(number))
	sure := b.get(operatePage(number) + "/sure?kind=writeoff&version=" + page.field(t, "version") +
		"&reference=" + page.field(t, "reference"))
	return b.post(operatePage(number)+"/writeoff", "version", sure.field(t, "version"),
		"reference", sure.field(t, "reference")).body
}

// An event can have a zero byte in any of its texts. PostgreSQL refuses a zero
// byte, so the shop must not pass one on.
func TestEventsWithZeroBytes(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":     sqliteFile,
		"PostgreSQL": func(t *testing.T) string { t.Helper(); return servertest.StartPostgres(t).URL },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := pluraltest.NewServer(t)
			shop := openSite(t, gateway, database(t), quickPace())
			number, id := shop.customer().placesOrder("lamp")
			send := func(eventType, about, reference string) {
				body, err := json.Marshal(map[string]any{"event_type": eventType, "data": map[string]string{
					"order_id": about, "merchant_order_reference": reference, "status": "PENDING",
				}})
				require.NoError(t, err)
				webhook, err := gateway.WebhookRequest("ORDER_PENDING", id,
					pluraltest.WebhookBody(body), pluraltest.WebhookTarget(shop.url+"/plural/webhook"))
				require.NoError(t, err)
				res, err := http.DefaultClient.Do(webhook)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, http.StatusOK, res.StatusCode, "%q %q %q", eventType, about, reference)
			}
			send("ORDER\x00"+strings.Repeat("X", 1000), id, number)
			send("ORDER_PENDING", id+"\x00", number)
			send("ORDER_PENDING", "v1-1-nobodys", number+"\x00")
			staff := shop.staff()
			page := staff.get(operatePage(number)).body
			require.Contains(t, page, "Plural tells of ORDER\uFFFD"+strings.Repeat("X", 94)+" (")
			require.Equal(t, 1, strings.Count(page, "Plural tells of"))
		})
	}
}
