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

// operations lists what faults can be queued for.
func operations() []string {
	return []string{
		pluraltest.OpCapturesCreate, pluraltest.OpCancelsCreate, pluraltest.OpRefundsCreate, pluraltest.OpOrdersCreate,
		pluraltest.OpOrdersGet, pluraltest.OpOrdersGetByReference, pluraltest.OpToken,
	}
}

// faultsFor lists the faults that can be queued for an operation.
func faultsFor(op string) []pluraltest.Fault { return meetable(pluraltest.FaultsFor(op)) }

// meetable leaves out what a client on a socket cannot meet: Refuse needs a
// client of the same process.
func meetable(faults []pluraltest.Fault) []pluraltest.Fault {
	return slices.DeleteFunc(faults, func(f pluraltest.Fault) bool { return f == pluraltest.Refuse })
}

// queueFault queues one fault for the next request of its operation. The form
// names both: "captures.create ResetAfterApply".
func (d *dashboard) queueFault(r *http.Request) error {
	op, name, _ := strings.Cut(r.PostForm.Get("fault"), " ")
	if !slices.Contains(operations(), op) {
		return fmt.Errorf("there is no operation %q", op)
	}
	for _, fault := range faultsFor(op) {
		if fault.Name == name {
			d.srv.Inject(pluraltest.On(op), fault)
			return nil
		}
	}
	return fmt.Errorf("there is no fault %q of %s", name, op)
}

// changeFaultRate faults a share of all requests at random. The form gives it
// in per cent.
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
	d.srv.SetFaultPlan(pluraltest.RandomFaults(d.seed, rate, meetable(pluraltest.AllFaults())...))
}
