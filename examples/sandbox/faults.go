package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/plural-go/plural/pluraltest"
)

// operations lists the operations that faults can be queued for.
func operations() []string {
	return []string{
		pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate, pluraltest.OpOrdersCreate,
		pluraltest.OpOrdersGet, pluraltest.OpOrdersGetByReference,
		pluraltest.OpPaymentLinksCreate, pluraltest.OpPaymentLinksCancel, pluraltest.OpPaymentLinksNotify,
		pluraltest.OpPaymentLinksGet, pluraltest.OpPaymentLinksGetByReference, pluraltest.OpToken,
		pluraltest.OpSettlementsList, pluraltest.OpSettlementsGet,
	}
}

// faultsFor lists the faults that can be queued for an operation.
func faultsFor(op string) []pluraltest.Fault { return withoutRefuse(pluraltest.FaultsFor(op)) }

// withoutRefuse leaves out the fault Refuse. Only a client in the emulator's
// own process can get that fault, and a shop runs in another process.
func withoutRefuse(faults []pluraltest.Fault) []pluraltest.Fault {
	return slices.DeleteFunc(faults, func(f pluraltest.Fault) bool { return f == pluraltest.Refuse })
}

// queueFault queues one fault for the next request of an operation. The form's
// field op names the operation, such as captures.create. The field fault names
// the fault, such as ResetAfterApply.
func (d *dashboard) queueFault(r *http.Request) error {
	op, name := r.PostForm.Get("op"), strings.TrimSpace(r.PostForm.Get("fault"))
	if !slices.Contains(operations(), op) {
		return fmt.Errorf("there is no operation %q", op)
	}
	for _, fault := range faultsFor(op) {
		if fault.Name == name {
			d.srv.Inject(pluraltest.On(op), fault)
			return nil
		}
	}
	for _, fault := range pluraltest.AllFaults() {
		if fault.Name == name {
			return fmt.Errorf("fault %s has no meaning for %s", name, op)
		}
	}
	return fmt.Errorf("there is no fault %q: the list is below", name)
}

// changeFaultRate sets the share of requests that get a random fault. The form
// has the share in per cent.
func (d *dashboard) changeFaultRate(r *http.Request) error {
	percent, err := strconv.ParseFloat(strings.TrimSpace(r.PostForm.Get("percent")), 64)
	if err != nil || !(percent >= 0 && percent <= 100) {
		return errors.New("the rate is a number from 0 to 100")
	}
	d.setFaultRate(percent / 100)
	return nil
}

func (d *dashboard) clearFaults(*http.Request) error {
	d.srv.ClearFaults()
	d.setFaultRate(0)
	return nil
}

func (d *dashboard) setFaultRate(rate float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faultRate = rate
	if rate == 0 {
		d.srv.SetFaultPlan(nil)
		return
	}
	d.srv.SetFaultPlan(pluraltest.RandomFaults(d.seed, rate, withoutRefuse(pluraltest.AllFaults())...))
}

// faultGroup is a group of faults of one kind.
type faultGroup struct {
	Name   string
	Faults []faultChoice
}

// faultChoice is one fault, with a sentence about it.
type faultChoice struct {
	Name, Text string
	Ops        string // the operations that can get the fault; "" for all
}

// faultGroups returns all faults, each in one group.
func faultGroups() []faultGroup {
	groups := []faultGroup{
		{Name: "The answer is lost"},
		{Name: "The answer is an error"},
		{Name: "The call is carried out later, or fails"},
		{Name: "The document is odd"},
		{Name: "The answer is slow or large"},
	}
	for _, f := range withoutRefuse(pluraltest.AllFaults()) {
		g := &groups[groupOf(f)]
		g.Faults = append(g.Faults, faultChoice{f.Name, textOf(f), opsOf(f)})
	}
	return groups
}

