package plural

import "encoding/json"

// ErrorCode is Plural's code for an error. It is an open enum.
type ErrorCode string

// Plural's error codes, from its error catalogue and its callbacks.
const (
	CodeInvalidRequest             ErrorCode = "INVALID_REQUEST"
	CodeUnauthorized               ErrorCode = "UNAUTHORIZED"
	CodeOrderNotFound              ErrorCode = "ORDER_NOT_FOUND"
	CodeDuplicateRequest           ErrorCode = "DUPLICATE_REQUEST"
	CodeOperationNotAllowed        ErrorCode = "OPERATION_NOT_ALLOWED"
	CodeOrderCancelled             ErrorCode = "ORDER_CANCELLED"
	CodePaymentMethodNotEnabled    ErrorCode = "PAYMENT_METHOD_NOT_ENABLED"
	CodePaymentNotAuthorized       ErrorCode = "PAYMENT_NOT_AUTHORIZED"
	CodePaymentPending             ErrorCode = "PAYMENT_PENDING"
	CodePaymentExpired             ErrorCode = "PAYMENT_EXPIRED"
	CodePaymentDeclined            ErrorCode = "PAYMENT_DECLINED"
	CodeUserAuthenticationFailed   ErrorCode = "USER_AUTHENTICATION_FAILED"
	CodeUserAuthenticationRequired ErrorCode = "USER_AUTHENTICATION_REQUIRED"
	CodeInsufficientFunds          ErrorCode = "INSUFFICIENT_FUNDS"
	CodeAmountLimitExceeded        ErrorCode = "AMOUNT_LIMIT_EXCEEDED"
	CodeIssuerNotSupported         ErrorCode = "ISSUER_NOT_SUPPORTED"
	CodeRiskCheckFailed            ErrorCode = "RISK_CHECK_FAILED"
	CodeCardVerificationFailed     ErrorCode = "CARD_VERIFICATION_FAILED"
	CodeCardNotAllowed             ErrorCode = "CARD_NOT_ALLOWED"
	CodeCardStolen                 ErrorCode = "CARD_STOLEN"
	CodeCardLost                   ErrorCode = "CARD_LOST"
	CodeCardExpired                ErrorCode = "CARD_EXPIRED"
	CodeCardNotEnrolled            ErrorCode = "CARD_NOT_ENROLLED"
	CodeInvalidCardholder          ErrorCode = "INVALID_CARDHOLDER"
	CodeInvalidInstrument          ErrorCode = "INVALID_INSTRUMENT"
	CodeInvalidUserAccount         ErrorCode = "INVALID_USER_ACCOUNT"
	CodeAPIRateLimit               ErrorCode = "API_RATE_LIMIT"
	CodePaymentRateLimit           ErrorCode = "PAYMENT_RATE_LIMIT"
	CodeInternalError              ErrorCode = "INTERNAL_ERROR"
	CodeUnknownError               ErrorCode = "UNKNOWN_ERROR"
	CodeTimedOut                   ErrorCode = "TIMED_OUT"
)

// IsKnown reports whether this package has a constant for the code.
func (c ErrorCode) IsKnown() bool { return errorCodes[c].nature != 0 }

// Text describes the code in a few English words, for a merchant's own staff.
// It returns "" for a code that this package does not know.
func (c ErrorCode) Text() string { return errorCodes[c].text }

// NeedsAnotherMethod reports whether the payer should be asked to pay in
// another way. If the result is true, the card, the account or the bank will
// refuse the same payment again.
func (c ErrorCode) NeedsAnotherMethod() bool { return errorCodes[c].remedy == anotherMethod }

// MayPassLater reports whether the same request, or the same payment, may
// succeed later without a change.
func (c ErrorCode) MayPassLater() bool { return errorCodes[c].remedy == later }

// IsRequestFault reports whether the merchant's program or its configuration
// must be corrected before the request can succeed.
func (c ErrorCode) IsRequestFault() bool { return errorCodes[c].remedy == correctRequest }

// A code's nature shows whether the request was carried out.
type nature int

const (
	decision    nature = iota + 1 // the request was not carried out
	ofState                       // the request was not carried out, because of the order's state or an earlier request
	throttle                      // the request was not accepted, and may be sent again
	serverFault                   // the request may have been carried out
)

