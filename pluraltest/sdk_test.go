package pluraltest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// TestSDKReadsWhatQuirksMake verifies and reads events with the SDK. Some
// events have the vendor's unusual shapes. The SDK finds the same values in
// these events as in events of the usual shapes.
func TestSDKReadsWhatQuirksMake(t *testing.T) {
	t.Parallel()
	for name, quirk := range map[string]pluraltest.Quirk{
		"none": 0, "camelCase": pluraltest.QuirkCamelCasePoints, "empty lists": pluraltest.QuirkEmptyLists,
		"both": pluraltest.QuirkCamelCasePoints | pluraltest.QuirkEmptyLists,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.New(pluraltest.WithQuirks(quirk))
			t.Cleanup(srv.Close)
			verifier, err := plural.NewVerifier(srv.ClientSecret)
			require.NoError(t, err)
			read := func(event, id string) *plural.Order {
				t.Helper()
				req, err := srv.WebhookRequest(event, id)
				require.NoError(t, err)
				e, err := verifier.VerifyWebhookRequest(req)
				require.NoError(t, err)
				require.Equal(t, plural.EventType(event), e.Type)
				o, err := e.Order()
				require.NoError(t, err)
				return o
			}
			id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "points-1", Amount: inr(1000), PreAuth: true})
			require.NoError(t, err)
			_, err = srv.Pay(id, pluraltest.ApproveWithPoints(400))
			require.NoError(t, err)

			held := read("ORDER_AUTHORIZED", id)
			require.Equal(t, "points-1", held.MerchantOrderReference)
			require.True(t, held.PreAuth)
			require.True(t, held.CanCapture())
			require.Len(t, held.Payments, 2)
			require.Empty(t, held.Refunds)
			for i, want := range []plural.Payment{
				{PaymentMethod: plural.PaymentMethodCard, PaymentAmount: plural.INR(600)},
				{PaymentMethod: plural.PaymentMethodPoints, PaymentAmount: plural.INR(400)},
			} {
				require.Equal(t, want.PaymentMethod, held.Payments[i].PaymentMethod)
				require.Equal(t, want.PaymentAmount, held.Payments[i].PaymentAmount)
				require.Equal(t, plural.PaymentStatusAuthorized, held.Payments[i].Status)
				require.Empty(t, held.Payments[i].CaptureData)
			}
			require.WithinDuration(t, srv.Now(), held.CreatedAt.Time, time.Minute)

			require.NoError(t, srv.Capture(id, "c-1", inr(700)))
			captured := read("ORDER_PROCESSED", id)
			amount, known := captured.CapturedAmount()
			require.True(t, known)
			require.Equal(t, plural.INR(700), amount)
			require.Equal(t, plural.OrderStatusPartiallyCaptured, captured.Status)
			require.Equal(t, "c-1", captured.Payments[1].CaptureData[0].MerchantCaptureReference)
		})
	}
}
