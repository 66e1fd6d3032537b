package wire

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// IsUTF8 reports whether all texts of a document that encoding/json has written
// are the ones it was given. It replaces what is not UTF-8 by an escape that it
// writes for nothing else.
func IsUTF8(document []byte) bool {
	if !utf8.Valid(document) {
		return false
	}
	for {
		at := bytes.IndexByte(document, '\\')
		if at < 0 || len(document) < at+len(replaced) {
			return true
		}
		if bytes.EqualFold(document[at:at+len(replaced)], []byte(replaced)) {
			return false
		}
		document = document[at+2:]
	}
}

const replaced = `\ufffd`

// FindNotUTF8 is the path of the first text that [IsUTF8] minds, or of the
// object whose member has such a name; "" for the document, and where it is
// beyond the limits.
func FindNotUTF8(document []byte) string {
	s := scanner{text: string(document)}
	path, _ := s.findNotUTF8()
	return path
}

func (s *scanner) findNotUTF8() (path string, found bool) {
	switch s.peek() {
	case '{':
		s.open()
		for first := true; s.more(first, '}'); first = false {
			name := s.name()
			if !IsUTF8([]byte(name)) {
				return "", true
			}
			if path, found := s.findNotUTF8(); found {
				return under(unquote(name), path), true
			}
		}
	case '[':
		s.open()
		for n := 0; s.more(n == 0, ']'); n++ {
			if path, found := s.findNotUTF8(); found {
				return under("["+strconv.Itoa(n)+"]", path), true
			}
		}
	default:
		return "", !IsUTF8([]byte(s.skip()))
	}
	return "", false
}

func under(name, path string) string {
	if path == "" || path[0] == '[' {
		return name + path
	}
	return name + "." + path
}
