package pluralriver

import (
	"context"
	"time"

	"github.com/plural-go/plural"
)

// WatchArgs has the arguments of the job that Watch makes.
type WatchArgs = watchArgs

// OnStep sets a function that is called between the steps of a job's run.
func OnStep[TTx any](cfg Config[TTx], step func(name string)) Config[TTx] {
	cfg.step = step
	return cfg
}

// Daily is a function for tests. It sets how long a job waits before its next
// try, if a person has to look at the job.
func Daily[TTx any](cfg Config[TTx], wait time.Duration) Config[TTx] {
	cfg.daily = wait
	return cfg
}

// FindLink returns what a job about a payment link finds before it sends
// anything. If isLaterRun is true, FindLink reads the books in the same way as
// a later run of the job.
func FindLink(
	ctx context.Context, client *plural.Client, args MoneyArgs, isLaterRun bool,
) (*plural.PaymentLink, error) {
	got, err := args.findExisting(ctx, client, isLaterRun)
	if got == nil {
		return nil, err
	}
	return got.link, err
}
