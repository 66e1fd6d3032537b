package plural

import (
	"net/http"
	"time"
)

// serverClock estimates what time the server's clock showed when a write was
// sent. From the Date headers of answers it finds the earliest and the latest
// possible time. It uses our own clock only to measure how much time has
// passed, so a change of our clock during the call has no effect.
type serverClock struct {
	began time.Time // when the write was first sent, by our clock
	// When the write was first sent, the server's clock showed a time from
	// earliest to latest. Both are zero if no answer had a Date.
	earliest, latest time.Time
}

// dateSpan is the uncertainty of a Date header: the header gives only whole
// seconds.
const dateSpan = time.Second

// clockSlack is the largest difference that two clocks of Plural may have. One
// clock gives the times in documents, and the other clock gives the Date
// headers.
const clockSlack = 2 * time.Second

// noteDate records the Date header of an answer. By our clock, the request was
// sent at the time sentAt, and its answer came at the time answeredAt.
func (c *serverClock) noteDate(sentAt, answeredAt time.Time, header http.Header) {
	if c == nil {
		return
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	earliest, latest := date.Add(-answeredAt.Sub(c.began)), date.Add(dateSpan-sentAt.Sub(c.began))
	if c.earliest.IsZero() || earliest.After(c.earliest) {
		c.earliest = earliest
	}
	if c.latest.IsZero() || latest.Before(c.latest) {
		c.latest = latest
	}
}

// serverNow returns the current time by the server's clock, or a slightly
// earlier time. It returns false if the server's clock is not known.
func (c *serverClock) serverNow() (time.Time, bool) {
	return c.earliest.Add(time.Since(c.began)), !c.earliest.IsZero()
}

// isContradictory reports whether the Date headers of the answers contradict
// each other. If they do, at least one header does not show the server's time.
// For example, a cache on the way may send the Date of an old answer. Then the
// limits that the serverClock has found are not reliable.
func (c *serverClock) isContradictory() bool { return c.earliest.Sub(c.latest) > clockSlack }

// isOlder reports whether t is certainly earlier than the sending of the write.
func (c *serverClock) isOlder(t time.Time) bool {
	return !t.IsZero() && !c.earliest.IsZero() && !c.isContradictory() && t.Add(clockSlack).Before(c.earliest)
}

// isNewer reports whether t is certainly later than the sending of the write.
func (c *serverClock) isNewer(t time.Time) bool {
	return !t.IsZero() && !c.latest.IsZero() && !c.isContradictory() && t.After(c.latest.Add(clockSlack))
}

// mayBeNewer reports whether t may be later than the sending of the write.
func (c *serverClock) mayBeNewer(t time.Time) bool {
	return !t.IsZero() && !c.earliest.IsZero() && !t.Before(c.earliest)
}
