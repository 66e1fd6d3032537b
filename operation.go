package plural

import (
	"net/http"
	"strings"
)

// operation describes what a call does.
type operation struct {
	name    string // a small set of values, for errors and metrics
	phrase  string // for people
	method  string
	settles bool // part of its time is kept for asking what happened to it

	byReference bool // it is about an order by its reference, not by its id
}

// The operations, one on each line. The last five are only names for errors:
// four of them read by orders.get or orders.get_by_reference, and orders.check
// sends nothing.
//
//nolint:gochecknoglobals // constants in all but name
var (
	opToken       = operation{name: "token", phrase: "get access token", method: http.MethodPost}
	opCreateOrder = operation{
		name: "orders.create", phrase: "create order", method: http.MethodPost, settles: true, byReference: true,
	}
	opGetOrder       = operation{name: "orders.get", phrase: "get order", method: http.MethodGet}
	opGetByReference = operation{
		name: "orders.get_by_reference", phrase: "get order by reference", method: http.MethodGet, byReference: true,
	}
	opCapture         = operation{name: "captures.create", phrase: "capture order", method: http.MethodPut, settles: true}
	opCancel          = operation{name: "cancels.create", phrase: "cancel order", method: http.MethodPut, settles: true}
	opRefund          = operation{name: "refunds.create", phrase: "refund order", method: http.MethodPost, settles: true}
	opListSettlements = operation{name: "settlements.list", phrase: "list settlements", method: http.MethodGet}
	opSettlementLines = operation{name: "settlements.lines", phrase: "read lines of settlement", method: http.MethodGet}
	opGetSettlement   = operation{name: "settlements.get", phrase: "get settlement", method: http.MethodGet}

	opFindCapture = operation{name: "captures.find", phrase: "find capture of order"}
	opFindRefund  = operation{name: "refunds.find", phrase: "find refund of order"}
	opConfirm     = operation{name: "orders.confirm", phrase: "confirm order"}
	opCheck       = operation{name: "orders.check", phrase: "check order"}
	opWait        = operation{name: "orders.wait", phrase: "wait for order"}

	operations = []operation{
		opToken, opCreateOrder, opGetOrder, opGetByReference, opCapture, opCancel, opRefund,
		opListSettlements, opSettlementLines, opGetSettlement,
		opFindCapture, opFindRefund, opConfirm, opCheck, opWait,
	}
)

// opDo is the operation of [Client.Do]. Only its phrase distinguishes one
// endpoint from another.
func opDo(method, path string) operation {
	return operation{name: "do", phrase: method + " " + path, method: method}
}

// op is the operation in errors.
func (o operation) op() string {
	if o.name == "do" {
		return o.phrase
	}
	return o.name
}

// phraseOf describes the operation of an error to people.
func phraseOf(op string) string {
	for _, known := range operations {
		if op == known.name {
			return known.phrase
		}
	}
	if op == "" {
		return "request"
	}
	return printable(op)
}

// isLookup reports whether the operation of an error looks something up that
// may not be there.
func isLookup(op string) bool {
	switch op {
	case opGetOrder.name, opGetByReference.name, opListSettlements.name, opSettlementLines.name, opGetSettlement.name:
		return true
	}
	return strings.HasPrefix(op, http.MethodGet+" ")
}
