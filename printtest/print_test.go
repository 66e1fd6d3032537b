package printtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/davecgh/go-spew/spew"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/plural-go/plural"
)

// The kinds of printers. A printer is a function that shows a value as text,
// such as a function of fmt or of a logger.
const (
	logs    = iota + 1 // show ids, states and amounts, but nothing personal and no secret
	encodes            // show personal data, but no secret
	dumps              // show every exported field, even the secret of Credentials
)

// allPrinters returns the printers that SECURITY.md names, except encoding/gob
// and debuggers. Each printer has its kind.
func allPrinters() map[string]printer {
	return map[string]printer{
		"fmt":                          {logs, func(v any) string { return fmt.Sprintf("%v %+v %#v %s %d", v, v, v, v, v) }},
		"fmt, in a slice and a struct": {logs, func(v any) string { return fmt.Sprintf("%+v", []any{struct{ V any }{v}}) }},
		"slog text": {logs, func(v any) string {
			return logged(func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }, v)
		}},
		"slog text, in a slice": {logs, func(v any) string {
			return logged(func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }, []any{v})
		}},
		"slog JSON": {logs, func(v any) string {
			return logged(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }, v)
		}},
		"slog JSON, in a slice": {encodes, func(v any) string {
			return logged(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }, []any{v})
		}},
		"zap.Any":             {logs, func(v any) string { return zapped(zap.Any("v", v)) }},
		"zap.Any, of a slice": {encodes, func(v any) string { return zapped(zap.Any("v", []any{v})) }},
		"zap.Reflect":         {encodes, func(v any) string { return zapped(zap.Reflect("v", v)) }},
		"zap, sugared": {logs, func(v any) string {
			return zappedBy(func(z *zap.Logger) { z.Sugar().Infow("m", "v", v); z.Sugar().Info(v); z.Sugar().Infof("%+v", v) })
		}},
		"encoding/json":            {encodes, func(v any) string { b, _ := json.Marshal(v); return string(b) }},
		"encoding/xml":             {encodes, func(v any) string { b, _ := xml.Marshal(v); return string(b) }},
		"spew":                     {logs, func(v any) string { return spew.Sdump(v) + spew.Sprintf("%+v %#v", v, v) }},
		"spew, in a struct":        {logs, func(v any) string { return spew.Sdump(struct{ V any }{v}) }},
		"spew, in a hidden field":  {logs, func(v any) string { return spew.Sdump(struct{ v any }{v}) }},
		"spew without methods":     {dumps, spewAll},
		"testify's diff of values": {dumps, testifyDiff},
		"testify's failed Nil": {logs, func(v any) string {
			return failure(func(t assert.TestingT) { assert.Nil(t, v) })
		}},
	}
}

type printer struct {
	kind  int
	print func(any) string
}

// For each type, each printer shows no more than SECURITY.md says.
func TestWhatPrintersShow(t *testing.T) {
	t.Parallel()
	for name, v := range markedValues() {
		all := findMarkers(spewAll(v))
		// another test, in the SDK, compares the output of fmt and slog with a
		// list of fields
		shownByFmt := findMarkers(fmt.Sprintf("%v %#v", v, v) + allPrinters()["slog JSON"].print(v))
		for way, p := range allPrinters() {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				for form, v := range map[string]any{"pointer": v, "value": reflect.ValueOf(v).Elem().Interface()} {
					_, isError := v.(error)
					if reflect.TypeOf(v).Kind() == reflect.Struct && !isError && strings.HasSuffix(name, "Error") {
						continue // only pointers to this type are errors
					}
					shown := findMarkers(p.print(v))
					switch p.kind {
					case logs:
						for _, marker := range shown {
							require.True(t, slices.Contains(shownByFmt, marker), "%s shows %s", form, marker)
						}
					case encodes:
						for _, marker := range shown {
							require.NotContains(t, marker, "Credentials.", form)
						}
					case dumps:
						require.Subset(t, all, shown)
						if name == "Credentials" {
							require.Contains(t, shown, "Credentials.ClientSecret", "a dumper shows the secret, as SECURITY.md says")
						}
					}
				}
			})
		}
	}
}

