package wire_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/wire"
)

type inner struct {
	Value int64  `json:"value" wire:"exact"`
	Name  string `json:"name,omitzero"`
}

// stringOnly is a type that decodes itself. It accepts only strings.
type stringOnly struct{ text string }

func (s *stringOnly) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		return errors.New("not a string")
	}
	s.text = string(data)
	return nil
}

type document struct {
	Text     string            `json:"text" alias:"label,caption"`
	Truth    bool              `json:"truth"`
	Count    int               `json:"count"`
	Wide     int64             `json:"wide"`
	Rate     json.Number       `json:"rate"`
	Raw      json.RawMessage   `json:"raw"`
	Own      stringOnly        `json:"own"`
	In       inner             `json:"in"`
	Pointer  *inner            `json:"pointer" alias:"other_pointer"`
	Flag     *bool             `json:"flag"`
	List     []inner           `json:"list" alias:"lists"`
	Texts    []string          `json:"texts"`
	Map      map[string]string `json:"map"`
	MixedURL string            `json:"mixed_url"`
	Again    *document         `json:"again"`
	Last4    string            `json:"last4_digit"`

	Skipped  string `json:"-"`
	Untagged string
	Floating float64        `json:"floating"`
	Any      map[string]any `json:"any"`
	Channels []chan int     `json:"channels"`
	hidden   string
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	yes := true
	cases := map[string]struct {
		text string
		want document
	}{
		"nothing":           {`{}`, document{}},
		"white space":       {" \t\r\n{ \"text\" :\n\"a\" , \"count\" : 7 } ", document{Text: "a", Count: 7}},
		"string":            {`{"text":"a\"\\\u00e9\n"}`, document{Text: "a\"\\é\n"}},
		"number for string": {`{"text":1.50e3}`, document{Text: "1.50e3"}},
		"bool for string":   {`{"text":false}`, document{Text: "false"}},
		"object for string": {`{"text":{"a":["}"]},"count":1}`, document{Count: 1}},
		"null": {
			`{"text":null,"truth":null,"count":null,"raw":null,"own":null,"in":null,"pointer":null,"list":null,"map":null}`,
			document{},
		},
		"true":               {`{"truth":true}`, document{Truth: true}},
		"TRUE as a string":   {`{"truth":"TRUE"}`, document{Truth: true}},
		"1":                  {`{"truth":1}`, document{Truth: true}},
		"yes":                {`{"truth":"yes"}`, document{}},
		"int as a string":    {`{"count":" 12 "}`, document{Count: 12}},
		"int with zeros":     {`{"wide":-12.000}`, document{Wide: -12}},
		"int with a dot":     {`{"wide":"12."}`, document{}},
		"int with decimals":  {`{"wide":12.5}`, document{}},
		"int with exponent":  {`{"wide":1e3}`, document{Wide: 1000}},
		"int too large":      {`{"wide":9223372036854775808,"count":"99999999999999999999"}`, document{}},
		"number":             {`{"rate":0.0123}`, document{Rate: "0.0123"}},
		"number as a string": {`{"rate":"-1.5e-7"}`, document{Rate: "-1.5e-7"}},
		"no number":          {`{"rate":"1 ","count":1}`, document{Count: 1}},
		"nothing for number": {`{"rate":""}`, document{}},
		"words for number":   {`{"rate":"Infinity"}`, document{}},
		"dot for number":     {`{"rate":"1."}`, document{}},
		"raw": {
			`{"raw": {"a": [1, "]"]} ,"count":1}`,
			document{Raw: json.RawMessage(`{"a": [1, "]"]}`), Count: 1},
		},
		"raw number":         {`{"raw":12}`, document{Raw: json.RawMessage(`12`)}},
		"own":                {`{"own":"x"}`, document{Own: stringOnly{`"x"`}}},
		"object":             {`{"in":{"value":1,"name":"n"}}`, document{In: inner{1, "n"}}},
		"empty for object":   {`{"in":"","pointer":[]}`, document{}},
		"pointer":            {`{"pointer":{"value":1}}`, document{Pointer: &inner{Value: 1}}},
		"pointer to nothing": {`{"pointer":{}}`, document{Pointer: &inner{}}},
		"pointer to bool":    {`{"flag":"true"}`, document{Flag: &yes}},
		"list":               {`{"list":[{"value":1},{"value":2}]}`, document{List: []inner{{Value: 1}, {Value: 2}}}},
		"list of nothing":    {`{"list":[ ]}`, document{List: []inner{}}},
		"list with null":     {`{"list":[null,{"value":2}]}`, document{List: []inner{{}, {Value: 2}}}},
		"lone element":       {`{"list":{"value":1}}`, document{List: []inner{{Value: 1}}}},
		"lone text":          {`{"texts":"a"}`, document{Texts: []string{"a"}}},
		"empty for list":     {`{"list":{ },"texts":""}`, document{}},
		"map": {
			`{"map":{"camelCase":1,"b":true,"c":null,"d":{"e": 1},"":"x"}}`,
			document{Map: map[string]string{"camelCase": "1", "b": "true", "d": `{"e": 1}`, "": "x"}},
		},
		"map twice": {`{"map":{"a":1},"Map":{"b":2}}`, document{Map: map[string]string{"a": "1", "b": "2"}}},
		"no map":    {`{"map":[1]}`, document{}},
		"camelCase": {
			`{"mixedUrl":"u","last4Digit":"1","Text":"t"}`,
			document{MixedURL: "u", Last4: "1", Text: "t"},
		},
		"two spellings":     {`{"mixed_url":"u","mixedUrl":"v"}`, document{MixedURL: "v"}},
		"an empty spelling": {`{"mixedUrl":"u","mixed_url":""}`, document{MixedURL: "u"}},
		"acronyms":          {`{"mixedURL":"u","LAST4_DIGIT":"1"}`, document{MixedURL: "u", Last4: "1"}},
		"no such key": {
			`{"text_":"t","_text":"t","te_xt":"t","T_ext":"t","mixed__url":"u","mixedurl":"u"}`,
			document{},
		},
		"escaped key":        {`{"t\u0065xt":"a"}`, document{Text: "a"}},
		"a long key":         {`{"` + strings.Repeat("aB", 1000) + `":1,"count":2}`, document{Count: 2}},
		"alias":              {`{"label":"a"}`, document{Text: "a"}},
		"second alias":       {`{"caption":"a"}`, document{Text: "a"}},
		"alias in camelCase": {`{"otherPointer":{"value":2}}`, document{Pointer: &inner{Value: 2}}},
		"alias before":       {`{"label":"a","text":"b"}`, document{Text: "b"}},
		"alias after":        {`{"text":"b","label":"a"}`, document{Text: "b"}},
		"alias after empty": {
			`{"text":"","label":"a","pointer":{},"other_pointer":{"value":3},"list":[],"lists":[{"value":4}]}`,
			document{Text: "a", Pointer: &inner{Value: 3}, List: []inner{{Value: 4}}},
		},
		"alias after empty, in the other order": {
			`{"label":"a","text":"","other_pointer":{"value":3},"pointer":{},"lists":[{"value":4}],"list":[]}`,
			document{Text: "a", Pointer: &inner{Value: 3}, List: []inner{{Value: 4}}},
		},
		"alias for a list": {
			`{"list":[{"value":1}],"lists":[{"value":2},{"value":3}]}`,
			document{List: []inner{{Value: 1}}},
		},
		"the last counts": {
			`{"text":"a","text":"b","list":[{"value":1}],"list":[{"value":2}]}`,
			document{Text: "b", List: []inner{{Value: 2}}},
		},
		"nested in itself": {`{"again":{"again":{"text":"a"}}}`, document{Again: &document{Again: &document{Text: "a"}}}},
		"fields that Unmarshal leaves out": {
			`{"Skipped":"a","Untagged":"a","-":"a","hidden":"a","floating":1.5,"any":{"a":1},"channels":[1],"count":1}`,
			document{Count: 1},
		},
		"invalid UTF-8":          {"{\"text\":\"a\xff\"}", document{Text: "a\ufffd"}},
		"invalid UTF-8 in a map": {"{\"map\":{\"a\":[\"\xff\"]}}", document{Map: map[string]string{"a": "[\"\ufffd\"]"}}},
		"lone surrogate":         {`{"text":"\ud800"}`, document{Text: "\ufffd"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got document
			require.NoError(t, wire.Unmarshal(tc.text, &got))
			require.Equal(t, tc.want, got)
			require.Empty(t, got.hidden)
		})
	}
}

