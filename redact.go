package plural

import (
	"log/slog"
)

// The methods in this file and in redact_generated.go control how secrets, and
// documents with personal data, are printed. fmt and slog call String, Format
// or LogValue. Encoders, such as encoding/json and encoding/xml, get personal
// data but never a secret. `make generate` makes redact_generated.go from these
// lists. The types after "hide" print a placeholder, and the types after
// "summarise" print their LogValue.
//
//redact:hide Credentials PurchaseDetails Customer LinkProduct Address
//redact:hide AccountDetails BankDetails PaymentOption CardData UPIData UPIPayer
//redact:hide UPIPayee NetbankingData CartDetails CartItem Product
//redact:summarise *Client Settlement SettlementDetail SettlementLine Order
//redact:summarise Payment CreateOrderRequest RefundRequest CheckoutOrder
//redact:summarise PaymentLinkRequest PaymentLink Response ErrorDetails
//redact:summarise ErrorDetail
//
//go:generate sh -c "cd tools && GOTOOLCHAIN=auto go run ./redactgen ../redact.go ../redact_generated.go"

// MarshalText returns a placeholder, for encoding/json and encoding/xml.
func (Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns the environment, without the credentials.
func (c *Client) LogValue() slog.Value {
	if c == nil || c.p == nil {
		return slog.GroupValue()
	}
	return slog.GroupValue(slog.String("environment", string(c.p.cfg.environment)))
}

// MarshalText returns a placeholder, for encoding/json and encoding/xml.
func (*Client) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns ids, status and amounts, without personal data.
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

// LogValue returns id, status, method and amount, without personal data.
func (p Payment) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", p.ID),
		slog.String("status", string(p.Status)),
		slog.String("payment_method", string(p.PaymentMethod)),
		slog.String("payment_amount", p.PaymentAmount.String()),
		slog.Int("captures", len(p.CaptureData)),
	)
}

// LogValue returns reference, amount and pre_auth, without personal data.
func (r CreateOrderRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_order_reference", r.MerchantOrderReference),
		slog.String("order_amount", r.OrderAmount.String()),
		slog.Bool("pre_auth", r.PreAuth),
	)
}

// LogValue returns reference and amount, without metadata.
func (r RefundRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_order_reference", r.MerchantOrderReference),
		slog.String("order_amount", r.OrderAmount.String()),
	)
}

// LogValue returns the order id and the response code, without the link.
func (o CheckoutOrder) LogValue() slog.Value {
	return slog.GroupValue(slog.String("order_id", o.OrderID), slog.Int("response_code", o.ResponseCode))
}

// LogValue returns reference, amount and pre_auth, without the customer.
func (r PaymentLinkRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_payment_link_reference", r.MerchantPaymentLinkReference),
		slog.String("amount", r.Amount.String()),
		slog.Bool("pre_auth", r.PreAuth),
	)
}

// LogValue returns ids, status and amounts, without the link and the customer.
func (l PaymentLink) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("payment_link_id", l.PaymentLinkID),
		slog.String("merchant_payment_link_reference", l.MerchantPaymentLinkReference),
		slog.String("status", string(l.Status)),
		slog.String("amount", l.Amount.String()),
		slog.String("amount_due", l.AmountDue.String()),
		slog.String("order_id", l.OrderID),
	)
}

// LogValue returns status, request id and attempts, without header and body.
func (r Response) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("status", r.StatusCode), slog.String("request_id", r.RequestID), slog.Int("attempts", r.Attempts),
	)
}

// LogValue returns where and why the error happened, without metadata.
func (d ErrorDetails) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("source", d.Source),
		slog.String("step", d.Step),
		slog.String("reason", d.Reason),
		slog.String("field", d.Field),
	)
}

// LogValue returns why the payment failed, without metadata.
func (d ErrorDetail) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", string(d.Code)), slog.String("message", d.Message)}
	if d.AdditionalErrorDetails != nil {
		attrs = append(attrs, slog.Any("additional_error_details", *d.AdditionalErrorDetails))
	}
	return slog.GroupValue(attrs...)
}

// LogValue returns the UTR, the day, the total, the number of transactions and
// the last four digits of the bank account.
func (s Settlement) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("utr_number", s.UTRNumber),
		slog.String("settled_date", string(s.SettledDate)),
		slog.String("total_amount", string(s.TotalAmount)),
		slog.Int("total_transactions_count", s.TotalTransactionsCount),
		slog.String("bank_acc_number", lastFour(s.BankAccNumber)),
	)
}

// LogValue returns the UTR, the total, the number of transactions, the number
// of lines and the last four digits of the bank account.
func (d SettlementDetail) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("utr_number", d.UTRNumber),
		slog.String("total_settled_amount", string(d.TotalSettledAmount)),
		slog.Int("total_transaction_count", d.TotalTransactionCount),
		slog.String("bank_acc_number", lastFour(d.BankAccNumber)),
		slog.Int("transactions", len(d.Transactions)),
	)
}

// LogValue returns ids, status and amounts, without the store's address.
func (l SettlementLine) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("transaction_id", l.TransactionID),
		slog.String("utr_number", l.UTRNumber),
		slog.String("transaction_amount", string(l.TransactionAmount)),
		slog.String("settled_amount", string(l.SettledAmount)),
		slog.String("payout_status", string(l.PayoutStatus)),
	)
}

// lastFour returns the last four digits of a bank account, for printing. It
// hides a short number completely, because four digits would show most of the
// number.
func lastFour(account string) string {
	if len(account) < 8 {
		return redacted
	}
	return "..." + account[len(account)-4:]
}
