package plural

import (
	"fmt"
	"time"

	"github.com/plural-go/plural/internal/wire"
)

// LocalTime is a time without a zone, as Plural sends it in settlements:
// "2026-11-27T10:59:46". No source names the zone, but it is surely India's
// (see [India]). A [Timestamp] would read it as UTC, and be 5½ hours off.
type LocalTime string

// In is the time in a location, such as [India]. If the text does have a zone,
// that zone counts. It fails if the text is not a time.
func (t LocalTime) In(place *time.Location) (time.Time, error) {
	if place == nil {
		return time.Time{}, fmt.Errorf("plural: local time %q: the location is nil", clip(string(t)))
	}
	for _, missing := range []string{"Z", "T00:00:00Z"} {
		if c, ok := wire.ParseTime(string(t) + missing); ok {
			return time.Date(c.Year(), c.Month(), c.Day(), c.Hour(), c.Minute(), c.Second(), c.Nanosecond(), place), nil
		}
	}
	if instant, ok := wire.ParseTime(string(t)); ok {
		return instant.In(place), nil
	}
	return time.Time{}, fmt.Errorf("plural: local time %q is not a time", clip(string(t)))
}

// India is Indian Standard Time, UTC+05:30. It needs no zone database.
func India() *time.Location { return india }

//nolint:gochecknoglobals // a constant in all but name
var india = time.FixedZone("IST", int((5*time.Hour + 30*time.Minute).Seconds()))

// Days are whole calendar days, both included. Each is the date of its time in
// the time's own Location; the hour does not matter.
type Days struct{ First, Last time.Time }

// dateOf is the date of a time as a midnight in UTC, where every day has 24
// hours.
func dateOf(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// String is the days, such as "2026-11-01 to 2026-11-30".
func (d Days) String() string {
	return d.First.Format(time.DateOnly) + " to " + d.Last.Format(time.DateOnly)
}
