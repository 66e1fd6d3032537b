package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

const (
	maxOrders  = 50
	maxEntries = 60
	maxShown   = 4 << 10 // the size of the part of a body that the page shows
)

// view has the values that the page shows.
type view struct {
	Problem string
	Nonce   string
	Style   template.CSS
	Script  template.JS

	Server     *pluraltest.Server
	WebhookURL string
	Percent    string // share of requests that meet a random fault
	Seed       uint64 // seed of the random faults
	Queued     []pluraltest.QueuedFault
	Operations []string
	Choices    []faultGroup
	Orders     []orderView
	Links      []linkView
	MoreOrders int
	Entries    []entry

	Settlements     []settlementView
	MoreSettlements int

	Refused string // if the shop refuses the webhooks, a sentence about its answers; otherwise ""
}

type orderView struct {
	pluraltest.Order
	Sum      string
	Captured string
	Refunded string
	Refunds  []refundView
	Answer   string // the shop's answer to the last callback that this page posted
	Held     bool   // the order can be captured or cancelled
	Taken    bool   // the order can be refunded
	Document string // the JSON that a GET of the order returns
}

// settlementView is a transfer to the bank, with its UTR.
type settlementView struct {
	UTR   string
	At    time.Time // in India's time zone
	Sum   string    // in rupees
	Lines []settlementLineView
}

type settlementLineView struct {
	Order   string // the order's reference; "" if the line belongs to no order
	Payment string
	Amount  string
	Settled string
}

type refundView struct {
	pluraltest.Refund
	Sum string
}

// entry is one line of the log: a request to the API, or a webhook to the shop.
type entry struct {
	At      time.Time
	Event   bool
	Title   string
	Outcome string
	Class   string // "good" or "bad"; "" for a webhook that was not sent yet
	Fault   string // the fault that the request got
	Detail  string
	Body    string
	ID      string // webhook-id
}

func (d *dashboard) view() view {
	d.mu.Lock()
	v := view{
		Server:     d.srv,
		Seed:       d.seed,
		WebhookURL: d.webhookURL,
		Percent:    strconv.FormatFloat(d.faultRate*100, 'f', -1, 64),
	}
	d.mu.Unlock()
	v.Operations, v.Choices = operations(), faultGroups()
	v.Queued = d.srv.QueuedFaults()
	v.Orders, v.MoreOrders = d.latestOrders()
	v.Settlements, v.MoreSettlements = d.latestSettlements()
	v.Links = d.latestLinks()
	v.Entries, v.Refused = d.latestEntries(), refusedWebhooks(d.srv.Deliveries())
	return v
}

// latestOrders returns the newest orders. The newest order comes first. The
// result more is the number of older orders that are left out.
func (d *dashboard) latestOrders() (list []orderView, more int) {
	all := slices.DeleteFunc(d.srv.Orders(), func(o pluraltest.Order) bool { return o.ParentID != "" })
	slices.Reverse(all)
	if more = len(all) - maxOrders; more > 0 {
		all = all[:maxOrders]
	}
	for _, o := range all {
		shown := orderView{Order: o, Sum: sum(o.Amount), Document: indentBody(d.srv.Document(o.ID))}
		d.mu.Lock()
		shown.Answer = d.callbacks[o.ID]
		d.mu.Unlock()
		switch o.Status {
		case pluraltest.StatusAuthorized:
			shown.Held = true
		case pluraltest.StatusProcessed, pluraltest.StatusPartiallyCaptured, pluraltest.StatusPartiallyRefunded:
			shown.Taken = true
		}
		if o.Captured > 0 {
			shown.Captured = sum(pluraltest.Amount{Value: o.Captured, Currency: o.Amount.Currency})
		}
		if o.Refunded > 0 {
			shown.Refunded = sum(pluraltest.Amount{Value: o.Refunded, Currency: o.Amount.Currency})
		}
		for _, refund := range d.srv.Refunds(o.ID) {
			shown.Refunds = append(shown.Refunds, refundView{refund, sum(refund.Amount)})
		}
		list = append(list, shown)
	}
	return list, max(more, 0)
}

// latestSettlements returns the newest transfers to the bank. The newest
// transfer comes first. The result more is the number of older transfers that
// are left out.
func (d *dashboard) latestSettlements() (list []settlementView, more int) {
	orders := map[string]string{}
	for _, o := range d.srv.Orders() {
		for _, p := range o.Payments {
			orders[p.ID] = o.Reference
		}
	}
	all := d.srv.Settlements()
	slices.Reverse(all)
	if more = len(all) - maxOrders; more > 0 {
		all = all[:maxOrders]
	}
	for _, s := range all {
		shown := settlementView{UTR: s.UTR, At: s.SettledAt.In(plural.India())}
		total := plural.Rupees("0")
		for _, line := range s.Lines { // some lines are refunds
			total, _ = total.Add(plural.Rupees(line.Settled()))
			shown.Lines = append(shown.Lines, settlementLineView{
				orders[line.TransactionID], line.TransactionID,
				inRupees(plural.Rupees(line.Amount)), inRupees(plural.Rupees(line.Settled())),
			})
		}
		shown.Sum = inRupees(total)
		list = append(list, shown)
	}
	return list, max(more, 0)
}

