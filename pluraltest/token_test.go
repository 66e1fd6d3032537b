package pluraltest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func tokenBody(id, secret, grant string) string {
	return fmt.Sprintf(`{"client_id":%q,"client_secret":%q,"grant_type":%q}`, id, secret, grant)
}

func TestTokenForms(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	for _, tt := range []struct {
		form  pluraltest.TokenAnswer
		want  map[string]any
		parts int
	}{
		{pluraltest.TokenExpiresAt, map[string]any{"expires_at": "2026-03-01T12:30:00.123456Z"}, 3},
		{pluraltest.TokenExpiresAtMillis, map[string]any{"expires_at": "2026-03-01T12:30:00.123Z"}, 3},
		{pluraltest.TokenExpiresIn, map[string]any{"expires_in": 1800.0}, 3},
		{pluraltest.TokenExpiresInString, map[string]any{"expires_in": "1800"}, 3},
		{pluraltest.TokenWithoutExpiry, map[string]any{}, 3},
		{pluraltest.TokenOpaque, map[string]any{}, 1},
	} {
		srv := pluraltest.NewServer(t, pluraltest.WithTokenAnswer(tt.form),
			pluraltest.WithTokenLifetime(30*time.Minute), pluraltest.WithClock(func() time.Time { return start }))
		a := newAPI(t, srv)
		r := a.do("POST", "/api/auth/v1/token", tokenBody(srv.ClientID, srv.ClientSecret, "client_credentials"))
		require.Equal(t, 200, r.status)
		require.Equal(t, "Sun, 01 Mar 2026 12:00:00 GMT", r.header.Get("Date"))
		doc := r.doc(t)
		token, _ := doc["access_token"].(string)
		delete(doc, "access_token")
		require.Equal(t, tt.want, doc)
		parts := strings.Split(token, ".")
		require.Len(t, parts, tt.parts)
		if tt.parts == 3 {
			raw, err := base64.RawURLEncoding.DecodeString(parts[1])
			require.NoError(t, err)
			var claims struct{ Exp int64 }
			require.NoError(t, json.Unmarshal(raw, &claims))
			require.Equal(t, claims.Exp, start.Add(30*time.Minute).Unix())
		}

		require.Equal(t, 2, srv.TokensIssued())
		a.token = token
		require.Equal(t, 422, a.get("none").status)
		srv.Advance(30*time.Minute - time.Nanosecond)
		require.Equal(t, 422, a.get("none").status)
		srv.Advance(time.Nanosecond)
		require.Equal(t, 401, a.get("none").status)
	}
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		id, secret, grant  string
		status             int
		message, oauthCode string
	}{
		{"secret", "", "wrong", "client_credentials", 401, "Unauthorized", "invalid_client"},
		{"id", "wrong", "", "client_credentials", 401, "Unauthorized", "invalid_client"},
		{"grant", "", "", "password", 422, "Unsupported grant_type", "unsupported_grant_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []pluraltest.TokenErrorShape{pluraltest.TokenErrorGateway, pluraltest.TokenErrorOAuth} {
				srv := pluraltest.NewServer(t, pluraltest.WithTokenErrors(shape))
				id, secret := tt.id, tt.secret
				if id == "" {
					id = srv.ClientID
				}
				if secret == "" {
					secret = srv.ClientSecret
				}
				a := newAPI(t, srv)
				r := a.do("POST", "/api/auth/v1/token", tokenBody(id, secret, tt.grant))
				require.Equal(t, tt.status, r.status)
				switch {
				case shape == pluraltest.TokenErrorOAuth:
					require.Equal(t, tt.oauthCode, r.doc(t)["error"])
				case tt.status == 401:
					require.EqualValues(t, tt.status, r.doc(t)["status"])
					require.Equal(t, tt.message, r.doc(t)["message"])
				default:
					require.Equal(t, map[string]any{"code": "INVALID_REQUEST", "message": tt.message}, r.doc(t))
				}
				require.Equal(t, 1, srv.TokensIssued())
			}
		})
	}
}

func TestTokenFieldsAreExact(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	good := tokenBody(srv.ClientID, srv.ClientSecret, "client_credentials")
	require.Equal(t, 200, a.do("POST", "/api/auth/v1/token", good).status)
	for name, status := range map[string]int{"client_id": 401, "client_secret": 401, "grant_type": 422} {
		require.Equal(
			t, status, a.do("POST", "/api/auth/v1/token", strings.Replace(good, name, strings.ToUpper(name), 1)).status, name,
		)
	}
	for _, body := range []string{"", "[]", "{", good + "{}", strings.Replace(good, `"client_credentials"`, "1", 1)} {
		require.Equal(t, 400, a.do("POST", "/api/auth/v1/token", body).status, body)
	}
}

func TestRevokeTokens(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	a := newAPI(t, srv)
	srv.RevokeTokens()
	require.Equal(t, 401, a.get("none").status)
	require.True(t, srv.Tokens()[0].Revoked)
	a.token = srv.IssueToken()
	require.Equal(t, 422, a.get("none").status)
}

func TestSeedRepeats(t *testing.T) {
	t.Parallel()
	clock := pluraltest.WithClock(func() time.Time { return time.Unix(1_700_000_000, 0) })
	names := func() []string {
		srv := pluraltest.New(pluraltest.WithSeed(3), clock)
		defer srv.Close()
		id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(100)})
		require.NoError(t, err)
		order, _ := srv.Order(id)
		return []string{srv.ClientID, srv.ClientSecret, id, order.RedirectURL, srv.IssueToken()}
	}
	first := names()
	require.Equal(t, first, names())
	other := pluraltest.New()
	defer other.Close()
	require.NotEqual(t, names()[1], other.ClientSecret)
	require.Regexp(t, `^[0-9a-f]{32}$`, other.ClientSecret)
	require.Regexp(t, `^v1-\d{12}-aa-\w{6}$`, names()[2])
}
