package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

// The test follows an order from the cart until all money is given back, on
// each database.
func TestFromCartToRefund(t *testing.T) {
	t.Parallel()
	databases := map[string]func(*testing.T) string{
		"SQLite":     sqliteFile,
		"PostgreSQL": func(t *testing.T) string { t.Helper(); return servertest.StartPostgres(t).URL },
	}
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := pluraltest.NewServer(t)
			shop := openSite(t, gateway, open(t), quickPace())
			customer, staff := shop.customer(), shop.staff()

			number, id := customer.pays("lamp")
			require.Contains(t, customer.get("/cart").body, "nothing in it", "what was bought is no longer in the cart")
			require.Contains(t, staff.get("/operator").body, number[:14])

			staff.eventually(operatePage(number), "Capture ₹1,499.50")
			require.Equal(t, http.StatusOK, staff.decides(number, "capture", "amount", "1,000.50").status)
			staff.eventually(operatePage(number), "Capture of ₹1,000.50 carried out", "Refund ₹1,000.50")
			require.Len(t, gateway.Captures(id), 1)
			require.Equal(t, int64(100050), gateway.Captures(id)[0].Amount.Value)
			customer.eventually(orderPage(number), "taken ₹1,000.50")

			require.Equal(t, http.StatusOK, staff.decides(number, "refund", "amount", "2.50").status)
			staff.eventually(operatePage(number), "Refund of ₹2.50 carried out", "Refund ₹998.00")
			customer.eventually(orderPage(number), "gave back ₹2.50")
			require.Equal(t, http.StatusOK, staff.decides(number, "refund", "whole", "1").status)
			staff.eventually(operatePage(number), "Refund of ₹998.00 carried out")
			customer.eventually(orderPage(number), "You have all of your money back")
			require.NotContains(t, staff.get(operatePage(number)).body, "do not agree")

			number, id = customer.pays("tea")
			require.Equal(t, http.StatusOK, staff.decides(number, "cancel").status)
			staff.eventually(operatePage(number), "Cancellation carried out")
			require.Len(t, gateway.Cancels(id), 1)
			customer.eventually(orderPage(number), "Nothing was taken")
			gateway.AssertExactlyOnce(t)

			metrics := staff.get("/metrics").body
			require.Contains(t, metrics, `plural_operation="captures.create"`)
			require.Contains(t, metrics, "river_")
		})
	}
}

// TestWhatReachedTheBank runs the nightly job, which reads the settlements. The
// staff see the arrival on the order's page. If a settlement could not be read
// completely, the job reads it again.
func TestWhatReachedTheBank(t *testing.T) {
	t.Parallel()
	databases := map[string]func(*testing.T) string{
		"SQLite":     sqliteFile,
		"PostgreSQL": func(t *testing.T) string { t.Helper(); return servertest.StartPostgres(t).URL },
	}
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := pluraltest.NewServer(t)
			shop := openSite(t, gateway, open(t), quickPace())
			db, err := openStore(t.Context(), shop.db)
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			readWhole := func(n int) func() bool {
				return func() bool {
					var found int
					row := db.QueryRowContext(t.Context(), `SELECT count(*) FROM settlements_read`)
					return row.Scan(&found) == nil && found == n
				}
			}
			number, id := shop.customer().pays("lamp")
			staff := shop.staff()
			require.NotContains(t, staff.get(operatePage(number)).body, "At the bank", "nothing is captured")
			staff.eventually(operatePage(number), "Capture ₹1,499.50")
			require.Equal(t, http.StatusOK, staff.decides(number, "capture", "whole", "1").status)
			staff.eventually(operatePage(number), "Capture of ₹1,499.50 carried out", "not seen yet")

			utr := gateway.Settle()
			day := time.Now().In(plural.India()).Format("2 Jan 2006")
			staff.eventually(operatePage(number), "arrived: UTR "+utr+", "+day)
			require.NotContains(t, shop.customer().get(orderPage(number)).body, utr, "the customer does not see the UTR")
			require.Eventually(t, readWhole(1), 30*time.Second, 50*time.Millisecond)

			// A second settlement has another line about the same payment, and
			// cannot be read completely yet.
			order, _ := gateway.Order(id)
			require.NoError(t, gateway.AddSettlement(pluraltest.Settlement{
				UTR: "520019904418", SettledAt: time.Now(), ProcessedAt: time.Now(), SaidLines: 2,
				Lines: []pluraltest.SettlementLine{{
					TransactionID: order.Payments[0].ID, Amount: "-5", Kind: pluraltest.LineChargeback, PayoutStatus: "Failed",
				}},
			}))
			staff.eventually(operatePage(number), "in UTR 520019904418, payout failed", "arrived: UTR "+utr)
			require.Eventually(t, readWhole(1), 30*time.Second, 50*time.Millisecond)
			require.NoError(t, gateway.ChangeSettlement("520019904418", func(s *pluraltest.Settlement) {
				s.SaidLines, s.Lines[0].PayoutStatus = 1, "Success" // until then the payout may still succeed
			}))
			require.Eventually(t, readWhole(2), 30*time.Second, 50*time.Millisecond)
			shop.close()
			require.Contains(t, shop.logged.String(), "settlements were not read whole")
		})
	}
}

