package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// visitor is a browser at the sandbox's page.
type visitor struct {
	t   *testing.T
	srv *pluraltest.Server
}

func visit(t *testing.T, opts ...pluraltest.Option) visitor {
	t.Helper()
	srv := pluraltest.NewServer(t, opts...)
	newDashboard(srv, &settings{}).mount()
	return visitor{t, srv}
}

func (v visitor) send(method, path string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.srv.URL+path, strings.NewReader(form.Encode()))
	require.NoError(v.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.srv.Client().Do(req)
	require.NoError(v.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	return resp, string(body)
}

// The method post sends a form that must succeed, and returns the page that
// follows.
func (v visitor) post(path string, fields ...string) string {
	v.t.Helper()
	resp, body := v.send("POST", path, values(fields...))
	require.Equal(v.t, http.StatusSeeOther, resp.StatusCode, body)
	return v.page()
}

// postRefused sends a form that the sandbox must refuse. It returns the error
// that the page shows.
func (v visitor) postRefused(path string, fields ...string) string {
	v.t.Helper()
	resp, body := v.send("POST", path, values(fields...))
	require.Equal(v.t, http.StatusUnprocessableEntity, resp.StatusCode)
	problem := regexp.MustCompile(`(?s)role="alert".*?<p>(.*?)</p>`).FindStringSubmatch(body)
	require.NotNil(v.t, problem, body)
	return problem[1]
}

func (v visitor) page() string {
	v.t.Helper()
	resp, body := v.send("GET", "/", nil)
	require.Equal(v.t, http.StatusOK, resp.StatusCode)
	return body
}

// newestOrder returns the newest order.
func (v visitor) newestOrder() pluraltest.Order {
	v.t.Helper()
	orders := v.srv.Orders()
	require.NotEmpty(v.t, orders)
	return orders[len(orders)-1]
}

func values(fields ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

func TestOrdersFromThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	require.Contains(t, v.page(), "No orders yet.")
	page := v.post("/sandbox/orders", "amount", "1,499.50", "pre_auth", "yes", "reference", "order-7")
	require.Contains(t, page, "₹1,499.50")
	require.Contains(t, page, "Open the checkout")
	order := v.newestOrder()
	require.Equal(t, "order-7", order.Reference)
	require.Equal(t, int64(149950), order.Amount.Value)
	path := "/sandbox/orders/" + order.ID

	page = v.post(path+"/pay", "decision", "approve")
	require.Contains(t, page, ">AUTHORIZED<")
	require.Contains(t, v.postRefused(path+"/capture", "amount", "1500"), "AMOUNT_LIMIT_EXCEEDED")
	require.Contains(t, v.postRefused(path+"/capture", "amount", "lots"), "lots")
	page = v.post(path+"/capture", "amount", "1000")
	require.Contains(t, page, ">PARTIALLY_CAPTURED<")
	require.Contains(t, page, "taken ₹1,000.00")
	page = v.post(path+"/refund", "amount", "400")
	require.Contains(t, page, "given back ₹400.00")
	require.Contains(t, v.post(path+"/refund"), ">FULLY_REFUNDED<")
	require.Contains(t, v.postRefused(path+"/cancel"), "OPERATION_NOT_ALLOWED")
	v.srv.AssertExactlyOnce(t)
}

func TestPayerOfThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for decision, status := range map[string]string{"approve": "PROCESSED", "decline": "ATTEMPTED", "leave": "CANCELLED"} {
		v.post("/sandbox/orders", "amount", "1")
		id := v.newestOrder().ID
		v.post("/sandbox/orders/"+id+"/pay", "decision", decision)
		order, _ := v.srv.Order(id)
		require.Equal(t, status, order.Status)
	}
	v.post("/sandbox/orders", "amount", "1", "pre_auth", "yes")
	path := "/sandbox/orders/" + v.newestOrder().ID
	v.post(path+"/pay", "decision", "approve")
	require.Contains(t, v.post(path+"/cancel"), ">CANCELLED<")
	require.Contains(t, v.postRefused(path+"/pay", "decision", "approve"), "is CANCELLED")
	require.Contains(t, v.postRefused(path+"/pay", "decision", "dither"), "approve, decline or leave")
	require.Contains(t, v.postRefused("/sandbox/orders/none/refund"), "no such order")
}

