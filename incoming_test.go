package plural_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The type arena is memory that a server uses again for each request, as
// fasthttp does. Code may keep a piece of this memory after a request. Then the
// next request writes other data into that piece.
type arena struct {
	memory []byte
	used   int
}

func newArena() *arena { return &arena{memory: make([]byte, 16<<10)} }

// copyBytes copies the text into the arena's memory. It returns the part of the
// memory that has the copy.
func (a *arena) copyBytes(text string) []byte {
	start := a.used
	a.used += copy(a.memory[start:], text)
	return a.memory[start:a.used]
}

func (a *arena) text(text string) string {
	if text == "" {
		return ""
	}
	return unsafe.String(unsafe.SliceData(a.copyBytes(text)), len(text))
}

func (a *arena) request(header http.Header, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/plural", readerFunc(strings.NewReader(body).Read))
	for name, values := range header {
		r.Header[a.text(name)] = []string{a.text(values[0])}
	}
	return r
}

func (a *arena) form(form url.Values) url.Values {
	borrowed := url.Values{}
	for name, values := range form {
		borrowed[a.text(name)] = []string{a.text(values[0])}
	}
	return borrowed
}

// overwriteMemory changes all of the memory. A server may do the same between
// two requests.
func (a *arena) overwriteMemory() {
	for i := range a.memory {
		a.memory[i] = '!'
	}
	a.used = 0
}

// keepingHandler keeps log records, like a slog.Handler that writes its records
// later.
type keepingHandler struct {
	slog.Handler

	records *[]slog.Record
}

func (h keepingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h keepingHandler) Handle(_ context.Context, r slog.Record) error {
	*h.records = append(*h.records, r.Clone())
	return nil
}

// numberedWebhook makes delivery number n, which webhookVerifier accepts.
func numberedWebhook(n int) (header http.Header, id, orderID, body string) {
	id, orderID = fmt.Sprintf("msg_%04d", n), fmt.Sprintf("v1-order-%04d", n)
	body = fmt.Sprintf(`{"event_type":"TYPE_%04d","data":{"order_id":%q,"status":"AUTHORIZED"}}`, n, orderID)
	timestamp := strconv.FormatInt(webhookClock().Unix(), 10)
	signature := naiveWebhookSignature([]byte(signatureSecret), id, timestamp, body)
	return webhookHeader(id, timestamp, signature), id, orderID, body
}

// The shop's function handles each delivery once, and keeps the event. The
// event does not change when the server uses the memory of the request again.
func TestWebhookHandlerKeepsNothingOfTheRequestsMemory(t *testing.T) {
	t.Parallel()
	const deliveries = 20
	memory := newArena()
	var kept []*plural.Event
	var records []slog.Record
	failing := true // the first deliveries fail, and the failures are logged
	h := plural.NewWebhookHandler(webhookVerifier(t), func(_ context.Context, e *plural.Event) error {
		if failing {
			return errors.New("no")
		}
		kept = append(kept, e)
		return nil
	}, plural.WithHandlerLogger(slog.New(keepingHandler{slog.DiscardHandler, &records})))
	deliverAll := func(status int) {
		for n := range deliveries {
			header, _, _, body := numberedWebhook(n)
			require.Equal(t, status, serve(h, memory.request(header, body)).Code)
			memory.overwriteMemory()
		}
	}
	deliverAll(http.StatusInternalServerError)
	failing = false
	deliverAll(http.StatusOK)
	deliverAll(http.StatusOK) // repeated deliveries
	require.Len(t, kept, deliveries, "each once")
	require.Len(t, records, deliveries)
	for n, event := range kept {
		_, id, orderID, body := numberedWebhook(n)
		require.Equal(t, id, event.ID)
		require.Equal(t, plural.EventType(fmt.Sprintf("TYPE_%04d", n)), event.Type)
		require.Equal(t, body, string(event.RawJSON()))
		got, err := event.OrderID()
		require.NoError(t, err)
		require.Equal(t, orderID, got)
		logged := map[string]string{}
		records[n].Attrs(func(a slog.Attr) bool {
			logged[a.Key] = a.Value.String()
			return true
		})
		require.Equal(t, map[string]string{"event_id": id, "event_type": string(event.Type), "error": "no"}, logged)
	}
}

