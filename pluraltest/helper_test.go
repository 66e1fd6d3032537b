package pluraltest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// api is a plain HTTP client of one server, with a token.
type api struct {
	t      *testing.T
	srv    *pluraltest.Server
	client *http.Client
	token  string
}

func newAPI(t *testing.T, srv *pluraltest.Server) *api {
	t.Helper()
	return &api{t: t, srv: srv, client: srv.Client(), token: srv.IssueToken()}
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) doc(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	require.NoError(t, json.Unmarshal(r.body, &doc), "%s", r.body)
	return doc
}

func (r reply) data(t *testing.T) map[string]any {
	t.Helper()
	data, ok := r.doc(t)["data"].(map[string]any)
	require.True(t, ok, "%s", r.body)
	return data
}

func (r reply) code(t *testing.T) string {
	t.Helper()
	code, _ := r.doc(t)["code"].(string)
	return code
}

func (a *api) request(ctx context.Context, method, path, body string) *http.Request {
	a.t.Helper()
	var reader io.Reader
	if method != "GET" {
		// The body is not nil even if it is empty. Otherwise net/http could
		// rewind the body, and would repeat the request by itself.
		reader = io.NopCloser(bytes.NewReader([]byte(body)))
	}
	req, err := http.NewRequestWithContext(ctx, method, a.srv.URL+path, reader)
	require.NoError(a.t, err)
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Request-ID", "rid-1")
	return req
}

func (a *api) try(ctx context.Context, method, path, body string) (reply, error) {
	resp, err := a.client.Do(a.request(ctx, method, path, body))
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, read}, err
}

func (a *api) do(method, path, body string) reply {
	a.t.Helper()
	r, err := a.try(a.t.Context(), method, path, body)
	require.NoError(a.t, err)
	return r
}

func (a *api) get(id string) reply { a.t.Helper(); return a.do("GET", "/api/pay/v1/orders/"+id, "") }

func (a *api) capture(id, body string) reply {
	a.t.Helper()
	return a.do("PUT", "/api/pay/v1/orders/"+id+"/capture", body)
}

func (a *api) cancel(id string) reply {
	a.t.Helper()
	return a.do("PUT", "/api/pay/v1/orders/"+id+"/cancel", "")
}

func (a *api) refund(id, body string) reply {
	a.t.Helper()
	return a.do("POST", "/api/pay/v1/refunds/"+id, body)
}

// The function authorized(t, srv, ...) makes an order with a hold, and returns
// the id of the order.
func authorized(t *testing.T, srv *pluraltest.Server, reference string, paise int64) string {
	t.Helper()
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: reference, Amount: inr(paise), PreAuth: true})
	require.NoError(t, err)
	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	return id
}

// withHold makes a server in memory. It has one order of 50 rupees that is
// AUTHORIZED.
func withHold(t *testing.T) (srv *pluraltest.Server, a *api, id string) {
	t.Helper()
	srv = pluraltest.New()
	t.Cleanup(srv.Close)
	return srv, newAPI(t, srv), authorized(t, srv, "order", 5000)
}

func inr(paise int64) pluraltest.Amount { return pluraltest.Amount{Value: paise, Currency: "INR"} }

func reader(body string) io.Reader { return bytes.NewReader([]byte(body)) }

// passTime waits for the duration d on the clock of a synctest bubble.
func passTime(d time.Duration) { <-time.After(d) }

// protocols returns the ways in which tests reach a server.
func protocols() map[string][]pluraltest.Option {
	return map[string][]pluraltest.Option{"http1": nil, "http2": {pluraltest.WithHTTP2()}}
}
