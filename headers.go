package plural

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// version is the version of the SDK.
const version = "0.1.0"

// defaultUserAgent is the SDK's User-Agent. WithUserAgent adds to it.
const defaultUserAgent = "plural-go/" + version

// newHeader makes the header of a request. It contains the SDK's headers and
// the caller's headers, which are in the parameter callerHeader. The token and
// the time are added when the request is sent.
func newHeader(userAgent, requestID string, callerHeader http.Header, hasBody bool) http.Header {
	h := make(http.Header, len(callerHeader)+7) // the map also has room for Authorization and Request-Timestamp
	maps.Copy(h, callerHeader)
	h.Set("Accept", "application/json")
	h.Set("User-Agent", userAgent)
	h.Set("Request-Id", requestID)
	if hasBody {
		h.Set("Content-Type", "application/json")
	}
	return h
}

// requestTimestamp returns the current time in the format of the header
// Request-Timestamp.
func requestTimestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

func newRequestID() string {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Sprintf("plural-%d", time.Now().UnixNano())
	}
	return id.String()
}

// ownHeader reports whether a header is one that callers must not set. The
// parameter name is the header's canonical name.
func ownHeader(name string) bool {
	switch name {
	case "Authorization", "Content-Type", "Content-Length", "Accept", "User-Agent", "Request-Id", "Request-Timestamp",
		"Idempotency-Key", "X-Idempotency-Key", "Host", "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Expect", "Accept-Encoding", "Proxy-Authorization":
		return true
	}
	return false
}

func validHeaderName(name string) bool {
	const chars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return name != "" && strings.Trim(name, chars) == ""
}

func validHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// isVisible reports whether a text has only visible ASCII characters.
func isVisible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
