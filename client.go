package plural

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/plural-go/plural/internal/peer"
	"github.com/plural-go/plural/internal/wire"
)

// Client talks to Plural. The operations are methods of its services. A Client
// does not change after construction and is safe for concurrent use. Make one
// Client for each merchant and keep it, so its token and its connections are
// reused. A Client does not have to be closed.
type Client struct {
	Orders   *OrderService
	Captures *CaptureService
	Cancels  *CancelService
	Refunds  *RefundService

	Settlements  *SettlementService // the payouts that have reached the merchant's bank
	PaymentLinks *PaymentLinkService

	p *pipeline
}

// NewClient makes a client. It sends nothing. The first call fetches the access
// token, unless [Client.Warm] has fetched it before. NewClient fails when an
// option is invalid, or when the credentials are empty or have spaces, control
// characters or characters outside ASCII. The error does not show the
// credentials.
func NewClient(creds Credentials, opts ...Option) (*Client, error) {
	if err := creds.validate(); err != nil {
		return nil, err
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	line, err := assemble(cfg, creds)
	if err != nil {
		return nil, err
	}
	return &Client{
		Orders:   &OrderService{line},
		Captures: &CaptureService{line},
		Cancels:  &CancelService{line},
		Refunds:  &RefundService{line},

		Settlements:  &SettlementService{line},
		PaymentLinks: &PaymentLinkService{line},

		p: line,
	}, nil
}

// The function assemble builds the chain of transports that each try of a
// request goes through. It begins at the end of the chain, with the transport
// that talks to the network.
func assemble(cfg *config, creds Credentials) (*pipeline, error) {
	hc := cfg.httpClient()
	// This peer wraps the user's transport, or the SDK's own transport. It
	// knows the state of that transport's connections.
	base := peer.New(hc.Transport)
	// Access tokens are fetched directly through base, so no middleware sees
	// the client secret.
	tokens, err := newTokenSource(cfg, creds, base)
	if err != nil {
		return nil, err
	}
	// The auth transport adds a token to each request, and sends the request
	// again after a 401.
	hc.Transport = &authTransport{peer: base, origin: cfg.baseURL, source: tokens}
	// The first middleware is the outermost. No middleware sees the token.
	for _, wrap := range slices.Backward(cfg.middleware) {
		if hc.Transport = wrap(hc.Transport); isNil(hc.Transport) {
			return nil, errors.New("plural: new client: a middleware returned no transport")
		}
	}
	// The http.Client is kept for its cookie jar. If an answer is a redirect,
	// the http.Client returns this answer, and does not follow the redirect.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// The http.Client gets no timeout of its own. call.go limits the time of
	// each try, and repeat.go repeats the request.
	if hc.Timeout > 0 {
		cfg.attemptTimeout = min(cfg.attemptTimeout, hc.Timeout)
	}
	hc.Timeout = 0
	return &pipeline{cfg: cfg, http: hc, peer: base, tokens: tokens}, nil
}

// NewClientFromEnv makes a client from the environment variables
// PLURAL_CLIENT_ID and PLURAL_CLIENT_SECRET, and either PLURAL_ENVIRONMENT
// ("uat" or "production") or PLURAL_BASE_URL. It also applies opts. It fails if
// an option contradicts a variable.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	creds := Credentials{ClientID: os.Getenv("PLURAL_CLIENT_ID"), ClientSecret: os.Getenv("PLURAL_CLIENT_SECRET")}
	environment, baseURL := os.Getenv("PLURAL_ENVIRONMENT"), os.Getenv("PLURAL_BASE_URL")
	var where Option
	switch {
	case creds.ClientID == "" || creds.ClientSecret == "":
		return nil, errors.New("plural: new client: PLURAL_CLIENT_ID and PLURAL_CLIENT_SECRET must be set")
	case (environment == "") == (baseURL == ""):
		return nil, errors.New(
			"plural: new client: one of PLURAL_ENVIRONMENT (uat or production) and PLURAL_BASE_URL must be set, and not both",
		)
	case baseURL != "":
		where = WithBaseURL(baseURL)
	case environment != string(UAT) && environment != string(Production):
		const problem = "plural: new client: PLURAL_ENVIRONMENT is %q; it must be uat or production"
		return nil, fmt.Errorf(problem, clip(environment))
	default:
		where = WithEnvironment(Environment(environment))
	}
	return NewClient(creds, append([]Option{where}, opts...)...)
}