// Unmarshal reads strings eight bytes at a time, so this test tries each byte
// at each position.
func TestEachByteAtEachPlaceOfAString(t *testing.T) {
	t.Parallel()
	for length := range 18 {
		for at := range length {
			for c := range 256 {
				inner := []byte(strings.Repeat("x", length))
				inner[at] = byte(c)
				text := `{"text":"` + string(inner) + `"}`
				var got document
				var want struct{ Text string }
				err := json.Unmarshal([]byte(text), &want)
				require.Equal(t, err == nil, wire.Unmarshal(text, &got) == nil, "%q", text)
				if err == nil {
					require.Equal(t, want.Text, got.Text, "%q", text)
				}
				require.Error(t, wire.Unmarshal(text[:len(text)-2], &got), "a string without its end: %q", text)
			}
		}
	}
}

// Unmarshal first tries the sequence that the members had in an earlier
// document. If the members come in another sequence, the result must be the
// same.
func TestMembersComeInAnyOrder(t *testing.T) {
	t.Parallel()
	type other struct { // only for this test, so nothing has been decoded into this type before
		A int    `json:"a" alias:"aa"`
		B string `json:"b"`
		C inner  `json:"c"`
		D int    `json:"d"`
	}
	want := other{A: 1, B: "x", C: inner{Value: 2, Name: "n"}, D: 3}
	members := []string{`"a":1`, `"b":"x"`, `"c":{"name":"n","value":2}`, `"d" : 3`, `"unknown":[{}]`, `"aa":7`}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				order := rand.Perm(len(members))
				shuffled := make([]string, len(members))
				for i, at := range order {
					shuffled[i] = members[at]
				}
				text := "{" + strings.Join(shuffled, ",") + "}"
				var got other
				if assert.NoError(t, wire.Unmarshal(text, &got), text) {
					assert.Equal(t, want, got, text)
				}
			}
		})
	}
	all.Wait()
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                  "JSON document is not valid JSON",
		`{"text":"a"} x`:                    "JSON document is not valid JSON",
		`{}{}`:                              "JSON document is not valid JSON",
		"\ufeff\ufeff{}":                    "JSON document is not valid JSON",
		`{"text":'a'}`:                      "JSON document is not valid JSON",
		`{"text":01}`:                       "JSON document is not valid JSON",
		"{\"text\":\"a\nb\"}":               "JSON document is not valid JSON",
		`null`:                              "JSON document must be an object",
		`"{}"`:                              "JSON document must be an object",
		`{"in":1}`:                          "JSON value in must be an object",
		`{"in":{"value":null}}`:             "JSON value in.value must be a whole number",
		`{"in":{"value":true}}`:             "JSON value in.value must be a whole number",
		`{"in":{"value":[1]}}`:              "JSON value in.value must be a whole number",
		`{"pointer":{"value":"1.5"}}`:       "JSON value pointer.value must be a whole number",
		`{"otherPointer":{"value":"x"}}`:    "JSON value other_pointer.value must be a whole number",
		`{"list":[{},{"value":1e400}]}`:     "JSON value list[1].value must be a whole number",
		`{"list":[1]}`:                      "JSON value list[0] must be an object",
		`{"list":"x"}`:                      "JSON value list must be an object",
		`{"list":{"value":"x"}}`:            "JSON value list.value must be a whole number",
		`{"own":1}`:                         "JSON value own cannot be used: not a string",
		`{"again":{"list":[{"value":""}]}}`: "JSON value again.list[0].value must be a whole number",
		`{"text":` + strings.Repeat("[", wire.MaxDepth) + strings.Repeat("]", wire.MaxDepth) +
			`}`: "JSON document nests deeper than 32 levels",
	} {
		var got document
		require.EqualError(t, wire.Unmarshal(text, &got), want, text)
	}
	deepest := `{"text":` + strings.Repeat("[", wire.MaxDepth-1) + strings.Repeat("]", wire.MaxDepth-1) + `}`
	require.NoError(t, wire.Unmarshal(deepest, &document{}))
	require.NoError(
		t,
		wire.Unmarshal(`{"text":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}`, &document{}),
		"brackets inside a string do not count as levels",
	)
}

