package plural

import (
	"net"
	"net/url"
	"strings"
)

// Environment is one of Plural's two installations, or "custom" for a base URL
// of your own. The client never falls back from one environment to another.
type Environment string

// The environments. By default a client talks to [UAT], which cannot move real
// money.
const (
	UAT        Environment = "uat"        // https://pluraluat.v2.pinepg.in
	Production Environment = "production" // https://api.pluralpay.in
	custom     Environment = "custom"     // set by WithBaseURL
)

func (e Environment) baseURL() *url.URL {
	host := "pluraluat.v2.pinepg.in"
	if e == Production {
		host = "api.pluralpay.in"
	}
	return &url.URL{Scheme: "https", Host: host}
}

// isSecure reports whether u is https, or http on a loopback host. This rule
// applies to the base URL, and to addresses that a payer is sent to.
func isSecure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

// isPayersURL reports whether a payer can be sent to an address from an answer.
// The address must be absolute and secure, and must not hide the host behind
// user info.
func isPayersURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && isSecure(u) && u.Hostname() != "" && u.User == nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
