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

// DefaultLifetime is for a token whose answer does not state its lifetime.
const DefaultLifetime = 5 * time.Minute

// Lifetime says how long a token lives, counted from the start of the request
// for it. It takes expiresAt first, then expiresIn (seconds), then the exp
// claim if the token is a JWT. A source without a positive value is skipped.
//
// Times of the server are compared with serverDate, its Date header, so a wrong
// clock here does not matter. That header has whole seconds, so it is rounded
// up to the next one. If it is zero, started is used instead.
func Lifetime(token, expiresAt, expiresIn string, serverDate, started time.Time) time.Duration {
	now := started
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

// expClaim reads a JWT's expiry without verifying it: it only decides when to
// fetch the next token.
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
