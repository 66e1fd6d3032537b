package retry_test

import (
	"context"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/retry"
)

func TestBackoffStaysInsideItsBounds(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := map[string]struct {
		policy retry.Policy
		most   []time.Duration // after try 1, 2, ...
	}{
		"doubles up to the maximum": {
			retry.Policy{MinDelay: 250 * ms, MaxDelay: 8 * time.Second},
			[]time.Duration{250 * ms, 500 * ms, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second},
		},
		"maximum between two steps": {
			retry.Policy{MinDelay: 100 * ms, MaxDelay: 300 * ms},
			[]time.Duration{100 * ms, 200 * ms, 300 * ms, 300 * ms},
		},
		"minimum is the maximum": {
			retry.Policy{MinDelay: time.Second, MaxDelay: time.Second},
			[]time.Duration{time.Second, time.Second},
		},
		"minimum above the maximum": {
			retry.Policy{MinDelay: time.Minute, MaxDelay: time.Second},
			[]time.Duration{time.Second},
		},
		"the longest delays": {
			retry.Policy{MinDelay: math.MaxInt64, MaxDelay: math.MaxInt64},
			[]time.Duration{math.MaxInt64, math.MaxInt64},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, most := range test.most {
				var low, high bool
				for range 200 {
					d := test.policy.Backoff(i + 1)
					require.Positive(t, d)
					require.LessOrEqual(t, d, most)
					low = low || d < most/2
					high = high || d > most/2
				}
				require.True(t, low && high, "the whole range is used")
			}
		})
	}
}

func TestBackoffOfManyTries(t *testing.T) {
	t.Parallel()
	p := retry.Policy{MinDelay: time.Nanosecond, MaxDelay: math.MaxInt64}
	for _, n := range []int{62, 63, 64, 65, 1000, math.MaxInt32} {
		require.Positive(t, p.Backoff(n))
	}
	require.Zero(t, retry.Policy{}.Backoff(3))
}

func TestWait(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		deadline, cancel, wait time.Duration // 0: none
		want                   bool
		took                   time.Duration
	}{
		"no deadline":                    {wait: time.Hour, want: true, took: time.Hour},
		"fits":                           {deadline: time.Second, wait: time.Second - 1, want: true, took: time.Second - 1},
		"does not fit: not even started": {deadline: time.Second, wait: time.Second},
		"cancelled while waiting":        {wait: time.Hour, cancel: time.Minute, took: time.Minute},
		"nothing to wait for":            {want: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				began := time.Now()
				require.Equal(t, test.want, retry.Wait(ctx, test.wait))
				require.Equal(t, test.took, time.Since(began))
			})
		})
	}
}

func TestWaitNotStartedWhenTheContextHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, retry.Wait(ctx, 0))
}

func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	const most = 10 * time.Second
	tests := map[string]struct {
		left    time.Duration // 0: no deadline
		reserve bool
		want    time.Duration
	}{
		"no deadline":                            {0, false, most},
		"no deadline, with reserve":              {0, true, most},
		"no reserve: the context ends the try":   {time.Second, false, most},
		"plenty left":                            {time.Hour, true, most},
		"a quarter is kept":                      {12 * time.Second, true, 9 * time.Second},
		"two seconds are kept":                   {6 * time.Second, true, 4 * time.Second},
		"two seconds are a quarter of eight":     {8 * time.Second, true, 6 * time.Second},
		"never more than a half":                 {time.Second, true, 500 * time.Millisecond},
		"two seconds are the half of four":       {4 * time.Second, true, 2 * time.Second},
		"exactly as long as a try may take":      {most, false, most},
		"a nanosecond":                           {1, true, 1},
		"the longest try, and a quarter is kept": {13333333333 * time.Nanosecond, true, 10 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.left)
					defer cancel()
				}
				require.Equal(t, test.want, retry.AttemptTimeout(ctx, time.Now(), most, test.reserve))
			})
		})
	}
}

func TestAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	const year = 365 * 24 * time.Hour
	tests := map[string]struct {
		value, date string
		want        time.Duration
	}{
		"none":                        {},
		"seconds":                     {value: "7", want: 7 * time.Second},
		"seconds with space":          {value: " 7 ", want: 7 * time.Second},
		"no seconds":                  {value: "0"},
		"negative":                    {value: "-7"},
		"fraction":                    {value: "1.5", want: 1500 * time.Millisecond},
		"fraction of nothing":         {value: "0.25", want: time.Second / 4},
		"long fraction":               {value: "1." + strings.Repeat("9", 100), want: 2 * time.Second},
		"fraction of letters":         {value: "1.5m"},
		"two points":                  {value: "1.5.5"},
		"exponent":                    {value: "1e3"},
		"words":                       {value: "soon"},
		"a long time":                 {value: "99999999999", want: year},
		"more than a number can hold": {value: "99999999999999999999999", want: year},
		"a date":                      {value: date(90 * time.Second), want: 90 * time.Second},
		"a past date":                 {value: date(-time.Hour)},
		"a date, by the server's clock": {
			value: date(time.Hour + 5*time.Second),
			date:  date(time.Hour),
			want:  5 * time.Second,
		},
		"a date, and an invalid Date": {value: date(5 * time.Second), date: "yesterday", want: 5 * time.Second},
		"a date in an old format": {
			value: now.Add(time.Minute).Format("Monday, 02-Jan-06 15:04:05 GMT"),
			want:  time.Minute,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if test.value != "" {
				h.Set("Retry-After", test.value)
			}
			if test.date != "" {
				h.Set("Date", test.date)
			}
			require.Equal(t, test.want, retry.After(h, now))
		})
	}
}
