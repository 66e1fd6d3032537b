package plural

import (
	"encoding/json"
	"strings"

	"github.com/plural-go/plural/internal/wire"
)

// PaymentLink is a payment link, as Plural sends it. Amounts are in paise, and
// times are in UTC. A field that is missing in the document is zero.
// [PaymentLink.RawJSON] also has the fields that this package does not know.
type PaymentLink struct {
	PaymentLink   string `json:"payment_link"` // the short https URL that the customer opens
	PaymentLinkID string `json:"payment_link_id"`
	// the state of the link; only the order shows the state of the money
	Status                       PaymentLinkStatus `json:"status"`
	Amount                       Amount            `json:"amount" wire:"optional"`
	AmountDue                    Amount            `json:"amount_due,omitzero" wire:"optional"` // what is still to be paid
	OrderID                      string            `json:"order_id"`                            // for captures and refunds
	MerchantPaymentLinkReference string            `json:"merchant_payment_link_reference"`
	Description                  string            `json:"description,omitzero"`
	ExpireBy                     Timestamp         `json:"expire_by,omitzero"` // in whole minutes
	AllowedPaymentMethods        []PaymentMethod   `json:"allowed_payment_methods,omitzero"`
	PreAuth                      *bool             `json:"pre_auth,omitzero"` // nil if the document does not have it
	PartPayment                  *bool             `json:"part_payment,omitzero"`
	IsMCCTransaction             bool              `json:"is_mcc_transaction,omitzero"`
	CallbackURL                  string            `json:"callback_url,omitzero"`
	FailureCallbackURL           string            `json:"failure_callback_url,omitzero"`
	Customer                     *Customer         `json:"customer,omitzero"`
	ProductDetails               []LinkProduct     `json:"product_details,omitzero"`
	CartCouponDiscountAmount     Amount            `json:"cart_coupon_discount_amount,omitzero" wire:"optional"`
	MerchantMetadata             map[string]string `json:"merchant_metadata,omitzero"`
	SplitInfo                    *SplitInfo        `json:"split_info,omitzero"`
	AccountDetails               *AccountDetails   `json:"account_details,omitzero"`
	CreatedAt                    Timestamp         `json:"created_at,omitzero"`
	UpdatedAt                    Timestamp         `json:"updated_at,omitzero"`

	raw string // the document that the link was decoded from
}

// LinkProduct is a product that a payment link is for.
type LinkProduct struct {
	ProductCode                 string `json:"product_code"`
	ProductAmount               Amount `json:"product_amount,omitzero" wire:"optional"`
	ProductCouponDiscountAmount Amount `json:"product_coupon_discount_amount,omitzero" wire:"optional"`
}

// UnmarshalJSON decodes a link. It takes a flat document, or a document that is
// wrapped in "data". Booleans and numbers may be strings.
func (l *PaymentLink) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	decoded, err := parseLink(wire.Document(string(data)))
	if err == nil {
		*l = *decoded
	}
	return err
}

// RawJSON returns the document that the link was decoded from, as sent, without
// an envelope. It returns nil for a PaymentLink made by hand. The document
// holds the customer's personal data. The texts of a PaymentLink are parts of
// the document, and not copies. As long as one of these texts is in use, the
// whole document stays in memory.
func (l *PaymentLink) RawJSON() json.RawMessage {
	if l.raw == "" {
		return nil
	}
	return json.RawMessage(l.raw)
}

// parseLink decodes a link. The link's strings are parts of the document, and
// not copies.
func parseLink(document string) (*PaymentLink, error) {
	type plain PaymentLink // without its methods
	var flat plain
	if err := wire.Unmarshal(document, &flat); err != nil {
		return nil, err
	}
	if flat.PaymentLinkID == "" && flat.OrderID == "" {
		var wrapped struct {
			Data wire.Raw `json:"data"`
		}
		if err := wire.Unmarshal(document, &wrapped); err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(wrapped.Data), "{") {
			document, flat = string(wrapped.Data), plain{}
			if err := wire.Unmarshal(document, &flat); err != nil {
				return nil, err
			}
		}
	}
	l := PaymentLink(flat)
	l.raw = document
	return &l, nil
}
