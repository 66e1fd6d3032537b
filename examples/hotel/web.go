package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

//go:embed page.html
var pageText string

var pages = template.Must(template.New("").Funcs(template.FuncMap{"rupees": rupees}).Parse(pageText))

func rupees(paise int64) string { return fmt.Sprintf("₹%d.%02d", paise/100, paise%100) }

// newHandler makes the handler of all requests. The handler refuses forms that
// other sites post, with two exceptions: the payer's return and the webhooks
// come from outside, and the hotel verifies their signatures.
func (h *hotel) newHandler(s settings) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { h.show(w, http.StatusOK, "home", nil) })
	mux.HandleFunc("POST /bookings", h.postBooking)
	mux.HandleFunc("GET /bookings/{number}", h.showBooking)
	mux.HandleFunc("POST /bookings/{number}/pay", h.pay)
	mux.HandleFunc("POST /plural/return", h.comeBack)
	mux.Handle("POST /plural/webhook", h.money.webhook)

	desk := http.NewServeMux()
	desk.HandleFunc("GET /desk", h.showDesk)
	desk.HandleFunc("POST /desk", h.postPhoneBooking)
	desk.HandleFunc("GET /desk/{number}", h.showDeskBooking)
	desk.HandleFunc("POST /desk/{number}/give-up", h.postGiveUp)
	desk.HandleFunc("POST /desk/{number}/{kind}", h.postDecision)
	mux.Handle("/desk", staffOnly(s.Password, desk))
	mux.Handle("/desk/", staffOnly(s.Password, desk))

	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin(s.URL); err != nil { // needed if a proxy changes the Host
		h.log.Warn("the hotel's own address is not an origin", "url", s.URL, "error", err)
	}
	protection.AddInsecureBypassPattern("POST /plural/return")
	protection.AddInsecureBypassPattern("POST /plural/webhook")
	return http.MaxBytesHandler(protection.Handler(mux), 1<<20)
}

// staffOnly asks for the password of the user "desk". It does not limit the
// number of tries: do that at a proxy.
func staffOnly(password string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, given, _ := r.BasicAuth()
		got := sha256.Sum256([]byte(given))
		if user != "desk" || subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
			w.Header().Set("WWW-Authenticate", `Basic realm="desk"`)
			http.Error(w, "The desk's password is needed.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *hotel) postBooking(w http.ResponseWriter, r *http.Request) {
	if number := h.bookFor(w, r, ""); number != "" {
		h.toPayment(w, r, number)
	}
}

var mobileForm = regexp.MustCompile(`^[6-9][0-9]{9}$`)

// postPhoneBooking makes a booking for a guest on the telephone, and sends the
// guest a payment link for the deposit.
func (h *hotel) postPhoneBooking(w http.ResponseWriter, r *http.Request) {
	mobile := r.PostFormValue("mobile")
	if !mobileForm.MatchString(mobile) {
		h.show(w, http.StatusUnprocessableEntity, "message", "A mobile number has ten digits.")
		return
	}
	number := h.bookFor(w, r, mobile)
	if number == "" {
		return
	}
	if err := h.storeDecision(r.Context(), decision{Number: number, Kind: kindLink}, 0); err != nil {
		h.log.ErrorContext(r.Context(), "no link", "booking", number, "error", err) // the desk can ask again
	}
	http.Redirect(w, r, "/desk/"+number, http.StatusSeeOther) //nolint:gosec // the hotel made the number itself
}

// bookFor books the room that a form asks for. If that is not possible, it
// answers the request itself and returns "".
func (h *hotel) bookFor(w http.ResponseWriter, r *http.Request, mobile string) (number string) {
	nights, err := strconv.Atoi(r.PostFormValue("nights"))
	if err != nil || nights < 1 || nights > 30 {
		h.show(w, http.StatusUnprocessableEntity, "message", "You can book a room for 1 to 30 nights.")
		return ""
	}
	if number, err = h.storeBooking(r.Context(), r.PostFormValue("room"), nights, mobile); err != nil {
		h.failed(w, r, err)
		return ""
	}
	return number
}

func (h *hotel) pay(w http.ResponseWriter, r *http.Request) { h.toPayment(w, r, r.PathValue("number")) }

// payTimeout is how long the hotel tries to get a link to the payment page.
// When a process stops, it gives its running requests more time than that.
const payTimeout = 30 * time.Second

// toPayment redirects the guest to the payment page. If there is nothing to
// pay, it redirects the guest to the booking's page. If the browser leaves in
// the meantime, the hotel still stores the link.
func (h *hotel) toPayment(w http.ResponseWriter, r *http.Request, number string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), payTimeout)
	defer cancel()
	link, err := h.wayToPay(ctx, number)
	if errors.Is(err, errUnknown) {
		h.failed(w, r, err)
		return
	}
	if err != nil {
		h.log.WarnContext(r.Context(), "no way to pay", "booking", number, "error", err)
	}
	if link == "" {
		link = "/bookings/" + number
	}
	http.Redirect(w, r, link, http.StatusSeeOther) //nolint:gosec // Plural's link, or the number of a known booking
}

