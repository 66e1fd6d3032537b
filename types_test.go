package plural_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// verifiedEvent signs a webhook body and verifies it.
func verifiedEvent(tb testing.TB, body []byte) *plural.Event {
	tb.Helper()
	const secret = "own-webhook-secret-of-the-payloads"
	now := time.Unix(1800000000, 0)
	key, err := plural.RawKey(secret)
	require.NoError(tb, err)
	verifier, err := plural.NewVerifier("", plural.WithWebhookKeys(key), plural.WithClock(func() time.Time { return now }))
	require.NoError(tb, err)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "msg_1.%d.%s", now.Unix(), body)
	h := http.Header{}
	h.Set("webhook-id", "msg_1")
	h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	event, err := verifier.VerifyWebhook(h, body)
	require.NoError(tb, err)
	return event
}

// notInStruct returns the names of the JSON fields that no struct of the SDK
// has, for each payload with such fields. RawJSON must still contain these
// fields.
func notInStruct() map[string][]string {
	return map[string][]string{"order_with_every_quirk.json": {"loyalty_tier", "settlement.bank", "settlement.cycle"}}
}

func TestOrderPayloadsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, name := range payloadsLike(t, "order_*", "capture_*", "cancel_*", "refund_*", "event_order_*",
		"event_payment_*", "event_refund_*") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := payload(t, name)
			var order *plural.Order
			if strings.HasPrefix(name, "event_") {
				event := verifiedEvent(t, document)
				require.JSONEq(t, string(document), string(event.RawJSON()))
				require.NotEmpty(t, event.Type)
				var err error
				order, err = event.Order()
				require.NoError(t, err)
			} else {
				order = readThroughClient(t, document)
			}
			data := dataOf(t, document)
			require.JSONEq(t, string(data), string(order.RawJSON()))
			requireNothingLost(t, data, order, notInStruct()[name])
			requireStable(t, order)
		})
	}
}

// readThroughClient calls Get with a server that answers with the document.
func readThroughClient(t *testing.T, document []byte) *plural.Order {
	t.Helper()
	var ids struct {
		Data struct {
			ID string `json:"order_id"`
		}
	}
	require.NoError(t, json.Unmarshal(document, &ids))
	client := newPeerClient(
		t,
		func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, document), nil },
	)
	order, err := client.Orders.Get(t.Context(), ids.Data.ID)
	require.NoError(t, err)
	return order
}

// requireStable checks that encoding an order and decoding it again does not
// change it.
func requireStable(tb testing.TB, order *plural.Order) {
	tb.Helper()
	once, err := json.Marshal(order)
	require.NoError(tb, err)
	var again plural.Order
	require.NoError(tb, json.Unmarshal(once, &again))
	twice, err := json.Marshal(&again)
	require.NoError(tb, err)
	require.Equal(tb, string(once), string(twice))
}

// requireNothingLost encodes a decoded value as JSON. The result must have all
// the leaves of the document that was decoded. The parameter unknown has the
// paths for which no struct has a field. Values such as null, "" and 0 may be
// missing.
func requireNothingLost(tb testing.TB, document []byte, decoded any, unknown []string) {
	tb.Helper()
	written, err := json.Marshal(decoded)
	require.NoError(tb, err)
	want, got := leavesOf(tb, document), leavesOf(tb, written)
	for path, values := range want {
		if slices.Contains(unknown, path) {
			require.Empty(tb, got[path], "a struct has a field for %s now, so remove it from notInStruct", path)
			continue
		}
		for i, value := range values {
			if isDefault(value) {
				continue
			}
			require.True(tb, slices.ContainsFunc(got[path], func(v any) bool { return sameScalar(value, v) }),
				"%s: %#v (number %d) is lost; what is left: %#v", path, value, i, got[path])
		}
		if !slices.ContainsFunc(values, isDefault) {
			require.Len(tb, got[path], len(values), path)
		}
	}
}

// leavesOf collects the scalars of a document by their paths. A path does not
// name positions in arrays, because an array with one element means the same as
// that element.
func leavesOf(tb testing.TB, document []byte) map[string][]any {
	tb.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var root any
	require.NoError(tb, decoder.Decode(&root))
	leaves := map[string][]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if !strings.HasSuffix(path, "merchant_metadata") {
					name = canonicalName(name)
				}
				walk(strings.TrimPrefix(path+"."+name, "."), value)
			}
		case []any:
			for _, value := range v {
				walk(path, value)
			}
		default:
			leaves[path] = append(leaves[path], v)
		}
	}
	walk("", root)
	return leaves
}

var humps = regexp.MustCompile(`([a-z0-9])([A-Z])`)

