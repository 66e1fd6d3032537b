package adversary_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// decisionRow is one row of the table that has the shop's decisions, together
// with the state of the decision's job.
type decisionRow struct {
	reference, kind, state, reason, job string
	amount, jobID                       int64
	whole                               bool
}

// listDecisions returns the shop's decisions about an order, as the shop's
// database shows them at this moment.
func (f *fleet) listDecisions(o *shopOrder) (list []decisionRow) {
	rows, err := f.db.QueryContext(context.WithoutCancel(f.t.Context()), `SELECT d.reference, d.kind, d.state, d.reason,
			COALESCE(j.state::text, ''), d.amount, d.job_id, d.whole = 1
		FROM decisions d LEFT JOIN river_job j ON j.id = d.job_id WHERE d.order_number = $1 ORDER BY decided_at`, o.number)
	if err != nil {
		f.t.Error(err)
		return nil
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var d decisionRow
		if err := rows.Scan(&d.reference, &d.kind, &d.state, &d.reason, &d.job, &d.amount, &d.jobID, &d.whole); err != nil {
			f.t.Error(err)
		}
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		f.t.Error(err)
	}
	return list
}

// The method watch reads all decisions again and again, until ctx ends. For
// each state of a decision, it records when it first sees the decision in that
// state.
func (f *fleet) watch(ctx context.Context) {
	for isPast(ctx, 100*time.Millisecond) {
		for _, o := range f.orders {
			for _, d := range f.listDecisions(o) {
				if o.seen[d.reference] == nil {
					o.seen[d.reference] = map[string]time.Time{}
				}
				if _, ok := o.seen[d.reference][d.state]; !ok {
					o.seen[d.reference][d.state] = time.Now()
					o.mu.Lock()
					o.record("[shop]", "%s %s of %d under %s: %s", d.kind, d.state, d.amount, d.reference, d.reason)
					o.mu.Unlock()
				}
			}
		}
	}
}

// settleOrders presses "Try now" for each decision that waits. Then it waits
// until two things are true for each order, but no longer than the constant
// patience.
//
//   - Each decision has ended, or the shop asks a person to look at the
//     decision.
//   - The order has the same status and sums in the shop's database and at the
//     gateway.
func (f *fleet) settleOrders() {
	rng := rand.New(rand.NewPCG(1, 6))
	for _, o := range f.orders {
		for _, d := range f.listDecisions(o) {
			if d.state == "waiting" {
				f.post(rng, http.MethodPost, fmt.Sprintf("/operator/orders/%s/jobs/%d", o.number, d.jobID), nil)
			}
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		left := 0
		for _, o := range f.orders {
			left += len(f.listUnsettled(o, f.listDecisions(o)))
		}
		if left == 0 {
			return
		}
	}
}

// listUnsettled lists the decisions that still wait although the shop does not
// ask a person to look at them. It also lists the differences between the order
// in the shop's database and the order at the gateway.
func (f *fleet) listUnsettled(o *shopOrder, decisions []decisionRow) (left []string) {
	for _, d := range decisions {
		if d.state == "waiting" && (d.reason == "" || d.job == "running" || d.job == "available") && d.job != "discarded" {
			left = append(left, fmt.Sprintf("a decision has not ended, and the shop does not ask a person to look: %+v", d))
		}
	}
	var status string
	var captured, refunded int64
	err := f.db.QueryRowContext(f.t.Context(), `SELECT status, captured, refunded FROM orders WHERE number = $1`, o.number).
		Scan(&status, &captured, &refunded)
	o.mu.Lock()
	defer o.mu.Unlock()
	main := o.orders[0]
	if err != nil || status != main.status || captured != main.takenSum() || refunded != main.refunded(refund.isGood) {
		left = append(left, fmt.Sprintf("the shop has %s, captured %d, refunded %d; in truth %s, captured %d, refunded %d (%v)",
			status, captured, refunded, main.status, main.takenSum(), main.refunded(refund.isGood), err))
	}
	return left
}

// The method judge returns a list of the shop's mistakes.
func (f *fleet) judge(o *shopOrder, decisions []decisionRow) (wrong []string) {
	wrong = f.listUnsettled(o, decisions)
	o.mu.Lock()
	defer o.mu.Unlock()
	main := o.orders[0]
	known := map[string]bool{}
	for _, d := range decisions {
		known[d.reference] = true
		states := o.seen[d.reference]
		if states == nil {
			states = map[string]time.Time{}
		}
		if states[d.state].IsZero() {
			states[d.state] = time.Now()
		}
		bad := func(text string, args ...any) {
			wrong = append(wrong, fmt.Sprintf(text, args...)+fmt.Sprintf(": %+v", d))
		}
		done, isDone := states["done"]
		_, isRefused := states["refused"]
		if d.kind == "cancel" {
			switch {
			case isDone && main.status != cancelled:
				bad("the shop says that a cancel was carried out, but the order is %s", main.status)
			case isRefused && (main.open() || d.state == "refused" && main.status == cancelled):
				bad("the shop says that a cancel was refused, but the order is %s", main.status)
			}
			continue
		}
		sum, good, number := int64(0), int64(0), 0
		for _, e := range o.effects {
			if e.op != d.kind || e.reference != d.reference {
				continue
			}
			if isDone && e.at.After(done) {
				bad("the shop said that it was carried out before it was")
			}
			sum, number = sum+e.amount, number+1
			if e.op == "capture" || o.isGood(e.refund) {
				good += e.amount
			}
		}
		want := d.amount
		if d.kind == "capture" && d.whole {
			want = o.hold
		}
		twice := d.kind == "refund" && number > 1 && o.sc.unique != unique
		if isDone && sum != want && !twice {
			bad("the shop says that it was carried out, but in truth %d moved", sum)
		}
		if d.state == "done" && good != want && !twice {
			bad("the shop says in the end that it was carried out, but in truth %d moved", good)
		}
		if isRefused && good > 0 && !twice {
			bad("the shop says that it was refused, but %d moved", good)
		}
		if isRefused && d.kind == "capture" && main.open() && !main.lapsed && want <= o.hold {
			bad("the shop says that it was refused, but the order is %s", main.status)
		}
		if d.kind == "refund" && number > 1 && good > want && o.sc.unique != notUnique {
			bad("given back twice")
		}
	}
	for _, e := range o.effects {
		if e.by == "-" && e.op != "cancel" && !known[e.reference] {
			wrong = append(wrong, fmt.Sprintf("nobody decided %+v", e))
		}
	}
	return wrong
}

// isGood reports whether a refund's money is on its way or has arrived.
func (o *shopOrder) isGood(id string) bool {
	for _, r := range o.orders[0].refunds {
		if r.id == id {
			return r.isGood()
		}
	}
	return false
}
