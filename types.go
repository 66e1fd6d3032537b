package plural

import (
	"encoding/json"

	"github.com/plural-go/plural/internal/wire"
)

// This package's own decoder reads two struct tags, "alias" and "wire". The tag
// "alias" has a second JSON name for the field. The tag "wire" decides what
// happens if the value cannot be read. With wire:"exact", such a value is an
// error. With wire:"optional", the field stays empty if there is an error
// inside it.

// Order is an order, as the pay API and the webhooks send it. An Order of type
// REFUND is a refund. The fields are named as in the JSON. Amounts are in
// paise, and times are in UTC. A field that is missing in the document is zero.
// [Order.RawJSON] also has the fields that this package does not know.
type Order struct {
	OrderID string `json:"order_id" alias:"refund_id"`
	// for a refund: the order that is refunded
	ParentOrderID          string      `json:"parent_order_id,omitzero"`
	MerchantOrderReference string      `json:"merchant_order_reference" alias:"merchant_refund_reference"`
	Type                   OrderType   `json:"type,omitzero"`
	Status                 OrderStatus `json:"status"`
	// the URL for the payer's app or browser, as sent. Its scheme is https or
	// upi. A page must not link to a URL with any other scheme, above all
	// javascript or data.
	ChallengeURL string `json:"challenge_url,omitzero"`
	// the URL of the image of a UPI QR code, as sent. A page must refuse every
	// scheme except https.
	ImageURL   string `json:"image_url,omitzero"`
	MerchantID string `json:"merchant_id,omitzero"`
	// the amount that was ordered; see [Order.CapturedAmount] for the amount
	// that was taken
	OrderAmount Amount `json:"order_amount" alias:"refund_amount"`
	// do not rely on PreAuth: in Plural's published documents, it has wrong
	// values after a capture
	PreAuth                     bool             `json:"pre_auth"`
	PartPayment                 bool             `json:"part_payment,omitzero"`
	AllowedPaymentMethods       []PaymentMethod  `json:"allowed_payment_methods,omitzero"`
	Notes                       string           `json:"notes,omitzero"`
	CallbackURL                 string           `json:"callback_url,omitzero"`
	FailureCallbackURL          string           `json:"failure_callback_url,omitzero"`
	PurchaseDetails             *PurchaseDetails `json:"purchase_details,omitzero"`
	Payments                    []Payment        `json:"payments,omitzero"` // all attempts to pay, including failed ones
	Refunds                     []Order          `json:"refunds,omitzero"`
	CreatedAt                   Timestamp        `json:"created_at,omitzero"`
	UpdatedAt                   Timestamp        `json:"updated_at,omitzero"`
	IntegrationMode             IntegrationMode  `json:"integration_mode,omitzero"`
	PaymentRetriesRemaining     *int             `json:"payment_retries_remaining,omitzero"`
	IsMCCTransaction            bool             `json:"is_mcc_transaction,omitzero"`
	IsDomesticTxnForRiskEnabled bool             `json:"is_domestic_txn_for_risk_enabled,omitzero"`
	OrderToken                  string           `json:"order_token,omitzero"`
	CartCouponDiscountAmount    Amount           `json:"cart_coupon_discount_amount,omitzero" wire:"optional"`

	raw string // the document that the order was decoded from
}

// UnmarshalJSON decodes an order in any of the forms that Plural sends. Keys
// may be in snake_case or camelCase. Booleans and numbers may be strings. A
// single object may replace an array. A refund may have the older field names,
// such as refund_id.
func (o *Order) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	decoded, err := parseOrder(wire.Document(string(data)))
	if err == nil {
		*o = *decoded
	}
	return err
}

// parseOrder decodes an order. The order's strings are parts of the document.
func parseOrder(document string) (*Order, error) {
	o := new(Order)
	if err := wire.Unmarshal(document, o); err != nil {
		return nil, err
	}
	o.raw = document
	return o, nil
}

// An order inside another order also keeps its own document.
var _ = wire.Keep(func(o *Order, raw string) { o.raw = raw })

