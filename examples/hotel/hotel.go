package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"
)

// The hotel trusts only its own database and Plural's books.
type hotel struct {
	pool  *pgxpool.Pool
	money *moneyService
	log   *slog.Logger

	quietFor time.Duration // how long the hotel waits before it reads a booking's order again
}

// The queues of jobs that call Plural. The hotel's other jobs use River's
// default queue, so an outage of Plural does not delay them.
const (
	queueMoney = "plural_money"
	queueLooks = "plural_looks"
)

// booking is a room for some nights, and the deposit for it.
type booking struct {
	Number, Reference, Mobile, Room, PluralID, Link, Status string
	Nights                                                  int
	Deposit, Fee                                            int64
	Held, Lapsing                                           bool
	Taken, Refunded                                         int64
}

const bookingColumns = `number, reference, mobile, room, plural_id, link, status, nights, deposit, fee, held, lapsing,
	taken, refunded`

// decision is something that the desk decided about a booking.
type decision struct {
	Reference, Number, Kind string
	Amount                  int64
	State, Note             string
	JobID                   int64
}

const decisionColumns = `reference, number, kind, amount, state, note, job_id`

// The kinds and the states of decisions.
const (
	kindCheckOut = "check-out" // take what the guest owes and release the rest
	kindNoShow   = "no-show"   // take the fee
	kindCancel   = "cancel"    // release all
	kindRefund   = "refund"
	kindLink     = "link" // send a link to a guest who booked by telephone

	stateUnderWay = "under way"
	stateDone     = "done"
	stateRefused  = "refused" // nothing was carried out, and nothing will be
	stateLook     = "look"    // a person has to look at Plural's dashboard
	stateGivenUp  = "given up"
)

var (
	errUnknown  = errors.New("there is no such booking")
	errChanged  = errors.New("the booking has changed since you opened it")
	errAmount   = errors.New("this amount cannot be taken or given back")
	errNoHold   = errors.New("there is no hold")
	errLinkLost = errors.New("the link to the payment page was lost")
)

const perNight = 6_000_00

// storeBooking stores a booking. If the guest did not book by telephone, the
// parameter mobile is "". The deposit is the price of the nights plus 5,000
// rupees for extras. The fee for a guest who does not come is the price of one
// night.
func (h *hotel) storeBooking(ctx context.Context, room string, nights int, mobile string) (number string, err error) {
	number = "booking-" + strings.ToLower(rand.Text()) // not guessable, because anybody who knows it may see the booking
	_, err = h.pool.Exec(ctx, `INSERT INTO bookings (number, reference, mobile, room, nights, deposit, fee)
		VALUES ($1, $1, $2, $3, $4, $5, $6)`, number, mobile, room, nights, int64(nights)*perNight+5_000_00, perNight)
	return number, err
}

func (h *hotel) booking(ctx context.Context, number string) (*booking, error) {
	return one[booking](h.pool.Query(ctx, `SELECT `+bookingColumns+` FROM bookings WHERE number = $1`, number))
}

func (h *hotel) byPluralID(ctx context.Context, id string) (*booking, error) {
	return one[booking](h.pool.Query(ctx, `SELECT `+bookingColumns+` FROM bookings WHERE plural_id = $1`, id))
}

func (h *hotel) bookings(ctx context.Context) ([]*booking, error) {
	return all[booking](h.pool.Query(ctx, `SELECT `+bookingColumns+` FROM bookings ORDER BY made_at DESC LIMIT 100`))
}

func (h *hotel) decisions(ctx context.Context, number string) ([]*decision, error) {
	return all[decision](h.pool.Query(ctx, `SELECT `+decisionColumns+` FROM decisions
		WHERE number = $1 ORDER BY made_at`, number))
}