func TestVerifierKeepsNothingOfTheRequestsMemory(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	form := url.Values{
		"order_id": {callbackOrderID}, "payment_status": {"FAILED"}, "error_code": {"OTP_WRONG"},
		"error_message": {"the code was wrong"}, "further": {"field"},
	}
	signedForm(t, signatureSecret, form)
	flat := fmt.Sprintf(`{"order_id":%q,"payment_status":"FAILED","error_code":"OTP_WRONG",`+
		`"error_message":"the code was wrong","further":"field","signature":%q}`, callbackOrderID, form.Get("signature"))
	formHeader := http.Header{"Content-Type": {formContentType}}
	for name, verify := range map[string]func(*arena) (*plural.Callback, error){
		"form": func(m *arena) (*plural.Callback, error) { return v.VerifyCallback(m.form(form)) },
		"request": func(m *arena) (*plural.Callback, error) {
			return v.VerifyCallbackRequest(m.request(formHeader, form.Encode()))
		},
		"request, parsed": func(m *arena) (*plural.Callback, error) {
			r := m.request(formHeader, "")
			r.PostForm = m.form(form)
			return v.VerifyCallbackRequest(r)
		},
		"JSON": func(m *arena) (*plural.Callback, error) { return v.VerifyCallbackJSON(m.copyBytes(flat)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := newArena()
			callback, err := verify(memory)
			require.NoError(t, err)
			memory.overwriteMemory()
			require.Equal(t, callbackOrderID, callback.OrderID)
			require.Equal(t, plural.OrderStatusFailed, callback.Status)
			require.Equal(t, plural.ErrorCode("OTP_WRONG"), callback.ErrorCode)
			require.Equal(t, "the code was wrong", callback.ErrorMessage)
			require.Equal(t, map[string]string{
				"order_id": callbackOrderID, "payment_status": "FAILED", "error_code": "OTP_WRONG",
				"error_message": "the code was wrong", "further": "field",
			}, callback.Fields)
		})
	}

	header, id, _, body := numberedWebhook(1)
	for name, verify := range map[string]func(*arena) (*plural.Event, error){
		"webhook": func(m *arena) (*plural.Event, error) {
			return v.VerifyWebhook(m.request(header, "").Header, m.copyBytes(body))
		},
		"webhook request": func(m *arena) (*plural.Event, error) { return v.VerifyWebhookRequest(m.request(header, body)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := newArena()
			event, err := verify(memory)
			require.NoError(t, err)
			memory.overwriteMemory()
			require.Equal(t, id, event.ID)
			require.Equal(t, plural.EventType("TYPE_0001"), event.Type)
			require.JSONEq(t, `{"order_id":"v1-order-0001","status":"AUTHORIZED"}`, string(event.Data))
			require.Equal(t, body, string(event.RawJSON()))
		})
	}
}

func TestMemoryDeduperKeepsNothingOfTheCallersMemory(t *testing.T) {
	t.Parallel()
	memory := newArena()
	d := plural.NewMemoryDeduper(0)
	for n := range 20 {
		claim, err := d.Claim(t.Context(), memory.text(fmt.Sprintf("msg_%04d", n)), time.Minute)
		require.NoError(t, err)
		require.Equal(t, plural.Claimed, claim.State)
		memory.overwriteMemory()
		require.NoError(t, d.Commit(t.Context(), memory.text(fmt.Sprintf("msg_%04d", n)), claim.Token, time.Hour))
		memory.overwriteMemory()
	}
	for n := range 20 {
		claim, err := d.Claim(t.Context(), fmt.Sprintf("msg_%04d", n), time.Minute)
		require.NoError(t, err)
		require.Equal(t, plural.Done, claim.State)
	}
}

// splitAtCommas splits each value of a header at its commas. The adaptors for
// AWS HTTP APIs do the same to most headers.
func splitAtCommas(header http.Header) http.Header {
	split := http.Header{}
	for name, values := range header {
		for _, value := range values {
			split[name] = append(split[name], strings.Split(value, ",")...)
		}
	}
	return split
}

