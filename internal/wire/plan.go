package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
)

type kind uint8

const (
	kindString kind = iota
	kindNumber
	kindBool
	kindInt
	kindRawBytes
	kindRawText
	kindSelf // the type decodes itself from its JSON
	kindText // the type decodes itself from a scalar's text
	kindPart
	kindPointer
	kindStruct
	kindSlice
	kindStringMap
)

// typePlan describes how values of one Go type are decoded.
type typePlan struct {
	kind  kind
	exact bool
	// typeFunc is the function that was registered for the type. If it was
	// registered with Keep, v is a decoded struct, and text is the JSON of v.
	// If it was registered with FromText, it decodes text into v.
	typeFunc func(v reflect.Value, text string)
	elem     *typePlan   // the element of a pointer, slice or part
	fields   *structPlan // the fields of a struct
}

// fieldPlan describes how a field is decoded under one of its names.
type fieldPlan struct {
	name  string
	index int
	alias bool // the name is an alias; a value under the field's own name is preferred
	loose bool // an unusable value is left out
	plan  typePlan
	// usualNext is the field that came after this field in an earlier
	// document. In other documents, the two fields probably have the same
	// order. The pointer is set only if it was nil.
	usualNext atomic.Pointer[fieldPlan]
}

// structPlan finds a struct's fields by their wire names.
type structPlan struct {
	byName map[string]*fieldPlan
	// beforeFirst is not a field of the struct. For the first member of a
	// document, it takes the place of the previous field. So
	// beforeFirst.usualNext is the field that came first in an earlier
	// document.
	beforeFirst fieldPlan
}

// findField reads the name of a member, and returns the struct's field for that
// name. If the struct has no such field, findField returns nil.
//
// Most documents have their members in the same order. The argument lastField
// is the field that findField has found last. In an earlier document, the field
// lastField.usualNext came after that field. So findField tries
// lastField.usualNext first.
func (p *structPlan) findField(s *scanner, lastField *fieldPlan) *fieldPlan {
	usual := lastField.usualNext.Load()
	if usual != nil && s.passName(usual.name) {
		return usual
	}
	name := s.memberName()
	f := p.lookupField(name, s.plain)
	if usual == nil && f != nil {
		lastField.usualNext.Store(f)
	}
	return f
}

// lookupField finds the field for a key. The key is in quotes, as in the
// document. If plain is true, the key has no escapes and is ASCII.
func (p *structPlan) lookupField(quoted string, plain bool) *fieldPlan {
	const most = 512 // no field has a longer name, even if every character is an escape
	if len(quoted) > most {
		return nil
	}
	key := quoted[1 : len(quoted)-1]
	if !plain {
		key = unquote(quoted)
	}
	if f, ok := p.byName[key]; ok {
		return f
	}
	var buf [64]byte
	if folded, ok := appendSnakeCase(buf[:0], key); ok {
		return p.byName[string(folded)]
	}
	return nil
}

//nolint:gochecknoglobals // the plan of a type never changes
var plans sync.Map // reflect.Type to *structPlan

func planFor(t reflect.Type) *structPlan {
	if p, ok := plans.Load(t); ok {
		return p.(*structPlan)
	}
	p := buildPlan(t, map[reflect.Type]*structPlan{})
	plans.Store(t, p)
	return p
}

func buildPlan(t reflect.Type, building map[reflect.Type]*structPlan) *structPlan {
	if p, ok := building[t]; ok {
		return p
	}
	p := &structPlan{byName: map[string]*fieldPlan{}}
	building[t] = p
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		tp := buildType(sf.Type, building)
		if tp == nil {
			continue
		}
		tp.exact = sf.Tag.Get("wire") == "exact"
		loose := sf.Tag.Get("wire") == "optional"
		p.byName[name] = &fieldPlan{name: name, index: i, plan: *tp, loose: loose}
		for alias := range strings.SplitSeq(sf.Tag.Get("alias"), ",") {
			if alias != "" {
				p.byName[alias] = &fieldPlan{name: alias, index: i, alias: true, plan: *tp, loose: loose}
			}
		}
	}
	return p
}

func buildType(t reflect.Type, building map[reflect.Type]*structPlan) *typePlan {
	if decode, ok := decoders.Load(t); ok {
		return &typePlan{kind: kindText, typeFunc: decode.(func(reflect.Value, string))}
	}
	if keep, ok := keepers.Load(t); ok {
		return &typePlan{kind: kindStruct, typeFunc: keep.(func(reflect.Value, string)), fields: buildPlan(t, building)}
	}
	switch {
	case t.Implements(reflect.TypeFor[interface{ isPart() }]()):
		return wrap(kindPart, t.Field(1).Type.Elem(), building)
	case t == reflect.TypeFor[json.RawMessage]():
		return &typePlan{kind: kindRawBytes}
	case t == reflect.TypeFor[Raw]():
		return &typePlan{kind: kindRawText}
	case t == reflect.TypeFor[json.Number]():
		return &typePlan{kind: kindNumber}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		return &typePlan{kind: kindSelf}
	}
	switch t.Kind() {
	case reflect.String:
		return &typePlan{kind: kindString}
	case reflect.Bool:
		return &typePlan{kind: kindBool}
	case reflect.Int, reflect.Int64:
		return &typePlan{kind: kindInt}
	case reflect.Pointer:
		return wrap(kindPointer, t.Elem(), building)
	case reflect.Slice:
		return wrap(kindSlice, t.Elem(), building)
	case reflect.Struct:
		return &typePlan{kind: kindStruct, fields: buildPlan(t, building)}
	case reflect.Map:
		if t == reflect.TypeFor[map[string]string]() {
			return &typePlan{kind: kindStringMap}
		}
	}
	return nil
}

func wrap(k kind, elem reflect.Type, building map[reflect.Type]*structPlan) *typePlan {
	e := buildType(elem, building)
	if e == nil {
		return nil
	}
	return &typePlan{kind: k, elem: e}
}

// appendSnakeCase appends key in snake_case to dst: "orderId" and "OrderID"
// become "order_id". It reports whether key was changed.
func appendSnakeCase(dst []byte, key string) ([]byte, bool) {
	changed := false
	for i, c := range []byte(key) {
		if !isUpper(c) {
			dst = append(dst, c)
			continue
		}
		changed = true
		afterLower := i > 0 && key[i-1] != '_' && !isUpper(key[i-1])
		beforeLower := i > 0 && isUpper(key[i-1]) && i+1 < len(key) && isLower(key[i+1])
		if afterLower || beforeLower {
			dst = append(dst, '_')
		}
		dst = append(dst, c+'a'-'A')
	}
	return dst, changed
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
