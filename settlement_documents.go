package plural

import "strings"

// Settlement is one transfer to the merchant's bank, as [SettlementService.List]
// has it. Every figure is as Plural sent it, in rupees. Nothing is judged: in
// Plural's own published sample the amount is not what was paid less the
// deductions, in any row. A difference is a [Rupees.Sub].
//
// The texts are parts of the page that they came in and keep all of it in
// memory: take a [strings.Clone] of what is kept for longer.
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
	BankName                string    `json:"bank_name,omitzero"` // the merchant's
	BankAccNumber           string    `json:"bank_acc_number,omitzero"`
}

// SettlementDetail is one transfer to the merchant's bank with its lines, as
// [SettlementService.Get] has it. On the wire it has names of its own. Every
// figure is as Plural sent it, in rupees, and nothing is judged.
type SettlementDetail struct {
	UTRNumber                     string   `json:"utr_number"`
	BankName                      string   `json:"bank_name,omitzero"`
	BankAccNumber                 string   `json:"bank_acc_number,omitzero"`
	Programs                      []string `json:"programs,omitzero"`
	TotalTransactionCount         int      `json:"total_transaction_count"` // lines in all
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

// SettlementLine is what one payment, or what else Plural counted, adds to a
// settlement. A line of a refund or a chargeback may be there, and then its
// figures may be negative: that is not documented. The figures are as Plural
// sent them, in rupees.
//
// The texts are parts of the page that they came in and keep all of it in
// memory: take a [strings.Clone] of what is kept for longer.
type SettlementLine struct {
	// the ID of a [Payment], not of an order: keep those of [Order.Captures] to
	// find an order again
	TransactionID           string       `json:"transaction_id"`
	System                  string       `json:"system,omitzero"` // PG
	ProcessedDate           LocalTime    `json:"processed_date,omitzero"`
	TransactionDate         LocalTime    `json:"transaction_date,omitzero"` // the day only
	TransactionAmount       Rupees       `json:"transaction_amount,omitzero"`
	ActualTransactionAmount Rupees       `json:"actual_transaction_amount,omitzero"` // before the deductions
	TotalDeductionAmount    Rupees       `json:"total_deduction_amount,omitzero"`
	SettledAmount           Rupees       `json:"settled_amount,omitzero"` // may stand on one line for several
	StoreAddress            string       `json:"store_address,omitzero"`
	AcquirerName            string       `json:"acquirer_name,omitzero"`
	TID                     string       `json:"tid,omitzero"`
	IsEMI                   bool         `json:"is_emi"`
	UTRNumber               string       `json:"utr_number,omitzero"`
	Program                 string       `json:"program,omitzero"` // the payment method, such as UPI
	PayoutStatus            PayoutStatus `json:"payout_status,omitzero"`
}

// PayoutStatus is what became of the payout of a line. It is an open enum, and
// only one value is published.
type PayoutStatus string

// PayoutStatusSuccess is the one published value. It is in mixed case there;
// see [PayoutStatus.IsSuccess].
const PayoutStatusSuccess PayoutStatus = "Success"

// IsSuccess reports whether the status is Success, in any case of letters. Any
// other, and none, is not known to be one.
func (s PayoutStatus) IsSuccess() bool {
	return strings.EqualFold(string(s), string(PayoutStatusSuccess))
}
