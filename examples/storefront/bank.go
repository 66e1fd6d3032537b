package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// bankReader asks Plural which payments have reached the shop's bank account. A
// job does this each night. The job only reads, and decides nothing. A payment
// that has not arrived may arrive tomorrow.
type bankReader struct {
	*orderBooks

	client *plural.Client
}

// bankDays is the number of days whose settlements the job reads. Plural
// settles within 45 days.
const bankDays = 50

// An arrival is the money of one payment in a transfer to the shop's bank
// account. One transfer may contain the money of many payments.
type arrival struct {
	PaymentID string
	UTR       string
	Day       string // "2026-11-27"; "" if Plural does not name the day
	Status    plural.PayoutStatus
}

// Text describes the arrival in words.
func (a *arrival) Text() string {
	if !a.Status.IsSuccess() {
		return "in UTR " + a.UTR + ", payout " + strings.ToLower(string(a.Status))
	}
	if day, err := time.Parse(time.DateOnly, a.Day); err == nil {
		return "arrived: UTR " + a.UTR + ", " + day.Format("2 Jan 2006")
	}
	return "arrived: UTR " + a.UTR
}

// readSettlements gets the latest settlements from Plural, and stores their
// lines. It skips a settlement whose lines are all stored and all paid out,
// unless the settlement has changed since then.
func (b *bankReader) readSettlements(ctx context.Context) error {
	today := time.Now().In(plural.India())
	days := plural.Days{First: today.AddDate(0, 0, 1-bankDays), Last: today}
	for s, err := range b.client.Settlements.List(ctx, days) {
		if err != nil {
			return b.skipIncomplete(ctx, err)
		}
		if hasZero(s.UTRNumber) { // PostgreSQL refuses to look for it
			b.log.WarnContext(ctx, "a settlement without a usable UTR", "utr", s.UTRNumber)
			continue
		}
		mark := fmt.Sprintf("%d %q %q", s.TotalTransactionsCount, s.TotalAmount, s.SettledDate)
		isRead, err := b.db.isRead(ctx, b.db, s.UTRNumber, mark)
		if err != nil {
			return err
		}
		if isRead {
			continue
		}
		isPaidOut, err := b.readLines(ctx, s)
		if err != nil {
			if hasNoLines(err) {
				b.log.WarnContext(ctx, "a settlement without lines", "utr", s.UTRNumber, "error", err)
			} else if err = b.skipIncomplete(ctx, err); err != nil {
				return err
			}
			continue
		}
		if !isPaidOut {
			continue // a payout may succeed later, and the settlement's figures do not show that
		}
		if err := b.db.markRead(ctx, b.db, s.UTRNumber, mark); err != nil {
			return err
		}
	}
	return nil
}

// readLines stores the lines of a settlement. It reports whether all their
// payouts have succeeded.
func (b *bankReader) readLines(ctx context.Context, s *plural.Settlement) (isPaidOut bool, err error) {
	day := ""
	if at, err := s.SettledDate.In(plural.India()); err == nil {
		day = at.Format(time.DateOnly)
	}
	isPaidOut = true
	for line, err := range b.client.Settlements.Lines(ctx, s.UTRNumber) {
		if err != nil {
			return false, err
		}
		isPaidOut = isPaidOut && line.PayoutStatus.IsSuccess()
		one := arrival{PaymentID: line.TransactionID, UTR: s.UTRNumber, Day: day, Status: line.PayoutStatus}
		if hasZero(fmt.Sprint(one)) {
			continue // PostgreSQL refuses a text with a zero byte, and no payment has such an id
		}
		if err := b.db.saveArrival(ctx, b.db, &one); err != nil {
			return false, err
		}
	}
	return isPaidOut, nil
}

// hasNoLines reports whether err means that the lines of a settlement do not
// exist or cannot be asked for. Either the settlement in Plural's list has no
// usable UTR, or Plural does not find the settlement under its UTR. The job
// must still read the other settlements.
func hasNoLines(err error) bool {
	_, isInvalid := errors.AsType[*plural.ValidationError](err)
	return isInvalid || errors.Is(err, plural.ErrNotFound)
}

// The job calls skipIncomplete if the list of settlements, or the list of a
// settlement's lines, ends with an error. The lines before the error are
// already stored. If the error is ErrIncomplete, skipIncomplete returns nil,
// and the job reads the missing part the next night. If the error is another
// one, or if ctx has ended, skipIncomplete returns the error, and the job
// fails.
func (b *bankReader) skipIncomplete(ctx context.Context, err error) error {
	if !errors.Is(err, plural.ErrIncomplete) || ctx.Err() != nil {
		return err
	}
	b.log.WarnContext(ctx, "settlements were not read whole", "error", err)
	return nil
}

// bankArgs is the type of the nightly job's arguments. It has no fields,
// because the job needs no arguments.
type bankArgs struct{}

func (bankArgs) Kind() string { return "storefront_bank" }

// InsertOpts allows only one such job at a time, for all processes together.
func (bankArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueBooks, MaxAttempts: 3, UniqueOpts: river.UniqueOpts{
		ByQueue: true,
		ByState: []rivertype.JobState{ // all states except those of jobs that have ended
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		},
	}}
}

// nightlyJob returns a job for River. River runs the job when the program
// starts, and then again after each interval.
func nightlyJob(every time.Duration) *river.PeriodicJob {
	return river.NewPeriodicJob(
		river.PeriodicInterval(every),
		func() (river.JobArgs, *river.InsertOpts) { return bankArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true},
	)
}

type bankWorker struct {
	river.WorkerDefaults[bankArgs]

	bank *bankReader
}

// Work finds out which payments have reached the bank.
func (w *bankWorker) Work(ctx context.Context, _ *river.Job[bankArgs]) error {
	return w.bank.readSettlements(ctx)
}

// Timeout is long, because the job makes a request for each ten lines.
func (w *bankWorker) Timeout(*river.Job[bankArgs]) time.Duration { return time.Hour }