func canonicalName(name string) string {
	name = strings.ToLower(humps.ReplaceAllString(name, "${1}_$2"))
	switch name {
	case "refund_id":
		return "order_id"
	case "merchant_refund_reference":
		return "merchant_order_reference"
	case "refund_amount":
		return "order_amount"
	case "upi_details":
		return "upi_data"
	case "address_type":
		return "adddress_type"
	}
	return name
}

// isDefault reports whether a value means the same as an absent one.
func isDefault(v any) bool {
	switch v {
	case nil, "", false, "false", "0", json.Number("0"):
		return true
	}
	return false
}

func sameScalar(want, got any) bool {
	a, b := fmt.Sprint(want), fmt.Sprint(got)
	if a == b || got == true && (a == "1" || a == "true") || got == false && (a == "0" || a == "false") {
		return true
	}
	if x, ok := new(big.Rat).SetString(a); ok {
		y, ok := new(big.Rat).SetString(b)
		return ok && x.Cmp(y) == 0
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00"} {
		if x, err := time.Parse(layout, a); err == nil {
			y, err := time.Parse(time.RFC3339Nano, b)
			return err == nil && x.Equal(y)
		}
	}
	return false
}

func TestEventsThatCarryNoOrder(t *testing.T) {
	t.Parallel()
	for _, name := range payloadsLike(t, "event_customer_*", "event_token_*", "event_subscription_*") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := payload(t, name)
			event := verifiedEvent(t, document)
			require.JSONEq(t, string(document), string(event.RawJSON()))
			require.JSONEq(t, string(dataOf(t, document)), string(event.Data))
			_, err := event.Order()
			require.ErrorIs(t, err, plural.ErrNoOrder)
		})
	}
}

func TestCheckoutPayloadsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, name := range payloadsLike(t, "checkout_order_*") {
		for form, document := range map[string][]byte{
			"flat":    payload(t, name),
			"wrapped": slices.Concat([]byte(`{"data":`), payload(t, name), []byte(`}`)),
		} {
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				client := newPeerClient(
					t,
					func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, document), nil },
				)
				created, err := client.Orders.Create(t.Context(), minimalOrder())
				require.NoError(t, err)
				requireNothingLost(t, payload(t, name), created, nil)
			})
		}
	}
}

func TestTokenPayloads(t *testing.T) {
	t.Parallel()
	for _, name := range payloadsLike(t, "token_*") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want struct {
				Token string `json:"access_token"`
			}
			require.NoError(t, json.Unmarshal(payload(t, name), &want))
			var authorization string
			client := newClientOver(t, func(r *http.Request) (*http.Response, error) {
				if isTokenRequest(r) {
					return answer(http.StatusOK, payload(t, name)), nil
				}
				authorization = r.Header.Get("Authorization")
				return answer(http.StatusOK, payload(t, "cancel_response.json")), nil
			})
			_, _ = client.Orders.Get(t.Context(), "v1-1-aa-b")
			require.Equal(t, "Bearer "+want.Token, authorization)
		})
	}
}

