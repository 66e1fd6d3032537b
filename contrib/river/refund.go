package pluralriver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/plural-go/plural"
)

// findExisting looks for the refund before the job sends it. So the refund is
// not made twice, even if Plural does not keep references unique.
//
// The first run of a job looks for the refund once, because an earlier job may
// have had the same reference. A later run first calls Refunds.Find, which
// reads the books until several reads agree. If Plural does not have the
// refund, the run waits a while, and then reads the books again. The run does
// this because an earlier run may have sent the refund a moment ago, and
// because Plural may answer with an older state. The later run sends the refund
// only if the books have shown that Plural does not have the refund.
func (a RefundArgs) findExisting(ctx context.Context, client *plural.Client, isLaterRun bool) (*result, error) {
	if isLaterRun {
		if o, err := a.findRefund(ctx, client); o != nil || err != nil {
			return ofOrder(o, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(remaining(ctx) / 8):
		}
	}
	if !a.isInSight(ctx, client) {
		return nil, nil //nolint:nilnil // the refund is not there, which is not an error
	}
	return ofOrder(a.findRefund(ctx, client))
}

// isInSight reports whether the books show the refund. It reads the refund. If
// that read returns an error, it reads the order. If this second read also
// returns an error, isInSight returns false.
func (a RefundArgs) isInSight(ctx context.Context, client *plural.Client) bool {
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	if _, err := client.Refunds.GetByReference(ctx, a.Reference); err == nil {
		return true
	}
	parent, err := client.Orders.Get(ctx, a.OrderID)
	return err == nil && slices.ContainsFunc(parent.Refunds, func(r plural.Order) bool {
		return r.MerchantOrderReference == a.Reference
	})
}

// findRefund reads the books. If the job may send the refund, findRefund
// returns no refund and no error. The job must not send the refund in these
// cases:
//   - The books show a refund under this reference that has not failed, with
//     any amount.
//   - The books show two refunds under this reference.
//   - The books cannot be read, or are unclear.
func (a RefundArgs) findRefund(ctx context.Context, client *plural.Client) (*plural.Order, error) {
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	o, err := client.Refunds.Find(ctx, a.OrderID, a.Reference)
	if err == nil {
		return a.sameAmount(o)
	}
	if _, isDouble := errors.AsType[*plural.DoubleRefundError](err); isDouble {
		return nil, err
	}
	if errors.Is(err, plural.ErrNotFound) || errors.Is(err, plural.ErrNotApplied) || errors.Is(err, plural.ErrConflict) {
		return nil, nil //nolint:nilnil // Find returned no refund, so the job may make the call
	}
	return nil, err
}

// withLookTimeout limits the time for reading the books, so most of the try's
// time is left for the call.
func withLookTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, remaining(ctx)*2/5)
}

func remaining(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return defaultTimeout
}
