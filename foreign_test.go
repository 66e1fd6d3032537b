package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// ownSentinels has all errors that this package exports.
func ownSentinels() map[string]error {
	return map[string]error{
		"ErrUnauthorized":        plural.ErrUnauthorized,
		"ErrNotFound":            plural.ErrNotFound,
		"ErrDuplicateRequest":    plural.ErrDuplicateRequest,
		"ErrOperationNotAllowed": plural.ErrOperationNotAllowed,
		"ErrReferenceReused":     plural.ErrReferenceReused,
		"ErrInvalidRequest":      plural.ErrInvalidRequest,
		"ErrRateLimited":         plural.ErrRateLimited,
		"ErrNotPaid":             plural.ErrNotPaid,
		"ErrOutcomeUnknown":      plural.ErrOutcomeUnknown,
		"ErrNotApplied":          plural.ErrNotApplied,
		"ErrConflict":            plural.ErrConflict,
		"ErrNoHold":              plural.ErrNoHold,
		"ErrIncomplete":          plural.ErrIncomplete,
		"ErrInvalidSignature":    plural.ErrInvalidSignature,
		"ErrStaleTimestamp":      plural.ErrStaleTimestamp,
		"ErrMalformedCallback":   plural.ErrMalformedCallback,
		"ErrMalformedWebhook":    plural.ErrMalformedWebhook,
		"ErrNoOrder":             plural.ErrNoOrder,
		"ErrClaimLost":           plural.ErrClaimLost,
		"ErrDeduperFull":         plural.ErrDeduperFull,
	}
}

// ownErrors has an error of each of this package's types, about some order, and
// a function that finds an error of its type.
func ownErrors(t *testing.T) map[string]ownError {
	t.Helper()
	_, refused := (&plural.Verifier{}).VerifyWebhook(nil, nil)
	other := &plural.Order{OrderID: "v1-other"}
	return map[string]ownError{
		"Error": {
			&plural.Error{Op: "captures.create", StatusCode: 422, Code: plural.CodeOperationNotAllowed, NeedsReview: true},
			finds[*plural.Error],
		},
		"ValidationError":     {&plural.ValidationError{Op: "captures.create"}, finds[*plural.ValidationError]},
		"OutcomeUnknownError": {&plural.OutcomeUnknownError{NeedsReview: true}, finds[*plural.OutcomeUnknownError]},
		"StateError":          {&plural.StateError{Order: other}, finds[*plural.StateError]},
		"DoubleRefundError":   {&plural.DoubleRefundError{OrderID: "v1-other"}, finds[*plural.DoubleRefundError]},
		"PaymentLinkError":    {&plural.PaymentLinkError{Op: "payment_links.create"}, finds[*plural.PaymentLinkError]},
		"DuplicateOrderError": {&plural.DuplicateOrderError{Order: other}, finds[*plural.DuplicateOrderError]},
		"IncompleteError":     {&plural.IncompleteError{UTR: "v1-other"}, finds[*plural.IncompleteError]},
		"NotPaidError":        {&plural.NotPaidError{Order: other}, finds[*plural.NotPaidError]},
		"VerificationError":   {refused, finds[*plural.VerificationError]},
	}
}

type ownError struct {
	err   error
	finds func(error) bool
}

func finds[E error](err error) bool {
	_, found := errors.AsType[E](err)
	return found
}

// Both lists are complete: they have every exported error.
func TestEveryErrorIsInTheTestsOfForeignErrors(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var variables, types []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.VAR && v.Names[0].IsExported() {
						variables = append(variables, v.Names[0].Name)
					}
				}
			case *ast.FuncDecl:
				if decl.Recv == nil || decl.Name.Name != "Error" {
					continue
				}
				name := decl.Recv.List[0].Type
				if star, ok := name.(*ast.StarExpr); ok {
					name = star.X
				}
				if id := name.(*ast.Ident); id.IsExported() {
					types = append(types, id.Name)
				}
			}
		}
	}
	require.ElementsMatch(t, variables, slices.Collect(maps.Keys(ownSentinels())))
	require.ElementsMatch(t, types, slices.Collect(maps.Keys(ownErrors(t))))
}

