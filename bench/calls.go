package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/plural-go/plural"
)

const (
	orderID          = "v1-3131313131-aa-eXamPl"
	orderReference   = "6b1f0f6e-52a7-4f0e-9c1e-2a7f0c9d4e11"
	captureReference = "2f1b7f0e-9f7d-4ad3-8a51-04b6b0f3e9c2" // the reference of the capture in testdata/order.json
	captureValue     = 4300

	accessToken = "an-access-token-of-about-the-usual-length-" +
		"0123456789012345678901234567890123456789012345678901234567890123456789"
)

//go:embed testdata/order.json
var orderAnswer []byte

//go:embed testdata/stripe.json
var stripeAnswer []byte

//go:embed testdata/razorpay.json
var razorpayAnswer []byte

//go:embed testdata/paypal.json
var paypalAnswer []byte

//go:embed testdata/paddle.json
var paddleAnswer []byte

var checkoutAnswer = []byte(`{"token":"V3_example","order_id":"` + orderID + `",` +
	`"redirect_url":"https://checkout.example.test/checkout?token=V3_example",` +
	`"response_code":200,"response_message":"Order Creation Successful."}`)

// target has the address and the transport for a client.
type target struct {
	baseURL   string
	transport http.RoundTripper // if nil, the client uses its own default transport
}

// caller is one way to make a call: an SDK's client, or the hand-written code.
type caller struct {
	name   string
	answer []byte // the server's answer, in the shape that the client reads
	make   func(target) func(context.Context) error
}

const byHand = "by hand"

func captures() []caller {
	return []caller{
		{byHand, orderAnswer, func(to target) func(context.Context) error { return newHandClient(to).capture }},
		{"plural", orderAnswer, pluralCapture},
		{"stripe-go", stripeAnswer, stripeCapture},
		{"razorpay-go", razorpayAnswer, razorpayCapture},
		{"plutov/paypal", paypalAnswer, paypalCapture},
		{"paddle-go-sdk (a read)", paddleAnswer, paddleGet},
	}
}

func reads() []caller {
	return []caller{
		{byHand, orderAnswer, func(to target) func(context.Context) error { return newHandClient(to).get }},
		{"plural", orderAnswer, pluralGet},
	}
}

func creates() []caller {
	return []caller{
		{byHand, checkoutAnswer, func(to target) func(context.Context) error { return newHandClient(to).create }},
		{"plural", checkoutAnswer, pluralCreate},
	}
}

// The ways in which a call reaches the server.
const (
	inMemory = "in memory"
	overH1   = "over HTTP/1.1"
	overH2   = "over HTTP/2 with TLS"
)

// callTitle returns the name of the suite for a call.
func callTitle(call, way string, goroutines int) string {
	if goroutines == 0 {
		return call + ", " + way
	}
	return fmt.Sprintf("%s, %s, %d goroutines", call, way, goroutines)
}

func callSuites() []suite {
	all := make([]suite, 0, 12)
	for _, goroutines := range []int{0, 64} {
		for _, way := range []string{inMemory, overH1, overH2} {
			all = append(all, callSuite("Capture", way, goroutines, captures()))
		}
	}
	for _, way := range []string{inMemory, overH1, overH2} {
		all = append(all, callSuite("Get", way, 0, reads()), callSuite("Create", way, 0, creates()))
	}
	return all
}

func callSuite(call, way string, goroutines int, callers []caller) suite {
	s := suite{Title: callTitle(call, way, goroutines)}
	for _, c := range callers {
		s.Cases = append(s.Cases, benchCase{
			Name: c.name, Goroutines: goroutines,
			Setup: func() (func() error, func()) { return c.setup(way) },
		})
	}
	s.Cases = append(s.Cases, repeatedCase(s.Cases[0]))
	return s
}

