package plural

import (
	"errors"
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

// address is the URL of a path, which may have a query.
func (c *config) address(path string) (*url.URL, error) {
	if isPlainPath(path) { // as nearly all are
		u := *c.baseURL
		u.Path += path
		return &u, nil
	}
	u, err := url.Parse(c.baseText + path)
	if err == nil && u.Host != c.baseURL.Host {
		err = errors.New("another host")
	}
	return u, err
}

// isPlainPath says whether path needs no parsing: it has no query, and nothing
// that is escaped.
func isPlainPath(path string) bool {
	for i := range len(path) {
		if c := path[i]; !isNameByte(c) && c != '-' && c != '/' {
			return false
		}
	}
	return true
}
