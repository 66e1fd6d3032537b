package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/plural-go/plural"
)

// staffPages serves the pages of the staff, and has all methods of the type
// shop.
type staffPages struct{ *shop }

const listed = 100

// showOrders lists the latest orders.
func (s *staffPages) showOrders(w http.ResponseWriter, r *http.Request) {
	orders, err := s.db.listOrders(r.Context(), s.db, listed)
	if err != nil {
		s.showError(w, r, "list orders", err)
		return
	}
	waiting, err := s.db.waitingTexts(r.Context(), s.db)
	if err != nil {
		s.showError(w, r, "list orders", err)
		return
	}
	s.show(w, http.StatusOK, "staff_orders.html", view{Title: "Orders", Data: struct {
		Orders  []*order
		Waiting map[string]string // for each order, the decisions under way
		Listed  int
	}{orders, waiting, listed}})
}

// staffOrderView is the operator's page of an order.
type staffOrderView struct {
	*order

	Decisions  []decisionView
	Payments   []payment
	Arrivals   []arrival // at the bank
	History    []entry
	Others     []*order      // other orders with the same number
	CanCapture bool          // the hold can be captured
	CanCancel  bool          // the hold can be released
	Refundable plural.Amount // what can still be refunded
	CanRefund  bool          // enough is left for a refund
	Differs    bool          // Plural's books differ from what was decided here
	Moves      bool          // the order may change soon: the page reloads itself, and offers no refund
	Refused    refusedAmount
}

// refusedAmount is the rejected text of an amount field.
type refusedAmount struct{ Kind, Text string }

type decisionView struct {
	*decision

	Job *jobView // nil if the decision no longer waits, or if River has removed the job
}

// showOrder shows one order, with its past decisions, and with buttons for the
// decisions that are possible now.
func (s *staffPages) showOrder(w http.ResponseWriter, r *http.Request) {
	s.showOrderWith(w, r, http.StatusOK, "")
}

func (s *staffPages) showOrderWith(w http.ResponseWriter, r *http.Request, status int, p decisionError) {
	o, err := s.orderOf(r)
	if err != nil {
		s.showError(w, r, "show order", err)
		return
	}
	v, err := s.viewOrder(r.Context(), o)
	if err != nil {
		s.showError(w, r, "show order", err)
		return
	}
	page := view{Title: "Order", Problem: string(p), Data: v}
	if p == errAmount || p == errTooMuch || p == errTooLittle {
		v.Refused = refusedAmount{r.PathValue("kind"), r.PostFormValue("amount")}
	}
	if v.Moves && p == "" {
		page.reloadAfter(r, 3)
	}
	s.show(w, status, "staff_order.html", page)
}

func (s *staffPages) viewOrder(ctx context.Context, o *order) (*staffOrderView, error) {
	v := &staffOrderView{order: o}
	decisions, err := s.db.listDecisions(ctx, s.db, o.Number)
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		one := decisionView{decision: d}
		if d.State == stateWaiting {
			if one.Job, err = s.desk.job(ctx, d.JobID); err != nil {
				return nil, err
			}
		}
		v.Decisions = append(v.Decisions, one)
	}
	if v.Payments, err = s.db.payments(ctx, s.db, o.Number); err != nil {
		return nil, err
	}
	if v.Arrivals, err = s.db.listArrivals(ctx, s.db, o.Number); err != nil {
		return nil, err
	}
	if v.History, err = s.db.history(ctx, s.db, o.Number); err != nil {
		return nil, err
	}
	if v.Others, err = s.desk.otherOrders(ctx, o); err != nil {
		return nil, err
	}
	sum := sumDecisions(decisions)
	v.CanCapture, v.CanCancel = sum.canCapture(o), sum.canCancel(o)
	v.Refundable = sum.refundableAmount(o)
	v.CanRefund = v.Refundable.Value >= leastAmount
	v.Differs = sum.waiting == 0 && (o.Captured != sum.captured || o.Refunded != sum.refunded)
	v.Moves = v.mayChangeSoon(time.Now())
	return v, nil
}

// mayChangeSoon reports whether the page may soon show something else. That is
// so in two cases:
//
//   - The job of a decision runs, or is due within a minute.
//   - A decision ended less than a minute ago, and Plural's books do not show
//     yet what the decision changed.
func (v *staffOrderView) mayChangeSoon(now time.Time) bool {
	return slices.ContainsFunc(v.Decisions, func(d decisionView) bool {
		if d.State == stateWaiting {
			return d.Job != nil && !d.Job.GivenUp && d.Job.NextTry.Before(now.Add(time.Minute))
		}
		return v.Differs && now.Sub(d.EndedAt) < time.Minute
	})
}