// RawJSON returns the document that the order was decoded from, as sent. It
// returns nil for an Order made by hand. The document holds the payer's
// personal data.
//
// The texts of an Order are parts of this document, and not copies. As long as
// one of these texts is in use, the whole document stays in memory. If you keep
// an id for longer than the Order, keep a [strings.Clone] of the id. The ids
// and types of an [Event], the result of [Event.OrderID], and the texts of a
// [Callback] are copies.
func (o *Order) RawJSON() json.RawMessage {
	if o.raw == "" {
		return nil
	}
	return json.RawMessage(o.raw)
}

// saysPreAuth reports whether the document has a pre_auth. It is true for an
// Order made by hand.
func (o *Order) saysPreAuth() bool {
	if o.raw == "" {
		return true
	}
	var said struct {
		PreAuth wire.Raw `json:"pre_auth"`
	}
	return wire.Unmarshal(o.raw, &said) == nil && said.PreAuth != ""
}

// Captures lists the captures of all payments, from the first payment to the
// last. An order that was paid with points and a card has one entry for each of
// the two payments, under one reference.
func (o *Order) Captures() []Capture {
	var list []Capture
	for i := range o.Payments {
		p := &o.Payments[i]
		for _, entry := range p.CaptureData {
			list = append(list, Capture{
				MerchantCaptureReference: entry.MerchantCaptureReference,
				CaptureAmount:            entry.CaptureAmount,
				CreatedAt:                entry.CreatedAt,
				PaymentID:                p.ID,
				PaymentStatus:            p.Status,
			})
		}
	}
	return list
}

// Capture is an entry in the books: what was captured from one payment.
type Capture struct {
	MerchantCaptureReference string
	CaptureAmount            Amount
	CreatedAt                Timestamp
	PaymentID                string
	PaymentStatus            PaymentStatus
}

// IsSettled reports whether the money was taken: the payment is PROCESSED, or
// was refunded later.
func (c Capture) IsSettled() bool { return c.PaymentStatus.isSettled() }

// IsUnderWay reports whether the payment is still PENDING or AUTHORIZED.
func (c Capture) IsUnderWay() bool { return c.PaymentStatus.isUnderWay() }

// Payment is one attempt to pay an order.
type Payment struct {
	ID                       string        `json:"id"`
	MerchantPaymentReference string        `json:"merchant_payment_reference,omitzero"`
	ParentPaymentID          string        `json:"parent_payment_id,omitzero"` // only for a refund
	Status                   PaymentStatus `json:"status"`
	PaymentAmount            Amount        `json:"payment_amount" wire:"optional"`
	// the amount in the order's currency, if the payer paid in another currency
	BaseAmount              Amount          `json:"base_amount,omitzero" wire:"optional"`
	ConversionRate          json.Number     `json:"conversion_rate,omitzero"`
	PaymentMethod           PaymentMethod   `json:"payment_method,omitzero"`
	PaymentOption           *PaymentOption  `json:"payment_option,omitzero"`
	AcquirerData            *AcquirerData   `json:"acquirer_data,omitzero"`
	ErrorDetail             *ErrorDetail    `json:"error_detail,omitzero"` // for a FAILED payment
	CaptureData             []CaptureData   `json:"capture_data,omitzero"`
	OfferData               json.RawMessage `json:"offer_data,omitzero"`
	AdditionalDetail        json.RawMessage `json:"additional_detail,omitzero"`
	ConvenienceFeeBreakdown json.RawMessage `json:"convenience_fee_breakdown,omitzero"`
	IntegrationMode         IntegrationMode `json:"integration_mode,omitzero"`
	CreatedAt               Timestamp       `json:"created_at,omitzero"`
	UpdatedAt               Timestamp       `json:"updated_at,omitzero"`
}

// CaptureData is the capture of one payment. If an order was paid with points
// and a card, each of the two payments has an entry, under one reference.
type CaptureData struct {
	MerchantCaptureReference string    `json:"merchant_capture_reference"`
	CaptureAmount            Amount    `json:"capture_amount" wire:"optional"` // zero if it cannot be read
	CreatedAt                Timestamp `json:"created_at,omitzero"`
}

// AcquirerData is data from the acquiring bank. Empty strings are common.
type AcquirerData struct {
	ApprovalCode      string `json:"approval_code,omitzero"`
	AcquirerReference string `json:"acquirer_reference,omitzero"`
	RRN               string `json:"rrn,omitzero"` // retrieval reference number
	IsAggregator      bool   `json:"is_aggregator,omitzero"`
	AcquirerName      string `json:"acquirer_name,omitzero"`
}

