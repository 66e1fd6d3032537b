package plural_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestParseAmount(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text     string
		currency plural.Currency
		value    int64
	}{
		{"0", "INR", 0},
		{"0.01", "INR", 1},
		{"1", "INR", 100},
		{"007", "INR", 700},
		{"1499.5", "INR", 149950},
		{"1499.50", "INR", 149950},
		{"0.29", "INR", 29},  // 28.999999999999996 as a float
		{"1.15", "INR", 115}, // 114.99999999999999 as a float
		{"4503599627370497.5", "INR", 450359962737049750},
		{"92233720368547758.07", "INR", math.MaxInt64},

		{"1,499.50", "INR", 149950},
		{"10,00,000", "INR", 100000000},
		{"1,000,000", "INR", 100000000},
		{"1,23,45,678.90", "INR", 1234567890},
		{"12,345,678.90", "INR", 1234567890},
		{"999,999", "INR", 99999900},
		{"99,999", "INR", 9999900},

		{"12", "JPY", 12},
		{"1,234", "KRW", 1234},
		{"1.234", "KWD", 1234},
		{"1.2", "BHD", 1200},
		{"1.2345", "CLF", 12345},
		{"1.99", "USD", 199},
		{"1.99", "ZZZ", 199}, // a code this package has never heard of
	}
	for _, tc := range cases {
		t.Run(tc.text+" "+string(tc.currency), func(t *testing.T) {
			t.Parallel()
			got, err := plural.ParseAmount(tc.text, tc.currency)
			require.NoError(t, err)
			require.Equal(t, plural.Amount{Value: tc.value, Currency: tc.currency}, got)
			requireReadsBack(t, got)
		})
	}
}

// requireReadsBack has ParseAmount read what String wrote.
func requireReadsBack(tb testing.TB, a plural.Amount) {
	tb.Helper()
	code, number, ok := strings.Cut(a.String(), " ")
	require.True(tb, ok)
	require.Equal(tb, string(a.Currency), code)
	again, err := plural.ParseAmount(number, a.Currency)
	require.NoError(tb, err)
	require.Equal(tb, a, again)
}

func TestParseAmountRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", ".", ",", "-1", "+1", "1-", "(1)", "1.", ".5", "1.2.3", "1.234", "1e3", "1E3", "0x10", "1_000", "NaN",
		"Inf", "∞",
		" 1", "1 ", "1 000", "1\u00a0000", "1\n", "\x001", "₹1", "INR 1", "1/-", "１２", "१२", "1.०0",
		"1,2", "1,23", "1,2345", "1234,567", "1,23,456,789", "12,34,5678", "1,,000", ",100", "100,", "0,00,0", "123,45,678",
		"1,000.00,0", "1,000.5,0", "1.000,50",
		"92233720368547758.08", "92233720368547759", "99999999999999999999", strings.Repeat("9", 400),
		strings.Repeat("1,", 1<<16) + "000",
	} {
		_, err := plural.ParseAmount(text, plural.CurrencyINR)
		require.Error(t, err, "%q", text)
		require.LessOrEqual(t, len(err.Error()), 300)
		require.NotContains(t, err.Error(), "\n")
	}
	for _, currency := range []plural.Currency{
		"", "inr", "IN", "INRX", "₹", "I R", "IN\n",
		plural.Currency(strings.Repeat("A", 1<<16)),
	} {
		_, err := plural.ParseAmount("1", currency)
		require.Error(t, err, "%q", currency)
		require.LessOrEqual(t, len(err.Error()), 300)
	}
	for currency, text := range map[plural.Currency]string{
		"JPY": "1.0", "USD": "1.001", "KWD": "1.0001",
		"UYW": "1.00001",
	} {
		_, err := plural.ParseAmount(text, currency)
		require.Error(t, err, currency)
	}
}

func TestAmountString(t *testing.T) {
	t.Parallel()
	cases := map[string]plural.Amount{
		"INR 1499.50":                     plural.INR(149950),
		"INR 0.00":                        plural.INR(0),
		"INR 0.05":                        plural.INR(5),
		"INR -0.05":                       plural.INR(-5),
		"INR -1.00":                       plural.INR(-100),
		"INR 92233720368547758.07":        plural.INR(math.MaxInt64),
		"INR -92233720368547758.08":       plural.INR(math.MinInt64),
		"JPY 5":                           {Value: 5, Currency: "JPY"},
		"KWD 0.005":                       {Value: 5, Currency: "KWD"},
		"CLF 0.0005":                      {Value: 5, Currency: "CLF"},
		"5":                               {Value: 5},
		"inr 5":                           {Value: 5, Currency: "inr"},
		"A B 5":                           {Value: 5, Currency: "A\nB"},
		strings.Repeat("A", 40) + "... 5": {Value: 5, Currency: plural.Currency(strings.Repeat("A", 400))},
	}
	for want, amount := range cases {
		require.Equal(t, want, amount.String())
	}
}

