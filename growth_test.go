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

// mostGrowth is how many times its own size an answer may cost in memory, all
// that is thrown away again included.
const mostGrowth = 100

// lists are the paths of all lists and maps of a type, each with an object
// around each place.
func lists(
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
				lists(elem.Elem(), func(inner string) string { return inside("[{" + inner + "}]") }, seen, visit)
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
			lists(elem, func(inner string) string { return inside("{" + inner + "}") }, seen, visit)
		}
	}
}

// An answer costs no more than so many times its size, whichever list or map of
// the order has so many elements that are as small as can be; nested ones too.
//
//nolint:paralleltest // it measures memory
func TestDocumentsGrowWithinBounds(t *testing.T) {
	order := func(inner string) string {
		return `{"order_id":"v1-1-aa-b","status":"PROCESSED",` + inner + `}`
	}
	documents := map[string]string{}
	lists(reflect.TypeFor[plural.Order](), order, map[reflect.Type]bool{}, func(name string, document func(int) string) {
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
