package plural

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

const (
	defaultLease = time.Minute
	minLease     = 2 * leaseReserve
	leaseReserve = 5 * time.Second // the time from the deadline of the user's function to the end of the lease
	keepHandled  = 72 * time.Hour  // handled events are remembered at least this long; Plural redelivers for 28 hours

	deduperTimeout = leaseReserve
)

// HandlerOption changes how a handler of [NewWebhookHandler] works.
type HandlerOption func(*webhookHandler)

// NewWebhookHandler makes an [http.Handler] for the webhook URL. The handler
// checks the headers, reads the body up to a limit, and verifies the signature.
// It skips events that were handled before, and calls your function (the
// parameter handle) for the others. If your function returns nil, the event is
// done. If it returns an error, Plural delivers the event again. So your
// function should return nil for a type of event that it does not know.
//
// Plural waits 5 seconds for the answer (Plural's webhook documentation,
// delivery). If Plural disconnects, your function continues. Its context has
// the values of the request's context, but is not cancelled with the request's
// context. The context of your function ends 5 seconds before the lease ends
// ([WithLease]). If your function takes longer than the lease, another worker
// may handle a redelivery. Then the late success of the first worker is not
// recorded. If your function panics, the handler recovers, and the panic counts
// as an error.
//
// Each event reaches your function at least once, and perhaps more than once.
// If a process dies after your function has succeeded and before the success is
// recorded, your function gets the event again. If a second delivery would do
// harm, record the event and do the work in one database transaction.
//
// The handler answers with these statuses:
//
//   - 200: the event was handled, now or before.
//   - 400: the request is malformed.
//   - 401: the request is not verified.
//   - 405: the request is not a POST.
//   - 409: another worker has the event.
//   - 413: the body is too large.
//   - 500: your function failed, or its success could not be recorded.
//   - 503: the [Deduper] failed or is full.
//
// A nil Verifier, function, option, Deduper or logger is a programming mistake,
// and is not replaced by a default. A merchant's name that is empty, is longer
// than 128 bytes or has a "/" is also a mistake. NewWebhookHandler logs the
// mistake to the handler's logger or, without one, to [slog.Default]. The
// handler then answers every request with 503 if the first mistake is a nil
// [Deduper], and otherwise with 500.
//
// This package does not disconnect a sender that stalls, so set the server's
// ReadTimeout.
func NewWebhookHandler(
	v *Verifier, handle func(ctx context.Context, e *Event) error, opts ...HandlerOption,
) http.Handler {
	h := &webhookHandler{
		verifier: v,
		handle:   handle,
		lease:    defaultLease,
		maxBody:  defaultMaxWebhookBody,
		log:      slog.New(slog.DiscardHandler),
	}
	if v == nil || v.config == nil {
		h.miswired(http.StatusInternalServerError, "the verifier is nil")
	}
	if handle == nil {
		h.miswired(http.StatusInternalServerError, "the function is nil")
	}
	for _, opt := range opts {
		if opt == nil {
			h.miswired(http.StatusInternalServerError, "an option is nil")
			continue
		}
		opt(h)
	}
	if h.deduper == nil {
		h.deduper = NewMemoryDeduper(0)
	}
	h.reportMiswiring()
	return h
}

// WithDeduper sets the [Deduper] that remembers handled events. The default is
// a [MemoryDeduper], which belongs to one process and is lost when the process
// ends.
func WithDeduper(d Deduper) HandlerOption {
	return func(h *webhookHandler) {
		if isNil(d) {
			h.miswired(http.StatusServiceUnavailable, "the deduper is nil")
			return
		}
		h.deduper = d
	}
}

// WithMerchant sets the name of the handler's merchant. For example, use the
// merchant id as the name. The handler then claims each event under the name
// "merchant/webhook-id". If several merchants share one [Deduper], each of
// their handlers needs a name. Each merchant's key signs only that merchant's
// webhook-ids. Without names, one merchant could send the id of another
// merchant's event. Then the handler would skip the other merchant's event,
// because that event seems to be handled already. The name must be the same in
// all processes, and must not change when keys change. It is not a secret.
func WithMerchant(name string) HandlerOption {
	return func(h *webhookHandler) {
		if name == "" || len(name) > maxWebhookID || strings.Contains(name, "/") {
			h.miswired(http.StatusInternalServerError, `the merchant's name is empty, too long or has a "/"`)
			return
		}
		h.merchant = name
	}
}