// Some values have a secret that is not in their exported fields. No printer
// shows such a secret. Even a printer that follows every pointer does not show
// the secret.
func TestNoPrinterFindsAHiddenSecret(t *testing.T) {
	t.Parallel()
	const secret, access, keyed = "hidden-s3cret-1", "hidden-t0ken-2", "hidden-k3y-0003"
	requests := 0
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		status, body := http.StatusOK, `{"access_token":"`+access+`"}`
		if !strings.HasSuffix(r.URL.Path, "/token") {
			requests++
			status, body = http.StatusUnauthorized, `{"message":"Bearer `+access+`"}`
		}
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	})
	client, err := plural.NewClient(plural.Credentials{ClientID: "hidden-client", ClientSecret: secret},
		plural.WithHTTPClient(&http.Client{Transport: transport}), plural.WithTokenStore(noStore{}))
	require.NoError(t, err)
	_, refused := client.Orders.Get(t.Context(), "v1-1")
	require.ErrorIs(t, refused, plural.ErrUnauthorized)
	require.Equal(t, 2, requests, "the token was refused, and another token was fetched")
	dumping := roundTrip(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		return nil, fmt.Errorf("sent %s with %v", body, r.Header)
	})
	other, err := plural.NewClient(plural.Credentials{ClientID: "hidden-client", ClientSecret: secret},
		plural.WithHTTPClient(&http.Client{Transport: dumping}), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	_, dumped := other.Orders.Get(t.Context(), "v1-1")
	require.Error(t, dumped)
	key, err := plural.RawKey(keyed)
	require.NoError(t, err)
	verifier, err := plural.NewVerifier("", plural.WithWebhookKeys(key))
	require.NoError(t, err)
	for name, v := range map[string]any{
		"Client": client, "OrderService": client.Orders, "Key": key, "Verifier": verifier,
		"a refusal": refused, "a transport's dump": dumped, "the dump's client": other,
	} {
		for way, p := range allPrinters() {
			links := []any{v}
			if err, isError := v.(error); isError {
				for err := range errorsInChain(err) {
					links = append(links, err)
				}
			}
			var b strings.Builder
			for _, link := range links {
				b.WriteString(p.print(link))
			}
			text := b.String()
			for _, hidden := range []string{secret, access, keyed} {
				for _, form := range []string{"%s", "% x", "%x"} {
					require.NotContains(t, text, fmt.Sprintf(form, hidden), "%s, %s", name, way)
				}
				require.NotContains(t, text, strings.Trim(fmt.Sprintf("%d", []byte(hidden)), "[]"), "%s, %s", name, way)
			}
		}
	}
}

// errorsInChain returns an iterator over err and every error that err wraps.
func errorsInChain(err error) func(yield func(error) bool) {
	return func(yield func(error) bool) {
		var walk func(error) bool
		walk = func(err error) bool {
			if err == nil {
				return true
			}
			if !yield(err) {
				return false
			}
			switch err := err.(type) { //nolint:errorlint // the walk itself
			case interface{ Unwrap() error }:
				return walk(err.Unwrap())
			case interface{ Unwrap() []error }:
				for _, one := range err.Unwrap() {
					if !walk(one) {
						return false
					}
				}
			}
			return true
		}
		walk(err)
	}
}

// markedValues returns the SDK's exported structs, with a marker in each text
// field.
func markedValues() map[string]any {
	values := map[string]any{}
	for _, v := range []any{
		&plural.AccountDetails{}, &plural.AcquirerData{}, &plural.Address{}, &plural.Amount{}, &plural.BankDetails{},
		&plural.Callback{}, &plural.CaptureData{}, &plural.CaptureRequest{}, &plural.CardData{}, &plural.CartDetails{},
		&plural.CartItem{}, &plural.CheckoutOrder{}, &plural.CreateOrderRequest{}, &plural.Credentials{},
		&plural.Customer{}, &plural.DoubleRefundError{}, &plural.DuplicateOrderError{}, &plural.Error{},
		&plural.ErrorDetail{}, &plural.ErrorDetails{}, &plural.Event{}, &plural.Expected{}, &plural.FieldError{},
		&plural.NetbankingData{}, &plural.NotPaidError{}, &plural.Observation{}, &plural.Order{},
		&plural.OutcomeUnknownError{}, &plural.Payment{}, &plural.PaymentOption{}, &plural.PluginData{},
		&plural.Product{}, &plural.PurchaseDetails{}, &plural.RefundRequest{}, &plural.Response{},
		&plural.SplitDetail{}, &plural.SplitInfo{}, &plural.StateError{}, &plural.UPIData{}, &plural.UPIPayee{},
		&plural.UPIPayer{}, &plural.ValidationError{},
		&plural.Days{}, &plural.IncompleteError{}, &plural.Settlement{}, &plural.SettlementDetail{},
		&plural.SettlementLine{}, &plural.LinkProduct{}, &plural.PaymentLink{}, &plural.PaymentLinkError{},
		&plural.PaymentLinkRequest{},
	} {
		name := reflect.TypeOf(v).Elem().Name()
		writeMarkers(reflect.ValueOf(v).Elem(), name, 0)
		values[name] = v
	}
	return values
}

