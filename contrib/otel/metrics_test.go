package pluralotel_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/pluraltest"
)

// The caller gives up, so the outcome of the call stays unknown. The context of
// the call has then ended. The metrics still count the call, with the outcome
// unknown.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.makeHeldOrder("order-1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		switch r.Op {
		case pluraltest.OpCapturesCreate:
			return pluraltest.ResetAfterApply
		case pluraltest.OpOrdersGet:
			cancel()
			return pluraltest.HangAfterApply
		}
		return pluraltest.NoFault
	})
	err := s.capture(ctx, id)
	require.ErrorIs(t, err, plural.ErrOutcomeUnknown)
	require.ErrorIs(t, err, context.Canceled)

	require.Equal(t, map[string]int64{
		"duration captures.create unknown canceled": 1, "outcomes captures.create unknown canceled": 1,
		"attempts captures.create": 1, "settlements captures.create": 1,
		"duration token ok": 1, "outcomes token ok": 1, "attempts token": 1, "settlements token": 0,
	}, s.metricValues())
	s.keepsSecrets(id)
}

func TestTokenRefreshes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.makeHeldOrder("order-1")
	require.NoError(t, s.capture(t.Context(), id))
	s.gateway.RevokeTokens()
	_, err := s.client.Orders.Get(t.Context(), id)
	require.NoError(t, err)

	counts := s.metricValues()
	require.Equal(t, int64(2), counts["outcomes token ok"])
	require.Equal(t, int64(2), counts["duration token ok"])
	require.Equal(t, int64(2), counts["attempts token"])
	require.Equal(t, []string{"captures.create", "orders.get"}, s.spanNames(),
		"token requests and repetitions have no span")
	s.keepsSecrets(id)
}

func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.gateway.Inject(pluraltest.On(pluraltest.OpToken), pluraltest.Unauthorized)
	require.ErrorIs(t, s.capture(t.Context(), s.makeHeldOrder("order-1")), plural.ErrUnauthorized)

	counts := s.metricValues()
	require.Equal(t, int64(1), counts["outcomes token rejected UNAUTHORIZED"])
	require.Equal(t, int64(1), counts["outcomes captures.create rejected UNAUTHORIZED"])
	require.Equal(t, []string{"captures.create"}, s.spanNames())
	require.Equal(t, "captures.create: no usable answer", s.spans.GetSpans()[0].Status.Description)
}

