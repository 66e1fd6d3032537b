package pluraltest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// WebhookKeyForm says how the webhook secret becomes the bytes of the key.
type WebhookKeyForm int

// The forms of the webhook key.
const (
	WebhookKeyCharacters WebhookKeyForm = iota // the characters of the secret, as in the vendor's worked example
	WebhookKeyHex                              // decoded from hex
	WebhookKeyBase64                           // decoded from base64, after "whsec_" is removed
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

// WithWebhookURL delivers webhooks to a URL. See also [Server.SetWebhookURL].
// The first attempts for the events of one order are made one after the other,
// oldest event first. [Server.ReleaseWebhooks] can reverse that sequence.
func WithWebhookURL(url string) Option { return func(c *config) { c.webhook.url = url } }

// WithWebhookHandler delivers webhooks to a handler. The handler gets real HTTP
// requests. Their connections are in memory and use no sockets.
func WithWebhookHandler(h http.Handler) Option { return func(c *config) { c.webhook.handler = h } }

// WithWebhookSchedule replaces the waits before each attempt. See
// [WebhookSchedule]. An empty list means one attempt, at once.
func WithWebhookSchedule(waits ...time.Duration) Option {
	if len(waits) == 0 {
		waits = []time.Duration{0}
	}
	return func(c *config) { c.webhook.schedule = slices.Clone(waits) }
}

// WithWebhookTimeScale multiplies the waits between attempts: 0.001 turns an
// hour into 3.6 seconds. The time that the merchant has for an answer does not
// change: see [WithWebhookTimeout].
func WithWebhookTimeScale(factor float64) Option {
	return func(c *config) { c.webhook.scale = factor }
}

// WithWebhookTimeout sets how long the merchant may take to answer. The default
// is the documented 5 s.
func WithWebhookTimeout(d time.Duration) Option { return func(c *config) { c.webhook.timeout = d } }

// WithWebhookKey selects how the webhook secret becomes the key.
func WithWebhookKey(form WebhookKeyForm) Option { return func(c *config) { c.webhook.keyForm = form } }

// WithWebhookStampedOnce sends redeliveries with the timestamp and signature of
// the first attempt. Without this option each attempt gets a new time. The
// vendor does not document which timestamp the real service sends.
func WithWebhookStampedOnce() Option { return func(c *config) { c.webhook.stampOnce = true } }

// WithWebhookNewIDs sends each redelivery under a webhook-id of its own.
func WithWebhookNewIDs() Option { return func(c *config) { c.webhook.newIDs = true } }

// WithWebhookDuplicates delivers n more copies of each event, at the same time
// as its first attempt and with the same webhook-id. Whether the server tries
// again depends only on the answer to the first attempt. If the first attempt
// arrives while a handler still works on a copy, the handler may answer the
// first attempt with 409. Then the server tries again, even if the copy gets a
// 2xx.
func WithWebhookDuplicates(n int) Option { return func(c *config) { c.webhook.duplicates = n } }

// DeliveryState is the state of an event's delivery.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryNotSent   DeliveryState = "not sent" // there is no URL or handler for webhooks
	DeliveryHeld      DeliveryState = "held"     // the event waits for ReleaseWebhooks, because HoldWebhooks was called
	DeliveryPending   DeliveryState = "pending"  // an attempt is on its way, or the next attempt waits
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryExhausted DeliveryState = "exhausted" // every attempt has failed
)

// Delivery is one event and the attempts to deliver it.
type Delivery struct {
	ID        string // webhook-id, the same on each attempt
	EventType string // "ORDER_AUTHORIZED", ...
	OrderID   string // the order or refund that the event is about
	Body      []byte
	CreatedAt time.Time
	State     DeliveryState
	Attempts  []DeliveryAttempt
}

// DeliveryAttempt is one request that carried an event.
type DeliveryAttempt struct {
	At     time.Time
	Header http.Header // of the request
	Status int         // status of the answer; 0 if there was no answer
	Err    string      // why there was no answer
}

// SetWebhookURL changes the URL that events are delivered to. Events that are
// being retried also go to the new URL. With "" no more events are delivered.
func (s *Server) SetWebhookURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.webhook.url = url
}

// Deliveries returns the events so far, oldest first. Each event has the state
// of its delivery and the attempts to deliver it.
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

// HoldWebhooks makes all new events wait until [Server.ReleaseWebhooks] is
// called.
func (s *Server) HoldWebhooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks.holding = true
}

// ReleaseWebhooks sends the events that wait because of [Server.HoldWebhooks],
// one after the other. If reversed is true, the last event goes first. The
// first attempt for an event ends before the first attempt for the next event
// begins. ReleaseWebhooks returns when each event has been attempted once.
func (s *Server) ReleaseWebhooks(reversed bool) {
	s.mu.Lock()
	s.webhooks.holding = false
	var held []*queuedDelivery
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
		s.startDelivery(d, before)
		before = d.attemptDone
	}
	s.webhooks.notify()
	s.mu.Unlock()
	for _, d := range held {
		<-d.attemptDone
	}
}

// Redeliver sends an event again with the same webhook-id, whatever the state
// of its delivery. It returns the status of the answer. After a 2xx the event
// counts as delivered, and its schedule ends.
func (s *Server) Redeliver(webhookID string) (int, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.webhooks.all, func(d *queuedDelivery) bool { return d.ID == webhookID })
	if i < 0 {
		s.mu.Unlock()
		return 0, fmt.Errorf("pluraltest: redeliver: no event %q", webhookID)
	}
	d := s.webhooks.all[i]
	isFirst := len(d.Attempts) == 0
	s.mu.Unlock()
	status, err := s.sendEvent(d, isFirst)
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

// WaitWebhooks waits until no event, copy or redelivery is on its way, and no
// event waits to be retried.
func (s *Server) WaitWebhooks(ctx context.Context) error {
	for {
		s.mu.Lock()
		changed := s.webhooks.changed
		waiting := s.webhooks.sending > 0 ||
			slices.ContainsFunc(s.webhooks.all, func(d *queuedDelivery) bool { return d.State == DeliveryPending })
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
