package wire

// Flat reads an object whose values are strings and nulls. It calls the
// function visitMember for each member. If that function returns false, Flat
// returns nil at once, and does not check the rest of the document. Names and
// values without escapes share the memory of the document. For any other
// document, Flat returns an error. Before the error, Flat may already have
// called visitMember for some members. The caller must ignore these members.
func Flat(document string, visitMember func(name, value string, isNull bool) bool) error {
	s := scanner{text: document}
	if s.peek() != '{' {
		return errNotFlat
	}
	s.openBracket()
	for first := true; s.nextElement(first, '}'); first = false {
		name := s.memberName()
		raw := s.skip()
		if s.hasFailed {
			return errNotFlat
		}
		value, isNull := "", raw == "null"
		switch {
		case raw[0] == '"':
			value = unquote(raw)
		case !isNull:
			return errNotFlat
		}
		if !visitMember(unquote(name), value, isNull) {
			return nil
		}
	}
	if s.peek(); s.hasFailed || s.pos != len(document) {
		return errNotFlat
	}
	return nil
}

var errNotFlat = &DecodeError{Rule: "must be an object of strings"}
