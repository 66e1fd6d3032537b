// Package foreign wraps errors that do not come from this module.
//
// Such an error can come from a transport, from a middleware, or from reading a
// body. The cause with which a context has ended is also such an error. A
// transport or a middleware may itself call package plural for another order,
// and return the error of that call. So the SDK never concludes anything about
// an order from such an error, and never shows its text unchecked.
package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/textproto"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/clean"
)

// Sentinel makes an error that the module exports. Its type distinguishes it
// from all other errors.
func Sentinel(text string) error { return &sentinelError{text} }

type sentinelError struct{ text string }

func (s *sentinelError) Error() string { return s.text }

// Wrap wraps an error that does not come from this module. [errors.Is] and
// [errors.As] still find the errors in err, except this module's errors. The
// text of the wrapper only describes err. The wrapper has no Unwrap, because
// code that walks the chain would print each error. If the text of err has one
// of the secrets, the secret is blanked.
func Wrap(err error, secrets ...string) error {
	return Around(err, nil, secrets...)
}

// Around is a variant of [Wrap]. The argument named ours is an error that this
// module returned for the same try. [errors.Is] and [errors.As] also find that
// error, no matter whether err contains it. If err is nil or was wrapped
// before, Around returns err unchanged.
func Around(err, ours error, secrets ...string) error {
	if _, isForeign := err.(*foreignError); err == nil || isForeign { //nolint:errorlint // whether err is wrapped already
		return err
	}
	return &foreignError{text: Describe(err, secrets...), behind: func() (error, error) { return err, ours }}
}

// Under is a variant of [Wrap]. The caller supplies the text of the wrapper.
func Under(text string, err error) error {
	return &foreignError{text: text, behind: func() (error, error) { return err, nil }}
}

// NotTheCallers is for an error that does not come from the caller's context.
// The error may still match [context.DeadlineExceeded] or [context.Canceled],
// because it may come from a time limit of the transport or of this module.
// NotTheCallers wraps such an error. The wrapper matches neither
// [context.DeadlineExceeded] nor [context.Canceled]. So the error does not look
// as if the caller's context had ended. NotTheCallers returns any other error
// unchanged.
func NotTheCallers(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	own := *Wrap(err).(*foreignError) //nolint:errorlint,forcetypeassert // Wrap returns this type if err is not nil
	own.isLimit = true
	return &own
}

type foreignError struct {
	text    string
	isLimit bool // the error is a time limit, but not the caller's time limit

	// The function behind returns two errors. The error err is the wrapped
	// error. The error ours is the second argument of Around, or nil. These
	// errors are not fields, because some code prints all fields of a value by
	// reflection. For a function, such code prints only an address.
	behind func() (err, ours error)
}

func (f *foreignError) Error() string { return f.text }

// ignorePanic is for use with defer, because the methods of a foreign error may
// panic.
func ignorePanic() { _ = recover() }

// [errors.Is] calls this method to compare the wrapper with target. The result
// is true in two cases:
//   - Around was called with an error of this module, and that error matches
//     target.
//   - The type of target is not from this module, and the wrapped error matches
//     target.
//
// For a wrapper from NotTheCallers, the result is false if target is
// [context.DeadlineExceeded] or [context.Canceled].
func (f *foreignError) Is(target error) (is bool) {
	defer ignorePanic()
	if f.isLimit && (target == context.DeadlineExceeded || target == context.Canceled) {
		return false
	}
	err, ours := f.behind()
	return ours != nil && errors.Is(ours, target) || !isOurs(reflect.TypeOf(target)) && errors.Is(err, target)
}

// [errors.As] calls this method to find an error of target's type. If Around
// was called with an error of this module, the method searches that error
// first. Then it searches the wrapped error, and skips all errors of this
// module.
//
// The text of an error that is found in the wrapped error may have sensitive
// parts. Then the method stores another error in target: the result of
// blankedCopy, or else a harmlessError. If target's type allows neither of
// them, the method stores the error that it has found.
func (f *foreignError) As(target any) (found bool) {
	defer ignorePanic()
	err, ours := f.behind()
	if ours != nil && errors.As(ours, target) {
		return true
	}
	into := reflect.ValueOf(target).Elem()
	return !isOurs(into.Type()) && walkChain(err, func(err error) bool { return assign(into, err) })
}

// assign stores err in the target of [errors.As], if it fits.
func assign(into reflect.Value, err error) bool {
	if isOurs(reflect.TypeOf(err)) {
		return false
	}
	if !reflect.TypeOf(err).AssignableTo(into.Type()) {
		other, can := err.(interface{ As(target any) bool })
		if !can || !other.As(into.Addr().Interface()) {
			return false
		}
		if found, isError := reflect.TypeAssert[error](into); isError && isOurs(reflect.TypeOf(found)) {
			into.SetZero()
			return false
		}
		return true
	}
	if walkChain(err, func(err error) bool { return Describe(err) != err.Error() }) {
		for _, instead := range []error{blankedCopy(err), newHarmlessError(err)} {
			if instead != nil && reflect.TypeOf(instead).AssignableTo(into.Type()) {
				err = instead
				break
			}
		}
	}
	into.Set(reflect.ValueOf(err))
	return true
}

