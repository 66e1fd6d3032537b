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
	leaseReserve = 5 * time.Second // of the lease, for the commit
	keepHandled  = 72 * time.Hour  // at the least: Plural redelivers for 28 hours

	deduperTimeout = leaseReserve
)

// HandlerOption changes how a handler of [NewWebhookHandler] works.
type HandlerOption func(*webhookHandler)

// NewWebhookHandler is an [http.Handler] for the webhook URL. It looks at the
// headers, reads the body under a limit, verifies it, skips events that were
// handled before, and calls handle. What handle returns decides what Plural is
// told: nil, and the event is done; an error, and Plural delivers it again.
// Event types that handle does not know are best answered with nil.
//
// Plural waits 5 seconds for the answer (Plural's webhook documentation,
// delivery). When it hangs up, handle goes on: its context has the values of
// the request's, is not cancelled with it, and ends 5 seconds before the lease
// does ([WithLease]). A handle function that outlasts its lease may be
// overtaken by a redelivery, and its late success is then not recorded. A panic
// in handle counts as an error and goes no further.
//
// Delivery to handle is at least once: a process that dies between handle's
// success and the record of it leaves the event to be delivered again. Have the
// record and the work in one database transaction where that matters.
//
// It answers 200 for an event that was handled now or before, 400 for a
// malformed request, 401 for one that is not verified, 405 if it is not a POST,
// 409 while another worker has the event, 413 if it is too large, 500 if handle
// or the record of its success failed, and 503 if the [Deduper] failed or is
// full.
//
// A nil Verifier or function, and a nil option, Deduper or logger, is a mistake
// in the wiring: nothing takes its place. It is logged when the handler is
// made, by the handler's logger or, without one, by [slog.Default]. The handler
// then answers 503 if it is the [Deduper] that is missing, and 500 otherwise.
// So is a merchant's name that is empty, longer than 128 bytes or has a "/".
//
// A sender that stalls is the server's business: set its ReadTimeout.
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

// WithDeduper sets what remembers the events that were handled: by default a
// [MemoryDeduper], which one process has to itself and forgets when it ends.
func WithDeduper(d Deduper) HandlerOption {
	return func(h *webhookHandler) {
		if isNil(d) {
			h.miswired(http.StatusServiceUnavailable, "the deduper is nil")
			return
		}
		h.deduper = d
	}
}

// WithMerchant names the merchant whose events these are, such as by the
// merchant id: the claims of its events are named "merchant/webhook-id".
// Handlers of several merchants that share one [Deduper] each need it. A
// webhook-id is signed by the merchant's own key alone, so without it one
// merchant could have another's event taken for handled. It must be the same in
// all processes, and stay the same when keys are rotated; it is not a secret.
func WithMerchant(name string) HandlerOption {
	return func(h *webhookHandler) {
		if name == "" || len(name) > maxWebhookID || strings.Contains(name, "/") {
			h.miswired(http.StatusInternalServerError, `the merchant's name is empty, too long or has a "/"`)
			return
		}
		h.merchant = name
	}
}

// WithLease sets how long a worker has an event to itself, 60 seconds by
// default: longer than handle ever takes, as after it a redelivery is handled
// though the first worker may still be at it. The handle function has 5 seconds
// less. A lease below 10 seconds counts as 10 seconds; one that is not
// positive, as the default.
func WithLease(lease time.Duration) HandlerOption {
	return func(h *webhookHandler) {
		if lease <= 0 {
			lease = defaultLease
		}
		h.lease = max(lease, minLease)
	}
}

// WithMaxBody sets how many bytes of body are read at most, 256 KiB by
// default; what is not positive counts as the default.
func WithMaxBody(most int64) HandlerOption {
	return func(h *webhookHandler) {
		if most <= 0 {
			most = defaultMaxWebhookBody
		}
		h.maxBody = most
	}
}

// WithHandlerLogger logs refused webhooks, with the reason, and failures, among
// them the errors and panics of the handle function. Without it only mistakes
// in the wiring are logged, by [slog.Default]. It never logs bodies, signatures
// or the data of an event.
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
	merchant string // before each claim's name
	maxBody  int64
	log      *slog.Logger
	logs     bool // log is the merchant's

	mistakes []string // in the wiring
	broken   int      // the status that they are answered with; 0: none
}

// miswired notes a mistake in how the handler was made.
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

// serve recovers panics of the body's reader and of Commit and Release. The
// handle function and Claim have recovers of their own: after one the claim is
// released, after the other the answer is 503.
func (h *webhookHandler) serve(r *http.Request) (status int) {
	ctx := context.WithoutCancel(r.Context())
	defer func() {
		if p := recover(); p != nil {
			status = http.StatusInternalServerError
			h.log.LogAttrs(ctx, slog.LevelError, "webhook handler panicked", panicAttrs(p)...)
		}
	}()
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
	return h.process(ctx, event)
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

// process has the event handled once. The deadline is counted from before the
// claim, so the lease outlasts it by the reserve at least.
func (h *webhookHandler) process(ctx context.Context, event *Event) int {
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
	defer func() { // also when the function ends its goroutine
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

// nameOf is the name of the event's claim.
func (h *webhookHandler) nameOf(event *Event) string {
	if h.merchant == "" {
		return event.ID
	}
	return h.merchant + "/" + event.ID
}

func (h *webhookHandler) claim(ctx context.Context, id string) (claim Claim, err error) {
	ctx, cancel := context.WithTimeout(ctx, deduperTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			h.log.LogAttrs(ctx, slog.LevelError, "webhook deduper panicked", panicAttrs(p)...)
			err = errDeduperPanicked
		}
	}()
	return h.deduper.Claim(ctx, id, h.lease)
}

func (h *webhookHandler) call(ctx context.Context, deadline time.Time, event *Event) (err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			h.log.LogAttrs(
				ctx,
				slog.LevelError,
				"webhook function panicked",
				append(panicAttrs(p), slog.String("event_id", event.ID))...)
			err = errPanicked
		}
	}()
	return h.handle(ctx, event)
}

func (h *webhookHandler) commit(ctx context.Context, id, token string) error {
	ctx, cancel := context.WithTimeout(ctx, deduperTimeout)
	defer cancel()
	return h.deduper.Commit(ctx, id, token, h.keep())
}

// keep is how long a handled event is remembered: longer than any copy of it is
// accepted. Its timestamp may lie in the future by the tolerance.
func (h *webhookHandler) keep() time.Duration {
	const most = 10 * 365 * 24 * time.Hour
	return max(keepHandled, 2*min(h.verifier.config.tolerance, most)+time.Hour)
}

// release lets a redelivery in at once. If it fails, the end of the lease does.
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
	h.log.LogAttrs(ctx, slog.LevelError, message, //nolint:sloglint // static where it is called
		slog.String("event_id", event.ID), slog.String("event_type", clip(string(event.Type))), slog.Any("error", err))
}

func panicAttrs(p any) []slog.Attr {
	return []slog.Attr{slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack()))}
}