// Every currency of ISO 4217 whose minor unit is not a hundredth.
func TestCurrencyExponents(t *testing.T) {
	t.Parallel()
	exponents := map[int]string{
		0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
		2: "INR USD EUR GBP AED SGD AUD CAD CHF CNY LKR NPR MGA MRU",
		3: "BHD IQD JOD KWD LYD OMR TND",
		4: "CLF UYW",
	}
	for exponent, codes := range exponents {
		for code := range strings.FieldsSeq(codes) {
			least := "1"
			if exponent > 0 {
				least = "0." + strings.Repeat("0", exponent-1) + "1"
			}
			got, err := plural.ParseAmount(least, plural.Currency(code))
			require.NoError(t, err, code)
			require.Equal(t, int64(1), got.Value, code)
			require.Equal(t, code+" "+least, got.String())
			_, err = plural.ParseAmount("0."+strings.Repeat("0", exponent)+"1", plural.Currency(code))
			require.Error(t, err, code)
		}
	}
}

// payment is a payment of a card, or of points, with what was captured of it.
func payment(status plural.PaymentStatus, paid plural.Amount, captured ...plural.Amount) plural.Payment {
	p := plural.Payment{Status: status, PaymentAmount: paid}
	for _, amount := range captured {
		p.CaptureData = append(p.CaptureData, plural.CaptureData{MerchantCaptureReference: "c", CaptureAmount: amount})
	}
	return p
}