func (c caller) setup(way string) (func() error, func()) {
	to, stop := target{baseURL: "http://127.0.0.1:1", transport: newCanned(c.answer)}, func() {}
	if way != inMemory {
		s := newServer(c.answer, way == overH2)
		transport := s.newTransport()
		to = target{s.URL, transport}
		stop = func() {
			transport.CloseIdleConnections()
			s.Close()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	call := c.make(to)
	return func() error { return call(ctx) }, func() { cancel(); stop() }
}

func pluralCapture(to target) func(context.Context) error {
	client, err := newPlural(to)
	if err != nil {
		return failing(err)
	}
	req := &plural.CaptureRequest{MerchantCaptureReference: captureReference, CaptureAmount: plural.INR(captureValue)}
	return func(ctx context.Context) error {
		_, err := client.Captures.Create(ctx, orderID, req)
		return err
	}
}

func pluralGet(to target) func(context.Context) error {
	client, err := newPlural(to)
	if err != nil {
		return failing(err)
	}
	return func(ctx context.Context) error {
		_, err := client.Orders.Get(ctx, orderID)
		return err
	}
}

func pluralCreate(to target) func(context.Context) error {
	client, err := newPlural(to)
	if err != nil {
		return failing(err)
	}
	return func(ctx context.Context) error {
		_, err := client.Orders.Create(ctx, pluralCreateRequest())
		return err
	}
}

// newPlural makes a client that already has its token, because the servers here
// have no token endpoint.
func newPlural(to target) (*plural.Client, error) {
	credentials := plural.Credentials{ClientID: "id", ClientSecret: "a-secret-of-the-merchant"}
	store := &memoryStore{sealed: map[string][]byte{}, saved: make(chan struct{}, 1)}
	tokens := &http.Client{Transport: newCanned([]byte(
		`{"access_token":"` + accessToken + `","expires_in":` + strconv.Itoa(int((10 * time.Hour).Seconds())) + `}`,
	))}
	first, err := plural.NewClient(
		credentials, plural.WithBaseURL(to.baseURL), plural.WithTokenStore(store), plural.WithHTTPClient(tokens),
	)
	if err != nil {
		return nil, err
	}
	if err := first.Warm(context.Background()); err != nil {
		return nil, err
	}
	<-store.saved
	options := []plural.Option{plural.WithBaseURL(to.baseURL), plural.WithTokenStore(store)}
	if to.transport != nil {
		options = append(options, plural.WithHTTPClient(&http.Client{Transport: to.transport}))
	}
	return plural.NewClient(credentials, options...)
}

// memoryStore passes a token from one client to another.
type memoryStore struct {
	mu     sync.Mutex
	sealed map[string][]byte
	saved  chan struct{}
}

func (s *memoryStore) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed[key], nil
}

func (s *memoryStore) Save(_ context.Context, key string, value []byte, _ time.Duration) error {
	s.mu.Lock()
	s.sealed[key] = value
	s.mu.Unlock()
	select {
	case s.saved <- struct{}{}:
	default:
	}
	return nil
}

func (s *memoryStore) Lock(context.Context, string, time.Duration) (func(context.Context), error) {
	return func(context.Context) {}, nil
}

func pluralCreateRequest() *plural.CreateOrderRequest {
	address := &plural.Address{
		Address1: "12 Garden Street", Address2: "Flat 4", Address3: "Near the park",
		Pincode: "560001", City: "BENGALURU", State: "KARNATAKA", Country: "INDIA",
	}
	return &plural.CreateOrderRequest{
		MerchantOrderReference: orderReference, OrderAmount: plural.INR(captureValue), PreAuth: true,
		AllowedPaymentMethods: []plural.PaymentMethod{"CARD", "POINTS"},
		Notes:                 `two shirts, gift wrap, "deliver after six" & ring the bell`,
		PurchaseDetails: &plural.PurchaseDetails{
			Customer: &plural.Customer{
				EmailID: "asha.rao@example.test", FirstName: "Asha", LastName: "Rao", CustomerID: "C-1001",
				MobileNumber: "9000000001", BillingAddress: address, ShippingAddress: address,
			},
			MerchantMetadata: map[string]string{"channel": "web", "branch": "2"},
		},
	}
}

const connectionsTitle = "Connections, as shipped, 64 goroutines"

// connectionSuite runs each client on its own default transport. The first case
// is the hand-written code, with a connection pool that has room for all
// connections.
func connectionSuite() suite {
	s := suite{
		Title: connectionsTitle,
		Note: "This is a capture over HTTP/1.1. Each client uses its own default transport. The code written by hand is " +
			"measured twice: with a connection pool that has room for all connections, and with net/http's default transport.",
	}
	add := func(name string, c caller, sized bool) {
		var opened func(n int) float64
		s.Cases = append(s.Cases, benchCase{
			Name: name, Goroutines: 64, Unit: "new connections per 1,000 calls",
			Setup: func() (func() error, func()) {
				srv := newServer(c.answer, false)
				to := target{baseURL: srv.URL}
				if sized {
					to.transport = srv.newTransport()
				}
				call := c.make(to)
				before := int64(0)
				opened = func(n int) float64 {
					now := srv.connections.Load()
					defer func() { before = now }()
					return float64(now-before) / float64(max(1, n)) * 1000
				}
				work := func() error { return call(context.Background()) }
				warm(work)
				return work, func() {
					http.DefaultTransport.(*http.Transport).CloseIdleConnections()
					srv.Close()
				}
			},
			Extra: func(n int) float64 { return opened(n) },
		})
	}
	add(byHand+", a sized pool", captures()[0], true)
	for _, c := range captures() {
		name := c.name
		if strings.HasPrefix(name, byHand) {
			name += ", net/http's default"
		}
		add(name, c, false)
	}
	return s
}

// The function warm does the work in 64 goroutines at the same time, so the
// client opens its connections before the measurement.
func warm(work func() error) {
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 20 {
				_ = work()
			}
		})
	}
	all.Wait()
}
