package plural_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestRupeesInPaise(t *testing.T) {
	t.Parallel()
	for text, want := range map[plural.Rupees]int64{
		"978.02":                             97802,
		"19.99":                              1999, // int(19.99*100) is 1998
		"8.2":                                820,  // int(8.2*100) is 819
		"1.15":                               115,
		"-1999.99":                           -199999,
		"0":                                  0,
		"-0.00":                              0,
		"1e2":                                10000,
		"1E+2":                               10000,
		"1.5e1":                              1500,
		"100e-2":                             100,
		"1.500000":                           150,
		"007":                                700,
		"92233720368547758.07":               9223372036854775807,
		"-92233720368547758.08":              -9223372036854775808,
		"0.0000000000000000000000000000e40":  0,
		"10000000000000000000000000000e-28":  100,
		"0.00000000000000000000000000001e31": 10000,
	} {
		got, ok := text.Paise()
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []plural.Rupees{
		"", "0.001", "1875.0015", "1e-3", "92233720368547758.08", "1e30", "1e999999999", "1e-999999999", "1e41", "abc",
		"+1", " 1", "1 ", "1,000", ".5", "5.", "-", "--1", "1e", "1e1.5", "0x10", "1_000", "NaN", "Inf", "१",
		"11111111111111111111111111111111111111111", plural.Rupees(strings.Repeat("9", 1<<20)),
		`{"value":1}`, "true", "1/2",
	} {
		_, ok := text.Paise()
		require.False(t, ok, "%.60s", text)
	}
	price := 19.99
	require.Equal(t, 1998, int(price*100), "a float gives another result")
}

func TestRupeesAreAddedExactly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, sum, difference plural.Rupees }{
		{"0.1", "0.2", "0.3", "-0.1"},
		{"1", "0.04", "1.04", "0.96"},
		{"1.50", "1.5", "3.00", "0.00"},
		{"-1999.99", "1e2", "-1899.99", "-2099.99"},
		{"1875.0015", "337.50027", "2212.50177", "1537.50123"},
		{"0", "0", "0", "0"},
		{
			"9999999999999999999999999999999999999998", "1",
			"9999999999999999999999999999999999999999", "9999999999999999999999999999999999999997",
		},
	} {
		sum, err := c.a.Add(c.b)
		require.NoError(t, err)
		require.Equal(t, c.sum, sum)
		difference, err := c.a.Sub(c.b)
		require.NoError(t, err)
		require.Equal(t, c.difference, difference)
	}
	for _, c := range [][2]plural.Rupees{
		{"", "1"},
		{"1", ""},
		{"x", "1"},
		{"1", "1e999999999"},
		{"9999999999999999999999999999999999999999", "1"}, // 41 digits
		{"1e40", "1e-40"},
		{"1e-40", "0"}, // 41 digits with the zeros
	} {
		_, err := c[0].Add(c[1])
		require.ErrorContains(t, err, "plural: rupees: ")
		requireTidy(t, err.Error())
		_, err = c[0].Sub("-" + c[1])
		require.Error(t, err)
	}
	for _, c := range []struct {
		a, b plural.Rupees
		want int
	}{{"1.50", "1.5", 0}, {"-1", "0", -1}, {"1e2", "99.99", 1}, {"1e40", "1e-40", 1}} {
		got, err := c.a.Cmp(c.b)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := plural.Rupees("1").Cmp("")
	require.ErrorContains(t, err, "there is no figure")
}

func TestRupeesInJSON(t *testing.T) {
	t.Parallel()
	var v struct{ A, B, C, D, E plural.Rupees }
	v.C = "kept"
	require.NoError(t, json.Unmarshal([]byte(`{"A":0.10,"B":"12.5","C":null,"D":true,"E":{"a":1}}`), &v))
	require.Equal(t, []plural.Rupees{"0.10", "12.5", "kept", "true", `{"a":1}`}, []plural.Rupees{v.A, v.B, v.C, v.D, v.E})
	written, err := json.Marshal(v)
	require.NoError(t, err)
	again := v
	require.NoError(t, json.Unmarshal(written, &again))
	require.Equal(t, v, again)
}

// Calculations with Rupees give the same results as calculations with exact
// fractions. No text takes long to parse.
func FuzzRupees(f *testing.F) {
	for _, seed := range []string{"0.1", "-1999.99", "1e2", "1e999999999", "", "1e-40", "99999999999999999999", "0e0"} {
		f.Add(seed, "19.99")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := plural.Rupees(a), plural.Rupees(b)
		sum, err := x.Add(y)
		if err != nil {
			return
		}
		p, ok := new(big.Rat).SetString(a)
		require.True(t, ok)
		q, ok := new(big.Rat).SetString(b)
		require.True(t, ok)
		got, ok := new(big.Rat).SetString(string(sum))
		require.True(t, ok)
		require.Zero(t, new(big.Rat).Add(p, q).Cmp(got))
		if back, err := sum.Sub(y); err == nil { // the sum may have too many digits for Sub
			same, err := back.Cmp(x)
			require.NoError(t, err)
			require.Zero(t, same)
		}
		if paise, ok := x.Paise(); ok {
			require.Zero(t, p.Cmp(big.NewRat(paise, 100)))
		} else {
			hundred := new(big.Rat).Mul(p, big.NewRat(100, 1))
			require.False(t, hundred.IsInt() && hundred.Num().IsInt64())
		}
	})
}

func TestLocalTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2024, 10, 9, 7, 0, 0, 0, plural.India())
	require.Equal(t, "2024-10-09T01:30:00Z", want.UTC().Format(time.RFC3339))
	for _, text := range []plural.LocalTime{
		"2024-10-09T07:00:00", "2024-10-09 07:00:00", "2024-10-09T07:00", "2024-10-09T07:00:00.000",
		"2024-10-09T01:30:00Z", "2024-10-09T07:00:00+05:30", // these two texts have a zone, and LocalTime.In uses that zone
	} {
		got, err := text.In(plural.India())
		require.NoError(t, err, text)
		require.True(t, want.Equal(got), "%s: %s", text, got)
		require.Equal(t, plural.India(), got.Location())
	}
	day, err := plural.LocalTime("2024-10-09").In(plural.India())
	require.NoError(t, err)
	require.True(t, want.Add(-7*time.Hour).Equal(day))
	for _, text := range []plural.LocalTime{"", "soon", "2024-13-09T07:00:00", "07:00:00", "2024-10-09T", "1728457200"} {
		_, err := text.In(plural.India())
		require.ErrorContains(t, err, "is not a time")
	}
	_, err = plural.LocalTime("2024-10-09T07:00:00").In(nil)
	require.ErrorContains(t, err, "location is nil")
}