// While a capture or a cancel is PENDING, the page has no buttons for the
// payer.
func TestPendingWritesOfThePage(t *testing.T) {
	t.Parallel()
	for op, path := range map[string]string{
		pluraltest.OpCapturesCreate: "/capture",
		pluraltest.OpCancelsCreate:  "/cancel",
	} {
		v := visit(t)
		require.Contains(t, v.post("/sandbox/orders", "amount", "1", "pre_auth", "yes"), "Open the checkout")
		id := v.newestOrder().ID
		v.post("/sandbox/orders/"+id+"/pay", "decision", "approve")
		v.srv.Inject(pluraltest.On(op), pluraltest.PendingResult.AfterReads(9))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, v.srv.URL+"/api/pay/v1/orders/"+id+path,
			strings.NewReader(`{"merchant_capture_reference":"c"}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+v.srv.IssueToken())
		req.Header.Set("Content-Type", "application/json")
		resp, err := v.srv.Client().Do(req)
		require.NoError(t, err)
		_ = resp.Body.Close()
		page := v.page()
		require.Contains(t, page, ">PENDING<")
		require.NotContains(t, page, "Open the checkout")
		require.NotContains(t, page, `value="approve"`)
	}
}

func TestPageRefusesBadOrders(t *testing.T) {
	t.Parallel()
	v := visit(t)
	require.NotEmpty(t, v.postRefused("/sandbox/orders", "amount", ""))
	require.NotEmpty(t, v.postRefused("/sandbox/orders", "amount", "1.234"))
	require.Contains(t, v.postRefused("/sandbox/orders", "amount", "1", "reference", "a b"), "invalid characters")
	text := v.postRefused("/sandbox/orders", "amount", "1", "callback_url", "javascript:alert(1)")
	require.Contains(t, text, "callback URL")
	require.NotContains(t, v.postRefused("/sandbox/orders", "amount", "<script>alert(1)</script>"), "<script>")
	require.Empty(t, v.srv.Orders())
}

func TestCallbackAndWebhooksFromThePage(t *testing.T) {
	t.Parallel()
	var status int
	hits := make(chan string, 16)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits <- r.URL.Path
		w.WriteHeader(status)
	}))
	defer shop.Close()
	v := visit(t)
	require.Contains(t, v.postRefused("/sandbox/webhooks", "url", "nowhere"), "webhook URL")
	status = http.StatusOK
	require.Contains(t, v.post("/sandbox/webhooks", "url", shop.URL+"/hook"), shop.URL+"/hook")
	v.post("/sandbox/orders", "amount", "1", "callback_url", shop.URL+"/back")
	path := "/sandbox/orders/" + v.newestOrder().ID
	v.post(path+"/pay", "decision", "approve")
	require.Equal(t, "/hook", <-hits)
	require.NoError(t, v.srv.WaitWebhooks(t.Context()))
	require.Contains(t, v.page(), "ORDER_PROCESSED")
	require.NotContains(t, v.page(), "Post the callback again")
	page := v.post(path + "/callback")
	require.Contains(t, page, "The shop answered the callback: 200 OK")
	require.Contains(t, page, "Post the callback again")
	require.Equal(t, "/back", <-hits)
	v.post("/sandbox/webhooks/" + v.srv.Deliveries()[0].ID + "/redeliver")
	require.Equal(t, "/hook", <-hits)
	status = http.StatusTeapot
	require.Contains(t, v.postRefused(path+"/callback"), "418")
	<-hits
}

func TestFaultsFromThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	page := v.post("/sandbox/faults", "op", pluraltest.OpCapturesCreate, "fault", "ServerErrorAfterApply")
	require.Contains(t, page, "ServerErrorAfterApply for captures.create")
	require.NotContains(t, page, `value="Refuse"`)
	require.Contains(t, v.postRefused("/sandbox/faults", "op", "captures.create", "fault", "StaleRead"), "no meaning")
	require.Contains(t, v.postRefused("/sandbox/faults", "op", "captures.create", "fault", "Nonsense"), "no fault")
	require.Contains(t, v.postRefused("/sandbox/faults", "op", "everything", "fault", "Truncate"), "no operation")

	id, err := v.srv.AddOrder(
		pluraltest.OrderSpec{Reference: "o-1", Amount: pluraltest.Amount{Value: 100, Currency: "INR"}, PreAuth: true},
	)
	require.NoError(t, err)
	_, err = v.srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	resp, _ := v.send("PUT", "/api/pay/v1/orders/"+id+"/capture", nil,
		"Authorization", "Bearer "+v.srv.IssueToken(), "Content-Type", "application/json")
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	page = v.page()
	require.Contains(t, page, "Nothing is queued.")
	require.Contains(t, page, "PUT /api/pay/v1/orders/"+id+"/capture")
	require.Contains(t, page, "ServerErrorAfterApply, ")

	require.NotContains(t, page, "-seed")
	page = v.post("/sandbox/faults/rate", "percent", "100")
	require.Contains(t, page, `value="100"`)
	require.Contains(t, page, "<code>-seed 0</code>")
	for _, bad := range []string{"", "-1", "101", "NaN", "much"} {
		require.Contains(t, v.postRefused("/sandbox/faults/rate", "percent", bad), "from 0 to 100")
	}
	before := len(v.srv.FaultLog())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.srv.URL+"/api/pay/v1/orders/"+id, http.NoBody)
	require.NoError(t, err)
	patient := v.srv.Client()
	patient.Timeout = 1e8
	if resp, err := patient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	require.Len(t, v.srv.FaultLog(), before+1)
	require.Contains(t, v.post("/sandbox/faults/clear"), `id="percent" name="percent" inputmode="decimal" value="0"`)
}

// TestRandomFaultsReplay sends the same requests to three sandboxes. Two of
// them have the same seed, and must have the same faults. The third has another
// seed, and must have other faults.
func TestRandomFaultsReplay(t *testing.T) {
	t.Parallel()
	fates := func(seed uint64) (list []string) {
		synctest.Test(t, func(t *testing.T) {
			srv := pluraltest.New()
			defer srv.Close()
			newDashboard(srv, &settings{FaultRate: 0.5, Seed: seed}).mount()
			client := srv.Client()
			client.Timeout = time.Minute
			token := srv.IssueToken()
			for i := range 60 {
				req, err := http.NewRequestWithContext(
					t.Context(), http.MethodGet, srv.URL+"/api/pay/v1/orders/reference/r-"+strconv.Itoa(i), http.NoBody,
				)
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer "+token)
				req.Close = true // on a connection that was used before, net/http may repeat a GET
				if resp, err := client.Do(req); err == nil {
					_ = resp.Body.Close()
				}
			}
			for _, f := range srv.FaultLog() {
				require.NotEqual(t, pluraltest.Refuse, f.Fault)
				list = append(list, f.Reference+" "+f.Fault.Name)
			}
		})
		return list
	}
	first := fates(7)
	require.Greater(t, len(first), 15)
	require.Equal(t, first, fates(7))
	require.NotEqual(t, first, fates(8))
}

func TestPageIsForThisMachine(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for _, host := range []string{"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", ""} {
		resp, body := v.send("GET", "/", nil, "Host", host)
		if host != "" { // if Host is empty, the client sends the URL's host
			require.Equal(t, http.StatusForbidden, resp.StatusCode, host)
			require.NotContains(t, body, v.srv.ClientSecret)
		}
		resp, _ = v.send("GET", "/sandbox/live", nil, "Host", "evil.example")
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	}
	for _, host := range []string{"localhost:1", "LOCALHOST", "[::1]:8080", "127.0.0.2"} {
		resp, _ := v.send("GET", "/", nil, "Host", host)
		require.Equal(t, http.StatusOK, resp.StatusCode, host)
	}
	order := values("amount", "1")
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Host", "evil.example"},
	} {
		resp, _ := v.send("POST", "/sandbox/orders", order, header...)
		require.Equal(t, http.StatusForbidden, resp.StatusCode, header)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		resp, _ := v.send(method, "/sandbox/orders?amount=1", nil)
		require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, method)
	}
	require.Empty(t, v.srv.Orders())
	resp, _ := v.send("POST", "/sandbox/orders", order, "Sec-Fetch-Site", "same-origin", "Origin", v.srv.URL)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
}

func TestPagePolicy(t *testing.T) {
	t.Parallel()
	v := visit(t)
	_, err := v.srv.AddOrder(pluraltest.OrderSpec{
		Reference: "o-1", Amount: pluraltest.Amount{Value: 100, Currency: "INR"},
		Notes: "</pre><script>alert(1)</script>", CallbackURL: "javascript:alert(2)",
	})
	require.NoError(t, err)
	resp, body := v.send("GET", "/", nil)
	require.Equal(
		t, "same-origin", resp.Header.Get("Referrer-Policy"), "with no-referrer, browsers would post a null origin",
	)
	policy := resp.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	nonce := regexp.MustCompile(`<script nonce="(\w+)">`).FindStringSubmatch(body)
	require.NotNil(t, nonce)
	require.Contains(t, policy, "script-src 'nonce-"+nonce[1]+"'")
	require.Equal(t, 1, strings.Count(body, "<script"))
	require.NotRegexp(t, `(?i)\bsrc=|<link[^>]*href="(https?:)?//`, body)
}

func TestLive(t *testing.T) {
	t.Parallel()
	v := visit(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.srv.URL+"/sandbox/live", http.NoBody)
	require.NoError(t, err)
	resp, err := v.srv.Client().Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	events := bufio.NewScanner(resp.Body)
	events.Buffer(nil, 1<<20)
	// waitForEvent waits for an event that brings a part of the page. The
	// part must have the given name and must contain the given text.
	waitForEvent := func(part, text string) {
		t.Helper()
		name := ""
		for events.Scan() {
			if after, ok := strings.CutPrefix(events.Text(), "event: "); ok {
				name = after
			}
			if data, ok := strings.CutPrefix(events.Text(), "data: "); ok && name == part {
				var html string
				require.NoError(t, json.Unmarshal([]byte(data), &html))
				if strings.Contains(html, text) {
					return
				}
			}
		}
		t.Fatalf("no event %s with %q: %v", part, text, events.Err())
	}
	waitForEvent("orders", "No orders yet.")
	v.post("/sandbox/orders", "amount", "1", "reference", "seen-live")
	waitForEvent("orders", "seen-live")
	v.post("/sandbox/faults", "op", "token", "fault", "Truncate")
	waitForEvent("queued", "Truncate for token")
	_, _ = v.send("GET", "/api/pay/v1/orders/x", nil)
	waitForEvent("log", "GET /api/pay/v1/orders/x")
}

// A hold can end at the bank, in Plural's books, or in both places. If the hold
// ends only at the bank, the books still show the hold.
func TestLapsesFromThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for where, status := range map[string]string{"bank": "AUTHORIZED", "books": "CANCELLED", "both": "CANCELLED"} {
		v.post("/sandbox/orders", "amount", "1", "pre_auth", "yes")
		path := "/sandbox/orders/" + v.newestOrder().ID
		require.Contains(t, v.postRefused(path+"/lapse", "where", where), "no hold")
		v.post(path+"/pay", "decision", "approve")
		require.Contains(t, v.postRefused(path+"/lapse", "where", "moon"), "both, bank or books")
		page := v.post(path+"/lapse", "where", where)
		require.Equal(t, status, v.newestOrder().Status)
		require.Equal(t, where != "books", v.newestOrder().HoldLapsed)
		require.Contains(t, page, ">"+status+"<")
		if where == "bank" {
			require.Contains(t, page, "the bank has let go of the hold")
			require.Contains(t, v.postRefused(path+"/capture"), "PAYMENT_EXPIRED")
		}
	}
}

// The button puts all captured money into a settlement. If the button is
// pressed again, the same money does not enter another settlement. The page
// shows the settlement with its orders.
func TestSettlementsFromThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	require.Contains(t, v.postRefused("/sandbox/settle"), "there is no captured money to settle")
	v.post("/sandbox/orders", "amount", "1499.50", "pre_auth", "yes", "reference", "order-1")
	path := "/sandbox/orders/" + v.newestOrder().ID
	v.post(path+"/pay", "decision", "approve")
	require.Contains(t, v.postRefused("/sandbox/settle"), "no captured money", "a hold is not a capture")
	v.post(path + "/capture")
	page := v.post("/sandbox/settle")
	utr := v.srv.Settlements()[0].UTR
	require.Contains(t, page, "<code>"+utr+"</code>")
	require.Contains(t, page, "order-1: ₹1,499.50, settled ₹1,464.11")
	require.Contains(t, page, v.newestOrder().Payments[0].ID)
	require.Contains(t, v.postRefused("/sandbox/settle"), "no captured money")
}