func groupOf(f pluraltest.Fault) int {
	if f.Ends != "" || f.Effect != pluraltest.ApplyNow && f.Effect != pluraltest.ApplyNever {
		return 2
	}
	kinds := [][]pluraltest.Answer{
		1: {pluraltest.AnswerStatus, pluraltest.AnswerHTML, pluraltest.AnswerErrorInOK, pluraltest.AnswerRedirect},
		3: {
			pluraltest.AnswerStale, pluraltest.AnswerNoCaptureData, pluraltest.AnswerNoParent, pluraltest.AnswerOtherOrder,
		},
		4: {pluraltest.AnswerSlowHeaders, pluraltest.AnswerSlowBody, pluraltest.AnswerHuge},
	}
	return max(slices.IndexFunc(kinds, func(k []pluraltest.Answer) bool { return slices.Contains(k, f.Answer) }), 0)
}

// opsOf names the operations that can get a fault.
func opsOf(f pluraltest.Fault) string {
	var ops []string
	for _, op := range operations() {
		if slices.Contains(faultsFor(op), f) {
			ops = append(ops, op)
		}
	}
	if len(ops) == len(operations()) {
		return ""
	}
	return strings.Join(ops, ", ")
}

// textOf returns a sentence about a fault: what happens to the call, and what
// the client receives.
func textOf(f pluraltest.Fault) string {
	after := f.Delay.String()
	effect := map[pluraltest.Effect]string{
		pluraltest.ApplyNow:         "The call is carried out",
		pluraltest.ApplyNever:       "The call is not carried out",
		pluraltest.ApplyLater:       "The call is carried out " + after + " later",
		pluraltest.ApplyPending:     "The call is PENDING, and succeeds " + after + " later",
		pluraltest.ApplyPendingFail: "The call is PENDING, and fails " + after + " later",
		pluraltest.ApplyFail:        "The call is accepted, but ends as FAILED",
		pluraltest.ApplyByLegs:      "The points and the card are captured one after the other",
		pluraltest.ApplyByLegsFail:  "The points and the card are captured one after the other, and the second capture fails",
		pluraltest.InsertLater:      "The call is checked now, and carried out " + after + " later without a second check",
	}[f.Effect]
	if f.Ends != "" {
		effect = "The call ends as " + f.Ends
	}
	status := strings.TrimSpace(strconv.Itoa(f.Status) + " " + f.Code)
	answer := map[pluraltest.Answer]string{
		pluraltest.AnswerNormal:        "the answer is the normal one",
		pluraltest.AnswerHang:          "no answer ever comes",
		pluraltest.AnswerReset:         "the connection is reset",
		pluraltest.AnswerClose:         "the connection is closed",
		pluraltest.AnswerStreamReset:   "the HTTP/2 stream is reset",
		pluraltest.AnswerThenClose:     "the connection is closed after the answer",
		pluraltest.AnswerTruncated:     "half of the answer arrives",
		pluraltest.AnswerStatus:        "the answer is " + status,
		pluraltest.AnswerHTML:          "the answer is " + strconv.Itoa(f.Status) + " with a page of HTML",
		pluraltest.AnswerEmpty:         "the answer is an empty 200",
		pluraltest.AnswerErrorInOK:     "the answer is a 200 with the error " + f.Code,
		pluraltest.AnswerRedirect:      "the answer is a redirect to another path",
		pluraltest.AnswerStale:         "the document is an old one",
		pluraltest.AnswerNoCaptureData: "the document does not show what was captured",
		pluraltest.AnswerNoParent:      "the document does not show which order it refunds",
		pluraltest.AnswerOtherOrder:    "the document is about another order",
		pluraltest.AnswerSlowHeaders:   "the answer comes " + after + " later",
		pluraltest.AnswerSlowBody:      "the answer takes " + after + " to arrive",
		pluraltest.AnswerHuge:          "the answer begins with " + strconv.Itoa(f.Size>>20) + " MiB of blanks",
	}[f.Answer]
	return effect + "; " + answer + "."
}
