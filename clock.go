package plural

import (
	"net/http"
	"time"
)

// serverClock tells when a write was sent by the clock of the server, as far as
// the Date of answers bounds it. It reads our own clock for time that passed
// only, so a clock that is set while the call runs changes nothing.
type serverClock struct {
	began            time.Time // when the write was first sent, by ours
	earliest, latest time.Time // the same by the server's; zero where no answer had a Date
}

// dateSpan is how much time a Date leaves open: it has whole seconds.
const dateSpan = time.Second

// clockSlack is how far apart the clocks may be that stamp documents and
// answers.
const clockSlack = 2 * time.Second

// note takes an answer to a request that was sent and answered at these times.
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

// now is the time by the server's clock, or a little before it.
func (c *serverClock) now() (time.Time, bool) {
	return c.earliest.Add(time.Since(c.began)), !c.earliest.IsZero()
}

// isOlder reports whether something of time t was there before the write was
// sent, beyond doubt.
func (c *serverClock) isOlder(t time.Time) bool {
	return !t.IsZero() && !c.earliest.IsZero() && t.Add(clockSlack).Before(c.earliest)
}

// isNewer reports whether it came after the write was sent, beyond doubt.
func (c *serverClock) isNewer(t time.Time) bool {
	return !t.IsZero() && !c.latest.IsZero() && t.After(c.latest)
}

// mayBeNewer reports whether nothing shows that it came before the write.
func (c *serverClock) mayBeNewer(t time.Time) bool {
	return !t.IsZero() && !c.earliest.IsZero() && !t.Before(c.earliest)
}