// inRupees formats a figure for people. If the figure is not a whole number of
// paise, inRupees keeps all digits.
func inRupees(r plural.Rupees) string {
	if paise, ok := r.Paise(); ok {
		return plural.INR(paise).Display()
	}
	return "₹" + string(r)
}

// latestEntries returns the newest lines of the log. The newest line comes
// first. A line is a request or a webhook.
func (d *dashboard) latestEntries() []entry {
	faults := map[int]string{}
	for _, f := range d.srv.FaultLog() {
		faults[f.Request] = f.Fault.String() + ", " + string(f.Effect)
	}
	requests := d.srv.Requests()
	list := make([]entry, 0, 2*maxEntries)
	for _, r := range requests[max(0, len(requests)-maxEntries):] {
		list = append(list, requestEntry(r, faults[r.Seq]))
	}
	deliveries := d.srv.Deliveries()
	for _, event := range deliveries[max(0, len(deliveries)-maxEntries):] {
		list = append(list, eventEntry(event))
	}
	slices.SortStableFunc(list, func(a, b entry) int { return b.At.Compare(a.At) })
	return list[:min(len(list), maxEntries)]
}

func requestEntry(r pluraltest.Request, fault string) entry {
	e := entry{
		At:      r.At,
		Title:   r.Method + " " + r.Path,
		Fault:   fault,
		Body:    indentBody(r.Body),
		Outcome: "no answer",
		Class:   "bad",
	}
	if r.Status != 0 {
		e.Outcome, e.Class = strconv.Itoa(r.Status), class(r.Status < http.StatusBadRequest)
	}
	if r.RequestID != "" {
		e.Detail = "Request-ID " + r.RequestID
	}
	return e
}

func eventEntry(d pluraltest.Delivery) entry {
	e := entry{
		At: d.CreatedAt, Event: true, Title: d.EventType, Outcome: string(d.State), ID: d.ID, Body: indentBody(d.Body),
		Detail: "webhook-id " + d.ID,
	}
	if len(d.Attempts) == 0 && d.State == pluraltest.DeliveryNotSent {
		e.Detail += "\nThere was no URL for this webhook: enter a URL under Webhooks, and deliver the webhook again."
	}
	for i, attempt := range d.Attempts {
		outcome := attempt.Err
		if outcome == "" {
			outcome = strconv.Itoa(attempt.Status)
		}
		e.Class = class(attempt.Status/100 == 2)
		e.Detail += "\nattempt " + strconv.Itoa(i+1) + ": " + outcome
	}
	return e
}

// refusedWebhooks returns a sentence if at least the last three attempts to
// deliver a webhook failed. Otherwise it returns "".
func refusedWebhooks(deliveries []pluraltest.Delivery) string {
	const telling = 3
	var attempts []pluraltest.DeliveryAttempt
	for _, d := range deliveries {
		attempts = append(attempts, d.Attempts...)
	}
	slices.SortStableFunc(attempts, func(a, b pluraltest.DeliveryAttempt) int { return a.At.Compare(b.At) })
	refused := 0
	for _, a := range slices.Backward(attempts) {
		if a.Status/100 == 2 {
			break
		}
		refused++
	}
	if refused < telling {
		return ""
	}
	last := attempts[len(attempts)-1]
	answer := cmp.Or(last.Err, strconv.Itoa(last.Status)+" "+http.StatusText(last.Status))
	text := "The shop has taken none of the last " + strconv.Itoa(refused) + " webhooks. It answers: " + answer + "."
	switch last.Status {
	case http.StatusUnauthorized:
		text += " Compare the webhook secret and the setting of -webhook-key."
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		text += " Compare the address."
	case 0:
		text += " Is the shop running?"
	}
	return text
}

func class(good bool) string {
	if good {
		return "good"
	}
	return "bad"
}

func sum(a pluraltest.Amount) string {
	return plural.Amount{Value: a.Value, Currency: plural.Currency(a.Currency)}.Display()
}

// indentBody formats a JSON body with line breaks and indents. If the result is
// long, indentBody returns only the first part.
func indentBody(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		out.Reset()
		out.Write(body)
	}
	if out.Len() > maxShown {
		return string(out.Bytes()[:maxShown]) + "\n..."
	}
	return out.String()
}
