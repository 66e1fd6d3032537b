package pluraltest

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed checkout
var checkoutFiles embed.FS

var (
	checkoutTemplates = parseCheckout("pay", "bank", "result", "return", "message")
	checkoutStyle     = template.CSS(checkoutFile("checkout.css")) //nolint:gosec // this package's own style sheet
)

func checkoutFile(name string) string {
	text, err := checkoutFiles.ReadFile("checkout/" + name)
	if err != nil {
		panic("pluraltest: " + err.Error())
	}
	return string(text)
}

func parseCheckout(names ...string) map[string]*template.Template {
	pages := map[string]*template.Template{}
	for _, name := range names {
		pages[name] = template.Must(template.ParseFS(checkoutFiles, "checkout/layout.html", "checkout/"+name+".html"))
	}
	return pages
}

// checkoutPage is what the templates show.
type checkoutPage struct {
	Name  string // name of the template: "pay", "bank", "result", "return", "message"
	Token string
	Title string
	Nonce string
	Style template.CSS
	Text  string // the text of a message page

	Order   *checkoutOrder // nil on a message page
	Methods []checkoutMethod
	Form    *payForm
	Bank    *checkoutBank
	Reasons []bankReason
	Failure *errorDetail // why the last try failed
	Return  checkoutReturn
	Test    checkoutTestData
}

// checkoutOrder is the order as the payer sees it.
type checkoutOrder struct {
	ID        string
	Reference string
	Merchant  string
	Customer  string
	Notes     string
	Amount    string
	Status    string
	PreAuth   bool
	Retries   int
}

// checkoutBank is the bank's page about the payment under way.
type checkoutBank struct {
	Method string // the name of the method
	Detail string // "card ending in 1112"
	OTP    bool
}

// checkoutReturn is the form that takes the payer back to the shop.
type checkoutReturn struct {
	URL      string // "" if the order has no callback URL
	Host     string
	Insecure bool // the browser will warn, because this page uses HTTPS and the shop's page does not
	Fields   []checkoutField
}

type checkoutField struct{ Name, Value string }

type checkoutTestData struct{ Number, CVV, Expiry, VPA, OTP string }

// Heading returns the title. If a form was refused, the heading begins with
// "Error: ".
func (p *checkoutPage) Heading() string {
	if p.Form != nil {
		return "Error: " + p.Title
	}
	return p.Title
}

// Expiry returns the expiry date to fill in.
func (p *checkoutPage) Expiry() string {
	if p.Form != nil && p.Form.Expiry != "" {
		return p.Form.Expiry
	}
	return p.Test.Expiry
}

// Self returns the page's own address, for the page's forms. If a form had no
// address, the browser would post the form to the address in its address bar.
// That address may end with the fragment of a skip link. The next page would
// keep the fragment, and the browser would not focus the first field of the
// next page.
func (p *checkoutPage) Self() string { return "?token=" + url.QueryEscape(p.Token) }

// ReturnLink returns the link to the page that takes the payer back to the
// shop.
func (p *checkoutPage) ReturnLink() string { return p.Self() + "&return=1" }

func messagePage(title, text string) *checkoutPage {
	return &checkoutPage{Name: "message", Title: title, Text: text}
}

// checkoutPage returns the page for a checkout token. The page shows the
// present state of the order that has the token. If no order has the token,
// checkoutPage returns nil.
func (s *Server) checkoutPage(token string, form *payForm) *checkoutPage {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	o := s.byPage[token]
	if o == nil {
		return nil
	}
	if ended := endedLinkPage(o.link); ended != nil && o.paidAmount() == 0 && o.heldAt.IsZero() {
		return ended
	}
	page := &checkoutPage{
		Token: o.token,
		Order: &checkoutOrder{
			ID: o.id, Reference: o.reference, Merchant: s.MerchantID, Customer: customerName(o.purchaseDetails),
			Notes: o.notes, Amount: formatMoney(o.amount), Status: o.status, PreAuth: o.preAuth, Retries: o.retries,
		},
		Failure: o.lastError,
		Form:    form,
		Reasons: bankReasons(),
		Test:    checkoutTestData{"4012 0010 3714 1112", testCardCVV, testCardExpiry, testVPA, testOTP},
	}
	if o.status != StatusCreated && (o.status != StatusPending || o.pending != nil) {
		page.Return = s.checkoutReturn(o)
	}
	switch {
	case !o.isPayable():
		page.Name, page.Title = "result", resultTitle(o)
	case o.status == StatusPending:
		page.Name, page.Title = "bank", "Confirm your payment"
		page.Bank = bankOf(o.currentPayment())
	default:
		page.Name, page.Title = "pay", "Pay "+page.Order.Amount
		page.Methods = methodsOf(o, form)
	}
	return page
}