// meaning is what a program can learn from an error: which errors and types of
// this package it matches.
func meaning(t *testing.T, err error) map[string]bool {
	t.Helper()
	is := map[string]bool{"NeedsReview": plural.NeedsReview(err)}
	for name, sentinel := range ownSentinels() {
		is[name] = errors.Is(err, sentinel)
	}
	for name, own := range ownErrors(t) {
		is[name] = own.finds(err)
	}
	return is
}

// methods call each method that sends something.
func methods(t *testing.T) map[string]func(context.Context, *plural.Client) error {
	t.Helper()
	callback := verifiedCallbackOf(t, "v1-1")
	want := plural.Expected{MerchantOrderReference: "r", OrderAmount: plural.INR(100)}
	event := &plural.Event{Type: plural.EventOrderProcessed, Data: []byte(`{"order_id":"v1-1"}`)}
	return map[string]func(context.Context, *plural.Client) error{
		"Warm": func(ctx context.Context, c *plural.Client) error { return c.Warm(ctx) },
		"Do GET": func(ctx context.Context, c *plural.Client) error {
			return c.Do(ctx, http.MethodGet, somePath, nil, nil)
		},
		"Do POST": func(ctx context.Context, c *plural.Client) error {
			return c.Do(ctx, http.MethodPost, somePath, map[string]string{}, nil)
		},
		"Orders.Create": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Orders.Create(ctx, minimalOrder())
			return err
		},
		"Orders.Get": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Orders.Get(ctx, "v1-1")
			return err
		},
		"Orders.GetByReference": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Orders.GetByReference(ctx, "own-order-1")
			return err
		},
		"Orders.Wait": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Orders.Wait(ctx, "v1-1", nil)
			return err
		},
		"Orders.Confirm": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Orders.Confirm(ctx, callback, want)
			return err
		},
		"Orders.ConfirmEvent": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Orders.ConfirmEvent(ctx, event, want)
			return err
		},
		"Captures.Create": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Captures.Create(ctx, "v1-1",
				&plural.CaptureRequest{MerchantCaptureReference: "c-1", CaptureAmount: plural.INR(100)})
			return err
		},
		"Cancels.Create": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Cancels.Create(ctx, "v1-1")
			return err
		},
		"Refunds.Create": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Refunds.Create(ctx, "v1-1",
				&plural.RefundRequest{MerchantOrderReference: "refund-1", OrderAmount: plural.INR(100)})
			return err
		},
		"PaymentLinks.Create": func(ctx context.Context, c *plural.Client) error {
			_, err := c.PaymentLinks.Create(ctx, minimalLink())
			return err
		},
		"PaymentLinks.Get": func(ctx context.Context, c *plural.Client) error {
			_, err := c.PaymentLinks.Get(ctx, "pl-v1-1")
			return err
		},
		"PaymentLinks.GetByReference": func(ctx context.Context, c *plural.Client) error {
			_, err := c.PaymentLinks.GetByReference(ctx, "own-inv-4412")
			return err
		},
		"PaymentLinks.Cancel": func(ctx context.Context, c *plural.Client) error {
			_, err := c.PaymentLinks.Cancel(ctx, "pl-v1-1")
			return err
		},
		"PaymentLinks.Notify": func(ctx context.Context, c *plural.Client) error {
			_, err := c.PaymentLinks.Notify(ctx, "pl-v1-1")
			return err
		},
		"Refunds.Get": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Refunds.Get(ctx, "v1-2")
			return err
		},
		"Refunds.GetByReference": func(ctx context.Context, c *plural.Client) error {
			_, err := c.Refunds.GetByReference(ctx, "refund-1")
			return err
		},
	}
}

