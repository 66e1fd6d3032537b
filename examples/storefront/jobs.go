package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	pluralriver "github.com/plural-go/plural/contrib/river"
)

// queueBooks is a separate queue for reads of Plural's books, so the reads
// never delay a capture.
const queueBooks = "books"

// startJobs starts the workers. With contrib/river they make the calls that
// move money, and read Plural's books.
func (s *shop) startJobs(ctx context.Context, p pace, middleware []rivertype.Middleware) error {
	workers := river.NewWorkers()
	err := errors.Join(
		pluralriver.AddWorkers(workers, pluralriver.Config[*sql.Tx]{
			Client: s.till.client, Transact: s.db.transact, Timeout: p.Timeout,
			Ended: s.desk.onEnded, Unsettled: s.desk.onUnsettled,
		}),
		pluralriver.AddLooks(workers, pluralriver.Looks[*sql.Tx]{
			Client: s.till.client, Transact: s.db.transact, Seen: s.till.onSeen, Queue: queueBooks, Timeout: p.Timeout,
			HoldFor: p.Hold, Lapsing: s.till.onLapsing,
			Quiet: func(ctx context.Context, tx *sql.Tx) ([]pluralriver.LookArgs, error) {
				return s.till.ordersToRead(ctx, tx, p.Look)
			},
			Prune: func(ctx context.Context) error {
				_, err := s.inbox.Prune(ctx, sweepAge)
				return err
			},
		}),
		river.AddWorkerSafely(workers, &bankWorker{bank: &bankReader{s.till.orderBooks, s.till.client}}),
	)
	if err != nil {
		return err
	}
	s.till.river, err = river.NewClient(s.db.river, &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: 8},
			queueBooks:         {MaxWorkers: 4},
		},
		Workers:              workers,
		Logger:               slog.New(levelled{s.log.Handler(), slog.LevelWarn}),
		Middleware:           middleware,
		ErrorHandler:         panicLogger{s.log},
		FetchPollInterval:    p.Poll,
		FetchCooldown:        min(p.Poll, river.FetchCooldownDefault),
		JobTimeout:           p.Timeout,
		RescueStuckJobsAfter: p.Rescue,
		// River never deletes a job that was given up, because a person still
		// has to look at the job's decision.
		DiscardedJobRetentionPeriod: -1,
		RetryPolicy:                 p.Retry,
		PeriodicJobs: []*river.PeriodicJob{
			pluralriver.Watch(), pluralriver.Sweep(p.Sweep), nightlyJob(p.Bank),
		},
	})
	if err != nil {
		return err
	}
	return s.till.river.Start(context.WithoutCancel(ctx)) // stopJobs stops the workers
}

// panicLogger writes a log line for each job that panics.
type panicLogger struct{ log *slog.Logger }

func (t panicLogger) HandleError(context.Context, *rivertype.JobRow, error) *river.ErrorHandlerResult {
	return nil
}

func (t panicLogger) HandlePanic(
	ctx context.Context, job *rivertype.JobRow, value any, trace string,
) *river.ErrorHandlerResult {
	t.log.ErrorContext(ctx, "job panicked", "kind", job.Kind, "id", job.ID, "panic", value, "trace", trace)
	return nil
}

// stopJobs gives running jobs some time to end.
func stopJobs(ctx context.Context, jobs *river.Client[*sql.Tx]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := jobs.Stop(ctx); err != nil {
		_ = jobs.StopAndCancel(context.WithoutCancel(ctx)) // another process finds these jobs and tries them again
	}
}

// The type levelled is a log handler. It passes on only the log records that
// have at least the given level.
type levelled struct {
	slog.Handler

	level slog.Level
}

func (h levelled) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h levelled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelled{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelled) WithGroup(name string) slog.Handler {
	return levelled{h.Handler.WithGroup(name), h.level}
}
