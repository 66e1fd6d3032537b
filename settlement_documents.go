package plural

import "strings"

// Settlement is one transfer to the merchant's bank, as
// [SettlementService.List] returns it. Every figure is in rupees, as Plural
// sent it. This package does not check the figures, because they do not add up
// even in Plural's published sample. In every row of the sample, the amount
// differs from the payments minus the deductions. Use [Rupees.Sub] to compute a
// difference.
//
// The texts are parts of the page that they came in, and keep the whole page in
// memory. If you keep a text for longer, keep a [strings.Clone] of the text.
type Settlement struct {
	TotalAmount             Rupees    `json:"total_amount"`              // what was settled
	ActualTransactionAmount Rupees    `json:"actual_transaction_amount"` // before the deductions
	TotalDeductionAmount    Rupees    `json:"total_deduction_amount"`
	TotalTransactionsCount  int       `json:"total_transactions_count"`
	LastProcessedDate       LocalTime `json:"last_processed_date,omitzero"`
	SettledDate             LocalTime `json:"settled_date,omitzero"`
	UTRNumber               string    `json:"utr_number"`         // the bank's reference of the transfer
	Programs                []string  `json:"programs,omitzero"`  // payment methods, such as UPI
	System                  string    `json:"system,omitzero"`    // PG
	BankName                string    `json:"bank_name,omitzero"` // the merchant's bank
	BankAccNumber           string    `json:"bank_acc_number,omitzero"`
}

// SettlementDetail is one transfer to the merchant's bank with its lines, as
// [SettlementService.Get] returns it. The JSON names of its fields differ from
// those of [Settlement]. Every figure is in rupees, as Plural sent it. This
// package does not check the figures.
type SettlementDetail struct {
	UTRNumber                     string   `json:"utr_number"`
	BankName                      string   `json:"bank_name,omitzero"`
	BankAccNumber                 string   `json:"bank_acc_number,omitzero"`
	Programs                      []string `json:"programs,omitzero"`
	TotalTransactionCount         int      `json:"total_transaction_count"` // the number of all lines
	TotalTransactionAmount        Rupees   `json:"total_transaction_amount,omitzero"`
	ActualTransactionAmount       Rupees   `json:"actual_transaction_amount,omitzero"`
	TotalRefund                   Rupees   `json:"total_refund,omitzero"`
	TotalChargebackRecoveryAmount Rupees   `json:"total_chargeback_recovery_amount,omitzero"`
	TotalLoanRecoveryAmount       Rupees   `json:"total_loan_recovery_amount,omitzero"`
	TotalMDRAmount                Rupees   `json:"total_mdr_amount,omitzero"` // the merchant discount rate: Plural's fee
	TotalGSTAmount                Rupees   `json:"total_gst_amount,omitzero"`
	TotalLateSettlementFee        Rupees   `json:"total_late_settlement_fee,omitzero"`
	TotalSettledAmount            Rupees   `json:"total_settled_amount,omitzero"`
	TotalMARAmount                Rupees   `json:"total_mar_amount,omitzero"`
	SplitFundAmount               Rupees   `json:"split_fund_amount,omitzero"`
	TotalPlatformFee              Rupees   `json:"total_platform_fee,omitzero"`
	OtherDeductions               Rupees   `json:"other_deductions,omitzero"`
	AdditionalMDRAmount           Rupees   `json:"additional_mdr_amount,omitzero"`
	TotalConvenienceFee           Rupees   `json:"total_convenience_fee,omitzero"`
	TotalGSTOnCCF                 Rupees   `json:"total_gst_on_c_c_f,omitzero" alias:"total_gst_on_ccf"` // sic
	TotalCashbackAmount           Rupees   `json:"total_cashback_amount,omitzero"`
	TotalMerchantCashback         Rupees   `json:"total_merchant_cashback,omitzero"`
	TotalMerchantConvenienceFee   Rupees   `json:"total_merchant_convenience_fee,omitzero"`

	Transactions []SettlementLine `json:"transactions"`
}

// SettlementLine is one line of a settlement: a payment, or something else that
// Plural counts. A refund or a chargeback may have a line with negative
// figures, but that is not documented. The figures are in rupees, as Plural
// sent them.
//
// The texts are parts of the page that they came in, and keep the whole page in
// memory. If you keep a text for longer, keep a [strings.Clone] of the text.
type SettlementLine struct {
	// the ID of a [Payment], not of an order. To find the order again, store
	// each PaymentID of [Order.Captures]
	TransactionID           string       `json:"transaction_id"`
	System                  string       `json:"system,omitzero"` // PG
	ProcessedDate           LocalTime    `json:"processed_date,omitzero"`
	TransactionDate         LocalTime    `json:"transaction_date,omitzero"` // only the day is given
	TransactionAmount       Rupees       `json:"transaction_amount,omitzero"`
	ActualTransactionAmount Rupees       `json:"actual_transaction_amount,omitzero"` // before the deductions
	TotalDeductionAmount    Rupees       `json:"total_deduction_amount,omitzero"`
	SettledAmount           Rupees       `json:"settled_amount,omitzero"` // may be the sum of several lines
	StoreAddress            string       `json:"store_address,omitzero"`
	AcquirerName            string       `json:"acquirer_name,omitzero"`
	TID                     string       `json:"tid,omitzero"`
	IsEMI                   bool         `json:"is_emi"`
	UTRNumber               string       `json:"utr_number,omitzero"`
	Program                 string       `json:"program,omitzero"` // the payment method, such as UPI
	PayoutStatus            PayoutStatus `json:"payout_status,omitzero"`
}

// PayoutStatus is the result of a line's payout. It is an open enum, and only
// one value is published.
type PayoutStatus string

// PayoutStatusSuccess is the only published value. It is published in mixed
// case; see [PayoutStatus.IsSuccess].
const PayoutStatusSuccess PayoutStatus = "Success"

// IsSuccess reports whether the status is Success, in upper or lower case. It
// is not known whether other values, or an absent status, can mean success.
func (s PayoutStatus) IsSuccess() bool {
	return strings.EqualFold(string(s), string(PayoutStatusSuccess))
}