// wayToPay returns the link to the page where the guest pays the deposit. If
// nothing is left to pay, it returns "". If the booking has no link yet, it
// makes the order that holds the deposit, and stores the order's link. If
// Plural's answer with the link was lost, nobody has that link, so wayToPay
// makes another order. For a guest who booked by telephone it makes no order,
// because such a guest gets a payment link by text message.
func (h *hotel) wayToPay(ctx context.Context, number string) (link string, err error) {
	const tries = 3
	for range tries {
		b, err := h.booking(ctx, number)
		if err != nil || b.Mobile != "" || b.Link != "" || b.Status != "" && b.Status != "CREATED" {
			return b.payable(), err
		}
		id, link, err := h.money.deposit(ctx, b.Reference, b.Deposit)
		switch {
		case errors.Is(err, errLinkLost):
			_, err = h.pool.Exec(ctx, `UPDATE bookings SET tries = tries + 1, reference = number || '-' || (tries + 1),
				plural_id = '', status = '', booked_at = 0 WHERE reference = $1 AND link = ''`, b.Reference)
		case err == nil:
			_, err = h.pool.Exec(ctx, `UPDATE bookings SET plural_id = $2, link = $3 WHERE reference = $1 AND link = ''`,
				b.Reference, id, link)
		}
		if err != nil {
			return "", err
		}
	}
	b, err := h.booking(ctx, number)
	return b.payable(), err
}

func (b *booking) payable() string {
	if b == nil || b.Status != "" && b.Status != "CREATED" && b.Status != "ATTEMPTED" {
		return ""
	}
	return b.Link
}

// storeDecision stores a decision, together with the job that carries out the
// decision. The parameter shownDecisions is the number of decisions that the
// desk's page showed. If this number has changed since then, storeDecision
// stores nothing. So if a button is clicked twice, only the first click counts.
func (h *hotel) storeDecision(ctx context.Context, d decision, shownDecisions int) error {
	return h.transact(ctx, func(tx pgx.Tx) error {
		b, err := one[booking](tx.Query(ctx, `SELECT `+bookingColumns+` FROM bookings
			WHERE number = $1 FOR UPDATE`, d.Number))
		if err != nil {
			return err
		}
		var n int
		var refunds int64
		err = tx.QueryRow(ctx, `SELECT count(*), COALESCE(sum(amount) FILTER (WHERE kind = 'refund'
			AND state NOT IN ('refused', 'given up')), 0) FROM decisions WHERE number = $1`, d.Number).Scan(&n, &refunds)
		if err != nil {
			return err
		}
		const minAmount = 100 // in paise; Plural refuses to capture or refund less
		switch {
		case n != shownDecisions:
			return errChanged
		case d.Kind == kindNoShow:
			d.Amount = b.Fee
		case d.Kind == kindCancel:
			d.Amount = 0
		case d.Kind == kindLink && b.Mobile != "" && b.Link == "":
			d.Amount = b.Deposit
		case d.Amount < minAmount, d.Kind == kindCheckOut && d.Amount > b.Deposit,
			d.Kind == kindRefund && d.Amount > b.Taken-max(refunds, b.Refunded):
			return errAmount
		}
		if d.Kind != kindRefund && d.Kind != kindLink && !b.Held {
			return errNoHold
		}
		d.Reference = fmt.Sprintf("%s-%s-%d", d.Number, d.Kind, n+1)
		if d.Kind == kindLink { // always the same reference, so the job finds the first link, and makes no second one
			d.Reference = d.Number + "-link"
			_, err := tx.Exec(ctx, `DELETE FROM decisions
				WHERE reference = $1 AND state IN ('refused', 'given up')`, d.Reference)
			if err != nil {
				return err
			}
		}
		if d.JobID, err = h.money.carryOut(ctx, tx, b, &d); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO decisions (`+decisionColumns+`) VALUES ($1, $2, $3, $4, $5, '', $6)
			ON CONFLICT DO NOTHING`, d.Reference, d.Number, d.Kind, d.Amount, stateUnderWay, d.JobID)
		if err != nil || tag.RowsAffected() == 0 {
			return errors.Join(err, errChanged) // the error also rolls back the job
		}
		return h.insertLetter(ctx, tx, d.Number, "We have noted: "+d.Kind)
	})
}

// giveUp closes a decision if it is not known whether Plural carried it out.
// The desk does this after it has looked at Plural's dashboard. The decision's
// job may be running at this moment. If Plural carries out the job's call after
// all, a later read of Plural's books shows that. But if the call makes a
// payment link, the hotel learns of the link only when the desk asks for a link
// again.
func (h *hotel) giveUp(ctx context.Context, number, reference string) error {
	return h.transact(ctx, func(tx pgx.Tx) error {
		d, err := one[decision](tx.Query(ctx, `SELECT `+decisionColumns+` FROM decisions
			WHERE number = $1 AND reference = $2 AND state = 'look'`, number, reference))
		if err != nil {
			return err
		}
		_, err = h.money.river.JobCancelTx(ctx, tx, d.JobID)
		if err != nil && !errors.Is(err, rivertype.ErrNotFound) { // River deletes a job some time after its end
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE decisions SET state = 'given up' WHERE reference = $1 AND state = 'look'`, reference)
		return err
	})
}

