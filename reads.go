package plural

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// getOrder reads an order by its id.
func (p *pipeline) getOrder(ctx context.Context, orderID string, decode decoder, opts []CallOption) (*Order, error) {
	return readBy(ctx, p, opGetOrder, "order_id", orderID, pathOfOrder, decode, opts)
}

// getByReference reads an order by the merchant's reference.
func (p *pipeline) getByReference(
	ctx context.Context, reference string, decode decoder, opts []CallOption,
) (*Order, error) {
	return readBy(ctx, p, opGetByReference, "merchant_order_reference", reference, pathByReference, decode, opts)
}

// readBy reads a document by its id or its reference. The parameter fieldName
// is the JSON name of that id or reference. A [ValidationError] shows this
// name.
func readBy[T any](
	ctx context.Context, p *pipeline, op operation, fieldName, id string, pathOf func(id string) string,
	decode func(*answer) (*T, error), opts []CallOption,
) (*T, error) {
	var check requestCheck
	check.segment(fieldName, id)
	id = strings.Clone(id)
	k, err := p.newCall(ctx, op, pathOf(id), id, nil, check, opts)
	if err != nil {
		return nil, err
	}
	return documentOrError(readDocument(ctx, k, decode))
}

// readDocument repeats a read until decode accepts an answer, or no further try
// is allowed. Like decode, it may return both a document and an error. Such a
// document cannot be used, but it shows that the order or link exists.
func readDocument[T any](ctx context.Context, k *call, decode func(*answer) (*T, error)) (document *T, err error) {
	err = k.read(ctx, func(a *answer) error {
		read, err := decode(a)
		if read != nil {
			document = read
		}
		return err
	})
	return document, err
}

// If there is an error, documentOrError returns only the error. Otherwise it
// returns the document. So callers never use a document that comes with an
// error.
func documentOrError[T any](document *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return document, nil
}

// newSettlingRead makes a call that reads the books, to find out what happened
// to the write k. The new call has the options of the write. A request that
// fails is repeated, even if the options allow only one try of the write.
func (k *call) newSettlingRead(op operation, path, subject string) (*call, error) {
	ask, err := k.p.callWith(k.cfg, op, path, nil)
	if err != nil {
		return nil, err
	}
	ask.subject, ask.isSettlingRead, ask.clock = subject, true, k.clock
	ask.orderID, ask.reference = k.orderID, k.reference
	return ask, nil
}

// askOrder reads an order by its id, to find out what happened to a write.
func (k *call) askOrder(ctx context.Context, id string) (*Order, error) {
	ask, err := k.newSettlingRead(opGetOrder, pathOfOrder(id), id)
	if err != nil {
		return nil, err
	}
	ask.orderID = id // the write's own id may be that of a payment link
	return documentOrError(readDocument(ctx, ask, decodeOrderOf(otherOrder(id))))
}

// askReference looks up an order or a refund by its reference, to find out what
// happened to a write. It may return both an error and a document, as
// readDocument does.
func (k *call) askReference(ctx context.Context, reference string) (*Order, error) {
	ask, err := k.newSettlingRead(opGetByReference, pathByReference(reference), reference)
	if err != nil {
		return nil, err
	}
	return readDocument(ctx, ask, decodeOrderWith(reference))
}

// provesAbsence reports whether a failed look-up is evidence that Plural does
// not know the id or the reference. Such evidence is the code ORDER_NOT_FOUND,
// or a 400 with "no matching records". A bare 404 or a firewall's page is not
// evidence.
func provesAbsence(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == CodeOrderNotFound && e.StatusCode >= http.StatusBadRequest && e.StatusCode < 500 ||
		e.isNoMatchingRecords())
}
