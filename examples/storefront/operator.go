package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/riverqueue/river/rivertype"

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
	Others     []*order      // under the same number
	CanCapture bool          // the hold can be captured
	CanCancel  bool          // the hold can be let go
	Refundable plural.Amount // what can still be decided to be given back
	CanRefund  bool          // that is enough for a refund
	Differs    bool          // Plural's books say something else than was decided here
	Moves      bool          // it may soon be another: the page is loaded again, and takes no decision
	Refused    refusedAmount
}

// refusedAmount is what was typed into a field and cannot be.
type refusedAmount struct{ Kind, Text string }

type decisionView struct {
	*decision

	Job *jobView // nil once it has ended
}

// staffOrder shows one order, with its decisions and what it can come to.
func (s *shop) staffOrder(w http.ResponseWriter, r *http.Request) {
	s.showStaffOrder(w, r, http.StatusOK, "")
}

func (s *shop) showStaffOrder(w http.ResponseWriter, r *http.Request, status int, p problem) {
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
	page := view{Title: "Order", Problem: string(p), Data: v}
	if p == errAmount || p == errTooMuch || p == errTooLittle {
		v.Refused = refusedAmount{r.PathValue("kind"), r.PostFormValue("amount")}
	}
	if v.Moves && p == "" {
		page.reload(r, 3)
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
	if v.Others, err = s.db.otherOrders(ctx, o); err != nil {
		return nil, err
	}
	sum := add(decisions)
	v.CanCapture, v.CanCancel = sum.canCapture(o), sum.canCancel(o)
	v.Refundable = sum.refundable(o)
	v.CanRefund = v.Refundable.Value >= least
	v.Differs = sum.waiting == 0 && (o.Captured != sum.captured || o.Refunded != sum.refunded)
	v.Moves = v.moves(time.Now())
	return v, nil
}

// moves reports whether the page may soon show something else: a decision that
// is being carried out, or one that Plural's books do not show yet.
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
	cancels   int           // that wait or are carried out
	isInDoubt bool          // a person has to look at one of the ends, or has done so
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
		if d.Kind == kindRefund {
			sum.addRefund(d)
			continue
		}
		sum.ends++
		sum.isInDoubt = sum.isInDoubt || d.Troubled() || d.State == stateWrittenOff
		switch {
		case d.Kind == kindCancel && (d.State == stateWaiting || d.State == stateDone):
			sum.cancels++
		case d.Kind == kindCapture && d.State == stateDone:
			sum.captured.Value += d.Amount.Value
		}
	}
	return sum
}

// addRefund counts a refund that may still come, whatever was said of it.
func (s *sums) addRefund(d *decision) {
	if d.State != stateWrittenOff {
		s.refunding.Value += d.Amount.Value
	}
	if d.State == stateDone {
		s.refunded.Value += d.Amount.Value
	}
}

// canCapture leaves out a second order under a number: the customer owes once.
func (s *sums) canCapture(o *order) bool {
	return o.Status == plural.OrderStatusAuthorized && s.ends == 0 && o.TwinOf == ""
}

// canCancel has a hold let go that a capture did not get: a cancel is carried
// out or the capture, and Plural's books show which.
func (s *sums) canCancel(o *order) bool {
	return o.Status == plural.OrderStatusAuthorized && s.cancels == 0 && (s.ends == 0 || s.isInDoubt)
}

// refundable is what Plural's books have as captured, less what was given back
// and what is decided to be, be it here or on Plural's dashboard.
func (s *sums) refundable(o *order) plural.Amount {
	waiting := s.refunding.Value - s.refunded.Value
	return plural.INR(o.Captured.Value - max(o.Refunded.Value, s.refunded.Value) - waiting)
}

// problem is why a decision cannot be made, for the operator.
type problem string

func (p problem) Error() string { return string(p) }

const (
	errChanged     = problem("This order has changed since you opened it. Look at it again, then decide.")
	errNoHold      = problem("There is no hold to capture or cancel.")
	errTooMuch     = problem("That is more than there is.")
	errTooLittle   = problem("Plural moves no less than one rupee.")
	errAmount      = problem("Enter an amount in rupees, such as 499.50.")
	errStillEnding = problem("An earlier decision has not ended yet. Try again in a minute.")
	errNotInDoubt  = problem("Plural will say what became of this. There is nothing to write off.")
)

// least is what Plural takes or gives back at least, in paise. It is checked
// here, because a job that the SDK refuses to send would be tried for weeks.
const least = 100

// decide takes an operator's decision: to capture, cancel or refund. It is
// written down together with the job that carries it out, and carried out from
// there. The page says which state of the order it showed: if two operators
// decide, or one clicks twice, only the first counts.
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
			s.showStaffOrder(w, r, http.StatusUnprocessableEntity, errAmount)
			return
		}
	}
	err = s.db.transact(r.Context(), func(tx *sql.Tx) error { return s.decideTx(r.Context(), tx, d, version) })
	s.answer(w, r, "decide", err)
}