// storeLink stores the link that Plural sent to a guest, and the id of the
// link's order. If the booking already has a link, storeLink changes nothing.
func (h *hotel) storeLink(ctx context.Context, tx pgx.Tx, reference, pluralID, link string) error {
	_, err := tx.Exec(ctx, `UPDATE bookings SET plural_id = $2, link = $3
		WHERE number = (SELECT number FROM decisions WHERE reference = $1) AND link = ''`, reference, pluralID, link)
	return err
}

// The method decided stores the result of a decision. If the decision is a
// cancel, the parameter reference is "". Then the result belongs to the last
// cancel of the booking.
func (h *hotel) decided(ctx context.Context, tx pgx.Tx, pluralID, reference, state, note string) error {
	_, err := tx.Exec(ctx, `UPDATE decisions SET state = $3, note = $4 WHERE reference = $2 OR $2 = '' AND reference = (
		SELECT decisions.reference FROM decisions JOIN bookings USING (number) WHERE plural_id = $1 AND kind = 'cancel'
		ORDER BY decisions.made_at DESC LIMIT 1)`, pluralID, reference, state, note)
	return err
}

// The method inDoubt is called when it is not known whether a decision was
// carried out. It stores the reason why a person has to look.
func (h *hotel) inDoubt(ctx context.Context, tx pgx.Tx, pluralID, reference, reason string) error {
	_, err := tx.Exec(ctx, `UPDATE decisions SET state = 'look', note = $3 WHERE state IN ('under way', 'look')
		AND (reference = $2 OR $2 = '' AND kind = 'cancel'
			AND number IN (SELECT number FROM bookings WHERE plural_id = $1))`, pluralID, reference, reason)
	return err
}

// The type sight describes a deposit as Plural's books show it.
type sight struct {
	Reference, PluralID, Status string
	Deposit                     int64
	IsHeld, MayChange           bool
	At                          int64  // when the order last changed, in microseconds; 0 if Plural does not say
	Taken, Refunded             *int64 // nil if Plural's document of the order does not show the sum
	Refunds                     []refund
}

type refund struct{ Reference, Status string }

// bankRefused returns the references of refunds that the bank refused after
// Plural had accepted them. It leaves out a reference if another refund under
// this reference has not failed. The guest has the money from that refund, or
// may still get it.
func (s *sight) bankRefused() (references []string) {
	hasFailed := func(r refund) bool { return r.Status == "FAILED" || r.Status == "CANCELLED" }
	for _, r := range s.Refunds {
		mayCome := slices.ContainsFunc(s.Refunds, func(other refund) bool {
			return other.Reference == r.Reference && !hasFailed(other)
		})
		if !mayCome {
			references = append(references, r.Reference)
		}
	}
	return references
}

