package token_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/internal/token"
)

func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	now := time.Date(2024, 6, 28, 12, 26, 6, 0, time.UTC)
	later := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339Nano) }
	exp := func(d time.Duration) string { return jwt(fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix())) }
	const hour = time.Hour
	tests := map[string]struct {
		token, expiresAt, expiresIn string
		date                        time.Time
		want                        time.Duration
	}{
		"expires_at in seconds":      {expiresAt: "2024-06-28T13:26:06Z", want: hour},
		"expires_at in milliseconds": {expiresAt: "2024-06-28T13:26:06.213Z", want: hour + 213*time.Millisecond},
		"expires_at in microseconds": {
			expiresAt: "2024-06-28T13:26:06.909140Z",
			want:      hour + 909140*time.Microsecond,
		},
		"expires_at in nanoseconds":          {expiresAt: "2024-06-28T13:26:06.909140123Z", want: hour + 909140123},
		"expires_at with another zone":       {expiresAt: "2024-06-28T18:56:06+05:30", want: hour},
		"expires_at with space":              {expiresAt: " 2024-06-28T13:26:06Z\n", want: hour},
		"expires_at goes before expires_in":  {expiresAt: later(hour), expiresIn: "60", want: hour},
		"expires_at has passed":              {expiresAt: later(-hour), expiresIn: "60", want: time.Minute},
		"expires_at is this instant":         {expiresAt: later(0), expiresIn: "60", want: time.Minute},
		"expires_at is not a time":           {expiresAt: "in an hour", expiresIn: "60", want: time.Minute},
		"expires_at without a zone":          {expiresAt: later(hour)[:19], expiresIn: "60", want: hour},
		"the Date is rounded up by a second": {expiresAt: later(hour), date: now, want: hour - time.Second},
		"a slow clock here":                  {expiresAt: later(3 * hour), date: now.Add(2 * hour), want: hour - time.Second},
		"a fast clock here":                  {expiresAt: later(-hour), date: now.Add(-2 * hour), want: hour - time.Second},
		"expired by the server's clock": {
			expiresAt: later(hour),
			date:      now.Add(hour),
			expiresIn: "60",
			want:      time.Minute,
		},
		"expires_in":                        {expiresIn: "3600", want: hour},
		"expires_in with a fraction":        {expiresIn: "0.5", want: 500 * time.Millisecond},
		"expires_in in scientific notation": {expiresIn: "3.6e3", want: hour},
		"expires_in of zero":                {expiresIn: "0", token: exp(hour), want: hour},
		"expires_in below zero":             {expiresIn: "-5", token: exp(hour), want: hour},
		"expires_in below a nanosecond":     {expiresIn: "1e-12", want: token.DefaultLifetime},
		"expires_in is not a number":        {expiresIn: "NaN", want: token.DefaultLifetime},
		"expires_in is infinite":            {expiresIn: "Infinity", want: token.DefaultLifetime},
		"expires_in overflows a float":      {expiresIn: "1e999", want: token.DefaultLifetime},
		"expires_in overflows a duration":   {expiresIn: "1e30", want: 10 * 365 * 24 * hour},
		"exp":                               {token: exp(8 * hour), want: 8 * hour},
		"exp by the server's clock":         {token: exp(8 * hour), date: now.Add(hour), want: 7*hour - time.Second},
		"exp has passed":                    {token: exp(-hour), want: token.DefaultLifetime},
		"exp below zero":                    {token: jwt(`{"exp":-1}`), want: token.DefaultLifetime},
		"exp overflows":                     {token: jwt(`{"exp":1e300}`), want: token.DefaultLifetime},
		"exp is a string":                   {token: jwt(`{"exp":"1719581166"}`), want: token.DefaultLifetime},
		"no exp":                            {token: jwt(`{}`), want: token.DefaultLifetime},
		"payload is not JSON":               {token: jwt(`exp`), want: token.DefaultLifetime},
		"payload is not base64":             {token: "e30.***.c2ln", want: token.DefaultLifetime},
		"padded payload": {
			token: "e30." + base64.URLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d }`, now.Add(hour).Unix())) + ".c2ln",
			want:  hour,
		},
		"opaque token": {token: "abc", want: token.DefaultLifetime},
		"nothing":      {want: 5 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, token.Lifetime(test.token, test.expiresAt, test.expiresIn, test.date, now))
		})
	}
}

func TestNewLeavesAMargin(t *testing.T) {
	t.Parallel()
	start := time.Now()
	tests := map[string]struct{ lifetime, margin time.Duration }{
		"a tenth of a short lifetime":   {100 * time.Second, 10 * time.Second},
		"a minute of a long lifetime":   {time.Hour, time.Minute},
		"a tenth is exactly a minute":   {10 * time.Minute, time.Minute},
		"a lifetime of ten nanoseconds": {10, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := token.New("v", start, test.lifetime)
			require.Equal(t, start.Add(test.lifetime), tok.Expires)
			require.Equal(t, test.margin, tok.Expires.Sub(tok.Refresh))
		})
	}
}
