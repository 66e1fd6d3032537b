package plural_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// An order may be written in any of the forms that Plural was seen to use. It
// always decodes to the same order, and json.Marshal loses no part of it.
func TestAnyFormOfAnyOrderDecodesToTheSame(t *testing.T) {
	t.Parallel()
	seed := *propertySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	r := rand.New(rand.NewPCG(seed, 1))
	const orders, forms = 80, 8
	for range orders {
		order := randomOrder(r)
		want, err := json.Marshal(order)
		require.NoError(t, err)
		for form := range forms {
			document := want
			if form > 0 {
				document = otherForm(r, want)
			}
			var got plural.Order
			require.NoError(t, json.Unmarshal(document, &got), "go test -run AnyForm -property.seed=%d\n%s", seed, document)
			written, err := json.Marshal(&got)
			require.NoError(t, err)
			require.Equal(t, string(want), string(written), "go test -run AnyForm -property.seed=%d\n%s", seed, document)
			require.True(t, bytes.Equal(bytes.TrimSpace(document), got.RawJSON()), "RawJSON is not what was decoded")
		}
	}
}

func randomOrder(r *rand.Rand) *plural.Order {
	var o plural.Order
	fill(r, reflect.ValueOf(&o).Elem(), 0)
	return &o
}

// The function fill sets v to a random value. In a struct the function sets
// only the exported fields, and leaves some of them unset.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch x := v.Addr().Interface().(type) {
	case *plural.Timestamp:
		if r.IntN(4) > 0 {
			x.Time = time.Unix(r.Int64N(4e9), r.Int64N(1e9)).UTC()
		}
		return
	case *json.RawMessage:
		if r.IntN(3) == 0 {
			*x = json.RawMessage(pick(r, `{}`, `{"a":[1,2.50,"x"]}`, `[{"camelCase":"1"}]`, `"text"`, `12`))
		}
		return
	case *json.Number:
		*x = json.Number(pick(r, "", "0.0123", "12", "1e-7", "-3.50", "12345678901234567890123"))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(pick(r,
			"", "12", "0", "-7", "true", "own text", "<&> \"quoted\" \\ /", "हिन्दी", "\u2028\x01",
			strconv.Itoa(r.Int()),
		))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(pick(r, 0, 1, -5, 1200, 1<<62, r.Int64()))
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth)
		}
	case reflect.Slice:
		most := 3
		if v.Type().Elem() == reflect.TypeFor[plural.Order]() {
			most = max(0, 2-depth)
		}
		for range r.IntN(most + 1) {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			fill(r, v.Index(v.Len()-1), depth+1)
		}
	case reflect.Map:
		if r.IntN(2) == 0 {
			v.Set(reflect.ValueOf(map[string]string{
				"camelCase": "12", "snake_case": "true", "": "x", "a b": pick(r, "", "null", "हि"),
			}))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(r, v.Field(i), depth)
			}
		}
	default:
		panic(fmt.Sprintf("a field is of kind %s: add that kind to fill", v.Kind()))
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// otherForm returns the same document in another form that Plural uses.
func otherForm(r *rand.Rand, document []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		panic(err)
	}
	f := former{r: r, camel: r.IntN(3)}
	f.write("", root)
	return f.out.Bytes()
}

type former struct {
	r     *rand.Rand
	out   bytes.Buffer
	camel int // 0: never, 1: always, 2: sometimes
}

func (f *former) space() { f.out.WriteString(pick(f.r, "", "", "", " ", "\n\t", "\r\n")) }

func (f *former) write(name string, v any) {
	f.space()
	defer f.space()
	switch v := v.(type) {
	case map[string]any:
		f.writeObject(name, v)
	case []any:
		f.writeArray(name, v)
	case bool:
		digit := map[bool]string{true: "1", false: "0"}[v]
		text := pick(f.r, strconv.FormatBool(v), digit)
		f.out.WriteString(pick(f.r, text, `"`+text+`"`))
	case json.Number:
		f.writeNumber(name, v)
	case string:
		f.writeText(name, v)
	case nil:
		f.out.WriteString("null")
	}
}