// The payload has every quirk that was observed. The test checks them one by
// one.
func TestOrderWithEveryQuirk(t *testing.T) {
	t.Parallel()
	o := readThroughClient(t, payload(t, "order_with_every_quirk.json"))
	require.Equal(t, "990017", o.MerchantOrderReference)
	require.Equal(t, plural.OrderStatus("UNDER_REVIEW"), o.Status)
	require.False(t, o.Status.IsKnown())
	require.Equal(t, plural.INR(1850000), o.OrderAmount)
	require.False(t, o.PreAuth)
	require.True(t, o.PartPayment)
	require.True(t, o.IsMCCTransaction)
	require.False(t, o.IsDomesticTxnForRiskEnabled)
	require.Equal(t, []plural.PaymentMethod{plural.PaymentMethodCard}, o.AllowedPaymentMethods)
	require.Equal(t, 9, *o.PaymentRetriesRemaining)
	require.True(t, o.CreatedAt.Time.IsZero(), "Time is zero if the text is not a valid time")
	require.False(t, o.CreatedAt.IsZero(), "the text is kept, so the Timestamp is not zero")
	require.Equal(t, "2027-04-30T08:01:32.5Z", o.UpdatedAt.Format(time.RFC3339Nano))

	d := o.PurchaseDetails
	require.Equal(t, "50100099887766", d.BankDetails.AccountNumber)
	require.Equal(t, "50100011223344", d.AccountDetails.BankDetails.AccountNumber)
	require.True(t, *d.Customer.IsEditCustomerDetailsAllowed)
	require.Equal(t, "HOME", d.Customer.BillingAddress.AddressType)
	require.Equal(t, "OFFICE", d.Customer.ShippingAddress.AddressType)
	require.Equal(t, map[string]string{"shelf": "12", "gift": "true", "Box Size": "L"}, d.MerchantMetadata)
	require.Equal(t, int64(199900), *d.CartDetails.CartItems[0].ItemOriginalUnitPrice)
	require.Equal(t, "kettle_1", d.Product[0].ProductCode)
	require.Equal(t, "356938035643809", d.Products[0].ProductIMEI)
	require.Equal(t, "117733", d.SplitInfo.SplitDetails[0].SplitMerchantID)
	require.True(t, *d.SplitInfo.SplitDetails[0].OnHold)

	p := o.Payments[0]
	require.Equal(t, "asha@samplebank", p.PaymentOption.UPIData.Payer.VPA)
	require.Nil(t, p.PaymentOption.NetbankingData)
	require.JSONEq(t, `{"wallet_code":"SAMPLEWALLET"}`, string(p.PaymentOption.WalletData))
	require.JSONEq(t, `{"source_ip":"203.0.113.9"}`, string(p.AdditionalDetail))
	require.Equal(t, "420145000777", p.AcquirerData.RRN)
	require.Equal(t, plural.CodeRiskCheckFailed, p.ErrorDetail.Code)
	require.Equal(t, "velocity", p.ErrorDetail.AdditionalErrorDetails.Reason)
	require.Len(t, p.CaptureData, 1)
	require.Equal(t, "4477", p.CaptureData[0].MerchantCaptureReference)
	require.Equal(t, plural.INR(900000), p.CaptureData[0].CaptureAmount)
	require.Equal(t, "2027-04-30T02:31:32Z", p.UpdatedAt.Format(time.RFC3339Nano))
}

func TestEnumsAreOpen(t *testing.T) {
	t.Parallel()
	known := map[plural.OrderStatus]bool{ // true: the status is terminal
		plural.OrderStatusCreated:           false,
		plural.OrderStatusPending:           false,
		plural.OrderStatusAttempted:         false,
		plural.OrderStatusAuthorized:        false,
		plural.OrderStatusProcessed:         false,
		plural.OrderStatusPartiallyCaptured: false,
		plural.OrderStatusPartiallyRefunded: false,
		plural.OrderStatusCancelled:         true,
		plural.OrderStatusFailed:            true,
		plural.OrderStatusFullyRefunded:     true,
	}
	for status, terminal := range known {
		require.True(t, status.IsKnown(), status)
		require.Equal(t, terminal, status.IsTerminal(), status)
	}
	for _, status := range []plural.OrderStatus{"", "captured", "PAID", "processed"} {
		require.False(t, status.IsKnown(), status)
		require.False(t, status.IsTerminal(), status)
	}
}

func TestOrderUnmarshalJSON(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		document string
		want     plural.Order
		err      string
	}{
		"null changes nothing": {document: `null`, want: plural.Order{OrderID: "before"}},
		"the own name wins if it comes before its alias": {
			document: `{"order_id":"own","refund_id":"alias","order_amount":{"value":7,"currency":"INR"},` +
				`"refund_amount":{"value":9,"currency":"INR"}}`,
			want: plural.Order{OrderID: "own", OrderAmount: plural.INR(7)},
		},
		"the own name wins if it comes after its alias": {
			document: `{"refund_id":"alias","order_id":"own","refund_amount":{"value":9,"currency":"INR"},` +
				`"order_amount":{"value":7,"currency":"INR"}}`,
			want: plural.Order{OrderID: "own", OrderAmount: plural.INR(7)},
		},
		"duplicate keys: the last one": {document: `{"order_id":"a","orderId":"b"}`, want: plural.Order{OrderID: "b"}},
		"an empty list does not erase an earlier one": {
			document: `{"refunds":[{"order_id":"r"}],"Refunds":[]}`,
			want:     plural.Order{Refunds: []plural.Order{{OrderID: "r"}}},
		},
		"escaped keys": {document: `{"order\u005fid":"a"}`, want: plural.Order{OrderID: "a"}},
		"invalid UTF-8": {
			document: "{\"order_id\":\"a\xffb\"}",
			want:     plural.Order{OrderID: "a\ufffdb"},
		},
		"too deep": {
			document: strings.Repeat(`{"refunds":[`, 40) + strings.Repeat(`]}`, 40),
			err:      "JSON document nests deeper than 32 levels",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := plural.Order{OrderID: "before"}
			err := json.Unmarshal([]byte(tc.document), &got)
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				require.Equal(t, plural.Order{OrderID: "before"}, got, "a failed decode changes nothing")
				return
			}
			require.NoError(t, err)
			want, err := json.Marshal(tc.want)
			require.NoError(t, err)
			written, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(written))
		})
	}
}