func TestCapturedAmount(t *testing.T) {
	t.Parallel()
	type orders = []plural.Payment
	const (
		processed = plural.PaymentStatusProcessed
		hold      = plural.PaymentStatusAuthorized
	)
	usd := plural.Amount{Value: 3075, Currency: "USD"}
	exchanged := plural.Payment{Status: processed, PaymentAmount: usd, BaseAmount: plural.INR(250000)}
	cases := map[string]struct {
		order plural.Order
		want  int64
		known bool
	}{
		"full capture": {
			plural.Order{
				Status:   "PROCESSED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(2000), plural.INR(2000))},
			},
			2000,
			true,
		},
		"partial capture": {
			plural.Order{
				Status:   "PARTIALLY_CAPTURED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))},
			},
			1200,
			true,
		},
		"partial capture, pre_auth false": {
			plural.Order{Status: "PARTIALLY_CAPTURED", Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))}},
			1200,
			true,
		},
		"partial capture that reads PROCESSED": {
			plural.Order{Status: "PROCESSED", Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))}},
			1200,
			true,
		},
		"points and card": {
			plural.Order{
				Status: "PROCESSED",
				Payments: orders{
					payment(processed, plural.INR(100), plural.INR(100)),
					payment(processed, plural.INR(100), plural.INR(100)),
				},
			},
			200,
			true,
		},
		"points and card, in part": {
			plural.Order{
				Status: "PARTIALLY_CAPTURED",
				Payments: orders{
					payment(processed, plural.INR(100), plural.INR(100)),
					payment(processed, plural.INR(100), plural.INR(20)),
				},
			},
			120,
			true,
		},
		"after a partial refund": {
			plural.Order{
				Status:   "PARTIALLY_REFUNDED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(2000), plural.INR(1200))},
			},
			1200,
			true,
		},
		"captured, still reading AUTHORIZED": {
			plural.Order{
				Status:   "AUTHORIZED",
				PreAuth:  true,
				Payments: orders{payment(hold, plural.INR(2000), plural.INR(1200))},
			},
			0,
			false,
		},
		"a failed attempt before": {
			plural.Order{
				Status:  "PROCESSED",
				PreAuth: true,
				Payments: orders{
					payment("FAILED", plural.INR(2000), plural.INR(2000)),
					payment(processed, plural.INR(2000), plural.INR(2000)),
				},
			},
			2000,
			true,
		},
		"a cancelled part": {
			plural.Order{
				Status:  "PROCESSED",
				PreAuth: true,
				Payments: orders{
					payment("CANCELLED", plural.INR(50), plural.INR(50)),
					payment(processed, plural.INR(2000), plural.INR(2000)),
				},
			},
			2000,
			true,
		},

		"a purchase": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment("FAILED", plural.INR(2000)), payment(processed, plural.INR(2000))},
			},
			0,
			false, // a capture in part reads the same
		},
		"a purchase from points and card": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment(processed, plural.INR(300)), payment(processed, plural.INR(1700))},
			},
			0,
			false,
		},
		"a purchase, refunded": {
			plural.Order{Status: "FULLY_REFUNDED", Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"a purchase in another currency": {plural.Order{Status: "PROCESSED", Payments: orders{exchanged}}, 0, false},
		"a purchase by UPI": {
			plural.Order{
				Status: "PROCESSED",
				Payments: orders{
					{Status: "FAILED", PaymentMethod: plural.PaymentMethodCard, PaymentAmount: plural.INR(2000)},
					{Status: processed, PaymentMethod: plural.PaymentMethodUPI, PaymentAmount: plural.INR(2000)},
				},
			},
			2000,
			true,
		},
		"a payment beside it in a status of the future": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment(processed, plural.INR(300), plural.INR(300)), payment("ON_HOLD", plural.INR(1700))},
			},
			0,
			false,
		},
		"nothing paid yet": {plural.Order{Status: "CREATED"}, 0, true},
		"a failed attempt only": {
			plural.Order{Status: "ATTEMPTED", Payments: orders{payment("FAILED", plural.INR(2000))}},
			0,
			true,
		},
		"failed": {
			plural.Order{Status: "FAILED", Payments: orders{payment("FAILED", plural.INR(2000))}},
			0,
			true,
		},
		"on hold": {
			plural.Order{Status: "AUTHORIZED", PreAuth: true, Payments: orders{payment(hold, plural.INR(2000))}},
			0,
			true,
		},
		"cancelled": {
			plural.Order{Status: "CANCELLED", PreAuth: true, Payments: orders{payment("CANCELLED", plural.INR(2000))}},
			0,
			true,
		},

		"under way": {
			plural.Order{Status: "PENDING", Payments: orders{payment("PENDING", plural.INR(2000))}},
			0,
			false,
		},
		"a capture under way": {
			plural.Order{
				Status:  "PROCESSED",
				PreAuth: true,
				Payments: orders{
					payment(processed, plural.INR(100), plural.INR(100)),
					payment("PENDING", plural.INR(100), plural.INR(100)),
				},
			},
			0,
			false,
		},
		"after a hold, without capture data": {
			plural.Order{Status: "PROCESSED", PreAuth: true, Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"in part, without capture data": {
			plural.Order{Status: "PARTIALLY_CAPTURED", Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"cancelled with payments that are not": {
			plural.Order{
				Status:   "CANCELLED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(100)), payment(processed, plural.INR(100))},
			},
			0,
			false,
		},
		"cancelled with capture data": {
			plural.Order{
				Status:   "CANCELLED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(100), plural.INR(100))},
			},
			0,
			false,
		},
		"a status of the future": {
			plural.Order{Status: "SETTLED", Payments: orders{payment(processed, plural.INR(2000))}},
			0,
			false,
		},
		"processed without payments": {plural.Order{Status: "PROCESSED"}, 0, false},
		"captured in two currencies": {
			plural.Order{
				Status:   "PROCESSED",
				Payments: orders{payment(processed, usd, plural.INR(100)), payment(processed, usd, usd)},
			},
			0,
			false,
		},
		"captured in another currency": {
			plural.Order{Status: "PROCESSED", PreAuth: true, Payments: orders{payment(processed, usd, usd)}},
			0,
			false,
		},
		"paid in a currency without a rate": {
			plural.Order{Status: "PROCESSED", Payments: orders{payment(processed, usd)}},
			0,
			false,
		},
		"a negative capture": {
			plural.Order{
				Status:   "PROCESSED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(100), plural.INR(-5))},
			},
			0,
			false,
		},
		"more than there is money": {
			plural.Order{
				Status:   "PROCESSED",
				PreAuth:  true,
				Payments: orders{payment(processed, plural.INR(1), plural.INR(math.MaxInt64), plural.INR(1))},
			},
			0,
			false,
		},
		"a refund": {
			plural.Order{
				Type:     plural.OrderTypeRefund,
				Status:   "PROCESSED",
				Payments: orders{payment(processed, plural.INR(400))},
			},
			0,
			false,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.order.OrderAmount = plural.INR(2000)
			got, known := tc.order.CapturedAmount()
			require.Equal(t, tc.known, known)
			require.Equal(t, tc.want, got.Value)
			if known {
				require.Equal(t, plural.CurrencyINR, got.Currency)
			}
		})
	}
}

func TestRefundedAmount(t *testing.T) {
	t.Parallel()
	refund := func(status plural.OrderStatus, a plural.Amount) plural.Order {
		return plural.Order{Type: plural.OrderTypeRefund, Status: status, OrderAmount: a}
	}
	cases := map[string]struct {
		status  plural.OrderStatus
		refunds []plural.Order
		want    int64
		known   bool
	}{
		"none": {"PROCESSED", nil, 0, true},
		"two": {
			"PARTIALLY_REFUNDED",
			[]plural.Order{refund("PROCESSED", plural.INR(100)), refund("PROCESSED", plural.INR(250))},
			350,
			true,
		},
		"those on their way as well": {
			"PARTIALLY_REFUNDED",
			[]plural.Order{
				refund("PENDING", plural.INR(100)),
				refund("FAILED", plural.INR(9)),
				refund("CREATED", plural.INR(9)),
				refund("PROCESSED", plural.INR(250)),
			},
			359,
			true,
		},
		"all under way":              {"PROCESSED", []plural.Order{refund("PENDING", plural.INR(100))}, 100, true},
		"a status of the future":     {"PROCESSED", []plural.Order{refund("ON_HOLD", plural.INR(100))}, 0, false},
		"cancelled":                  {"PROCESSED", []plural.Order{refund("CANCELLED", plural.INR(100))}, 0, true},
		"refunded, refunds left out": {"FULLY_REFUNDED", nil, 0, false},
		"refunded, none carried out": {"PARTIALLY_REFUNDED", []plural.Order{refund("FAILED", plural.INR(100))}, 0, false},
		"in two currencies": {
			"PARTIALLY_REFUNDED",
			[]plural.Order{refund("PROCESSED", plural.INR(100)), refund("PROCESSED", plural.Amount{Value: 1, Currency: "USD"})},
			0,
			false,
		},
		"negative": {"PARTIALLY_REFUNDED", []plural.Order{refund("PROCESSED", plural.INR(-100))}, 0, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := plural.Order{Status: tc.status, OrderAmount: plural.INR(2000), Refunds: tc.refunds}
			got, known := o.RefundedAmount()
			require.Equal(t, tc.known, known)
			require.Equal(t, tc.want, got.Value)
		})
	}
}

