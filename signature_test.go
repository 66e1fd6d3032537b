package plural_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const signatureSecret = "5eC0de00a1b2c3d4e5f60718293a4b5c"

// naiveHMAC is HMAC-SHA256, written as RFC 2104 describes it. With it, the
// tests do not depend on the implementation that the code under test uses.
func naiveHMAC(key, message []byte) []byte {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	inner := bytes.Repeat([]byte{0x36}, sha256.BlockSize)
	outer := bytes.Repeat([]byte{0x5c}, sha256.BlockSize)
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	sum := sha256.Sum256(append(inner, message...))
	sum = sha256.Sum256(append(outer, sum[:]...))
	return sum[:]
}

func unhex(tb testing.TB, digits string) []byte {
	tb.Helper()
	raw, err := hex.DecodeString(digits)
	require.NoError(tb, err)
	return raw
}

func mustKey(tb testing.TB, form func(string) (plural.Key, error), secret string) plural.Key {
	tb.Helper()
	key, err := form(secret)
	require.NoError(tb, err)
	return key
}

func mustVerifier(tb testing.TB, secret string, opts ...plural.VerifierOption) *plural.Verifier {
	tb.Helper()
	v, err := plural.NewVerifier(secret, opts...)
	require.NoError(tb, err)
	return v
}

func readGolden(tb testing.TB, name string, into any) {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "signature", name))
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(data, into))
}

// requireRefused checks that err has the given kind and reason, and no other
// kind.
func requireRefused(tb testing.TB, err, kind error, reason plural.VerificationReason) {
	tb.Helper()
	require.ErrorIs(tb, err, kind)
	var refusal *plural.VerificationError
	require.ErrorAs(tb, err, &refusal)
	require.Equal(tb, reason, refusal.Reason())
	require.Equal(tb, kind.Error()+": "+string(reason), err.Error())
	for _, other := range []error{
		plural.ErrInvalidSignature, plural.ErrStaleTimestamp, plural.ErrMalformedCallback,
		plural.ErrMalformedWebhook,
	} {
		require.Equal(tb, errors.Is(kind, other), errors.Is(err, other))
	}
}

// The cases are the test cases 1, 3, 4, 6 and 7 of RFC 4231.
func TestSignAgreesWithRFC4231(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ key, message, want string }{
		"1": {
			strings.Repeat("0b", 20), hex.EncodeToString([]byte("Hi There")),
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		},
		"3": {
			strings.Repeat("aa", 20), strings.Repeat("dd", 50),
			"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
		},
		"4": {
			"0102030405060708090a0b0c0d0e0f10111213141516171819", strings.Repeat("cd", 50),
			"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
		},
		"6": {
			strings.Repeat("aa", 131), hex.EncodeToString([]byte("Test Using Larger Than Block-Size Key - Hash Key First")),
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		},
		"7": {
			strings.Repeat("aa", 131),
			hex.EncodeToString([]byte("This is a test using a larger than block-size key and a larger than block-size data. " +
				"The key needs to be hashed before being used by the HMAC algorithm.")),
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := mustKey(t, plural.HexKey, tc.key)
			for range 3 { // the same key signs several times
				require.Equal(t, strings.ToUpper(tc.want), plural.Sign(unhex(t, tc.message), key))
			}
		})
	}
}

func TestSignIsEmptyForTheZeroKey(t *testing.T) {
	t.Parallel()
	require.Empty(t, plural.Sign([]byte("order_id=1&status=PROCESSED"), plural.Key{}))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	const raw = "dash-Board_Secret.9"
	long := strings.Repeat("k", 100)
	for name, tc := range map[string]struct {
		make   func(string) (plural.Key, error)
		secret string
		want   []byte
	}{
		"hex":                       {plural.HexKey, "0011223344556677", unhex(t, "0011223344556677")},
		"hex in upper case":         {plural.HexKey, "AABBCCDDEEFF0011", unhex(t, "aabbccddeeff0011")},
		"hex of odd length":         {plural.HexKey, "0011223344556677f", unhex(t, "0011223344556677")},
		"raw":                       {plural.RawKey, raw, []byte(raw)},
		"raw that looks like hex":   {plural.RawKey, "0011223344556677", []byte("0011223344556677")},
		"raw beyond ASCII":          {plural.RawKey, "गुप्तशब्द", []byte("गुप्तशब्द")},
		"raw, the published secret": {plural.RawKey, "abc1234", []byte("abc1234")},
		"raw, long":                 {plural.RawKey, long, []byte(long)},
		"base64":                    {plural.Base64Key, base64.StdEncoding.EncodeToString([]byte(raw)), []byte(raw)},
		"base64 with prefix": {
			plural.Base64Key, "whsec_" + base64.StdEncoding.EncodeToString([]byte(raw)),
			[]byte(raw),
		},
		"base64 that looks like hex": {
			plural.Base64Key, "0011223344556677",
			[]byte{0xd3, 0x4d, 0x75, 0xdb, 0x6d, 0xf7, 0xe3, 0x8e, 0x79, 0xeb, 0xae, 0xfb},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message := []byte("order_id=1&status=PROCESSED")
			want := strings.ToUpper(hex.EncodeToString(naiveHMAC(tc.want, message)))
			require.Equal(t, want, plural.Sign(message, mustKey(t, tc.make, tc.secret)))
		})
	}
}

