package plural

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/peer"
	"github.com/plural-go/plural/internal/retry"
)

// Option configures a [Client].
type Option func(*config) error

// WithEnvironment chooses Plural's installation: [UAT], the default, or
// [Production]. It cannot be combined with [WithBaseURL].
func WithEnvironment(e Environment) Option {
	return func(c *config) error {
		if e != UAT && e != Production {
			return fmt.Errorf("the environment must be %q or %q", UAT, Production)
		}
		if c.environment != "" && c.environment != e {
			return errors.New("WithEnvironment is given twice, with different environments")
		}
		c.environment = e
		return nil
	}
}

// WithBaseURL makes the client talk to another address, such as an emulator.
// The URL must be https, or http on a loopback host. It must have no user info,
// no query and no fragment. It may have a path. WithBaseURL cannot be combined
// with [WithEnvironment].
func WithBaseURL(base string) Option {
	return func(c *config) error {
		u, err := url.Parse(base)
		if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
			return errors.New("the base URL is not an absolute URL")
		}
		if u.User != nil || strings.ContainsAny(base, "?#") {
			return errors.New("the base URL has user info, a query or a fragment")
		}
		if !isSecure(u) {
			return errors.New("the base URL must be https; http is for loopback hosts only")
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		u.RawPath = ""
		if c.customURL != nil && *c.customURL != *u {
			return errors.New("WithBaseURL is given twice, with different URLs")
		}
		c.customURL = u
		return nil
	}
}

// WithHTTPClient makes the SDK send its requests through your HTTP client. The
// SDK uses the client's Transport, Timeout and Jar, and never follows
// redirects. The SDK copies the client and does not change it. If the client's
// Timeout is shorter than the limit of [WithAttemptTimeout], the Timeout limits
// each try. The Transport must not repeat requests by itself. After a try
// without an answer, the SDK closes the Transport's idle connections. So a
// Transport that wraps another transport should have a method
// CloseIdleConnections that calls the same method of the other transport. A nil
// Transport means the SDK's own, not [http.DefaultTransport].
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		if hc == nil {
			return errors.New("the HTTP client is nil")
		}
		if hc.Transport != nil && isNil(hc.Transport) {
			return errors.New("the HTTP client's transport is a nil pointer")
		}
		c.userClient = hc
		return nil
	}
}

// WithMiddleware wraps the transport, for tracing and metrics. The first
// middleware is the outermost. Middleware sees each try of each call, and
// learns the operation from [OperationFromContext]. It does not see the access
// token or the requests for a token. If a token is refused, the SDK repeats the
// try, and middleware does not see the repetition. Middleware must not repeat
// requests by itself, and must not change their bodies.
func WithMiddleware(mw ...func(http.RoundTripper) http.RoundTripper) Option {
	isMissing := func(m func(http.RoundTripper) http.RoundTripper) bool { return m == nil }
	return optionIf(!slices.ContainsFunc(mw, isMissing), "a middleware is nil", func(c *config) {
		c.middleware = append(c.middleware, mw...)
	})
}

// RetryPolicy sets how often and how fast requests are repeated. A field that
// is zero gets its default: 4 attempts, a MinDelay of 250 ms and a MaxDelay of
// 8 s. If Plural asks for a longer wait (Retry-After), the call waits that
// long, up to 60 seconds. If Plural asks for more than 60 seconds, the call
// ends. A read that finds out what happened to a write is tried up to 4 times,
// even if MaxAttempts is less than 4.
type RetryPolicy struct {
	// the largest number of tries of one request. Even with 1, some requests
	// are repeated, such as the reads that find out what happened to a write
	MaxAttempts int
	// The wait before a repetition is random. After the first try it is at most
	// MinDelay. This limit doubles with each further try, up to MaxDelay
	MinDelay, MaxDelay time.Duration
}

// WithRetry sets how often and how fast requests are repeated.
func WithRetry(p RetryPolicy) Option {
	return func(c *config) error {
		if p.MaxAttempts < 0 || p.MinDelay < 0 || p.MaxDelay < 0 {
			return errors.New("the retry policy has a negative number")
		}
		if p.MaxDelay > 0 && p.MinDelay > p.MaxDelay {
			return errors.New("the retry policy's MinDelay is above its MaxDelay")
		}
		c.retry = policyOf(p)
		return nil
	}
}

