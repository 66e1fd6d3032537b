// Package wire reads the JSON that Plural really sends.
//
// According to the API's pages, documents are snake_case objects with fixed
// scalar types. The real documents can differ from these pages:
//   - Keys can be in camelCase.
//   - A boolean can come as a string, such as "false".
//   - A number can come as a string, and a string can come as a number.
//   - One object can come in place of an array.
//   - An empty string or an empty array can come in place of an object.
//
// [Unmarshal] accepts all of these forms and decodes them to the same Go value.
package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// MaxDepth is how deep a document may nest. The deepest published document has
// eight levels.
const MaxDepth = 32

// MaxItems limits the elements of a list and the members of an object.
// MaxItemsInAll limits the number of all elements and members of the document.
// An order with a thousand payments passes, and the decoded document stays
// below 64 MiB.
const (
	MaxItems      = 2_000
	MaxItemsInAll = 100_000
)

// MaxGrowth limits the memory for the lists and objects of a document. It is a
// multiple of the document's size. Up to minGrowth bytes are always allowed,
// and more than maxGrowth bytes are never allowed. The limit is needed because
// an empty object of two bytes can become a struct of half a kilobyte. The
// published documents take less than ten times their size when they are
// decoded. A decoded order with a thousand payments takes a megabyte.
const (
	MaxGrowth = 32
	minGrowth = 64 << 10
	maxGrowth = 16 << 20
)

const (
	ruleInt    = "must be a whole number"
	ruleObject = "must be an object"
)

// DecodeError reports that a document has a value that could not be used. Its
// Path is the place of that value in the document.
type DecodeError struct {
	Path string // such as "payments[0].capture_data[1].capture_amount.value"; "" for the whole document
	Rule string // what the value must be

	Limit bool // the document exceeds one of the limits
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return "JSON document " + e.Rule
	}
	return "JSON value " + e.Path + " " + e.Rule
}

func (e *DecodeError) inField(name string) *DecodeError {
	return &DecodeError{Path: joinPath(name, e.Path), Rule: e.Rule, Limit: e.Limit}
}

// Raw is the JSON of a value. It is a part of the document's text.
type Raw string

// Text returns the text of a JSON string that Unmarshal has read.
func (r Raw) Text() string { return unquote(string(r)) }

// Part is an object inside a document. If the object cannot be decoded,
// Unmarshal still decodes the rest of the document.
type Part[T any] struct {
	Raw   Raw // the JSON of the object; "" if it is missing or null
	Value *T  // nil if it cannot be decoded
	Err   error
}

func (Part[T]) isPart() {}

// Keep is for a struct type that needs the JSON from which it was decoded. It
// registers a function for the type. When Unmarshal has decoded such a struct
// inside a document, it calls this function with the struct and its JSON.
// Unmarshal does not call the function for the struct that dst points to. Call
// Keep while a package is initialised.
func Keep[T any](keep func(v *T, raw string)) struct{} {
	keepers.Store(reflect.TypeFor[T](), func(v reflect.Value, raw string) { keep(v.Addr().Interface().(*T), raw) })
	return struct{}{}
}

// FromText registers a function that decodes values of a type. The function
// gets the text of a string, a number or a boolean, or the JSON of any other
// value except null. Call FromText while a package is initialised.
func FromText[T any](decode func(v *T, text string)) struct{} {
	decoders.Store(reflect.TypeFor[T](), func(v reflect.Value, text string) { decode(v.Addr().Interface().(*T), text) })
	return struct{}{}
}

// The functions that packages register for their types: reflect.Type to
// func(reflect.Value, string).
//
//nolint:gochecknoglobals // filled when packages are initialised
var keepers, decoders sync.Map

