package pluralriver

import (
	"context"
	"errors"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// CaptureArgs is a job that captures an order. There is one job for each
// reference: while River keeps the job (24 hours after its end by default),
// inserting it again changes nothing, as
// rivertype.JobInsertResult.UniqueSkippedAsDuplicate says. Later it is a new
// job, which finds in Plural's books what was done.
type CaptureArgs struct {
	OrderID   string        `json:"order_id"`
	Reference string        `json:"reference" river:"unique"` // the merchant's, of this capture
	Amount    plural.Amount `json:"amount,omitzero"`
	Full      bool          `json:"full,omitzero"` // the whole hold, in place of Amount
}

// Kind is the job's name in the database.
func (CaptureArgs) Kind() string { return "plural_capture" }

// InsertOpts has the job inserted once for each reference.
func (CaptureArgs) InsertOpts() river.InsertOpts { return once() }

func (a CaptureArgs) call(ctx context.Context, client *plural.Client, _ bool) (*plural.Order, error) {
	return client.Captures.Create(ctx, a.OrderID, &plural.CaptureRequest{
		MerchantCaptureReference: a.Reference, CaptureAmount: a.Amount, FullAmount: a.Full,
	})
}

func (a CaptureArgs) about() (orderID, reference string) { return a.OrderID, a.Reference }

// CancelArgs is a job that cancels an order. There is one job for each order.
type CancelArgs struct {
	OrderID string `json:"order_id" river:"unique"`
}

// Kind is the job's name in the database.
func (CancelArgs) Kind() string { return "plural_cancel" }

// InsertOpts has the job inserted once for each order.
func (CancelArgs) InsertOpts() river.InsertOpts { return once() }

func (a CancelArgs) call(ctx context.Context, client *plural.Client, _ bool) (*plural.Order, error) {
	return client.Cancels.Create(ctx, a.OrderID)
}

func (a CancelArgs) about() (orderID, reference string) { return a.OrderID, "" }

// RefundArgs is a job that refunds an order. There is one job for each
// reference.
type RefundArgs struct {
	OrderID   string            `json:"order_id"`                 // the one to refund
	Reference string            `json:"reference" river:"unique"` // the merchant's, of this refund
	Amount    plural.Amount     `json:"amount"`
	Metadata  map[string]string `json:"metadata,omitzero"`
}

// Kind is the job's name in the database.
func (RefundArgs) Kind() string { return "plural_refund" }

// InsertOpts has the job inserted once for each reference.
func (RefundArgs) InsertOpts() river.InsertOpts { return once() }

// call asks the books before it sends again: that a refund is not made twice
// then rests on more than Plural keeping references unique.
func (a RefundArgs) call(ctx context.Context, client *plural.Client, again bool) (*plural.Order, error) {
	if again {
		found, err := client.Refunds.Find(ctx, a.OrderID, a.Reference)
		switch {
		case err == nil && found.OrderAmount == a.Amount:
			return found, nil
		case err != nil && !errors.Is(err, plural.ErrNotFound):
			return found, err
		}
	}
	return client.Refunds.Create(ctx, a.OrderID, &plural.RefundRequest{
		MerchantOrderReference: a.Reference, OrderAmount: a.Amount, MerchantMetadata: a.Metadata,
	})
}

func (a RefundArgs) about() (orderID, reference string) { return a.OrderID, a.Reference }

// once counts jobs in all states, those that ended without an effect included:
// their reference stands for that now.
func once() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}}
}