// policyOf fills in the defaults. If MinDelay is given and is above the default
// of MaxDelay, MaxDelay is set to MinDelay. If MaxDelay is given and is below
// the default of MinDelay, MinDelay is set to MaxDelay.
func policyOf(p RetryPolicy) retry.Policy {
	longest := cmp.Or(p.MaxDelay, max(8*time.Second, p.MinDelay))
	return retry.Policy{
		MaxAttempts: cmp.Or(p.MaxAttempts, 4),
		MinDelay:    cmp.Or(p.MinDelay, min(250*time.Millisecond, longest)),
		MaxDelay:    longest,
	}
}

// WithSingleRefundSend makes a call send a refund, or a new payment link, at
// most once. Without this option, a call sends a refund again if the answer was
// lost and the books did not show the refund during three seconds of reading.
// The two requests make only one refund if Plural carries out only one refund
// for each reference, as it documents. With WithSingleRefundSend, the call does
// not send the refund again in this case. The call ends with
// [ErrOutcomeUnknown], and only a new call sends the refund again. But even
// with this option, a call sends the refund again if no byte of the refund was
// sent before, or if Plural refused the access token.
func WithSingleRefundSend() Option {
	return func(c *config) error {
		c.singleRefundSend = true
		return nil
	}
}

// WithAttemptTimeout limits the time of one try. The default is 10 s. A try
// that takes longer is repeated if that is safe. The context limits the whole
// call. The SDK's own transport waits at most 60 s for an answer's header.
func WithAttemptTimeout(d time.Duration) Option {
	return optionIf(d > 0, "the attempt timeout must be positive", func(c *config) { c.attemptTimeout = d })
}

// WithTokenStore sets a store in which several processes share one access
// token.
func WithTokenStore(s TokenStore) Option {
	return optionIf(!isNil(s), "the token store is nil", func(c *config) { c.tokenStore = s })
}

// WithLogger logs each try (debug) and problems with the token store (warn). It
// logs no body, token, secret, signature or query string.
func WithLogger(l *slog.Logger) Option {
	return optionIf(l != nil, "the logger is nil", func(c *config) { c.log = logger{l} })
}

// WithObserver calls a function when a call or a request for an access token
// has ended. Use it to count attempts, unknown outcomes and requests for
// tokens. Middleware, in contrast, sees each try. The SDK's call returns only
// after the function has returned, so the function should be quick. Its panics
// are ignored. The function is not called if validation refuses the call. For
// Confirm, ConfirmEvent and Wait, the function is called for each read that
// they make.
func WithObserver(observe func(ctx context.Context, o Observation)) Option {
	return optionIf(observe != nil, "the observer is nil", func(c *config) { c.observer = observe })
}

// WithUserAgent adds the name of your program to the SDK's own User-Agent.
func WithUserAgent(ua string) Option {
	const problem = "the user agent is empty or has control characters"
	return optionIf(ua != "" && validHeaderValue(ua), problem, func(c *config) { c.userAgent += " " + ua })
}

// CallOption configures one call. An invalid option makes the call return a
// [ValidationError].
type CallOption func(*callConfig)

// WithRequestID sets the call's Request-ID, which Plural's support can look up.
// All tries of the call have the same id. Without WithRequestID the id is a new
// UUID.
func WithRequestID(id string) CallOption {
	return func(c *callConfig) {
		if id == "" || len(id) > 128 || !validHeaderValue(id) {
			c.reject("Request-ID", "must be 1 to 128 printable characters")
			return
		}
		c.requestID = strings.Clone(id)
	}
}

// WithHeader sets a header on each try of the call. If two headers have the
// same name, the last one counts. WithHeader refuses the headers that the SDK
// sets, and headers that net/http or proxies act on. It also refuses
// idempotency keys, because Plural does not read them and net/http repeats a
// write that has such a key.
func WithHeader(name, value string) CallOption {
	return func(c *callConfig) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !validHeaderName(name):
			c.reject("header", "must have a valid name")
		case ownHeader(canonical):
			c.reject("header "+canonical, "must not be set by the caller")
		case !validHeaderValue(value):
			c.reject("header "+canonical, "must have a value without control characters")
		default:
			if c.header == nil {
				c.header = http.Header{}
			}
			c.header.Set(canonical, value)
		}
	}
}