// Unmarshal decodes a JSON object into dst, a pointer to a struct. The struct's
// fields have json tags. They may also have alias tags: `alias:"a,b"` lists
// more names for the field. A value under one of these names is used if the
// document has no value under the field's own name. Keys may be in snake_case
// or camelCase.
//
// The document may have a value that does not fit the Go field:
//
//   - A scalar of another kind is converted if nothing is lost. Otherwise it is
//     left out.
//   - In a whole number tagged `wire:"exact"`, a value that cannot be converted
//     is an error, and so is null. In any other field, null is skipped.
//   - If the Go field is a struct, a scalar other than "" is an error. If the
//     Go field is a pointer to a struct, the scalar is left out.
//   - If there is an error inside a field tagged `wire:"optional"`, the field
//     is left out.
//
// Unknown fields are skipped. A type that is registered with [FromText] is
// decoded by the registered function. A value that implements
// [json.Unmarshaler] decodes itself.
//
// Unmarshal reads and checks the document in one pass. Strings and [Raw] JSON
// share the memory of the document, and are not copies.
func Unmarshal(document string, dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("wire: Unmarshal into %T", dst)
	}
	text := Document(document)
	s := scanner{text: text, room: min(minGrowth+MaxGrowth*len(text), maxGrowth)}
	err := decodeStruct(&s, v.Elem(), planFor(v.Elem().Type()))
	if s.peek(); err == nil && s.pos != len(s.text) {
		s.setFailed()
	}
	if err == nil && !s.hasFailed {
		return nil
	}
	for _, isCounted := range []bool{false, true} { // a fault of the whole document is reported first
		if wrong := check(text, isCounted); wrong != nil {
			return wrong
		}
	}
	return err
}

// byteOrderMark is a mark that some servers write before a document.
const byteOrderMark = "\ufeff"

// Document returns text without the byte-order mark.
func Document(text string) string { return strings.TrimPrefix(text, byteOrderMark) }

// Check returns nil if text is exactly one valid JSON document that does not
// nest too deep. Otherwise it returns an error.
func Check(text string) error { return check(Document(text), false) }

// CheckLimits checks the limits for a document that another decoder will read.
// It allocates nothing. It does not check whether the document is valid JSON,
// because the other decoder does that.
func CheckLimits(document string) error {
	limit, ok := check(document, true).(*DecodeError) //nolint:errorlint // this package returns its errors unwrapped
	if ok && limit.Limit {
		return limit
	}
	return nil
}

func check(text string, isCounted bool) error {
	s := scanner{text: text, uncounted: !isCounted}
	s.skip()
	if s.peek(); s.pos != len(text) {
		s.setFailed()
	}
	switch {
	case s.limit != nil:
		return s.limit
	case s.hasFailed:
		return errNotJSON
	}
	return nil
}

var errNotJSON = &DecodeError{Rule: "is not valid JSON"}

// decodeValue reads one value. If s.hasFailed is set afterwards, the document
// is not JSON, and the result means nothing.
func decodeValue(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.peek() == 'n' {
		s.skip()
		if t.exact {
			return &DecodeError{Rule: ruleInt}
		}
		return nil
	}
	switch t.kind {
	case kindString:
		if text, ok := s.readScalar(); ok {
			v.SetString(text)
		}
	case kindNumber:
		if text, ok := s.readScalar(); ok && isNumber(text) {
			v.SetString(text)
		}
	case kindBool:
		if text, ok := s.readScalar(); ok {
			if b, ok := parseBool(text); ok {
				v.SetBool(b)
			}
		}
	case kindInt:
		n, ok := s.readInt()
		switch {
		case ok && !v.OverflowInt(n):
			v.SetInt(n)
		case t.exact:
			return &DecodeError{Rule: ruleInt}
		}
	case kindRawBytes:
		v.SetBytes([]byte(s.skip()))
	case kindRawText:
		v.SetString(s.skip())
	case kindText:
		decodeText(s, v, t)
	case kindSelf:
		if raw := s.skip(); !s.hasFailed {
			if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON([]byte(raw)); err != nil {
				return asDecodeError(err)
			}
		}
	case kindPart:
		decodePart(s, v, t)
	case kindPointer:
		return decodePointer(s, v, t)
	case kindStruct:
		return decodeStructOrNothing(s, v, t)
	case kindSlice:
		return decodeSlice(s, v, t)
	case kindStringMap:
		decodeStringMap(s, v)
	}
	return nil
}

func decodeText(s *scanner, v reflect.Value, t *typePlan) {
	isScalar := s.peek() != '{' && s.peek() != '['
	text := s.skip()
	if s.hasFailed {
		return
	}
	if isScalar && text[0] == '"' {
		text = unquote(text)
	} else if !isScalar {
		text = toValidUTF8(text)
	}
	t.typeFunc(v, text)
}

// decodePart decodes a [Part]. If that fails, it skips the value.
func decodePart(s *scanner, v reflect.Value, t *typePlan) {
	at := s.saveState()
	value := reflect.New(v.Field(1).Type().Elem())
	var err *DecodeError
	if s.peek() == '{' {
		err = decodeValue(s, value.Elem(), t.elem)
	} else {
		err = &DecodeError{Rule: ruleObject}
	}
	v.SetZero()
	if err == nil {
		v.Field(1).Set(value)
	} else {
		s.rewind(at)
		s.skip()
		v.Field(2).Set(reflect.ValueOf(err))
	}
	v.Field(0).SetString(s.text[at.pos:s.pos])
}

