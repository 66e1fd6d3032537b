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
		{"0.29", "INR", 29},  // 0.29*100 is 28.999999999999996 as a float
		{"1.15", "INR", 115}, // 1.15*100 is 114.99999999999999 as a float
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
		{"1.99", "ZZZ", 199}, // a code that this package does not know
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

// requireReadsBack checks that ParseAmount reads what String wrote.
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

// The test covers every ISO 4217 currency whose minor unit is not a hundredth
// of its major unit, and some others.
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

func TestAmountArithmetic(t *testing.T) {
	t.Parallel()
	usd := plural.Amount{Value: 100, Currency: "USD"}
	for name, tc := range map[string]struct {
		a, b     plural.Amount
		sum, sub int64
		cmp      int
		ok       bool
	}{
		"more":     {plural.INR(500), plural.INR(200), 700, 300, 1, true},
		"less":     {plural.INR(200), plural.INR(500), 700, -300, -1, true},
		"the same": {plural.INR(7), plural.INR(7), 14, 0, 0, true},
		"debts":    {plural.INR(-7), plural.INR(-8), -15, 1, 1, true},
		"mixed":    {plural.INR(500), usd, 0, 0, 0, false},
		"none":     {plural.INR(500), plural.Amount{}, 0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum, err := tc.a.Add(tc.b)
			require.Equal(t, tc.ok, err == nil)
			sub, err := tc.a.Sub(tc.b)
			require.Equal(t, tc.ok, err == nil)
			cmp, err := tc.a.Cmp(tc.b)
			require.Equal(t, tc.ok, err == nil)
			if tc.ok {
				require.Equal(t, plural.INR(tc.sum), sum)
				require.Equal(t, plural.INR(tc.sub), sub)
			}
			require.Equal(t, tc.cmp, cmp)
		})
	}
	for _, pair := range [][2]int64{{math.MaxInt64, 1}, {math.MinInt64, -1}} {
		_, err := plural.INR(pair[0]).Add(plural.INR(pair[1]))
		require.Error(t, err)
	}
	for _, pair := range [][2]int64{{math.MaxInt64, -1}, {math.MinInt64, 1}, {0, math.MinInt64}} {
		_, err := plural.INR(pair[0]).Sub(plural.INR(pair[1]))
		require.Error(t, err)
	}
}

func TestAmountDisplay(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]plural.Amount{
		"₹0.00":                 plural.INR(0),
		"₹1,499.50":             plural.INR(149950),
		"₹999.00":               plural.INR(99900),
		"₹1,00,000.00":          plural.INR(10000000),
		"₹12,34,56,789.0" + "1": plural.INR(12345678901),
		"-₹1,499.50":            plural.INR(-149950),
		"USD 1,234,567.8" + "9": {Value: 123456789, Currency: "USD"},
		"JPY 1,234,567":         {Value: 1234567, Currency: "JPY"},
		"5":                     {Value: 5},
	} {
		require.Equal(t, want, a.Display())
	}
}
