package probe

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// askTokenLifetime reads how the token endpoint states a lifetime.
func askTokenLifetime(ctx context.Context, p *Probe) (Found, error) {
	r, err := p.wire.fetchToken(ctx, p.account.ClientSecret)
	if err != nil {
		return Found{}, err
	}
	var doc struct {
		Token     string          `json:"access_token"`
		ExpiresAt string          `json:"expires_at"`
		ExpiresIn json.RawMessage `json:"expires_in"`
	}
	if accessToken(r) == "" || json.Unmarshal(r.body, &doc) != nil {
		return Found{}, errNoToken
	}
	now := r.at
	if date, err := http.ParseTime(r.header.Get("Date")); err == nil {
		now = date
	}
	found := Found{Answer: "not told", Facts: []fact.Fact{fact.Names("fields", r.fields())}}
	lifetime := time.Duration(0)
	if end, err := time.Parse(time.RFC3339Nano, doc.ExpiresAt); err == nil {
		found.Answer, lifetime = "expires_at", end.Sub(now)
	} else if seconds, err := json.Number(strings.Trim(string(doc.ExpiresIn), `"`)).Int64(); err == nil {
		found.Answer, lifetime = "expires_in", time.Duration(seconds)*time.Second
	} else if end, ok := expiryOf(doc.Token); ok {
		found.Answer, lifetime = "in the token", end.Sub(now)
	}
	if lifetime > 0 {
		// rounded to a minute, because a Date header has whole seconds
		minutes := int(math.Round(lifetime.Minutes()))
		found.Facts = append(found.Facts, fact.Count("minutes", minutes))
	}
	return found, nil
}

// expiryOf reads the exp claim of a JWT.
func expiryOf(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Exp == 0 {
		return time.Time{}, false
	}
	return time.Unix(claims.Exp, 0), true
}

// askTokenSecond uses the first token after a second token was issued.
func askTokenSecond(ctx context.Context, p *Probe) (Found, error) {
	older, err := p.wire.fetchToken(ctx, p.account.ClientSecret)
	if err != nil {
		return Found{}, err
	}
	newer, err := p.wire.fetchToken(ctx, p.account.ClientSecret)
	if err != nil {
		return Found{}, err
	}
	if accessToken(older) == "" || accessToken(newer) == "" {
		return Found{}, errNoToken
	}
	r, err := p.wire.sendWith(ctx, accessToken(older), http.MethodGet, byReference+p.newReference("none"), nil)
	if err != nil {
		return Found{}, err
	}
	isSame := accessToken(older) == accessToken(newer)
	found := Found{Answer: "stays good", Facts: []fact.Fact{
		r.fact("read with it"), fact.Holds("the same token", isSame),
	}}
	switch {
	case r.status == http.StatusUnauthorized:
		found.Answer = "is refused"
	case !r.isOK() && !r.isRefusal():
		return Found{}, r.unclearFailure()
	}
	return found, nil
}

// askWrongSecret sends one token request with a wrong secret.
func askWrongSecret(ctx context.Context, p *Probe) (Found, error) {
	wrong := make([]byte, 16)
	_, _ = rand.Read(wrong)
	r, err := p.wire.fetchToken(ctx, hex.EncodeToString(wrong))
	if err != nil {
		return Found{}, err
	}
	if r.status != http.StatusUnauthorized && !r.isRefusal() {
		return Found{}, r.unclearFailure()
	}
	found := Found{Facts: []fact.Fact{r.fact("answer"), fact.Names("fields", r.fields())}}
	has := func(name string) bool { return slices.Contains(r.fields(), name) }
	switch {
	case has("error") && has("error_description"):
		found.Answer = "error, error_description"
	case has("status") && has("message"):
		found.Answer = "status, message"
	case has("code") && has("message"):
		found.Answer = "code, message"
	}
	return found, nil
}
