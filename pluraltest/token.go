package pluraltest

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Token is one access token that the server has issued.
type Token struct {
	Value     string
	IssuedAt  time.Time
	ExpiresAt time.Time
	Revoked   bool
}

// issueToken serves POST /api/auth/v1/token.
func (s *Server) issueToken(c *call) answer {
	var req struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		GrantType    string `json:"grant_type"`
	}
	if !decode(c.body, &req) {
		return errMalformed.answer()
	}
	if req.GrantType != "client_credentials" {
		return s.tokenError(errGrant, "unsupported_grant_type")
	}
	if !s.isClient(req.ClientID, req.ClientSecret) {
		return s.tokenError(errCredentials, "invalid_client")
	}
	if s.cfg.oneToken {
		for _, earlier := range s.tokenList {
			earlier.Revoked = true
		}
	}
	token := s.newToken()
	doc := map[string]any{"access_token": token.Value}
	seconds := int64(token.ExpiresAt.Sub(token.IssuedAt) / time.Second)
	switch s.cfg.tokenAnswer {
	case TokenExpiresAt:
		doc["expires_at"] = token.ExpiresAt.UTC().Format("2006-01-02T15:04:05.000000Z")
	case TokenExpiresAtMillis:
		doc["expires_at"] = token.ExpiresAt.UTC().Format("2006-01-02T15:04:05.000Z")
	case TokenExpiresIn:
		doc["expires_in"] = seconds
	case TokenExpiresInString:
		doc["expires_in"] = strconv.FormatInt(seconds, 10)
	case TokenWithoutExpiry, TokenOpaque:
	}
	return jsonAnswer(http.StatusOK, marshal(doc)).done()
}

// isClient reports whether a client's credentials are right.
func (s *Server) isClient(id, secret string) bool {
	return id == s.ClientID && secret == s.ClientSecret ||
		s.cfg.guide && id == guideClientID && secret == guideClientSecret
}

// tokenError makes the answer that refuses a token, in the selected shape.
func (s *Server) tokenError(e apiError, oauthCode string) answer {
	switch {
	case s.cfg.tokenErrors == TokenErrorOAuth:
		return jsonAnswer(e.status, marshal(struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}{oauthCode, e.message}))
	case e.status == http.StatusUnauthorized && s.cfg.tokenErrors == TokenErrorGateway:
		return gatewayError(e.status, s.newTraceID())
	default:
		return e.answer()
	}
}

func (s *Server) newToken() *Token {
	now := s.now()
	expires := now.Add(s.cfg.tokenLifetime)
	serial := strconv.Itoa(len(s.tokenList) + 1)
	value := letters(s.digest("opaque token", serial), 43)
	if s.cfg.tokenAnswer != TokenOpaque {
		enc := base64.RawURLEncoding.EncodeToString
		head := enc([]byte(`{"alg":"HS256","typ":"JWT"}`))
		claims := enc(marshal(map[string]any{
			"sub": s.ClientID, "jti": uuidFrom(s.digest("jti", serial)), "iat": now.Unix(), "exp": expires.Unix(),
		}))
		value = head + "." + claims + "." + enc(s.digest("jwt", head, claims))
	}
	token := &Token{Value: value, IssuedAt: now, ExpiresAt: expires}
	s.tokens[value] = token
	s.tokenList = append(s.tokenList, token)
	return token
}

// hasValidToken reports whether a request has a valid bearer token.
func (s *Server) hasValidToken(h http.Header) bool {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	value, ok := strings.CutPrefix(values[0], "Bearer ")
	token := s.tokens[value]
	return ok && token != nil && !token.Revoked && s.now().Before(token.ExpiresAt)
}

// TokensIssued counts the tokens issued so far.
func (s *Server) TokensIssued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokenList)
}

// Tokens returns the tokens issued so far, oldest first.
func (s *Server) Tokens() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Token, 0, len(s.tokenList))
	for _, t := range s.tokenList {
		list = append(list, *t)
	}
	return list
}

// RevokeToken makes the server refuse one token from now on.
func (s *Server) RevokeToken(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens[value]; t != nil {
		t.Revoked = true
	}
}

// RevokeTokens makes the server refuse every token issued so far.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokenList {
		t.Revoked = true
	}
}

// IssueToken issues a token without a request, for a test that calls the API
// without the SDK. [Server.TokensIssued] also counts this token.
func (s *Server) IssueToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newToken().Value
}

// manyYears is longer than any server runs.
const manyYears = 100 * 365 * 24 * time.Hour

// acceptTokens makes the server accept tokens that the caller chose.
// [Server.Tokens] does not list these tokens.
func (s *Server) acceptTokens(values []string) {
	now := s.cfg.clock()
	for _, value := range values {
		s.tokens[value] = &Token{Value: value, IssuedAt: now, ExpiresAt: now.Add(manyYears)}
	}
}
