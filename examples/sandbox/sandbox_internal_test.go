package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

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
	newDashboard(srv, "", 0).mount()
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

// post sends a form that must succeed and returns the page that follows.
func (v visitor) post(path string, fields ...string) string {
	v.t.Helper()
	resp, body := v.send("POST", path, values(fields...))
	require.Equal(v.t, http.StatusSeeOther, resp.StatusCode, body)
	return v.page()
}

// refused sends a form that must fail and returns what the page says.
func (v visitor) refused(path string, fields ...string) string {
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

// order is the newest order.
func (v visitor) order() pluraltest.Order {
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
	require.Contains(t, page, "INR 1499.50")
	require.Contains(t, page, "Open the checkout")
	order := v.order()
	require.Equal(t, "order-7", order.Reference)
	require.Equal(t, int64(149950), order.Amount.Value)
	path := "/sandbox/orders/" + order.ID

	page = v.post(path+"/pay", "decision", "approve")
	require.Contains(t, page, ">AUTHORIZED<")
	require.Contains(t, v.refused(path+"/capture", "amount", "1500"), "AMOUNT_LIMIT_EXCEEDED")
	require.Contains(t, v.refused(path+"/capture", "amount", "lots"), "lots")
	page = v.post(path+"/capture", "amount", "1000")
	require.Contains(t, page, ">PARTIALLY_CAPTURED<")
	require.Contains(t, page, "taken INR 1000.00")
	page = v.post(path+"/refund", "amount", "400")
	require.Contains(t, page, "given back INR 400.00")
	require.Contains(t, v.post(path+"/refund"), ">FULLY_REFUNDED<")
	require.Contains(t, v.refused(path+"/cancel"), "OPERATION_NOT_ALLOWED")
	v.srv.AssertExactlyOnce(t)
}

func TestPayerOfThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for decision, status := range map[string]string{"approve": "PROCESSED", "decline": "ATTEMPTED", "leave": "CANCELLED"} {
		v.post("/sandbox/orders", "amount", "1")
		id := v.order().ID
		v.post("/sandbox/orders/"+id+"/pay", "decision", decision)
		order, _ := v.srv.Order(id)
		require.Equal(t, status, order.Status)
	}
	v.post("/sandbox/orders", "amount", "1", "pre_auth", "yes")
	path := "/sandbox/orders/" + v.order().ID
	v.post(path+"/pay", "decision", "approve")
	require.Contains(t, v.post(path+"/cancel"), ">CANCELLED<")
	require.Contains(t, v.refused(path+"/pay", "decision", "approve"), "is CANCELLED")
	require.Contains(t, v.refused(path+"/pay", "decision", "dither"), "approve, decline or leave")
	require.Contains(t, v.refused("/sandbox/orders/none/refund"), "no such order")
}

func TestPageRefusesBadOrders(t *testing.T) {
	t.Parallel()
	v := visit(t)
	require.NotEmpty(t, v.refused("/sandbox/orders", "amount", ""))
	require.NotEmpty(t, v.refused("/sandbox/orders", "amount", "1.234"))
	require.Contains(t, v.refused("/sandbox/orders", "amount", "1", "reference", "a b"), "invalid characters")
	require.Contains(t, v.refused("/sandbox/orders", "amount", "1", "callback_url", "javascript:alert(1)"), "callback URL")
	require.NotContains(t, v.refused("/sandbox/orders", "amount", "<script>alert(1)</script>"), "<script>")
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
	require.Contains(t, v.refused("/sandbox/webhooks", "url", "nowhere"), "webhook URL")
	status = http.StatusOK
	require.Contains(t, v.post("/sandbox/webhooks", "url", shop.URL+"/hook"), shop.URL+"/hook")
	v.post("/sandbox/orders", "amount", "1", "callback_url", shop.URL+"/back")
	path := "/sandbox/orders/" + v.order().ID
	v.post(path+"/pay", "decision", "approve")
	require.Equal(t, "/hook", <-hits)
	require.NoError(t, v.srv.WaitWebhooks(t.Context()))
	require.Contains(t, v.page(), "ORDER_PROCESSED")
	v.post(path + "/callback")
	require.Equal(t, "/back", <-hits)
	v.post("/sandbox/webhooks/" + v.srv.Deliveries()[0].ID + "/redeliver")
	require.Equal(t, "/hook", <-hits)
	status = http.StatusTeapot
	require.Contains(t, v.refused(path+"/callback"), "418")
	<-hits
}

