package retry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/retry"
)

// The wait is never negative and never longer than a year. If the header has an
// HTTP date between now and a year from now, the wait is the time until that
// date.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "7", " 7 ", "-1", "+7", "1.5", "1.", ".5", "1.5.5", "1.5h0", "1e3", "0x10", "99999999999999999999",
		"18446744073709551615", "soon",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT",
	} {
		f.Add(value)
	}
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		d := retry.After(http.Header{"Retry-After": {value}}, now)
		const year = 365 * 24 * time.Hour
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, year)
		if !strings.Contains(value, ".") {
			require.Zero(t, d%time.Second)
		}
		if date, err := http.ParseTime(strings.TrimSpace(value)); err == nil {
			require.Equal(t, min(max(0, date.Sub(now)), year), d)
		}
	})
}
