// Package frameworktest_test runs package plural's handlers behind the
// frameworks that merchants use. The requests come over sockets, or through the
// adaptors of AWS Lambda. The package is in a module of its own, so no other
// module depends on the frameworks. It has only tests, so nobody can import it.
package frameworktest_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	fiber2 "github.com/gofiber/fiber/v2"
	adaptor2 "github.com/gofiber/fiber/v2/middleware/adaptor"
	fiber3 "github.com/gofiber/fiber/v3"
	adaptor3 "github.com/gofiber/fiber/v3/middleware/adaptor"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/stretchr/testify/require"
)

// request is a request from Plural or from a browser.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

type response struct {
	status   int
	location string
}

// A sender sends a request to a framework's server.
type sender func(t *testing.T, r request) response

// A function of the type framework starts a framework's server with the given
// handler for each path. It returns a function that sends requests to that
// server.
type framework func(t *testing.T, handlers map[string]http.Handler) sender

func frameworks() map[string]framework {
	return map[string]framework{
		"net/http": func(t *testing.T, handlers map[string]http.Handler) sender {
			t.Helper()
			return overTCP(t, muxOf(handlers))
		},
		"gin": func(t *testing.T, handlers map[string]http.Handler) sender {
			t.Helper()
			gin.SetMode(gin.ReleaseMode)
			engine := gin.New()
			for path, h := range handlers {
				engine.Any(path, gin.WrapH(h))
			}
			return overTCP(t, engine)
		},
		"echo v4": func(t *testing.T, handlers map[string]http.Handler) sender {
			t.Helper()
			e := echo4.New()
			for path, h := range handlers {
				e.Any(path, echo4.WrapHandler(h))
			}
			return overTCP(t, e)
		},
		"echo v5": func(t *testing.T, handlers map[string]http.Handler) sender {
			t.Helper()
			e := echo5.New()
			for path, h := range handlers {
				e.Any(path, echo5.WrapHandler(h))
			}
			return overTCP(t, e)
		},
		"chi": func(t *testing.T, handlers map[string]http.Handler) sender {
			t.Helper()
			router := chi.NewRouter()
			for path, h := range handlers {
				router.Handle(path, h)
			}
			return overTCP(t, router)
		},
		"fiber v2":           fiberV2,
		"fiber v3":           fiberV3,
		"lambda v1":          lambdaV1,
		"lambda v2":          lambdaV2,
		"lambda v2, base64":  lambdaV2Base64,
		"lambda ALB":         lambdaALB(false),
		"lambda ALB, values": lambdaALB(true),
	}
}

func muxOf(handlers map[string]http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for path, h := range handlers {
		mux.Handle(path, h)
	}
	return mux
}

func overTCP(t *testing.T, h http.Handler) sender {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return senderTo(t, server.URL)
}

// senderTo makes a sender that keeps its connections open. Then a server may
// reuse the memory of a request for the next request on the same connection.
// The connections are closed at the end of the test, because Fiber's Shutdown
// waits until they are closed.
func senderTo(t *testing.T, base string) sender {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(t *testing.T, r request) response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), r.method, base+r.path, bytes.NewReader(r.body))
		require.NoError(t, err)
		req.Header = r.header
		resp, err := client.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return response{resp.StatusCode, resp.Header.Get("Location")}
	}
}

func fiberV2(t *testing.T, handlers map[string]http.Handler) sender {
	t.Helper()
	app := fiber2.New(fiber2.Config{DisableStartupMessage: true})
	for path, h := range handlers {
		app.All(path, adaptor2.HTTPHandler(h))
	}
	return serveFiber(t, app.Listener, app.Shutdown)
}

func fiberV3(t *testing.T, handlers map[string]http.Handler) sender {
	t.Helper()
	app := fiber3.New()
	for path, h := range handlers {
		app.All(path, adaptor3.HTTPHandler(h))
	}
	return serveFiberV3(t, app)
}

func serveFiberV3(t *testing.T, app *fiber3.App) sender {
	t.Helper()
	serve := func(l net.Listener) error { return app.Listener(l, fiber3.ListenConfig{DisableStartupMessage: true}) }
	return serveFiber(t, serve, app.Shutdown)
}

// serveFiber runs a Fiber app on the loopback interface until the test ends.
func serveFiber(t *testing.T, serve func(net.Listener) error, shutdown func() error) sender {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, shutdown())
		require.NoError(t, <-ended)
	})
	return senderTo(t, "http://"+listener.Addr().String())
}