// Each answer of the emulator is counted under its outcome.
func TestOutcomesOfCalls(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	id := s.makeHeldOrder("order-1")
	require.NoError(t, s.capture(ctx, id))
	_, err := s.client.Cancels.Create(ctx, id)
	require.ErrorIs(t, err, plural.ErrNotApplied)
	_, err = s.client.Orders.Get(ctx, "v1-0-aa-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	_, err = s.client.Refunds.Find(ctx, id, "refund-none")
	require.ErrorIs(t, err, plural.ErrNotFound)
	_, err = s.client.Orders.Create(ctx, &plural.CreateOrderRequest{}) // nothing is sent, so no call is counted
	require.ErrorIs(t, err, plural.ErrInvalidRequest)
	s.gateway.SetFaultPlan(func(pluraltest.Request) pluraltest.Fault { return pluraltest.UnavailableBeforeApply })
	_, err = s.client.Orders.GetByReference(ctx, "order-1")
	require.Error(t, err)
	s.gateway.SetFaultPlan(func(pluraltest.Request) pluraltest.Fault {
		return pluraltest.StatusFault(http.StatusUnprocessableEntity, "ASHA_HAS_NO_MONEY", pluraltest.ApplyNever)
	})
	_, err = s.client.Orders.GetByReference(ctx, "order-1")
	require.Error(t, err)

	counts := s.metricValues()
	for name, want := range map[string]int64{
		"outcomes captures.create ok":                                 1,
		"outcomes cancels.create not_applied OPERATION_NOT_ALLOWED":   1,
		"outcomes orders.get not_found ORDER_NOT_FOUND":               1,
		"outcomes refunds.find not_found ORDER_NOT_FOUND":             1,
		"settlements refunds.find":                                    1,
		"attempts refunds.find":                                       0,
		"outcomes orders.get_by_reference unavailable 503":            1,
		"outcomes orders.get_by_reference rejected 422":               1,
		"attempts orders.get_by_reference":                            5,
		"duration orders.get_by_reference unavailable 503":            1,
		"outcomes orders.create rejected INVALID_REQUEST":             0,
		"outcomes orders.get_by_reference rejected ASHA_HAS_NO_MONEY": 0,
	} {
		require.Equal(t, want, counts[name], "%s in %v", name, counts)
	}
}

// Each error is counted under one outcome and one error.type.
func TestOutcomesOfErrors(t *testing.T) {
	t.Parallel()
	answer := func(status int, code plural.ErrorCode) *plural.Error {
		return &plural.Error{Op: "captures.create", StatusCode: status, Code: code}
	}
	cut := &plural.Error{Op: "captures.create", Err: fmt.Errorf("try: %w", context.DeadlineExceeded)}
	for name, err := range map[string]error{
		"ok":                        nil,
		"double_refund _OTHER":      &plural.DoubleRefundError{},
		"needs_review 504":          &plural.OutcomeUnknownError{NeedsReview: true, Err: answer(504, "")},
		"unknown deadline_exceeded": &plural.OutcomeUnknownError{Err: cut},
		"unknown TIMED_OUT":         &plural.OutcomeUnknownError{Err: answer(504, plural.CodeTimedOut)},
		"unknown UNAUTHORIZED":      &plural.OutcomeUnknownError{Err: answer(401, plural.CodeUnauthorized)},
		"no_hold OPERATION_NOT_ALLOWED": &plural.StateError{
			NoHold: true,
			Err:    answer(422, plural.CodeOperationNotAllowed),
		},
		"no_hold _OTHER": &plural.StateError{NoHold: true},
		"conflict reference_reused": &plural.StateError{
			Reused: true,
			Err:    answer(422, plural.CodeDuplicateRequest),
		},
		"conflict _OTHER":                   &plural.StateError{Conflict: true},
		"not_applied OPERATION_NOT_ALLOWED": &plural.StateError{},
		"needs_review AMOUNT_LIMIT_EXCEEDED": &plural.Error{
			StatusCode: 422, Code: plural.CodeAmountLimitExceeded,
			NeedsReview: true,
		},
		"canceled canceled":             &plural.Error{Err: context.Canceled},
		"unavailable deadline_exceeded": cut,
		"unavailable timeout":           &plural.Error{Err: &net.DNSError{IsTimeout: true}},
		"unavailable no_answer":         &plural.Error{Err: errors.New("a secret of the text")},
		"unavailable API_RATE_LIMIT":    answer(429, plural.CodeAPIRateLimit),
		"unavailable bad_answer":        &plural.Error{StatusCode: 200, Err: errors.New("no JSON")},
		"unknown bad_answer":            &plural.Error{Op: "POST /x", StatusCode: 200, Err: errors.New("no JSON")},
		"unknown bad_answer (a message)": &plural.Error{
			Op: "payment_links.notify", StatusCode: 200,
			Err: errors.New("no JSON"),
		},
		"rejected DUPLICATE_REQUEST":          &plural.DuplicateOrderError{},
		"rejected PAYMENT_METHOD_NOT_ENABLED": answer(422, plural.CodePaymentMethodNotEnabled),
		"rejected 401":                        &plural.Error{Err: fmt.Errorf("no access token: %w", answer(401, "ASHA"))},
		"rejected _OTHER":                     &plural.ValidationError{},
		"not_found 404":                       answer(404, ""),
		"unavailable _OTHER":                  errors.New("a secret of the text"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, _, _ := strings.Cut(name, " (")
			s := &shop{t: t, metrics: sdkmetric.NewManualReader()}
			meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.metrics))
			require.NoError(t, pluralotel.Observe(t.Context(), meters, plural.Observation{
				Operation: "captures.create", OrderID: "v1-1", Reference: "capture-1", RequestID: "request-1",
				Attempts: 2, Duration: 1, Err: err,
			}))
			require.Equal(t, map[string]int64{
				"duration captures.create " + want: 1, "outcomes captures.create " + want: 1,
				"attempts captures.create": 2, "settlements captures.create": 0,
			}, s.metricValues())
		})
	}
}
