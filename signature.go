package plural

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	minHexKeyBytes = 8
	minKeyBytes    = 7 // as long as the secret of the published webhook example

	defaultTolerance = 5 * time.Minute
)

// Key is a secret that messages are signed with. Make one with [HexKey],
// [RawKey] or [Base64Key]; the zero Key is refused everywhere. A Key prints,
// logs and encodes as a placeholder.
type Key struct {
	// A function, because fmt prints what a pointer in somebody's unexported field
	// leads to. For a function it prints an address at most.
	secret func() *keySecret
}

type keySecret struct {
	raw  []byte
	macs sync.Pool // of *macState
}

// macState is an HMAC that is used again and again, and the memory that has to
// live on the heap because it is passed to an interface.
type macState struct {
	mac  hash.Hash
	head []byte // of a webhook: public
	text []byte // of a callback; blank between two uses
	sum  [sha256.Size]byte
}

// HexKey is the key whose bytes the secret spells in hex digits of either case,
// which is how Plural signs callbacks (pre-authorisation guide, section 3.2).
// Every character must be a hex digit, and they have to spell at least 8
// bytes. As in the guide's own code, the last digit of an odd number of them is
// ignored.
func HexKey(secret string) (Key, error) {
	for i := range len(secret) {
		if !isHexDigit(secret[i]) {
			return Key{}, errors.New("plural: hex key: every character must be a hex digit, without white space")
		}
	}
	raw, err := hex.DecodeString(secret[:len(secret)&^1])
	if err != nil || len(raw) < minHexKeyBytes {
		return Key{}, fmt.Errorf(
			"plural: hex key: at least %d bytes are needed, which is %d hex digits", minHexKeyBytes, 2*minHexKeyBytes,
		)
	}
	return newKey(raw)
}

// Base64Key is the key whose bytes the secret spells in standard, padded
// base64, with or without the prefix "whsec_". The dashboard shows webhook
// secrets in this form too (Plural's webhook documentation, signature
// verification). It needs at least 7 bytes.
func Base64Key(secret string) (Key, error) {
	encoded := strings.TrimPrefix(secret, "whsec_")
	raw, err := strictBase64.DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Key{}, errors.New("plural: base64 key: standard base64 with padding is needed, without white space")
	}
	if len(raw) < minKeyBytes {
		return Key{}, fmt.Errorf("plural: base64 key: at least %d bytes are needed", minKeyBytes)
	}
	return newKey(raw)
}

// RawKey is the key whose bytes are the characters of the secret, which is how
// the published webhook example uses it (Plural's webhook documentation,
// signature verification). White space and unprintable characters are refused:
// they come from a file or a clipboard, not from Plural. It needs at least 7
// bytes.
func RawKey(secret string) (Key, error) {
	for _, r := range secret {
		if r == ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return Key{}, errors.New("plural: raw key: white space and unprintable characters are refused")
		}
	}
	if len(secret) < minKeyBytes {
		return Key{}, fmt.Errorf("plural: raw key: at least %d bytes are needed", minKeyBytes)
	}
	return newKey([]byte(secret))
}

//nolint:gochecknoglobals // it never changes, and is slow to make
var strictBase64 = base64.StdEncoding.Strict()

// Sign is the HMAC-SHA256 of the message in upper-case hex: GenerateHash of
// Plural's pre-authorisation guide, section 3.2. It is for programs that sign,
// such as a test of one's own; to check what comes in there is [Verifier]. It
// is "" for the zero Key, so never compare its result with anything that may be
// empty.
func Sign(message []byte, key Key) string {
	if key.isZero() {
		return ""
	}
	sum := key.mac("", "", message)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// Verifier checks the signatures of callbacks and webhooks. It needs no
// [Client], does not change after construction and is safe for concurrent use.
// Make one for each merchant: what a Verifier accepts may be about any order,
// so one with the keys of two merchants would let one speak for the other. A
// nil or zero Verifier refuses everything. A Verifier prints, logs and encodes
// without its keys.
type Verifier struct {
	config *verifierConfig
}

type verifierConfig struct {
	callbackKeys []Key
	webhookKeys  []Key
	tolerance    time.Duration
	now          func() time.Time
}

// VerifierOption changes how a [Verifier] checks.
type VerifierOption func(*verifierConfig) error

// NewVerifier makes a Verifier for the secret that Plural gave the merchant.
// Callbacks are checked with its hex form ([HexKey]). Webhooks are checked with
// its hex form, if it has one, and with its characters ([RawKey]): Plural's
// documents leave open which of the two signs them.
//
// A secret that is not hex is an error, unless [WithCallbackKeys] says what
// checks callbacks instead: a Verifier that silently refused every callback
// would be found out in production. The secret may be "" when
// [WithCallbackKeys] or [WithWebhookKeys] is given; the family without keys
// then refuses everything, so NewVerifier("", WithWebhookKeys(key)) is a
// Verifier for webhooks alone.
func NewVerifier(secret string, opts ...VerifierOption) (*Verifier, error) {
	config := &verifierConfig{tolerance: defaultTolerance, now: time.Now}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("plural: new verifier: an option is nil")
		}
		if err := opt(config); err != nil {
			return nil, fmt.Errorf("plural: new verifier: %w", err)
		}
	}
	if secret == "" {
		if len(config.callbackKeys)+len(config.webhookKeys) == 0 {
			return nil, errors.New("plural: new verifier: no secret and no keys")
		}
		return &Verifier{config}, nil
	}
	if err := config.deriveKeys(secret); err != nil {
		return nil, err
	}
	return &Verifier{config}, nil
}

