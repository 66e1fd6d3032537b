package plural

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// getOrder reads an order by its id.
func (p *pipeline) getOrder(ctx context.Context, orderID string, opts []CallOption) (*Order, error) {
	var check requestCheck
	check.orderID(orderID)
	orderID = strings.Clone(orderID)
	k, err := p.newCall(ctx, opGetOrder, pathOfOrder(orderID), orderID, nil, check, opts)
	if err != nil {
		return nil, err
	}
	return k.readOrder(ctx, decodeOrderOf(otherOrder(orderID)))
}

// getByReference reads an order by the merchant's reference.
func (p *pipeline) getByReference(ctx context.Context, reference string, opts []CallOption) (*Order, error) {
	var check requestCheck
	check.lookup("merchant_order_reference", reference)
	reference = strings.Clone(reference)
	k, err := p.newCall(ctx, opGetByReference, pathByReference(reference), reference, nil, check, opts)
	if err != nil {
		return nil, err
	}
	return k.readOrder(ctx, decodeOrderOf(otherReference(reference)))
}

// readOrder reads one order. It repeats a read that fails.
func (k *call) readOrder(ctx context.Context, decode decoder) (*Order, error) {
	var o *Order
	err := k.read(ctx, func(a *answer) (err error) {
		o, err = decode(a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// ask makes a settling read, which asks what happened to a write. It has the
// options of the write. It is repeated on failures, even if the write is not
// repeated.
func (k *call) ask(ctx context.Context, op operation, path, subject string, decode decoder) (*Order, error) {
	ask, err := k.settlingRead(op, path, subject)
	if err != nil {
		return nil, err
	}
	return ask.readOrder(ctx, decode)
}

func (k *call) settlingRead(op operation, path, subject string) (*call, error) {
	ask, err := k.p.callWith(k.cfg, op, path, nil)
	if err != nil {
		return nil, err
	}
	ask.subject, ask.isSettlingRead, ask.clock = subject, true, k.clock
	ask.orderID, ask.reference = k.orderID, k.reference
	return ask, nil
}

// askOrder reads an order by its id, to settle a write.
func (k *call) askOrder(ctx context.Context, id string) (*Order, error) {
	return k.ask(ctx, opGetOrder, pathOfOrder(id), id, decodeOrderOf(otherOrder(id)))
}

// askReference reads the order that has a reference, to settle a write.
func (k *call) askReference(ctx context.Context, reference string) (*Order, error) {
	return k.ask(ctx, opGetByReference, pathByReference(reference), reference, decodeOrderOf(otherReference(reference)))
}

// provesAbsence reports whether a failed look-up is evidence that the reference
// is unknown: ORDER_NOT_FOUND, or 400 "no matching records". A bare 404 or a
// firewall's page is not evidence.
func provesAbsence(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == CodeOrderNotFound && e.StatusCode >= http.StatusBadRequest && e.StatusCode < 500 ||
		e.isNoMatchingRecords())
}
