package plural_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/plural-go/plural"
)

// capturer has the one method of the SDK that the merchant's code uses. A fake
// of it lets unit tests run without a server.
type capturer interface {
	Create(
		ctx context.Context, orderID string, req *plural.CaptureRequest, opts ...plural.CallOption,
	) (*plural.Order, error)
}

// fakeCaptures returns errors built from exported fields. They match the same
// sentinels as the SDK's own errors.
type fakeCaptures map[string]error

func (f fakeCaptures) Create(
	_ context.Context, orderID string, _ *plural.CaptureRequest, _ ...plural.CallOption,
) (*plural.Order, error) {
	if err := f[orderID]; err != nil {
		return nil, err
	}
	return &plural.Order{OrderID: orderID, Status: plural.OrderStatusProcessed}, nil
}

// nextStep says what a merchant's queue does with the message that asks for a
// capture.
func nextStep(ctx context.Context, captures capturer, orderID string) string {
	req := &plural.CaptureRequest{MerchantCaptureReference: plural.Reference("capture", orderID), FullAmount: true}
	switch _, err := captures.Create(ctx, orderID, req); {
	case err == nil:
		return "done"
	case errors.Is(err, plural.ErrNotApplied):
		return "drop the message, tell the shop"
	case errors.Is(err, plural.ErrConflict):
		return "drop the message, tell the staff"
	case plural.NeedsReview(err):
		return "tell the staff, try again tomorrow"
	default:
		return "leave the message in the queue"
	}
}

// A merchant's unit test needs no server if the code uses the SDK through a
// small interface.
func Example_fake() {
	captures := fakeCaptures{
		"v1-cancelled": &plural.StateError{OrderID: "v1-cancelled", Reason: "the order is CANCELLED"},
		"v1-other":     &plural.StateError{OrderID: "v1-other", Reason: "the reference was used", Conflict: true},
		"v1-declined":  &plural.Error{StatusCode: 422, Code: plural.CodePaymentDeclined, NeedsReview: true},
		"v1-lost":      &plural.OutcomeUnknownError{OrderID: "v1-lost", Err: context.DeadlineExceeded},
		"v1-busy":      &plural.Error{StatusCode: 429, Code: plural.CodeAPIRateLimit},
	}
	for _, id := range []string{"v1-fine", "v1-cancelled", "v1-other", "v1-declined", "v1-lost", "v1-busy"} {
		fmt.Printf("%s: %s\n", id, nextStep(context.Background(), captures, id))
	}
	// Output:
	// v1-fine: done
	// v1-cancelled: drop the message, tell the shop
	// v1-other: drop the message, tell the staff
	// v1-declined: tell the staff, try again tomorrow
	// v1-lost: leave the message in the queue
	// v1-busy: leave the message in the queue
}