func TestWeakOrDirtySecretsAreRefused(t *testing.T) {
	t.Parallel()
	const hexDigits = "0011223344556677"
	for name, tc := range map[string]struct {
		make   func(string) (plural.Key, error)
		secret string
	}{
		"hex: empty":               {plural.HexKey, ""},
		"hex: one nibble":          {plural.HexKey, "f"},
		"hex: short":               {plural.HexKey, hexDigits[:14]},
		"hex: short and odd":       {plural.HexKey, hexDigits[:15]},
		"hex: newline at the end":  {plural.HexKey, hexDigits + "\n"},
		"hex: space in front":      {plural.HexKey, " " + hexDigits},
		"hex: space within":        {plural.HexKey, "00112233 44556677"},
		"hex: prefix":              {plural.HexKey, "0x" + hexDigits},
		"hex: sign":                {plural.HexKey, "+1" + hexDigits}, // the code in Plural's guide accepts a plus sign
		"hex: no hex":              {plural.HexKey, "fgwei7egyhuggwp39w8rh"},
		"hex: last odd digit":      {plural.HexKey, hexDigits + "g"},
		"hex: NUL":                 {plural.HexKey, hexDigits + "\x00"},
		"raw: empty":               {plural.RawKey, ""},
		"raw: short":               {plural.RawKey, "abc123"},
		"raw: newline at the end":  {plural.RawKey, "dashboard\n"},
		"raw: space within":        {plural.RawKey, "dash board"},
		"raw: no-break space":      {plural.RawKey, "dash\u00a0board"},
		"raw: byte order mark":     {plural.RawKey, "\ufeffdashboard"},
		"raw: zero-width space":    {plural.RawKey, "dash\u200bboard"},
		"raw: NUL":                 {plural.RawKey, "dash\x00board"},
		"raw: invalid UTF-8":       {plural.RawKey, "dash\xffboard"},
		"base64: empty":            {plural.Base64Key, ""},
		"base64: prefix alone":     {plural.Base64Key, "whsec_"},
		"base64: short":            {plural.Base64Key, "YWJjMTIz"},
		"base64: newline":          {plural.Base64Key, "ZGFzaGJvYXJk\n"},
		"base64: newline within":   {plural.Base64Key, "ZGFz\r\naGJvYXJk"},
		"base64: no padding":       {plural.Base64Key, "YWJjMTIzNA"},
		"base64: URL alphabet":     {plural.Base64Key, "-_-_-_-_-_-_"},
		"base64: not canonical":    {plural.Base64Key, "YWJjMTIzNB=="},
		"base64: trailing garbage": {plural.Base64Key, "YWJjMTIzNA==x"},
		"base64: prefix twice":     {plural.Base64Key, "whsec_whsec_ZGFzaGJvYXJk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := tc.make(tc.secret)
			require.Error(t, err)
			require.Equal(t, "plural.Key{}", key.String())
			if len(tc.secret) > 1 {
				require.NotContains(t, err.Error(), tc.secret)
			}
			require.True(t, strings.HasPrefix(err.Error(), "plural: "), err.Error())
		})
	}
}