// Environment returns the installation that the client talks to: [UAT],
// [Production], or "custom" after [WithBaseURL].
func (c *Client) Environment() Environment { return c.p.cfg.environment }

// Warm fetches the access token, so the first sale does not wait for it. If the
// client has a token, Warm does nothing. Warm repeats a request that fails. The
// error is an [Error]. If the credentials are wrong, the error also matches
// [ErrUnauthorized].
func (c *Client) Warm(ctx context.Context) error {
	call, err := c.p.newCall(ctx, opToken, "", "", nil, requestCheck{}, nil)
	if err != nil {
		return err
	}
	return call.warm(ctx)
}

// CloseIdleConnections closes the connections that no call is using. The client
// remains usable.
func (c *Client) CloseIdleConnections() { c.p.peer.CloseIdle() }

// Do calls an endpoint that this package has no method for. These are the
// parameters:
//
//   - method: GET, POST, PUT, PATCH or DELETE.
//   - path: the path of the endpoint. It starts with a slash and may have a
//     query.
//   - in: the value to send as the JSON body. If this value is nil, the request
//     has no body. For a GET, the value must be nil.
//   - out: a pointer to the value that Do decodes the answer into. Do decodes
//     the whole JSON document, with the envelope around the data. If the
//     pointer is nil, the answer is not decoded.
//
// The document of the answer may be nested up to 32 levels deep. It may have up
// to 2,000 elements in each list or object, and up to 100,000 in all. A struct
// of this package is decoded in the same way as by the service methods. Your
// own types are decoded with encoding/json.
//
// A GET that fails is repeated. A request with any other method is sent again
// in only two cases: nothing of the request was sent, or Plural refused the
// token. After a refused token, the request is sent again with another token,
// at most twice.
//
// A refusal is an [Error]. For a method other than GET, the error is
// [ErrOutcomeUnknown] in these cases:
//
//   - The answer is lost or incomplete, or is larger than 4 MiB.
//   - The status is 200 to 299, and the answer is not JSON.
//   - The status is 3xx, 408, 409, 425, or 500 and above. The exception is an
//     answer with the code INVALID_USER_ACCOUNT, which is always a refusal.
//   - Plural's error code stands for a fault of the server.
//
// In these cases the package cannot find out what happened to the request. Find
// that out yourself before you send the request again.
//
// An [Error] may also have a status of 200 to 299 and a cause. Then the request
// may have been carried out. For example, the answer is JSON, but a field of
// the answer does not fit into your struct.
func (c *Client) Do(ctx context.Context, method, path string, in, out any, opts ...CallOption) error {
	op := opDo(method, pathOnly(path))
	var check requestCheck
	check.must(method != http.MethodGet || in == nil, "request", "must be nil: a GET carries no body")
	check.endpoint(method, path)
	call, err := c.p.newCall(ctx, op, path, "", in, check, opts)
	if err != nil {
		return err
	}
	decode := func(a *answer) error {
		switch {
		case a.document().code().isDefinitive():
			return errRefusalInOK
		case len(a.body) == 0 && (out == nil || a.status == http.StatusNoContent):
			return nil
		case out == nil:
			return wire.Check(a.body)
		}
		return decodeInto(wire.Document(a.body), out)
	}
	if method == http.MethodGet {
		return call.read(ctx, decode)
	}
	return call.sendOnce(ctx, decode)
}

var errRefusalInOK = errors.New("a refusal with the status of a success")

// This check is for the HTTP method and the path that a caller passes to
// [Client.Do]. The path must not lead to a host other than the base URL's.
func (c *requestCheck) endpoint(method, path string) {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		c.must(false, "method", "must be GET, POST, PUT, PATCH or DELETE")
	}
	u, err := url.ParseRequestURI(path)
	switch {
	case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\#"):
		c.must(false, "path", "must start with one slash and have no backslash and no fragment")
	case err != nil:
		c.must(false, "path", "is not a URL path")
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }):
		c.must(false, "path", "must have no segment that is . or ..")
	}
}

func pathOnly(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return clip(path)
}