func TestWhatCanBeDoneToAnOrder(t *testing.T) {
	t.Parallel()
	captured := []plural.Payment{payment(plural.PaymentStatusProcessed, plural.INR(100), plural.INR(100))}
	cases := map[string]struct {
		order                   plural.Order
		capture, cancel, refund bool
	}{
		"a hold":                     {plural.Order{Status: "AUTHORIZED", PreAuth: true}, true, true, false},
		"a hold, pre_auth false":     {plural.Order{Status: "AUTHORIZED"}, true, true, false},
		"a hold with capture data":   {plural.Order{Status: "AUTHORIZED", Payments: captured}, false, false, false},
		"processed":                  {plural.Order{Status: "PROCESSED"}, false, false, true},
		"captured in part":           {plural.Order{Status: "PARTIALLY_CAPTURED", Payments: captured}, false, false, true},
		"refunded in part":           {plural.Order{Status: "PARTIALLY_REFUNDED"}, false, false, true},
		"refunded in full":           {plural.Order{Status: "FULLY_REFUNDED"}, false, false, false},
		"created":                    {plural.Order{Status: "CREATED"}, false, false, false},
		"cancelled":                  {plural.Order{Status: "CANCELLED", Payments: captured}, false, false, false},
		"a status of the future":     {plural.Order{Status: "SETTLED"}, false, false, false},
		"a refund that is processed": {plural.Order{Type: plural.OrderTypeRefund, Status: "PROCESSED"}, false, false, false},
		"a refund on hold":           {plural.Order{Type: plural.OrderTypeRefund, Status: "AUTHORIZED"}, false, false, false},
	}
	for name, tc := range cases {
		require.Equal(t, tc.capture, tc.order.CanCapture(), name)
		require.Equal(t, tc.cancel, tc.order.CanCancel(), name)
		require.Equal(t, tc.refund, tc.order.CanRefund(), name)
	}
}

// The published documents that are easy to credit wrongly.
func TestAmountsOfPayloads(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		captured        int64
		known           bool
		refunded        int64
		refundedIsKnown bool
	}{
		"event_order_processed_partial_capture.json":       {1200 * 37, true, 0, true},
		"event_order_processed_points_camelcase.json":      {200 * 37, true, 0, true},
		"event_order_authorized_points_camelcase.json":     {0, true, 0, true},
		"event_order_cancelled_points_camelcase.json":      {0, false, 0, true},
		"event_order_processed_foreign_card.json":          {0, false, 0, true},
		"event_order_processed_card_preauth_captured.json": {200 * 37, true, 0, true},
		"event_order_processed_card_purchase.json":         {0, false, 0, true},
		"event_refund_processed_parent_order.json":         {61000, true, 61000, true},
		"event_refund_processed_card.json":                 {0, false, 0, false}, // a refund itself
		"refund_response_older_shape.json":                 {0, false, 8800, true},
		"capture_response_capture_data_object.json":        {1100 * 37, true, 0, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o plural.Order
			require.NoError(t, o.UnmarshalJSON(dataOf(t, payload(t, name))))
			captured, known := o.CapturedAmount()
			require.Equal(t, tc.known, known)
			require.Equal(t, tc.captured, captured.Value)
			refunded, known := o.RefundedAmount()
			require.Equal(t, tc.refundedIsKnown, known)
			require.Equal(t, tc.refunded, refunded.Value)
		})
	}
}
