package pluraltest_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// The type payer is a payer at the checkout page of one order. The payer's
// browser has no JavaScript.
type payer struct {
	t    *testing.T
	srv  *pluraltest.Server
	id   string
	link string
}

func newPayer(t *testing.T, srv *pluraltest.Server, spec pluraltest.OrderSpec) *payer {
	t.Helper()
	if spec.Reference == "" {
		spec.Reference = "order-1"
	}
	if spec.Amount == (pluraltest.Amount{}) {
		spec.Amount = inr(149950)
	}
	id, err := srv.AddOrder(spec)
	require.NoError(t, err)
	order, ok := srv.Order(id)
	require.True(t, ok)
	return &payer{t, srv, id, order.RedirectURL}
}

type sheet struct {
	status int
	header http.Header
	html   string
}

// sheet.text returns the text of the page, without markup.
func (s sheet) text() string {
	plain := regexp.MustCompile(`(?s)<style.*?</style>|<script.*?</script>|<[^>]*>`).ReplaceAllString(s.html, " ")
	return strings.Join(strings.Fields(html.UnescapeString(plain)), " ")
}

// returnForm reads the form that takes the payer back to the shop. It returns
// the address and the fields of the form.
func (s sheet) returnForm(t *testing.T) (action string, fields url.Values) {
	t.Helper()
	found := regexp.MustCompile(`(?s)<form method="post" action="([^"]*)" id="return".*?</form>`).
		FindStringSubmatch(s.html)
	require.NotNil(t, found, s.html)
	fields = url.Values{}
	hidden := regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	for _, input := range hidden.FindAllStringSubmatch(found[0], -1) {
		fields.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return html.UnescapeString(found[1]), fields
}

func (p *payer) send(method, link string, form url.Values, header ...string) sheet {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, link, strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.srv.Client().Do(req)
	require.NoError(p.t, err)
	defer func() { _ = resp.Body.Close() }()
	var body strings.Builder
	_, err = io.Copy(&body, resp.Body)
	require.NoError(p.t, err)
	return sheet{resp.StatusCode, resp.Header, body.String()}
}

func (p *payer) open() sheet { p.t.Helper(); return p.send("GET", p.link, nil) }

// payer.press posts a form, as a button of the page does. If the answer is a
// redirect, payer.press opens the next page.
func (p *payer) press(fields ...string) sheet {
	p.t.Helper()
	posted := p.send("POST", p.link, values(fields...))
	if posted.status != http.StatusSeeOther {
		return posted
	}
	next, err := url.Parse(p.link)
	require.NoError(p.t, err)
	next, err = next.Parse(posted.header.Get("Location"))
	require.NoError(p.t, err)
	return p.send("GET", next.String(), nil)
}

func (p *payer) status() string {
	p.t.Helper()
	order, _ := p.srv.Order(p.id)
	return order.Status
}

// The function card returns the payment form with the values that the page
// fills in. The caller can change some of these values.
func card(changes ...string) []string {
	form := values(
		"action", "pay", "method", "CARD", "card_number", "4012 0010 3714 1112", "card_expiry", "12/30", "card_cvv", "212",
	)
	for i := 0; i+1 < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	var fields []string
	for name := range form {
		fields = append(fields, name, form.Get(name))
	}
	return fields
}

// numberFor returns the card number for a form that asks for one.
func numberFor(method string) string {
	if method == "CARD" {
		return "4012-0010-3714-1112"
	}
	return ""
}

func values(fields ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

// verifyForm reads the form that the browser takes back to the shop, and
// verifies the form's signature as a merchant does.
func verifyForm(t *testing.T, srv *pluraltest.Server, s sheet) (action string, callback *plural.Callback) {
	t.Helper()
	action, fields := s.returnForm(t)
	verifier, err := plural.NewVerifier(srv.ClientSecret)
	require.NoError(t, err)
	callback, err = verifier.VerifyCallback(fields)
	require.NoError(t, err)
	return action, callback
}

const shop = "https://shop.example.com/return?cart=7"

func TestCheckoutPays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, status string
		preAuth              bool
	}{
		{"card", "CARD", "PROCESSED", false},
		{"card, pre-authorised", "CARD", "AUTHORIZED", true},
		{"UPI", "UPI", "PROCESSED", false},
		{"net banking", "NETBANKING", "PROCESSED", false},
		{"wallet", "WALLET", "PROCESSED", false},
		{"points", "POINTS", "PROCESSED", false},
		{"EMI", "CREDIT_EMI", "PROCESSED", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t)
			p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop, PreAuth: tt.preAuth})

			first := p.open()
			require.Equal(t, 200, first.status)
			require.Contains(t, first.text(), "₹1,499.50")
			require.Contains(t, first.text(), "order-1")
			require.Contains(t, first.text(), "Test emulator. No real money moves.")
			require.Equal(t, "CREATED", p.status())

			bank := p.press(card("method", tt.method, "vpa", "success@upi", "card_number", numberFor(tt.method))...)
			require.Contains(t, bank.text(), "Confirm your payment")
			require.Equal(t, "PENDING", p.status())
			require.Contains(t, p.open().text(), "Confirm your payment", "the page is the same when it is opened again")

			done := p.press("action", "approve", "otp", " 123456 ")
			require.Equal(t, tt.status, p.status())
			action, callback := verifyForm(t, srv, done)
			require.Equal(t, shop, action)
			require.Equal(t, p.id, callback.OrderID)
			require.Equal(t, plural.OrderStatus(tt.status), callback.Status)

			order, _ := srv.Order(p.id)
			require.Len(t, order.Payments, 1)
			require.Equal(t, tt.method, order.Payments[0].Method)

			again := p.open()
			require.Equal(t, 200, again.status)
			require.Contains(t, again.text(), "Back to shop.example.com")
			require.NotContains(t, again.html, "<script")
		})
	}
}

