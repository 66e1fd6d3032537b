package wire

// Flat walks an object whose values are strings and nulls. It calls the
// function visit for every member, until that function returns false. Names and
// values without escapes share the memory of the document. Flat fails for any
// other document. If Flat fails, the caller must ignore the members that the
// function visit got before the failure.
func Flat(document string, visit func(name, value string, isNull bool) bool) error {
	s := scanner{text: document}
	if s.peek() != '{' {
		return errNotFlat
	}
	s.open()
	for first := true; s.nextElement(first, '}'); first = false {
		name := s.name()
		raw := s.skip()
		if s.failed {
			return errNotFlat
		}
		value, isNull := "", raw == "null"
		switch {
		case raw[0] == '"':
			value = unquote(raw)
		case !isNull:
			return errNotFlat
		}
		if !visit(unquote(name), value, isNull) {
			return nil
		}
	}
	if s.peek(); s.failed || s.pos != len(document) {
		return errNotFlat
	}
	return nil
}

var errNotFlat = &DecodeError{Rule: "must be an object of strings"}