// On the page, each fault is in one group, and has a sentence that explains it.
func TestFaultsAreExplained(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, g := range faultGroups() {
		require.NotEmpty(t, g.Faults, g.Name)
		for _, f := range g.Faults {
			require.Empty(t, seen[f.Name], f.Name)
			seen[f.Name] = f.Text
			const form = `^[A-Z][^;]+[A-Za-z]; the (answer|document|connection|HTTP/2)[^.]*\.$|; no answer ever comes\.$|; half of`
			require.Regexp(t, form, f.Text, f.Name)
			require.NotContains(t, f.Text, "  ")
		}
	}
	require.Len(t, seen, len(withoutRefuse(pluraltest.AllFaults())))
}

// If a shop accepts no webhooks, the page shows that, and what to check.
func TestRefusedWebhooks(t *testing.T) {
	t.Parallel()
	attempts := func(statuses ...int) []pluraltest.Delivery {
		var list []pluraltest.Delivery
		for i, status := range statuses {
			a := pluraltest.DeliveryAttempt{At: time.Unix(int64(i), 0), Status: status}
			if status == 0 {
				a.Err = "connection refused"
			}
			list = append(list, pluraltest.Delivery{Attempts: []pluraltest.DeliveryAttempt{a}})
		}
		return list
	}
	require.Empty(t, refusedWebhooks(nil))
	require.Empty(t, refusedWebhooks(attempts(401, 401)))
	require.Empty(t, refusedWebhooks(attempts(401, 401, 401, 200)))
	require.Contains(t, refusedWebhooks(attempts(200, 401, 401, 401)),
		"none of the last 3 webhooks. It answers: 401 Unauthorized.")
	require.Contains(t, refusedWebhooks(attempts(0, 0, 0, 0)), "connection refused. Is the shop running?")
	require.Contains(t, refusedWebhooks(attempts(404, 404, 404)), "Compare the address")
}

