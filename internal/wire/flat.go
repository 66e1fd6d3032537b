package wire

// Flat walks an object whose values are strings and nulls. It calls each for
// every member, until each returns false. Names and values without escapes
// share the memory of the document. Flat fails for any other document. If Flat
// fails, ignore the members that each got before.
func Flat(document string, each func(name, value string, isNull bool) bool) error {
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
		if !each(unquote(name), value, isNull) {
			return nil
		}
	}
	if s.peek(); s.failed || s.pos != len(document) {
		return errNotFlat
	}
	return nil
}

var errNotFlat = &DecodeError{Rule: "must be an object of strings"}
