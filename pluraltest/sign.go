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

// SignForm returns the fields of a browser's return with the signature that the
// service would add; a signature among the fields is replaced. It signs
// whatever it is given, so that tests can offer nonsense with a good signature.
func (s *Server) SignForm(fields url.Values) url.Values {
	form := url.Values{}
	var pairs []string
	for name, values := range fields {
		if name == "signature" {
			continue
		}
		form[name] = slices.Clone(values)
		for _, value := range values {
			if value != "" || s.cfg.emptyFields {
				pairs = append(pairs, name+"="+value)
			}
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	form.Set("signature", signCallback(strings.Join(pairs, "&"), s.ClientSecret))
	return form
}

// signCallback signs as the vendor's sample code does: two characters are one
// byte of the key, an odd last one is ignored, and what is no hex key signs to
// "".
func signCallback(text, secret string) string {
	key, err := hex.DecodeString(secret[:len(secret)/2*2])
	if err != nil || len(key) == 0 || strings.TrimSpace(text) == "" {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return strings.ToUpper(hex.EncodeToString(mac.Sum(nil)))
}

// SignWebhook is the webhook-signature header for a webhook-id, a
// webhook-timestamp and a body: "v1," and base64.
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
	secret := s.WebhookSecret
	switch s.cfg.webhook.keyForm {
	case WebhookKeyHex:
		key, err := hex.DecodeString(secret[:len(secret)/2*2])
		if err == nil {
			return key
		}
	case WebhookKeyBase64:
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err == nil {
			return key
		}
	case WebhookKeyCharacters:
	}
	return []byte(secret)
}
