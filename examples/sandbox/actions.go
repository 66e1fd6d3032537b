package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// maxForm is the size limit of a posted form.
const maxForm = 64 << 10

// formHandler returns a handler for posted forms. The handler parses the form
// and calls the given function. If the function succeeds, the handler redirects
// the browser to the page. Otherwise the handler shows the page with the error.
func (d *dashboard) formHandler(action func(r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := r.ParseForm()
		if err == nil {
			err = action(r)
		}
		if err != nil {
			d.showPage(w, http.StatusUnprocessableEntity, shortenError(err))
			return
		}
		back := "/"
		if section := r.PostForm.Get("section"); section != "" {
			back += "#" + url.PathEscape(section)
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	}
}

// shortenError shortens an error for the page. The emulator's errors end with
// the API's answer in JSON. From that answer, shortenError keeps only the code
// and the message.
func shortenError(err error) string {
	text := strings.TrimPrefix(err.Error(), "pluraltest: ")
	status, body, found := strings.Cut(text, " {")
	var answer struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if found && json.Unmarshal([]byte("{"+body), &answer) == nil && answer.Code != "" {
		return status + " " + answer.Code + ": " + answer.Message
	}
	return text
}

func (d *dashboard) createOrder(r *http.Request) error {
	amount, err := plural.ParseAmount(r.PostForm.Get("amount"), plural.CurrencyINR)
	if err != nil {
		return err
	}
	callback := r.PostForm.Get("callback_url")
	if callback != "" && !isWebURL(callback) {
		return errors.New("the callback URL is not an http or https URL")
	}
	reference := r.PostForm.Get("reference")
	if reference == "" {
		reference = newReference("order")
	}
	_, err = d.srv.AddOrder(pluraltest.OrderSpec{
		Reference:   reference,
		Amount:      pluraltest.Amount{Value: amount.Value, Currency: string(amount.Currency)},
		PreAuth:     r.PostForm.Get("pre_auth") != "",
		CallbackURL: callback,
	})
	return err
}

// payOrder acts as the payer, who approves, declines or leaves.
func (d *dashboard) payOrder(r *http.Request) error {
	decisions := map[string]pluraltest.Decision{
		"approve": pluraltest.Approve,
		"decline": pluraltest.Decline("Declined on the sandbox's page"),
		"leave":   pluraltest.CancelPayment,
	}
	decision, ok := decisions[r.PostForm.Get("decision")]
	if !ok {
		return errors.New("approve, decline or leave")
	}
	_, err := d.srv.Pay(r.PathValue("id"), decision)
	return err
}

// captureOrder captures the form's amount. If the form has no amount,
// captureOrder captures all that is held.
func (d *dashboard) captureOrder(r *http.Request) error {
	amount, err := d.formAmount(r)
	if err != nil {
		return err
	}
	return d.srv.Capture(r.PathValue("id"), newReference("capture"), amount)
}

func (d *dashboard) cancelOrder(r *http.Request) error { return d.srv.Cancel(r.PathValue("id")) }

// settleAll puts all captured money that is not settled yet into a settlement.
func (d *dashboard) settleAll(*http.Request) error {
	if d.srv.Settle() == "" {
		return errors.New("there is no captured money to settle")
	}
	return nil
}

// lapseHold ends a hold at the bank, in Plural's books, or in both places.
func (d *dashboard) lapseHold(r *http.Request) error {
	where, err := parseLapse(r.PostForm.Get("where"))
	if err != nil {
		return err
	}
	return d.srv.LapseHold(r.PathValue("id"), where)
}

// refundOrder refunds the form's amount. If the form has no amount, refundOrder
// refunds all that is left.
func (d *dashboard) refundOrder(r *http.Request) error {
	amount, err := d.formAmount(r)
	if err != nil {
		return err
	}
	_, err = d.srv.Refund(r.PathValue("id"), newReference("refund"), amount)
	return err
}

// postCallback posts the form with which the payer's browser comes back to the
// shop. The user of the page can post the form of an order any number of times.
func (d *dashboard) postCallback(r *http.Request) error {
	resp, err := d.srv.PostCallback(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	answer := resp.Status
	if to := resp.Header.Get("Location"); to != "" {
		answer += ", to " + to
	}
	d.mu.Lock()
	d.callbacks[r.PathValue("id")] = answer
	d.mu.Unlock()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the shop answered the callback with %s", resp.Status)
	}
	return nil
}

func (d *dashboard) changeWebhookURL(r *http.Request) error {
	link := strings.TrimSpace(r.PostForm.Get("url"))
	if link != "" && !isWebURL(link) {
		return errors.New("the webhook URL is not an http or https URL")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.webhookURL = link
	d.srv.SetWebhookURL(link)
	return nil
}

func (d *dashboard) redeliver(r *http.Request) error {
	_, err := d.srv.Redeliver(r.PathValue("id"))
	return err
}

// formAmount reads the form's amount in the order's currency. If the
// field is empty, formAmount returns zero.
func (d *dashboard) formAmount(r *http.Request) (pluraltest.Amount, error) {
	text := strings.TrimSpace(r.PostForm.Get("amount"))
	order, ok := d.srv.Order(r.PathValue("id"))
	if !ok {
		return pluraltest.Amount{}, errors.New("there is no such order")
	}
	if text == "" {
		return pluraltest.Amount{}, nil
	}
	amount, err := plural.ParseAmount(text, plural.Currency(order.Amount.Currency))
	return pluraltest.Amount{Value: amount.Value, Currency: order.Amount.Currency}, err
}

func newReference(kind string) string { return kind + "-" + strings.ToLower(rand.Text()[:8]) }

func isWebURL(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
