package pluraltest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// WebhookSchedule returns the documented schedule: the wait before each of the
// eight attempts. The first wait starts with the event. Each later wait starts
// at the end of the previous attempt.
func WebhookSchedule() []time.Duration {
	return []time.Duration{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
}

// queuedDelivery is a [Delivery] in the server's queue. The other fields are
// for the attempts to deliver the event.
type queuedDelivery struct {
	Delivery
	charge      *order        // the delivery waits for the earlier events of this order
	born        time.Time     // when the schedule starts
	attemptDone chan struct{} // closed once the first attempt has ended, or if there will be no attempt
	stamp       string        // timestamp of the first attempt
}

// webhookQueue holds the events. Server.mu guards it.
type webhookQueue struct {
	all      []*queuedDelivery
	holding  bool
	sending  int // how many requests are on their way
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

func (s *Server) hasTarget() bool {
	return !s.closed && (s.cfg.webhook.url != "" || s.cfg.webhook.handler != nil)
}

// emitEvent records an event about the present state of an order, and sends the
// event. s.mu must be held.
func (s *Server) emitEvent(event string, o *order) {
	q := &s.webhooks
	d := &queuedDelivery{
		Delivery: Delivery{
			ID:        s.newMessageID(event, o.id, itoa(len(q.all))),
			EventType: event,
			OrderID:   o.id,
			Body:      s.eventBody(event, o),
			CreatedAt: s.now(),
			State:     DeliveryHeld,
		},
		charge: o,
		born:   time.Now(),
	}
	if o.parent != nil {
		d.charge = o.parent
	}
	q.all = append(q.all, d)
	if !q.holding {
		s.startDelivery(d, nil)
	}
	q.notify()
}

// startDelivery starts the delivery of an event. The delivery waits until the
// first attempt for the previous event of the same order has ended. So no event
// of an order overtakes another. If waitChan is not nil, the delivery also
// waits until waitChan is closed. s.mu must be held.
func (s *Server) startDelivery(d *queuedDelivery, waitChan chan struct{}) {
	d.attemptDone = make(chan struct{})
	if !s.hasTarget() {
		d.State = DeliveryNotSent
		close(d.attemptDone)
		return
	}
	d.State = DeliveryPending
	last := d.charge.lastEvent
	d.charge.lastEvent = d.attemptDone
	s.wg.Go(func() {
		s.awaitAttempt(waitChan)
		s.awaitAttempt(last)
		s.deliverEvent(d)
	})
}

// awaitAttempt waits until attemptDone is closed, or until the server is
// closed. An event's attemptDone is closed when the first attempt for the event
// has ended, or if there will be no attempt. If attemptDone is nil,
// awaitAttempt does not wait.
func (s *Server) awaitAttempt(attemptDone chan struct{}) {
	if attemptDone == nil {
		return
	}
	select {
	case <-attemptDone:
	case <-s.ctx.Done():
	}
}

// deliverEvent makes the attempts of the schedule until an attempt gets a 2xx.
// Together with the first attempt, it sends the duplicates that the options ask
// for.
func (s *Server) deliverEvent(d *queuedDelivery) {
	closeDone := sync.OnceFunc(func() { close(d.attemptDone) })
	defer closeDone()
	schedule, from := s.cfg.webhook.schedule, d.born
	for attempt, wait := range schedule {
		wait = time.Duration(float64(wait) * s.cfg.webhook.scale)
		if !s.sleepUnlessClosed(time.Until(from.Add(wait))) || !s.isPending(d) {
			return
		}
		var copies sync.WaitGroup
		if attempt == 0 {
			for range s.cfg.webhook.duplicates {
				copies.Go(func() { _, _ = s.sendEvent(d, true) })
			}
		}
		status, err := s.sendEvent(d, attempt == 0)
		from = time.Now()
		copies.Wait()
		again := s.finishAttempt(d, status, err, attempt == len(schedule)-1)
		closeDone()
		if !again {
			return
		}
	}
}

// sleepUnlessClosed waits for the duration d. It returns false if the server is
// closed before that time has passed.
func (s *Server) sleepUnlessClosed(d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
		}
	}
	return s.ctx.Err() == nil
}

func (s *Server) isPending(d *queuedDelivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return d.State == DeliveryPending
}

// finishAttempt records the result of an attempt. It reports whether the server
// must make another attempt.
func (s *Server) finishAttempt(d *queuedDelivery, status int, err error, last bool) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.webhooks.notify()
	switch {
	case s.closed || d.State != DeliveryPending:
	case errors.Is(err, errNoTarget):
		d.State = DeliveryNotSent
	case status/100 == 2:
		d.State = DeliveryDelivered
	case last:
		d.State = DeliveryExhausted
	default:
		return true
	}
	return false
}

var errNoTarget = errors.New("nowhere to send webhooks to")

// sendEvent posts an event to the merchant, and records the attempt. The first
// attempt and its copies always have the event's own id.
func (s *Server) sendEvent(d *queuedDelivery, isFirst bool) (status int, err error) {
	s.mu.Lock()
	if !s.hasTarget() {
		s.mu.Unlock()
		return 0, errNoTarget
	}
	s.webhooks.sending++
	now := s.now()
	stamp := strconv.FormatInt(now.Unix(), 10)
	if d.stamp == "" {
		d.stamp = stamp
	}
	if s.cfg.webhook.stampOnce {
		stamp = d.stamp
	}
	id := d.ID
	if s.cfg.webhook.newIDs && !isFirst {
		id = s.newMessageID("redelivery", d.ID, itoa(len(d.Attempts)))
	}
	client, target := s.webhookClient()
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.webhook.timeout)
	defer cancel()
	req, err := s.signedWebhook(ctx, target, id, stamp, d.Body)
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
	s.webhooks.sending--
	s.webhooks.notify()
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

// webhookClient returns the client and the URL to post events with. s.mu must
// be held.
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
		q.merchant = &http.Server{
			Handler:           s.guardHandler(s.cfg.webhook.handler, s.cfg.mention),
			BaseContext:       s.context,
			ReadHeaderTimeout: time.Minute,
			ErrorLog:          s.http.ErrorLog,
		}
		transport := &http.Transport{DialContext: q.dial}
		q.client = &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		s.clients = append(s.clients, transport)
		s.wg.Go(func() { _ = q.merchant.Serve(q.link) })
	}
	return q.client, "http://merchant.localhost/webhook"
}

// outboundClient returns the client that posts callbacks and webhooks.
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

// closeWebhooks stops the deliveries that the queue has started.
func (s *Server) closeWebhooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.webhooks.merchant != nil {
		_ = s.webhooks.link.Close()
		_ = s.webhooks.merchant.Close()
	}
}
