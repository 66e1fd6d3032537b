package plural_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func minimalLink() *plural.PaymentLinkRequest {
	return &plural.PaymentLinkRequest{
		MerchantPaymentLinkReference: "own-inv-4412",
		Amount:                       plural.INR(319950),
		Customer:                     &plural.Customer{EmailID: "meera.iyer@example.in"},
	}
}

// fullLink has every field, and expires within 180 days of the time in the
// golden file.
func fullLink() *plural.PaymentLinkRequest {
	return &plural.PaymentLinkRequest{
		MerchantPaymentLinkReference: "own-inv-4413",
		Amount:                       plural.INR(500000),
		Customer: &plural.Customer{
			EmailID: "meera.iyer@example.in", FirstName: "Meera", LastName: "Iyer", CustomerID: "771204",
			MobileNumber: "9811012399", CountryCode: "91",
			BillingAddress: &plural.Address{Address1: "21 Temple Street", Pincode: "570001", City: "Mysuru"},
		},
		Description:           "Deposit <4413> & \"more\"",
		ExpireBy:              time.Date(2000, 3, 1, 5, 30, 15, 999, time.FixedZone("", 5*3600+1800)),
		PreAuth:               true,
		PartPayment:           true,
		AllowedPaymentMethods: []plural.PaymentMethod{plural.PaymentMethodCard},
		CallbackURL:           "https://shop.example.in/return?a=1&b=2",
		FailureCallbackURL:    "https://shop.example.in/sorry",
		Extra:                 map[string]any{"merchant_metadata": map[string]string{"booking": "4413"}},
	}
}

// linkThroughClient calls Get with a server that answers with the document.
func linkThroughClient(t *testing.T, document []byte) (*plural.PaymentLink, error) {
	t.Helper()
	client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, document), nil })
	return client.PaymentLinks.Get(t.Context(), "pl-v1-270118060912-aa-Hk3VnD")
}

func TestLinkPayloadsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, name := range payloadsLike(t, "link_*") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := payload(t, name)
			link, err := linkThroughClient(t, document)
			require.NoError(t, err)
			plain := document
			if strings.Contains(name, "wrapped") {
				plain = dataOf(t, document)
			}
			require.JSONEq(t, string(plain), string(link.RawJSON()))
			requireNothingLost(t, bytes.ReplaceAll(plain, []byte("T11:45Z"), []byte("T11:45:00Z")), link, nil)
			once, err := json.Marshal(link)
			require.NoError(t, err)
			var again plural.PaymentLink
			require.NoError(t, json.Unmarshal(once, &again))
			twice, err := json.Marshal(&again)
			require.NoError(t, err)
			require.JSONEq(t, string(once), string(twice))

			require.Equal(t, plural.INR(319950), link.Amount)
			require.Equal(t, "own-inv-4412", link.MerchantPaymentLinkReference)
			end := time.Date(2027, 2, 3, 11, 45, 0, 0, time.UTC)
			require.Equal(t, end, link.ExpireBy.Time, "the document has no seconds")
			want := plural.Expected{OrderID: "v1-270118060912-aa-Bt8Rw5", OrderAmount: plural.INR(319950)}
			require.Equal(t, want, link.Expected())
			require.True(t, link.Status.IsKnown())
		})
	}
}

func TestLinkBooleans(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, want := range map[string]*bool{"link_created.json": &no, "link_odd.json": &yes, "link_of_2025.json": nil} {
		link, err := linkThroughClient(t, payload(t, name))
		require.NoError(t, err)
		require.Equal(t, want, link.PreAuth, name)
	}
}

