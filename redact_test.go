package plural_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// printableFields lists the fields that fmt, slog and error texts may show.
// They are ids, references, states, amounts, and reasons for failures. Every
// other field may hold a secret or personal data. A new field must not be
// printed until it is added here.
func printableFields() []string {
	return []string{
		"Amount.Currency",
		"Expected.MerchantOrderReference",
		"Expected.OrderID",
		"Order.OrderID",
		"Order.ParentOrderID",
		"Order.MerchantOrderReference",
		"Order.Type",
		"Order.Status",
		"Payment.ID",
		"Payment.Status",
		"Payment.PaymentMethod",
		"CaptureData.MerchantCaptureReference",
		"CaptureRequest.MerchantCaptureReference",
		"CreateOrderRequest.MerchantOrderReference",
		"RefundRequest.MerchantOrderReference",
		"PaymentLinkRequest.MerchantPaymentLinkReference",
		"PaymentLink.PaymentLinkID",
		"PaymentLink.MerchantPaymentLinkReference",
		"PaymentLink.Status",
		"PaymentLink.OrderID",
		"PaymentLinkError.Op",
		"PaymentLinkError.Reason",
		"CheckoutOrder.OrderID",
		"AcquirerData.ApprovalCode",
		"AcquirerData.AcquirerReference",
		"AcquirerData.RRN",
		"AcquirerData.AcquirerName",
		"ErrorDetail.Code",
		"ErrorDetail.Message",
		"ErrorDetails.Source",
		"ErrorDetails.Step",
		"ErrorDetails.Reason",
		"ErrorDetails.Field",
		"PluginData.PluginType",
		"PluginData.PluginVersion",
		"SplitInfo.SplitType",
		"SplitDetail.ParentOrderSplitSettlementID",
		"SplitDetail.SplitMerchantID",
		"SplitDetail.SplitSettlementID",
		"SplitDetail.MerchantSettlementReference",
		"SplitDetail.Status",
		"Error.Op",
		"Error.OrderID",
		"Error.Code",
		"Error.Message",
		"Error.RequestID",
		"Error.TraceID",
		"ValidationError.Op",
		"FieldError.Field",
		"FieldError.Rule",
		"OutcomeUnknownError.Op",
		"OutcomeUnknownError.OrderID",
		"OutcomeUnknownError.Reference",
		"StateError.Op",
		"StateError.OrderID",
		"StateError.Reference",
		"StateError.Reason",
		"DoubleRefundError.OrderID",
		"DoubleRefundError.Reference",
		"NotPaidError.Reason",
		"Response.RequestID",
		"Event.ID",
		"Event.Type",
		"Callback.OrderID",
		"Callback.Status",
		"Callback.ErrorCode",
		"IncompleteError.UTR",
		"Settlement.TotalAmount",
		"Settlement.SettledDate",
		"Settlement.UTRNumber",
		"SettlementDetail.UTRNumber",
		"SettlementDetail.TotalSettledAmount",
		"SettlementLine.TransactionID",
		"SettlementLine.TransactionAmount",
		"SettlementLine.SettledAmount",
		"SettlementLine.UTRNumber",
		"SettlementLine.PayoutStatus",
		"Observation.Operation",
		"Observation.OrderID",
		"Observation.Reference",
		"Observation.RequestID",
	}
}

