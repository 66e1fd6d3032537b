package pluraltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// SignForm returns the fields of a callback with the signature that the service
// would add. If the fields already have a signature, SignForm replaces it. It
// signs any fields, so a test can send nonsense with a valid signature.
func (s *Server) SignForm(fields url.Values) url.Values {
	form := url.Values{}
	var pairs []string
	for name, values := range fields {
		if name == "signature" {
			continue
		}
		form[name] = slices.Clone(values)
		for _, value := range values {
			if value != "" || s.cfg.emptyFields == emptySigned {
				pairs = append(pairs, name+"="+value)
			}
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	secret := s.ClientSecret
	if s.cfg.callbackSecret != "" {
		secret = s.cfg.callbackSecret
	}
	form.Set("signature", signCallback(strings.Join(pairs, "&"), keyOf(secret, s.cfg.callbackKey)))
	return form
}

// signCallback signs as the vendor's sample code does. It returns "" if there
// is no key.
func signCallback(text string, key []byte) string {
	if len(key) == 0 || strings.TrimSpace(text) == "" {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return strings.ToUpper(hex.EncodeToString(mac.Sum(nil)))
}

// keyOf makes a key from a secret. It returns nil if the secret does not have
// the given form. In hex, two characters make one byte. If the number of
// characters is odd, the last one is ignored.
func keyOf(secret string, form WebhookKeyForm) []byte {
	var key []byte
	var err error
	switch form {
	case WebhookKeyHex:
		key, err = hex.DecodeString(secret[:len(secret)/2*2])
	case WebhookKeyBase64:
		key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	case WebhookKeyCharacters:
		key = []byte(secret)
	}
	if err != nil {
		return nil
	}
	return key
}

// SignWebhook returns the webhook-signature header for a webhook-id, a
// webhook-timestamp and a body. The header begins with "v1,". The signature in
// base64 follows.
func (s *Server) SignWebhook(id, timestamp string, body []byte) string {
	return signWebhook(s.webhookKey(), id, timestamp, body)
}

func signWebhook(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Server) webhookKey() []byte {
	if key := keyOf(s.WebhookSecret, s.cfg.webhook.keyForm); key != nil {
		return key
	}
	return []byte(s.WebhookSecret)
}
