// Package foreign wraps errors that do not come from this module.
//
// Such an error is the cause of an ended context, or comes from a transport,
// from a middleware or from reading a body. It may even be an error that
// package plural returned for another order. So the SDK never concludes
// anything about an order from such an error, and never shows its text
// unchecked.
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

// Under is a variant of [Wrap]. The argument text becomes the text of the
// wrapper.
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

	// The wrapped error, and the part of it that comes from this module. They
	// are in a function, because code that prints by reflection prints only the
	// address of a function.
	behind func() (err, ours error)
}

func (f *foreignError) Error() string { return f.text }

// ignorePanic is for use with defer, because the methods of a foreign error may
// panic.
func ignorePanic() { _ = recover() }

// [errors.Is] calls the method Is, to compare the wrapper with target. The
// result is true if the wrapped error matches target, or if the error of this
// module that was given to Around matches target. The method skips all other
// errors of this module.
func (f *foreignError) Is(target error) (is bool) {
	defer ignorePanic()
	if f.isLimit && (target == context.DeadlineExceeded || target == context.Canceled) {
		return false
	}
	err, ours := f.behind()
	return ours != nil && errors.Is(ours, target) || !isOurs(reflect.TypeOf(target)) && errors.Is(err, target)
}

// [errors.As] calls the method As, to find an error of target's type. The
// method looks for such an error in the wrapped error, and in the error of this
// module that was given to Around. It skips all other errors of this module. If
// the text of the error that it finds has no sensitive parts, or the type of
// that error is the caller's own, the method stores the error unchanged. If an
// error of the standard library has sensitive parts, the method stores a copy
// in which these parts are blanked.
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
		for _, instead := range []error{blankedCopy(err), newHarmless(err)} {
			if instead != nil && reflect.TypeOf(instead).AssignableTo(into.Type()) {
				err = instead
				break
			}
		}
	}
	into.Set(reflect.ValueOf(err))
	return true
}

// NoVerdict wraps a cause, so [errors.Is] no longer matches it with this
// module's sentinels.
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
// parts. For any other error it returns false. It looks at one error of a
// chain.
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
// the sensitive parts are blanked. If a network error wraps another error, a
// value of type harmless takes the place of the wrapped error. blankedCopy
// knows only the types below. For an error of any other type it returns nil.
func blankedCopy(err error) error {
	const blank = "..."
	switch err := err.(type) { //nolint:errorlint // one link
	case *url.Error:
		return &url.Error{Op: err.Op, URL: blank, Err: newHarmless(err.Err)}
	case *net.OpError:
		own := *err
		own.Err = newHarmless(err.Err)
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

// A value of type harmless takes the place of an error whose text may show
// sensitive parts. The text of the value only describes that error. Like a
// [net.Error], the value has the methods Timeout and Temporary.
type harmless struct{ *foreignError }

func newHarmless(err error) error {
	if f, ok := Wrap(err).(*foreignError); ok { //nolint:errorlint // nil, or this
		return harmless{f}
	}
	return nil
}

// The methods Timeout and Temporary report what the replaced error reports.
func (h harmless) Timeout() bool {
	err, _ := h.behind()
	var timed interface{ Timeout() bool }
	return errors.As(err, &timed) && timed.Timeout()
}

func (h harmless) Temporary() bool {
	err, _ := h.behind()
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