// NoVerdict returns an error that wraps cause. [errors.Is] and [errors.As] find
// in it what they find in cause. The only exceptions are this module's
// sentinels: [errors.Is] does not find them.
func NoVerdict(cause error) error { return noVerdictError{cause} }

type noVerdictError struct{ cause error }

func (n noVerdictError) Error() string { return n.cause.Error() }

func (n noVerdictError) Is(target error) bool {
	_, isSentinel := target.(*sentinelError)
	return !isSentinel && errors.Is(n.cause, target)
}

func (n noVerdictError) As(target any) bool { return errors.As(n.cause, target) }

const maxChain = 100

// walkChain calls the function visit for err, and then for the errors that err
// wraps, in the order of [errors.As]. It also calls visit for the errors inside
// the wrappers of this package. When visit returns true, walkChain stops and
// returns true. It also stops after maxChain errors, because an error can wrap
// itself.
func walkChain(err error, visit func(error) bool) bool {
	left := maxChain
	var step func(error) bool
	step = func(err error) bool {
		if left--; err == nil || left < 0 {
			return false
		}
		if visit(err) {
			return true
		}
		switch err := err.(type) { //nolint:errorlint // the function follows the chain itself
		case *foreignError:
			behind, _ := err.behind()
			return step(behind)
		case noVerdictError:
			return step(err.cause)
		case interface{ Unwrap() error }:
			return step(err.Unwrap())
		case interface{ Unwrap() []error }:
			return slices.ContainsFunc(err.Unwrap(), step)
		}
		return false
	}
	return step(err)
}

// isOurs reports whether a type is from package plural or from one of its
// internal packages.
func isOurs(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	root := strings.TrimSuffix(reflect.TypeFor[foreignError]().PkgPath(), "/internal/foreign")
	return t.PkgPath() == root || strings.HasPrefix(t.PkgPath(), root+"/internal/")
}

// Describe returns an error's text without the parts in quotes. Such a part may
// come from a malformed answer, and may have the payer's data or the secret.
func Describe(err error, secrets ...string) (text string) {
	defer func() {
		if recover() != nil {
			text = "an error without a text"
		}
	}()
	described := err.Error()
	walkChain(err, func(err error) bool {
		if instead, ok := cleanText(err); ok && err.Error() != "" {
			described = strings.ReplaceAll(described, err.Error(), instead)
		}
		return false
	})
	described = withoutQuotes(described)
	for _, secret := range secrets {
		described = blankSecret(described, secret)
	}
	return clean.OneLine(described)
}

func withoutQuotes(text string) string { return quoted.ReplaceAllString(text, `"..."`) }

var quoted = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*"?`)

// The texts of some errors of the standard library have sensitive parts that
// are not in quotes. For such an error, cleanText returns a text without these
// parts. For any other error it returns false. It examines only err itself, and
// not the errors that err wraps.
func cleanText(err error) (string, bool) {
	switch err := err.(type) { //nolint:errorlint // one link
	case *url.Error:
		return err.Err.Error(), true
	case textproto.ProtocolError:
		return malformedHeader, true
	case *json.UnmarshalTypeError, *net.ParseError, *net.AddrError:
		return blankedCopy(err).Error(), true
	}
	return "", false
}

const malformedHeader = "the header of the answer is malformed"

// blankedCopy returns a copy of an error of the standard library. In the copy,
// the sensitive parts are blanked. If a network error wraps another error, the
// copy wraps a harmlessError in its place. For an error whose type is not in
// the switch below, blankedCopy returns nil.
func blankedCopy(err error) error {
	const blank = "..."
	switch err := err.(type) { //nolint:errorlint // one link
	case *url.Error:
		return &url.Error{Op: err.Op, URL: blank, Err: newHarmlessError(err.Err)}
	case *net.OpError:
		own := *err
		own.Err = newHarmlessError(err.Err)
		return &own
	case textproto.ProtocolError:
		return textproto.ProtocolError(malformedHeader)
	case *json.UnmarshalTypeError:
		own := *err
		own.Value, _, _ = strings.Cut(err.Value, " ")
		return &own
	case *strconv.NumError:
		return &strconv.NumError{Func: err.Func, Num: blank, Err: err.Err}
	case *time.ParseError:
		own := *err
		own.Value, own.ValueElem, own.Message = blank, blank, withoutQuotes(err.Message)
		return &own
	case *net.ParseError:
		return &net.ParseError{Type: err.Type, Text: blank}
	case *net.AddrError:
		return &net.AddrError{Err: err.Err, Addr: blank}
	}
	return nil
}

// A harmlessError takes the place of an error whose text may show sensitive
// parts. Its own text is a description of that error without the sensitive
// parts. Like a [net.Error], it has the methods Timeout and Temporary.
type harmlessError struct{ *foreignError }

func newHarmlessError(err error) error {
	if f, ok := Wrap(err).(*foreignError); ok { //nolint:errorlint // nil, or this
		return harmlessError{f}
	}
	return nil
}

// The methods Timeout and Temporary report what the replaced error reports.
func (h harmlessError) Timeout() bool {
	err, _ := h.behind()
	var timed interface{ Timeout() bool }
	return errors.As(err, &timed) && timed.Timeout()
}

func (h harmlessError) Temporary() bool {
	err, _ := h.behind()
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