func TestWebhookSignatureSplitAtItsCommas(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t)
	good, body := goodWebhook(webhookBody)
	right := good.Get("Webhook-Signature")
	wrong := "v1," + strings.Repeat("A", 43) + "="
	eight := strings.Repeat(wrong+" ", 7) + right
	for name, tc := range map[string]struct {
		values []string
		reason plural.VerificationReason // "": the signature is accepted
	}{
		"one":                             {strings.Split(right, ","), ""},
		"two":                             {strings.Split(wrong+" "+right, ","), ""},
		"eight":                           {strings.Split(eight, ","), ""},
		"nine":                            {strings.Split(eight+" "+right, ","), plural.ReasonSignatureMalformed},
		"another version":                 {strings.Split("v2,x "+right, ","), ""},
		"wrong":                           {strings.Split(wrong, ","), plural.ReasonSignatureMismatch},
		"sent twice":                      {[]string{right, right}, plural.ReasonSignatureRepeated},
		"sent twice, then split":          {strings.Split(right+","+right, ","), plural.ReasonSignatureMalformed},
		"a whole value, then a part":      {[]string{right, "v1"}, plural.ReasonSignatureRepeated},
		"a part, then a whole value":      {[]string{"v2", right}, plural.ReasonSignatureRepeated},
		"in another order":                {[]string{strings.TrimPrefix(right, "v1,"), "v1"}, plural.ReasonSignatureVersion},
		"an empty part":                   {[]string{"v1", "", right[3:]}, plural.ReasonSignatureMalformed},
		"nothing but parts":               {[]string{"", ""}, plural.ReasonSignatureMalformed},
		"more parts than a list may have": {slices.Repeat([]string{"v"}, 1000), plural.ReasonSignatureRepeated},
		"a part that is much too long":    {[]string{"v1", strings.Repeat("A", 2000)}, plural.ReasonSignatureRepeated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, spelling := range []string{"Webhook-Signature", "webhook-signature"} {
				header := good.Clone()
				header.Del("Webhook-Signature")
				header[spelling] = tc.values
				err := v.VerifyWebhookSignature(header, body)
				if tc.reason == "" {
					require.NoError(t, err)
					continue
				}
				requireRefused(t, err, plural.ErrInvalidSignature, tc.reason)
			}
		})
	}

	// If the header's name comes in two spellings, the parts cannot be put in
	// order.
	header := good.Clone()
	header.Del("Webhook-Signature")
	header["webhook-signature"], header["WEBHOOK-SIGNATURE"] = []string{"v1"}, []string{strings.TrimPrefix(right, "v1,")}
	requireRefused(t, v.VerifyWebhookSignature(header, body), plural.ErrInvalidSignature, plural.ReasonSignatureRepeated)

	require.NoError(t, v.VerifyWebhookSignature(splitAtCommas(good), body))
	twice := good.Clone()
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp"} {
		twice[name] = []string{good.Get(name), good.Get(name)}
		require.ErrorIs(
			t, v.VerifyWebhookSignature(twice, body), plural.ErrMalformedWebhook, "only parts of the signature are joined",
		)
		twice[name] = good[name]
	}
}

