package plural_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// ownSentinels has all error variables that this package exports.
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

// ownErrors has an entry for each error type of this package. The entry has an
// error of this type, which does not come from the call under test. It also has
// a function that reports whether a chain has an error of this type.
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

// ownSentinels and ownErrors together have every error that this package
// exports.
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

// errorMatches returns what a program can learn from an error. The map shows
// for each error variable and type of this package whether the error matches.
// It also shows the result of NeedsReview.
func errorMatches(t *testing.T, err error) map[string]bool {
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

// methodCalls returns functions that call the SDK. There is such a function for
// each method of the SDK that sends a request.
func methodCalls(t *testing.T) map[string]func(context.Context, *plural.Client) error {
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

// errorSources lists the sources of errors from outside this package, for
// example a transport. For each source, the map has a function that makes a
// call. During the call, the source gives the error err to the SDK.
func errorSources() map[string]func(t *testing.T, err error, method func(context.Context, *plural.Client) error) error {
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

// A call may get an error of this package that is about another order. With
// errgroup, this error is the cause of the call's context. Middleware or a
// store may also return this error. In all these cases, the call's own error
// must match exactly those variables and types of this package that it matches
// after an ordinary error. Errors of other packages can still be found in the
// chain.
func TestForeignErrorsAreNoVerdict(t *testing.T) {
	t.Parallel()
	for place, in := range errorSources() {
		for method, call := range methodCalls(t) {
			t.Run(place+"/"+method, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					mine := errors.New("mine")
					isCause := strings.HasPrefix(place, "the cause")
					plain := in(t, fmt.Errorf("x: %w", mine), call)
					is := errorMatches(t, plain)
					require.True(t, !isCause || plain == nil || errors.Is(plain, mine), "%v", plain)
					foreigners := map[string]error{"wrong token": plural.ErrUnauthorized}
					for name, own := range ownErrors(t) {
						foreigners[name] = own.err
					}
					maps.Copy(foreigners, ownSentinels())
					for name, foreign := range foreigners {
						connection := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
						err := in(t, fmt.Errorf("other: %w", errors.Join(foreign, mine, connection)), call)
						require.Equal(t, is, errorMatches(t, err), "%s: %v", name, err)
						require.Equal(t, errors.Is(plain, mine), errors.Is(err, mine), "the caller's own error is found")
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

// All calls share one context. The error about the first order ends this
// context and becomes its cause. The package errgroup does the same.
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
			require.ErrorContains(t, err, "it was cancelled", "the text shows the cause")
		}
	})
}

// If Plural refuses the credentials, the call's error matches ErrUnauthorized,
// even if middleware has wrapped the refusal. Middleware may also keep such an
// error, and return it again during a later call. The error of the later call
// does not match ErrUnauthorized.
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
	require.NotErrorIs(t, err, plural.ErrUnauthorized, "the error is about an earlier call")
	require.ErrorContains(t, err, "traced: no access token")
}

// Errors from a body, a Deduper or the handler's function do not change the
// answer to a webhook, even if they look like errors of this package.
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