// ErrorDetail describes why a payment failed. Here the code UNAUTHORIZED means
// that the payment was refused; it has nothing to do with the access token. For
// that code, do not use [ErrorCode.Text] or [ErrorCode.IsRequestFault], because
// both are about the token.
type ErrorDetail struct {
	Code                   ErrorCode     `json:"code,omitzero"`
	Message                string        `json:"message,omitzero"`
	AdditionalErrorDetails *ErrorDetails `json:"additional_error_details,omitzero"`
}

// PaymentOption describes the card, account or wallet that the payer used.
type PaymentOption struct {
	CardData       *CardData       `json:"card_data,omitzero"`
	UPIData        *UPIData        `json:"upi_data,omitzero" alias:"upi_details"`
	NetbankingData *NetbankingData `json:"netbanking_data,omitzero"`
	WalletData     json.RawMessage `json:"wallet_data,omitzero"`
}

// CardData describes a card. Plural sends values in upper or mixed case
// ("CONSUMER", "Consumer").
type CardData struct {
	CardType            string `json:"card_type,omitzero"`
	NetworkName         string `json:"network_name,omitzero"`
	IssuerName          string `json:"issuer_name,omitzero"`
	ProductName         string `json:"product_name,omitzero"`
	CardCategory        string `json:"card_category,omitzero"`
	CountryCode         string `json:"country_code,omitzero"` // ISO 3166 alpha-3
	TokenTxnType        string `json:"token_txn_type,omitzero"`
	Last4Digit          string `json:"last4_digit,omitzero"`
	Save                bool   `json:"save,omitzero"`
	IsNativeOTPEligible bool   `json:"is_native_otp_eligible,omitzero"`
}

// UPIData describes a UPI payment.
type UPIData struct {
	TxnMode string    `json:"txn_mode,omitzero"` // COLLECT or INTENT
	Payee   *UPIPayee `json:"payee,omitzero"`
	Payer   *UPIPayer `json:"payer,omitzero"`
}

// UPIPayee is the receiver of a UPI payment.
type UPIPayee struct {
	ReferenceID   string `json:"reference_id,omitzero"`
	ReferenceType string `json:"reference_type,omitzero"`
	VPA           string `json:"vpa,omitzero"`
	AcquirerName  string `json:"acquirer_name,omitzero"`
}

// UPIPayer is the sender of a UPI payment.
type UPIPayer struct {
	VPA         string `json:"vpa,omitzero"`
	PhoneNumber string `json:"phone_number,omitzero"`
	AccountType string `json:"account_type,omitzero"`
}

// NetbankingData describes a netbanking payment.
type NetbankingData struct {
	PayCode string `json:"pay_code,omitzero"`
	TxnMode string `json:"txn_mode,omitzero"` // REDIRECT, QR or INTENT
}

// PurchaseDetails describes the buyer and the goods, in requests and in orders.
type PurchaseDetails struct {
	BankDetails      *BankDetails      `json:"bank_details,omitzero"`    // only for merchants with third-party validation
	AccountDetails   *AccountDetails   `json:"account_details,omitzero"` // another place where bank_details are sent
	Customer         *Customer         `json:"customer,omitzero"`
	MerchantMetadata map[string]string `json:"merchant_metadata,omitzero"` // up to 10 pairs of at most 256 characters
	CartDetails      *CartDetails      `json:"cart_details,omitzero"`
	// the goods, for EMI and offers only; Plural's published schema has this
	// name
	Product   []Product  `json:"product,omitzero"`
	Products  []Product  `json:"products,omitzero"` // the goods, under the name that Plural's shop plugins send
	SplitInfo *SplitInfo `json:"split_info,omitzero"`
}

// AccountDetails holds bank details, one level deeper than
// [PurchaseDetails.BankDetails].
type AccountDetails struct {
	BankDetails *BankDetails `json:"bank_details,omitzero"`
}

// BankDetails is the bank account from which the payer has to pay.
type BankDetails struct {
	AccountNumber string `json:"account_number"`
	IFSCCode      string `json:"ifsc_code,omitzero"`
	BankName      string `json:"bank_name,omitzero"`
}

