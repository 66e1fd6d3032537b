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

// IsKnown reports whether the code is one that this package has a constant for.
func (c ErrorCode) IsKnown() bool {
	return c.isDefinitive() || c == CodeAPIRateLimit || c.isServerFault()
}

// Text says in a few English words what the code means, for a merchant's own
// staff; "" for a code that this package does not know.
func (c ErrorCode) Text() string { return c.meaning().text }

// NeedsAnotherMethod reports whether the payer should be asked to pay in
// another way: the card, the account or the bank will refuse this one again.
func (c ErrorCode) NeedsAnotherMethod() bool { return c.meaning().remedy == anotherMethod }

// MayPassLater reports whether the same request, or the same payment, may
// succeed later without a change.
func (c ErrorCode) MayPassLater() bool { return c.meaning().remedy == later }

// IsRequestFault reports whether the merchant's program or its configuration
// must be corrected first.
func (c ErrorCode) IsRequestFault() bool { return c.meaning().remedy == mendRequest }

// remedy is how to solve an error.
type remedy int

const (
	noRemedy remedy = iota // the order's state explains it
	anotherMethod
	later
	mendRequest
)

// meaning explains a code to people.
type meaning struct {
	text   string
	remedy remedy
}

func (c ErrorCode) meaning() meaning {
	switch c {
	case CodeInvalidRequest:
		return meaning{"the request is malformed or breaks a rule", mendRequest}
	case CodeUnauthorized:
		return meaning{"the credentials or the access token are refused", mendRequest}
	case CodeOrderNotFound:
		return meaning{"there is no such order", mendRequest}
	case CodeDuplicateRequest:
		return meaning{"the reference was used before", noRemedy}
	case CodeOperationNotAllowed:
		return meaning{"the order is in a state that does not allow this", noRemedy}
	case CodeOrderCancelled:
		return meaning{"the order is cancelled", noRemedy}
	case CodePaymentMethodNotEnabled:
		return meaning{"the payment method is not enabled for the merchant", mendRequest}
	case CodePaymentNotAuthorized:
		return meaning{"the payment was not authorised", anotherMethod}
	case CodePaymentPending:
		return meaning{"a payment is under way", later}
	case CodePaymentExpired:
		return meaning{"the time to pay is over", noRemedy}
	case CodePaymentDeclined:
		return meaning{"the bank declined the payment", anotherMethod}
	case CodeUserAuthenticationFailed:
		return meaning{"the payer did not pass the bank's check", later}
	case CodeUserAuthenticationRequired:
		return meaning{"the bank wants to check the payer first", later}
	case CodeInsufficientFunds:
		return meaning{"there is not enough money in the account", anotherMethod}
	case CodeAmountLimitExceeded:
		return meaning{"the amount is above a limit, or above what is left", mendRequest}
	case CodeIssuerNotSupported:
		return meaning{"the card's bank is not supported", anotherMethod}
	case CodeRiskCheckFailed:
		return meaning{"the payment looked too risky", anotherMethod}
	case CodeCardVerificationFailed:
		return meaning{"the card's details did not pass the check", anotherMethod}
	case CodeCardNotAllowed:
		return meaning{"the card may not be used for this", anotherMethod}
	case CodeCardStolen, CodeCardLost:
		return meaning{"the card is blocked", anotherMethod}
	case CodeCardExpired:
		return meaning{"the card has expired", anotherMethod}
	case CodeCardNotEnrolled:
		return meaning{"the card is not enrolled for payments online", anotherMethod}
	case CodeInvalidCardholder:
		return meaning{"the cardholder's name is not that of the card", anotherMethod}
	case CodeInvalidInstrument:
		return meaning{"the card or account cannot be used", anotherMethod}
	case CodeInvalidUserAccount:
		return meaning{"the payer's account cannot be used", anotherMethod}
	case CodeAPIRateLimit:
		return meaning{"too many requests", later}
	case CodePaymentRateLimit:
		return meaning{"the payer has tried too often", later}
	case CodeInternalError, CodeUnknownError:
		return meaning{"something failed at Plural", later}
	case CodeTimedOut:
		return meaning{"Plural, or the bank, took too long", later}
	}
	return meaning{}
}

// isDefinitive reports whether the code means that the request was decided on
// and not carried out.
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

// speaksOfState reports whether the code is about the state of the order, or of
// an earlier request.
func (c ErrorCode) speaksOfState() bool {
	switch c {
	case CodeOperationNotAllowed, CodeDuplicateRequest, CodeOrderCancelled,
		CodePaymentPending, CodePaymentNotAuthorized, CodePaymentExpired:
		return true
	}
	return false
}

// isServerFault reports whether the code leaves open what became of the
// request.
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
