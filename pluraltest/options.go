package pluraltest

import (
	"log"
	"net/http"
	"os"
	"time"
)

// Option configures a [Server].
type Option func(*config)

type config struct {
	addr           string
	seed           []byte
	clock          func() time.Time
	tls, http2     bool
	clientID       string
	clientSecret   string
	webhookSecret  string
	merchantID     string
	retries        int
	quirks         Quirk
	waf            bool
	accessTokens   []string
	tokenLifetime  time.Duration
	tokenAnswer    TokenAnswer
	tokenErrors    TokenErrorShape
	oneToken       bool
	checkoutErrors CheckoutErrorShape
	orderDup       DuplicateMode
	refundDup      DuplicateMode
	captureDup     DuplicateMode
	cancelDup      DuplicateMode
	checkLag       time.Duration
	moreCaptures   bool
	cancelUnpaid   bool
	productNames   []string
	limits         requestLimits
	withoutDate    bool
	answerHeader   http.Header
	linkDup        DuplicateMode
	notFound       NotFoundShape
	readLag        time.Duration
	holdLifetime   time.Duration // if this is 0, a hold does not end by itself
	holdLapse      Lapse
	pluginRefunds  bool
	oldRefunds     bool
	callbackKey    WebhookKeyForm
	statusName     string
	emptyFields    emptyFields
	callbackSecret string
	settlementDays int // days from the capture to the settlement; below 0 means never

	settlementQuirks SettlementQuirk

	plan     func(Request) Fault
	random   func(Request) Fault // the plan of WithRandomFaults, used if plan is nil
	webhook  webhookConfig
	outbound *http.Client
	guide    bool
	report   reportFunc // reports what is wrong with the emulator, a fault plan or a page
	mention  reportFunc // reports a panic of WithWebhookHandler's handler
}