// Customer is the payer. Empty fields are not sent.
type Customer struct {
	EmailID                      string   `json:"email_id,omitzero"`   // up to 50 characters
	FirstName                    string   `json:"first_name,omitzero"` // up to 50 characters
	LastName                     string   `json:"last_name,omitzero"`  // up to 50 characters
	CustomerID                   string   `json:"customer_id,omitzero"`
	MobileNumber                 string   `json:"mobile_number,omitzero"` // 9 to 20 digits
	CountryCode                  string   `json:"country_code,omitzero"`  // digits, without +; Plural's default is 91
	IsEditCustomerDetailsAllowed *bool    `json:"is_edit_customer_details_allowed,omitzero"`
	BillingAddress               *Address `json:"billing_address,omitzero"`
	ShippingAddress              *Address `json:"shipping_address,omitzero"`
}

// Address is a postal address. Empty fields are not sent.
type Address struct {
	Address1        string `json:"address1,omitzero"` // up to 100 characters; the next two fields as well
	Address2        string `json:"address2,omitzero"`
	Address3        string `json:"address3,omitzero"`
	Pincode         string `json:"pincode,omitzero"` // 6 to 10 digits
	City            string `json:"city,omitzero"`    // up to 50 characters; the next two fields as well
	State           string `json:"state,omitzero"`
	Country         string `json:"country,omitzero"` // free text
	FullName        string `json:"full_name,omitzero"`
	AddressCategory string `json:"address_category,omitzero"` // billing or shipping
	// the JSON name has the letter d three times, as in Plural's published
	// schema
	AddressType string `json:"adddress_type,omitzero" alias:"address_type"`
}

// CartDetails is the cart that the payer pays for.
type CartDetails struct {
	CartItems []CartItem `json:"cart_items,omitzero"`
}

// CartItem is a line of the cart. Prices are in paise. A price is nil if the
// document has no price, or a price that is not a whole number.
type CartItem struct {
	ItemID                  string   `json:"item_id,omitzero"`
	ItemName                string   `json:"item_name,omitzero"`
	ItemDescription         string   `json:"item_description,omitzero"`
	ItemDetailsURL          string   `json:"item_details_url,omitzero"`
	ItemImageURL            string   `json:"item_image_url,omitzero"`
	ItemOriginalUnitPrice   *int64   `json:"item_original_unit_price,omitzero"`
	ItemDiscountedUnitPrice *int64   `json:"item_discounted_unit_price,omitzero"`
	ItemQuantity            int64    `json:"item_quantity,omitzero"`
	ItemCurrency            Currency `json:"item_currency,omitzero"`
}

// Product is a product of an EMI purchase or refund. There is one entry for
// each unit.
type Product struct {
	ProductCode   string `json:"product_code"`
	ProductAmount Amount `json:"product_amount,omitzero" wire:"optional"`
	ProductIMEI   string `json:"product_imei,omitzero"`
	IMEINumber    string `json:"imei_number,omitzero"` // some documents use this name for product_imei
}

// SplitInfo divides the money between several merchants.
type SplitInfo struct {
	SplitType    string        `json:"split_type,omitzero"` // AMOUNT
	SplitDetails []SplitDetail `json:"split_details,omitzero"`
}

// SplitDetail is one merchant's part of the money.
type SplitDetail struct {
	ParentOrderSplitSettlementID string    `json:"parent_order_split_settlement_id,omitzero"` // for refunds
	SplitMerchantID              string    `json:"split_merchant_id,omitzero"`
	SplitSettlementID            string    `json:"split_settlement_id,omitzero"`
	MerchantSettlementReference  string    `json:"merchant_settlement_reference,omitzero"`
	Amount                       Amount    `json:"amount" wire:"optional"`
	OnHold                       *bool     `json:"on_hold,omitzero"`
	Status                       string    `json:"status,omitzero"` // HOLD, RELEASED, CANCELLED, DO_NOT_RECOVER
	ReleaseAmount                Amount    `json:"release_amount,omitzero" wire:"optional"`
	UpdatedAt                    Timestamp `json:"updated_at,omitzero"`
}

// PluginData names the shop plugin that sends a request.
type PluginData struct {
	PluginType    string `json:"plugin_type,omitzero"`
	PluginVersion string `json:"plugin_version,omitzero"`
}
