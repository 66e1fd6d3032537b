package plural

import (
	"errors"

	"github.com/plural-go/plural/internal/wire"
)

// decodeOrder reads an answer of the pay API. Its documents are wrapped in "data".
func decodeOrder(a *answer) (*Order, error) {
	d := a.document()
	if d.err != nil {
		return nil, d.err
	}
	if d.Data == nil {
		return nil, errors.New("the answer has no data")
	}
	o := new(Order)
	if err := o.UnmarshalJSON(d.Data); err != nil {
		return nil, err
	}
	if o.OrderID == "" || o.Status == "" {
		return o, errors.New("the answer has no order_id or no status")
	}
	return o, nil
}

// decodeOrderOf insists on the order that was asked about.
func decodeOrderOf(orderID string) func(*answer) (*Order, error) {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		if err == nil && o.OrderID != orderID {
			return nil, errors.New("the answer is about another order")
		}
		return o, err
	}
}

// decodeOrderWith insists on the reference that was asked about.
func decodeOrderWith(reference string) func(*answer) (*Order, error) {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		if err == nil && o.MerchantOrderReference != reference {
			return nil, errors.New("the answer is about another reference")
		}
		return o, err
	}
}

// decodeRefund reads the answer to a refund: the refund itself or, in the older shape, its parent with the refund inside.
func decodeRefund(reference string) func(*answer) (*Order, error) {
	return func(a *answer) (*Order, error) {
		o, err := decodeOrder(a)
		if o == nil {
			return nil, err
		}
		if o.Type != OrderTypeRefund {
			if r := refundIn(o, reference); r != nil && r.OrderID != "" && r.Status != "" {
				return r, nil
			}
		}
		return o, err
	}
}

// decodeCheckoutOrder reads an answer of the checkout API. Its documents are flat; some integrators report a wrapped one.
func decodeCheckoutOrder(a *answer) (*CheckoutOrder, error) {
	var doc struct {
		CheckoutOrder flatCheckoutOrder
		Data          *flatCheckoutOrder `json:"data"`
	}
	if err := wire.Unmarshal(a.body, &doc.CheckoutOrder); err != nil {
		return nil, err
	}
	if err := wire.Unmarshal(a.body, &doc); err != nil {
		return nil, err
	}
	o := CheckoutOrder(doc.CheckoutOrder)
	if doc.Data != nil && o.OrderID == "" {
		o = CheckoutOrder(*doc.Data)
	}
	switch {
	case o.ResponseCode != 0 && o.ResponseCode != 200:
		return nil, errors.New("the answer has a response_code other than 200")
	case o.OrderID == "" || o.RedirectURL == "":
		return nil, errors.New("the answer has no order_id or no redirect_url")
	}
	return &o, nil
}

type flatCheckoutOrder CheckoutOrder