func TestCheckoutFailsAndRetries(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithPaymentRetries(2))
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop, FailureURL: "https://shop.example.com/failed"})

	p.press(card()...)
	failed := p.press("action", "approve", "otp", "000000")
	require.Equal(t, "ATTEMPTED", p.status())
	require.Contains(t, failed.text(), "Consumer Authentication failed USER_AUTHENTICATION_FAILED")
	require.Contains(t, failed.text(), "Retries remaining after this one: 1")

	p.press(card()...)
	declined := p.press("action", "decline", "reason", "INSUFFICIENT_FUNDS")
	require.Equal(t, "ATTEMPTED", p.status())
	require.Contains(t, declined.text(), "Insufficient funds INSUFFICIENT_FUNDS")
	require.Contains(t, declined.text(), "This is the last try")

	givenUp := p.send("GET", p.link+"&return=1", nil)
	action, callback := verifyForm(t, srv, givenUp)
	require.Equal(t, "https://shop.example.com/failed", action)
	require.Equal(t, plural.OrderStatusFailed, callback.Status)
	require.Equal(t, plural.ErrorCode("INSUFFICIENT_FUNDS"), callback.ErrorCode)
	require.Equal(t, "ATTEMPTED", p.status(), "opening the page that leads back to the shop does not end the order")

	p.press(card()...)
	over := p.press("action", "decline", "message", "No <b>more</b>\x00 & \"enough\"")
	require.Equal(t, "FAILED", p.status())
	_, callback = verifyForm(t, srv, over)
	require.Equal(t, plural.ErrorCode("PAYMENT_DECLINED"), callback.ErrorCode)
	require.Equal(t, `No <b>more</b> & "enough"`, callback.ErrorMessage)
	require.Contains(t, p.open().text(), "Payment failed")
}

func TestCheckoutSucceedsAfterFailure(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop, PreAuth: true})
	p.press(card()...)
	p.press("action", "approve", "otp", "")
	p.press(card()...)
	_, callback := verifyForm(t, srv, p.press("action", "approve", "otp", "123456"))
	require.Equal(t, plural.OrderStatusAuthorized, callback.Status)
	require.Empty(t, callback.ErrorCode)
}

func TestCheckoutEndsWithoutRetry(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop})
	p.press(card()...)
	p.press("action", "decline", "final", "yes")
	require.Equal(t, "FAILED", p.status())

	other := newPayer(t, srv, pluraltest.OrderSpec{Reference: "order-2", CallbackURL: shop})
	other.press(card()...)
	expired := other.press("action", "expire")
	require.Contains(t, expired.text(), "PAYMENT_EXPIRED")
}

func TestCheckoutCancels(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	for name, before := range map[string][]string{"at once": nil, "at-the-bank": card()} {
		p := newPayer(
			t, srv, pluraltest.OrderSpec{Reference: strings.ReplaceAll(name, " ", "-"), CallbackURL: shop, PreAuth: true},
		)
		if before != nil {
			p.press(before...)
		}
		_, callback := verifyForm(t, srv, p.press("action", "cancel"))
		require.Equal(t, plural.OrderStatusCancelled, callback.Status)
		require.Equal(t, "CANCELLED", p.status())
		require.Contains(t, p.open().text(), "This link cannot be used again")
	}
}