// WithLease sets the lease: the time during which only one worker can handle an
// event. The default is 60 seconds. The lease must be longer than the longest
// run of your function. After the lease, another worker can handle a
// redelivery, even if the first worker is still busy. The time limit of your
// function is 5 seconds shorter than the lease. A lease below 10 seconds counts
// as 10 seconds. Zero or less means the default.
func WithLease(lease time.Duration) HandlerOption {
	return func(h *webhookHandler) {
		if lease <= 0 {
			lease = defaultLease
		}
		h.lease = max(lease, minLease)
	}
}

// WithMaxBody sets the largest size of a body in bytes. The default is 256 KiB.
// Zero or less means the default.
func WithMaxBody(most int64) HandlerOption {
	return func(h *webhookHandler) {
		if most <= 0 {
			most = defaultMaxWebhookBody
		}
		h.maxBody = most
	}
}

// WithHandlerLogger sets the logger. The handler logs refused webhooks, with
// the reason. It also logs failures, with the errors and panics of your
// function. Without a logger, the handler logs only programming mistakes, to
// [slog.Default]. The handler never logs bodies, signatures or the data of an
// event.
func WithHandlerLogger(log *slog.Logger) HandlerOption {
	return func(h *webhookHandler) {
		if log == nil {
			h.miswired(http.StatusInternalServerError, "the logger is nil")
			return
		}
		h.log, h.logs = log, true
	}
}

type webhookHandler struct {
	verifier *Verifier
	handle   func(ctx context.Context, e *Event) error
	deduper  Deduper
	lease    time.Duration
	merchant string // the beginning of each claim's name, from WithMerchant; "" without this option
	maxBody  int64
	log      *slog.Logger
	logs     bool // log was set by WithHandlerLogger

	mistakes []string // mistakes in how the handler was made
	broken   int      // if there is a mistake, the status of every answer; otherwise 0
}

// This method records a mistake in the arguments of [NewWebhookHandler] or of
// an option.
func (h *webhookHandler) miswired(status int, mistake string) {
	h.mistakes = append(h.mistakes, mistake)
	if h.broken == 0 {
		h.broken = status
	}
}

func (h *webhookHandler) reportMiswiring() {
	log := h.log
	if !h.logs {
		log = slog.Default()
	}
	for _, mistake := range h.mistakes {
		log.LogAttrs(context.Background(), slog.LevelError, "webhook handler was made wrongly", slog.String("error", mistake))
	}
}

func (h *webhookHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := h.serve(r)
	if status == http.StatusOK {
		w.WriteHeader(status)
		return
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, http.StatusText(status), status)
}