// markedValues returns a value of each exported type whose fields hold data.
// Each field of these values holds a marker.
func markedValues() map[string]any {
	values := map[string]any{
		"AccountDetails":      &plural.AccountDetails{},
		"AcquirerData":        &plural.AcquirerData{},
		"Address":             &plural.Address{},
		"Amount":              &plural.Amount{},
		"BankDetails":         &plural.BankDetails{},
		"Callback":            &plural.Callback{},
		"CaptureData":         &plural.CaptureData{},
		"CaptureRequest":      &plural.CaptureRequest{},
		"CardData":            &plural.CardData{},
		"CartDetails":         &plural.CartDetails{},
		"CartItem":            &plural.CartItem{},
		"CheckoutOrder":       &plural.CheckoutOrder{},
		"CreateOrderRequest":  &plural.CreateOrderRequest{},
		"Credentials":         &plural.Credentials{},
		"Customer":            &plural.Customer{},
		"DoubleRefundError":   &plural.DoubleRefundError{},
		"DuplicateOrderError": &plural.DuplicateOrderError{},
		"Error":               &plural.Error{},
		"ErrorDetail":         &plural.ErrorDetail{},
		"ErrorDetails":        &plural.ErrorDetails{},
		"Event":               &plural.Event{},
		"Expected":            &plural.Expected{},
		"FieldError":          &plural.FieldError{},
		"IncompleteError":     &plural.IncompleteError{},
		"NetbankingData":      &plural.NetbankingData{},
		"NotPaidError":        &plural.NotPaidError{},
		"Observation":         &plural.Observation{},
		"Order":               &plural.Order{},
		"OutcomeUnknownError": &plural.OutcomeUnknownError{},
		"Payment":             &plural.Payment{},
		"LinkProduct":         &plural.LinkProduct{},
		"PaymentLink":         &plural.PaymentLink{},
		"PaymentLinkError":    &plural.PaymentLinkError{},
		"PaymentLinkRequest":  &plural.PaymentLinkRequest{},
		"PaymentOption":       &plural.PaymentOption{},
		"PluginData":          &plural.PluginData{},
		"Product":             &plural.Product{},
		"PurchaseDetails":     &plural.PurchaseDetails{},
		"RefundRequest":       &plural.RefundRequest{},
		"Response":            &plural.Response{},
		"Settlement":          &plural.Settlement{},
		"SettlementDetail":    &plural.SettlementDetail{},
		"SettlementLine":      &plural.SettlementLine{},
		"SplitDetail":         &plural.SplitDetail{},
		"SplitInfo":           &plural.SplitInfo{},
		"StateError":          &plural.StateError{},
		"UPIData":             &plural.UPIData{},
		"UPIPayee":            &plural.UPIPayee{},
		"UPIPayer":            &plural.UPIPayer{},
		"ValidationError":     &plural.ValidationError{},
	}
	for _, v := range values {
		mark(reflect.ValueOf(v).Elem(), "", 0)
	}
	return values
}

// typesWithoutData lists the other exported types. They hold no text, or only a
// text such as a status, an amount or a time. Types with hidden fields have
// their own tests below.
func typesWithoutData() []string {
	return []string{
		"CallOption",
		"CancelService",
		"Capture",
		"CaptureService",
		"Claim",
		"ClaimState",
		"Client",
		"Currency",
		"Days",
		"Deduper",
		"Environment",
		"ErrorCode",
		"EventType",
		"HandlerOption",
		"IntegrationMode",
		"Key",
		"LocalTime",
		"MemoryDeduper",
		"Option",
		"OrderService",
		"OrderStatus",
		"OrderType",
		"PaymentLinkService",
		"PaymentLinkStatus",
		"PaymentMethod",
		"PaymentStatus",
		"PayoutStatus",
		"RefundService",
		"RetryPolicy",
		"Rupees",
		"SettlementService",
		"Timestamp",
		"TokenStore",
		"VerificationError",
		"VerificationReason",
		"Verifier",
		"VerifierOption",
	}
}

// The function mark writes a marker into each field. The marker is the name of
// the type and of the field, as <Type.Field>.
func mark(v reflect.Value, name string, depth int) {
	marker := "<" + name + ">"
	switch x := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*x = json.RawMessage(`{"in":"` + marker + `"}`)
		return
	case *[]byte:
		*x = []byte(marker)
		return
	case *json.Number, *plural.Timestamp:
		return
	case *http.Header:
		*x = http.Header{"X-In": {marker}}
		return
	case *error:
		*x = errors.New("cause")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(marker)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		mark(v.Elem(), name, depth)
	case reflect.Slice:
		if depth < 3 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			mark(v.Index(0), name, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(marker), reflect.ValueOf(marker))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				mark(v.Field(i), v.Type().Name()+"."+f.Name, depth)
			}
		}
	default:
	}
}

func TestEveryExportedTypeIsInTheRedactionTest(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var exported []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				exported = append(exported, spec.Name.Name)
			}
			return true
		})
	}
	require.ElementsMatch(t, exported, append(slices.Collect(maps.Keys(markedValues())), typesWithoutData()...))
}

