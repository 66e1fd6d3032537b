package pluralriver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// ErrOtherWaiting means that another job with the same reference has not ended,
// and that its arguments are different. Nothing was inserted. A cancel never
// gets this error, because all cancels of one order or link have the same
// arguments. Wait until the other job has ended, or cancel that job and find
// out what happened to its call.
var ErrOtherWaiting = errors.New("pluralriver: a job with this reference that asks for something else has not ended")

// InsertTx stores a money call in the shop's transaction. It checks the request
// first, as the call does, because a job that breaks Plural's rules would fail
// later. The error of that check is a plural.ValidationError.
//
// While another job with the same reference has not ended, nothing is inserted.
// If the other job has the same arguments, InsertTx returns a result with the
// other job, and with UniqueSkippedAsDuplicate set to true. If the other job
// has different arguments, the error is [ErrOtherWaiting]. After the other job
// has ended, the same call can be inserted again. The new job finds in Plural's
// books what was done.
//
// The opts may be nil. Their UniqueOpts are ignored.
func InsertTx[TTx any](
	ctx context.Context, client *river.Client[TTx], tx TTx, args MoneyArgs, opts *river.InsertOpts,
) (*rivertype.JobInsertResult, error) {
	if args == nil {
		return nil, errors.New("pluralriver: insert: no args")
	}
	if err := args.check(); err != nil {
		return nil, err
	}
	var with river.InsertOpts
	if opts != nil {
		with = *opts
	}
	with.UniqueOpts = river.UniqueOpts{} // River then uses the UniqueOpts of args
	inserted, err := client.InsertTx(ctx, tx, args, &with)
	if err != nil {
		return nil, fmt.Errorf("pluralriver: insert: %w", err)
	}
	if inserted.UniqueSkippedAsDuplicate {
		same, err := isSame(inserted.Job.EncodedArgs, args)
		if err != nil {
			return inserted, fmt.Errorf("pluralriver: read job %d: %w", inserted.Job.ID, err)
		}
		if !same {
			return inserted, fmt.Errorf("%w: job %d (%s)", ErrOtherWaiting, inserted.Job.ID, inserted.Job.State)
		}
	}
	return inserted, nil
}

// isSame reports whether a stored job has the same args. It compares decoded
// JSON, because the database may have formatted the JSON differently.
func isSame(encoded []byte, args MoneyArgs) (bool, error) {
	ours, err := json.Marshal(args)
	if err != nil {
		return false, err
	}
	a, err := normalizeJSON(encoded)
	if err != nil {
		return false, err
	}
	b, err := normalizeJSON(ours)
	return bytes.Equal(a, b), err
}

func normalizeJSON(encoded []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}
