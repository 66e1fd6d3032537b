package pluraltest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// TB is the part of testing.TB that this package uses.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Server emulates Plural: orders and their states, tokens and webhooks. Its
// methods are safe for concurrent use.
type Server struct {
	// URL is the base URL to give to the client under test:
	// "http://127.0.0.1:41233", or "http://localhost" for a server made by New,
	// which only Transport reaches. With WithTLS or WithHTTP2 it begins with
	// https.
	URL string
	// ClientID and ClientSecret are the credentials that get a token. The
	// secret has 32 hex digits and also signs callbacks.
	ClientID     string
	ClientSecret string
	// WebhookSecret signs webhooks. It is the client secret, unless
	// WithWebhookSecret sets another secret.
	WebhookSecret string
	// MerchantID is the merchant_id of every document.
	MerchantID string

	cfg   config
	addr  string // the address of the listener, set by Start; "" without a listener
	http  *http.Server
	mem   *memListener
	cert  *certificate
	pages *http.ServeMux

	ctx    context.Context //nolint:containedctx // cancelled by the method Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // all goroutines that this package starts
	done   chan struct{}  // closed at the end of Close

	mu        sync.Mutex // guards the fields below and every order; it is not held during I/O
	closed    bool
	down      bool
	listener  net.Listener
	memServed bool
	conns     map[*serverConn]struct{}
	clients   []interface{ CloseIdleConnections() }
	active    int           // requests being served
	idle      chan struct{} // set by Close while requests are being served; the last request closes the channel
	offset    time.Duration
	orders    map[string]*order
	inOrder   []*order
	byRef     map[string][]*order
	byPage    map[string]*order

	links       map[string]*link
	inLinks     []*link
	linksByRef  map[string][]*link
	linksByCode map[string]*link
	nextExpiry  time.Time // no link expires before this time

	tokens    map[string]*Token
	tokenList []*Token
	jobs      map[*job]struct{}
	traces    int

	requests  []*Request
	attempts  map[string]int
	rules     []*rule
	plan      func(Request) Fault
	decided   map[string]earlyDecision
	decisions int
	faults    []*FaultRecord
	webhooks  webhookQueue
	settled   settlementBooks
}