// Response is the last answer of a call, for [WithResponseInto]. fmt and slog
// print a Response without its header and body.
type Response struct {
	StatusCode int         // 0 when no answer came
	Header     http.Header // the answer's header
	RequestID  string      // the Request-ID that was sent
	// Attempts is the number of tries. A try that is sent again with a new
	// token counts once. Some calls also read the books to find out what
	// happened to a write. These reads are not counted.
	Attempts int
	Body     []byte // the answer's body as sent, up to 4 MiB; may hold personal data
}

// WithResponseInto fills r with the call's last answer, even if the call fails.
func WithResponseInto(r *Response) CallOption {
	return func(c *callConfig) {
		if r == nil {
			c.reject("WithResponseInto", "must be given a Response")
			return
		}
		c.into = r
	}
}

// WithoutRetry limits the call to one try. If the answer to a create, capture,
// cancel or refund is lost, the call still reads the books to find out what
// happened. A try whose token was refused is sent again with a new token, and
// counts once.
func WithoutRetry() CallOption {
	return func(c *callConfig) { c.withoutRetry = true }
}

// WithoutValidation leaves the check of the documented lengths and limits to
// the server, in case the limits in this package are out of date. The call
// still refuses requests that can never be right: a nil request, an id or
// reference that does not fit into a path, an amount that is not positive, or a
// field given twice.
func WithoutValidation() CallOption {
	return func(c *callConfig) { c.withoutValidation = true }
}

// optionIf makes an option. If isValid is true, the option calls the function
// applyTo. If isValid is false, the option returns an error with the text in
// the parameter problem.
func optionIf(isValid bool, problem string, applyTo func(*config)) Option {
	return func(c *config) error {
		if !isValid {
			return errors.New(problem)
		}
		applyTo(c)
		return nil
	}
}

type config struct {
	environment    Environment
	customURL      *url.URL
	baseURL        *url.URL
	baseText       string // baseURL as a text
	observer       observer
	userClient     *http.Client
	middleware     []func(http.RoundTripper) http.RoundTripper
	retry          retry.Policy
	attemptTimeout time.Duration
	tokenStore     TokenStore
	log            logger
	userAgent      string

	singleRefundSend bool
}

func newConfig(opts []Option) (*config, error) {
	c := &config{
		retry:          policyOf(RetryPolicy{}),
		attemptTimeout: 10 * time.Second,
		userAgent:      defaultUserAgent,
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("plural: new client: an option is nil")
		}
		if err := opt(c); err != nil {
			return nil, fmt.Errorf("plural: new client: %w", err)
		}
	}
	switch {
	case c.customURL != nil && c.environment != "":
		return nil, errors.New("plural: new client: WithEnvironment and WithBaseURL exclude each other")
	case c.customURL != nil:
		c.baseURL, c.environment = c.customURL, custom
	default:
		c.environment = cmp.Or(c.environment, UAT)
		c.baseURL = c.environment.baseURL()
	}
	c.baseText = c.baseURL.String()
	return c, nil
}

// The method address returns the complete URL for a path. The path may have a
// query.
func (c *config) address(path string) (url.URL, error) {
	u, err := url.Parse(c.baseText + path)
	switch {
	case err != nil:
		return url.URL{}, err
	case u.Host != c.baseURL.Host:
		return url.URL{}, errors.New("another host")
	}
	return *u, nil
}

// httpClient returns a copy of the user's client, or a new client. Its
// Transport is never nil.
func (c *config) httpClient() *http.Client {
	hc := &http.Client{}
	if c.userClient != nil {
		*hc = *c.userClient
	}
	if hc.Transport == nil {
		hc.Transport = peer.NewTransport()
	}
	return hc
}

type callConfig struct {
	requestID         string
	header            http.Header
	into              *Response
	withoutRetry      bool
	tries             int // the largest number of tries; 0 if the policy and the other options decide
	withoutValidation bool
	invalid           []FieldError
}

func newCallConfig(opts []CallOption) *callConfig {
	c := &callConfig{}
	for _, opt := range opts {
		if opt == nil {
			c.reject("option", "must not be nil")
			continue
		}
		opt(c)
	}
	return c
}

func (c *callConfig) reject(field, rule string) {
	c.invalid = append(c.invalid, FieldError{Field: field, Rule: rule})
}
