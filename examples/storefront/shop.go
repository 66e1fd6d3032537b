package main

import (
	"bytes"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"text/template"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/sqlstore"
)

//go:embed page static
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"status": statusText,
	"time":   func(t time.Time) string { return t.In(india).Format("2 Jan 2006, 15:04:05") },
	"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}).ParseFS(files, "page/*.html"))

var india = time.FixedZone("IST", 5*3600+1800)

// The type shop serves the shop's pages. It trusts only its own database and
// Plural's books. It reads and changes Plural's books with the types shopTill
// and staffDesk.
type shop struct {
	till     *shopTill
	desk     *staffDesk
	db       *store
	verifier *plural.Verifier
	inbox    *sqlstore.Inbox
	log      *slog.Logger
	url      string
	password string // the operator's password
	metrics  http.Handler
	gate     gate // protects the staff's pages
}

// newHandler makes the shop's HTTP handler. The handler refuses forms that
// other sites post, with two exceptions: the payer's return and the webhooks.
// These two come from outside, and the shop verifies their signatures.
func (s *shop) newHandler() http.Handler {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // impossible, because the folder is embedded
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.catalogue)
	mux.HandleFunc("GET /cart", s.showCart)
	mux.HandleFunc("POST /cart", s.changeCart)
	mux.HandleFunc("POST /checkout", s.checkout)
	mux.HandleFunc("GET /orders/{number}", s.showOrder)
	mux.HandleFunc("POST /orders/{number}/pay", s.payOrder)
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	mux.HandleFunc("GET /healthz", s.checkHealth)

	mux.HandleFunc("POST /plural/return", s.comeBack)
	mux.Handle("POST /plural/webhook", s.inbox.Handler(s.verifier, s.till.handleEvent, plural.WithHandlerLogger(s.log)))

	staff := &staffPages{s}
	mux.Handle("GET /operator", staff.withPassword(staff.showOrders))
	mux.Handle("GET /operator/orders/{number}", staff.withPassword(staff.showOrder))
	mux.Handle("GET /operator/orders/{number}/sure", staff.withPassword(staff.askAgain))
	mux.Handle("POST /operator/orders/{number}/{kind}", staff.withPassword(staff.decide))
	mux.Handle("POST /operator/orders/{number}/writeoff", staff.withPassword(staff.writeOff))
	mux.Handle("POST /operator/orders/{number}/jobs/{id}", staff.withPassword(staff.retryJob))
	mux.Handle("GET /metrics", staff.withPassword(s.metrics.ServeHTTP))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { s.notFound(w) })

	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin(s.url); err != nil { // needed if a proxy changes the Host
		s.log.Warn("the shop's own address is not an origin", "url", s.url, "error", err)
	}
	protection.AddInsecureBypassPattern("POST /plural/return")
	protection.AddInsecureBypassPattern("POST /plural/webhook")
	return withHeaders(http.MaxBytesHandler(protection.Handler(mux), maxRequest))
}

// withHeaders sets headers that forbid browsers to run scripts, to show the
// shop in a frame, and to guess the type of a file. The shop needs none of
// these.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin") // no-referrer would make browsers send Origin: null with forms
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// maxRequest limits the size of a request, webhooks included. Forms are far
// smaller.
const maxRequest = 1 << 20

// checkHealth answers a load balancer. The answer has the status 503 if the
// database does not answer.
func (s *shop) checkHealth(w http.ResponseWriter, r *http.Request) {
	if err := s.db.PingContext(r.Context()); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
	}
}

// A view has the values that every page shows.
type view struct {
	Title   string
	Problem string // why the request of the customer or operator failed
	Reload  int    // seconds until the page loads itself again; 0: never
	Still   bool   // somebody has stopped the reloads
	InCart  int64
	Data    any
}

// reloadAfter makes the page load itself again after some seconds, unless
// somebody has stopped that.
func (v *view) reloadAfter(r *http.Request, seconds int) {
	v.Still = r.URL.Query().Has("still")
	if !v.Still {
		v.Reload = seconds
	}
}

func (s *shop) show(w http.ResponseWriter, status int, name string, v view) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, v); err != nil {
		s.log.Error("write page", "page", name, "error", err)
		http.Error(w, "Something is wrong with this page.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// showMessage shows a page that has a title and one text.
func (s *shop) showMessage(w http.ResponseWriter, status int, title, text string) {
	s.show(w, status, "message.html", view{Title: title, Data: text})
}

func (s *shop) notFound(w http.ResponseWriter) {
	s.showMessage(w, http.StatusNotFound, "Nothing here", "This page does not exist, or no longer exists.")
}

// showError answers a request after an error. If the shop has no such order,
// the answer is the page "Nothing here". For any other error, showError logs
// the error and does not show its text.
func (s *shop) showError(w http.ResponseWriter, r *http.Request, what string, err error) {
	if errors.Is(err, errUnknownOrder) {
		s.notFound(w)
		return
	}
	s.log.ErrorContext(r.Context(), what, "error", err)
	s.showMessage(
		w, http.StatusInternalServerError, "Not now", "Something went wrong on our side. Load the page again in a minute.",
	)
}