// The method serve handles a request and returns the status. It recovers from
// panics of the body's reader, of Commit and of Release. The methods call and
// claim recover from panics of the user's function and of Claim. After a panic
// of the user's function, the claim is released. After a panic of Claim, the
// status is 503.
func (h *webhookHandler) serve(r *http.Request) (status int) {
	ctx := context.WithoutCancel(r.Context())
	defer h.recovered(ctx, "webhook handler panicked", func() { status = http.StatusInternalServerError })
	if h.broken != 0 {
		return h.broken
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	event, err := h.verifier.verifyWebhookRequest(r, h.maxBody)
	if err != nil {
		status = refusalStatus(err)
		h.log.LogAttrs(ctx, slog.LevelWarn, "webhook refused", slog.Int("status", status), slog.Any("error", err))
		return status
	}
	return h.processEvent(ctx, event)
}

func refusalStatus(err error) int {
	refusal := (*VerificationError)(nil)
	switch {
	case errors.Is(err, ErrInvalidSignature), errors.Is(err, ErrStaleTimestamp):
		return http.StatusUnauthorized
	case errors.As(err, &refusal) && refusal.reason == ReasonBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// processEvent claims the event. If the claim succeeds, processEvent calls the
// user's function. The deadline for this function is computed before the claim
// is made. The lease begins later, with the claim. So the lease ends at least
// leaseReserve after the deadline.
func (h *webhookHandler) processEvent(ctx context.Context, event *Event) int {
	deadline := time.Now().Add(h.lease - leaseReserve)
	claim, err := h.claim(ctx, h.nameOf(event))
	if err != nil {
		h.logFailure(ctx, "webhook not claimed", event, err)
		return http.StatusServiceUnavailable
	}
	switch claim.State {
	case Claimed:
	case InProgress:
		return http.StatusConflict
	case Done:
		return http.StatusOK
	default:
		h.logFailure(ctx, "webhook not claimed", event, errors.New("unknown claim state"))
		return http.StatusServiceUnavailable
	}

	failed := true
	defer func() { // this also runs if the user's function calls runtime.Goexit
		if failed {
			h.release(ctx, event, claim.Token)
		}
	}()
	if err := h.call(ctx, deadline, event); err != nil {
		h.logFailure(ctx, "webhook not handled", event, err)
		return http.StatusInternalServerError
	}
	failed = false
	if err := h.commit(ctx, h.nameOf(event), claim.Token); err != nil {
		h.logFailure(ctx, "webhook handled and not recorded", event, err)
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

// nameOf returns the name of the event's claim.
func (h *webhookHandler) nameOf(event *Event) string {
	if h.merchant == "" {
		return event.ID
	}
	return h.merchant + "/" + event.ID
}

func (h *webhookHandler) claim(ctx context.Context, id string) (claim Claim, err error) {
	ctx, cancel := context.WithTimeout(ctx, deduperTimeout)
	defer cancel()
	defer h.recovered(ctx, "webhook deduper panicked", func() { err = errDeduperPanicked })
	return h.deduper.Claim(ctx, id, h.lease)
}

func (h *webhookHandler) call(ctx context.Context, deadline time.Time, event *Event) (err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer h.recovered(ctx, "webhook function panicked", func() { err = errPanicked }, slog.String("event_id", event.ID))
	return h.handle(ctx, event)
}

func (h *webhookHandler) commit(ctx context.Context, id, token string) error {
	ctx, cancel := context.WithTimeout(ctx, deduperTimeout)
	defer cancel()
	return h.deduper.Commit(ctx, id, token, h.keepDuration())
}

// keepDuration returns how long a handled event is remembered. After that time,
// no copy of the event is accepted any more. The timestamp of an event may be
// later or earlier than the current time, by at most the verifier's tolerance.
// For example, if the tolerance is 5 minutes, an event whose timestamp is 12:05
// is accepted from 12:00 to 12:10. So an event is remembered for more than
// twice the tolerance.
func (h *webhookHandler) keepDuration() time.Duration {
	const most = 10 * 365 * 24 * time.Hour
	return max(keepHandled, 2*min(h.verifier.config.tolerance, most)+time.Hour)
}

// The method release gives up the claim, so a redelivery is handled at once. If
// the claim cannot be given up, a redelivery is handled only after the lease
// has ended.
func (h *webhookHandler) release(ctx context.Context, event *Event, token string) {
	ctx, cancel := context.WithTimeout(ctx, deduperTimeout)
	defer cancel()
	if err := h.deduper.Release(ctx, h.nameOf(event), token); err != nil {
		h.logFailure(ctx, "webhook claim not released", event, err)
	}
}

var (
	errPanicked        = errors.New("plural: the webhook function panicked")
	errDeduperPanicked = errors.New("plural: the deduper panicked")
)

func (h *webhookHandler) logFailure(ctx context.Context, message string, event *Event, err error) {
	h.log.LogAttrs(ctx, slog.LevelError, message, //nolint:sloglint // callers pass a constant
		slog.String("event_id", event.ID), slog.String("event_type", clip(string(event.Type))), slog.Any("error", err))
}

// This method must be called with defer. If there is a panic, the method
// recovers from the panic, calls the given function, and logs the panic.
func (h *webhookHandler) recovered(ctx context.Context, message string, then func(), about ...slog.Attr) {
	if p := recover(); p != nil {
		then()
		h.log.LogAttrs(ctx, slog.LevelError, message, //nolint:sloglint // callers pass a constant
			append(about, slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))...)
	}
}