// In FIPS 140-only mode the standard library panics on keys of less than 14
// bytes. The mode applies to a whole process. So the test starts a second
// process, in which the same test runs in this mode.
func TestShortKeysInFIPSOnlyMode(t *testing.T) {
	t.Parallel()
	if os.Getenv("PLURAL_TEST_FIPS_ONLY") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestShortKeysInFIPSOnlyMode$", "-test.count=1")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", "PLURAL_TEST_FIPS_ONLY=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	key, err := plural.RawKey("thirteenbytes")
	require.EqualError(t, err, "plural: key: too short for FIPS 140-only mode")
	require.Empty(t, plural.Sign([]byte("x"), key))
	require.NotEmpty(t, plural.Sign([]byte("x"), mustKey(t, plural.RawKey, "fourteen-bytes")))
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	key := mustKey(t, plural.RawKey, "dashboard")
	for name, tc := range map[string]struct {
		secret string
		opts   []plural.VerifierOption
	}{
		"no secret and no keys":       {"", nil},
		"no secret, only a tolerance": {"", []plural.VerifierOption{plural.WithTolerance(time.Minute)}},
		"one nibble":                  {"f", nil},
		"short secret":                {"abc1234", nil},
		"newline at the end":          {signatureSecret + "\n", nil},
		"secret that is not hex":      {"fgwei7egyhuggwp39w8rh", nil},
		"secret that is not hex, webhook keys": {
			"fgwei7egyhuggwp39w8rh",
			[]plural.VerifierOption{plural.WithWebhookKeys(key)},
		},
		"secret with a space, callback keys": {
			"fgwei7eg yhuggwp39w8rh",
			[]plural.VerifierOption{plural.WithCallbackKeys(key)},
		},
		"zero callback key": {
			signatureSecret,
			[]plural.VerifierOption{plural.WithCallbackKeys(key, plural.Key{})},
		},
		"zero webhook key": {
			signatureSecret,
			[]plural.VerifierOption{plural.WithWebhookKeys(plural.Key{})},
		},
		"an empty list of callback keys": {signatureSecret, []plural.VerifierOption{plural.WithCallbackKeys()}},
		"no webhook keys":                {signatureSecret, []plural.VerifierOption{plural.WithWebhookKeys()}},
		"no tolerance":                   {signatureSecret, []plural.VerifierOption{plural.WithTolerance(0)}},
		"negative tolerance": {
			signatureSecret,
			[]plural.VerifierOption{plural.WithTolerance(-time.Second)},
		},
		"nil clock":  {signatureSecret, []plural.VerifierOption{plural.WithClock(nil)}},
		"nil option": {signatureSecret, []plural.VerifierOption{nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := plural.NewVerifier(tc.secret, tc.opts...)
			require.Error(t, err)
			require.Nil(t, v)
			require.True(t, strings.HasPrefix(err.Error(), "plural: new verifier: "), err.Error())
			if len(tc.secret) > 1 {
				require.NotContains(t, err.Error(), strings.TrimSpace(tc.secret))
			}
		})
	}
}

func TestVerifierWithoutKeysRefusesEverything(t *testing.T) {
	t.Parallel()
	key := mustKey(t, plural.HexKey, signatureSecret)
	form := signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}})
	header, body := signedWebhook(unhex(t, signatureSecret), webhookClock().Unix(), `{"event_type":"ORDER_PROCESSED"}`)

	for name, v := range map[string]*plural.Verifier{
		"nil":          nil,
		"zero":         {},
		"webhook keys": mustVerifier(t, "", plural.WithWebhookKeys(key), plural.WithClock(webhookClock)),
	} {
		t.Run("callback/"+name, func(t *testing.T) {
			t.Parallel()
			_, err := v.VerifyCallback(form)
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
			_, err = v.VerifyCallbackRequest(formRequest(form.Encode()))
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
			_, err = v.VerifyCallbackJSON(
				[]byte(`{"order_id":"v1-1","status":"PROCESSED","signature":"` + form.Get("signature") + `"}`),
			)
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
		})
	}
	for name, v := range map[string]*plural.Verifier{
		"nil":           nil,
		"zero":          {},
		"callback keys": mustVerifier(t, "", plural.WithCallbackKeys(key), plural.WithClock(webhookClock)),
	} {
		t.Run("webhook/"+name, func(t *testing.T) {
			t.Parallel()
			requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonNoKeys)
			_, err := v.VerifyWebhook(header, body)
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
			_, err = v.VerifyWebhookRequest(webhookRequest(header, body))
			requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
		})
	}
	both := mustVerifier(t, "", plural.WithWebhookKeys(key), plural.WithCallbackKeys(key), plural.WithClock(webhookClock))
	_, err := both.VerifyCallback(form)
	require.NoError(t, err)
	require.NoError(t, both.VerifyWebhookSignature(header, body))
}

