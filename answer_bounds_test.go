package plural_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// mostGrowth is the largest factor by which an answer may grow in memory when
// it is decoded. Memory that is freed meanwhile is counted as well.
const mostGrowth = 100

// The function inLists finds each list and each map inside the type t, and
// calls the function visit for each. The second argument of visit is a function
// that makes a whole document. In this document, the list or map has n
// elements.
func inLists(
	t reflect.Type,
	around func(inner string) string,
	seen map[reflect.Type]bool,
	visit func(name string, document func(n int) string),
) {
	if seen[t] {
		return
	}
	seen[t] = true
	defer delete(seen, t)
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		inside := func(inner string) string { return around(fmt.Sprintf("%q:%s", name, inner)) }
		elem := f.Type
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		switch {
		case elem == reflect.TypeFor[json.RawMessage](), elem == reflect.TypeFor[plural.Timestamp]():
		case elem.Kind() == reflect.Slice:
			element := `{}`
			if elem.Elem().Kind() == reflect.String {
				element = `""`
			}
			visit(t.Name()+"."+f.Name, func(n int) string {
				return inside("[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]")
			})
			if elem.Elem().Kind() == reflect.Struct {
				inLists(elem.Elem(), func(inner string) string { return inside("[{" + inner + "}]") }, seen, visit)
			}
		case elem.Kind() == reflect.Map:
			visit(t.Name()+"."+f.Name, func(n int) string {
				var b strings.Builder
				for i := range n {
					fmt.Fprintf(&b, `,"%d":1`, i)
				}
				return inside("{" + strings.TrimPrefix(b.String(), ",") + "}")
			})
		case elem.Kind() == reflect.Struct:
			inLists(elem, func(inner string) string { return inside("{" + inner + "}") }, seen, visit)
		}
	}
}

// In memory an answer takes at most mostGrowth times its size. This must be so
// even if a list or a map of the order, nested or not, has very many small
// elements.
//
//nolint:paralleltest // it measures memory
func TestDocumentsGrowWithinBounds(t *testing.T) {
	order := func(inner string) string {
		return `{"order_id":"v1-1-aa-b","status":"PROCESSED",` + inner + `}`
	}
	documents := map[string]string{}
	inLists(reflect.TypeFor[plural.Order](), order, map[reflect.Type]bool{}, func(name string, document func(int) string) {
		for _, n := range []int{100, 1_900, 100_000} {
			documents[fmt.Sprint(name, " ", n)] = document(n)
		}
	})
	require.Greater(t, len(documents), 20)
	nested := strings.TrimSuffix(
		strings.Repeat(`{"refunds":[`+strings.TrimSuffix(strings.Repeat("{},", 1000), ",")+`]},`, 90),
		",",
	)
	documents["refunds of refunds"] = order(`"refunds":[` + nested + `]`)
	documents["one backslash"] = order(`"notes":"\\` + strings.Repeat("x", 1<<20) + `"`)
	deep := order(`"a":1`)
	for range 14 {
		deep = order(`"notes":"` + strings.Repeat("x", 2000) + `","refunds":[` + deep + `]`)
	}
	documents["refunds in refunds in refunds"] = deep
	verifier := webhookVerifier(t)
	for name, document := range documents {
		body := []byte(`{"data":` + document + `}`)
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(200, body), nil })
		refusing := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(400, body), nil })
		require.NoError(t, client.Warm(t.Context()))
		require.NoError(t, refusing.Warm(t.Context()))
		event := []byte(`{"event_type":"ORDER_PROCESSED","data":` + document + `}`)
		header, _ := goodWebhook(string(event))
		for what, read := range map[string]func(){
			"an answer": func() { _, _ = client.Orders.Get(context.Background(), "v1-1-aa-b") },
			"an error":  func() { _, _ = refusing.Orders.Get(context.Background(), "v1-1-aa-b") },
			"an event": func() {
				if e, err := verifier.VerifyWebhook(header, event); err == nil {
					_, _ = e.Order()
				}
			},
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			read()
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(mostGrowth*len(body)+1<<20), "%s: %s", name, what)
		}
	}
}