func TestCheckoutWithoutCallbackURL(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	for i, link := range []string{"", "javascript:alert(1)", "/relative"} {
		p := newPayer(t, srv, pluraltest.OrderSpec{Reference: "order-" + string(rune('a'+i)), CallbackURL: link})
		p.press(card()...)
		done := p.press("action", "approve", "otp", "123456")
		require.Contains(t, done.text(), "Payment received")
		require.Contains(t, done.text(), "there is no shop to go back to")
		require.NotContains(t, done.html, "javascript:")
	}
}

func TestCheckoutRefusesForm(t *testing.T) {
	t.Parallel()
	const realCard = "4111 1111 1111 1111"
	for name, tt := range map[string]struct {
		fields []string
		fault  string
		at     string
	}{
		"no method":         {[]string{"action", "pay"}, "Choose how to pay.", "methods"},
		"method not listed": {card("method", "CASH"), "Choose how to pay.", "methods"},
		"no number":         {card("card_number", " "), "The card number was missing.", "card-number"},
		"a real card":       {card("card_number", realCard), "Never enter a real card here.", "card-number"},
		"expired":           {card("card_expiry", "11/25"), "12/25 or later", "card-expiry"},
		"no such month":     {card("card_expiry", "13/30"), "12/25 or later", "card-expiry"},
		"wrong CVV":         {card("card_cvv", "999"), "CVV is 212", "card-cvv"},
		"wrong UPI ID":      {card("method", "UPI", "vpa", "<i>@upi"), "success@upi", "vpa"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.NewServer(t)
			p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop})
			refused := p.press(tt.fields...)
			require.Equal(t, http.StatusUnprocessableEntity, refused.status)
			require.Contains(t, refused.text(), "Error: Pay ₹1,499.50")
			require.Contains(t, refused.text(), tt.fault)
			require.Contains(t, refused.html, `role="alert"`)
			require.Contains(t, refused.html, `<a href="#`+tt.at+`">`)
			require.Contains(t, refused.html, `id="`+tt.at+`"`)
			require.NotContains(t, refused.html, realCard)
			require.NotContains(t, refused.html, `value="999"`)
			require.NotContains(t, refused.html, "<i>")
			require.Equal(t, "CREATED", p.status())
		})
	}
}

func TestCheckoutExpiry(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	for expiry, good := range map[string]bool{
		"12/25": true, "01/26": true, "12/2025": true, "12 / 30": true,
		"": false, "1225": false, "00/30": false, "12/24": false, "12/1999": false,
	} {
		p := newPayer(
			t,
			srv,
			pluraltest.OrderSpec{Reference: "exp-" + url.PathEscape(strings.NewReplacer("/", "-", " ", "_").Replace(expiry))},
		)
		page := p.press(card("card_expiry", expiry)...)
		require.Equal(t, good, page.status == http.StatusOK, expiry)
	}
}

func TestCheckoutKeepsNoCard(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop})
	p.press(card()...)
	p.press("action", "approve", "otp", "123456")
	document := string(srv.Document(p.id))
	require.Contains(t, document, `"last4_digit":"1112"`)
	require.NotContains(t, document, "40120010")
	require.NotContains(t, document, "37141112")
	require.Empty(t, srv.Requests(), "the requests of the payer are not API requests")
}

func TestCheckoutMethods(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	for name, tt := range map[string]struct {
		spec    pluraltest.OrderSpec
		want    []string
		message string
	}{
		"all": {pluraltest.OrderSpec{}, []string{
			"CARD", "UPI", "NETBANKING", "WALLET", "POINTS", "CREDIT_EMI",
			"DEBIT_EMI", "BNPL", "CARDLESS_EMI",
		}, ""},
		"some":     {pluraltest.OrderSpec{Methods: []string{"UPI", "CARD"}}, []string{"CARD", "UPI"}, ""},
		"preauth":  {pluraltest.OrderSpec{PreAuth: true}, []string{"CARD"}, "Held on your card now"},
		"impasse":  {pluraltest.OrderSpec{PreAuth: true, Methods: []string{"UPI"}}, nil, "There is no way to pay this order"},
		"upi_only": {pluraltest.OrderSpec{Methods: []string{"UPI"}}, []string{"UPI"}, "The test UPI ID is success@upi."},
	} {
		tt.spec.Reference = name
		page := newPayer(t, srv, tt.spec).open()
		var got []string
		methods := regexp.MustCompile(`type="radio" name="method" value="(\w+)"`)
		for _, radio := range methods.FindAllStringSubmatch(page.html, -1) {
			got = append(got, radio[1])
		}
		require.Equal(t, tt.want, got, name)
		require.Contains(t, page.text(), tt.message, name)
		if len(got) > 0 {
			require.Equal(t, 1, strings.Count(page.html, " checked"), name)
		}
		require.Contains(t, page.text(), "Cancel payment", name)
	}
}

