package plural

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// extendable is a request that can carry extra fields, which this package does
// not name.
type extendable interface {
	// The method parts has two results. The first is a pointer to a struct
	// with the request's own fields. The pointer's type has none of the
	// request's methods. The second result is a map with the extra fields.
	parts() (fields any, extra map[string]any)
}

// encode writes JSON without HTML escapes.
func encode(in any) ([]byte, error) {
	if request, ok := in.(extendable); ok { // encoding/json would check the output of MarshalJSON a second time
		return encodeParts(request)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(in); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodeParts encodes a request together with the fields of its Extra.
func encodeParts(request extendable) ([]byte, error) {
	fields, extra := request.parts()
	body, err := encode(fields)
	if err != nil || len(extra) == 0 {
		return body, err
	}
	if name, ok := collision(fields, extra); ok {
		return nil, fmt.Errorf("extra field %q is a field of the request", name)
	}
	more, err := encode(extra)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), more[1:]...), nil
}

// collision finds an extra field that has the name of a field of the request.
// The request is a pointer to a struct.
func collision(request any, extra map[string]any) (string, bool) {
	if len(extra) == 0 {
		return "", false
	}
	t := reflect.TypeOf(request).Elem()
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, ok := extra[name]; ok && name != "-" {
			return name, true
		}
	}
	return "", false
}