func methodsOf(o *order, form *payForm) []checkoutMethod {
	offered := o.offeredMethods()
	methods := slices.DeleteFunc(
		checkoutMethods(),
		func(m checkoutMethod) bool { return !slices.Contains(offered, m.Code) },
	)
	chosen := 0
	for i, method := range methods {
		if form != nil && form.Method == method.Code {
			chosen = i
		}
	}
	if len(methods) > 0 {
		methods[chosen].Checked = true
	}
	return methods
}

func bankOf(p *payment) *checkoutBank {
	bank := &checkoutBank{Method: p.method, OTP: usesOTP(p.method)}
	for _, method := range checkoutMethods() {
		if method.Code == p.method {
			bank.Method = method.Name
		}
	}
	switch {
	case usesCard(p.method):
		bank.Detail = "ending in " + p.last4
	case p.method == "UPI":
		bank.Detail = testVPA
	}
	return bank
}

func resultTitle(o *order) string {
	switch o.status {
	case StatusAuthorized:
		return "Payment authorised"
	case StatusProcessed, StatusPartiallyCaptured:
		return "Payment received"
	case StatusCancelled:
		return "Payment cancelled"
	case StatusFailed:
		return "Payment failed"
	case StatusPartiallyRefunded, StatusFullyRefunded:
		return "Payment refunded"
	default:
		return "Payment in progress"
	}
}

func (s *Server) checkoutReturn(o *order) checkoutReturn {
	back := s.returnOf(o)
	target, err := url.Parse(back.URL)
	if err != nil || !isWebURL(back.URL) {
		return checkoutReturn{}
	}
	shown := checkoutReturn{
		URL: back.URL, Host: target.Host,
		Insecure: s.cfg.tls && target.Scheme == "http" && !isLocal(back.URL),
	}
	for name, values := range back.Form {
		for _, value := range values {
			shown.Fields = append(shown.Fields, checkoutField{name, value})
		}
	}
	slices.SortFunc(shown.Fields, func(a, b checkoutField) int { return strings.Compare(a.Name, b.Name) })
	return shown
}

func customerName(purchaseDetails json.RawMessage) string {
	var details struct {
		Customer struct {
			First string `json:"first_name"`
			Last  string `json:"last_name"`
		} `json:"customer"`
	}
	if len(purchaseDetails) > 0 {
		_ = json.Unmarshal(purchaseDetails, &details) // if the details have another form, the page shows no name
	}
	return strings.TrimSpace(details.Customer.First + " " + details.Customer.Last)
}

// renderCheckout writes a page. The headers of the answer tell the browser
// three things:
//   - The browser must not store the page.
//   - The browser must not show the page inside a page of another site.
//   - The browser must not load other files for the page.
func renderCheckout(w http.ResponseWriter, status int, page *checkoutPage) {
	page.Nonce, page.Style = rand.Text(), checkoutStyle
	var body bytes.Buffer
	if err := checkoutTemplates[page.Name].ExecuteTemplate(&body, "layout", page); err != nil {
		http.Error(w, "pluraltest: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", page.policy())
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "strict-origin") // the shop sees the emulator's origin, but never the token
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// policy returns the page's content security policy. Only the page that returns
// to the shop has a script. That page may post to the shop and follow redirects
// from there.
func (p *checkoutPage) policy() string {
	forms, scripts := "'self'", "'none'"
	if p.Name == "return" {
		forms, scripts = "http: https:", "'nonce-"+p.Nonce+"'"
	}
	return strings.Join([]string{
		"default-src 'none'", "style-src 'nonce-" + p.Nonce + "'", "script-src " + scripts, "img-src data:",
		"form-action " + forms, "base-uri 'none'", "frame-ancestors 'none'",
	}, "; ")
}