func TestCheckoutMoney(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	for amount, want := range map[pluraltest.Amount]string{
		inr(100): "₹1.00", inr(99999): "₹999.99", inr(100000): "₹1,000.00", inr(11000000): "₹1,10,000.00",
		inr(100000000): "₹10,00,000.00", {Value: 12345678, Currency: "USD"}: "USD 123,456.78",
	} {
		page := newPayer(t, srv, pluraltest.OrderSpec{Reference: amount.Currency + itoa(amount.Value), Amount: amount}).open()
		require.Contains(t, page.text(), "Pay "+want+" ")
	}
}

func TestCheckoutEscapes(t *testing.T) {
	t.Parallel()
	const hostile = `</style></script><script>alert(1)</script><img src=x onerror=alert(2)> "' {{.Nonce}}`
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{
		Notes: hostile, CallbackURL: `https://shop.example.com/?"><script>alert(3)</script>`,
		PurchaseDetails: []byte(`{"customer":{"first_name":"<script>alert(4)</script>","last_name":"\"><b>"}}`),
	})
	pages := []sheet{
		p.open(),
		p.press(card()...),
		p.press("action", "decline", "message", hostile),
		p.send("GET", p.link+"&return=1", nil),
	}
	for _, page := range pages {
		require.Equal(t, 200, page.status)
		require.NotContains(t, page.html, "<script>")
		require.NotContains(t, page.html, "<img")
		require.NotContains(t, page.html, `"><b>`)
	}
	require.Contains(t, pages[0].text(), `<script>alert(1)</script>`)
	require.Contains(t, pages[0].text(), `Customer <script>alert(4)</script> "><b>`)
}

func TestCheckoutPolicy(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop})
	first := p.open()
	policy := first.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "script-src 'none'")
	require.Contains(t, policy, "form-action 'self'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "no-store", first.header.Get("Cache-Control"))
	require.Equal(t, "nosniff", first.header.Get("X-Content-Type-Options"))
	require.Equal(t, "strict-origin", first.header.Get("Referrer-Policy"))
	require.NotEqual(t, policy, p.open().header.Get("Content-Security-Policy"), "each page has a new nonce")
	require.NotRegexp(t, `(?i)\b(src|href)="(https?:)?//`, first.html, "the page loads nothing from other sites")

	p.press(card()...)
	last := p.press("action", "approve", "otp", "123456")
	policy = last.header.Get("Content-Security-Policy")
	nonce := regexp.MustCompile(`<script nonce="(\w+)">`).FindStringSubmatch(last.html)
	require.NotNil(t, nonce)
	require.Contains(t, policy, "script-src 'nonce-"+nonce[1]+"'")
	require.Contains(t, policy, "form-action http: https:")
}

func TestCheckoutWarnsOfInsecureReturn(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithTLS())
	for link, warned := range map[string]bool{
		"http://shop.example.com/": true, "https://shop.example.com/": false, "http://localhost:8081/": false,
	} {
		p := newPayer(t, srv, pluraltest.OrderSpec{Reference: "r-" + itoa(int64(len(link))), CallbackURL: link})
		require.Equal(t, warned, strings.Contains(p.press("action", "cancel").text(), "is not secure"), link)
	}
}

