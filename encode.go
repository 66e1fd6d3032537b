package plural

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// encode is JSON without the escapes that are for HTML.
func encode(in any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(in); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodeWith encodes a request together with fields that it has no name for.
func encodeWith(request any, extra map[string]any) ([]byte, error) {
	body, err := encode(request)
	if err != nil || len(extra) == 0 {
		return body, err
	}
	if name, ok := collision(request, extra); ok {
		return nil, fmt.Errorf("extra field %q is a field of the request", name)
	}
	more, err := encode(extra)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), more[1:]...), nil
}

// collision finds an extra field that the request has a name for.
func collision(request any, extra map[string]any) (string, bool) {
	t := reflect.TypeOf(request)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if _, ok := extra[name]; ok && name != "-" {
			return name, true
		}
	}
	return "", false
}
