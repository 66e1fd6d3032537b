package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

func lookAtDNS(ctx context.Context, v *sharedValues) Finding {
	host := v.base.Hostname()
	if v.proxy != nil {
		return skipped("the proxy looks up host names")
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return fault(host+" is not known to this machine's name server",
			"Check /etc/resolv.conf and the firewall. If this machine needs a proxy, set HTTPS_PROXY.")
	}
	return well(fmt.Sprintf("%s is known (addresses: %d)", host, len(addresses)))
}

// lookAtTLS makes a TLS handshake and reports what both sides have agreed on.
func lookAtTLS(ctx context.Context, v *sharedValues) Finding {
	if v.base.Scheme != "https" {
		return skipped("no TLS on this machine")
	}
	if v.proxy != nil {
		return skipped("requests go through the proxy: see the network check")
	}
	port := v.base.Port()
	if port == "" {
		port = "443"
	}
	dialer := &tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: v.base.Hostname()}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(v.base.Hostname(), port))
	if err != nil {
		return tlsFault(err)
	}
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return fault("no TLS connection", "Run the doctor again.")
	}
	state := secure.ConnectionState()
	leaf, chain := state.PeerCertificates[0], state.VerifiedChains[0]
	left := time.Until(leaf.NotAfter)
	return well(fmt.Sprintf("%s, certificate by %s, chain of %d, good for %d days",
		tls.VersionName(state.Version), issuer(leaf), len(chain), int(left.Hours()/24)))
}

func issuer(c *x509.Certificate) string {
	if len(c.Issuer.Organization) > 0 {
		return c.Issuer.Organization[0]
	}
	return c.Issuer.CommonName
}

func tlsFault(err error) Finding {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return fault("the certificate is by an authority that this machine does not know",
			"Install ca-certificates. If a proxy decrypts TLS, add its authority with SSL_CERT_FILE.")
	case errors.As(err, &name):
		return fault("the certificate is for another name", "Find out which server answers in Plural's place.")
	case errors.As(err, &invalid):
		return fault("the certificate is not valid now", "Check this machine's clock.")
	default:
		return fault("no TLS connection: "+reasonText(err), "Allow this machine to connect to port 443.")
	}
}

// reasonText returns the text of an error without the addresses in it.
func reasonText(err error) string {
	var operation *net.OpError
	var request *url.Error
	var name *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.As(err, &name):
		return name.Err
	case errors.As(err, &operation):
		return operation.Err.Error()
	case errors.As(err, &request):
		return request.Err.Error()
	}
	return err.Error()
}

// lookAtNetwork sends a request that needs no token.
func lookAtNetwork(ctx context.Context, v *sharedValues) Finding {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base.String()+"/api/pay/v1/orders/plural-doctor", nil)
	if err != nil {
		return fault("no path can be added to the base URL", "See PLURAL_BASE_URL.")
	}
	req.Header.Set("User-Agent", "plural-doctor")
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	before := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return fault("no answer: "+reasonText(err), "Allow this machine to connect to "+v.base.Host+".")
	}
	defer resp.Body.Close()
	v.answer = resp
	v.asked = before.Add(time.Since(before) / 2)
	kind := resp.Header.Get("Content-Type")
	if resp.StatusCode == http.StatusForbidden && strings.HasPrefix(kind, "text/html") {
		return fault("a firewall answers with its own page (403)", "Ask Plural's support to allow this machine's address.")
	}
	return well(fmt.Sprintf("%s, answered in %d ms", resp.Proto, time.Since(before).Milliseconds()))
}

// maxSkew is how far this machine's clock may be off before the doctor reports
// a fault. It is less than the five minutes by which a webhook's time may be
// wrong.
const maxSkew = time.Minute

func lookAtClock(_ context.Context, v *sharedValues) Finding {
	date, err := http.ParseTime(v.answer.Header.Get("Date"))
	if err != nil {
		return skipped("the answer has no Date header")
	}
	skew := v.asked.Sub(date).Round(30 * time.Second) // a Date header has whole seconds
	if skew.Abs() > maxSkew {
		return fault(fmt.Sprintf("this machine's clock is off by %v", skew),
			"Run an NTP client: webhooks are refused when the clock is off by five minutes.")
	}
	return well("within a minute of the server's clock")
}

func lookAtToken(ctx context.Context, v *sharedValues) Finding {
	err := v.client.Warm(ctx)
	switch {
	case err == nil:
		return well("Plural has issued a token")
	case isUnauthorized(err):
		return fault("Plural does not take this client id and secret",
			"UAT and production each have their own credentials: use the right ones.")
	default:
		return fault("no token: "+refusalText(err), "Run the doctor again. If that does not help, ask Plural's support.")
	}
}

// lookAtRead reads an order that does not exist.
func lookAtRead(ctx context.Context, v *sharedValues) Finding {
	_, err := v.client.Orders.GetByReference(ctx, plural.Reference("plural-doctor", "no-such-order"))
	answered, _ := errors.AsType[*plural.Error](err)
	switch {
	case err == nil, errors.Is(err, plural.ErrNotFound) && answered.Code != "": // a 404 without a code may be any web page
		return well("orders can be read")
	case isUnauthorized(err):
		return fault("the token is refused", "Ask Plural's support whether the order API is enabled for this merchant.")
	default:
		return fault("orders cannot be read: "+refusalText(err),
			"Run the doctor again. If that does not help, ask Plural's support.")
	}
}

// isUnauthorized reports whether Plural has refused the credentials or the
// token. If the answer is a web page with the status 401, it does not come from
// Plural, but for example from a proxy.
func isUnauthorized(err error) bool {
	answered, ok := errors.AsType[*plural.Error](err)
	return ok && answered.Is(plural.ErrUnauthorized) && json.Valid(answered.Body)
}

// refusalText returns the status and the code of an answer as text. If there
// was no answer, it returns "no answer".
func refusalText(err error) string {
	var answered *plural.Error
	if errors.As(err, &answered) && answered.StatusCode != 0 {
		return fact.Answered("", answered.StatusCode, string(answered.Code)).Text()
	}
	return "no answer"
}
