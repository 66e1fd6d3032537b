package plural

import (
	"net/url"
	"strconv"
	"time"
)

// perPage is the largest number of rows in a page of settlements (Plural's
// settlement API, overview).
const perPage = 10

// The paths of the API.
const (
	pathOfOrders  = "/api/pay/v1/orders/"
	pathOfRefunds = "/api/pay/v1/refunds/"
	settlementsAt = "/api/settlements/v1/"
	checkoutPath  = "/api/checkout/v1/orders"
	tokenPath     = "/api/auth/v1/token" //nolint:gosec // a path, and no secret
)

func pathOfOrder(orderID string) string { return pathOfOrders + url.PathEscape(orderID) }

func pathOfCapture(orderID string) string { return pathOfOrder(orderID) + "/capture" }

func pathOfCancel(orderID string) string { return pathOfOrder(orderID) + "/cancel" }

func pathOfRefund(orderID string) string { return pathOfRefunds + url.PathEscape(orderID) }

func pathByReference(reference string) string {
	return pathOfOrders + "reference/" + url.PathEscape(reference)
}

// pathOfSettlements asks for a page of the settlements from one midnight to
// another. All values are strings, and the times have no zone.
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