func TestCustomersWhoDoNotPay(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer := shop.customer()

	number, id := customer.placesOrder("bowl")
	require.Contains(t, customer.get(orderPage(number)).body, "wait for your payment", "after the browser was closed")
	again := customer.post(orderPage(number) + "/pay")
	require.Equal(t, http.StatusSeeOther, again.status)
	require.Contains(t, again.to, gateway.URL, "the same link to the same order")
	require.Len(t, gateway.OrdersByReference(number), 1)

	back, err := gateway.Pay(id, pluraltest.Decline("insufficient funds"))
	require.NoError(t, err)
	require.Contains(t, customer.comeBack(back.Form).body, "nothing was taken")
	_, err = gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	customer.eventually(orderPage(number), "Thank you") // the webhook reports the payment

	back, err = gateway.Callback(id)
	require.NoError(t, err)
	require.Contains(t, customer.comeBack(back.Form).body, "Thank you")
	require.Contains(t, customer.comeBack(back.Form).body, "Thank you", "the browser loads the page again")
}

func TestReturnsThatProveNothing(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer := shop.customer()
	number, id := customer.placesOrder("bowl")

	forged := url.Values{"order_id": {id}, "status": {"AUTHORIZED"}, "signature": {strings.Repeat("AB", 32)}}
	require.Equal(t, http.StatusBadRequest, customer.comeBack(forged).status)
	require.Contains(t, customer.get(orderPage(number)).body, "Not paid yet")

	// The return has a valid signature, but Plural's books show that the order
	// is not paid.
	signed := gateway.SignForm(url.Values{"order_id": {id}, "status": {"AUTHORIZED"}})
	require.Contains(t, customer.comeBack(signed).body, "Not paid yet")
	unknown := gateway.SignForm(url.Values{"order_id": {"v1-000000000000-aa-aaaaaa"}, "status": {"AUTHORIZED"}})
	require.Equal(t, http.StatusNotFound, customer.comeBack(unknown).status)
}