// A code's remedy is the next step to take. After this step, the request or the
// payment may succeed.
type remedy int

const (
	noRemedy remedy = iota // nothing needs a correction: the order's state explains the error
	anotherMethod
	later
	correctRequest
)

// errorCodes has one entry for each code, with everything that the package
// knows about the code. To add a code, add a constant above and one entry here.
//
//nolint:gochecknoglobals // this map never changes
var errorCodes = map[ErrorCode]struct {
	text   string // for people
	nature nature
	remedy remedy
}{
	CodeInvalidRequest:             {"the request is malformed or breaks a rule", decision, correctRequest},
	CodeUnauthorized:               {"the credentials or the access token are refused", decision, correctRequest},
	CodeOrderNotFound:              {"there is no such order", decision, correctRequest},
	CodeDuplicateRequest:           {"the reference was used before", ofState, noRemedy},
	CodeOperationNotAllowed:        {"the order is in a state that does not allow this", ofState, noRemedy},
	CodeOrderCancelled:             {"the order is cancelled", ofState, noRemedy},
	CodePaymentMethodNotEnabled:    {"the payment method is not enabled for the merchant", decision, correctRequest},
	CodePaymentNotAuthorized:       {"the payment was not authorised", ofState, anotherMethod},
	CodePaymentPending:             {"a payment is under way", ofState, later},
	CodePaymentExpired:             {"the time to pay is over", ofState, noRemedy},
	CodePaymentDeclined:            {"the bank declined the payment", decision, anotherMethod},
	CodeUserAuthenticationFailed:   {"the payer did not pass the bank's check", decision, later},
	CodeUserAuthenticationRequired: {"the bank wants to check the payer first", decision, later},
	CodeInsufficientFunds:          {"there is not enough money in the account", decision, anotherMethod},
	CodeAmountLimitExceeded:        {"the amount is above a limit, or above what is left", decision, correctRequest},
	CodeIssuerNotSupported:         {"the card's bank is not supported", decision, anotherMethod},
	CodeRiskCheckFailed:            {"the payment looked too risky", decision, anotherMethod},
	CodeCardVerificationFailed:     {"the card's details did not pass the check", decision, anotherMethod},
	CodeCardNotAllowed:             {"the card may not be used for this", decision, anotherMethod},
	CodeCardStolen:                 {"the card is blocked", decision, anotherMethod},
	CodeCardLost:                   {"the card is blocked", decision, anotherMethod},
	CodeCardExpired:                {"the card has expired", decision, anotherMethod},
	CodeCardNotEnrolled:            {"the card is not enrolled for payments online", decision, anotherMethod},
	CodeInvalidCardholder:          {"the cardholder's name is not that of the card", decision, anotherMethod},
	CodeInvalidInstrument:          {"the card or account cannot be used", decision, anotherMethod},
	CodeInvalidUserAccount:         {"the payer's account cannot be used", decision, anotherMethod},
	CodeAPIRateLimit:               {"too many requests", throttle, later},
	CodePaymentRateLimit:           {"the payer has tried too often", decision, later},
	CodeInternalError:              {"something failed at Plural", serverFault, later},
	CodeUnknownError:               {"something failed at Plural", serverFault, later},
	CodeTimedOut:                   {"Plural, or the bank, took too long", serverFault, later},
}

// isDefinitive reports whether the code means that Plural has refused the
// request and not carried it out.
func (c ErrorCode) isDefinitive() bool {
	return errorCodes[c].nature == decision || errorCodes[c].nature == ofState
}

// speaksOfState returns true in two cases: Plural refused the request because
// of the order's state, or because of an earlier request.
func (c ErrorCode) speaksOfState() bool { return errorCodes[c].nature == ofState }

// isServerFault reports whether the code means that Plural or the bank failed
// or took too long. After such a code, the request may or may not have been
// carried out.
func (c ErrorCode) isServerFault() bool { return errorCodes[c].nature == serverFault }

// ErrorDetails is the part of an error answer that describes where the error is
// and why (additional_error_details).
type ErrorDetails struct {
	Source   string          `json:"source,omitzero"`
	Step     string          `json:"step,omitzero"`
	Reason   string          `json:"reason,omitzero"`
	Field    string          `json:"field,omitzero"`
	Metadata json.RawMessage `json:"metadata,omitzero"`
}