// An Error with a status code has a longer text than an Error without one. This
// text, too, must leave out the fields that are not printable.
func TestErrorOfAnAnswerShowsNothingPersonal(t *testing.T) {
	t.Parallel()
	e := &plural.Error{}
	mark(reflect.ValueOf(e).Elem(), "", 0)
	e.StatusCode, e.Attempts = 422, 2
	hidden := slices.DeleteFunc(
		markersOf(t, e),
		func(field string) bool { return slices.Contains(printableFields(), field) },
	)
	require.Contains(t, hidden, "ErrorDetails.Metadata")
	require.Empty(t, markersIn(e.Error(), hidden))
}

// Every way to print a value leaves out the fields that are not printable.
func TestNothingPersonalIsPrinted(t *testing.T) {
	t.Parallel()
	allowed := printableFields()
	for name, v := range markedValues() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			markers := slices.DeleteFunc(markersOf(t, v), func(field string) bool { return slices.Contains(allowed, field) })
			slices.Sort(markers)
			markers = slices.Compact(markers)
			for way, text := range printInAllWays(t, v) {
				for _, field := range markersIn(text, markers) {
					require.Fail(t, "not redacted", "%s shows %s: %s", way, field, text)
				}
			}
		})
	}
}

// Each field that printableFields() lists exists, so the list has no outdated
// entries.
func TestPrintableFieldsAreFields(t *testing.T) {
	t.Parallel()
	values := markedValues()
	for _, field := range printableFields() {
		typeName, fieldName, _ := strings.Cut(field, ".")
		require.Contains(t, values, typeName, field)
		_, ok := reflect.TypeOf(values[typeName]).Elem().FieldByName(fieldName)
		require.True(t, ok, field)
	}
}

// The constant verbs has all verbs of fmt except %p. The verb %p never calls a
// value's methods, and go vet reports each use of %p.
const verbs = "vtTbcdoOqxXUeEfFgGs"

// printInAllWays prints a value and the pointer to it in every possible way,
// alone and inside other values. It returns the texts.
func printInAllWays(t *testing.T, pointer any) map[string]string {
	t.Helper()
	value := reflect.ValueOf(pointer).Elem().Interface()
	_, isError := pointer.(error)
	out := map[string]string{}
	for form, v := range map[string]any{
		"pointer": pointer, "value": value, "slice": []any{value}, "map": map[string]any{"k": pointer},
		"field": struct{ V any }{value},
	} {
		for _, verb := range verbs {
			for _, flags := range []string{"", "+", "#", " "} {
				format := "%" + flags + string(verb)
				out[form+" "+format] = fmt.Sprintf(format, v)
			}
		}
		out[form+" Errorf"] = fmt.Errorf("%w %v", errors.New("x"), v).Error()
		if form != "pointer" && (form != "value" || isError) {
			continue // slog uses json.Marshal for these forms, and json.Marshal does not leave out personal data
		}
		var text, document strings.Builder
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "k", v)
		slog.New(slog.NewJSONHandler(&document, nil)).Info("m", "k", v)
		out[form+" slog text"], out[form+" slog JSON"] = text.String(), document.String()
	}
	if err, ok := pointer.(error); ok {
		out["error text"] = err.Error()
	}
	if s, ok := pointer.(fmt.Stringer); ok {
		out["String"] = s.String()
	}
	return out
}

// markersOf returns all markers anywhere in v.
func markersOf(t *testing.T, v any) []string {
	t.Helper()
	var found []string
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			found = append(found, strings.Trim(v.String(), "<>"))
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				text := string(v.Bytes())
				_, text, _ = strings.Cut(text, "<")
				text, _, _ = strings.Cut(text, ">")
				found = append(found, text)
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(v.MapIndex(key))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		default:
		}
	}
	walk(reflect.ValueOf(v))
	return slices.DeleteFunc(found, func(s string) bool { return !strings.Contains(s, ".") })
}

// markersIn finds markers in a text. It also finds them where fmt has printed
// them as numbers, or with spaces between the characters.
func markersIn(text string, markers []string) []string {
	var found []string
	lower := strings.ToLower(text)
	for _, m := range markers {
		whole := m + ">" // with ">", because a field's name may begin with the name of another field
		decimal := strings.Trim(fmt.Sprintf("%d", []byte(whole)), "[]")
		spaced := strings.Join(strings.Split(whole, ""), " ")
		quoted := strings.Trim(fmt.Sprintf("%q", []rune(whole)), "[]")
		if strings.Contains(text, "<"+m+">") || strings.Contains(text, `\u003c`+m+`\u003e`) ||
			strings.Contains(lower, hex.EncodeToString([]byte(whole))) ||
			strings.Contains(lower, strings.TrimSpace(fmt.Sprintf("% x", whole))) ||
			strings.Contains(text, decimal) ||
			strings.Contains(text, spaced) ||
			strings.Contains(text, quoted) {
			found = append(found, m)
		}
	}
	return found
}

