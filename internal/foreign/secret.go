package foreign

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/plural-go/plural/internal/clean"
	"github.com/plural-go/plural/internal/wire"
)

// leastSecret is the length of the shortest secret. A shorter text is not
// treated as a secret, because it may occur in ordinary words.
const leastSecret = 6

// maxUnescaped is the size of the largest body in which Repeats decodes escapes,
// to find a secret that has escaped characters. If a larger body has escapes,
// Repeats does not search this body for the secret, and returns true.
const maxUnescaped = 64 << 10

// Repeats searches the answer to a request for the secret that was in the
// request. It reports whether the answer shows the secret. Characters of the
// secret may be escaped, and the body may break off in the middle of the
// secret.
func Repeats(secret string, header http.Header, body string) bool {
	if len(secret) < leastSecret {
		return false
	}
	for _, values := range header {
		if strings.Contains(strings.ToLower(strings.Join(values, " ")), strings.ToLower(secret)) {
			return true
		}
	}
	hasEscapes := strings.Contains(body, `\`)
	if hasEscapes && len(body) > maxUnescaped {
		return true // the body may show the secret with escaped characters, but is too large to decode
	}
	text := body
	var value any
	if hasEscapes && json.Unmarshal([]byte(body), &value) == nil {
		text += fmt.Sprint(value)
	}
	for _, form := range []string{secret, inJSON(secret, wire.Encode), inJSON(secret, json.Marshal)} {
		if strings.Contains(text, form) {
			return true
		}
	}
	for n := leastSecret; n < len(secret); n++ {
		if strings.HasSuffix(body, secret[:n]) {
			return true
		}
	}
	return false
}

// inJSON returns a text as an encoder writes it, without the quotes.
func inJSON(text string, encoder func(any) ([]byte, error)) string {
	quoted, err := encoder(text)
	if err != nil {
		return text
	}
	return string(quoted[1 : len(quoted)-1])
}

// blankSecret blanks a secret in a text, even if its bytes are written as
// numbers.
func blankSecret(text, secret string) string {
	if len(secret) < leastSecret {
		return text
	}
	decimal := strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]")
	for _, form := range []string{secret, hex.EncodeToString([]byte(secret)), decimal} {
		text = strings.ReplaceAll(text, form, clean.Redacted)
	}
	return text
}
