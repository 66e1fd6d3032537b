package pluraltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// WebhookBody replaces the body. The signature covers exactly these bytes.
func WebhookBody(body []byte) WebhookOption { return func(p *webhookParts) { p.body = body } }

// WebhookTarget sets the URL of the request.
func WebhookTarget(url string) WebhookOption { return func(p *webhookParts) { p.target = url } }

// WebhookRequest builds one signed webhook about the present state of an order
// or refund. The request is ready for a handler under test. [Server.Deliveries]
// does not list this webhook.
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

// eventBody makes the payload of an event. s.mu must be held.
func (s *Server) eventBody(event string, o *order) []byte {
	subject := o
	if o.parent != nil && s.cfg.quirks.has(QuirkRefundInParent) {
		subject = o.parent
	}
	points := s.cfg.quirks.has(QuirkCamelCasePoints) && subject.hasMethod("POINTS")
	body := marshal(struct {
		EventType string   `json:"event_type"`
		Data      orderDoc `json:"data"`
	}{event, s.document(subject, view{webhook: true, points: points})})
	if points {
		return toCamelCase(body)
	}
	return body
}

// snakeKeys are the names that stay in snake_case in the vendor's camelCase
// samples.
var snakeKeys = []string{"callback_url", "failure_callback_url", "merchant_payment_reference", "integration_mode"}

// toCamelCase gives the fields of an event camelCase names. In the vendor's
// samples, the events of orders that were paid with points have such names.
// Names that the merchant chose do not change.
func toCamelCase(body []byte) []byte {
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
