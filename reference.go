package plural

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxReference is the largest number of characters in the reference of an
// order, a capture or a refund (Plural's pre-authorisation guide, sections 2
// and 4).
const MaxReference = 50

// Reference makes a reference from parts, such as Reference("refund", orderNo,
// line). The same parts always make the same reference, in every process. Two
// calls with different parts make different references.
//
// If every part is made of A-Z a-z 0-9 and -, and the joined text has at most
// [MaxReference] characters, the parts are joined with "_". Otherwise the
// result is the first part, "_" and a digest of all parts. If the first part
// does not fit, the result begins with "ref" instead. A part that has a "_" in
// it also leads to a digest, so Reference("a_b") and Reference("a", "b") are
// different. Each part counts as the text that [fmt.Sprint] writes for it, so 1
// and "1" are the same. Do not pass pointers, because the text of a pointer is
// an address.
//
// Orders and refunds share one namespace, so begin a refund's reference with a
// word that no order's reference begins with.
func Reference(parts ...any) string {
	texts := make([]string, 0, len(parts))
	plain := true
	for _, part := range parts {
		text := fmt.Sprint(part)
		plain = plain && isWord(text) && !strings.Contains(text, "_")
		texts = append(texts, text)
	}
	joined := strings.Join(texts, "_")
	if plain && joined != "" && len(joined) <= MaxReference {
		return joined
	}
	sum := sha256.New()
	for _, text := range texts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		sum.Write(length[:])
		sum.Write([]byte(text))
	}
	digest := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum.Sum(nil)[:16]))
	head := "ref"
	if len(texts) > 0 && isWord(texts[0]) && len(texts[0])+1+len(digest) <= MaxReference {
		head = texts[0]
	}
	return head + "_" + digest
}

const referenceRule = "must be 1 to 50 characters of A-Z a-z 0-9 - _, such as the function Reference makes"

// isReference reports whether a text has the form that Plural documents for
// references.
func isReference(s string) bool { return isWord(s) && len(s) <= MaxReference }

// isWord reports whether s is not empty and has only the characters of
// references: A-Z a-z 0-9 _ and -. The ids of webhooks have the same
// characters.
func isWord(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// isNameByte reports whether c is one of A-Z a-z 0-9 _.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
