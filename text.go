package plural

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"

	"github.com/plural-go/plural/internal/clean"
)

// The function clip shortens a text to one short line, for an error text. The
// given text may come from an attacker.
func clip(s string) string {
	const most = 40
	return clean.Shorten(s, most)
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// shortenText puts a text, such as a server's message, on one line. It keeps at
// most the first 200 bytes of the text.
func shortenText(s string) string {
	const most = 200
	return clean.Shorten(s, most)
}

const redacted = clean.Redacted

// writeText writes a text for a Format method. The verbs s, q, x and X keep
// their flags. Other verbs write the plain text.
func writeText(f fmt.State, verb rune, text string) {
	switch verb {
	case 's', 'q', 'x', 'X':
		_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), text)
	default:
		_, _ = io.WriteString(f, text)
	}
}

// The function summary returns a text for a value that has a method LogValue.
// The text has the name of the type, and the attributes that LogValue returns.
func summary(name string, v slog.LogValuer) string {
	var b strings.Builder
	b.WriteString(name + "{")
	for i, attr := range v.LogValue().Group() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%v", attr.Key, attr.Value)
	}
	b.WriteByte('}')
	return b.String()
}

// isNil reports whether v is nil, or holds a nil pointer, map, function,
// channel or slice.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return r.IsNil()
	default:
		return false
	}
}
