package plural

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// version is the SDK's.
const version = "0.1.0"

// defaultUserAgent is what WithUserAgent adds to.
const defaultUserAgent = "plural-go/" + version

// newHeader is what every request carries, beside the merchant's own headers.
// The token and the time are added when it is sent. The values share one array.
func newHeader(userAgent, requestID string, own http.Header, hasBody bool) http.Header {
	h := make(http.Header, len(own)+7) // with the token and the time
	maps.Copy(h, own)
	values := [...]string{"application/json", userAgent, requestID}
	h["Accept"] = values[0:1:1]
	h["User-Agent"] = values[1:2:2]
	h["Request-Id"] = values[2:3:3]
	if hasBody {
		h["Content-Type"] = values[0:1:1]
	}
	return h
}

// timestamp is the Request-Timestamp of now.
func timestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

func newRequestID() string {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Sprintf("plural-%d", time.Now().UnixNano())
	}
	return id.String()
}
