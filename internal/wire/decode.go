// Package wire reads the JSON that Plural really sends.
//
// The documented shapes are snake_case objects with fixed scalar types. The
// real ones also have camelCase keys, "false" for false, numbers for strings,
// strings for numbers, one object where an array is documented, and empty
// strings or arrays where an object is documented. [Unmarshal] accepts all of
// these and decodes them to the same Go value.
package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// MaxDepth is how deep a document may nest. The deepest published one has eight
// levels. Orders inside of orders are kept as they came, each on its own, so
// that this also bounds the copies.
const MaxDepth = 32

// MaxItems is how many elements a list, or members an object, may have, and
// MaxItemsInAll how many the document. An order of a thousand payments passes;
// what a document becomes in memory stays below 64 MiB.
const (
	MaxItems      = 2_000
	MaxItemsInAll = 100_000
)

// MaxGrowth is how many times its own size the lists of a document may become
// in memory, beyond minGrowth. An empty object of two bytes can become a struct
// of a kilobyte; no published document grows tenfold.
const (
	MaxGrowth = 32
	minGrowth = 64 << 10
)

const ruleInt = "must be a whole number"

// DecodeError says which value of a document could not be used.
type DecodeError struct {
	Path string // of the value, such as "payments[0].capture_data[1].capture_amount.value"; "" for the whole document
	Rule string // what the value would have to be

	Limit bool // the document is beyond one of the limits
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return "JSON document " + e.Rule
	}
	return "JSON value " + e.Path + " " + e.Rule
}

func (e *DecodeError) under(name string) *DecodeError {
	if e.Path == "" || e.Path[0] == '[' {
		return &DecodeError{Path: name + e.Path, Rule: e.Rule}
	}
	return &DecodeError{Path: name + "." + e.Path, Rule: e.Rule}
}

// Unmarshal decodes the one JSON document in data into dst, a pointer to a
// struct.
//
// Fields are named by their json tags; an `alias:"a,b"` tag adds further wire
// names for the same field, which count where its own brought nothing. Keys are
// matched in snake_case or camelCase. A scalar of another kind is converted
// where that loses nothing and is otherwise left out, except in fields tagged
// `wire:"exact"`, where it is an error, and in objects and arrays, where it is
// one too; a field tagged `wire:"optional"` is left out when it has such an
// error inside. Unknown fields and nulls are passed over. Values that implement
// [json.Unmarshaler] decode themselves.
func Unmarshal(data []byte, dst any) error {
	data = Document(data)
	if err := check(data); err != nil {
		return err
	}
	if err := checkItems(data); err != nil {
		return err
	}
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("wire: Unmarshal into %T", dst)
	}
	s := scanner{data: data, room: minGrowth + MaxGrowth*len(data)}
	if err := decodeStruct(&s, v.Elem(), planFor(v.Elem().Type())); err != nil {
		return err
	}
	return nil
}

// Document is data without the byte-order mark that some servers put before
// it.
func Document(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// Check says whether data is exactly one valid JSON document of a sane depth.
func Check(data []byte) error { return check(Document(data)) }

func check(data []byte) error {
	if depth(data) > MaxDepth {
		return &DecodeError{Rule: fmt.Sprintf("nests deeper than %d levels", MaxDepth), Limit: true}
	}
	if !json.Valid(data) {
		return &DecodeError{Rule: "is not valid JSON"}
	}
	return nil
}

// checkItems bounds what a document may become. An empty object of two bytes
// can become a struct of kilobytes.
func checkItems(data []byte) error {
	total, level := 0, 0
	var items [MaxDepth + 1]int
	count := func() error {
		items[level]++
		total++
		switch {
		case items[level] > MaxItems:
			return &DecodeError{Rule: fmt.Sprintf("has a list of more than %d elements", MaxItems), Limit: true}
		case total > MaxItemsInAll:
			return &DecodeError{Rule: fmt.Sprintf("has more than %d elements in all", MaxItemsInAll), Limit: true}
		}
		return nil
	}
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i) - 1
		case '{', '[':
			level++
			items[level] = 0
			if err := count(); err != nil {
				return err
			}
		case '}', ']':
			level--
		case ',':
			if err := count(); err != nil {
				return err
			}
		}
	}
	return nil
}