// CGI and FastCGI pass on the content type twice.
func TestRequestsOfCGI(t *testing.T) {
	t.Parallel()
	fromCGI := func(contentType, body string, header http.Header) *http.Request {
		env := map[string]string{
			"REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "shop.example", "REQUEST_URI": "/plural",
			"CONTENT_TYPE": contentType, "HTTP_CONTENT_TYPE": contentType, "HTTP_CONTENT_ENCODING": "identity",
			"CONTENT_LENGTH": strconv.Itoa(len(body)), "HTTP_CONTENT_LENGTH": strconv.Itoa(len(body)),
		}
		for name, values := range header {
			env["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = values[0]
		}
		r, err := cgi.RequestFromMap(env)
		require.NoError(t, err)
		require.Len(t, r.Header.Values("Content-Type"), 2)
		r.Body = io.NopCloser(strings.NewReader(body))
		return r
	}
	v := webhookVerifier(t)
	callback, err := v.VerifyCallbackRequest(fromCGI(formContentType, goodForm(t).Encode(), nil))
	require.NoError(t, err)
	require.Equal(t, callbackOrderID, callback.OrderID)
	header, body := goodWebhook(webhookBody)
	event, err := v.VerifyWebhookRequest(fromCGI("application/json", string(body), header))
	require.NoError(t, err)
	require.Equal(t, webhookID, event.ID)
}

// unreadBody is a body that fails the test if somebody reads it.
func unreadBody(t *testing.T) io.ReadCloser {
	t.Helper()
	return io.NopCloser(readerFunc(func([]byte) (int, error) {
		t.Error("the body was read")
		return 0, io.EOF
	}))
}

// If a header has a fault, the body is not read, and the error names this
// fault. This is so even if the body also does not match the signature.
func TestHeadersAreAskedBeforeTheBody(t *testing.T) {
	t.Parallel()
	at := func(seconds int64) http.Header {
		header, _ := signedWebhook([]byte("another secret"), webhookClock().Unix()+seconds, webhookBody)
		return header
	}
	with := func(name, value string) http.Header {
		header := at(0)
		header.Set(name, value)
		return header
	}
	for name, tc := range map[string]struct {
		header http.Header
		kind   error
		reason plural.VerificationReason
	}{
		"no headers":          {http.Header{}, plural.ErrMalformedWebhook, plural.ReasonWebhookID},
		"id":                  {with("Webhook-Id", "a.b"), plural.ErrMalformedWebhook, plural.ReasonWebhookID},
		"timestamp":           {with("Webhook-Timestamp", "now"), plural.ErrMalformedWebhook, plural.ReasonWebhookTimestamp},
		"stale":               {at(-301), plural.ErrStaleTimestamp, plural.ReasonTimestampPast},
		"from the future":     {at(301), plural.ErrStaleTimestamp, plural.ReasonTimestampFuture},
		"no signature":        {with("Webhook-Signature", ""), plural.ErrInvalidSignature, plural.ReasonSignatureMissing},
		"malformed signature": {with("Webhook-Signature", "x"), plural.ErrInvalidSignature, plural.ReasonSignatureMalformed},
		"version":             {with("Webhook-Signature", "v2,x"), plural.ErrInvalidSignature, plural.ReasonSignatureVersion},
		"compressed":          {with("Content-Encoding", "br"), plural.ErrMalformedWebhook, plural.ReasonContentEncoding},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := func() *http.Request {
				r := webhookRequest(tc.header, nil)
				r.Body, r.ContentLength = unreadBody(t), -1
				return r
			}
			_, err := webhookVerifier(t).VerifyWebhookRequest(request())
			requireRefused(t, err, tc.kind, tc.reason)
			h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error { return nil })
			status := http.StatusUnauthorized
			if errors.Is(tc.kind, plural.ErrMalformedWebhook) {
				status = http.StatusBadRequest
			}
			require.Equal(t, status, serve(h, request()).Code)
		})
	}
	t.Run("no keys", func(t *testing.T) {
		t.Parallel()
		r := webhookRequest(at(0), nil)
		r.Body, r.ContentLength = unreadBody(t), -1
		key := mustKey(t, plural.HexKey, signatureSecret)
		_, err := mustVerifier(t, "", plural.WithCallbackKeys(key)).VerifyWebhookRequest(r)
		requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
		_, err = new(plural.Verifier).VerifyWebhookRequest(r)
		requireRefused(t, err, plural.ErrInvalidSignature, plural.ReasonNoKeys)
	})
	t.Run("callback", func(t *testing.T) {
		t.Parallel()
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Method = http.MethodPut },
			func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
			func(r *http.Request) { r.ContentLength = callbackMaxBytes + 1 },
		} {
			r := formRequest("")
			r.Body, r.ContentLength = unreadBody(t), -1
			change(r)
			_, err := webhookVerifier(t).VerifyCallbackRequest(r)
			require.ErrorIs(t, err, plural.ErrMalformedCallback)
		}
	})
}

// If a body arrives so slowly that the timestamp becomes too old meanwhile, the
// webhook is refused. If the signature is wrong as well, the error says that
// the signature is wrong, and not that the timestamp is too old.
func TestFreshnessIsAskedAgainAfterTheBody(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		takes  time.Duration
		secret string
		kind   error
		reason plural.VerificationReason
	}{
		"in time":          {300 * time.Second, signatureSecret, nil, ""},
		"too late":         {301 * time.Second, signatureSecret, plural.ErrStaleTimestamp, plural.ReasonTimestampPast},
		"too late, forged": {301 * time.Second, "another secret", plural.ErrInvalidSignature, plural.ReasonSignatureMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := webhookClock()
			v := mustVerifier(t, signatureSecret, plural.WithClock(func() time.Time { return now }))
			header, body := signedWebhook([]byte(tc.secret), now.Unix(), webhookBody)
			r := webhookRequest(header, body)
			read := r.Body
			r.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
				now = webhookClock().Add(tc.takes)
				return read.Read(p)
			}))
			_, err := v.VerifyWebhookRequest(r)
			if tc.kind == nil {
				require.NoError(t, err)
				return
			}
			requireRefused(t, err, tc.kind, tc.reason)
		})
	}
}

func TestLongEventTypesAreCutShortInTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("T", 200<<10)
	header, body := goodWebhook(`{"event_type":"` + long + `"}`)
	var records []slog.Record
	var event *plural.Event
	h := plural.NewWebhookHandler(webhookVerifier(t), func(_ context.Context, e *plural.Event) error {
		event = e
		return errors.New("no")
	}, plural.WithHandlerLogger(slog.New(keepingHandler{slog.DiscardHandler, &records})))
	require.Equal(t, http.StatusInternalServerError, deliver(h, header, body))
	require.Len(t, event.Type, len(long), "the event itself has the whole type")
	_, err := event.OrderID()
	require.ErrorIs(t, err, plural.ErrNoOrder)
	for _, text := range []string{fmt.Sprint(event), event.LogValue().String(), err.Error()} {
		require.Less(t, len(text), 300)
	}
	require.Len(t, records, 1)
	records[0].Attrs(func(a slog.Attr) bool {
		require.Less(t, len(a.Value.String()), 300)
		return true
	})
}

// heapGrowth calls the function that is passed to it. The result is the number
// of bytes by which the heap has grown during this call.
func heapGrowth(work func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	work()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// A shop may keep the ids of many events and callbacks for a long time. Each id
// has to be a copy of the text in its document. If the id shared the memory of
// the document, the id would keep the whole document in memory.
//
//nolint:paralleltest // it measures memory
func TestKeptIDsDoNotKeepDocuments(t *testing.T) {
	skipUnderRace(t)
	const size, most = 50 << 10, 1 << 20
	v := webhookVerifier(t)
	var kept []string
	used := heapGrowth(func() {
		for n := range 200 {
			padding := strings.Repeat("x", size)
			header, body := goodWebhook(fmt.Sprintf(
				`{"event_type":"TYPE_%d","padding":%q,"data":{"order_id":"v1-%d","notes":%q}}`, n, padding, n, padding))
			event, err := v.VerifyWebhook(header, body)
			require.NoError(t, err)
			orderID, err := event.OrderID()
			require.NoError(t, err)
			kept = append(kept, event.ID, string(event.Type), orderID)
		}
	})
	require.Less(t, used, int64(most), "events")

	used = heapGrowth(func() {
		for n := range 200 {
			form := failedForm(strings.Repeat("x", size))
			form.Set("order_id", fmt.Sprintf("v1-%d", n))
			signedForm(t, signatureSecret, form)
			callback, err := v.VerifyCallbackRequest(formRequest(form.Encode()))
			require.NoError(t, err)
			kept = append(kept, callback.OrderID, string(callback.Status))
		}
	})
	require.Less(t, used, int64(most), "callbacks")
	runtime.KeepAlive(kept)
}

// memoryPerRequest sends many requests to h at once. Each request sends the
// given number of bytes of its body, and then stalls. The result is how much
// memory one request holds.
func memoryPerRequest(t *testing.T, h http.Handler, header http.Header, announced int64, sent int) int64 {
	t.Helper()
	const count = 200
	var stalled, ended sync.WaitGroup
	release := make(chan struct{})
	stalled.Add(count)
	used := heapGrowth(func() {
		for range count {
			ended.Go(func() {
				reach := sync.OnceFunc(stalled.Done)
				defer reach()
				r := webhookRequest(header, nil)
				left := sent
				r.Body, r.ContentLength = io.NopCloser(readerFunc(func(p []byte) (int, error) {
					if left == 0 {
						reach()
						<-release
						return 0, io.EOF
					}
					n := min(left, len(p), 4<<10)
					left -= n
					return n, nil
				})), announced
				serve(h, r)
			})
		}
		stalled.Wait()
	})
	close(release)
	ended.Wait()
	return used / count
}

//nolint:paralleltest // it measures memory
func TestStrangersHoldLittleMemory(t *testing.T) {
	skipUnderRace(t)
	const most = 256 << 10
	h := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error { return nil })
	plausible := webhookHeader(webhookID, "1763802000", "v1,"+strings.Repeat("A", 43)+"=")
	stale := webhookHeader(webhookID, "1763801000", "v1,"+strings.Repeat("A", 43)+"=")
	for name, tc := range map[string]struct {
		header    http.Header
		announced int64
		sent      int
		holds     int64
	}{
		"no headers":                          {http.Header{}, -1, 1 << 20, 8 << 10},
		"an old timestamp":                    {stale, -1, 1 << 20, 8 << 10},
		"plausible, announces only":           {plausible, most, 0, 8 << 10},
		"plausible, sends a little":           {plausible, most, 10 << 10, 32 << 10},
		"plausible, sends as much as allowed": {plausible, -1, most, most + 32<<10},
		"plausible, sends more":               {plausible, -1, most + 1, 8 << 10},
		"plausible, announces more":           {plausible, most + 1, 0, 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, memoryPerRequest(t, h, tc.header, tc.announced, tc.sent), tc.holds)
		})
	}
}
