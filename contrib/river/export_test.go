package pluralriver

import (
	"context"
	"time"

	"github.com/plural-go/plural"
)

// WatchArgs is the job of Watch.
type WatchArgs = watchArgs

// OnStep sets a function that is called between the steps of a job's run.
func OnStep[TTx any](cfg Config[TTx], step func(name string)) Config[TTx] {
	cfg.step = step
	return cfg
}

// Daily sets the wait before the next try of a job that a person has to look
// at.
func Daily[TTx any](cfg Config[TTx], wait time.Duration) Config[TTx] {
	cfg.daily = wait
	return cfg
}

// FindLink returns what a job about a payment link finds before it sends
// anything. For a later run of the job, the parameter again is true.
func FindLink(
	ctx context.Context, client *plural.Client, args MoneyArgs, again bool,
) (*plural.PaymentLink, error) {
	got, err := args.findExisting(ctx, client, again)
	if got == nil {
		return nil, err
	}
	return got.link, err
}