func TestRawJSONIsACopy(t *testing.T) {
	t.Parallel()
	document := []byte(`{"order_id":"a"}`)
	var o plural.Order
	require.NoError(t, o.UnmarshalJSON(document))
	document[2] = 'X'
	o.RawJSON()[3] = 'Y'
	require.JSONEq(t, `{"order_id":"a"}`, string(o.RawJSON()))
	require.Nil(t, (&plural.Order{}).RawJSON())
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ document, time, written string }{
		"whole seconds": {`"2027-07-09T07:57:08Z"`, "2027-07-09T07:57:08Z", `"2027-07-09T07:57:08Z"`},
		"milliseconds":  {`"2027-07-09T07:57:08.022Z"`, "2027-07-09T07:57:08.022Z", `"2027-07-09T07:57:08.022Z"`},
		"microseconds": {
			`"2027-07-09T07:57:08.022001Z"`,
			"2027-07-09T07:57:08.022001Z",
			`"2027-07-09T07:57:08.022001Z"`,
		},
		"nanoseconds": {
			`"2027-07-09T07:57:08.523516426Z"`,
			"2027-07-09T07:57:08.523516426Z",
			`"2027-07-09T07:57:08.523516426Z"`,
		},
		"with an offset":    {`"2027-07-09T07:57:08+05:30"`, "2027-07-09T02:27:08Z", `"2027-07-09T02:27:08Z"`},
		"without a zone":    {`"2027-07-09T07:57:08.5"`, "2027-07-09T07:57:08.5Z", `"2027-07-09T07:57:08.5Z"`},
		"with a space":      {`"2027-07-09 07:57:08Z"`, "2027-07-09T07:57:08Z", `"2027-07-09T07:57:08Z"`},
		"impossible":        {`"2027-04-30T08:01:321Z"`, "", `"2027-04-30T08:01:321Z"`},
		"a number":          {`1746000000123`, "", `"1746000000123"`},
		"an object":         {`{"at":1}`, "", `"{\"at\":1}"`},
		"empty":             {`""`, "", `"0001-01-01T00:00:00Z"`},
		"null":              {`null`, "", `"0001-01-01T00:00:00Z"`},
		"year 10000 in UTC": {`"9999-12-31T23:59:59-01:00"`, "", `"9999-12-31T23:59:59-01:00"`},
		"before year 0":     {`"0000-01-01T00:00:00+01:00"`, "", `"0000-01-01T00:00:00+01:00"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ts plural.Timestamp
			require.NoError(t, json.Unmarshal([]byte(tc.document), &ts))
			if tc.time == "" {
				require.True(t, ts.Time.IsZero())
			} else {
				require.Equal(t, tc.time, ts.Format(time.RFC3339Nano))
				require.Equal(t, time.UTC, ts.Location())
			}
			written, err := json.Marshal(ts)
			require.NoError(t, err)
			require.Equal(t, tc.written, string(written))
			var again plural.Timestamp
			require.NoError(t, json.Unmarshal(written, &again))
			require.Equal(t, ts, again)
		})
	}
}

// A decoded order does not change if the buffer that it came from changes.
func TestOrderKeepsNothingOfTheBuffer(t *testing.T) {
	t.Parallel()
	document := `{"order_id":"v1-a","status":"CREATED","merchant_metadata":{"key":"value"},"payments":[{"id":"v1-p"}]}`
	buffer := []byte(document)
	var o, want plural.Order
	require.NoError(t, o.UnmarshalJSON(buffer))
	clear(buffer)
	require.NoError(t, want.UnmarshalJSON([]byte(document)))
	require.Equal(t, want, o)
	require.JSONEq(t, document, string(o.RawJSON()))
}

func BenchmarkOrderUnmarshal(b *testing.B) {
	data := dataOf(b, payload(b, "capture_response_partially_captured.json"))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var o plural.Order
		if err := o.UnmarshalJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOrderEncodingJSON(b *testing.B) {
	data := dataOf(b, payload(b, "capture_response_partially_captured.json"))
	type plain plural.Order
	b.ReportAllocs()
	for b.Loop() {
		var o plain
		if err := json.Unmarshal(data, &o); err != nil {
			b.Fatal(err)
		}
	}
}

var propertySeed = flag.Uint64("property.seed", 0, "repeat the property test that failed with this seed")