func (f *former) writeNumber(name string, v json.Number) {
	text := v.String()
	if name == "conversion_rate" {
		f.out.WriteString(pick(f.r, text, `"`+text+`"`))
		return
	}
	f.out.WriteString(pick(f.r, text, text+".0", text+".00", text+"E+0", text+".0e+0", `"`+text+`"`))
}

// writeText writes the text v in one of the forms that Plural uses. It writes a
// time in one of several formats. If v is a number or a boolean, writeText
// sometimes leaves out the quotes.
func (f *former) writeText(name, v string) {
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil && strings.HasSuffix(name, "_at") {
		zone := time.FixedZone("", 19800)
		v = pick(
			f.r,
			v,
			t.In(zone).Format(time.RFC3339Nano),
			t.Format("2006-01-02T15:04:05.000000000Z"),
			t.Format("2006-01-02 15:04:05.999999999Z07:00"),
		)
		f.writeQuoted(v)
		return
	}
	isNumber := json.Valid([]byte(v)) && v != "" && strings.Trim(v, "-0123456789") == ""
	if (isNumber || v == "true" || v == "false") && f.r.IntN(2) == 0 {
		f.out.WriteString(v)
		return
	}
	f.writeQuoted(v)
}

func (f *former) writeQuoted(v string) {
	if f.r.IntN(2) == 0 {
		escaped, _ := json.Marshal(v)
		f.out.Write(escaped)
		return
	}
	e := json.NewEncoder(&f.out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	f.out.Truncate(f.out.Len() - 1)
}

// writeObject writes an object with its members in random order, with keys in
// snake_case or camelCase, and with additional unknown members.
func (f *former) writeObject(name string, v map[string]any) {
	names := slices.Sorted(maps.Keys(v))
	f.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	f.out.WriteByte('{')
	for i, member := range names {
		if i > 0 {
			f.out.WriteByte(',')
		}
		f.space()
		f.writeQuoted(f.key(name, member))
		f.space()
		f.out.WriteByte(':')
		if isOpaque(member) {
			raw, _ := json.Marshal(v[member])
			f.out.Write(raw)
			continue
		}
		f.write(member, v[member])
	}
	if name != "merchant_metadata" && f.r.IntN(4) == 0 {
		if len(names) > 0 {
			f.out.WriteByte(',')
		}
		f.out.WriteString(
			pick(
				f.r,
				`"brand_new":{"order_id":[1,{"a":"}"}]}`,
				`"status_reason":null`,
				`"Order ID":"no"`,
				`"":1`,
				`"notes":null`,
				`"order__id":"no"`,
			),
		)
	}
	f.out.WriteByte('}')
}

func (f *former) key(object, name string) string {
	if object == "merchant_metadata" {
		return name
	}
	switch name {
	case "upi_data":
		name = pick(f.r, "upi_data", "upi_details")
	case "adddress_type":
		name = pick(f.r, "adddress_type", "address_type")
	}
	if f.camel == 0 || f.camel == 2 && f.r.IntN(2) == 0 {
		return name
	}
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		if slices.Contains([]string{"id", "url", "mcc", "otp"}, words[i]) && f.r.IntN(2) == 0 {
			words[i] = strings.ToUpper(words[i])
			continue
		}
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

// writeArray writes a list. If the list has only one element, writeArray
// sometimes writes that element without the brackets.
func (f *former) writeArray(name string, v []any) {
	if len(v) == 1 && f.r.IntN(2) == 0 {
		// An empty element is always written with the brackets. Without the
		// brackets, the empty element would mean that the list is empty.
		if o, ok := v[0].(map[string]any); v[0] != "" && (!ok || len(o) > 0) {
			f.write(name, v[0])
			return
		}
	}
	f.out.WriteByte('[')
	for i, element := range v {
		if i > 0 {
			f.out.WriteByte(',')
		}
		f.write(name, element)
	}
	f.out.WriteByte(']')
}

// isOpaque reports whether the SDK keeps a field as Plural sent it, without
// decoding it.
func isOpaque(name string) bool {
	switch name {
	case "offer_data", "additional_detail", "convenience_fee_breakdown", "wallet_data", "metadata":
		return true
	}
	return false
}