func TestSecretWithCallbackKeysServesWebhooksAsItsCharacters(t *testing.T) {
	t.Parallel()
	const secret = "fgwei7egyhuggwp39w8rh"
	v := mustVerifier(
		t, secret, plural.WithCallbackKeys(mustKey(t, plural.HexKey, signatureSecret)), plural.WithClock(webhookClock),
	)

	header, body := signedWebhook([]byte(secret), webhookClock().Unix(), `{}`)
	require.NoError(t, v.VerifyWebhookSignature(header, body))
	_, err := v.VerifyCallback(signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}}))
	require.NoError(t, err)
}

func TestVerifierKeepsItsOwnKeys(t *testing.T) {
	t.Parallel()
	keys := []plural.Key{mustKey(t, plural.HexKey, signatureSecret)}
	v := mustVerifier(t, "", plural.WithCallbackKeys(keys...))
	keys[0] = mustKey(t, plural.HexKey, strings.Repeat("00", 16))

	_, err := v.VerifyCallback(signedForm(t, signatureSecret, url.Values{"order_id": {"v1-1"}, "status": {"PROCESSED"}}))
	require.NoError(t, err)
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret, plural.WithClock(webhookClock))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := fmt.Sprintf("v1-%d", i)
			form := signedForm(t, signatureSecret, url.Values{"order_id": {id}, "status": {"PROCESSED"}})
			header, body := signedWebhook([]byte(signatureSecret), webhookClock().Unix(), fmt.Sprintf(`{"event_type":"E%d"}`, i))
			for range 200 {
				cb, err := v.VerifyCallback(form)
				if err != nil || cb.OrderID != id {
					t.Errorf("callback %s: %v, %v", id, cb, err)
					return
				}
				event, err := v.VerifyWebhook(header, body)
				if err != nil || event.Type != plural.EventType(fmt.Sprintf("E%d", i)) {
					t.Errorf("webhook %d: %v, %v", i, event, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// formattings returns the texts that fmt and slog make of a value.
func formattings(t *testing.T, value any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, verb := range []string{
		"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%e", "%t",
		"%20v", "%.3s", "%!",
	} {
		out[verb] = fmt.Sprintf(verb, value)
	}
	out["Sprint"] = fmt.Sprint(value)
	out["Errorf"] = fmt.Errorf("wrapped: %v", value).Error()
	var text, object bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "value", value, slog.Group("g", "value", value))
	slog.New(slog.NewJSONHandler(&object, nil)).Info("m", "value", value, slog.Group("g", "value", value))
	out["slog text"], out["slog JSON"] = text.String(), object.String()
	return out
}

func TestSecretsAreRedacted(t *testing.T) {
	t.Parallel()
	const raw = "dash-Board_Secret.9"
	hexKey, rawKey := mustKey(t, plural.HexKey, signatureSecret), mustKey(t, plural.RawKey, raw)
	v := mustVerifier(t, signatureSecret, plural.WithWebhookKeys(rawKey, hexKey))
	require.NotEmpty(t, plural.Sign([]byte("use it once to fill its buffers"), rawKey))

	type Exported struct {
		Key      plural.Key
		Verifier *plural.Verifier
		Value    plural.Verifier
		Keys     []plural.Key
		Map      map[string]plural.Key
	}
	type unexported struct {
		key      plural.Key
		verifier *plural.Verifier
		value    plural.Verifier
		keys     []plural.Key
	}
	values := map[string]any{
		"Key":        rawKey,
		"*Key":       &rawKey,
		"HexKey":     hexKey,
		"*Verifier":  v,
		"Verifier":   *v,
		"exported":   Exported{rawKey, v, *v, []plural.Key{hexKey}, map[string]plural.Key{"k": hexKey}},
		"unexported": unexported{rawKey, v, *v, []plural.Key{hexKey}},
		"*both":      &struct{ Exported }{Exported{rawKey, v, *v, nil, nil}},
	}
	shown := secretSpellings(t, raw, signatureSecret)
	for name, value := range values {
		for how, text := range formattings(t, value) {
			for _, secret := range shown {
				require.NotContains(t, text, secret, "%s under %s", name, how)
			}
		}
		encoded, err := json.Marshal(value)
		require.NoError(t, err)
		for _, secret := range shown {
			require.NotContains(t, string(encoded), secret, name)
		}
	}

	require.Equal(t, "plural.Key{REDACTED}", rawKey.String())
	require.Equal(t, "plural.Key{}", fmt.Sprint(plural.Key{}))
	require.Equal(t, "plural.Verifier{1 callback keys, 2 webhook keys, tolerance 5m0s}", fmt.Sprintf("%#v", v))
	require.Equal(t, "plural.Verifier{}", fmt.Sprint(plural.Verifier{}))
	asKey, err := json.Marshal(map[string]any{"key": rawKey, "verifier": v})
	require.NoError(t, err)
	require.JSONEq(
		t,
		`{"key":"plural.Key{REDACTED}","verifier":"plural.Verifier{1 callback keys, 2 webhook keys, tolerance 5m0s}"}`,
		string(asKey),
	)
	text, err := rawKey.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "plural.Key{REDACTED}", string(text))
	text, err = v.MarshalText()
	require.NoError(t, err)
	require.Equal(t, v.String(), string(text))
	require.Equal(t, v.String(), v.GoString())
	require.Equal(t, rawKey.String(), rawKey.GoString())
}

// secretSpellings returns the texts that would reveal a secret. Each of them
// has the bytes of the raw secret or of the hex secret, in a form that fmt or
// an encoder may write.
func secretSpellings(t *testing.T, raw, hexSecret string) []string {
	t.Helper()
	var all []string
	for _, secret := range [][]byte{[]byte(raw), []byte(hexSecret), unhex(t, hexSecret)} {
		all = append(all,
			string(secret),
			hex.EncodeToString(secret),
			strings.ToUpper(hex.EncodeToString(secret)),
			base64.StdEncoding.EncodeToString(secret),
			strings.Trim(fmt.Sprintf("%d", secret), "[]"),
			strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}"),
			strings.Trim(fmt.Sprintf("%o", secret), "[]"),
			strings.Trim(fmt.Sprintf("%b", secret), "[]"),
		)
	}
	return slices.Compact(all)
}