// The SDK does not use an answer that is incomplete or broken. It also does not
// use an answer that is about another link, or that has a URL that a customer
// should not open.
func TestLinkAnswersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	good := string(payload(t, "link_created.json"))
	for name, body := range map[string]string{
		"http":              strings.Replace(good, "https://shortener", "http://shortener", 1),
		"javascript":        strings.Replace(good, "https://shortener.v2.pinepg.in", "javascript:alert(1)//", 1),
		"no host":           strings.Replace(good, "https://shortener.v2.pinepg.in", "https://", 1),
		"somebody's":        strings.Replace(good, "https://shortener", "https://user:pass@shortener", 1),
		"no link":           strings.Replace(good, `"payment_link":`, `"payment_link_2":`, 1),
		"no order":          strings.Replace(good, `"order_id":`, `"order":`, 1),
		"an order like ..":  strings.Replace(good, "v1-270118060912-aa-Bt8Rw5", "..", 1),
		"no status":         strings.Replace(good, `"CREATED"`, `""`, 1),
		"another link":      strings.Replace(good, "pl-v1-270118060912-aa-Hk3VnD", "pl-v1-1", 1),
		"a list":            "[]",
		"data is null":      `{"data":null}`,
		"data is a text":    `{"data":"x"}`,
		"broken data":       `{"data":{"amount":[]}}`,
		"amount of no kind": strings.Replace(good, `"amount": {`, `"amount": [{`, 1),
	} {
		_, err := linkThroughClient(t, []byte(body))
		var failed *plural.Error
		require.ErrorAs(t, err, &failed, name)
		require.NotErrorIs(t, err, plural.ErrNotFound, name)
		requireTidy(t, err.Error())
		require.NotContains(t, err.Error(), "meera", name)
	}
	var link plural.PaymentLink
	require.NoError(t, json.Unmarshal([]byte("null"), &link))
	require.Error(t, json.Unmarshal([]byte("[]"), &link))
	require.Nil(t, link.RawJSON())
}

func TestLinkRequestsAreChecked(t *testing.T) {
	t.Parallel()
	type linkRequest = plural.PaymentLinkRequest
	long, reference := strings.Repeat("x", 51), []string{"merchant_payment_link_reference"}
	for name, tc := range map[string]struct {
		change func(*linkRequest)
		fields []string
	}{
		"good":              {func(*linkRequest) {}, nil},
		"by mobile":         {func(r *linkRequest) { r.Customer = &plural.Customer{MobileNumber: "9811012399"} }, nil},
		"no customer":       {func(r *linkRequest) { r.Customer = nil }, []string{"customer"}},
		"nobody to send to": {func(r *linkRequest) { r.Customer = &plural.Customer{FirstName: "M"} }, []string{"customer"}},
		"a customer's field": {
			func(r *linkRequest) { r.Customer.EmailID = long },
			[]string{"customer.email_id"},
		},
		"reference":        {func(r *linkRequest) { r.MerchantPaymentLinkReference = "a b" }, reference},
		"a long reference": {func(r *linkRequest) { r.MerchantPaymentLinkReference = long }, reference},
		"in an hour":       {func(r *linkRequest) { r.ExpireBy = time.Now().Add(time.Hour) }, nil},
		"expired":          {func(r *linkRequest) { r.ExpireBy = time.Now().Add(-time.Second) }, []string{"expire_by"}},
		"in half a year":   {func(r *linkRequest) { r.ExpireBy = time.Now().Add(181 * 24 * time.Hour) }, []string{"expire_by"}},
		"UPI holds nothing": {
			func(r *linkRequest) {
				r.PreAuth, r.AllowedPaymentMethods = true, []plural.PaymentMethod{plural.PaymentMethodUPI}
			},
			[]string{"allowed_payment_methods"},
		},
		"extra": {func(r *linkRequest) { r.Extra = map[string]any{"pre_auth": "true"} }, []string{"extra.pre_auth"}},
		"all at once": {
			func(r *linkRequest) {
				*r = linkRequest{
					CallbackURL: "x", FailureCallbackURL: "y", ExpireBy: time.Unix(1, 0),
					AllowedPaymentMethods: []plural.PaymentMethod{""},
				}
			},
			[]string{
				"merchant_payment_link_reference", "amount.value", "amount.currency", "customer", "expire_by",
				"allowed_payment_methods[0]", "callback_url", "failure_callback_url",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := minimalLink()
			tc.change(request)
			require.ElementsMatch(t, tc.fields, fieldsOf(request.Validate()))
			if tc.fields == nil {
				return
			}
			link, err := newSilentClient(t).PaymentLinks.Create(t.Context(), request)
			require.Nil(t, link)
			require.ErrorIs(t, err, plural.ErrInvalidRequest)
			require.ElementsMatch(t, tc.fields, fieldsOf(err))
			requireTidy(t, err.Error())
		})
	}
	var none *plural.PaymentLinkRequest
	require.Equal(t, []string{"request"}, fieldsOf(none.Validate()))
	_, err := newSilentClient(t).PaymentLinks.Create(t.Context(), none)
	require.Equal(t, []string{"request"}, fieldsOf(err))
}