func TestCheckoutOnlyPostChanges(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop})

	for _, method := range []string{"GET", "HEAD"} {
		require.Equal(
			t,
			200,
			p.send(
				method, p.link+"&action=cancel&_method=POST", values("action", "cancel"), "X-HTTP-Method-Override", "POST",
			).status,
		)
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		refused := p.send(method, p.link, values("action", "cancel"))
		require.Equal(t, http.StatusMethodNotAllowed, refused.status, method)
		require.Equal(t, "GET, HEAD, POST", refused.header.Get("Allow"))
	}
	require.Equal(
		t, http.StatusForbidden, p.send("POST", p.link, values("action", "cancel"), "Sec-Fetch-Site", "cross-site").status,
	)
	require.Equal(
		t,
		http.StatusForbidden,
		p.send("POST", p.link, values("action", "cancel"), "Origin", "https://evil.example").status,
	)
	require.Equal(
		t, http.StatusSeeOther, p.send("POST", p.link+"&action=cancel", values()).status, "the query decides nothing",
	)
	require.Equal(
		t,
		http.StatusSeeOther,
		p.send("POST", p.link, values("action", "approve", "otp", "123456")).status,
		"no payment waits for approval yet",
	)
	require.Equal(t, http.StatusSeeOther, p.send("POST", p.link, values("action", "explode")).status)
	require.Equal(
		t, http.StatusRequestEntityTooLarge, p.send("POST", p.link, values("action", strings.Repeat("x", 70<<10))).status,
	)
	require.Equal(
		t,
		http.StatusBadRequest,
		p.send("POST", p.link, nil, "Content-Type", "application/x-www-form-urlencoded; %").status,
	)
	require.Equal(t, "CREATED", p.status())
}

func TestCheckoutDecidesOnce(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop, PreAuth: true})
	p.press(card()...)
	p.press("action", "approve", "otp", "123456")
	for _, late := range [][]string{
		{"action", "approve", "otp", "1"},
		{"action", "decline"},
		{"action", "cancel"},
		card(),
	} {
		_, callback := verifyForm(t, srv, p.press(late...))
		require.Equal(t, plural.OrderStatusAuthorized, callback.Status)
	}
	require.NoError(t, srv.Capture(p.id, "capture-1", inr(100)))
	require.Contains(t, p.open().text(), "The shop has taken a part of ₹1,499.50")
	_, err := srv.Refund(p.id, "refund-1", inr(100))
	require.NoError(t, err)
	require.Contains(t, p.open().text(), "The shop has given money back")
}

// TestCheckoutDecidesOnceAtATime posts decisions from several tabs at the same
// moment.
func TestCheckoutDecidesOnceAtATime(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{CallbackURL: shop, PreAuth: true})
	p.press(card()...)
	var tabs sync.WaitGroup
	for i := range 12 {
		tabs.Go(func() {
			form := []url.Values{
				values("action", "approve", "otp", "123456"), values("action", "decline", "final", "yes"),
				values("action", "cancel"),
			}[i%3]
			resp, err := srv.Client().PostForm(p.link, form)
			if err == nil {
				err = resp.Body.Close()
			}
			assert.NoError(t, err)
		})
	}
	tabs.Wait()
	order, _ := srv.Order(p.id)
	require.Len(t, order.Payments, 1)
	require.Contains(t, []string{"AUTHORIZED", "FAILED", "CANCELLED"}, order.Status)
	events := srv.Deliveries()
	require.LessOrEqual(t, len(events), 2, "a final failure sends two events, and any other decision sends one")
}

func TestCheckoutUnknownToken(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{})
	base, _, _ := strings.Cut(p.link, "?")
	for _, link := range []string{base, base + "?token=", base + "?token=V3_nope", base + "?tok%en", srv.URL +
		"/web/auth/landing/?token=x"} {
		for _, method := range []string{"GET", "POST"} {
			page := p.send(method, link, values("action", "cancel"))
			require.Equal(t, http.StatusNotFound, page.status)
			require.Contains(t, page.text(), "This payment link is not known")
		}
	}
}

func TestCheckoutOfSeamlessOrder(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	order := a.do(
		"POST",
		"/api/pay/v1/orders",
		`{"merchant_order_reference":"s-1","order_amount":{"value":500,"currency":"INR"},`+
			`"callback_url":"https://shop.example.com/"}`,
	).
		data(t)
	p := &payer{t, srv, order["order_id"].(string), order["challenge_url"].(string)}
	p.press(card()...)
	_, callback := verifyForm(t, srv, p.press("action", "approve", "otp", "123456"))
	require.Equal(t, plural.OrderStatusProcessed, callback.Status)
}

func TestCheckoutInProgress(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	p := newPayer(t, srv, pluraltest.OrderSpec{PreAuth: true, CallbackURL: shop})
	_, err := srv.Pay(p.id, pluraltest.Approve)
	require.NoError(t, err)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.PendingResult.AfterReads(5))
	newAPI(t, srv).capture(p.id, `{"merchant_capture_reference":"c-1"}`)
	require.Contains(t, p.open().text(), "Payment in progress")
	require.Equal(t, "PENDING", p.status(), "the page does not count as a read through the API")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
