package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Encode writes a value as JSON, as json.Marshal does, but without HTML
// escapes.
func Encode(in any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(in); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Collision finds an extra field that has the name of a field of the request.
// The request is a pointer to a struct.
func Collision(request any, extra map[string]any) (string, bool) {
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