func TestLinkIDsAreChecked(t *testing.T) {
	t.Parallel()
	client := newSilentClient(t)
	for _, id := range []string{"", ".", "..", "a/b", "a b", "a\n", "%2e", strings.Repeat("x", 201)} {
		_, err := client.PaymentLinks.Get(t.Context(), id)
		require.Equal(t, []string{"payment_link_id"}, fieldsOf(err), "%q", id)
		_, err = client.PaymentLinks.Cancel(t.Context(), id)
		require.Equal(t, []string{"payment_link_id"}, fieldsOf(err), "%q", id)
		_, err = client.PaymentLinks.Notify(t.Context(), id)
		require.Equal(t, []string{"payment_link_id"}, fieldsOf(err), "%q", id)
		_, err = client.PaymentLinks.GetByReference(t.Context(), id)
		require.Equal(t, []string{"merchant_payment_link_reference"}, fieldsOf(err), "%q", id)
		require.Equal(t, []string{"payment_link_id"}, fieldsOf(plural.ValidatePaymentLinkID(id)), "%q", id)
	}
	require.NoError(t, plural.ValidatePaymentLinkID("pl-v1-1"))
}

func TestLinkStatuses(t *testing.T) {
	t.Parallel()
	for status, isTerminal := range map[plural.PaymentLinkStatus]bool{
		plural.PaymentLinkStatusCreated: false, plural.PaymentLinkStatusClicked: false,
		plural.PaymentLinkStatusPaymentInitiated: false, plural.PaymentLinkStatusPartialProcessed: false,
		plural.PaymentLinkStatusProcessed: true, plural.PaymentLinkStatusExpired: true,
		plural.PaymentLinkStatusCancelled: true,
	} {
		require.True(t, status.IsKnown(), status)
		require.Equal(t, isTerminal, status.IsTerminal(), status)
	}
	require.False(t, plural.PaymentLinkStatus("PAID").IsKnown())
	require.False(t, plural.PaymentLinkStatus("PAID").IsTerminal())
}

// If a payer may pay in parts, one part never counts as the whole amount. This
// is true even if the payment has an offer, whose discount could explain why
// the payment is smaller than the amount.
func TestNoPartPasses(t *testing.T) {
	t.Parallel()
	want := plural.Expected{OrderID: "v1-1-aa-b", OrderAmount: plural.INR(50000)}
	order := func(status plural.OrderStatus, payments ...plural.Payment) *plural.Order {
		return &plural.Order{
			OrderID: "v1-1-aa-b", Status: status, OrderAmount: plural.INR(50000), PartPayment: true, Payments: payments,
		}
	}
	part := plural.Payment{Status: plural.PaymentStatusProcessed, PaymentAmount: plural.INR(20000)}
	offered := part
	offered.OfferData = json.RawMessage(`{"offer":1}`)
	for _, status := range []plural.OrderStatus{
		plural.OrderStatusCreated, plural.OrderStatusPending, plural.OrderStatusAttempted, plural.OrderStatusAuthorized,
		plural.OrderStatusProcessed, "PARTIALLY_PROCESSED",
	} {
		require.ErrorIs(t, want.Check(order(status, part)), plural.ErrNotPaid, status)
		require.ErrorIs(t, want.Check(order(status, offered)), plural.ErrNotPaid, status)
	}
	smaller := order(plural.OrderStatusProcessed, part)
	smaller.OrderAmount = plural.INR(20000)
	require.ErrorIs(t, want.Check(smaller), plural.ErrNotPaid, "an order for one part only")
	rest := part
	rest.PaymentAmount = plural.INR(30000)
	require.NoError(t, want.Check(order(plural.OrderStatusProcessed, part, rest)))
}