func TestOneDecisionOfTwo(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	staff := shop.staff()
	number, _ := shop.customer().pays("rug")
	gateway.Down() // decisions wait
	version := staff.get(operatePage(number)).field(t, "version")
	decide := func(kind string, pairs ...string) page {
		return staff.post(operatePage(number)+"/"+kind, append(pairs, "version", version)...)
	}

	require.Equal(t, http.StatusUnprocessableEntity, decide("capture", "amount", "lots").status)
	require.Equal(t, http.StatusConflict, decide("capture", "amount", "99,999.00").status)
	require.Equal(t, http.StatusConflict, decide("capture", "amount", "0.99").status)
	require.Equal(t, http.StatusConflict, decide("refund", "amount", "1").status)

	require.Equal(t, http.StatusOK, decide("capture", "whole", "1").status)
	require.Equal(t, http.StatusOK, decide("capture", "whole", "1").status, "the same button, pressed twice")
	require.Equal(t, http.StatusConflict, decide("cancel").status, "the other operator's page is old")
	require.Equal(t, http.StatusConflict, decide("capture", "amount", "12.00").status)
	body := staff.get(operatePage(number)).body
	require.Equal(t, 1, strings.Count(body, "<b>Capture of ₹12,500.00 decided</b>"))
	require.NotContains(t, body, `name="version"`, "nothing is left to decide")
}

// The shop is stopped after a decision, and before Plural answers. After the
// next start, the decision is carried out.
func TestDecidedThenStopped(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	database := sqliteFile(t)
	shop := openSite(t, gateway, database, quickPace())
	number, id := shop.customer().pays("lamp")
	gateway.Down()
	shop.staff().decides(number, "capture", "whole", "1")
	shop.close()
	require.NoError(t, gateway.Up())
	require.Empty(t, gateway.Captures(id))

	shop = openSite(t, gateway, database, quickPace())
	shop.staff().eventually(operatePage(number), "Capture of ₹1,499.50 carried out")
	require.Len(t, gateway.Captures(id), 1)
}

func TestWhatOperatorsAreShown(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	p := quickPace()
	p.Retry = hourlyRetry{}
	shop := openSite(t, gateway, sqliteFile(t), p)
	customer, staff := shop.customer(), shop.staff()

	// Plural cannot be reached. The page shows the time of the next try.
	number, id := customer.pays("lamp")
	gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpCapturesCreate {
			return pluraltest.ResetAfterApply
		}
		return pluraltest.UnavailableBeforeApply
	})
	staff.decides(number, "capture", "whole", "1")
	staff.eventually(operatePage(number), "to be tried again, tried 1 time, next at", "Try now")
	gateway.SetFaultPlan(nil)
	staff.decidesAgain(number)
	staff.eventually(operatePage(number), "Capture of ₹1,499.50 carried out")
	require.Len(t, gateway.Captures(id), 1)

	// The order was cancelled on Plural's dashboard. The capture is not carried
	// out.
	number, id = customer.pays("lamp")
	gateway.HoldWebhooks()
	version := staff.get(operatePage(number)).field(t, "version")
	require.NoError(t, gateway.Cancel(id))
	staff.post(operatePage(number)+"/capture", "whole", "1", "version", version)
	staff.eventually(operatePage(number), "Capture of ₹1,499.50 not carried out:")
	gateway.ReleaseWebhooks(false)
	staff.eventually(operatePage(number), "Plural's books: cancelled")
	gateway.AssertExactlyOnce(t)
}

// hourlyRetry is a retry policy that delays each further try by an hour.
type hourlyRetry struct{}

func (hourlyRetry) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(time.Hour) }

// decidesAgain presses "Try now".
func (b *browser) decidesAgain(number string) {
	b.t.Helper()
	b.eventually(operatePage(number), operatePage(number)+"/jobs/") // River stores the end of a try a little later
	_, rest, ok := strings.Cut(b.get(operatePage(number)).body, operatePage(number)+"/jobs/")
	require.True(b.t, ok)
	id, _, _ := strings.Cut(rest, `"`)
	require.Equal(b.t, http.StatusOK, b.post(operatePage(number)+"/jobs/"+id).status)
}

