package probe

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// waitForReturn waits until a payer's browser has come back from Plural's page.
// It returns a description of the form that the browser has brought.
func (p *Probe) waitForReturn(ctx context.Context) (*returnedForm, error) {
	var seen *returnedForm
	_, _, err := p.waitUntil(ctx, func() (bool, error) {
		p.memory.withLock(func() { seen = p.memory.Return })
		return seen != nil, nil
	})
	if errors.Is(err, errNotSeen) {
		return nil, unmet("the payer's browser has not come back to this machine")
	}
	return seen, err
}

func askCallbackKey(ctx context.Context, p *Probe) (Found, error) {
	seen, err := p.waitForReturn(ctx)
	if err != nil {
		return Found{}, err
	}
	return Found{Answer: seen.Key}, nil
}

func askCallbackFields(ctx context.Context, p *Probe) (Found, error) {
	seen, err := p.waitForReturn(ctx)
	if err != nil {
		return Found{}, err
	}
	found := Found{Facts: seen.reportFacts()}
	switch has := func(name string) bool { return slices.Contains(seen.Names, name) }; {
	case seen.Method != http.MethodPost || has("status") == has("payment_status"):
	case has("payment_status") && seen.Empty == 0:
		found.Answer = "payment_status"
	case has("status") && seen.Empty == 0:
		found.Answer = "status"
	case has("status") && seen.Key == keyAnother:
		found.Answer = "status, and fields without a value"
	case has("status") && seen.EmptySigned:
		found.Answer = "status, and fields without a value that are signed"
	case has("status"):
		found.Answer = "status, and fields without a value that are not signed"
	}
	return found, nil
}

// waitForDeliveries waits until Plural has delivered the first event n times,
// and returns these deliveries.
func (p *Probe) waitForDeliveries(ctx context.Context, n int) ([]delivery, error) {
	var list []delivery
	_, _, err := p.waitUntil(ctx, func() (bool, error) {
		p.memory.withLock(func() {
			list = nil
			for _, d := range p.memory.Webhooks {
				first := p.memory.Webhooks[0]
				if d.OrderID == first.OrderID && d.Type == first.Type {
					list = append(list, d)
				}
			}
		})
		return len(list) >= n, nil
	})
	if len(list) == 0 && errors.Is(err, errNotSeen) {
		return nil, unmet("no webhook has reached this machine")
	}
	return list, err
}

func askWebhookKey(ctx context.Context, p *Probe) (Found, error) {
	list, err := p.waitForDeliveries(ctx, 1)
	if err != nil {
		return Found{}, err
	}
	var names []string
	for _, name := range list[0].Headers {
		if strings.HasPrefix(name, "Webhook-") || strings.HasPrefix(name, "X-") || strings.HasPrefix(name, "Svix-") {
			names = append(names, name)
		}
	}
	return Found{Answer: list[0].Key, Facts: []fact.Fact{fact.Names("headers", names)}}, nil
}

// askWebhookAgain looks at an event that was answered with 500 and came again.
func askWebhookAgain(ctx context.Context, p *Probe) (Found, error) {
	list, err := p.waitForDeliveries(ctx, 2)
	if len(list) == 1 && errors.Is(err, errNotSeen) {
		return Found{Answer: "it does not come again"}, nil
	}
	if err != nil {
		return Found{}, err
	}
	first, again := list[0], list[1]
	found := Found{Facts: []fact.Fact{fact.Took("after", again.At.Sub(first.At))}}
	stampedAt, ok := again.stampOf()
	switch {
	case first.ID != again.ID:
		found.Answer = "under another id"
	case first.Stamp != again.Stamp:
		found.Answer = "with a new stamp"
	case ok && again.At.Sub(stampedAt) < sameStamp:
		return Found{}, askError("the webhook came again too soon to see whether its timestamp is new")
	default:
		found.Answer = "with the first stamp"
	}
	return found, nil
}

// The first and the second delivery of a webhook may have the same timestamp.
// sameStamp is a limit for the time between this timestamp and the second
// delivery. If that time is shorter, the timestamp may be the time of the
// second delivery. If that time is longer, the timestamp is from the first
// delivery.
//
// A timestamp has whole seconds, so it can be up to a second earlier than the
// delivery. So sameStamp is more than a second.
const sameStamp = 1500 * time.Millisecond