// storeSight stores what Plural's books show about an order. It finds the
// order's booking by the order's reference. Plural itself chooses the reference
// for the order of a payment link. So if the guest booked by telephone,
// storeSight finds the booking by the order's id. Plural's replicas may answer
// with an older state. So a document that is older than the last stored
// document changes nothing. If the order's id or amount does not fit the
// booking, storeSight stores nothing and logs an error, because a person has to
// look into it.
func (h *hotel) storeSight(ctx context.Context, tx pgx.Tx, s sight) error {
	b, err := one[booking](tx.Query(ctx, `SELECT `+bookingColumns+` FROM bookings
		WHERE mobile = '' AND reference = $1 OR mobile <> '' AND plural_id = $2 FOR UPDATE`, s.Reference, s.PluralID))
	if errors.Is(err, errUnknown) {
		// No booking has this order. Perhaps it is not the hotel's order, or
		// its link was lost. Or it is the order of a payment link, and the
		// hotel has not stored its id yet.
		return nil
	}
	if err != nil {
		return err
	}
	if s.Deposit != b.Deposit || b.PluralID != "" && b.PluralID != s.PluralID {
		h.log.ErrorContext(ctx, "Plural's books have another order", "booking", b.Number, "order", s.PluralID)
		return nil
	}
	const clocksApart = 5 * time.Minute
	if s.At > time.Now().Add(clocksApart).UnixMicro() {
		// The document's time is in the future. If the hotel stored this time,
		// all later documents would seem older. So the hotel ignores the time.
		s.At = 0
	}
	tag, err := tx.Exec(ctx, `UPDATE bookings SET plural_id = $2, status = $3, held = $4, may_change = $5,
			taken = COALESCE($6, taken), refunded = COALESCE($7, refunded), lapsing = lapsing AND $4,
			booked_at = GREATEST(booked_at, $8), looked_at = now()
		WHERE number = $1 AND (booked_at <= $8 OR $8 = 0)`,
		b.Number, s.PluralID, s.Status, s.IsHeld, s.MayChange, s.Taken, s.Refunded, s.At)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE decisions SET state = 'refused', note = 'the bank refused it'
		WHERE reference = ANY($1) AND state = 'done'`, s.bankRefused())
	if err == nil && s.IsHeld && !b.Held && b.Status != "AUTHORIZED" {
		err = h.insertLetter(ctx, tx, b.Number, "Your room is booked.")
	}
	return err
}

// markLapsing marks a booking whose hold may end soon. It is called if the hold
// is older than settings.HoldFor.
func (h *hotel) markLapsing(ctx context.Context, tx pgx.Tx, pluralID string) error {
	_, err := tx.Exec(ctx, `UPDATE bookings SET lapsing = true WHERE plural_id = $1`, pluralID)
	return err
}

// orderName has the id by which to look up an order, or the order's reference
// if the hotel does not know the id.
type orderName struct{ PluralID, Reference string }

// listQuietOrders returns the orders that the hotel should read again. Some of
// these orders may still change. For the others, the amounts in the booking's
// row differ from the amounts of the decisions that were carried out.
// listQuietOrders leaves out orders that were read a short time ago, and old
// bookings without a recent decision.
func (h *hotel) listQuietOrders(ctx context.Context, tx pgx.Tx) ([]*orderName, error) {
	rows, err := tx.Query(ctx, `UPDATE bookings SET looked_at = now() WHERE number IN (
		SELECT number FROM bookings b WHERE looked_at < now() - $1::interval
		AND (made_at > now() - interval '60 days' OR EXISTS (SELECT 1 FROM decisions d
			WHERE d.number = b.number AND d.made_at > now() - interval '60 days'))
		AND (mobile = '' OR plural_id <> '') AND (may_change
			OR taken <> (SELECT COALESCE(sum(amount), 0) FROM decisions d
				WHERE d.number = b.number AND kind IN ('check-out', 'no-show') AND state = 'done')
			OR refunded <> (SELECT COALESCE(sum(amount), 0) FROM decisions d
				WHERE d.number = b.number AND kind = 'refund' AND state = 'done'))
		ORDER BY looked_at LIMIT 200 FOR UPDATE SKIP LOCKED)
		RETURNING plural_id, CASE plural_id WHEN '' THEN reference ELSE '' END`, h.quietFor)
	return all[orderName](rows, err)
}

func (h *hotel) transact(ctx context.Context, work func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, h.pool, work)
}

func one[T any](rows pgx.Rows, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	row, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByPos[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errUnknown
	}
	return row, err
}

func all[T any](rows pgx.Rows, err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[T])
}
