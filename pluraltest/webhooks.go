package pluraltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebhookKeyForm is how the webhook secret becomes the bytes of the key.
type WebhookKeyForm int

// The forms of the webhook key.
const (
	WebhookKeyCharacters WebhookKeyForm = iota // its own characters, as in the vendor's worked example
	WebhookKeyHex                              // decoded from hex
	WebhookKeyBase64                           // decoded from base64, "whsec_" removed
)

type webhookConfig struct {
	url        string
	handler    http.Handler
	schedule   []time.Duration
	timeout    time.Duration
	scale      float64
	keyForm    WebhookKeyForm
	stampOnce  bool
	duplicates int
}

// WebhookSchedule is the documented schedule: the waits before each of the eight
// attempts, counted from the end of the one before.
func WebhookSchedule() []time.Duration {
	return []time.Duration{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
}

// WithWebhookURL delivers webhooks to a URL; see also [Server.SetWebhookURL].
func WithWebhookURL(url string) Option { return func(c *config) { c.webhook.url = url } }

// WithWebhookHandler delivers webhooks to a handler that is served in memory, over
// HTTP as on a network but without sockets.
func WithWebhookHandler(h http.Handler) Option { return func(c *config) { c.webhook.handler = h } }

// WithWebhookSchedule replaces the waits before each attempt; see [WebhookSchedule].
func WithWebhookSchedule(waits ...time.Duration) Option {
	return func(c *config) { c.webhook.schedule = slices.Clone(waits) }
}

// WithWebhookTimeScale multiplies the waits between attempts: 0.001 makes seconds
// of hours. The time allowed for an answer stays; see WithWebhookTimeout.
func WithWebhookTimeScale(factor float64) Option {
	return func(c *config) { c.webhook.scale = factor }
}

// WithWebhookTimeout sets how long the merchant may take to answer; 5 s as
// documented without it.
func WithWebhookTimeout(d time.Duration) Option { return func(c *config) { c.webhook.timeout = d } }

// WithWebhookKey selects how the webhook secret becomes the key.
func WithWebhookKey(form WebhookKeyForm) Option { return func(c *config) { c.webhook.keyForm = form } }

// WithWebhookStampedOnce sends redeliveries with the timestamp and signature of
// the first attempt. Without it each attempt is stamped anew. Which of the two the
// real service does is not documented.
func WithWebhookStampedOnce() Option { return func(c *config) { c.webhook.stampOnce = true } }

// WithWebhookDuplicates delivers each event n times more, at the same time and
// under the same webhook-id.
func WithWebhookDuplicates(n int) Option { return func(c *config) { c.webhook.duplicates = n } }

// DeliveryState is how far the delivery of an event has come.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryNotSent   DeliveryState = "not sent" // there is nowhere to send it
	DeliveryHeld      DeliveryState = "held"     // by HoldWebhooks
	DeliveryPending   DeliveryState = "pending"  // on its way, or waiting to be tried again
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryExhausted DeliveryState = "exhausted" // every attempt has failed
)

// Delivery is one event and the attempts to deliver it.
type Delivery struct {
	ID        string // webhook-id, the same on each attempt
	EventType string // "ORDER_AUTHORIZED", ...
	OrderID   string // of the order or refund it is about
	Body      []byte
	CreatedAt time.Time
	State     DeliveryState
	Attempts  []DeliveryAttempt
}

// DeliveryAttempt is one request that carried an event.
type DeliveryAttempt struct {
	At     time.Time
	Header http.Header // of the request
	Status int         // of the answer, 0 when there was none
	Err    string      // why there was none
}

// delivery is a Delivery under way.
type delivery struct {
	Delivery
	stamp string // of the first attempt
	timer *time.Timer
}

// webhookQueue holds the events. Server.mu guards it.
type webhookQueue struct {
	all      []*delivery
	holding  bool
	changed  chan struct{}
	client   *http.Client
	merchant *http.Server // serves WithWebhookHandler
	link     *memListener
}

func (q *webhookQueue) init() { q.changed = make(chan struct{}) }

func (q *webhookQueue) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// SetWebhookURL delivers events from now on to a URL; "" stops that. Events that
// are being retried go to the new URL too.
func (s *Server) SetWebhookURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.webhook.url = url
}

// Deliveries lists the events so far and what became of them, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Delivery, 0, len(s.webhooks.all))
	for _, d := range s.webhooks.all {
		shown := d.Delivery
		shown.Attempts = slices.Clone(d.Attempts)
		list = append(list, shown)
	}
	return list
}

// HoldWebhooks keeps events back until ReleaseWebhooks.
func (s *Server) HoldWebhooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks.holding = true
}