// decide handles an operator's decision to capture, cancel or refund. The
// request has the version of the order that the page showed.
func (s *staffPages) decide(w http.ResponseWriter, r *http.Request) {
	number, kind := r.PathValue("number"), r.PathValue("kind")
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	isKind := kind == kindCapture || kind == kindCancel || kind == kindRefund
	if err != nil || !isKind || !orderNumber.MatchString(number) {
		s.notFound(w)
		return
	}
	d := &decision{Number: number, Kind: kind, Reference: plural.Reference(kind, number, version)}
	d.Whole = kind == kindCancel || r.PostFormValue("whole") != ""
	if !d.Whole {
		d.Amount, err = plural.ParseAmount(r.PostFormValue("amount"), plural.CurrencyINR)
		if err != nil {
			s.showOrderWith(w, r, http.StatusUnprocessableEntity, errAmount)
			return
		}
	}
	s.answerOperator(w, r, "decide", s.desk.decide(r.Context(), d, version))
}

// answerOperator sends the operator back to the order's page. If the decision
// is not possible, answerOperator shows that page with the reason.
func (s *staffPages) answerOperator(w http.ResponseWriter, r *http.Request, what string, err error) {
	if p, ok := errors.AsType[decisionError](err); ok {
		s.showOrderWith(w, r, http.StatusConflict, p)
		return
	}
	if err != nil {
		s.showError(w, r, what, err)
		return
	}
	http.Redirect(w, r, "/operator/orders/"+r.PathValue("number"), http.StatusSeeOther)
}

// retryJob runs a job now instead of later.
func (s *staffPages) retryJob(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		s.notFound(w)
		return
	}
	s.answerOperator(w, r, "try a job again", s.desk.retryJob(r.Context(), r.PathValue("number"), id))
}

// writeOff closes a decision after a person has looked at it.
func (s *staffPages) writeOff(w http.ResponseWriter, r *http.Request) {
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		s.notFound(w)
		return
	}
	err = s.desk.writeOff(r.Context(), r.PathValue("number"), r.PostFormValue("reference"), version)
	s.answerOperator(w, r, "write off", err)
}

// sureView is the page that asks the operator to confirm a decision. The shop
// shows this page before the whole amount is captured, released or refunded.
// The shop also shows this page after the operator has clicked "Write it off".
// With this click the operator asks the shop to close an earlier decision, and
// not to try that decision's job again.
type sureView struct {
	Number    string
	Version   int64
	Kind      string
	Reference string // if Kind is "writeoff", the reference of the decision that the operator wants to close
	Ask       string
	About     string
	Do        string // the text on the button
}

func (s *staffPages) askAgain(w http.ResponseWriter, r *http.Request) {
	o, err := s.orderOf(r)
	if err != nil {
		s.showError(w, r, "ask once more", err)
		return
	}
	decisions, err := s.db.listDecisions(r.Context(), s.db, o.Number)
	if err != nil {
		s.showError(w, r, "ask once more", err)
		return
	}
	query, sum := r.URL.Query(), sumDecisions(decisions)
	v := sureView{Number: o.Number, Version: o.Version, Kind: query.Get("kind"), Reference: query.Get("reference")}
	if query.Get("version") != strconv.FormatInt(o.Version, 10) {
		s.showOrderWith(w, r, http.StatusConflict, errChanged)
		return
	}
	switch {
	case v.Kind == kindCapture && sum.canCapture(o):
		v.Ask, v.Do = "Capture "+o.Amount.Display()+"?", "Capture "+o.Amount.Display()
		v.About = "The customer pays all of the hold. A capture cannot be undone, only refunded."
	case v.Kind == kindCancel && sum.canCancel(o):
		v.Ask, v.Do = "Cancel the order, and let go of "+o.Amount.Display()+"?", "Cancel the order"
		v.About = "The hold is then gone, and no money can be taken for this order."
	case v.Kind == kindRefund && sum.refundableAmount(o).Value >= leastAmount:
		v.Ask, v.Do = "Refund "+sum.refundableAmount(o).Display()+"?", "Refund "+sum.refundableAmount(o).Display()
		v.About = "The customer gets back all that is left of the payment. A refund cannot be undone."
	case v.Kind == "writeoff":
		i := slices.IndexFunc(decisions, func(d *decision) bool { return d.Reference == v.Reference && d.Troubled() })
		if i < 0 {
			s.showOrderWith(w, r, http.StatusConflict, errNotInDoubt)
			return
		}
		v.Ask, v.Do = "Write off this decision?", "Write it off"
		v.About = decisions[i].Text() + ". Look at Plural's dashboard first. The shop then stops trying. " +
			"If Plural has carried it out, the order's page shows that as soon as Plural's books do."
	default:
		s.showOrderWith(w, r, http.StatusConflict, errChanged)
		return
	}
	s.show(w, http.StatusOK, "staff_sure.html", view{Title: v.Ask, Data: v})
}