// answer leads back to the order's page, or says there what is wrong.
func (s *shop) answer(w http.ResponseWriter, r *http.Request, what string, err error) {
	if p, ok := errors.AsType[problem](err); ok {
		s.showStaffOrder(w, r, http.StatusConflict, p)
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
	switch {
	case d.Kind == kindRefund:
		most = sum.refundable(o)
	case d.Kind == kindCapture && !sum.canCapture(o), d.Kind == kindCancel && !sum.canCancel(o):
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
	inserted, err := pluralriver.InsertTx(ctx, s.river, tx, d.args(o), nil)
	switch {
	case errors.Is(err, pluralriver.ErrOtherWaiting), err == nil && inserted.UniqueSkippedAsDuplicate:
		return errStillEnding
	case err != nil:
		return err
	}
	d.JobID = inserted.Job.ID
	if err := s.db.insertDecision(ctx, tx, d); err != nil {
		return err
	}
	return s.db.note(ctx, tx, d.Number, d.Text())
}

// args is the job that carries a decision out.
func (d *decision) args(o *order) pluralriver.MoneyArgs {
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
		// the job's row is locked before the order's, as where a job ends
		if _, err := s.river.JobRetryTx(r.Context(), tx, id); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
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
		return nil
	})
	s.answer(w, r, "try a job again", err)
}

// writeOff ends a decision that a person has looked at: nothing more is tried.
// What its job did, or does at this moment, is written down all the same.
func (s *shop) writeOff(w http.ResponseWriter, r *http.Request) {
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		s.notFound(w)
		return
	}
	number, reference := r.PathValue("number"), r.PostFormValue("reference")
	err = s.db.transact(r.Context(), func(tx *sql.Tx) error {
		return s.writeOffTx(r.Context(), tx, number, reference, version)
	})
	s.answer(w, r, "write off", err)
}

func (s *shop) writeOffTx(ctx context.Context, tx *sql.Tx, number, reference string, version int64) error {
	d, err := s.db.decision(ctx, tx, number, reference)
	if err != nil {
		return err
	}
	if d.State == stateWaiting { // the job's row is locked before the order's
		if _, err := s.river.JobCancelTx(ctx, tx, d.JobID); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
	}
	o, err := s.db.locked(ctx, tx, number)
	if err != nil {
		return err
	}
	if d, err = s.db.decision(ctx, tx, number, reference); err != nil {
		return err
	}
	switch {
	case o.Version != version:
		return errChanged
	case !d.Troubled():
		return errNotInDoubt
	}
	return s.db.settle(ctx, tx, d, stateWrittenOff, "")
}

// sureView is the page that asks again before all the money moves.
type sureView struct {
	Number    string
	Version   int64
	Kind      string
	Reference string // of the decision to write off
	Ask       string
	About     string
	Do        string // on the button
}

func (s *shop) askOnceMore(w http.ResponseWriter, r *http.Request) {
	o, err := s.orderOf(r)
	if err != nil {
		s.failed(w, r, "ask once more", err)
		return
	}
	decisions, err := s.db.decisions(r.Context(), s.db, o.Number)
	if err != nil {
		s.failed(w, r, "ask once more", err)
		return
	}
	query, sum := r.URL.Query(), add(decisions)
	v := sureView{Number: o.Number, Version: o.Version, Kind: query.Get("kind"), Reference: query.Get("reference")}
	if query.Get("version") != strconv.FormatInt(o.Version, 10) {
		s.showStaffOrder(w, r, http.StatusConflict, errChanged)
		return
	}
	switch {
	case v.Kind == kindCapture && sum.canCapture(o):
		v.Ask, v.Do = "Capture "+o.Amount.Display()+"?", "Capture "+o.Amount.Display()
		v.About = "The customer pays all of the hold. It cannot be taken back, only refunded."
	case v.Kind == kindCancel && sum.canCancel(o):
		v.Ask, v.Do = "Cancel the order, and let go of "+o.Amount.Display()+"?", "Cancel the order"
		v.About = "The hold is gone then, and nothing can be taken for this order."
	case v.Kind == kindRefund && sum.refundable(o).Value >= least:
		v.Ask, v.Do = "Refund "+sum.refundable(o).Display()+"?", "Refund "+sum.refundable(o).Display()
		v.About = "The customer gets back all that is left of the payment. It cannot be undone."
	case v.Kind == "writeoff":
		i := slices.IndexFunc(decisions, func(d *decision) bool { return d.Reference == v.Reference && d.Troubled() })
		if i < 0 {
			s.showStaffOrder(w, r, http.StatusConflict, errNotInDoubt)
			return
		}
		v.Ask, v.Do = "Write off this decision?", "Write it off"
		v.About = decisions[i].Text() + ". Look at Plural's dashboard first. Nothing more is tried here; " +
			"what Plural has done stays as it is, and is shown as soon as its books have it."
	default:
		s.showStaffOrder(w, r, http.StatusConflict, errChanged)
		return
	}
	s.show(w, http.StatusOK, "staff_sure.html", view{Title: v.Ask, Data: v})
}
