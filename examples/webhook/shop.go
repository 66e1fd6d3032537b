package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/plural-go/plural"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// The shop sells one thing, and trusts only the gateway's books.
type shop struct {
	client   *plural.Client
	verifier *plural.Verifier
	log      *slog.Logger
	self     string

	mu     sync.Mutex
	orders map[string]*shopOrder // by order id
}

// shopOrder is the shop's own record of an order at Plural.
type shopOrder struct {
	id    string
	want  plural.Expected // what was ordered
	state string          // heading of the order's page
	body  string

	isOver bool               // the order is paid, or has ended unpaid, so the shop need not read it again
	asked  time.Time          // the time of the last read of the books after the payer's browser came back
	saying plural.OrderStatus // the status that the payer's browser brought before that read
}

// newHandler makes the handler of all requests. The handler refuses forms that
// other sites post, with two exceptions: the payer's return and the webhooks
// come from outside, and the shop verifies their signatures.
func (s *shop) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("POST /buy", s.buy)
	mux.HandleFunc("GET /orders/{id}", s.showOrder)
	mux.HandleFunc("POST /plural/return", s.comeBack)
	mux.Handle("POST /plural/webhook", plural.NewWebhookHandler(s.verifier, s.event, plural.WithHandlerLogger(s.log)))
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern("POST /plural/return")
	protection.AddInsecureBypassPattern("POST /plural/webhook")
	return withHeaders(protection.Handler(mux))
}

// withHeaders sets headers that forbid browsers to run scripts, to show the
// shop in a frame, and to load styles from outside the page. The shop needs
// none of these.
func withHeaders(next http.Handler) http.Handler {
	_, style, _ := strings.Cut(pageText, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	digest := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "same-origin") // no-referrer would make browsers send Origin: null with forms
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (s *shop) index(w http.ResponseWriter, _ *http.Request) {
	s.write(
		w,
		http.StatusOK,
		view{Title: "Shop", Body: "A lamp, made to order. We take the money when it ships.", Price: price.Display()},
	)
}

var price = plural.INR(149950)

// buy creates an order and sends the payer to the checkout.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	req := &plural.CreateOrderRequest{
		MerchantOrderReference: "order-" + uuid.NewString(),
		OrderAmount:            price,
		PreAuth:                true,
		AllowedPaymentMethods:  []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:            s.self + "/plural/return",
	}
	created, err := s.client.Orders.Create(r.Context(), req)
	if err != nil {
		s.log.Error("create order", "error", err)
		s.write(
			w, http.StatusBadGateway, view{Title: "Not now", Body: "The payment service is not available. Try again later."},
		)
		return
	}
	s.mu.Lock()
	s.orders[created.OrderID] = &shopOrder{
		id:    created.OrderID,
		want:  plural.Expected{MerchantOrderReference: req.MerchantOrderReference, OrderAmount: req.OrderAmount},
		state: "Waiting for your payment",
		body:  "If you have paid, this page will say so in a moment. If not, go back to the payment page.",
	}
	s.mu.Unlock()
	http.Redirect(w, r, created.RedirectURL, http.StatusSeeOther)
}

// comeBack handles the request with which the payer's browser comes back from
// the checkout. It verifies the signature, and then compares Plural's books
// with the shop's order. It answers with 303, so the browser asks the shop for
// the next page with a GET. The browser sends the shop's cookies with that GET,
// and can reload the page.
func (s *shop) comeBack(w http.ResponseWriter, r *http.Request) {
	callback, err := s.verifier.VerifyCallbackRequest(r)
	if err != nil {
		s.log.Warn("callback refused", "error", err)
		s.write(w, http.StatusBadRequest, view{Title: "Nothing here", Body: "This page is for returns from the checkout."})
		return
	}
	known, ok := s.find(callback.OrderID)
	if !ok {
		s.write(w, http.StatusNotFound, view{Title: "Nothing here", Body: "We do not know this order."})
		return
	}
	if s.isNews(known.id, callback.Status) {
		// The shop checks the payment even if the browser closes the connection.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 20*time.Second)
		defer cancel()
		paid, err := s.client.Orders.Confirm(ctx, callback, known.want)
		if err != nil {
			s.log.Warn("not confirmed", "error", err)
		} else {
			s.log.Info("paid", "order", paid)
		}
		s.storeText(known.id, err)
	}
	http.Redirect(w, r, "/orders/"+known.id, http.StatusSeeOther)
}

