package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/plural-go/plural"
)

// decision is what an operator decided.
type decision struct {
	Reference string
	Number    string // of the order
	Kind      string
	Amount    plural.Amount
	Whole     bool // all there was, which needed no amount
	State     string
	Reason    string // why it was refused; while it waits, why a person has to look
	JobID     int64
	DecidedAt time.Time
	EndedAt   time.Time
}

// The kinds and states of a decision.
const (
	kindCapture = "capture"
	kindCancel  = "cancel"
	kindRefund  = "refund"

	stateWaiting    = "waiting"
	stateDone       = "done"
	stateRefused    = "refused"     // nothing was or will be carried out
	stateReview     = "to be seen"  // it was not carried out as decided, and money may have moved: a person has to look
	stateWrittenOff = "written off" // by a person who has looked
)

// Troubled reports whether a person has to look.
func (d *decision) Troubled() bool {
	return d.State == stateReview || d.State == stateWaiting && d.Reason != ""
}

// Text is a decision for people.
func (d *decision) Text() string {
	about := map[string]string{
		kindCapture: "Capture of " + d.Amount.Display(),
		kindCancel:  "Cancellation",
		kindRefund:  "Refund of " + d.Amount.Display(),
	}[d.Kind]
	switch d.State {
	case stateDone:
		return strings.TrimSpace(about + " carried out " + d.Reason)
	case stateRefused:
		return about + " not carried out: " + d.Reason
	case stateReview:
		return about + " has to be looked at: " + d.Reason
	case stateWrittenOff:
		return about + " written off"
	}
	if d.Reason != "" {
		return about + " decided, and has to be looked at: " + d.Reason
	}
	return about + " decided"
}

const decisionColumns = `reference, order_number, kind, amount, whole, state, reason, job_id, decided_at, ended_at`

func scanDecision(row interface{ Scan(dest ...any) error }) (*decision, error) {
	var (
		d                          decision
		amount, decidedAt, endedAt int64
		whole                      int
	)
	err := row.Scan(
		&d.Reference, &d.Number, &d.Kind, &amount, &whole, &d.State, &d.Reason, &d.JobID, &decidedAt, &endedAt)
	d.Whole = whole != 0
	d.Amount, d.DecidedAt, d.EndedAt = plural.INR(amount), fromMicro(decidedAt), fromMicro(endedAt)
	return &d, err
}

// decisions lists those about an order, the oldest first.
func (s *store) decisions(ctx context.Context, q querier, number string) ([]*decision, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE order_number = $1 ORDER BY decided_at`, number)
	return collect(rows, err, func(rows *sql.Rows) (*decision, error) { return scanDecision(rows) })
}

// waiting says what is still to be carried out, by order.
func (s *store) waiting(ctx context.Context) (map[string]string, error) {
	kinds := map[string]string{}
	rows, err := s.QueryContext(ctx, `SELECT d.order_number, d.kind,
			d.state = 'to be seen' OR d.reason <> '' OR COALESCE(j.state IN ('discarded', 'cancelled'), true)
		FROM decisions d LEFT JOIN river_job j ON j.id = d.job_id WHERE d.state IN ('waiting', 'to be seen')`)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var number, kind string
		var isTroubled bool
		err := rows.Scan(&number, &kind, &isTroubled)
		if isTroubled {
			kinds[number] = kind + ": look at it"
		} else if kinds[number] == "" {
			kinds[number] = kind + " under way"
		}
		return struct{}{}, err
	})
	return kinds, err
}

// insertDecision writes one down that waits for its job, and moves the order
// on, so pages that show it as it was decide nothing any more.
func (s *store) insertDecision(ctx context.Context, tx *sql.Tx, d *decision) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO decisions (reference, order_number, kind, amount, whole, state, job_id, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		d.Reference, d.Number, d.Kind, d.Amount.Value, bit(d.Whole), stateWaiting, d.JobID, micro(time.Now()))
	if err != nil {
		return err
	}
	return s.moveOn(ctx, tx, d.Number)
}

// decisionOf is the decision that a job carries out: that of its reference; a
// cancel has none, and is the last one about the order. The order is locked.
func (s *store) decisionOf(ctx context.Context, tx *sql.Tx, kind, pluralID, reference string) (*decision, error) {
	find := func() (*decision, error) {
		if reference != "" {
			return scanDecision(tx.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
				WHERE reference = $1 AND kind = $2`, reference, kind))
		}
		return scanDecision(tx.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
			WHERE order_number IN (SELECT number FROM orders WHERE plural_id = $1) AND kind = $2
			ORDER BY decided_at DESC LIMIT 1`, pluralID, kind))
	}
	d, err := find()
	if err != nil {
		return nil, err
	}
	if _, err := s.locked(ctx, tx, d.Number); err != nil {
		return nil, err
	}
	return find()
}

// decision is that of a reference, about the order.
func (s *store) decision(ctx context.Context, q querier, number, reference string) (*decision, error) {
	d, err := scanDecision(q.QueryRowContext(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE order_number = $1 AND reference = $2`, number, reference))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknownOrder
	}
	return d, err
}

// settle writes down how a decision stands. It is told in the order's history.
func (s *store) settle(ctx context.Context, tx *sql.Tx, d *decision, state, reason string) error {
	if d.State == state && d.Reason == reason {
		return nil
	}
	d.State, d.Reason = state, reason
	if state != stateWaiting {
		d.EndedAt = time.Now()
	}
	_, err := tx.ExecContext(ctx, `UPDATE decisions SET state = $2, reason = $3, ended_at = $4 WHERE reference = $1`,
		d.Reference, state, reason, micro(d.EndedAt))
	return errors.Join(err, s.moveOn(ctx, tx, d.Number), s.note(ctx, tx, d.Number, d.Text()))
}
