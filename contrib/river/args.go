package pluralriver

import (
	"context"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/plural-go/plural"
)

// The kinds of jobs, as they are in River's database.
const (
	KindCapture = "plural_capture"
	KindCancel  = "plural_cancel"
	KindRefund  = "plural_refund"

	KindLink       = "plural_payment_link"
	KindLinkCancel = "plural_payment_link_cancel"

	KindLook  = "plural_look"  // read an order: [LookArgs]
	KindSweep = "plural_sweep" // find orders to read: [Sweep]
	KindWatch = "plural_watch" // find jobs that were cancelled or given up: [Watch]
)

// MoneyArgs is [CaptureArgs], [CancelArgs], [RefundArgs], [LinkArgs] or
// [LinkCancelArgs].
type MoneyArgs interface {
	river.JobArgs
	check() error
	subject() (orderID, reference string)
	// findExisting looks for the call's effect in the books. It returns nil
	// if the books do not show the effect. An error means that the call
	// must not be sent now. If isLaterRun is true, an earlier run of the job
	// may have sent the call.
	findExisting(ctx context.Context, client *plural.Client, isLaterRun bool) (*result, error)
	send(ctx context.Context, client *plural.Client) (*result, error)
}

// A result has the document that a call returned. If the books already showed
// the call's effect, no call was made, and the document is from the books.
type result struct {
	order *plural.Order
	link  *plural.PaymentLink
}

// ofOrder makes the result of a call about an order. It returns nil if o is
// nil.
func ofOrder(o *plural.Order, err error) (*result, error) {
	if o == nil {
		return nil, err
	}
	return &result{order: o}, err
}

// CaptureArgs is a job that captures an order. For each reference, at most one
// job can be waiting or running. Set either Amount or Full, but not both.
type CaptureArgs struct {
	OrderID   string        `json:"order_id"`
	Reference string        `json:"reference" river:"unique"` // the merchant's reference of this capture
	Amount    plural.Amount `json:"amount,omitzero"`
	Full      bool          `json:"full,omitzero"` // capture the whole hold, instead of Amount
}

// Kind returns [KindCapture].
func (CaptureArgs) Kind() string { return KindCapture }

// InsertOpts prevents a second job while the first job has not ended.
func (CaptureArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

func (a CaptureArgs) request() *plural.CaptureRequest {
	return &plural.CaptureRequest{MerchantCaptureReference: a.Reference, CaptureAmount: a.Amount, FullAmount: a.Full}
}

func (a CaptureArgs) check() error { return a.request().Validate(a.OrderID) }

func (a CaptureArgs) subject() (orderID, reference string) { return a.OrderID, a.Reference }

// For a full capture findExisting returns nil, and the job calls
// Captures.Create. The job has no amount to compare with the books, and
// Captures.Create can judge a full capture. An order can be captured only once,
// so Captures.Create does not take the money twice.
func (a CaptureArgs) findExisting(ctx context.Context, client *plural.Client, isLaterRun bool) (*result, error) {
	if !isLaterRun || a.Full {
		return nil, nil //nolint:nilnil // the job calls Captures.Create, which can read the books itself
	}
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	o, err := client.Captures.Find(ctx, a.OrderID, a.Reference)
	if err != nil {
		return nil, nil //nolint:nilnil // Find returned no capture, so the job calls Captures.Create
	}
	var sum plural.Amount
	for _, c := range o.Captures() {
		if c.MerchantCaptureReference != a.Reference || !c.IsSettled() {
			continue
		}
		if sum == (plural.Amount{}) {
			sum.Currency = c.CaptureAmount.Currency
		}
		if sum, err = sum.Add(c.CaptureAmount); err != nil {
			return nil, nil //nolint:nilnil // the amounts cannot be added up, so the job calls Captures.Create
		}
	}
	if sum != a.Amount {
		return nil, nil //nolint:nilnil // Captures.Create finds the other amount, and reports it
	}
	return ofOrder(o, nil)
}

func (a CaptureArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofOrder(client.Captures.Create(ctx, a.OrderID, a.request()))
}

// CancelArgs is a job that cancels an order. For each order, at most one job
// can be waiting or running. After Plural refused a cancel, the shop can insert
// another job.
type CancelArgs struct {
	OrderID string `json:"order_id" river:"unique"`
}

// Kind returns [KindCancel].
func (CancelArgs) Kind() string { return KindCancel }

// InsertOpts prevents a second job while the first job has not ended.
func (CancelArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

func (a CancelArgs) check() error { return plural.ValidateCancel(a.OrderID) }

func (a CancelArgs) subject() (orderID, reference string) { return a.OrderID, "" }

func (a CancelArgs) findExisting(ctx context.Context, client *plural.Client, isLaterRun bool) (*result, error) {
	if !isLaterRun {
		return nil, nil //nolint:nilnil // the first run cancels the order without reading the books
	}
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	o, err := client.Orders.Get(ctx, a.OrderID)
	if err != nil || o.Status != plural.OrderStatusCancelled {
		return nil, nil //nolint:nilnil // the books did not show a cancelled order, so the job calls Cancels.Create
	}
	return ofOrder(o, nil)
}

func (a CancelArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofOrder(client.Cancels.Create(ctx, a.OrderID))
}

// RefundArgs is a job that refunds an order. For each reference, at most one
// job can be waiting or running. The fields have the same meaning as in
// [plural.RefundRequest].
type RefundArgs struct {
	OrderID   string            `json:"order_id"`                 // the order to refund
	Reference string            `json:"reference" river:"unique"` // the merchant's reference of this refund
	Amount    plural.Amount     `json:"amount"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Products  []plural.Product  `json:"products,omitempty"`  // EMI purchases only
	SplitInfo *plural.SplitInfo `json:"split_info,omitzero"` // split orders only
}

// Kind returns [KindRefund].
func (RefundArgs) Kind() string { return KindRefund }

// InsertOpts prevents a second job while the first job has not ended.
func (RefundArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

func (a RefundArgs) request() *plural.RefundRequest {
	return &plural.RefundRequest{
		MerchantOrderReference: a.Reference, OrderAmount: a.Amount,
		MerchantMetadata: a.Metadata, Products: a.Products, SplitInfo: a.SplitInfo,
	}
}

func (a RefundArgs) check() error { return a.request().Validate(a.OrderID) }

func (a RefundArgs) subject() (orderID, reference string) { return a.OrderID, a.Reference }

func (a RefundArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofOrder(client.Refunds.Create(ctx, a.OrderID, a.request()))
}

// sameAmount compares the refund that was found with the job's amount. If the
// amounts are equal, sameAmount returns the refund. If the amounts differ,
// sameAmount returns a conflict, and the job's refund must not be sent. If
// Plural accepted the job's refund too, there would be two refunds under this
// reference.
func (a RefundArgs) sameAmount(found *plural.Order) (*plural.Order, error) {
	if found.OrderAmount == a.Amount {
		return found, nil
	}
	return nil, &plural.StateError{
		Op: "refunds.create", OrderID: a.OrderID, Reference: a.Reference, Order: found, Conflict: true,
		Reason: fmt.Sprintf("the refund under this reference has the amount %s, not %s", found.OrderAmount, a.Amount),
	}
}

// oneThatHasNotEnded allows only one job at a time. Jobs that have ended do not
// count: after any result, the shop may insert a new job for the same call.
func oneThatHasNotEnded() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}