// places are where an error that is not this package's can come in.
func places() map[string]func(t *testing.T, err error, method func(context.Context, *plural.Client) error) error {
	type method = func(context.Context, *plural.Client) error
	over := func(peer transportFunc, opts ...plural.Option) func(*testing.T, method) error {
		return func(t *testing.T, call method) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return call(ctx, newPeerClient(t, peer, opts...))
		}
	}
	failing := func(err error) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	brokenBody := func(err error) *http.Response {
		resp := answer(http.StatusOK, "")
		resp.Body, resp.ContentLength = io.NopCloser(failingReader{err}), -1
		return resp
	}
	return map[string]func(*testing.T, error, method) error{
		"the cause of a context that has ended": func(t *testing.T, err error, call method) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(err)
			return call(ctx, newPeerClient(t, failing(err)))
		},
		"the cause of a context that ends before there is a token": func(t *testing.T, err error, call method) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			return call(ctx, newClientOver(t, func(*http.Request) (*http.Response, error) {
				cancel(err)
				return nil, ctx.Err()
			}))
		},
		"the cause of a context that ends in the middle": func(t *testing.T, err error, call method) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			return call(ctx, newPeerClient(t, func(*http.Request) (*http.Response, error) {
				cancel(err)
				return nil, ctx.Err()
			}))
		},
		"the cause of a deadline": func(t *testing.T, err error, call method) error {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, err)
			defer cancel()
			return call(ctx, newPeerClient(t, func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}))
		},
		"a transport": func(t *testing.T, err error, call method) error { return over(failing(err))(t, call) },
		"a transport, of the token": func(t *testing.T, err error, call method) error {
			return call(t.Context(), newClientOver(t, failing(err)))
		},
		"a body": func(t *testing.T, err error, call method) error {
			return over(func(*http.Request) (*http.Response, error) { return brokenBody(err), nil })(t, call)
		},
		"a body, of the token": func(t *testing.T, err error, call method) error {
			return call(t.Context(), newClientOver(t, func(*http.Request) (*http.Response, error) {
				return brokenBody(err), nil
			}))
		},
		"middleware that sends nothing": func(t *testing.T, err error, call method) error {
			return over(nil, plural.WithMiddleware(func(http.RoundTripper) http.RoundTripper {
				return transportFunc(failing(err))
			}))(t, call)
		},
		"middleware that drops the answer": func(t *testing.T, err error, call method) error {
			return over(func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, `{}`), nil },
				plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
					return transportFunc(func(r *http.Request) (*http.Response, error) {
						resp, sent := next.RoundTrip(r)
						if sent == nil {
							_ = resp.Body.Close()
						}
						return nil, err
					})
				}))(t, call)
		},
		"a token store": func(t *testing.T, err error, call method) error {
			return over(func(*http.Request) (*http.Response, error) { return answer(http.StatusBadGateway, `{}`), nil },
				plural.WithTokenStore(brokenStore{err}))(t, call)
		},
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

type brokenStore struct{ err error }

func (s brokenStore) Load(context.Context, string) ([]byte, error) { return nil, s.err }

func (s brokenStore) Save(context.Context, string, []byte, time.Duration) error { return s.err }

func (s brokenStore) Lock(context.Context, string, time.Duration) (func(context.Context), error) {
	return nil, s.err
}

// This package's error about another order comes back as a foreign error: as a
// cause of a context, as errgroup does it, from middleware, or from elsewhere.
// It must say nothing about this order. Errors that are not this package's are
// found.
func TestForeignErrorsAreNoVerdict(t *testing.T) {
	t.Parallel()
	for place, in := range places() {
		for method, call := range methods(t) {
			t.Run(place+"/"+method, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mine := errors.New("mine")
					isCause := strings.HasPrefix(place, "the cause")
					plain := in(t, fmt.Errorf("x: %w", mine), call)
					is := meaning(t, plain)
					require.True(t, !isCause || plain == nil || errors.Is(plain, mine), "%v", plain)
					foreigners := map[string]error{"wrong token": plural.ErrUnauthorized}
					for name, own := range ownErrors(t) {
						foreigners[name] = own.err
					}
					maps.Copy(foreigners, ownSentinels())
					for name, foreign := range foreigners {
						connection := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
						err := in(t, fmt.Errorf("other: %w", errors.Join(foreign, mine, connection)), call)
						require.Equal(t, is, meaning(t, err), "%s: %v", name, err)
						require.Equal(t, errors.Is(plain, mine), errors.Is(err, mine), "the caller's own are found")
						if !errors.Is(plain, mine) {
							continue
						}
						require.ErrorIs(t, err, syscall.ECONNREFUSED)
						var found *net.OpError
						require.ErrorAs(t, err, &found)
						require.Same(t, connection, found)
						var network net.Error
						require.ErrorAs(t, err, &network)
						var order interface{ MarshalJSON() ([]byte, error) }
						if errors.As(err, &order) {
							require.NotSame(t, foreign, order)
						}
					}
				})
			})
		}
	}
}

