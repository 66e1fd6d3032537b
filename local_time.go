package plural

import (
	"fmt"
	"time"

	"github.com/plural-go/plural/internal/wire"
)

// LocalTime is a time without a zone, as Plural sends it in settlements:
// "2026-11-27T10:59:46". Plural does not document the zone, but it is almost
// certainly that of India (see [India]). A [Timestamp] would read such a text
// as UTC, and be wrong by 5½ hours.
type LocalTime string

// In reads the text as a time in the given location, such as [India]. If the
// text has a zone of its own, the method uses that zone, and converts the time
// to the location. The method fails if the text is not a time or the location
// is nil.
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

// India returns the location for Indian Standard Time, UTC+05:30. It needs no
// zone database.
func India() *time.Location { return india }

//nolint:gochecknoglobals // this value never changes
var india = time.FixedZone("IST", int((5*time.Hour + 30*time.Minute).Seconds()))

// Days is a range of whole calendar days. The field First is a time on the
// first day, and the field Last is a time on the last day. Both days are
// included. Which day a time is on depends on the Location of that time. The
// time of day does not matter.
type Days struct{ First, Last time.Time }

// dateOf returns the date of a time as midnight in UTC, because in UTC every
// day has 24 hours.
func dateOf(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// monthsBefore returns the same day n months earlier, or the last day of that
// month if the month has no such day.
func monthsBefore(date time.Time, n int) time.Time {
	earlier := date.AddDate(0, -n, 0)
	if earlier.Day() != date.Day() { // AddDate went on into the next month
		return earlier.AddDate(0, 0, -earlier.Day())
	}
	return earlier
}

// String writes the first and the last day, such as "2026-11-01 to 2026-11-30".
func (d Days) String() string {
	return d.First.Format(time.DateOnly) + " to " + d.Last.Format(time.DateOnly)
}