// Printed settings can be pasted into a shell.
func TestExportLines(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-client-id", "my shop", "-client-secret", "it's", "-callback-key", "characters")
	require.Contains(t, p.said, "export PLURAL_CLIENT_ID='my shop'\n")
	lines := regexp.MustCompile(`(?m)^ *export .*$`).FindAllString(p.said, -1)
	require.Len(t, lines, 3)
	out, err := exec.CommandContext(t.Context(), "sh", "-c",
		strings.Join(lines, "\n")+"\n"+
			`printf '%s|%s|%s' "$PLURAL_BASE_URL" "$PLURAL_CLIENT_ID" "$PLURAL_CLIENT_SECRET"`).Output()
	require.NoError(t, err)
	require.Equal(t, p.base+"|my shop|it's", string(out))
}

// All answers have the security headers, not only the page.
func TestHeadersOfEachAnswer(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for _, path := range []string{"/", "/sandbox/nothing", "/sandbox/orders"} {
		resp, _ := v.send("GET", path, nil)
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
	}
}

func TestLinksFromThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	require.Contains(t, v.page(), "No payment links yet.")
	page := v.post("/sandbox/links", "amount", "5,000", "pre_auth", "yes", "reference", "deposit-7",
		"mobile_number", "9000000001", "first_name", "Asha", "description", "Deposit <7>", "minutes", "90")
	links := v.srv.Links()
	require.Len(t, links, 1)
	link := links[0]
	require.Equal(t, "deposit-7", link.Reference)
	require.WithinDuration(t, link.CreatedAt.Add(90*time.Minute), link.ExpireBy, time.Minute)
	require.Contains(t, page, `data-copy="`+link.URL+`"`)
	require.Contains(t, page, ">CREATED<")
	require.Contains(t, page, "Message, sent 1 time<")
	require.Contains(t, page, "to &#43;91 9000000001")
	require.Contains(t, page, "Hello Asha, merchant 123456 asks you to pay ₹5,000.00 for Deposit &lt;7&gt;: "+link.URL)

	path := "/sandbox/links/" + link.ID
	require.Contains(t, v.post(path+"/notify"), "Message, sent 2 times<")
	require.NoError(t, v.srv.OpenLink(link.ID))
	require.Contains(t, v.page(), ">CLICKED<")
	require.Contains(t, v.postRefused(path+"/cancel"), "OPERATION_NOT_ALLOWED")
	page = v.post("/sandbox/orders/"+link.OrderID+"/pay", "decision", "approve")
	require.Contains(t, page, ">PROCESSED<")

	v.post("/sandbox/links", "amount", "1", "email_id", "asha@example.com")
	link = v.srv.Links()[1]
	page = v.post("/sandbox/links/" + link.ID + "/cancel")
	require.Contains(t, page, ">CANCELLED<")
	require.Contains(t, page, "to asha@example.com")
	for name, fields := range map[string][]string{
		"lots":                {"amount", "lots", "email_id", "a@example.com"},
		"Email or mobile":     {"amount", "5"},
		"callback URL":        {"amount", "5", "email_id", "a@example.com", "callback_url", "x"},
		"a number of minutes": {"amount", "5", "email_id", "a@example.com", "minutes", "0"},
		"is taken":            {"amount", "5", "email_id", "a@example.com", "reference", "deposit-7"},
	} {
		require.Contains(t, v.postRefused("/sandbox/links", fields...), name)
	}
	require.Contains(t, v.postRefused("/sandbox/links/pl-none/notify"), "ORDER_NOT_FOUND")
}