// The scenario of errgroup: the first order's verdict ends the context of all.
func TestOneOrdersVerdictIsNotTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "v1-first") {
				pass(time.Second)
				return answer(http.StatusOK, `{"data":{"order_id":"v1-first","status":"CANCELLED"}}`), nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		results := map[string]chan error{}
		for _, id := range []string{"v1-first", "v1-sending", "v1-waiting"} {
			result := make(chan error, 1)
			results[id] = result
			go func() {
				if id == "v1-waiting" {
					<-first
				}
				_, err := client.Captures.Create(ctx, id, &plural.CaptureRequest{
					MerchantCaptureReference: "c-1", CaptureAmount: plural.INR(100),
				})
				if id == "v1-first" {
					cancel(&plural.StateError{OrderID: id, Reason: "it was cancelled"})
					close(first)
				}
				result <- err
			}()
		}
		require.Error(t, <-results["v1-first"])
		for id, sent := range map[string]bool{"v1-sending": true, "v1-waiting": false} {
			err := <-results[id]
			require.Equal(t, sent, errors.Is(err, plural.ErrOutcomeUnknown), "%v", err)
			require.NotErrorIs(t, err, plural.ErrNotApplied)
			require.NotErrorIs(t, err, plural.ErrOperationNotAllowed)
			var state *plural.StateError
			require.NotErrorAs(t, err, &state)
			require.False(t, plural.NeedsReview(err))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "it was cancelled", "a person is told")
		}
	})
}

// A refusal of the token counts, even inside an error of middleware, but only
// that of the same try.
func TestMiddlewareWrapsTheTokensRefusal(t *testing.T) {
	t.Parallel()
	var kept error
	requests, replay := 0, false
	client := newClientOver(t, func(*http.Request) (*http.Response, error) {
		requests++
		return answer(http.StatusUnauthorized, `{"error":"invalid_client"}`), nil
	}, plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
			if replay {
				return nil, kept
			}
			resp, err := next.RoundTrip(r)
			kept = fmt.Errorf("traced: %w", err)
			return resp, kept
		})
	}))
	err := getSomething(t.Context(), client)
	require.ErrorIs(t, err, plural.ErrUnauthorized)
	require.ErrorContains(t, err, "traced: no access token")
	refusal, ok := errors.AsType[*plural.Error](errors.Unwrap(err))
	require.True(t, ok)
	require.Equal(t, "token", refusal.Op)
	require.Equal(t, 1, requests, "refused credentials are not tried again")

	replay = true
	err = getSomething(t.Context(), client)
	require.NotErrorIs(t, err, plural.ErrUnauthorized, "an answer of an earlier call")
	require.ErrorContains(t, err, "traced: no access token")
}

// Errors from a body, a deduper or the function do not change the answer to a
// webhook, even if they look like this package's.
func TestForeignErrorsOfAWebhook(t *testing.T) {
	t.Parallel()
	withBody := func(err error) *http.Request {
		r := signedRequest(webhookBody)
		r.Body, r.ContentLength = io.NopCloser(failingReader{err}), -1
		return r
	}
	for name, own := range ownSentinels() {
		_, err := webhookVerifier(t).VerifyWebhookRequest(withBody(own))
		require.ErrorIs(t, err, plural.ErrMalformedWebhook, name)
		require.Equal(t, name == "ErrMalformedWebhook", errors.Is(err, own), name)
		handler := plural.NewWebhookHandler(webhookVerifier(t), func(context.Context, *plural.Event) error { return nil })
		require.Equal(t, http.StatusBadRequest, serve(handler, withBody(own)).Code, name)

		form := withBody(own)
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_, err = mustVerifier(t, signatureSecret).VerifyCallbackRequest(form)
		require.ErrorIs(t, err, plural.ErrMalformedCallback, name)
		require.Equal(t, name == "ErrMalformedCallback", errors.Is(err, own), name)
	}
	for name, own := range ownErrors(t) {
		for place, status := range map[string]int{"claim": 503, "function": 500, "commit": 500} {
			at := func(here string) error {
				if place == here {
					return own.err
				}
				return nil
			}
			handler := plural.NewWebhookHandler(webhookVerifier(t),
				func(context.Context, *plural.Event) error { return at("function") },
				plural.WithDeduper(brokenDeduper{at}))
			require.Equal(t, status, serve(handler, signedRequest(webhookBody)).Code, "%s, %s", name, place)
		}
	}
}

