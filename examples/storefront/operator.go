package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/riverqueue/river"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

const listed = 100

// staffOrders lists the latest orders.
func (s *shop) staffOrders(w http.ResponseWriter, r *http.Request) {
	orders, err := s.db.orders(r.Context(), listed)
	if err != nil {
		s.failed(w, r, "list orders", err)
		return
	}
	waiting, err := s.db.waiting(r.Context())
	if err != nil {
		s.failed(w, r, "list orders", err)
		return
	}
	s.show(w, http.StatusOK, "staff_orders.html", view{Title: "Orders", Data: struct {
		Orders  []*order
		Waiting map[string]string // by order: what is under way
		Listed  int
	}{orders, waiting, listed}})
}

// staffOrderView is the operator's page of an order.
type staffOrderView struct {
	*order

	Decisions  []decisionView
	Payments   []payment
	History    []entry
	CanEnd     bool          // the hold can be captured or cancelled
	Refundable plural.Amount // what can still be decided to be given back
	CanRefund  bool          // that is enough for a refund
	Differs    bool          // Plural's books say something else than was decided here
	Moves      bool          // it may soon be another: the page is loaded again, and takes no decision
}

type decisionView struct {
	*decision

	Job *jobView // nil once it has ended
}

// staffOrder shows one order, with its decisions and what it can come to.
func (s *shop) staffOrder(w http.ResponseWriter, r *http.Request) {
	s.showStaffOrder(w, r, http.StatusOK, "")
}

func (s *shop) showStaffOrder(w http.ResponseWriter, r *http.Request, status int, problem string) {
	o, err := s.orderOf(r)
	if err != nil {
		s.failed(w, r, "show order", err)
		return
	}
	v, err := s.viewStaffOrder(r.Context(), o)
	if err != nil {
		s.failed(w, r, "show order", err)
		return
	}
	page := view{Title: "Order", Problem: problem, Data: v}
	if v.Moves && problem == "" {
		page.Reload = 3
	}
	s.show(w, status, "staff_order.html", page)
}

func (s *shop) viewStaffOrder(ctx context.Context, o *order) (*staffOrderView, error) {
	v := &staffOrderView{order: o}
	decisions, err := s.db.decisions(ctx, s.db, o.Number)
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		one := decisionView{decision: d}
		if d.State == stateWaiting {
			if one.Job, err = s.job(ctx, d.JobID); err != nil {
				return nil, err
			}
		}
		v.Decisions = append(v.Decisions, one)
	}
	if v.Payments, err = s.db.payments(ctx, o.Number); err != nil {
		return nil, err
	}
	if v.History, err = s.db.history(ctx, o.Number); err != nil {
		return nil, err
	}
	sum := add(decisions)
	v.CanEnd = o.Status == plural.OrderStatusAuthorized && sum.ends == 0
	v.Refundable = sum.refundable(o)
	v.CanRefund = v.Refundable.Value >= least
	v.Differs = sum.waiting == 0 && (o.Captured != sum.captured || o.Refunded != sum.refunded)
	v.Moves = v.moves(time.Now())
	return v, nil
}

// moves tells whether the page may soon show something else: a decision that is
// being carried out, or one that Plural's books do not show yet.
func (v *staffOrderView) moves(now time.Time) bool {
	return slices.ContainsFunc(v.Decisions, func(d decisionView) bool {
		if d.State == stateWaiting {
			return d.Job != nil && !d.Job.GivenUp && d.Job.NextTry.Before(now.Add(time.Minute))
		}
		return v.Differs && now.Sub(d.EndedAt) < time.Minute
	})
}

// sums is what the decisions about an order come to, without those refused.
type sums struct {
	ends      int           // captures and cancels
	captured  plural.Amount // carried out
	refunded  plural.Amount // carried out
	refunding plural.Amount // decided, those carried out included
	waiting   int           // decisions that are not carried out yet
}

func add(decisions []*decision) sums {
	sum := sums{captured: plural.INR(0), refunded: plural.INR(0), refunding: plural.INR(0)}
	for _, d := range decisions {
		if d.State == stateRefused {
			continue
		}
		if d.State == stateWaiting {
			sum.waiting++
		}
		switch {
		case d.Kind != kindRefund:
			sum.ends++
			if d.Kind == kindCapture && d.State == stateDone {
				sum.captured.Value += d.Amount.Value
			}
		case d.State == stateDone:
			sum.refunded.Value += d.Amount.Value
			fallthrough
		default:
			sum.refunding.Value += d.Amount.Value
		}
	}
	return sum
}

// refundable is what Plural's books have as captured, less what was given back
// and what is decided to be, be it here or on Plural's dashboard.
func (s sums) refundable(o *order) plural.Amount {
	waiting := s.refunding.Value - s.refunded.Value
	return plural.INR(o.Captured.Value - max(o.Refunded.Value, s.refunded.Value) - waiting)
}

