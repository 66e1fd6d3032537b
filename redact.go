package plural

import (
	"fmt"
	"log/slog"
)

// What prints of secrets, and of documents that hold personal data. fmt, slog
// and JSON all have to be told; [json.Marshal] keeps personal data, and never
// shows a secret.

// Format writes a placeholder under every verb.
func (c Credentials) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.Credentials") }

// LogValue is a placeholder.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes a placeholder.
func (c Credentials) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Format writes the environment, and nothing of the credentials.
func (c *Client) Format(f fmt.State, _ rune) { writeSummary(f, "plural.Client", c) }

// LogValue is the environment, and nothing of the credentials.
func (c *Client) LogValue() slog.Value {
	if c == nil || c.p == nil {
		return slog.GroupValue()
	}
	return slog.GroupValue(slog.String("environment", string(c.p.cfg.environment)))
}

// MarshalJSON writes a placeholder.
func (c *Client) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Format writes ids, status and amounts, and no personal data.
func (o Order) Format(f fmt.State, _ rune) { writeSummary(f, "plural.Order", o) }

// LogValue is ids, status and amounts, and no personal data.
func (o Order) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("order_id", o.OrderID),
		slog.String("merchant_order_reference", o.MerchantOrderReference),
		slog.String("type", string(o.Type)),
		slog.String("status", string(o.Status)),
		slog.String("order_amount", o.OrderAmount.String()),
	}
	if o.ParentOrderID != "" {
		attrs = append(attrs, slog.String("parent_order_id", o.ParentOrderID))
	}
	return slog.GroupValue(append(attrs, slog.Int("payments", len(o.Payments)), slog.Int("refunds", len(o.Refunds)))...)
}

// Format writes id, status, method and amount, and no personal data.
func (p Payment) Format(f fmt.State, _ rune) { writeSummary(f, "plural.Payment", p) }

// LogValue is id, status, method and amount, and no personal data.
func (p Payment) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", p.ID),
		slog.String("status", string(p.Status)),
		slog.String("payment_method", string(p.PaymentMethod)),
		slog.String("payment_amount", p.PaymentAmount.String()),
		slog.Int("captures", len(p.CaptureData)),
	)
}

// Format writes reference and amount, and no personal data.
func (r CreateOrderRequest) Format(f fmt.State, _ rune) {
	writeSummary(f, "plural.CreateOrderRequest", r)
}

// LogValue is reference and amount, and no personal data.
func (r CreateOrderRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_order_reference", r.MerchantOrderReference),
		slog.String("order_amount", r.OrderAmount.String()),
		slog.Bool("pre_auth", r.PreAuth),
	)
}

// Format writes reference and amount, and no metadata.
func (r RefundRequest) Format(f fmt.State, _ rune) { writeSummary(f, "plural.RefundRequest", r) }

// LogValue is reference and amount, and no metadata.
func (r RefundRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_order_reference", r.MerchantOrderReference),
		slog.String("order_amount", r.OrderAmount.String()),
	)
}

// Format writes the order id, and not the link: whoever has that can pay, and
// see who is to pay.
func (o CheckoutOrder) Format(f fmt.State, _ rune) { writeSummary(f, "plural.CheckoutOrder", o) }

// LogValue is the order id, and not the link.
func (o CheckoutOrder) LogValue() slog.Value {
	return slog.GroupValue(slog.String("order_id", o.OrderID), slog.Int("response_code", o.ResponseCode))
}

// Format writes status and ids, and neither header nor body.
func (r Response) Format(f fmt.State, _ rune) { writeSummary(f, "plural.Response", r) }

// LogValue is status and ids, and neither header nor body.
func (r Response) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("status", r.StatusCode),
		slog.String("request_id", r.RequestID),
		slog.Int("attempts", r.Attempts),
	)
}

// Format writes a placeholder: all of this is personal data.
func (d PurchaseDetails) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.PurchaseDetails") }

// LogValue is a placeholder.
func (d PurchaseDetails) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: all of this is personal data.
func (c Customer) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.Customer") }

// LogValue is a placeholder.
func (c Customer) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: all of this is personal data.
func (a Address) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.Address") }

// LogValue is a placeholder.
func (a Address) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: all of this is personal data.
func (a AccountDetails) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.AccountDetails") }

// LogValue is a placeholder.
func (a AccountDetails) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: all of this is personal data.
func (b BankDetails) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.BankDetails") }

// LogValue is a placeholder.
func (b BankDetails) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: the instrument is personal data.
func (o PaymentOption) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.PaymentOption") }

// LogValue is a placeholder.
func (o PaymentOption) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: the card is personal data.
func (c CardData) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.CardData") }

// LogValue is a placeholder.
func (c CardData) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: the payer's address is personal data.
func (u UPIData) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.UPIData") }

// LogValue is a placeholder.
func (u UPIData) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder.
func (p UPIPayer) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.UPIPayer") }

// LogValue is a placeholder.
func (p UPIPayer) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder.
func (p UPIPayee) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.UPIPayee") }

// LogValue is a placeholder.
func (p UPIPayee) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: the bank is personal data, as the card is.
func (n NetbankingData) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.NetbankingData") }

// LogValue is a placeholder.
func (n NetbankingData) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: what somebody buys is personal data.
func (c CartDetails) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.CartDetails") }

// LogValue is a placeholder.
func (c CartDetails) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: what somebody buys is personal data.
func (c CartItem) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.CartItem") }

// LogValue is a placeholder.
func (c CartItem) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes a placeholder: a device's IMEI is personal data.
func (p Product) Format(f fmt.State, _ rune) { writeRedacted(f, "plural.Product") }

// LogValue is a placeholder.
func (p Product) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes where and why, and no metadata.
func (d ErrorDetails) Format(f fmt.State, _ rune) { writeSummary(f, "plural.ErrorDetails", d) }

// LogValue is where and why, and no metadata.
func (d ErrorDetails) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String(
			"source",
			d.Source,
		),
		slog.String("step", d.Step),
		slog.String("reason", d.Reason),
		slog.String("field", d.Field),
	)
}

// LogValue is why, and no metadata.
func (d ErrorDetail) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", string(d.Code)), slog.String("message", d.Message)}
	if d.AdditionalErrorDetails != nil {
		attrs = append(attrs, slog.Any("additional_error_details", *d.AdditionalErrorDetails))
	}
	return slog.GroupValue(attrs...)
}