type brokenDeduper struct{ at func(string) error }

func (d brokenDeduper) Claim(context.Context, string, time.Duration) (plural.Claim, error) {
	return plural.Claim{State: plural.Claimed, Token: "1"}, d.at("claim")
}

func (d brokenDeduper) Commit(context.Context, string, string, time.Duration) error {
	return d.at("commit")
}

func (d brokenDeduper) Release(context.Context, string, string) error { return d.at("release") }

const (
	chainSecret = "ch41n-s3cret"
	chainToken  = "ch41n-t0ken"
	chainPayer  = "payer@example.test"
)

// chainTexts is everything that is printed by walking a chain of errors.
func chainTexts(err error) string {
	var b strings.Builder
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		document, _ := json.Marshal(err)
		fmt.Fprintf(&b, "%s %v %+v %#v %q %s\n", err, err, err, err, err, document)
		switch err := err.(type) { //nolint:errorlint // each link is walked
		case interface{ Unwrap() error }:
			walk(err.Unwrap())
		case interface{ Unwrap() []error }:
			for _, one := range err.Unwrap() {
				walk(one)
			}
		}
	}
	walk(err)
	return b.String()
}

func requireCleanChain(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	texts := chainTexts(err)
	for _, shown := range []string{chainSecret, chainToken, chainPayer, "9876501234", "payer"} {
		require.Empty(t, markersIn(texts, []string{shown}), texts)
		require.NotContains(t, texts, shown)
	}
	requireTidy(t, err.Error())
}

// chainClient makes a client. peer answers every request of that client. The
// request for the token is answered normally unless the test is about it.
func chainClient(t *testing.T, isOfToken bool, peer transportFunc, opts ...plural.Option) *plural.Client {
	t.Helper()
	opts = append([]plural.Option{
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
		plural.WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if isTokenRequest(r) && !isOfToken {
				return answer(http.StatusOK, `{"access_token":"`+chainToken+`"}`), nil
			}
			return peer(r)
		})}),
	}, opts...)
	client, err := plural.NewClient(plural.Credentials{ClientID: "chain-client", ClientSecret: chainSecret}, opts...)
	require.NoError(t, err)
	return client
}

// dumps are errors that show too much, as a transport may make them.
func dumps() map[string]func(*http.Request) error {
	fixed := func(err error) func(*http.Request) error { return func(*http.Request) error { return err } }
	return map[string]func(*http.Request) error{
		"a dump of the request": func(r *http.Request) error {
			dump, _ := httputil.DumpRequest(r, true)
			return fmt.Errorf("round trip failed: %s", dump)
		},
		"a dump of the header": func(r *http.Request) error { return fmt.Errorf("failed: %+v", r.Header) },
		"a dump of bytes": func(r *http.Request) error {
			body := []byte(chainToken)
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			return fmt.Errorf("failed: %v %x %q", body, body, body)
		},
		"a URL":       fixed(&url.Error{Op: "Get", URL: "https://x.test/" + chainPayer, Err: errors.New("no route")}),
		"a half of a": fixed(errors.New(`malformed "` + chainPayer)),
		"several": fixed(errors.Join(
			fmt.Errorf("one: %w", &net.ParseError{Type: "IP address", Text: chainPayer}),
			fmt.Errorf("two: %w", &net.AddrError{Err: "missing port", Addr: chainPayer}),
			textproto.ProtocolError("malformed MIME header line: "+chainPayer),
		)),
		"a time":   func(*http.Request) error { _, err := time.Parse(time.RFC3339, chainPayer); return err },
		"a number": func(*http.Request) error { _, err := strconv.Atoi(chainPayer); return err },
		"a value of JSON": func(*http.Request) error {
			return fmt.Errorf("x: %w", json.Unmarshal([]byte(`{"N":9876501234}`), &struct{ N int8 }{}))
		},
	}
}