// quietTime is how long the shop ignores a status that comes again. The time
// begins when the shop reads the books because of this status. A payer's
// browser may come back with the same status again and again.
const quietTime = 10 * time.Second

// isNews reports whether the shop has to read Plural's books because a payer's
// browser came back from Plural's page with this status. Anybody who has such a
// signed request can send the request again at any time. So isNews returns
// false in two cases:
//   - The order is paid, or has ended unpaid.
//   - The shop read the books because of the same status less than quietTime
//     ago, and has not read the books because of another status since then.
//
// If isNews returns true, it also stores the time and the status.
func (s *shop) isNews(id string, status plural.OrderStatus) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, now := s.orders[id], time.Now()
	if o.isOver || o.saying == status && now.Sub(o.asked) < quietTime {
		return false
	}
	o.asked, o.saying = now, status
	return true
}

// The method event handles a webhook. A webhook only shows that something may
// have happened. The shop then reads the order from Plural, and trusts only
// what it has read.
func (s *shop) event(ctx context.Context, e *plural.Event) error {
	id, err := e.OrderID()
	if errors.Is(err, plural.ErrNoOrder) {
		s.log.Info("event", "event", e)
		return nil
	}
	if err != nil {
		return err
	}
	known, ok := s.find(id)
	if !ok {
		s.log.Info("an event about an order that is not the shop's", "event", e)
		return nil
	}
	read, err := s.client.Orders.ConfirmEvent(ctx, e, known.want)
	if err != nil && !errors.Is(err, plural.ErrNotPaid) {
		return err // so Plural delivers the webhook again
	}
	s.log.Info("event", "event", e, "order", read, "error", err)
	s.storeText(id, err)
	return nil
}

// storeText stores the text for the order's page. The parameter err is the
// error of the last Confirm or ConfirmEvent.
func (s *shop) storeText(id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	notPaid, isUnpaid := errors.AsType[*plural.NotPaidError](err)
	switch {
	case err == nil:
		o.state, o.body, o.isOver = "Thank you", "Your payment is on hold. We take it when your lamp ships.", true
	case isUnpaid && notPaid.MayStillBePaid():
		// The page stays as it is, because the payer can still pay this order.
	case isUnpaid && notPaid.WasPaid():
		o.state, o.body, o.isOver = "Paid", "This order is paid.", true
	case isUnpaid:
		o.state, o.body, o.isOver = "Not paid", "Nothing was taken. You can order again.", true
	case !o.isOver:
		o.state, o.body = "One moment", "We could not check your payment yet. Load this page again in a minute."
	}
}

func (s *shop) find(id string) (shopOrder, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	if o == nil {
		return shopOrder{}, false
	}
	return *o, true
}

// showOrder writes an order's page. A real shop would check here who asks for
// the page.
func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	o, ok := s.find(r.PathValue("id"))
	if !ok {
		s.write(w, http.StatusNotFound, view{Title: "Nothing here", Body: "We do not know this order."})
		return
	}
	s.write(w, http.StatusOK, view{Title: o.state, Body: o.body, Order: o.id, Amount: o.want.OrderAmount.Display()})
}

type view struct {
	Title, Body, Order, Amount string
	Price                      string
}

func (s *shop) write(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := page.Execute(w, v); err != nil {
		s.log.Warn("write page", "error", err)
	}
}
