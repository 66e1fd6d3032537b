package plural

import (
	"net/http"
	"time"
)

// serverClock estimates when a write was sent, by the server's clock. From the
// Date headers of answers it finds the earliest and the latest possible time.
// It uses our own clock only to measure how much time has passed, so a change
// of our clock during the call has no effect.
type serverClock struct {
	began            time.Time // when the write was first sent, by our clock
	earliest, latest time.Time // bounds of that time by the server's clock; zero if no answer had a Date
}

// dateSpan is the uncertainty of a Date header, which gives whole seconds.
const dateSpan = time.Second

// clockSlack is the largest difference that we allow for between two clocks of
// Plural: the clock for the times in documents, and the clock for Date headers.
const clockSlack = 2 * time.Second

// note records the Date header of an answer. sent and answered are the times of
// the request and of the answer by our clock.
func (c *serverClock) note(sent, answered time.Time, header http.Header) {
	if c == nil {
		return
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	earliest, latest := date.Add(-answered.Sub(c.began)), date.Add(dateSpan-sent.Sub(c.began))
	if c.earliest.IsZero() || earliest.After(c.earliest) {
		c.earliest = earliest
	}
	if c.latest.IsZero() || latest.Before(c.latest) {
		c.latest = latest
	}
}

// now returns the current time by the server's clock, or a slightly earlier
// time. It returns false if the server's clock is not known.
func (c *serverClock) now() (time.Time, bool) {
	return c.earliest.Add(time.Since(c.began)), !c.earliest.IsZero()
}

// contradicts reports whether the answers' Dates cannot be from one clock. A
// cache on the way keeps the Date of an old answer, for example. Then nothing
// is sure.
func (c *serverClock) contradicts() bool { return c.earliest.Sub(c.latest) > clockSlack }

// isOlder reports whether t is surely before the write was sent.
func (c *serverClock) isOlder(t time.Time) bool {
	return !t.IsZero() && !c.earliest.IsZero() && !c.contradicts() && t.Add(clockSlack).Before(c.earliest)
}

// isNewer reports whether t is surely after the write was sent.
func (c *serverClock) isNewer(t time.Time) bool {
	return !t.IsZero() && !c.latest.IsZero() && !c.contradicts() && t.After(c.latest)
}

// mayBeNewer reports whether t may be after the write was sent.
func (c *serverClock) mayBeNewer(t time.Time) bool {
	return !t.IsZero() && !c.earliest.IsZero() && !t.Before(c.earliest)
}
