package plural

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/wire"
)

// Timestamp is a time in UTC. If the document's value is not a time, as in some
// published documents, the Timestamp is the zero time.
type Timestamp struct {
	time.Time

	text string // the document's value, when it is not a time
}

// UnmarshalJSON never fails. It takes times in RFC 3339 and in similar formats:
// without a colon in the zone, without a zone (which means UTC), without
// seconds, or with a space instead of the "T". Any other value leads to the
// zero time.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = strings.ToValidUTF8(string(data), "\uFFFD") // as encoding/json would write it
	}
	*t = timestampOf(text)
	return nil
}

var _ = wire.FromText(func(t *Timestamp, text string) { *t = timestampOf(text) })

func timestampOf(text string) Timestamp {
	if parsed, ok := wire.ParseTime(text); ok {
		return Timestamp{Time: parsed}
	}
	return Timestamp{text: text}
}

// MarshalJSON writes the time in RFC 3339, or the original value if that was
// not a time.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	if t.text != "" {
		return json.Marshal(t.text)
	}
	return t.Time.MarshalJSON()
}

// IsZero reports whether there is neither a time nor another value.
// [time.Time.IsZero] looks only at the time.
func (t Timestamp) IsZero() bool {
	return t.Time.IsZero() && t.text == ""
}
