package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// linkView is a payment link, with the messages to its customer.
type linkView struct {
	pluraltest.Link

	Sum      string
	Due      string
	Open     bool // the customer can still pay through the link
	Messages []pluraltest.Notification
	Document string // the JSON that a GET of the link returns
}

// latestLinks returns the newest payment links. The newest link comes first.
func (d *dashboard) latestLinks() (list []linkView) {
	all := d.srv.Links()
	slices.Reverse(all)
	for _, l := range all[:min(len(all), maxOrders)] {
		shown := linkView{
			Link: l, Sum: sum(l.Amount), Messages: d.srv.Notifications(l.ID),
			Document: indentBody(d.srv.LinkDocument(l.ID)),
		}
		if l.Due != l.Amount && l.Due.Value > 0 {
			shown.Due = sum(l.Due)
		}
		switch l.Status {
		case pluraltest.StatusExpired, pluraltest.StatusCancelled, pluraltest.StatusProcessed:
		default:
			shown.Open = true
		}
		list = append(list, shown)
	}
	return list
}

func (d *dashboard) createLink(r *http.Request) error {
	form := r.PostForm
	amount, err := plural.ParseAmount(form.Get("amount"), plural.CurrencyINR)
	if err != nil {
		return err
	}
	callback := form.Get("callback_url")
	if callback != "" && !isWebURL(callback) {
		return errors.New("the callback URL is not an http or https URL")
	}
	customer := map[string]string{}
	for _, name := range []string{"first_name", "email_id", "mobile_number"} {
		if value := strings.TrimSpace(form.Get(name)); value != "" {
			customer[name] = value
		}
	}
	encoded, err := json.Marshal(customer)
	if err != nil {
		return err
	}
	reference := form.Get("reference")
	if reference == "" {
		reference = newReference("link")
	}
	spec := pluraltest.LinkSpec{
		Reference:   reference,
		Amount:      pluraltest.Amount{Value: amount.Value, Currency: string(amount.Currency)},
		Customer:    encoded,
		Description: form.Get("description"),
		PreAuth:     form.Get("pre_auth") != "",
		CallbackURL: callback,
	}
	if text := strings.TrimSpace(form.Get("minutes")); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 1 {
			return errors.New("the time until the link expires is a number of minutes, at least 1")
		}
		spec.ExpireBy = d.srv.Now().Add(time.Duration(minutes) * time.Minute)
	}
	_, err = d.srv.AddLink(spec)
	return err
}

func (d *dashboard) cancelLink(r *http.Request) error { return d.srv.CancelLink(r.PathValue("id")) }

func (d *dashboard) notifyLink(r *http.Request) error { return d.srv.NotifyLink(r.PathValue("id")) }