func (h *hotel) comeBack(w http.ResponseWriter, r *http.Request) {
	b, err := h.money.handleReturn(r)
	if b == nil {
		h.failed(w, r, err)
		return
	}
	if err != nil { // a later read of the order finds the payment
		h.log.WarnContext(r.Context(), "return not confirmed", "booking", b.Number, "error", err)
	}
	http.Redirect(w, r, "/bookings/"+b.Number, http.StatusSeeOther)
}

func (h *hotel) showBooking(w http.ResponseWriter, r *http.Request) {
	b, err := h.booking(r.Context(), r.PathValue("number"))
	if err != nil {
		h.failed(w, r, err)
		return
	}
	v := struct {
		*booking

		Say    string
		CanPay bool
	}{b, "We are checking your payment. Load this page again in a minute.", false}
	switch {
	case b.Taken > 0:
		v.Say = "We have taken " + rupees(b.Taken) + " of your deposit, and given back " + rupees(b.Refunded) + "."
	case b.Held:
		v.Say = "Your room is booked. Your bank holds " + rupees(b.Deposit) + " for us."
	case b.Status == "CANCELLED" || b.Status == "FAILED":
		v.Say = "This booking is over, and we have taken nothing."
	case b.Status == "" || b.Status == "CREATED" || b.Status == "ATTEMPTED":
		v.Say, v.CanPay = "Your room is yours once you have left a deposit.", b.Mobile == "" || b.Link != ""
	}
	h.show(w, http.StatusOK, "booking", v)
}

func (h *hotel) showDesk(w http.ResponseWriter, r *http.Request) {
	list, err := h.bookings(r.Context())
	if err != nil {
		h.failed(w, r, err)
		return
	}
	h.show(w, http.StatusOK, "desk", list)
}

func (h *hotel) showDeskBooking(w http.ResponseWriter, r *http.Request) {
	b, err := h.booking(r.Context(), r.PathValue("number"))
	if err != nil {
		h.failed(w, r, err)
		return
	}
	decisions, err := h.decisions(r.Context(), b.Number)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	h.show(w, http.StatusOK, "desk-booking", struct {
		*booking

		Decisions []*decision
	}{b, decisions})
}

var amountForm = regexp.MustCompile(`^([0-9]{1,7})(?:\.([0-9]{2}))?$`)

func (h *hotel) postDecision(w http.ResponseWriter, r *http.Request) {
	d := decision{Number: r.PathValue("number"), Kind: r.PathValue("kind")}
	before, err := strconv.Atoi(r.PostFormValue("before"))
	switch d.Kind {
	case kindCheckOut, kindRefund:
		parts := amountForm.FindStringSubmatch(r.PostFormValue("amount"))
		if parts == nil {
			h.failed(w, r, errAmount)
			return
		}
		d.Amount, _ = strconv.ParseInt(parts[1]+(parts[2] + "00")[:2], 10, 64) // the text has at most nine digits
	case kindNoShow, kindCancel, kindLink:
	default:
		err = errUnknown
	}
	if err == nil {
		err = h.storeDecision(r.Context(), d, before)
	}
	h.answer(w, r, err)
}

func (h *hotel) postGiveUp(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, h.giveUp(r.Context(), r.PathValue("number"), r.PostFormValue("reference")))
}

func (h *hotel) answer(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		h.failed(w, r, err)
		return
	}
	http.Redirect(w, r, "/desk/"+r.PathValue("number"), http.StatusSeeOther) //nolint:gosec // it stays under /desk/
}

func (h *hotel) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errUnknown):
		h.show(w, http.StatusNotFound, "message", "There is nothing here.")
	case errors.Is(err, errChanged), errors.Is(err, errAmount), errors.Is(err, errNoHold):
		h.show(w, http.StatusConflict, "message", err.Error())
	default:
		h.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
		h.show(w, http.StatusInternalServerError, "message", "Something went wrong here. Try again in a minute.")
	}
}

func (h *hotel) show(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		h.log.Error("write page", "page", name, "error", err)
	}
}