// A program that walks a chain and prints every step sees neither the secret
// nor the token, nor what an answer says of the payer.
func TestChainsAreClean(t *testing.T) {
	t.Parallel()
	for name, dump := range dumps() {
		for place, get := range map[string]func(t *testing.T) error{
			"a request": func(t *testing.T) error {
				client := chainClient(t, false, func(r *http.Request) (*http.Response, error) { return nil, dump(r) })
				_, err := client.Captures.Create(t.Context(), "v1-1", &plural.CaptureRequest{
					MerchantCaptureReference: "c-1", FullAmount: true,
				})
				return err
			},
			"the token": func(t *testing.T) error {
				client := chainClient(t, true, func(r *http.Request) (*http.Response, error) { return nil, dump(r) })
				return getSomething(t.Context(), client)
			},
			"a body": func(t *testing.T) error {
				client := chainClient(t, false, func(r *http.Request) (*http.Response, error) {
					resp := answer(http.StatusOK, "")
					resp.Body, resp.ContentLength = io.NopCloser(failingReader{dump(r)}), -1
					return resp, nil
				})
				return client.Do(t.Context(), http.MethodPost, somePath, map[string]string{"a": "b"}, nil)
			},
			"middleware": func(t *testing.T) error {
				client := chainClient(t, true, func(r *http.Request) (*http.Response, error) { return nil, dump(r) },
					plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
						return transportFunc(func(r *http.Request) (*http.Response, error) {
							resp, err := next.RoundTrip(r)
							return resp, fmt.Errorf("for "+`"`+chainPayer+`"`+": %w", err)
						})
					}))
				return getSomething(t.Context(), client)
			},
			"a cause": func(t *testing.T) error {
				ctx, cancel := context.WithCancelCause(t.Context())
				r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
				cancel(dump(r))
				return getSomething(ctx, chainClient(t, true, nil))
			},
			"what somebody's type makes of an answer": func(t *testing.T) error {
				client := chainClient(t, false, func(*http.Request) (*http.Response, error) { return answer(200, `{"a":1}`), nil })
				r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
				return client.Do(t.Context(), http.MethodGet, somePath, nil, &unmarshaler{dump(r)})
			},
		} {
			t.Run(place+"/"+name, func(t *testing.T) {
				t.Parallel()
				requireCleanChain(t, get(t))
			})
		}
	}
}

type unmarshaler struct{ err error }

func (u *unmarshaler) UnmarshalJSON([]byte) error { return u.err }

// Errors with types of the standard library are found, but their quotations are
// blanked.
func TestStandardErrorsAreFoundBlanked(t *testing.T) {
	t.Parallel()
	through := func(t *testing.T, cause error) error {
		t.Helper()
		client := chainClient(t, false, func(*http.Request) (*http.Response, error) { return nil, cause })
		err := getSomething(t.Context(), client)
		requireCleanChain(t, err)
		return err
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	t.Run("what shows nothing is given as it is", func(t *testing.T) {
		t.Parallel()
		found, ok := errors.AsType[*net.OpError](through(t, fmt.Errorf("x: %w", refused)))
		require.True(t, ok)
		require.Same(t, refused, found)
	})
	t.Run("url.Error", func(t *testing.T) {
		t.Parallel()
		err := through(
			t,
			&url.Error{Op: "Get", URL: "https://x.test/" + chainPayer, Err: fmt.Errorf("%q: %w", chainPayer, refused)},
		)
		found, ok := errors.AsType[*url.Error](err)
		require.True(t, ok)
		requireCleanChain(t, found)
		require.Equal(t, "Get", found.Op)
		require.ErrorIs(t, found, syscall.ECONNREFUSED)
		require.False(t, found.Timeout())
	})
	t.Run("net.Error", func(t *testing.T) {
		t.Parallel()
		for _, cause := range []error{
			&net.OpError{Op: "read", Net: "tcp", Err: slowError{}},
			&url.Error{Op: "Get", URL: chainPayer, Err: slowError{}},
			slowError{},
		} {
			var found net.Error
			require.ErrorAs(t, through(t, fmt.Errorf("x: %w", cause)), &found)
			requireCleanChain(t, found)
			require.True(t, found.Timeout())
			require.True(t, found.Temporary()) //nolint:staticcheck // it has the method
			var own slowError
			require.ErrorAs(t, through(t, cause), &own, "a type of the caller's own, as it is")
		}
	})
	for name, of := range map[string]func(error) error{
		"net.ParseError":          asType[*net.ParseError],
		"net.AddrError":           asType[*net.AddrError],
		"textproto.ProtocolError": asType[textproto.ProtocolError],
		"time.ParseError":         asType[*time.ParseError],
		"strconv.NumError":        asType[*strconv.NumError],
		"json.UnmarshalTypeError": asType[*json.UnmarshalTypeError],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, dump := range dumps() {
				cause := dump(httptest.NewRequest(http.MethodGet, "/", http.NoBody))
				err := through(t, cause)
				require.Equal(t, of(cause) == nil, of(err) == nil)
				if found := of(err); found != nil {
					requireCleanChain(t, found)
				}
			}
		})
	}
}

