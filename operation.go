package plural

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The type operation describes what a call does.
type operation struct {
	name    string // one of a small set of names, for errors and metrics
	phrase  string // for people
	method  string
	settles bool // a try leaves some of the call's time for finding out what happened to the write

	byReference bool // the call names the order or link by a reference, not by an id
}

// The operations. The last five, from opFindCapture on, have no requests of
// their own. Their names are in errors, and two of the names (captures.find and
// refunds.find) are also in observations. The operation orders.check sends
// nothing. The other four read the books: they make the requests that
// orders.get and orders.get_by_reference make.
//
//nolint:gochecknoglobals // these values never change
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

	opCreateLink = operation{
		name: "payment_links.create", phrase: "create payment link", method: http.MethodPost,
		settles: true, byReference: true,
	}
	opCancelLink = operation{
		name: "payment_links.cancel", phrase: "cancel payment link", method: http.MethodPut, settles: true,
	}
	opNotifyLink = operation{
		name: "payment_links.notify", phrase: "notify customer of payment link", method: http.MethodPatch,
	}
	opGetLink            = operation{name: "payment_links.get", phrase: "get payment link", method: http.MethodGet}
	opGetLinkByReference = operation{
		name: "payment_links.get_by_reference", phrase: "get payment link by reference", method: http.MethodGet,
		byReference: true,
	}
	opFindCapture = operation{name: "captures.find", phrase: "find capture of order"}
	opFindRefund  = operation{name: "refunds.find", phrase: "find refund of order"}
	opConfirm     = operation{name: "orders.confirm", phrase: "confirm order"}
	opCheck       = operation{name: "orders.check", phrase: "check order"}
	opWait        = operation{name: "orders.wait", phrase: "wait for order"}

	operations = []operation{
		opToken, opCreateOrder, opGetOrder, opGetByReference, opCapture, opCancel, opRefund,
		opListSettlements, opSettlementLines, opGetSettlement,
		opCreateLink, opCancelLink, opNotifyLink, opGetLink, opGetLinkByReference,
		opFindCapture, opFindRefund, opConfirm, opCheck, opWait,
	}
)

// opDo makes the operation for a call of [Client.Do]. All these operations have
// the name "do", so only the phrase shows which endpoint was called.
func opDo(method, path string) operation {
	return operation{name: "do", phrase: method + " " + path, method: method}
}

// op returns the name of the operation for errors.
func (o operation) op() string {
	if o.name == "do" {
		return o.phrase
	}
	return o.name
}

// phraseOf describes an error's operation in words, for people.
func phraseOf(op string) string {
	for _, known := range operations {
		if op == known.name {
			return known.phrase
		}
	}
	if op == "" {
		return "request"
	}
	return shortenText(op)
}

// isLookup reports whether an error's operation looks up something that may not
// exist.
func isLookup(op string) bool {
	isGet := func(known operation) bool { return known.name == op && known.method == http.MethodGet }
	return slices.ContainsFunc(operations, isGet) || strings.HasPrefix(op, http.MethodGet+" ")
}

// perPage is the largest number of rows in a page of settlements (Plural's
// settlement API, overview).
const perPage = 10

// The paths of the API.
const (
	pathOfOrders  = "/api/pay/v1/orders/"
	pathOfRefunds = "/api/pay/v1/refunds/"
	pathOfLinks   = "/api/pay/v1/paymentlink"
	settlementsAt = "/api/settlements/v1/"
	checkoutPath  = "/api/checkout/v1/orders"
	tokenPath     = "/api/auth/v1/token" //nolint:gosec // this is a path and not a secret
)

func pathOfOrder(orderID string) string { return pathOfOrders + url.PathEscape(orderID) }

func pathOfCapture(orderID string) string { return pathOfOrder(orderID) + "/capture" }

func pathOfCancel(orderID string) string { return pathOfOrder(orderID) + "/cancel" }

func pathOfRefund(orderID string) string { return pathOfRefunds + url.PathEscape(orderID) }

func pathByReference(reference string) string {
	return pathOfOrders + "reference/" + url.PathEscape(reference)
}

func pathOfLink(linkID string) string { return pathOfLinks + "/" + url.PathEscape(linkID) }

func pathOfLinkReference(reference string) string {
	return pathOfLinks + "/ref/" + url.PathEscape(reference)
}

// pathOfSettlements returns the path that asks for a page of the settlements
// from one midnight to another. The times in the path have no zone.
func pathOfSettlements(first, end time.Time, page int) string {
	const layout = "2006-01-02T15:04:05"
	return settlementsAt + "list?" + url.Values{
		"start_date": {first.Format(layout)},
		"end_date":   {end.Format(layout)},
		"page":       {strconv.Itoa(page)},
		"per_page":   {strconv.Itoa(perPage)},
	}.Encode()
}

func pathOfSettlement(utr string, page int) string {
	return settlementsAt + "detail/" + url.PathEscape(utr) + "?" + url.Values{
		"page":     {strconv.Itoa(page)},
		"per_page": {strconv.Itoa(perPage)},
	}.Encode()
}