// New makes a server that does not listen. Use [Server.Transport] to reach it.
// If you use the server in a testing/synctest bubble, call both New and Close
// inside the bubble.
func New(opts ...Option) *Server {
	cfg := newConfig(opts)
	if cfg.seed == nil {
		cfg.seed = randomSeed()
	}
	s := &Server{
		cfg:           cfg,
		ClientID:      cfg.clientID,
		ClientSecret:  cfg.clientSecret,
		WebhookSecret: cfg.webhookSecret,
		MerchantID:    cfg.merchantID,
		mem:           newMemListener(),
		done:          make(chan struct{}),
		pages:         http.NewServeMux(),
		conns:         map[*serverConn]struct{}{},
		orders:        map[string]*order{},
		byRef:         map[string][]*order{},
		byPage:        map[string]*order{},
		links:         map[string]*link{},
		linksByRef:    map[string][]*link{},
		linksByCode:   map[string]*link{},
		tokens:        map[string]*Token{},
		jobs:          map[*job]struct{}{},
		attempts:      map[string]int{},
		decided:       map[string]earlyDecision{},
		plan:          cfg.plan,
		settled:       settlementBooks{done: map[string]bool{}},
	}
	if s.ClientID == "" {
		s.ClientID = uuidFrom(s.digest("client id"))
	}
	if s.ClientSecret == "" {
		s.ClientSecret = hex.EncodeToString(s.digest("client secret")[:16])
	}
	if s.WebhookSecret == "" {
		s.WebhookSecret = s.ClientSecret
	}
	s.URL = s.scheme() + "://localhost"
	if s.plan == nil {
		s.plan = cfg.random
	}
	if cfg.tls {
		s.cert = newCertificate()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.webhooks.init()
	s.http = &http.Server{
		Handler:           s.guardHandler(http.HandlerFunc(s.serve), cfg.report),
		BaseContext:       s.context,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext:       connContext,
		ConnState:         connState,
		Protocols:         new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(cfg.http2) // HTTP/2 without TLS, because serverConn decrypts the TLS
	s.pages.HandleFunc("/", s.unknownPath)
	s.addCheckout()
	s.addLinkPages()
	s.acceptTokens(cfg.accessTokens)
	return s
}

// Start makes a server that listens on a free port of 127.0.0.1.
func Start(opts ...Option) (*Server, error) {
	s := New(opts...)
	l, err := s.listen(s.cfg.addr)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.addr = l.Addr().String()
	s.URL = s.scheme() + "://" + clientAddr(s.addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	s.goServe(l)
	return s, nil
}

// NewServer does the work of [Start] for a test. It fails t if it cannot
// listen, and closes the server when t ends. A panic in the emulator, in a page
// of [Server.Handle] or in a fault plan also fails t. If a server was made
// without NewServer, such panics are written to standard error.
func NewServer(t TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(append(slices.Clone(opts), reportToTest(t))...)
	if err != nil {
		t.Fatalf("pluraltest: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Handle adds a page of your own to the server. Call Handle before the first
// request. The page's path must not begin with /api/, because such paths belong
// to Plural's API. Faults do not affect such pages.
func (s *Server) Handle(pattern string, handler http.Handler) { s.pages.Handle(pattern, handler) }

// context returns the parent of the requests' contexts. These contexts end when
// the server is closed.
func (s *Server) context(net.Listener) context.Context { return s.ctx }

func (s *Server) scheme() string {
	if s.cfg.tls {
		return "https"
	}
	return "http"
}

func (s *Server) listen(addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(s.ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// clientAddr returns the address to which a client can connect. If addr has the
// IP address of all interfaces, such as 0.0.0.0, clientAddr returns the
// loopback address with the same port.
func clientAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// goServe serves the connections of l until l is closed. s.mu must be held.
func (s *Server) goServe(l net.Listener) {
	s.wg.Go(func() { _ = s.http.Serve(&wrappingListener{Listener: l, server: s}) })
}

// Close ends the server. It closes connections and ends hung requests. It drops
// effects that are still to come, and sends no more webhooks. It ends the
// contexts of requests to the handler of [WithWebhookHandler]. It returns once
// every handler has returned, including the handler of WithWebhookHandler. A
// second Close waits for the first.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return
	}
	defer close(s.done)
	s.closed = true
	dropped := s.jobs
	s.jobs = map[*job]struct{}{}
	for j := range dropped {
		j.stop()
		j.run(true)
	}
	idle := make(chan struct{})
	if s.active == 0 {
		close(idle)
	} else {
		s.idle = idle
	}
	s.mu.Unlock()

	s.cancel()
	_ = s.mem.Close()
	_ = s.http.Close()
	s.closeConns()
	s.closeWebhooks()
	<-idle
	s.wg.Wait()
	s.mu.Lock()
	clients := s.clients
	s.mu.Unlock()
	for _, client := range clients {
		client.CloseIdleConnections()
	}
}

// Down takes the server off the network. It cuts the server's connections, and
// new connections are refused. The server keeps its state. After [Server.Up],
// clients can connect to the server again.
func (s *Server) Down() {
	s.mu.Lock()
	s.down = true
	l := s.listener
	s.listener = nil
	s.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	s.closeConns()
}

// Up ends the state that [Server.Down] began. Clients can then connect to the
// server again, at the same address.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.down && s.addr != "" {
		l, err := s.listen(s.addr) // s.addr has an IP address, so no name lookup is needed
		if err != nil {
			return err
		}
		s.listener = l
		s.goServe(l)
	}
	s.down = false
	return nil
}

func (s *Server) closeConns() {
	s.mu.Lock()
	open := make([]*serverConn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.abort()
	}
}

var errClosed = errors.New("pluraltest: server closed")

// beginRequest is called at the start of each request. After Close it returns
// false.
func (s *Server) beginRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active++
	return true
}

// endRequest is called at the end of each request.
func (s *Server) endRequest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.active == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Server.now returns the time on the server's clock. Advance moves that clock.
// s.mu must be held.
func (s *Server) now() time.Time { return s.cfg.clock().Add(s.offset) }

// Now returns the time on the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// Advance moves the server's clock forward by d. Then tokens and payment links
// can expire, holds can end (see [WithHoldLifetime]), and documents have later
// times. Advance does not shorten the delays of faults and webhooks: see
// [Server.Flush]. The timestamps of webhooks come from this clock, so give this
// clock to the verifier under test (WithClock(srv.Now)).
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
	s.lapseDue()
	s.expireDue()
}

// SetClock replaces the server's clock and forgets the time that Advance added.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.clock, s.offset = now, 0
	s.lapseDue()
	s.expireDue()
}

// Flush carries out all waiting effects at once. Late writes take effect, and
// pending results become final. Webhook retries keep their schedule, and holds
// keep their lifetime.
func (s *Server) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for isDone := false; !isDone; {
		isDone = true
		for j := range s.jobs {
			if !j.isClock {
				s.runJob(j)
				isDone = false
			}
		}
	}
}
