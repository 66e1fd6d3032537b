package plural

import "encoding/json"

// ErrorCode is Plural's code for what went wrong. It is an open enum.
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

// IsKnown says whether the code is one that this package has a constant for.
func (c ErrorCode) IsKnown() bool {
	return c.isDefinitive() || c == CodeAPIRateLimit || c.isServerFault()
}

// isDefinitive says whether the code is a decision about the request, which was
// then not carried out.
func (c ErrorCode) isDefinitive() bool {
	switch c {
	case CodeInvalidRequest,
		CodeUnauthorized,
		CodeOrderNotFound,
		CodeDuplicateRequest,
		CodeOperationNotAllowed,
		CodeOrderCancelled,
		CodePaymentMethodNotEnabled,
		CodePaymentNotAuthorized,
		CodePaymentPending,
		CodePaymentExpired,
		CodePaymentDeclined,
		CodeUserAuthenticationFailed,
		CodeUserAuthenticationRequired,
		CodeInsufficientFunds,
		CodeAmountLimitExceeded,
		CodeIssuerNotSupported,
		CodeRiskCheckFailed,
		CodeCardVerificationFailed,
		CodeCardNotAllowed,
		CodeCardStolen,
		CodeCardLost,
		CodeCardExpired,
		CodeCardNotEnrolled,
		CodeInvalidCardholder,
		CodeInvalidInstrument,
		CodeInvalidUserAccount,
		CodePaymentRateLimit:
		return true
	}
	return false
}

// speaksOfState says whether the code is about the state of the order, or of an
// earlier request. The books have to agree with it before it is believed: where
// they look open, another request may be under way.
func (c ErrorCode) speaksOfState() bool {
	switch c {
	case CodeOperationNotAllowed, CodeDuplicateRequest, CodeOrderCancelled,
		CodePaymentPending, CodePaymentNotAuthorized, CodePaymentExpired:
		return true
	}
	return false
}

// speaksOfRequest says whether the code is about the request itself, whatever
// the state of the order. Open books confirm it. A code that this package does
// not know, and no code, speak of neither.
func (c ErrorCode) speaksOfRequest() bool {
	return c.isDefinitive() && !c.speaksOfState() && c != CodeOrderNotFound && c != CodeUnauthorized &&
		c != CodePaymentRateLimit
}

// isServerFault says whether the code leaves open what became of the request.
func (c ErrorCode) isServerFault() bool {
	return c == CodeInternalError || c == CodeUnknownError || c == CodeTimedOut
}

// ErrorDetails is the part of an error answer that says where and why
// (additional_error_details).
type ErrorDetails struct {
	Source   string          `json:"source,omitzero"`
	Step     string          `json:"step,omitzero"`
	Reason   string          `json:"reason,omitzero"`
	Field    string          `json:"field,omitzero"`
	Metadata json.RawMessage `json:"metadata,omitzero"`
}