func decode(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.peek() == 'n' {
		s.skip()
		if t.exact {
			return &DecodeError{Rule: ruleInt}
		}
		return nil
	}
	switch t.kind {
	case kindString:
		if text, ok := s.scalar(); ok {
			v.SetString(text)
		}
	case kindNumber:
		if text, ok := s.scalar(); ok && isNumber(text) {
			v.SetString(text)
		}
	case kindBool:
		if text, ok := s.scalar(); ok {
			if b, ok := parseBool(text); ok {
				v.SetBool(b)
			}
		}
	case kindInt:
		n, ok := s.integer()
		switch {
		case ok && !v.OverflowInt(n):
			v.SetInt(n)
		case t.exact:
			return &DecodeError{Rule: ruleInt}
		}
	case kindRaw:
		v.SetBytes(slices.Clone(s.skip()))
	case kindSelf:
		if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(s.skip()); err != nil {
			return asDecodeError(err)
		}
	case kindPointer:
		return decodePointer(s, v, t)
	case kindStruct:
		return decodeStructOrNothing(s, v, t.fields)
	case kindSlice:
		return decodeSlice(s, v, t)
	case kindStringMap:
		decodeStringMap(s, v)
	}
	return nil
}

func decodePointer(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.nothing() ||
		t.elem.kind == kindStruct && s.peek() != '{' { // an optional object; a text in its place is in the raw document
		s.skip()
		return nil
	}
	if t.elem.kind == kindInt {
		at := s.pos
		if _, ok := s.integer(); !ok {
			return nil // it can be told from 0
		}
		s.pos = at
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return decode(s, v.Elem(), t.elem)
}

func decodeStructOrNothing(s *scanner, v reflect.Value, fields *structPlan) *DecodeError {
	if s.nothing() {
		s.skip()
		return nil
	}
	if err := decodeStruct(s, v, fields); err != nil {
		return asDecodeError(err)
	}
	return nil
}

func decodeStruct(s *scanner, v reflect.Value, fields *structPlan) error {
	if s.peek() != '{' {
		return &DecodeError{Rule: "must be an object"}
	}
	for key := range s.members() {
		f := fields.lookup(key)
		if f == nil || f.alias && !isEmpty(v.Field(f.index)) {
			s.skip()
			continue
		}
		at := s.pos
		if err := decode(s, v.Field(f.index), f.plan); err != nil {
			if !f.loose {
				return err.under(f.name)
			}
			v.Field(f.index).SetZero()
			s.pos = at
			s.skip()
		}
	}
	return nil
}

// isEmpty says whether a field still holds nothing, behind its pointer if it
// has one.
func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

// decodeSlice takes an array, or one lone element. A later, empty spelling of
// the same field does not erase an earlier one.
func decodeSlice(s *scanner, v reflect.Value, t *typePlan) *DecodeError {
	if s.peek() != '[' {
		if s.nothing() || s.emptyObject() {
			s.skip()
			return nil
		}
		one := reflect.MakeSlice(v.Type(), 1, 1)
		if err := decode(s, one.Index(0), t.elem); err != nil {
			return err
		}
		v.Set(one)
		return nil
	}
	out := reflect.MakeSlice(v.Type(), 0, 0)
	size := int(v.Type().Elem().Size())
	for i := range s.elements() {
		if s.room -= 2 * size; s.room < 0 { // a list that grows is copied
			return &DecodeError{Rule: fmt.Sprintf("would become more than %d times its size", MaxGrowth), Limit: true}
		}
		out = reflect.Append(out, reflect.Zero(v.Type().Elem()))
		if err := decode(s, out.Index(i), t.elem); err != nil {
			return err.under(fmt.Sprintf("[%d]", i))
		}
	}
	if out.Len() > 0 || v.IsNil() {
		v.Set(out)
	}
	return nil
}

// decodeStringMap keeps the merchant's own keys as they are, and the JSON text
// of values that are not scalars.
func decodeStringMap(s *scanner, v reflect.Value) {
	if s.peek() != '{' {
		s.skip()
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for key := range s.members() {
		at := s.pos
		if s.peek() == 'n' {
			s.skip()
			continue
		}
		text, ok := s.scalar()
		if !ok {
			text = strings.ToValidUTF8(strings.TrimSpace(string(s.data[at:s.pos])), "\uFFFD")
		}
		v.SetMapIndex(reflect.ValueOf(unquote(key)).Convert(v.Type().Key()), reflect.ValueOf(text).Convert(v.Type().Elem()))
	}
}

func asDecodeError(err error) *DecodeError {
	if e, ok := err.(*DecodeError); ok { //nolint:errorlint // errors of this package come unwrapped
		return e
	}
	return &DecodeError{Rule: "cannot be used: " + err.Error()}
}