func TestRefusalsDoNotTellTheExpectedSignature(t *testing.T) {
	t.Parallel()
	v := mustVerifier(t, signatureSecret, plural.WithClock(webhookClock))
	form := signedForm(t, signatureSecret, url.Values{
		"order_id": {"v1-private-order"}, "status": {"FAILED"}, "error_message": {"Asha Rao has no money"},
	})
	right := form.Get("signature")
	form.Set("signature", strings.Repeat("0", 64))
	_, callbackErr := v.VerifyCallback(form)
	requireRefused(t, callbackErr, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)

	header, body := signedWebhook([]byte(signatureSecret), webhookClock().Unix(), `{"event_type":"PRIVATE"}`)
	_, encoded, _ := strings.Cut(header.Get("Webhook-Signature"), ",")
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	webhookErr := v.VerifyWebhookSignature(header, body)
	requireRefused(t, webhookErr, plural.ErrInvalidSignature, plural.ReasonSignatureMismatch)

	for _, err := range []error{callbackErr, webhookErr} {
		for how, text := range formattings(t, err) {
			for _, secret := range []string{
				right, strings.ToLower(right), encoded, signatureSecret, "v1-private-order",
				"Asha", "PRIVATE",
			} {
				require.NotContains(t, text, secret, how)
			}
		}
	}
}

func TestZeroVerificationErrorIsNoSentinel(t *testing.T) {
	t.Parallel()
	err := new(plural.VerificationError)
	require.NotErrorIs(t, err, plural.ErrInvalidSignature)
	require.NotErrorIs(t, err, nil)
	require.Equal(t, "plural: not verified", err.Error())
	require.Empty(t, err.Reason())
}

// webhookClock always returns the same time.
func webhookClock() time.Time { return time.Unix(1763802000, 0) }

func webhookRequest(header http.Header, body []byte) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://shop.example/webhooks", bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header = header.Clone()
	return r
}

