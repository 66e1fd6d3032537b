package plural

import (
	"fmt"

	"github.com/plural-go/plural/internal/wire"
)

// The type extendable is a request that can carry extra fields, which this
// package does not name.
type extendable interface {
	// The method parts has two results. The first is a pointer to a struct
	// with the request's own fields. The pointer's type has none of the
	// request's methods. The second result is a map with the extra fields.
	parts() (fields any, extra map[string]any)
}

// The function encode writes JSON without HTML escapes.
func encode(in any) ([]byte, error) {
	if request, ok := in.(extendable); ok { // encoding/json would check the output of MarshalJSON a second time
		return encodeParts(request)
	}
	return wire.Encode(in)
}

// encodeParts encodes a request together with the fields of its Extra.
func encodeParts(request extendable) ([]byte, error) {
	fields, extra := request.parts()
	body, err := wire.Encode(fields)
	if err != nil || len(extra) == 0 {
		return body, err
	}
	if name, ok := wire.Collision(fields, extra); ok {
		return nil, fmt.Errorf("extra field %q is a field of the request", name)
	}
	more, err := wire.Encode(extra)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), more[1:]...), nil
}