// markedValues must return every exported struct that has an exported field.
// The exceptions are listed in this test.
func TestEveryTypeIsPrinted(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	var structs []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, isType := n.(*ast.TypeSpec)
			if !isType || !spec.Name.IsExported() {
				return true
			}
			body, isStruct := spec.Type.(*ast.StructType)
			if isStruct && slices.ContainsFunc(body.Fields.List, func(f *ast.Field) bool {
				return len(f.Names) > 0 && f.Names[0].IsExported()
			}) {
				structs = append(structs, spec.Name.Name)
			}
			return true
		})
	}
	// These types need no test, because their exported fields hold neither
	// personal data nor secrets. Client has the services of the SDK.
	// RetryPolicy has a number and two durations. Claim has a state, and a
	// token that only identifies the claim. Capture has references, ids, an
	// amount, a time and a status.
	without := []string{"Client", "RetryPolicy", "Claim", "Capture"}
	for name := range markedValues() {
		without = append(without, name)
	}
	require.ElementsMatch(t, without, structs)
}

// writeMarkers sets each text field of v to a marker. The marker is the name of
// the type and the field in angle brackets, such as <Order.OrderID>.
func writeMarkers(v reflect.Value, name string, depth int) {
	marker := "<" + name + ">"
	switch x := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*x = json.RawMessage(`"` + marker + `"`)
		return
	case *[]byte:
		*x = []byte(marker)
		return
	case *json.Number, *plural.Timestamp, *error:
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(marker)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		writeMarkers(v.Elem(), name, depth)
	case reflect.Slice:
		if depth < 3 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			writeMarkers(v.Index(0), name, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				writeMarkers(v.Field(i), v.Type().Name()+"."+f.Name, depth)
			}
		}
	default:
	}
}

var marker = regexp.MustCompile(`(?:<|&lt;|\\+u003c)(\w+\.\w+)(?:>|&gt;|\\+u003e)`)

// findMarkers returns the names in the markers of a text, such as
// Order.OrderID. It returns each name once.
func findMarkers(text string) []string {
	found := []string{}
	for _, m := range marker.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func logged(handler func(io.Writer) slog.Handler, v any) string {
	var b bytes.Buffer
	slog.New(handler(&b)).Info("m", "v", v)
	return b.String()
}

func zapped(field zap.Field) string { return zappedBy(func(z *zap.Logger) { z.Info("m", field) }) }

func zappedBy(log func(*zap.Logger)) string {
	var b bytes.Buffer
	for _, encoder := range []zapcore.Encoder{
		zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		log(zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&b), zap.DebugLevel)))
	}
	return b.String()
}

func spewAll(v any) string { return (&spew.ConfigState{DisableMethods: true}).Sdump(v) }

// testifyDiff returns what testify prints when v is not equal to another value.
func testifyDiff(v any) string {
	of := reflect.TypeOf(v)
	other := reflect.Zero(of).Interface()
	if of.Kind() == reflect.Pointer {
		other = reflect.New(of.Elem()).Interface()
	}
	return failure(func(t assert.TestingT) { assert.Equal(t, other, v) })
}

func failure(compare func(assert.TestingT)) string {
	var f failures
	compare(&f)
	return f.String()
}

type failures struct{ strings.Builder }

func (f *failures) Errorf(format string, args ...any) { fmt.Fprintf(f, format, args...) }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// noStore is a token store from which nothing can be loaded.
type noStore struct{ plural.TokenStore }

var errNoStore = errors.New("no store")

func (noStore) Load(context.Context, string) ([]byte, error) { return nil, errNoStore }
