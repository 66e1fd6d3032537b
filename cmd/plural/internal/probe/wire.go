package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/account"
	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// The paths of the API.
const (
	tokenPath    = "/api/auth/v1/token" //nolint:gosec // a path
	checkoutPath = "/api/checkout/v1/orders"
	ordersPath   = "/api/pay/v1/orders/"
	byReference  = "/api/pay/v1/orders/reference/"
	refundsPath  = "/api/pay/v1/refunds/"
)

const (
	sendTimeout = 20 * time.Second
	maxAnswer   = 4 << 20
)

// The type wire sends each request unchanged, and repeats the request only if
// Plural refused the access token. The probe does not use the SDK to ask its
// questions, because some questions are about unclear outcomes. After an
// unclear answer, the SDK itself finds out the outcome, and returns only the
// result. The probe must see Plural's own answer. At the end the probe gives
// the money back with the SDK.
type wire struct {
	base    string
	account *account.Account
	client  *http.Client

	mu    sync.Mutex
	token string
}

func newWire(a *account.Account) (*wire, error) {
	base, err := a.Base()
	if err != nil {
		return nil, err
	}
	return &wire{
		base:    base.String(),
		account: a,
		client: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       sendTimeout,
		},
	}, nil
}

// The type reply is an answer from Plural.
type reply struct {
	status int
	code   string
	proto  string
	header http.Header
	body   []byte
	isGzip bool
	at     time.Time // the time halfway between request and answer, by this machine's clock
	took   time.Duration
}

func (r *reply) isOK() bool { return r.status/100 == 2 }

// isRefusal reports whether Plural has refused the request. A busy or broken
// server, and a page in place of JSON, show nothing about the request.
func (r *reply) isRefusal() bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return r.status/100 == 4 && len(r.fields()) > 0
}

// unclearFailure returns the error for an answer that shows neither a success
// nor a refusal.
func (r *reply) unclearFailure() askError {
	return askError("an answer shows neither a success nor a refusal: " + r.fact("").Text())
}

// Some questions ask how Plural refuses a request. For such a question,
// refusalAnswer returns Plural's status and code as the answer. If Plural has
// carried out the request, the caller can replace this answer.
func (r *reply) refusalAnswer() (Found, error) {
	if !r.hasOrder() && !r.isRefusal() {
		return Found{}, r.unclearFailure()
	}
	return Found{Answer: r.fact("").Text(), Facts: []fact.Fact{r.fact("answer")}}, nil
}

// The method notDone returns the error for an answer that does not show that
// Plural has carried out the request. The argument requestName is a name for
// the request, for example "an order".
func (r *reply) notDone(requestName string) askError {
	if r.isRefusal() {
		return askError(requestName + " was refused: " + r.fact("").Text())
	}
	return r.unclearFailure()
}

// The method fact returns a fact that shows the status and the code of the
// answer.
func (r *reply) fact(name string) fact.Fact { return fact.Answered(name, r.status, r.code) }

// The method fields returns the names of the answer's outermost fields.
func (r *reply) fields() []string {
	var doc map[string]json.RawMessage
	_ = json.Unmarshal(r.body, &doc) // a body that is not an object has no fields
	return slices.Collect(maps.Keys(doc))
}

// readOrder returns the order in the answer. If the answer is not a success, or
// has no order, readOrder returns an empty order.
func (r *reply) readOrder() *plural.Order {
	var doc struct {
		Data *plural.Order `json:"data"`
	}
	if r.isOK() && json.Unmarshal(r.body, &doc) == nil && doc.Data != nil {
		return doc.Data
	}
	return &plural.Order{}
}

// hasOrder reports whether the answer is a success that shows an order. Plural
// may send an error with the status of a success. Such an answer has no order,
// so the result is false.
func (r *reply) hasOrder() bool { return r.readOrder().OrderID != "" }

// askError is the reason why a question could not be answered. It holds no text
// from Plural's answers, so the report may show it.
type askError string

func (f askError) Error() string { return string(f) }

// The reasons why a request can fail.
const (
	errNoConnection askError = "no connection"
	errNoAnswer     askError = "no answer in time"
	errNoToken      askError = "no access token"
)

// The method send adds the access token to a request, and sends the request. If
// Plural refuses the token, the method sends the request again with a new
// token.
func (w *wire) send(ctx context.Context, method, path string, in any) (*reply, error) {
	token, err := w.bearerToken(ctx, "")
	if err != nil {
		return nil, err
	}
	r, err := w.sendWith(ctx, token, method, path, in)
	if err != nil || r.status != http.StatusUnauthorized {
		return r, err
	}
	if token, err = w.bearerToken(ctx, token); err != nil {
		return nil, err
	}
	return w.sendWith(ctx, token, method, path, in)
}

// bearerToken returns the access token. It fetches a new token if the given
// token was refused.
func (w *wire) bearerToken(ctx context.Context, refused string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token != refused {
		return w.token, nil
	}
	r, err := w.fetchToken(ctx, w.account.ClientSecret)
	if err != nil {
		return "", err
	}
	w.token = accessToken(r)
	if w.token == "" {
		return "", errNoToken
	}
	return w.token, nil
}

// fetchToken fetches an access token.
func (w *wire) fetchToken(ctx context.Context, secret string) (*reply, error) {
	return w.sendWith(ctx, "", http.MethodPost, tokenPath, map[string]string{
		"client_id": w.account.ClientID, "client_secret": secret, "grant_type": "client_credentials",
	})
}

func accessToken(r *reply) string {
	var doc struct {
		AccessToken string `json:"access_token"`
	}
	if !r.isOK() || json.Unmarshal(r.body, &doc) != nil {
		return ""
	}
	return doc.AccessToken
}

// sendWith sends a request once. net/http cannot repeat the request, because it
// cannot read the body again.
func (w *wire) sendWith(ctx context.Context, token, method, path string, in any) (*reply, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = io.NopCloser(bytes.NewReader(encoded))
	}
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "plural-probe")
	req.Header.Set("Request-ID", rand.Text())
	req.Header.Set("Request-Timestamp", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	before := time.Now()
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, failureOf(ctx, err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, failureOf(ctx, err)
	}
	took := time.Since(before)
	return &reply{
		status: resp.StatusCode, code: codeOf(read), proto: resp.Proto, header: resp.Header, body: read,
		isGzip: resp.Uncompressed, at: before.Add(took / 2), took: took,
	}, nil
}

// failureOf makes an error without addresses. It returns the error of an ended
// context unchanged.
func failureOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return errNoAnswer
	}
	return errNoConnection
}

// codeOf returns the code of an error, in upper case. It reads only the
// outermost field "code".
func codeOf(body []byte) string {
	var doc struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	return strings.ToUpper(doc.Code)
}
