package pluralriver

import (
	"context"
	"time"

	"github.com/plural-go/plural"
)

// WatchArgs is the job of Watch.
type WatchArgs = watchArgs

// OnStep has a function called between the steps of working a job.
func OnStep[TTx any](cfg Config[TTx], step func(name string)) Config[TTx] {
	cfg.step = step
	return cfg
}

// Daily changes how long a job waits if a person has to look at it.
func Daily[TTx any](cfg Config[TTx], wait time.Duration) Config[TTx] {
	cfg.daily = wait
	return cfg
}

// FindLink is what a job about a payment link finds before it sends anything.
// again is true for a later run of the job.
func FindLink(
	ctx context.Context, client *plural.Client, args MoneyArgs, again bool,
) (*plural.PaymentLink, error) {
	got, err := args.findExisting(ctx, client, again)
	if got == nil {
		return nil, err
	}
	return got.link, err
}
