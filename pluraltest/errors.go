package pluraltest

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// answer is an HTTP answer before a fault changes it.
type answer struct {
	status      int
	contentType string
	header      http.Header
	body        []byte
	applied     bool // the request had its effect
}

func jsonAnswer(status int, body []byte) answer {
	return answer{status: status, contentType: "application/json", body: body}
}

func (a answer) done() answer {
	a.applied = true
	return a
}

// apiError is a documented error, with the message of the published catalogue.
type apiError struct {
	status  int
	code    string
	message string
	details map[string]any
}

func (e apiError) answer() answer {
	doc := struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Details map[string]any `json:"additional_error_details,omitempty"`
	}{e.code, e.message, e.details}
	return jsonAnswer(e.status, marshal(doc))
}

func invalid(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "INVALID_REQUEST", message: message}
}

var (
	errMalformed = apiError{
		status:  http.StatusBadRequest,
		code:    "INVALID_REQUEST",
		message: "Request is not well-formed, syntactically incorrect, or violates schema",
		details: map[string]any{
			"source":   "internal",
			"step":     "creation",
			"reason":   "invalid_data",
			"metadata": map[string]any{},
		},
	}
	errUnauthorized = apiError{status: http.StatusUnauthorized, code: "UNAUTHORIZED", message: "Unauthorized"}
	errCredentials  = apiError{
		status:  http.StatusUnauthorized,
		code:    "UNAUTHORIZED",
		message: "Invalid client or Invalid client credentials",
	}
	errMethod = apiError{
		status:  http.StatusMethodNotAllowed,
		code:    "INVALID_REQUEST",
		message: "Request method is not supported",
	}
	errOrderNotFound = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "ORDER_NOT_FOUND",
		message: "No order with specified order-id exists in the system",
	}
	errNoRecords = apiError{
		status:  http.StatusBadRequest,
		code:    "INVALID_REQUEST",
		message: "No matching records found for the inquiry",
	}
	errDuplicate = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "DUPLICATE_REQUEST",
		message: "The request has already been processed",
	}
	errNotAllowed = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "OPERATION_NOT_ALLOWED",
		message: "The specified operation cannot be made because required precondition has failed",
	}
	errHoldLapsed = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "PAYMENT_EXPIRED",
		message: "The payment has expired",
	}
	errOrderCancelled = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "ORDER_CANCELLED",
		message: "The order has already been cancelled",
	}
	errGrant = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "INVALID_REQUEST",
		message: "Unsupported grant_type",
	}
	errAmountLimit = apiError{
		status:  http.StatusUnprocessableEntity,
		code:    "AMOUNT_LIMIT_EXCEEDED",
		message: "The amount exceeds the permitted limit",
	}
	errRateLimit = apiError{
		status:  http.StatusTooManyRequests,
		code:    "API_RATE_LIMIT",
		message: "The request was rejected because the client has sent too many requests in a given time window",
	}
	errPaymentRateLimit = apiError{
		status:  http.StatusTooManyRequests,
		code:    "PAYMENT_RATE_LIMIT",
		message: "The payment was declined because too many payments were attempted using the specified payment option",
	}
	errInternal = apiError{
		status:  http.StatusInternalServerError,
		code:    "INTERNAL_ERROR",
		message: "Internal Server Error",
	}
	errTimedOut = apiError{
		status:  http.StatusGatewayTimeout,
		code:    "TIMED_OUT",
		message: "The request timed out. Please try again later",
	}
)

// gatewayError makes an error answer as Plural's gateway makes it. The gateway
// stands in front of the services. The gateway's errors and the services'
// errors have different JSON fields.
func gatewayError(status int, traceID string) answer {
	return jsonAnswer(status, marshal(struct {
		Status  int    `json:"status"`
		Type    string `json:"type"`
		Message string `json:"message"`
		TraceID string `json:"traceId"`
	}{status, "", http.StatusText(status), traceID}))
}

// checkoutAnswer answers with an error of the checkout endpoint, in the shape
// that [WithCheckoutErrors] has selected.
func (s *Server) checkoutAnswer(e *apiError) answer {
	switch s.cfg.checkoutErrors {
	case CheckoutErrorResponseCode:
		return jsonAnswer(e.status, marshal(struct {
			Code    int    `json:"response_code"`
			Message string `json:"response_message"`
		}{e.status, e.message}))
	case CheckoutErrorMessage:
		return jsonAnswer(e.status, marshal(map[string]string{"error_message": e.message}))
	default:
		return e.answer()
	}
}

// htmlGateway makes the error page of the proxy in front of the services.
func htmlGateway(status int) string {
	title := itoa(status) + " " + http.StatusText(status)
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n" +
		"<body>\r\n<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"
}

const htmlForbidden = "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD>" +
	"<BODY><H1>403 ERROR</H1></BODY></HTML>\n"

// unreadMoney refuses a request with a money field that the server does not
// read. If the server ignored the field, it would silently use another sum.
func unreadMoney(body []byte, read ...string) *apiError {
	var sent map[string]json.RawMessage
	_ = json.Unmarshal(body, &sent) // the caller has already refused a body that is not an object
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if strings.Contains(strings.ToLower(name), "amount") && !slices.Contains(read, name) {
			return invalid("Unknown field " + name)
		}
	}
	return nil
}

// decode reads a JSON object into the fields of a struct. Names are
// case-sensitive. encoding/json alone would accept capital and small letters
// alike, and hide a client's mistake.
func decode(body []byte, into any) bool {
	var sent map[string]json.RawMessage
	if json.Unmarshal(body, &sent) != nil {
		return false
	}
	fields := reflect.ValueOf(into).Elem()
	for i := range fields.NumField() {
		raw, ok := sent[fields.Type().Field(i).Tag.Get("json")]
		if ok && json.Unmarshal(raw, fields.Field(i).Addr().Interface()) != nil {
			return false
		}
	}
	return true
}
