package plural_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// What a call was given may be a server's memory, or a request that the caller
// uses again. What is left of the call when it has ended stays as it was.
func TestCallsKeepNothingOfTheCallersMemory(t *testing.T) {
	t.Parallel()
	const id, reference = "v1-1-aa-b", "own-ref"
	type given struct {
		id, reference string
		amount        plural.Amount
	}
	for name, send := range map[string]func(context.Context, *plural.Client, *given, ...plural.CallOption) error{
		"create": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			req := &plural.CreateOrderRequest{MerchantOrderReference: g.reference, OrderAmount: g.amount}
			_, err := c.Orders.Create(ctx, req, opts...)
			return err
		},
		"get": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Orders.Get(ctx, g.id, opts...)
			return err
		},
		"get by reference": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Orders.GetByReference(ctx, g.reference, opts...)
			return err
		},
		"wait": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Orders.Wait(ctx, g.id, nil, opts...)
			return err
		},
		"capture": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			req := &plural.CaptureRequest{MerchantCaptureReference: g.reference, CaptureAmount: g.amount}
			_, err := c.Captures.Create(ctx, g.id, req, opts...)
			*req = plural.CaptureRequest{MerchantCaptureReference: "the-next", FullAmount: true}
			return err
		},
		"find a capture": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Captures.Find(ctx, g.id, g.reference, opts...)
			return err
		},
		"cancel": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Cancels.Create(ctx, g.id, opts...)
			return err
		},
		"refund": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			req := &plural.RefundRequest{MerchantOrderReference: g.reference, OrderAmount: g.amount}
			_, err := c.Refunds.Create(ctx, g.id, req, opts...)
			*req = plural.RefundRequest{MerchantOrderReference: "the-next"}
			return err
		},
		"find a refund": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			_, err := c.Refunds.Find(ctx, g.id, g.reference, opts...)
			return err
		},
		"do": func(ctx context.Context, c *plural.Client, g *given, opts ...plural.CallOption) error {
			return c.Do(ctx, http.MethodPost, "/"+g.id, nil, nil, opts...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				memory := newArena()
				var seen plural.Observation
				var paths []string
				status, body := http.StatusInternalServerError, ""
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					paths = append(paths, r.URL.Path)
					return answer(status, body), nil
				}, plural.WithObserver(func(_ context.Context, o plural.Observation) { seen = o }))
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				currency := plural.Currency(memory.text("INR"))
				g := &given{memory.text(id), memory.text(reference), plural.Amount{Value: 500, Currency: currency}}
				var response plural.Response
				err := send(ctx, client, g, plural.WithRequestID(memory.text("own-id")), plural.WithResponseInto(&response))
				require.Error(t, err)
				text, observed := err.Error(), seen.OrderID+" "+seen.Reference+" "+seen.RequestID
				memory.overwrite()
				require.Equal(t, text, err.Error())
				require.NotContains(t, text, "!!")
				require.Equal(t, observed, seen.OrderID+" "+seen.Reference+" "+seen.RequestID)
				require.Equal(t, "own-id", response.RequestID)

				unknown, ok := err.(*plural.OutcomeUnknownError) //nolint:errorlint // not one inside
				if !ok || unknown.OrderID == "" {
					return
				}
				require.Equal(t, id, unknown.OrderID)
				status = http.StatusOK
				body = `{"data":{"order_id":"v1-1-aa-b","status":"CANCELLED"}}`
				paths = nil
				_, _ = unknown.Settle(t.Context())
				require.NotEmpty(t, paths)
				for _, path := range paths {
					require.Contains(t, []string{
						"/api/pay/v1/orders/" + id, "/api/pay/v1/orders/reference/" + reference,
					}, path)
				}
			})
		})
	}
}

// Settle judges what the call asked for, whatever the request has become since.
func TestSettleJudgesWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpCapturesCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		req := &plural.CaptureRequest{MerchantCaptureReference: w.reference, CaptureAmount: plural.INR(partAmount)}
		_, err := newClient(t, d.srv).Captures.Create(t.Context(), w.orderID, req)
		unknown := unknownError(t, err)
		*req = plural.CaptureRequest{MerchantCaptureReference: "the-next", CaptureAmount: plural.INR(partAmount - 1)}
		_, err = unknown.Settle(t.Context())
		require.NoError(t, err)
	})
	inBubble(t, func(t *testing.T, d *desk) {
		w := d.ready(pluraltest.OpRefundsCreate, partAmount)
		d.srv.Inject(pluraltest.On(w.op), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
		req := &plural.RefundRequest{MerchantOrderReference: w.reference, OrderAmount: plural.INR(partAmount)}
		_, err := newClient(t, d.srv).Refunds.Create(t.Context(), w.orderID, req)
		unknown := unknownError(t, err)
		*req = plural.RefundRequest{MerchantOrderReference: "the-next", OrderAmount: plural.INR(partAmount - 1)}
		_, err = unknown.Settle(t.Context())
		require.NoError(t, err)
	})
}