func newConfig(opts []Option) config {
	stderr := log.New(os.Stderr, "", log.LstdFlags).Printf
	c := config{
		addr:           "127.0.0.1:0",
		clock:          time.Now,
		merchantID:     "123456",
		retries:        10,
		tokenLifetime:  time.Hour,
		captureDup:     DuplicateAccepted,
		settlementDays: 1,
		cancelDup:      DuplicateRejected,
		productNames:   []string{"product", "products"},
		limits:         documentedLimits,
		statusName:     "status",
		callbackKey:    WebhookKeyHex,
		webhook: webhookConfig{
			schedule: WebhookSchedule(),
			timeout:  5 * time.Second,
			scale:    1,
		},
		report:  stderr,
		mention: stderr,
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

// WithAddr listens on addr ("127.0.0.1:8080") instead of a free loopback port.
// Only [Start] and [NewServer] listen.
func WithAddr(addr string) Option { return func(c *config) { c.addr = addr } }

// WithSeed makes credentials repeatable. Ids and tokens contain the time, so
// they are repeatable only together with [WithClock]. Without this option each
// server has a seed of its own.
func WithSeed(seed uint64) Option { return func(c *config) { c.seed = seedBytes(seed) } }

// WithClock sets the clock for the times in documents, tokens and webhooks, and
// for the expiry of tokens. Delays do not use this clock: they always run on
// real time, or on the bubble's time inside a testing/synctest bubble.
func WithClock(now func() time.Time) Option { return func(c *config) { c.clock = now } }

// WithTLS serves HTTPS (HTTP/1.1) with a certificate for localhost, 127.0.0.1
// and ::1. See [Server.Client] and [Server.Certificate].
func WithTLS() Option { return func(c *config) { c.tls = true } }

// WithHTTP2 serves HTTPS and offers HTTP/2 besides HTTP/1.1.
func WithHTTP2() Option { return func(c *config) { c.tls, c.http2 = true, true } }

// WithCredentials sets the client id and the client secret. The server decodes
// the hex digits of the secret, and signs callbacks with the decoded bytes.
// [WithCallbackKey] can select another form of the secret. If the secret does
// not have the selected form, the signature of each callback is empty.
func WithCredentials(clientID, clientSecret string) Option {
	return func(c *config) { c.clientID, c.clientSecret = clientID, clientSecret }
}

// WithWebhookSecret sets the secret that signs webhooks. Without this option
// the client secret signs webhooks.
func WithWebhookSecret(secret string) Option { return func(c *config) { c.webhookSecret = secret } }

// WithReadLag makes each read of an order or a payment link show an old state
// of the books, as a slow replica would. The duration d is the age of that
// state.
func WithReadLag(d time.Duration) Option { return func(c *config) { c.readLag = max(d, 0) } }

// WithPluginRefunds makes the server also read the sum of a refund from
// refund_amount, which the WooCommerce and Magento plugins send. Nobody knows
// whether the live service reads that field. Without this option the server
// refuses a refund with that field. The server also refuses every other request
// with a money field that it does not read.
func WithPluginRefunds() Option { return func(c *config) { c.pluginRefunds = true } }

// WithOldRefunds makes the server also read refunds in the form of Plural's
// older guide. In that form, merchant_refund_reference has the reference, and
// refund_amount has the sum.
func WithOldRefunds() Option { return func(c *config) { c.oldRefunds = true } }

// WithCallbackKey chooses how the client secret becomes the key that signs
// callbacks. The default is WebhookKeyHex. Merchants report that some accounts
// use another form. The client under test then needs the same form
// (plural.WithCallbackKeys).
func WithCallbackKey(form WebhookKeyForm) Option { return func(c *config) { c.callbackKey = form } }

// WithMerchantID sets the merchant_id in all documents.
func WithMerchantID(id string) Option { return func(c *config) { c.merchantID = id } }

// WithPaymentRetries sets how many more times a payer may try after a failed
// payment. The default is 10. With 0 or less, the first failure is final.
func WithPaymentRetries(n int) Option { return func(c *config) { c.retries = max(n, 0) } }

// WithWAF makes the server refuse an order whose callback URL is on a local
// host. The answer has status 403 and the HTML page of the firewall in front of
// the real service.
func WithWAF() Option { return func(c *config) { c.waf = true } }

// WithTokenLifetime sets how long an access token is valid. The default is an
// hour.
func WithTokenLifetime(d time.Duration) Option { return func(c *config) { c.tokenLifetime = d } }

// WithOneToken lets only the newest token be valid. When the token endpoint
// issues a token, all tokens that the server issued before become invalid.
func WithOneToken() Option { return func(c *config) { c.oneToken = true } }

// WithAccessToken makes the server accept a bearer token that it did not issue,
// such as a token pasted from the documentation. That token never expires.
func WithAccessToken(value string) Option {
	return func(c *config) { c.accessTokens = append(c.accessTokens, value) }
}

// TokenAnswer is the form in which the token endpoint reports how long a token
// is valid.
type TokenAnswer int

// The forms in which the token endpoint can report a token's lifetime. Times in
// "expires_at" are RFC 3339 in UTC. Every token is a JWT with an exp claim,
// except the tokens of TokenOpaque.
const (
	TokenExpiresAt       TokenAnswer = iota // "expires_at" with microseconds, as the live service has it
	TokenExpiresAtMillis                    // "expires_at" with milliseconds
	TokenExpiresIn                          // "expires_in" in seconds, as the tutorial has it
	TokenExpiresInString                    // "expires_in" as a string
	TokenWithoutExpiry                      // only the token's exp claim states the lifetime
	TokenOpaque                             // no lifetime, and the token is not a JWT
)

// WithTokenAnswer selects the form in which the token endpoint reports a
// token's lifetime.
func WithTokenAnswer(form TokenAnswer) Option { return func(c *config) { c.tokenAnswer = form } }

// TokenErrorShape is the shape of the token endpoint's error for wrong
// credentials.
type TokenErrorShape int

// The shapes of a token error. With TokenErrorGateway, only a 401 has the shape
// that the row below shows. An unsupported grant then gets a 422 in the shape
// of TokenErrorCode.
const (
	TokenErrorGateway TokenErrorShape = iota // {"status":401,"type":"","message":...,"traceId":...}
	TokenErrorOAuth                          // {"error":...,"error_description":...}
	TokenErrorCode                           // {"code":...,"message":...}, the shape of the API
)

// WithTokenErrors selects the shape of the token endpoint's error for wrong
// credentials.
func WithTokenErrors(shape TokenErrorShape) Option {
	return func(c *config) { c.tokenErrors = shape }
}

// CheckoutErrorShape is the shape of an error of POST /api/checkout/v1/orders.
type CheckoutErrorShape int

// The shapes of a checkout error.
const (
	CheckoutErrorCode         CheckoutErrorShape = iota // {"code","message"}, the documented shape
	CheckoutErrorResponseCode                           // {"response_code","response_message"}
	CheckoutErrorMessage                                // {"error_message"}
)

// WithCheckoutErrors selects the shape of the checkout endpoint's errors.
func WithCheckoutErrors(shape CheckoutErrorShape) Option {
	return func(c *config) { c.checkoutErrors = shape }
}

// DuplicateMode says what happens to a request whose reference is taken. The
// vendor documents both DuplicateReturnsExisting and DuplicateRejected. It is
// not known which of these two answers the live service gives.
type DuplicateMode int

// The answers to a request whose reference is taken.
const (
	DuplicateReturnsExisting DuplicateMode = iota // the existing resource, even if the request differs
	DuplicateRejected                             // 422 DUPLICATE_REQUEST
	DuplicateAccepted                             // the server does not notice, and makes a second order or refund
)

// WithDuplicateOrders selects the answer to a repeated merchant_order_reference
// of an order. With DuplicateRejected the SDK's Orders.Create returns a
// DuplicateOrderError. By default the answer is the existing order with its
// link, and Orders.Create returns that order.
func WithDuplicateOrders(mode DuplicateMode) Option { return func(c *config) { c.orderDup = mode } }

// WithDuplicateRefunds selects the answer to a repeated
// merchant_order_reference of a refund.
func WithDuplicateRefunds(mode DuplicateMode) Option { return func(c *config) { c.refundDup = mode } }

// WithDuplicateCaptures selects the answer to a repeated
// merchant_capture_reference. By default, and with DuplicateAccepted, a repeat
// gets the same answer as any second capture: 422 OPERATION_NOT_ALLOWED.
func WithDuplicateCaptures(mode DuplicateMode) Option {
	return func(c *config) { c.captureDup = mode }
}

// WithDuplicateCancels selects the answer to a cancel of a CANCELLED order. The
// default answer is 422 ORDER_CANCELLED. With DuplicateReturnsExisting the
// answer is the order in its present state. With DuplicateAccepted the answer
// is 422 OPERATION_NOT_ALLOWED, as for each other order without a hold.
func WithDuplicateCancels(mode DuplicateMode) Option {
	return func(c *config) { c.cancelDup = mode }
}

// WithCheckLag makes the server miss recent writes when it checks whether a
// write is a repeat: it does not see orders, refunds and captures that are
// younger than d. So two orders or two refunds can be made under one reference.
// If a capture takes only a part of a hold, other captures can take more while
// the first capture is younger than d.
func WithCheckLag(d time.Duration) Option { return func(c *config) { c.checkLag = max(d, 0) } }

// WithMoreCaptures lets a hold be captured several times, until the captures
// have taken the whole amount.
func WithMoreCaptures() Option { return func(c *config) { c.moreCaptures = true } }

// WithCancelUnpaid allows the cancel of an order that has the status CREATED.
// Nobody has tried to pay such an order yet.
func WithCancelUnpaid() Option { return func(c *config) { c.cancelUnpaid = true } }

// WithProductNames sets which of the fields "product" and "products" the server
// keeps in purchase_details. Without this option it keeps both, because the
// vendor's pages disagree about the name.
func WithProductNames(names ...string) Option { return func(c *config) { c.productNames = names } }

// WithLooseLimits accepts amounts of one paisa or more, and references of up to
// 100 characters, in which dots are allowed.
func WithLooseLimits() Option { return func(c *config) { c.limits = looseLimits } }

// WithoutDate answers without a Date header.
func WithoutDate() Option { return func(c *config) { c.withoutDate = true } }

// WithAnswerHeader adds a header to each answer of the API, such as a gateway's
// request id.
func WithAnswerHeader(name, value string) Option {
	return func(c *config) {
		if c.answerHeader == nil {
			c.answerHeader = http.Header{}
		}
		c.answerHeader.Add(name, value)
	}
}

// NotFoundShape is the form in which the server reports a missing order.
type NotFoundShape int

// The documented answers to a missing order.
const (
	NotFound422 NotFoundShape = iota // 422 ORDER_NOT_FOUND, as in the published sample
	NotFound404                      // 404 ORDER_NOT_FOUND, as in the published table of errors
	// If a client reads an order by its reference, the answer is 400
	// INVALID_REQUEST "No matching records found for the inquiry". Otherwise
	// the answer is that of NotFound422.
	NotFoundInquiry
)

// WithNotFound selects the form in which the server reports a missing order.
func WithNotFound(form NotFoundShape) Option { return func(c *config) { c.notFound = form } }

// WithCallbackStatusName sets the name of the status field in the browser's
// return. The default is "status". One of the vendor's guides has
// "payment_status".
func WithCallbackStatusName(name string) Option { return func(c *config) { c.statusName = name } }

// emptyFields says what happens to callback fields without a value.
type emptyFields int

const (
	emptyLeftOut emptyFields = iota
	emptySigned
	emptyUnsigned
)

// WithEmptyCallbackFields adds the fields error_code and error_message with
// empty values to each callback that does not report an error. The signature
// covers these fields.
func WithEmptyCallbackFields() Option { return func(c *config) { c.emptyFields = emptySigned } }

// WithUnsignedEmptyCallbackFields adds the same empty fields as
// WithEmptyCallbackFields. The signature does not cover these fields.
func WithUnsignedEmptyCallbackFields() Option {
	return func(c *config) { c.emptyFields = emptyUnsigned }
}

// WithCallbackSecret signs callbacks with this secret instead of the client
// secret.
func WithCallbackSecret(secret string) Option {
	return func(c *config) { c.callbackSecret = secret }
}

// WithOutboundClient sets the client that posts webhooks and callbacks. The
// client's Timeout does not apply to webhooks: see [WithWebhookTimeout].
func WithOutboundClient(client *http.Client) Option { return func(c *config) { c.outbound = client } }

// Quirk is a set of oddities of the real service's documents.
type Quirk uint

// The oddities. The vendor's own samples show the oddities of orders and
// webhooks. Plural has not published whether the real service has the oddities
// of payment links.
const (
	// Webhooks of orders paid with points have camelCase names, and say less about
	// payments.
	QuirkCamelCasePoints           Quirk = 1 << iota
	QuirkStringPreAuth                   // pre_auth is a string: "true", "false"
	QuirkPreAuthFalse                    // pre_auth is false after the hold has been captured
	QuirkNanoseconds                     // timestamps have nine decimals
	QuirkRefundInParent                  // refund webhooks carry the parent order with the refund inside
	QuirkCaptureDataObject               // capture_data is an object, not an array
	QuirkCancelledPaymentProcessed       // payments of a cancelled order have the status PROCESSED
	// Empty refunds and capture_data are [], and an empty payment_option is {}.
	// Without this quirk, empty fields are left out.
	QuirkEmptyLists
	QuirkPartProcessed // an order has the status PROCESSED after a partial capture
	QuirkNoRefundList  // an order does not list its refunds
	// The order of a payment link has the link's reference. Without this quirk,
	// the order has a reference that Plural makes.
	QuirkLinkReferenceInOrder
	QuirkWrappedLinks       // payment links come wrapped in "data"
	QuirkLinkWithoutPreAuth // payment links have neither pre_auth nor is_mcc_transaction
	// The payment link of a hold has the status PAYMENT_INITIATED. Without
	// this quirk, the link has the status PROCESSED.
	QuirkHeldLinkInitiated
	// A payment link that was opened can be cancelled, and its message can be
	// sent again. Without this quirk, both need a link that is CREATED.
	QuirkClickedLinkCancels
)

func (q Quirk) has(one Quirk) bool { return q&one != 0 }

// WithQuirks switches on oddities of the real service:
// WithQuirks(QuirkNanoseconds | QuirkStringPreAuth).
func WithQuirks(quirks Quirk) Option { return func(c *config) { c.quirks |= quirks } }

// WithFaultPlan sets the fault plan with which the server starts. See
// [Server.SetFaultPlan].
func WithFaultPlan(plan func(Request) Fault) Option { return func(c *config) { c.plan = plan } }

// WithRandomFaults sets the plan of [RandomFaults]. Without the option
// [WithSeed], the parameter seed is also the server's seed. WithRandomFaults
// panics if RandomFaults would panic.
func WithRandomFaults(seed uint64, rate float64, faults ...Fault) Option {
	plan := RandomFaults(seed, rate, faults...)
	return func(c *config) {
		if c.seed == nil {
			c.seed = seedBytes(seed)
		}
		c.random = plan
	}
}