// Plural makes the order, but its answer is lost. So the shop does not know the
// order's id at Plural.
func TestOrdersThatPluralKnowsByNumber(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected))
	customer := shop.customer()
	customer.post("/cart", "product", "tea")
	number := customer.get("/cart").field(t, "number")
	gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpOrdersCreate {
			return pluraltest.ResetAfterApply
		}
		if r.Op == pluraltest.OpToken {
			return pluraltest.NoFault
		}
		return pluraltest.UnavailableBeforeApply
	})
	require.Contains(t, customer.post("/checkout", "number", number).body, "Not paid yet")
	orders := gateway.OrdersByReference(number)
	require.Len(t, orders, 1)
	gateway.SetFaultPlan(nil)
	back, err := gateway.Pay(orders[0].ID, pluraltest.Approve) // the payer has Plural's page open in another tab
	require.NoError(t, err)
	require.Contains(t, customer.comeBack(back.Form).body, "Thank you")
	require.Equal(t, orderPage(number), customer.post(orderPage(number)+"/pay").at.Path, "there is nothing left to pay")
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer := shop.customer()
	number, _ := customer.pays("lamp")
	for _, path := range []string{"/operator", operatePage(number), "/metrics"} {
		require.Equal(t, http.StatusUnauthorized, customer.get(path).status, path)
	}
	require.Equal(
		t, http.StatusUnauthorized, customer.post(operatePage(number)+"/capture", "whole", "1", "version", "0").status,
	)

	for _, path := range []string{"/cart", "/checkout", operatePage(number) + "/capture"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, shop.url+path, nil)
		require.NoError(t, err)
		req.SetBasicAuth("operator", password)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		res, err := customer.http.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, http.StatusForbidden, res.StatusCode, path)
	}
	require.Equal(t, http.StatusNotFound, customer.get("/orders/order-"+strings.Repeat("a", 26)).status)
	require.Equal(t, http.StatusUnprocessableEntity, customer.post("/cart", "product", "lamp", "quantity", "10").status)
	require.Equal(t, http.StatusNotFound, customer.post("/cart", "product", "yacht").status)
	require.Equal(t, "/cart", customer.post("/checkout", "number", "1; DROP TABLE orders").at.Path)
	require.Equal(t, http.StatusOK, customer.get("/healthz").status)

	shop.close()
	require.NotContains(t, shop.logged.String(), gateway.ClientSecret)
}

func TestSettings(t *testing.T) {
	for _, name := range []string{
		"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL",
		"STOREFRONT_ADDR", "STOREFRONT_URL", "STOREFRONT_DATABASE", "STOREFRONT_REDIS", "STOREFRONT_PASSWORD",
	} {
		t.Setenv(name, "")
	}
	s, err := parseSettings(nil)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8082", s.Addr)
	require.NotEmpty(t, s.Password)
	_, err = parseSettings([]string{"-url", "shop.example"})
	require.ErrorContains(t, err, "https://shop.example")
	t.Setenv("PLURAL_ENVIRONMENT", "uat")
	_, err = parseSettings(nil)
	require.ErrorContains(t, err, "-database is needed")
	_, err = parseSettings([]string{"-database", "shop.db"})
	require.ErrorContains(t, err, "STOREFRONT_PASSWORD is needed")
}

// A decision that has ended is not tried again, even if an old page still has
// the button "Try now".
func TestTryNowIsForWhatWaits(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer, staff := shop.customer(), shop.staff()
	number, id := customer.pays("lamp")
	gateway.HoldWebhooks()
	version := staff.get(operatePage(number)).field(t, "version")
	require.NoError(t, gateway.Cancel(id))
	staff.post(operatePage(number)+"/capture", "whole", "1", "version", version)
	staff.eventually(operatePage(number), "Capture of ₹1,499.50 not carried out")
	job := shop.query(t, `SELECT job_id FROM decisions`)
	require.Equal(t, http.StatusConflict, staff.post(operatePage(number)+"/jobs/"+job).status)
	gateway.ReleaseWebhooks(false)
	other, _ := customer.pays("tea")
	require.Equal(t, http.StatusConflict, staff.post(operatePage(other)+"/jobs/"+job).status)
	require.Equal(t, http.StatusNotFound, staff.post("/operator/orders/nonsense/jobs/1").status)
	staff.decides(other, "capture", "amount", "500")
	staff.eventually(operatePage(other), "Capture of ₹500.00 carried out")
	require.Equal(t, "completed", shop.query(t, `SELECT state FROM river_job WHERE id = `+job))
	require.Empty(t, gateway.Captures(id))
}

