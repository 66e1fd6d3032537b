package pluraltest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// WebhookKeyForm is how the webhook secret becomes the bytes of the key.
type WebhookKeyForm int

// The forms of the webhook key.
const (
	WebhookKeyCharacters WebhookKeyForm = iota // the characters of the secret, as in the vendor's worked example
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
	newIDs     bool
}

// WithWebhookURL delivers webhooks to a URL; see also [Server.SetWebhookURL].
// The first attempts for the events of one order are made one after the other,
// in the order in which the events happened; [Server.ReleaseWebhooks] can
// reverse that.
func WithWebhookURL(url string) Option { return func(c *config) { c.webhook.url = url } }

// WithWebhookHandler delivers webhooks to a handler that is served in memory.
// It uses HTTP as on a network, but no sockets.
func WithWebhookHandler(h http.Handler) Option { return func(c *config) { c.webhook.handler = h } }

// WithWebhookSchedule replaces the waits before each attempt; see
// [WebhookSchedule]. An empty list means one attempt, at once.
func WithWebhookSchedule(waits ...time.Duration) Option {
	if len(waits) == 0 {
		waits = []time.Duration{0}
	}
	return func(c *config) { c.webhook.schedule = slices.Clone(waits) }
}

// WithWebhookTimeScale multiplies the waits between attempts: 0.001 turns an
// hour into 3.6 seconds. The time allowed for an answer does not change; see
// WithWebhookTimeout.
func WithWebhookTimeScale(factor float64) Option {
	return func(c *config) { c.webhook.scale = factor }
}

// WithWebhookTimeout sets how long the merchant may take to answer; the default
// is the documented 5 s.
func WithWebhookTimeout(d time.Duration) Option { return func(c *config) { c.webhook.timeout = d } }

// WithWebhookKey selects how the webhook secret becomes the key.
func WithWebhookKey(form WebhookKeyForm) Option { return func(c *config) { c.webhook.keyForm = form } }

// WithWebhookStampedOnce sends redeliveries with the timestamp and signature of
// the first attempt. Without it each attempt gets a new time. The vendor does
// not document which of the two the real service does.
func WithWebhookStampedOnce() Option { return func(c *config) { c.webhook.stampOnce = true } }

// WithWebhookNewIDs sends each redelivery under a webhook-id of its own.
func WithWebhookNewIDs() Option { return func(c *config) { c.webhook.newIDs = true } }

// WithWebhookDuplicates delivers each event n times more, at the same time as
// its first attempt and under the same webhook-id. The schedule follows only
// the first attempt. If that comes while a handler works on a copy, and is
// answered 409, it is repeated although the copy has been answered with a 2xx.
func WithWebhookDuplicates(n int) Option { return func(c *config) { c.webhook.duplicates = n } }

// DeliveryState is the state of an event's delivery.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryNotSent   DeliveryState = "not sent" // there is no address to send it to
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
	Status int         // of the answer; 0 when there was no answer
	Err    string      // why there was no answer
}

// SetWebhookURL delivers events from now on to a URL, also events that are
// being retried. "" stops the delivery of all of them.
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

// HoldWebhooks keeps back the events from now on, until ReleaseWebhooks.
func (s *Server) HoldWebhooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks.holding = true
}

// ReleaseWebhooks sends the events that HoldWebhooks has kept back, one after
// the other. With reversed, the last one goes first. A first attempt ends
// before the next event's begins. It returns when each event has been attempted
// once.
func (s *Server) ReleaseWebhooks(reversed bool) {
	s.mu.Lock()
	s.webhooks.holding = false
	var held []*delivery
	for _, d := range s.webhooks.all {
		if d.State == DeliveryHeld {
			held = append(held, d)
		}
	}
	if reversed {
		slices.Reverse(held)
	}
	var before chan struct{}
	for _, d := range held {
		s.dispatch(d, before)
		before = d.tried
	}
	s.webhooks.notify()
	s.mu.Unlock()
	for _, d := range held {
		<-d.tried
	}
}

// Redeliver sends an event again, under its webhook-id and in any state, and
// returns the status of the answer. A 2xx makes it delivered, and the schedule
// ends.
func (s *Server) Redeliver(webhookID string) (int, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.webhooks.all, func(d *delivery) bool { return d.ID == webhookID })
	if i < 0 {
		s.mu.Unlock()
		return 0, fmt.Errorf("pluraltest: redeliver: no event %q", webhookID)
	}
	d := s.webhooks.all[i]
	s.mu.Unlock()
	status, err := s.send(d)
	if err != nil {
		return status, fmt.Errorf("pluraltest: redeliver: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if status/100 == 2 {
		d.State = DeliveryDelivered
		s.webhooks.notify()
	}
	return status, nil
}

// WaitWebhooks waits until no event, copy or redelivery is on its way or
// waiting to be retried.
func (s *Server) WaitWebhooks(ctx context.Context) error {
	for {
		s.mu.Lock()
		changed := s.webhooks.changed
		waiting := s.webhooks.sending > 0 ||
			slices.ContainsFunc(s.webhooks.all, func(d *delivery) bool { return d.State == DeliveryPending })
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