func decodePointer(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.isEmptyValue() ||
		t.elem.kind == kindStruct && s.peek() != '{' { // another value in place of the object is ignored
		s.skip()
		return nil
	}
	if t.elem.kind == kindInt {
		at := s.saveState()
		if _, ok := s.readInt(); !ok {
			return nil // the pointer stays nil, which differs from 0
		}
		s.rewind(at)
	}
	if v.IsNil() {
		if err := s.grow(int(v.Type().Elem().Size())); err != nil {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
	}
	return decodeValue(s, v.Elem(), t.elem)
}

func decodeStructOrNothing(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.isEmptyValue() {
		s.skip()
		return nil
	}
	s.peek()
	start := s.pos
	if err := decodeStruct(s, v, t.fields); err != nil {
		return asDecodeError(err)
	}
	if t.typeFunc != nil && !s.hasFailed {
		t.typeFunc(v, s.text[start:s.pos])
	}
	return nil
}

func decodeStruct(s *scanner, v reflect.Value, fields *structPlan) error {
	if s.peek() != '{' {
		return &DecodeError{Rule: ruleObject}
	}
	s.openBracket()
	last := &fields.beforeFirst
	for first := true; s.nextElement(first, '}'); first = false {
		f := fields.findField(s, last)
		if f != nil {
			last = f
		}
		// A field may stand in the document twice: under its name and an
		// alias, or under two spellings. The name counts before an alias, and
		// a later value before an earlier one. An empty string never replaces
		// a value.
		if f == nil || (f.alias || s.isEmptyString()) && !isEmpty(v.Field(f.index)) {
			s.skip()
			continue
		}
		at := s.saveState()
		if err := decodeValue(s, v.Field(f.index), &f.plan); err != nil {
			if !f.loose || err.Limit {
				return err.inField(f.name)
			}
			v.Field(f.index).SetZero()
			s.rewind(at)
			s.skip()
		}
	}
	return nil
}

// isEmpty reports whether a field still has no value. If the field is a
// pointer, isEmpty looks at the value that it points to.
func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

// decodeSlice decodes an array, or a single element. If the document has the
// field twice, under two spellings, and the second array is empty, the first
// value stays.
func decodeSlice(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.peek() != '[' {
		if s.isEmptyValue() || s.emptyObject() {
			s.skip()
			return nil
		}
		one := reflect.MakeSlice(v.Type(), 1, 1)
		if err := decodeValue(s, one.Index(0), t.elem); err != nil {
			return err
		}
		v.Set(one)
		return nil
	}
	out, isFirst := v, v.IsNil()
	if !isFirst {
		out = reflect.New(v.Type()).Elem()
	}
	size := int(v.Type().Elem().Size())
	s.openBracket()
	n := 0
	for ; s.nextElement(n == 0, ']'); n++ {
		if err := s.grow(2 * size); err != nil { // while a list grows, there are two copies of it
			return err
		}
		out.Grow(1)
		out.SetLen(n + 1)
		if err := decodeValue(s, out.Index(n), t.elem); err != nil {
			return err.inField(fmt.Sprintf("[%d]", n))
		}
	}
	switch {
	case n == 0 && isFirst:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case n > 0 && !isFirst:
		v.Set(out)
	}
	return nil
}

// decodeStringMap decodes an object with the merchant's own keys, and does not
// change the keys. For a value that is not a scalar, it keeps the JSON text.
func decodeStringMap(s *scanner, v reflect.Value) {
	if s.peek() != '{' {
		s.skip()
		return
	}
	m := v.Addr().Interface().(*map[string]string)
	if *m == nil {
		*m = map[string]string{}
	}
	s.openBracket()
	for first := true; s.nextElement(first, '}'); first = false {
		key := s.memberName()
		if s.peek() == 'n' {
			s.skip()
			continue
		}
		raw := s.skip()
		if s.hasFailed {
			return
		}
		text := raw
		switch raw[0] {
		case '"':
			text = unquote(raw)
		case '{', '[':
			text = toValidUTF8(raw)
		}
		(*m)[unquote(key)] = text
	}
}

func asDecodeError(err error) *DecodeError {
	if e, ok := err.(*DecodeError); ok { //nolint:errorlint // this package returns its errors unwrapped
		return e
	}
	return &DecodeError{Rule: "cannot be used: " + err.Error()}
}