// Any answer of 4 MiB takes less than 64 MiB in memory, including memory that
// is freed again. The test does not run under the race detector, because the
// race detector allocates more memory.
//
//nolint:paralleltest // it measures memory
func TestNothingBecomesMoreThan64MiB(t *testing.T) {
	skipUnderRace(t)
	const most, size = 64, 4 << 20
	many := func(element string, n int) string { return strings.TrimSuffix(strings.Repeat(element+",", n), ",") }
	padded := func(document string) string { return document + strings.Repeat(" ", max(0, size-len(document)-100)) }
	filled := func(before, element, after string) string {
		return before + strings.Repeat(element, (size-len(before)-len(after)-100)/len(element)) + after
	}
	refunds := func(inner string) string {
		return `{"order_id":"v1-1-aa-b","status":"PROCESSED","refunds":[` + inner + `]}`
	}
	var pairs strings.Builder
	for i := range 1_900 {
		fmt.Fprintf(&pairs, `"%d":1,`, i)
	}
	metadata := strings.TrimSuffix(pairs.String(), ",")
	wrongList := `"purchase_details":{"products":[` + many(`{}`, 1_900) + `],"customer":7}`
	const payment = `{"payment_option":{"card_data":{}},"acquirer_data":{}}`
	documents := map[string]string{
		"refunds of refunds":   padded(refunds(many(`{"refunds":[`+many(`{}`, 1_900)+`]}`, 49))),
		"payments of refunds":  padded(refunds(many(`{"payments":[`+many(`{}`, 1_900)+`]}`, 49))),
		"payments, in turn":    padded(`{"order_id":"v1",` + many(`"payments":[`+many(`{}`, 1_900)+`]`, 49) + `}`),
		"lists that are wrong": padded(`{"order_id":"v1",` + many(wrongList, 25) + `}`),
		"objects":              padded(refunds(many(`{"payments":[`+many(payment, 230)+`]}`, 49))),
		"metadata":             padded(refunds(many(`{"purchase_details":{"merchant_metadata":{`+metadata+`}}}`, 49))),
		"escapes":              filled(`{"order_id":"v1-1-aa-b","status":"PROCESSED","notes":"`, `\u0041`, `"}`),
		"no UTF-8":             filled(`{"order_id":"v1-1-aa-b","status":"PROCESSED","notes":"`, "\xff", `"}`),
		"no UTF-8 in metadata": filled(`{"order_id":"v1","purchase_details":{"merchant_metadata":{"a":["`, "\xffa", `"]}}}`),
		"no UTF-8 in a time":   filled(`{"order_id":"v1","created_at":["`, "\xffa", `"]}`),
		"no UTF-8 in a name":   filled(`{"`, "\xff", `":1}`),
		"an escape in that":    filled(`{"order_id":"v1-1-aa-b","status":"PROCESSED","notes":"\n`, "\xff", `"}`),
		"a message":            filled(`{"code":"X","message":"`, "\xff", `"}`),
		"an error's text":      filled(`{"error":"`, "\xff", `"}`),
		"nesting":              strings.Repeat("[", size-100),
		"a list of nothing":    filled(`{"order_id":"v1","payments":[{}`, `,{}`, `]}`),
		"a text for a number":  filled(`{"id":"v1","conversion_rate":"`, "\xff", `"}`),
		"captures, in turn":    padded(`{"id":"v1",` + many(`"capture_data":[`+many(`{}`, 1_900)+`]`, 49) + `}`),
		"products, in turn":    padded(`{"a":1,` + many(`"products":[`+many(`{}`, 1_900)+`]`, 49) + `}`),
		"metadata, in turn":    padded(`{"a":1,` + many(`"merchant_metadata":{`+metadata+`}`, 49) + `}`),
		"a link":               filled(`{"order_id":"v1","redirect_url":"https://`, "\xff", `"}`),
	}
	verifier := webhookVerifier(t)
	for name, document := range documents {
		wrapped := `{"data":` + document + `}`
		serving := func(status int, body string) *plural.Client {
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(status, body), nil })
			require.NoError(t, client.Warm(t.Context()))
			return client
		}
		event := []byte(`{"event_type":"ORDER_PROCESSED","data":` + document + `}`)
		header, _ := goodWebhook(string(event))
		ok, refusing, plain := serving(200, wrapped), serving(400, wrapped), serving(200, document)
		into := func(out any) { _ = plain.Do(context.Background(), http.MethodGet, "/x", nil, out) }
		tokens := newClientOver(t, func(*http.Request) (*http.Response, error) { return answer(200, document), nil })
		for what, read := range map[string]func(){
			"an answer": func() { _, _ = ok.Orders.Get(context.Background(), "v1-1-aa-b") },
			"an error":  func() { _, _ = refusing.Orders.Get(context.Background(), "v1-1-aa-b") },
			"a token":   func() { _ = tokens.Warm(context.Background()) },
			"Do": func() {
				var out struct{ Data plural.Order }
				_ = ok.Do(context.Background(), http.MethodGet, "/x", nil, &out)
			},
			"Do, a link":       func() { into(new(plural.CheckoutOrder)) },
			"Do, a payment":    func() { into(new(plural.Payment)) },
			"Do, its purchase": func() { into(new(plural.PurchaseDetails)) },
			"json.Unmarshal":   func() { _ = json.Unmarshal([]byte(document), new(plural.Order)) },
			"a time":           func() { _ = json.Unmarshal([]byte(document), new(plural.Timestamp)) },
			"an event": func() {
				if e, err := verifier.VerifyWebhook(header, event); err == nil {
					_, _ = e.Order()
				}
			},
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			read()
			runtime.ReadMemStats(&after)
			took := (after.TotalAlloc - before.TotalAlloc) >> 20
			if took >= most {
				t.Errorf("%s: %s: %d MiB", name, what, took)
			}
		}
	}
}
