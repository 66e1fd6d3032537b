package token

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/wire"
)

// DefaultLifetime is the lifetime of a token if the answer does not state a
// lifetime.
const DefaultLifetime = 5 * time.Minute

// A Source begins to replace a token before the token expires. refreshMargin
// returns how long before: a minute or a tenth of the lifetime, whichever is
// shorter.
func refreshMargin(lifetime time.Duration) time.Duration { return min(time.Minute, lifetime/10) }

// Lifetime returns how long a token lives, counted from the start of the
// request for the token. It tries expiresAt first, then expiresIn (seconds),
// then the exp claim if the token is a JWT. It uses the first that gives a
// positive value.
//
// The times in expiresAt and in the exp claim are times of the server's clock.
// Lifetime compares them with serverDate, which is the Date header of the
// server's answer. So a wrong clock on this machine does not matter. The header
// has whole seconds, so the date is rounded up to the next second. If
// serverDate is zero, Lifetime compares the server's times with requestStart
// instead. That is the time at which the request started, by this machine's
// clock.
func Lifetime(token, expiresAt, expiresIn string, serverDate, requestStart time.Time) time.Duration {
	now := requestStart
	if !serverDate.IsZero() {
		now = serverDate.Add(time.Second)
	}
	if t, ok := wire.ParseTime(expiresAt); ok {
		if d := t.Sub(now); d > 0 {
			return d
		}
	}
	if d := seconds(expiresIn); d > 0 {
		return d
	}
	if exp := expClaim(token); exp > 0 {
		if d := time.Unix(exp, 0).Sub(now); d > 0 {
			return d
		}
	}
	return DefaultLifetime
}

func seconds(text string) time.Duration {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	const most = 10 * 365 * 24 * 3600
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f <= 0 {
		return 0
	}
	return time.Duration(min(f, most) * float64(time.Second))
}

// expClaim reads a JWT's expiry. It does not verify the JWT, because the expiry
// only decides when to fetch the next token.
func expClaim(token string) int64 {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return 0
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp <= 0 || claims.Exp > 1<<40 {
		return 0
	}
	return int64(claims.Exp)
}