// json.Marshal keeps personal data, but shows no secret.
func TestJSONKeepsPersonalData(t *testing.T) {
	t.Parallel()
	for name, v := range markedValues() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document, err := json.Marshal(v)
			require.NoError(t, err)
			switch name {
			case "Credentials":
				require.JSONEq(t, `"[redacted]"`, string(document))
				return
			case "Error":
				for _, hidden := range []string{"Error.Body", "Error.Header"} {
					require.NotContains(t, markersIn(string(document), markersOf(t, v)), hidden)
				}
				return
			case "OutcomeUnknownError", "StateError", "DuplicateOrderError", "NotPaidError", "DoubleRefundError", "PaymentLinkError":
				require.NotContains(t, string(document), "email", "a log must not show the order inside an error")
				require.NotContains(t, string(document), "payments")
				return
			case "Response", "Callback", "Event": // these hold raw bytes, or have rules of their own
				return
			}
			for _, field := range markersOf(t, v) {
				require.Contains(t, markersIn(string(document), []string{field}), field)
			}
		})
	}
	o := markedValues()["Order"].(*plural.Order)
	document, err := json.Marshal(o)
	require.NoError(t, err)
	var again plural.Order
	require.NoError(t, json.Unmarshal(document, &again))
	require.Contains(t, string(again.RawJSON()), "Customer.EmailID")
}

// Some values keep a secret in a hidden field. If such a value is printed in
// any way, the text does not show the secret.
func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	creds := plural.Credentials{ClientID: "<s.3cret1>", ClientSecret: "<s.3cret2>"}
	client, err := plural.NewClient(
		creds,
		plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, `{"access_token":"<s.3cret3>","expires_in":3600}`), nil
		})}),
	)
	require.NoError(t, err)
	require.NoError(t, client.Warm(t.Context()))
	hexSecret := hex.EncodeToString([]byte("<s.3cret4-longer>"))
	key, err := plural.HexKey(hexSecret)
	require.NoError(t, err)
	raw, err := plural.RawKey("<s.3cret5-longer>")
	require.NoError(t, err)
	verifier, err := plural.NewVerifier(hexSecret, plural.WithWebhookKeys(key, raw))
	require.NoError(t, err)
	secrets := []string{"s.3cret1", "s.3cret2", "s.3cret3", "s.3cret4", "s.3cret5", hexSecret}

	for name, v := range map[string]any{
		"Client": client, "Credentials": &creds, "Key": &key, "Verifier": verifier, "OrderService": client.Orders,
		"CaptureService": client.Captures,
		"CancelService":  client.Cancels, "RefundService": client.Refunds,
	} {
		ways := map[string]string{}
		if name == "Client" || name == "Verifier" { // values of these types must not be copied
			for _, verb := range verbs {
				for _, flags := range []string{"", "+", "#"} {
					ways[flags+string(verb)] = fmt.Sprintf("%"+flags+string(verb)+" %"+flags+string(verb), v, struct{ V, v any }{v, v})
				}
			}
			var text, document strings.Builder
			slog.New(slog.NewTextHandler(&text, nil)).Info("m", "k", v, "in", struct{ V any }{v})
			slog.New(slog.NewJSONHandler(&document, nil)).Info("m", "k", v, "in", struct{ V any }{v})
			ways["slog text"], ways["slog JSON"] = text.String(), document.String()
		} else {
			ways = printInAllWays(t, v)
		}
		document, err := json.Marshal(map[string]any{"v": v, "list": []any{v}})
		require.NoError(t, err)
		ways["JSON"] = string(document)
		for way, text := range ways {
			require.Empty(t, markersIn(text, secrets), "%s, %s: %s", name, way, text)
			require.NotContains(t, text, "3cret", "%s, %s", name, way)
			require.NotContains(t, text, hexSecret, "%s, %s", name, way)
		}
	}
}