// ReleaseWebhooks sends the events that HoldWebhooks has kept back, one after the
// other and, with reversed, the last first: a first attempt ends before the next
// event's begins. It returns when each has been attempted once.
func (s *Server) ReleaseWebhooks(reversed bool) {
	s.mu.Lock()
	s.webhooks.holding = false
	var held []*delivery
	for _, d := range s.webhooks.all {
		if d.State == DeliveryHeld {
			d.State = DeliveryPending
			held = append(held, d)
		}
	}
	if !s.hasTarget() {
		for _, d := range held {
			d.State = DeliveryNotSent
		}
		held = nil
	}
	s.webhooks.notify()
	s.mu.Unlock()
	if reversed {
		slices.Reverse(held)
	}
	for _, d := range held {
		s.deliver(d, 0)
	}
}

// Redeliver sends an event once more, under its webhook-id, whatever its state,
// and returns the status of the answer.
func (s *Server) Redeliver(webhookID string) (int, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.webhooks.all, func(d *delivery) bool { return d.ID == webhookID })
	if i < 0 || !s.hasTarget() {
		s.mu.Unlock()
		return 0, fmt.Errorf("pluraltest: redeliver %q: no such event, or nowhere to send it", webhookID)
	}
	d := s.webhooks.all[i]
	s.mu.Unlock()
	return s.send(d)
}

// WaitWebhooks waits until no event is on its way or waiting to be retried.
func (s *Server) WaitWebhooks(ctx context.Context) error {
	for {
		s.mu.Lock()
		changed := s.webhooks.changed
		waiting := slices.ContainsFunc(s.webhooks.all, func(d *delivery) bool { return d.State == DeliveryPending })
		s.mu.Unlock()
		if !waiting {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return errClosed
		}
	}
}

func (s *Server) hasTarget() bool {
	return !s.closed && (s.cfg.webhook.url != "" || s.cfg.webhook.handler != nil)
}

// emit records an event about an order as it stands and sends it. s.mu must be
// held.
func (s *Server) emit(event string, o *order) {
	q := &s.webhooks
	d := &delivery{Delivery: Delivery{
		ID:        s.newMessageID(event, o.id, itoa(len(q.all))),
		EventType: event,
		OrderID:   o.id,
		Body:      s.eventBody(event, o),
		CreatedAt: s.now(),
		State:     DeliveryPending,
	}}
	q.all = append(q.all, d)
	switch {
	case q.holding:
		d.State = DeliveryHeld
	case !s.hasTarget():
		d.State = DeliveryNotSent
	default:
		d.timer = s.sendLater(d, 0)
		for range s.cfg.webhook.duplicates {
			s.wg.Go(func() { _, _ = s.send(d) })
		}
	}
	q.notify()
}

// sendLater makes an attempt after its wait. s.mu must be held.
func (s *Server) sendLater(d *delivery, attempt int) *time.Timer {
	wait := time.Duration(float64(s.cfg.webhook.schedule[attempt]) * s.cfg.webhook.scale)
	if wait <= 0 {
		s.wg.Go(func() { s.deliver(d, attempt) })
		return nil
	}
	return time.AfterFunc(wait, func() {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		s.wg.Go(func() { s.deliver(d, attempt) })
		s.mu.Unlock()
	})
}

