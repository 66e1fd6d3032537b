package main

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/plural-go/plural/pluraltest"
)

//go:embed page
var files embed.FS

var pages = template.Must(template.ParseFS(files, "page/*.html"))

// dashboard is the page that lists the orders. On the page, people act as the
// payer and as the merchant.
type dashboard struct {
	srv    *pluraltest.Server
	style  template.CSS
	script template.JS
	seed   uint64 // seed of the random faults

	mu         sync.Mutex
	webhookURL string
	faultRate  float64           // share of the requests that meet a random fault, 0 to 1
	callbacks  map[string]string // the shop's answers to callbacks, by order id
}

func newDashboard(srv *pluraltest.Server, s *settings) *dashboard {
	d := &dashboard{
		srv:        srv,
		style:      template.CSS(read("page/style.css")), //nolint:gosec // this program's own
		script:     template.JS(read("page/live.js")),    //nolint:gosec // this program's own
		seed:       s.Seed,
		webhookURL: s.WebhookURL,
		callbacks:  map[string]string{},
	}
	d.setFaultRate(s.FaultRate)
	return d
}

func read(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // impossible, because the file is embedded
	}
	return string(text)
}

// mount adds the page to the server of the emulated API.
func (d *dashboard) mount() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.index)
	mux.HandleFunc("GET /sandbox/live", d.streamChanges)
	mux.HandleFunc("POST /sandbox/orders", d.formHandler(d.createOrder))
	mux.HandleFunc("POST /sandbox/orders/{id}/pay", d.formHandler(d.payOrder))
	mux.HandleFunc("POST /sandbox/orders/{id}/capture", d.formHandler(d.captureOrder))
	mux.HandleFunc("POST /sandbox/orders/{id}/cancel", d.formHandler(d.cancelOrder))
	mux.HandleFunc("POST /sandbox/orders/{id}/lapse", d.formHandler(d.lapseHold))
	mux.HandleFunc("POST /sandbox/orders/{id}/refund", d.formHandler(d.refundOrder))
	mux.HandleFunc("POST /sandbox/orders/{id}/callback", d.formHandler(d.postCallback))
	mux.HandleFunc("POST /sandbox/links", d.formHandler(d.createLink))
	mux.HandleFunc("POST /sandbox/links/{id}/cancel", d.formHandler(d.cancelLink))
	mux.HandleFunc("POST /sandbox/links/{id}/notify", d.formHandler(d.notifyLink))
	mux.HandleFunc("POST /sandbox/settle", d.formHandler(d.settleAll))
	mux.HandleFunc("POST /sandbox/faults", d.formHandler(d.queueFault))
	mux.HandleFunc("POST /sandbox/faults/rate", d.formHandler(d.changeFaultRate))
	mux.HandleFunc("POST /sandbox/faults/clear", d.formHandler(d.clearFaults))
	mux.HandleFunc("POST /sandbox/webhooks", d.formHandler(d.changeWebhookURL))
	mux.HandleFunc("POST /sandbox/webhooks/{id}/redeliver", d.formHandler(d.redeliver))

	guarded := withHeaders(loopbackOnly(http.NewCrossOriginProtection().Handler(mux)))
	d.srv.Handle("/{$}", guarded)
	d.srv.Handle("/sandbox/", guarded)
}

// loopbackOnly refuses a request if its Host is not a loopback name or address.
// Otherwise a web site could make its own name point to 127.0.0.1, and its
// scripts could read the page.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !isLoopback(strings.Trim(host, "[]")) {
			http.Error(w, "This page is for this machine only.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withHeaders sets strict security headers. For the page, showPage replaces the
// strict policy with a policy that allows what the page needs.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers post forms with a null origin
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (d *dashboard) index(w http.ResponseWriter, _ *http.Request) { d.showPage(w, http.StatusOK, "") }

// showPage writes the whole page. If a posted form was refused, errorText is
// the text of the error. Otherwise errorText is "".
func (d *dashboard) showPage(w http.ResponseWriter, status int, errorText string) {
	view := d.view()
	view.Problem, view.Nonce = errorText, rand.Text()
	view.Style, view.Script = d.style, d.script
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, "index.html", view); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+view.Nonce+"'; script-src 'nonce-"+view.Nonce+
		"'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