// deriveKeys fills the families for which no keys were given.
func (c *verifierConfig) deriveKeys(secret string) error {
	hexKey, hexErr := HexKey(secret)
	if len(c.callbackKeys) == 0 {
		if hexErr != nil {
			return fmt.Errorf("plural: new verifier: the secret cannot check callbacks (see WithCallbackKeys): %w", hexErr)
		}
		c.callbackKeys = []Key{hexKey}
	}
	if len(c.webhookKeys) == 0 {
		rawKey, err := RawKey(secret)
		if err != nil {
			return fmt.Errorf("plural: new verifier: the secret cannot check webhooks (see WithWebhookKeys): %w", err)
		}
		c.webhookKeys = []Key{rawKey}
		if hexErr == nil {
			c.webhookKeys = []Key{hexKey, rawKey}
		}
	}
	return nil
}

// WithCallbackKeys replaces the keys that callbacks are checked with, for
// secrets in another form and for rotation: any of them may match.
func WithCallbackKeys(keys ...Key) VerifierOption {
	return func(c *verifierConfig) (err error) {
		c.callbackKeys, err = checkKeys("callback", keys)
		return err
	}
}

// WithWebhookKeys replaces the keys that webhooks are checked with, for secrets
// in another form and for rotation: any of them may match.
func WithWebhookKeys(keys ...Key) VerifierOption {
	return func(c *verifierConfig) (err error) {
		c.webhookKeys, err = checkKeys("webhook", keys)
		return err
	}
}

// WithTolerance sets how far a webhook's timestamp may be from the clock, in
// the past and in the future: 5 minutes by default. It must be positive.
//
// It is not known whether Plural gives redeliveries a new time. If it does not,
// the last one arrives about 28 hours after its timestamp: then use 29 hours
// together with a durable [Deduper], which is what keeps a replay out.
func WithTolerance(tolerance time.Duration) VerifierOption {
	return func(c *verifierConfig) error {
		if tolerance <= 0 {
			return errors.New("the tolerance must be positive")
		}
		c.tolerance = tolerance
		return nil
	}
}

// WithClock sets the clock that webhook timestamps are compared with.
func WithClock(now func() time.Time) VerifierOption {
	return func(c *verifierConfig) error {
		if now == nil {
			return errors.New("the clock is nil")
		}
		c.now = now
		return nil
	}
}

func checkKeys(family string, keys []Key) ([]Key, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("no %s keys given", family)
	}
	for _, key := range keys {
		if key.isZero() {
			return nil, fmt.Errorf("a %s key is the zero Key", family)
		}
	}
	return append([]Key(nil), keys...), nil
}

// newKey also makes the first HMAC, because a build in FIPS 140-only mode
// panics on keys that are too short for it.
func newKey(raw []byte) (key Key, err error) {
	defer func() {
		if recover() != nil {
			key, err = Key{}, errors.New("plural: key: too short for FIPS 140-only mode")
		}
	}()
	secret := &keySecret{raw: raw}
	secret.macs.Put(secret.newMAC())
	return Key{func() *keySecret { return secret }}, nil
}

func (s *keySecret) newMAC() *macState {
	return &macState{mac: hmac.New(sha256.New, s.raw)}
}

func (k Key) isZero() bool { return k.secret == nil }

// mac is the HMAC-SHA256 of body, behind "id.timestamp." where there is an id.
func (k Key) mac(id, timestamp string, body []byte) (sum [sha256.Size]byte) {
	secret := k.secret()
	m := secret.borrowMAC()
	if m.head = m.head[:0]; id != "" {
		m.head = append(m.head, id...)
		m.head = append(m.head, '.')
		m.head = append(m.head, timestamp...)
		m.head = append(m.head, '.')
	}
	sum = m.digest(m.head, body)
	secret.macs.Put(m)
	return sum
}

// borrowMAC is an HMAC that nobody else uses; Put gives it back.
func (s *keySecret) borrowMAC() *macState {
	if m, ok := s.macs.Get().(*macState); ok {
		return m
	}
	return s.newMAC()
}

// maxKeptText is how much of such memory is kept for the next one.
const maxKeptText = 4 << 10

// digest is the HMAC of head and body, which have to be on the heap.
func (m *macState) digest(head, body []byte) (sum [sha256.Size]byte) {
	m.mac.Reset()
	if len(head) > 0 {
		m.mac.Write(head)
	}
	m.mac.Write(body)
	copy(sum[:], m.mac.Sum(m.sum[:0]))
	return sum
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// String says that there is a key, and nothing of it.
func (k Key) String() string {
	if k.isZero() {
		return "plural.Key{}"
	}
	return "plural.Key{REDACTED}"
}

// GoString is String, so %#v shows no secret.
func (k Key) GoString() string { return k.String() }

// Format writes String under every verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalJSON is String, quoted.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

// String counts the keys, and shows none of them.
func (v Verifier) String() string {
	if v.config == nil {
		return "plural.Verifier{}"
	}
	return fmt.Sprintf("plural.Verifier{%d callback keys, %d webhook keys, tolerance %s}",
		len(v.config.callbackKeys), len(v.config.webhookKeys), v.config.tolerance)
}

// GoString is String, so %#v shows no secret.
func (v Verifier) GoString() string { return v.String() }

// Format writes String under every verb.
func (v Verifier) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, v.String()) }

// LogValue is String.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalText is String.
func (v Verifier) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalJSON is String, quoted.
func (v Verifier) MarshalJSON() ([]byte, error) { return []byte(`"` + v.String() + `"`), nil }