// A refund is accepted, and the bank refuses it days later.
func TestRefundsThatFailLater(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t)
	customer, staff := shop.customer(), shop.staff()
	number, _ := customer.pays("lamp")
	staff.decides(number, "capture", "whole", "1")
	staff.eventually(operatePage(number), "Refund ₹1,499.50")
	gateway.HoldWebhooks() // no webhook comes, so only the sweep can find out
	fails := pluraltest.PendingThenFailed.After(time.Hour)
	gateway.Inject(pluraltest.On(pluraltest.OpRefundsCreate), fails, fails)
	staff.decides(number, "refund", "amount", "100")
	staff.eventually(operatePage(number), "Refund of ₹100.00 carried out")
	gateway.Flush()
	staff.eventually(operatePage(number), "Refund of ₹100.00 not carried out: the bank refused it", "Refund ₹1,499.50")
	staff.decides(number, "refund", "whole", "1")
	staff.eventually(operatePage(number), "Refund of ₹1,499.50 carried out")
	gateway.Flush()
	staff.eventually(operatePage(number), "Refund of ₹1,499.50 not carried out: the bank refused it",
		"Refund ₹1,499.50")
	staff.decides(number, "refund", "whole", "1")
	staff.eventually(operatePage(number), "Refund of ₹1,499.50 carried out")
	customer.eventually(orderPage(number), "You have all of your money back")
}

// A paid order is no longer in the cart, even if the browser never came back.
func TestWhatIsPaidLeavesTheCart(t *testing.T) {
	t.Parallel()
	gateway, shop := openUsual(t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected))
	customer := shop.customer()
	number, id := customer.placesOrder("lamp")
	require.Equal(
		t, number, customer.post("/cart", "product", "lamp", "quantity", "1").field(t, "number"), "nothing has changed",
	)
	_, err := gateway.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	shop.customer().eventually(orderPage(number), "Thank you")
	cart := customer.post("/cart", "product", "tea").body
	require.Contains(t, cart, "₹575.25")
	require.NotContains(t, cart, "Brass table lamp")

	// The answer with the link is lost, so the cart gets the number of a new
	// order.
	customer = shop.customer()
	customer.post("/cart", "product", "bowl")
	first := customer.get("/cart").field(t, "number")
	gateway.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
	again := customer.post("/checkout", "number", first)
	require.Equal(t, "/cart", again.at.Path)
	second := again.field(t, "number")
	require.NotEqual(t, first, second)
	require.Contains(t, customer.post("/checkout", "number", second).to, gateway.URL)
}

func TestLargeFormsAreRefused(t *testing.T) {
	t.Parallel()
	_, shop := openUsual(t)
	require.Equal(t, http.StatusNotFound, shop.customer().post("/cart", "product", strings.Repeat("x", 2<<20)).status)
}

// A process can start while other processes use the tables. The new process
// does not wait for their locks. If it did, there could be a deadlock, and
// PostgreSQL would abort one of the transactions.
func TestStartBesideOthersAtWork(t *testing.T) {
	t.Parallel()
	where := servertest.StartPostgres(t).URL
	first, err := openStore(t.Context(), where)
	require.NoError(t, err)
	defer func() { _ = first.Close() }()
	work, err := first.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = work.Rollback() }()
	_, err = work.ExecContext(t.Context(), `LOCK TABLE orders, decisions, payments, history IN ROW EXCLUSIVE MODE`)
	require.NoError(t, err)

	patient, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	second, err := openStore(patient, where)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}