// joinHeaders puts the headers into one map, as AWS sends them. The names are
// in lower case. Commas join the values of a repeated header.
func joinHeaders(h http.Header) map[string]string {
	headers := map[string]string{"host": "shop.example.com"}
	for name, values := range h {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return headers
}

func lambdaV1(t *testing.T, handlers map[string]http.Handler) sender {
	t.Helper()
	adapter := httpadapter.New(muxOf(handlers))
	return func(t *testing.T, r request) response {
		t.Helper()
		answer, err := adapter.ProxyWithContext(t.Context(), events.APIGatewayProxyRequest{
			HTTPMethod: r.method, Path: r.path, Body: string(r.body),
			Headers: joinHeaders(r.header), MultiValueHeaders: r.header,
		})
		require.NoError(t, err)
		return response{answer.StatusCode, http.Header(answer.MultiValueHeaders).Get("Location")}
	}
}

// eventV2 makes the event that HTTP APIs and function URLs send.
func eventV2(r request) events.APIGatewayV2HTTPRequest {
	event := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RawPath: r.path, Headers: joinHeaders(r.header), Body: string(r.body),
	}
	event.RequestContext.HTTP.Method = r.method
	event.RequestContext.HTTP.Path = r.path
	event.RequestContext.DomainName = "shop.example.com"
	return event
}

func sendV2(t *testing.T, adapter *httpadapter.HandlerAdapterV2, event events.APIGatewayV2HTTPRequest) response {
	t.Helper()
	answer, err := adapter.ProxyWithContext(t.Context(), event)
	require.NoError(t, err)
	location := http.Header(answer.MultiValueHeaders).Get("Location")
	if location == "" {
		location = answer.Headers["Location"]
	}
	return response{answer.StatusCode, location}
}

func lambdaV2(t *testing.T, handlers map[string]http.Handler) sender {
	t.Helper()
	adapter := httpadapter.NewV2(muxOf(handlers))
	return func(t *testing.T, r request) response {
		t.Helper()
		return sendV2(t, adapter, eventV2(r))
	}
}

// lambdaV2Base64 sends the body in Base64. AWS does so if it treats the body's
// content type as binary, such as the content type of a form.
func lambdaV2Base64(t *testing.T, handlers map[string]http.Handler) sender {
	t.Helper()
	adapter := httpadapter.NewV2(muxOf(handlers))
	return func(t *testing.T, r request) response {
		t.Helper()
		event := eventV2(r)
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(r.body), true
		return sendV2(t, adapter, event)
	}
}

// lambdaALB runs the handlers behind a load balancer of AWS (ALB). A setting of
// the load balancer allows several values of one header. Without that setting,
// only the last value arrives.
func lambdaALB(severalValues bool) framework {
	return func(t *testing.T, handlers map[string]http.Handler) sender {
		t.Helper()
		adapter := httpadapter.NewALB(muxOf(handlers))
		return func(t *testing.T, r request) response {
			t.Helper()
			event := events.ALBTargetGroupRequest{
				HTTPMethod: r.method, Path: r.path, Headers: map[string]string{"host": "shop.example.com"}, Body: string(r.body),
			}
			if severalValues {
				event.MultiValueHeaders = map[string][]string{}
			}
			for name, values := range r.header {
				if severalValues {
					event.MultiValueHeaders[strings.ToLower(name)] = slices.Clone(values)
					continue
				}
				event.Headers[strings.ToLower(name)] = values[len(values)-1]
			}
			answer, err := adapter.ProxyWithContext(t.Context(), event)
			require.NoError(t, err)
			location := http.Header(answer.MultiValueHeaders).Get("Location")
			if location == "" {
				location = answer.Headers["Location"]
			}
			return response{answer.StatusCode, location}
		}
	}
}

// requestOf takes a request that the emulator has sent. It returns the same
// request in a form that a test can send to any framework.
func requestOf(t *testing.T, r *http.Request) request {
	t.Helper()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	require.NoError(t, err)
	return request{method: r.Method, header: r.Header, body: body}
}

// withPath returns a copy of the request with another path. If changeFunc is
// not nil, withPath passes the copy to changeFunc, and changeFunc can change
// the copy further.
func (r request) withPath(path string, changeFunc func(*request)) request {
	r.path, r.header = path, maps.Clone(r.header)
	if changeFunc != nil {
		changeFunc(&r)
	}
	return r
}

// formOf returns the form in body with one of its fields changed.
func formOf(t *testing.T, body []byte, name, value string) []byte {
	t.Helper()
	form, err := url.ParseQuery(string(body))
	require.NoError(t, err)
	form.Set(name, value)
	return []byte(form.Encode())
}