// problem is why a decision cannot be made, for the operator.
type problem string

func (p problem) Error() string { return string(p) }

const (
	errChanged       = problem("This order has changed since you opened it. Look at it again, then decide.")
	errNoHold        = problem("There is no hold to capture or cancel.")
	errTooMuch       = problem("That is more than there is.")
	errTooLittle     = problem("Plural moves no less than one rupee.")
	errAmount        = problem("Enter an amount in rupees, such as 499.50.")
	errDecidedBefore = problem("This was decided before, and Plural refused it.")
)

// least is what Plural takes or gives back at least, in paise. It is checked
// here, because a job that the SDK refuses to send would be tried for weeks.
const least = 100

// decide takes an operator's decision: to capture, cancel or refund. It is
// written down together with the job that carries it out, and carried out from
// there. The page says which state of the order it showed: of two operators,
// and of two clicks, one decides.
func (s *shop) decide(w http.ResponseWriter, r *http.Request) {
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
			s.showStaffOrder(w, r, http.StatusUnprocessableEntity, errAmount.Error())
			return
		}
	}
	err = s.db.transact(r.Context(), func(tx *sql.Tx) error { return s.decideTx(r.Context(), tx, d, version) })
	s.answer(w, r, "decide", err)
}

// answer leads back to the order's page, or says there what is wrong.
func (s *shop) answer(w http.ResponseWriter, r *http.Request, what string, err error) {
	if p, ok := errors.AsType[problem](err); ok {
		s.showStaffOrder(w, r, http.StatusConflict, p.Error())
		return
	}
	if err != nil {
		s.failed(w, r, what, err)
		return
	}
	http.Redirect(w, r, "/operator/orders/"+r.PathValue("number"), http.StatusSeeOther)
}

func (s *shop) decideTx(ctx context.Context, tx *sql.Tx, d *decision, version int64) error {
	o, err := s.db.locked(ctx, tx, d.Number)
	if err != nil {
		return err
	}
	decisions, err := s.db.decisions(ctx, tx, d.Number)
	if err != nil {
		return err
	}
	for _, before := range decisions {
		if before.Reference != d.Reference {
			continue
		}
		if before.Whole == d.Whole && (d.Whole || before.Amount == d.Amount) {
			return nil // the same button, pressed twice
		}
		return errChanged
	}
	if o.Version != version {
		return errChanged
	}
	sum := add(decisions)
	most := o.Amount
	if d.Kind == kindRefund {
		most = sum.refundable(o)
	} else if o.Status != plural.OrderStatusAuthorized || sum.ends > 0 {
		return errNoHold
	}
	if d.Whole {
		d.Amount = most
	}
	switch {
	case d.Amount.Value < least:
		return errTooLittle
	case d.Amount.Value > most.Value:
		return errTooMuch
	}
	inserted, err := s.river.InsertTx(ctx, tx, d.args(o), nil)
	if err != nil {
		return err
	}
	if inserted.UniqueSkippedAsDuplicate {
		return errDecidedBefore
	}
	d.JobID = inserted.Job.ID
	if err := s.db.insertDecision(ctx, tx, d); err != nil {
		return err
	}
	return s.db.note(ctx, tx, d.Number, d.Text())
}

// args is the job that carries a decision out.
func (d *decision) args(o *order) river.JobArgs {
	switch d.Kind {
	case kindCapture:
		if d.Whole {
			return pluralriver.CaptureArgs{OrderID: o.PluralID, Reference: d.Reference, Full: true}
		}
		return pluralriver.CaptureArgs{OrderID: o.PluralID, Reference: d.Reference, Amount: d.Amount}
	case kindCancel:
		return pluralriver.CancelArgs{OrderID: o.PluralID}
	}
	return pluralriver.RefundArgs{OrderID: o.PluralID, Reference: d.Reference, Amount: d.Amount}
}

// retry has a job tried now instead of later. River would also try one again
// that has ended: it has to be that of a decision which still waits.
func (s *shop) retry(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		s.notFound(w)
		return
	}
	err = s.db.transact(r.Context(), func(tx *sql.Tx) error {
		o, err := s.db.locked(r.Context(), tx, r.PathValue("number"))
		if err != nil {
			return err
		}
		decisions, err := s.db.decisions(r.Context(), tx, o.Number)
		if err != nil {
			return err
		}
		waits := slices.ContainsFunc(decisions, func(d *decision) bool { return d.JobID == id && d.State == stateWaiting })
		if !waits {
			return errChanged
		}
		_, err = s.river.JobRetryTx(r.Context(), tx, id)
		return err
	})
	s.answer(w, r, "try a job again", err)
}
