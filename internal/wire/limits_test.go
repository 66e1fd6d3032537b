package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/wire"
)

// Whole numbers are read in every spelling that JSON allows. Any other value is
// refused.
func TestWholeNumbers(t *testing.T) {
	t.Parallel()
	type document struct {
		Value int64  `json:"value" wire:"exact"`
		Price *int64 `json:"price"`
	}
	for text, want := range map[string]int64{
		`0`: 0, `-0`: 0, `12`: 12, `-12`: -12, `1E+5`: 100000, `1e2`: 100, `100000.00`: 100000, `12.0e1`: 120,
		`1.25E2`: 125, `1.250e2`: 125, `12500e-2`: 125, `-12.0`: -12, `0.0`: 0, `0e999999999`: 0, `0.00`: 0,
		`9223372036854775807`: 9223372036854775807, `-9223372036854775808`: -9223372036854775808,
		`9.223372036854775807e18`: 9223372036854775807, `"12"`: 12, `" 12 "`: 12, `"-12"`: -12,
	} {
		var d document
		require.NoError(t, wire.Unmarshal(`{"value":`+text+`,"price":`+text+`}`, &d), text)
		require.Equal(t, want, d.Value, text)
		require.Equal(t, want, *d.Price, text)
	}
	for _, text := range []string{
		`1.5`, `0.1`, `-0.5`, `1e-1`, `125e-2`, `1.255e2`, `1e19`, `9223372036854775808`, `1e999999999`, `1e-999999999`,
		`"100.00"`, `"1e5"`, `"12.5"`, `""`, `"twelve"`, `true`, `null`, `{}`, `[1]`,
	} {
		var d document
		require.Error(t, wire.Unmarshal(`{"value":`+text+`}`, &d), text)
		require.NoError(t, wire.Unmarshal(`{"value":1,"price":`+text+`}`, &d), text)
		require.Nil(t, d.Price, "the price must be nil, so a caller can distinguish it from 0: %s", text)
	}
}

// An invalid value in an optional field does not make a document unreadable.
func TestOptionalFieldsAreLeftOut(t *testing.T) {
	t.Parallel()
	type amount struct {
		Value int64 `json:"value" wire:"exact"`
	}
	type document struct {
		Discount amount `json:"discount" wire:"optional"`
		After    string `json:"after"`
	}
	for _, text := range []string{`{"value":null}`, `{"value":"x"}`, `{"value":1.5}`, `7`, `"7"`, `[1]`, `[[{"a":"]"}]]`} {
		var d document
		require.NoError(t, wire.Unmarshal(`{"discount":`+text+`,"after":"ok"}`, &d), text)
		require.Equal(t, document{After: "ok"}, d, text)
	}
}

func TestByteOrderMarkIsPassedOver(t *testing.T) {
	t.Parallel()
	var d struct {
		Text string `json:"text"`
	}
	require.NoError(t, wire.Unmarshal("\ufeff"+`{"text":"x"}`, &d))
	require.Equal(t, "x", d.Text)
	require.NoError(t, wire.Check("\ufeff{}"))
	require.Error(t, wire.Check("\ufeff\ufeff{}"))
}

// An empty value of the type heavy takes much memory, as an order does.
type heavy struct {
	Filler [2048]byte        `json:"-"`
	Inner  []heavy           `json:"inner"`
	Map    map[string]string `json:"map"`
	Raw    json.RawMessage   `json:"raw"`
}

// A small document must not take much memory. The error names the limit that
// the document exceeds.
func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	many := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"k` + strings.Repeat("x", i%3) + string(rune('a'+i%26)) + `":""`)
		}
		return b.String()[1:]
	}
	for name, test := range map[string]struct{ document, limit string }{
		"a list":     {`{"inner":[` + many("{}", wire.MaxItems+1) + `]}`, "a list of more than 2000 elements"},
		"a map":      {`{"map":{` + members(wire.MaxItems+1) + `}}`, "a list of more than 2000 elements"},
		"an unknown": {`{"other":[` + many("{}", wire.MaxItems+1) + `]}`, "a list of more than 2000 elements"},
		"all of them": {
			`{"inner":[` + many(`{"inner":[`+many("{}", 100)+`]}`, 1999) + `]}`,
			"more than 100000 elements in all",
		},
		"large ones": {`{"inner":[` + many("{}", wire.MaxItems) + `]}`, "too much memory"},
		"deep":       {strings.Repeat(`{"inner":[`, 20) + strings.Repeat(`]}`, 20), "nests deeper than 32 levels"},
	} {
		var d heavy
		require.ErrorContains(t, wire.Unmarshal(test.document, &d), test.limit, name)
	}
}

// An exceeded limit is reported as a limit, at any depth of the document.
func TestLimitsAreToldFromAnyDepth(t *testing.T) {
	t.Parallel()
	var dst struct {
		Payments []struct {
			CaptureData []struct {
				Amount int64 `json:"amount"`
			} `json:"capture_data"`
		} `json:"payments"`
	}
	list := strings.TrimSuffix(strings.Repeat(`{},`, wire.MaxItems+1), ",")
	err := wire.Unmarshal(`{"payments":[{"capture_data":[`+list+`]}]}`, &dst)
	var wrong *wire.DecodeError
	require.ErrorAs(t, err, &wrong)
	require.True(t, wrong.Limit, wrong.Error())
}
