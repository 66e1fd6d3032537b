package plural

import (
	"log/slog"
)

// The printed forms of secrets, and of documents that hold personal data.
// Printers ask for String, Format or LogValue. Encoders, such as encoding/json
// and encoding/xml, get personal data but never a secret. The methods in
// redact_generated.go are made by `make generate` from these lists:
//go:generate sh -c "cd tools && GOTOOLCHAIN=auto go run ./redactgen -hide Credentials,PurchaseDetails,Customer,LinkProduct,Address,AccountDetails,BankDetails,PaymentOption,CardData,UPIData,UPIPayer,UPIPayee,NetbankingData,CartDetails,CartItem,Product -summarise *Client,Settlement,SettlementDetail,SettlementLine,Order,Payment,CreateOrderRequest,RefundRequest,CheckoutOrder,PaymentLinkRequest,PaymentLink,Response,ErrorDetails,ErrorDetail ../redact_generated.go"

// MarshalText writes a placeholder; encoding/json and encoding/xml call it.
func (Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue has the environment, and not the credentials.
func (c *Client) LogValue() slog.Value {
	if c == nil || c.p == nil {
		return slog.GroupValue()
	}
	return slog.GroupValue(slog.String("environment", string(c.p.cfg.environment)))
}

// MarshalText writes a placeholder; encoding/json and encoding/xml call it.
func (*Client) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue has ids, status and amounts, and no personal data.
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

// LogValue has id, status, method and amount, and no personal data.
func (p Payment) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", p.ID),
		slog.String("status", string(p.Status)),
		slog.String("payment_method", string(p.PaymentMethod)),
		slog.String("payment_amount", p.PaymentAmount.String()),
		slog.Int("captures", len(p.CaptureData)),
	)
}

// LogValue has reference and amount, and no personal data.
func (r CreateOrderRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_order_reference", r.MerchantOrderReference),
		slog.String("order_amount", r.OrderAmount.String()),
		slog.Bool("pre_auth", r.PreAuth),
	)
}

// LogValue has reference and amount, and no metadata.
func (r RefundRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_order_reference", r.MerchantOrderReference),
		slog.String("order_amount", r.OrderAmount.String()),
	)
}

// LogValue has the order id, and not the link.
func (o CheckoutOrder) LogValue() slog.Value {
	return slog.GroupValue(slog.String("order_id", o.OrderID), slog.Int("response_code", o.ResponseCode))
}

// LogValue has reference and amount, and nothing about the customer.
func (r PaymentLinkRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("merchant_payment_link_reference", r.MerchantPaymentLinkReference),
		slog.String("amount", r.Amount.String()),
		slog.Bool("pre_auth", r.PreAuth),
	)
}

// LogValue has ids, status and amounts, and neither the link nor the customer.
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

// LogValue has status and ids, and neither header nor body.
func (r Response) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("status", r.StatusCode), slog.String("request_id", r.RequestID), slog.Int("attempts", r.Attempts),
	)
}

// LogValue has the place and the reason, and no metadata.
func (d ErrorDetails) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("source", d.Source),
		slog.String("step", d.Step),
		slog.String("reason", d.Reason),
		slog.String("field", d.Field),
	)
}

// LogValue has the reason, and no metadata.
func (d ErrorDetail) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", string(d.Code)), slog.String("message", d.Message)}
	if d.AdditionalErrorDetails != nil {
		attrs = append(attrs, slog.Any("additional_error_details", *d.AdditionalErrorDetails))
	}
	return slog.GroupValue(attrs...)
}

// LogValue has UTR, day and figures, and the last four digits of the account.
func (s Settlement) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("utr_number", s.UTRNumber),
		slog.String("settled_date", string(s.SettledDate)),
		slog.String("total_amount", string(s.TotalAmount)),
		slog.Int("total_transactions_count", s.TotalTransactionsCount),
		slog.String("bank_acc_number", lastFour(s.BankAccNumber)),
	)
}

// LogValue has UTR and figures, and the last four digits of the account.
func (d SettlementDetail) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("utr_number", d.UTRNumber),
		slog.String("total_settled_amount", string(d.TotalSettledAmount)),
		slog.Int("total_transaction_count", d.TotalTransactionCount),
		slog.String("bank_acc_number", lastFour(d.BankAccNumber)),
		slog.Int("transactions", len(d.Transactions)),
	)
}

// LogValue has ids, status and amounts, and not the store's address.
func (l SettlementLine) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("transaction_id", l.TransactionID),
		slog.String("utr_number", l.UTRNumber),
		slog.String("transaction_amount", string(l.TransactionAmount)),
		slog.String("settled_amount", string(l.SettledAmount)),
		slog.String("payout_status", string(l.PayoutStatus)),
	)
}

// lastFour is the printed form of a bank account. A short number is hidden
// whole, because four digits would show most of it.
func lastFour(account string) string {
	if len(account) < 8 {
		return redacted
	}
	return "..." + account[len(account)-4:]
}