func TestFaultsFromThePage(t *testing.T) {
	t.Parallel()
	v := visit(t)
	page := v.post("/sandbox/faults", "fault", pluraltest.OpCapturesCreate+" ServerErrorAfterApply")
	require.Contains(t, page, "ServerErrorAfterApply for captures.create")
	require.NotContains(t, page, `value="captures.create Refuse"`)
	require.Contains(t, v.refused("/sandbox/faults", "fault", "captures.create StaleRead"), "no fault")
	require.Contains(t, v.refused("/sandbox/faults", "fault", "everything Truncate"), "no operation")

	id, err := v.srv.AddOrder(pluraltest.OrderSpec{Reference: "o-1", Amount: pluraltest.Amount{Value: 100, Currency: "INR"}, PreAuth: true})
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

	require.Contains(t, v.post("/sandbox/faults/rate", "percent", "100"), `value="100"`)
	for _, bad := range []string{"", "-1", "101", "NaN", "much"} {
		require.Contains(t, v.refused("/sandbox/faults/rate", "percent", bad), "from 0 to 100")
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

func TestPageIsForThisMachine(t *testing.T) {
	t.Parallel()
	v := visit(t)
	for _, host := range []string{"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", ""} {
		resp, body := v.send("GET", "/", nil, "Host", host)
		if host != "" { // no Host is the URL's
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
	// next waits for an event about a part of the page that contains the text.
	next := func(part, text string) {
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
	next("orders", "No orders yet.")
	v.post("/sandbox/orders", "amount", "1", "reference", "seen-live")
	next("orders", "seen-live")
	v.post("/sandbox/faults", "fault", "token Truncate")
	next("queued", "Truncate for token")
	_, _ = v.send("GET", "/api/pay/v1/orders/x", nil)
	next("log", "GET /api/pay/v1/orders/x")
}

func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out, said := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-addr", "127.0.0.1:0", "-client-id", "shop", "-client-secret", "00ff", "-token", "pasted", "-fault-rate", "0"}, said)
		_ = said.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	base := ""
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Stop") {
		if after, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "PLURAL_BASE_URL="); ok {
			base = after
		}
	}
	require.NotEmpty(t, base)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/pay/v1/orders/x", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer pasted")
	resp, err := new(http.Client).Do(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)

	stop()
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Contains(t, string(rest), "stopped")
	require.NoError(t, <-ended)
}

func TestWarning(t *testing.T) {
	t.Parallel()
	require.Empty(t, warning("00ffA"))
	require.Contains(t, warning("secret-of-the-guide-is-no-hex"), "not hex")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"every interface": {[]string{"-addr", ":8080"}, "loopback only"},
		"public":          {[]string{"-addr", "0.0.0.0:8080"}, "loopback only"},
		"no port":         {[]string{"-addr", "localhost"}, "missing port"},
		"rate":            {[]string{"-fault-rate", "2"}, "from 0 to 1"},
		"scale":           {[]string{"-webhook-scale", "-1"}, "not below 0"},
		"webhook URL":     {[]string{"-webhook-url", "x"}, "not an http or https URL"},
		"half":            {[]string{"-client-id", "x"}, "go together"},
		"duplicates":      {[]string{"-duplicates", "maybe"}, "existing, reject or accept"},
		"key":             {[]string{"-webhook-key", "rot13"}, "characters, hex or base64"},
		"argument":        {[]string{"now"}, "unexpected argument"},
	} {
		_, err := parseSettings(tt.args, io.Discard)
		require.ErrorContains(t, err, tt.want, name)
	}
	s, err := parseSettings([]string{
		"-addr", "[::1]:0", "-duplicates", "reject", "-webhook-key", "base64", "-webhook-secret", "c2VjcmV0",
		"-token", "a", "-token", "b", "-webhook-scale", "0.001",
	}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, pluraltest.DuplicateRejected, s.Duplicates)
	require.Equal(t, pluraltest.WebhookKeyBase64, s.WebhookKey)
	require.Equal(t, []string{"a", "b"}, s.Tokens)
}
