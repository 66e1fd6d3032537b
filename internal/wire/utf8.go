package wire

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MayNotBeUTF8 reports whether a document that encoding/json has written may
// contain text that was not UTF-8. In place of such text, encoding/json writes
// the replacement character: up to Go 1.26 as an escape, from Go 1.27 on as the
// character itself. So MayNotBeUTF8 looks for both. It also returns true if the
// value itself had the replacement character.
func MayNotBeUTF8(document []byte) bool {
	return bytes.Contains(document, []byte(`\ufffd`)) || bytes.Contains(document, []byte("\ufffd")) ||
		!utf8.Valid(document)
}

// FindNotUTF8 looks for text that is not UTF-8 in a value that encoding/json
// will write. It returns the path of the text. If the name of a member is not
// UTF-8, FindNotUTF8 returns the path of the object that has this member. The
// path "" stands for the whole value.
func FindNotUTF8(v any) (path string, found bool) {
	return findNotUTF8(reflect.ValueOf(v))
}

func findNotUTF8(v reflect.Value) (path string, found bool) {
	if !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return "", false
	}
	if text, writesItself := marshaled(v); writesItself && !utf8.Valid(text) {
		return "", true
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return findNotUTF8(v.Elem())
	case reflect.String:
		return "", !utf8.ValidString(v.String())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return "", false // written as base64
		}
		for i := range v.Len() {
			if path, found := findNotUTF8(v.Index(i)); found {
				return joinPath("["+strconv.Itoa(i)+"]", path), true
			}
		}
	case reflect.Map:
		return findInMap(v)
	case reflect.Struct:
		return findInStruct(v)
	default:
	}
	return "", false
}

// marshaled returns the JSON or the text of a value that encodes itself.
func marshaled(v reflect.Value) (text []byte, ok bool) {
	if !v.CanInterface() {
		return nil, false
	}
	var err error
	switch m := v.Interface().(type) {
	case json.Marshaler:
		text, err = m.MarshalJSON()
	case encoding.TextMarshaler:
		text, err = m.MarshalText()
	default:
		return nil, false
	}
	return text, err == nil
}

func findInMap(v reflect.Value) (path string, found bool) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if key.Kind() == reflect.String && !utf8.ValidString(key.String()) {
			return "", true
		}
		if path, found := findNotUTF8(v.MapIndex(key)); found {
			return joinPath(key.String(), path), true
		}
	}
	return "", false
}

func findInStruct(v reflect.Value) (path string, found bool) {
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() && !field.Anonymous || name == "-" {
			continue
		}
		path, found := findNotUTF8(value)
		switch {
		case !found:
		case name == "" && field.Anonymous:
			return path, true
		case name == "":
			return joinPath(field.Name, path), true
		default:
			return joinPath(name, path), true
		}
	}
	return "", false
}

func joinPath(name, path string) string {
	if path == "" || path[0] == '[' {
		return name + path
	}
	return name + "." + path
}