// The race detector makes sync.Pool drop items at random. So the test does not
// run under the race detector.
//
//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestVerifyWebhookSignatureDoesNotAllocate(t *testing.T) {
	skipUnderRace(t)
	v := webhookVerifier(t)
	good, body := goodWebhook(webhookBody)
	forged, tampered := good.Clone(), append([]byte(nil), body...)
	tampered[0] = '['
	forged.Set("Webhook-Signature", "v1,x")
	stale, _ := signedWebhook([]byte(signatureSecret), 0, webhookBody)
	eight := good.Clone()
	one := good.Get("Webhook-Signature")
	eight.Set("Webhook-Signature", one+" "+one+" "+one+" "+one+" "+one+" "+one+" "+one+" "+one)

	require.NoError(t, v.VerifyWebhookSignature(good, body))
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(good, body) }), "accepted")
	require.NoError(t, v.VerifyWebhookSignature(eight, body))
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(eight, body) }), "eight signatures")
	require.ErrorIs(t, v.VerifyWebhookSignature(good, tampered), plural.ErrInvalidSignature)
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(good, tampered) }), "mismatch")
	require.ErrorIs(t, v.VerifyWebhookSignature(forged, body), plural.ErrInvalidSignature)
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(forged, body) }), "malformed")
	require.ErrorIs(t, v.VerifyWebhookSignature(stale, body), plural.ErrStaleTimestamp)
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(stale, body) }), "stale")
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestVerifyCallbackAllocatesLittle(t *testing.T) {
	skipUnderRace(t)
	v := mustVerifier(t, signatureSecret)
	form := goodForm(t)
	require.LessOrEqual(
		t,
		testing.AllocsPerRun(500, func() { _, _ = v.VerifyCallback(form) }),
		6.0,
		"one for the signed text, three for the callback and its map, two for the values",
	)
}

//nolint:paralleltest // it measures memory
func TestMemoryIsFlatOverVerifications(t *testing.T) {
	skipUnderRace(t)
	v := webhookVerifier(t)
	header, body := goodWebhook(webhookBody)
	form := goodForm(t)
	callbacks := mustVerifier(t, signatureSecret)
	heap := func() uint64 {
		for range 100_000 {
			_ = v.VerifyWebhookSignature(header, body)
		}
		for range 10_000 {
			_, _ = v.VerifyWebhook(header, body)
			_, _ = callbacks.VerifyCallback(form)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	early, late := heap(), uint64(0)
	for range 9 { // a million webhook signatures in ten rounds
		late = heap()
	}
	require.Less(t, late, early+256<<10)
}

func BenchmarkVerifyWebhookSignature(b *testing.B) {
	v := webhookVerifier(b)
	header, body := goodWebhook(webhookBody)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.VerifyWebhookSignature(header, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyWebhook(b *testing.B) {
	v := webhookVerifier(b)
	header, body := goodWebhook(webhookBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.VerifyWebhook(header, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCallback(b *testing.B) {
	v := mustVerifier(b, signatureSecret)
	form := goodForm(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.VerifyCallback(form); err != nil {
			b.Fatal(err)
		}
	}
}

// KeyIndex shows which of several keys made the signature. The keys of earlier
// messages make no difference.
func TestKeyIndex(t *testing.T) {
	t.Parallel()
	secrets := []string{signatureSecret, "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"}
	var hexKeys, rawKeys []plural.Key
	for _, secret := range secrets {
		hexKeys = append(hexKeys, mustKey(t, plural.HexKey, secret))
		rawKeys = append(rawKeys, mustKey(t, plural.RawKey, secret))
	}
	v, err := plural.NewVerifier(
		"", plural.WithCallbackKeys(hexKeys...), plural.WithWebhookKeys(rawKeys...), plural.WithClock(webhookClock),
	)
	require.NoError(t, err)
	for _, i := range []int{0, 1, 2, 2, 0, 1, 0} {
		form := url.Values{"order_id": {"v1-1-aa-b"}, "status": {"AUTHORIZED"}}
		callback, err := v.VerifyCallback(signedForm(t, secrets[i], form))
		require.NoError(t, err)
		require.Equal(t, i, callback.KeyIndex)

		good, body := goodWebhook(webhookBody)
		id, timestamp := good.Get("Webhook-Id"), good.Get("Webhook-Timestamp")
		header := webhookHeader(id, timestamp, naiveWebhookSignature([]byte(secrets[i]), id, timestamp, string(body)))
		event, err := v.VerifyWebhook(header, body)
		require.NoError(t, err)
		require.Equal(t, i, event.KeyIndex)
	}
}
