package plural

import (
	"net/url"
)

// The paths of the API.
const (
	pathOfOrders  = "/api/pay/v1/orders/"
	pathOfRefunds = "/api/pay/v1/refunds/"
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