func TestUnmarshalIntoNoStruct(t *testing.T) {
	t.Parallel()
	var n int
	var none *document
	for _, dst := range []any{nil, document{}, &n, none, "x"} {
		require.Error(t, wire.Unmarshal(`{}`, dst))
	}
}

// Check accepts exactly the documents that encoding/json accepts, except those
// that nest too deep. Unmarshal accepts only JSON objects.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{
		`{"text":"a","list":[{"value":1},{"value":"2"}],"again":{"map":{"a":1}},"raw":[{}]}`, `{"label":"a","text":"b"}`,
		`{"list":{"value":1}}`,
		`{"in":"","pointer":[ ],"list":{ }}`, `{"rate":"1e5","truth":"1"}`, `{"t\u0065xt":"\ud800"}`, ` [ ] `, `"\\"`,
		`{"text":{"a":["}"]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		var got document
		err := wire.Unmarshal(text, &got)
		if wrong := wire.Check(text); wrong == nil || !strings.Contains(wrong.Error(), "deeper") {
			require.Equal(t, json.Valid([]byte(wire.Document(text))), wrong == nil)
		}
		if err != nil {
			require.LessOrEqual(t, len(err.Error()), 4<<10)
			return
		}
		require.NoError(t, wire.Check(text), "a decoded document is JSON, within the limits")
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(wire.Document(text)), &object), "an object")
		if got.Rate != "" {
			require.True(t, json.Valid([]byte(got.Rate)))
		}
		if got.Raw != nil {
			require.True(t, json.Valid(got.Raw))
		}
		var again document
		require.NoError(t, wire.Unmarshal(text, &again))
		require.Equal(t, got, again)
	})
}

func TestPartOfADocument(t *testing.T) {
	t.Parallel()
	type inner struct {
		ID    string `json:"id"`
		Value int64  `json:"value" wire:"exact"`
	}
	type outer struct {
		Data wire.Part[inner] `json:"data"`
		Code string           `json:"code"`
	}
	for _, tc := range []struct {
		name, document string
		raw            wire.Raw
		value          *inner
		err            string
	}{
		{"decoded", `{"data": {"id":"a","value":1} ,"code":"c"}`, `{"id":"a","value":1}`, &inner{ID: "a", Value: 1}, ""},
		{
			"cannot be decoded", `{"data":{"id":"a","value":0.5},"code":"c"}`, `{"id":"a","value":0.5}`, nil,
			"JSON value value must be a whole number",
		},
		{"no object", `{"data":"text","code":"c"}`, `"text"`, nil, "JSON document must be an object"},
		{"empty text", `{"data":"","code":"c"}`, `""`, nil, "JSON document must be an object"},
		{"null", `{"data":null,"code":"c"}`, "", nil, ""},
		{"absent", `{"code":"c"}`, "", nil, ""},
		{"the last counts", `{"data":{"value":0.5},"data":{"id":"b"},"code":"c"}`, `{"id":"b"}`, &inner{ID: "b"}, ""},
		{
			"the last counts, but cannot be decoded", `{"data":{"id":"b"},"data":[],"code":"c"}`, `[]`, nil,
			"JSON document must be an object",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got outer
			require.NoError(t, wire.Unmarshal(tc.document, &got))
			require.Equal(t, "c", got.Code)
			require.Equal(t, tc.raw, got.Data.Raw)
			require.Equal(t, tc.value, got.Data.Value)
			if tc.err == "" {
				require.NoError(t, got.Data.Err)
			} else {
				require.EqualError(t, got.Data.Err, tc.err)
			}
		})
	}
	require.Error(t, wire.Unmarshal(`{"data":{"id":"a",},"code":"c"}`, new(outer)),
		"no part is decoded of a document that is not JSON")
}

// Unmarshal decodes a string to the same text as encoding/json does.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		`"a"`, `"\u0041\n\t\b\f\r\/\\\""`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ud83dx"`,
		"\"\xff\\n\xff\xfe\"", "\"é\xc3\"", `"\uFFFD"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		document := `{"a":` + text + `}`
		var want struct {
			A *string `json:"a"`
		}
		isText := strings.HasPrefix(text, `"`) && json.Valid([]byte(text))
		if !isText || json.Unmarshal([]byte(document), &want) != nil || want.A == nil {
			return
		}
		var got struct {
			A string `json:"a"`
		}
		if wire.Unmarshal(document, &got) == nil {
			require.Equal(t, *want.A, got.A)
			require.Equal(t, *want.A, wire.Raw(strings.TrimSpace(text)).Text())
		}
	})
}