func asType[E error](err error) error {
	if found, ok := errors.AsType[E](err); ok {
		return found
	}
	return nil
}

// slowError is an error of a transport that belongs to the caller.
type slowError struct{}

func (slowError) Error() string { return `too slow for "` + chainPayer + `"` }

func (slowError) Timeout() bool { return true }

func (slowError) Temporary() bool { return true }

// A foreign error whose methods panic is treated like any other.
func TestErrorsThatPanic(t *testing.T) {
	t.Parallel()
	client := chainClient(t, false, func(*http.Request) (*http.Response, error) { return nil, (*panickingError)(nil) })
	err := getSomething(t.Context(), client)
	require.ErrorContains(t, err, "an error without a text")
	require.NotErrorIs(t, err, io.EOF)
	var network net.Error
	require.NotErrorAs(t, err, &network)
}

type panickingError struct{ text string }

func (p *panickingError) Error() string { return p.text }

func (p *panickingError) Is(error) bool { return p.text != "" }

func (p *panickingError) As(any) bool { return p.text != "" }

// A proxy's text is not taken for an answer from Plural, and is not repeated.
func TestProxyThatRefuses(t *testing.T) {
	t.Parallel()
	proxy := rawServer(t, "HTTP/1.1 401 Unauthorized for "+chainPayer+"\r\nContent-Length: 0\r\n\r\n")
	client, err := plural.NewClient(
		plural.Credentials{ClientID: "chain-client", ClientSecret: chainSecret},
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}),
		plural.WithHTTPClient(&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(mustURL(t, "http://"+proxy))}}),
	)
	require.NoError(t, err)
	for _, err := range []error{client.Warm(t.Context()), getSomething(t.Context(), client)} {
		requireCleanChain(t, err)
		require.NotContains(t, chainTexts(err), "Unauthorized")
		require.ErrorContains(t, err, "the proxy does not connect")
		require.NotErrorIs(t, err, plural.ErrUnauthorized)
	}
}

// If a header cannot be read, the error is about the answer that had it.
func TestMalformedHeaderOfTheTokensAnswer(t *testing.T) {
	t.Parallel()
	peer := rawServer(t, "HTTP/1.1 200 OK\r\n"+chainPayer+"\r\n\r\n")
	client, err := plural.NewClient(
		plural.Credentials{ClientID: "chain-client", ClientSecret: chainSecret},
		plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}), plural.WithBaseURL("http://"+peer),
	)
	require.NoError(t, err)
	_, err = client.Orders.Get(t.Context(), "v1-1")
	requireCleanChain(t, err)
	text := err.Error()
	require.Regexp(
		t,
		`^plural: get order v1-1: no access token: plural: get access token: .*the header of the answer is malformed`,
		text,
	)
}

// rawServer answers every connection with the same bytes.
func rawServer(t *testing.T, bytes string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 64<<10))
				_, _ = io.WriteString(conn, bytes)
			}()
		}
	}()
	return listener.Addr().String()
}