// deliver makes one attempt of the schedule and, if it fails, plans the next.
func (s *Server) deliver(d *delivery, attempt int) {
	status, _ := s.send(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.webhooks.notify()
	next := attempt + 1
	switch {
	case d.State != DeliveryPending || s.closed:
	case status/100 == 2:
		d.State = DeliveryDelivered
	case next >= len(s.cfg.webhook.schedule):
		d.State = DeliveryExhausted
	default:
		d.timer = s.sendLater(d, next)
	}
}

// send posts an event and notes the attempt.
func (s *Server) send(d *delivery) (status int, err error) {
	s.mu.Lock()
	now := s.now()
	stamp := strconv.FormatInt(now.Unix(), 10)
	if d.stamp == "" {
		d.stamp = stamp
	}
	if s.cfg.webhook.stampOnce {
		stamp = d.stamp
	}
	client, target := s.webhookClient()
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.webhook.timeout)
	defer cancel()
	req, err := s.signedWebhook(ctx, target, d.ID, stamp, d.Body)
	attempt := DeliveryAttempt{At: now}
	if err == nil {
		attempt.Header = req.Header
		status, err = post(client, req)
	}
	attempt.Status = status
	if err != nil {
		attempt.Err = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Attempts = append(d.Attempts, attempt)
	return status, err
}

func post(client *http.Client, req *http.Request) (status int, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, resp.Body.Close()
}

// webhookClient returns the client and the URL to post events with. s.mu must be
// held.
func (s *Server) webhookClient() (client *http.Client, target string) {
	q := &s.webhooks
	if s.cfg.webhook.url != "" {
		client := *s.outboundLocked()
		client.Timeout = 0
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return &client, s.cfg.webhook.url
	}
	if q.merchant == nil {
		q.link = newMemListener()
		q.merchant = &http.Server{Handler: s.cfg.webhook.handler, ReadHeaderTimeout: time.Minute, ErrorLog: s.http.ErrorLog}
		transport := &http.Transport{DialContext: q.dial}
		q.client = &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		s.clients = append(s.clients, transport)
		if !s.closed {
			s.wg.Go(func() { _ = q.merchant.Serve(q.link) })
		}
	}
	return q.client, "http://merchant.localhost/webhook"
}

// WebhookOption changes what [Server.WebhookRequest] builds.
type WebhookOption func(*webhookParts)

type webhookParts struct {
	id     string
	at     time.Time
	body   []byte
	target string
}

// WebhookID sets the webhook-id.
func WebhookID(id string) WebhookOption { return func(p *webhookParts) { p.id = id } }

// WebhookTime sets the time in webhook-timestamp.
func WebhookTime(at time.Time) WebhookOption { return func(p *webhookParts) { p.at = at } }

// WebhookBody replaces the body; it is signed as it is.
func WebhookBody(body []byte) WebhookOption { return func(p *webhookParts) { p.body = body } }

// WebhookTarget sets the URL of the request.
func WebhookTarget(url string) WebhookOption { return func(p *webhookParts) { p.target = url } }

// WebhookRequest builds one signed webhook about an order or refund as it stands,
// ready for a handler under test. It is not among Deliveries.
func (s *Server) WebhookRequest(eventType, orderID string, opts ...WebhookOption) (*http.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	if o == nil {
		return nil, fmt.Errorf("pluraltest: webhook: no order %q", orderID)
	}
	s.traces++
	parts := webhookParts{
		id:     s.newMessageID("built", eventType, orderID, itoa(s.traces)),
		at:     s.now(),
		body:   s.eventBody(eventType, o),
		target: "/",
	}
	for _, opt := range opts {
		opt(&parts)
	}
	stamp := strconv.FormatInt(parts.at.Unix(), 10)
	return s.signedWebhook(context.Background(), parts.target, parts.id, stamp, parts.body)
}

func (s *Server) signedWebhook(ctx context.Context, target, id, stamp string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("pluraltest: webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", stamp)
	req.Header.Set("webhook-signature", s.SignWebhook(id, stamp, body))
	return req, nil
}

// eventBody is the payload of an event. s.mu must be held.
func (s *Server) eventBody(event string, o *order) []byte {
	subject := o
	if o.parent != nil && s.cfg.quirks.has(QuirkRefundInParent) {
		subject = o.parent
	}
	body := marshal(struct {
		EventType string   `json:"event_type"`
		Data      orderDoc `json:"data"`
	}{event, s.document(subject, view{webhook: true})})
	if s.cfg.quirks.has(QuirkCamelCasePoints) && subject.hasMethod("POINTS") {
		return camelCase(body)
	}
	return body
}

// snakeKeys are the names that the vendor's camelCase samples leave as they are.
var snakeKeys = []string{"callback_url", "failure_callback_url", "merchant_payment_reference", "integration_mode"}

// camelCase renames the fields of an event as the vendor does where points are
// involved. What merchants have named themselves stays.
func camelCase(body []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var doc any
	if err := decoder.Decode(&doc); err != nil {
		return body
	}
	return marshal(renamed(doc))
}

func renamed(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = renamed(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			if key != "merchant_metadata" {
				value = renamed(value)
			}
			out[camelKey(key)] = value
		}
		return out
	}
	return v
}

func camelKey(key string) string {
	if slices.Contains(snakeKeys, key) {
		return key
	}
	words := strings.Split(key, "_")
	for i, word := range words[1:] {
		if word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// outboundClient is the client that callbacks and webhooks are posted with.
func (s *Server) outboundClient() *http.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outboundLocked()
}

func (s *Server) outboundLocked() *http.Client {
	if s.cfg.outbound == nil {
		transport := &http.Transport{Proxy: nil}
		s.cfg.outbound = &http.Client{Transport: transport}
		s.clients = append(s.clients, transport)
	}
	return s.cfg.outbound
}

// dial connects to the merchant's handler.
func (q *webhookQueue) dial(ctx context.Context, _, _ string) (conn net.Conn, err error) {
	return q.link.dial(ctx)
}

// closeWebhooks stops what the queue has started.
func (s *Server) closeWebhooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.webhooks.all {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	if s.webhooks.merchant != nil {
		_ = s.webhooks.link.Close()
		_ = s.webhooks.merchant.Close()
	}
}
