package plural_test

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestOrderCreateIsRepeatedAndCompared(t *testing.T) {
	t.Parallel()
	type result struct {
		orders int
		check  func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error)
	}
	linked := func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error) {
		t.Helper()
		require.NoError(t, err)
		booked := d.srv.OrdersByReference("order-1")
		last := booked[len(booked)-1]
		require.Equal(t, last.ID, o.OrderID)
		require.Equal(t, last.RedirectURL, o.RedirectURL)
	}
	duplicate := func(t *testing.T, d *desk, o *plural.CheckoutOrder, err error) {
		t.Helper()
		require.Nil(t, o)
		require.ErrorIs(t, err, plural.ErrDuplicateRequest)
		var dup *plural.DuplicateOrderError
		require.ErrorAs(t, err, &dup)
		require.Equal(t, d.srv.OrdersByReference("order-1")[0].ID, dup.Order.OrderID)
	}
	lost := map[string]pluraltest.Fault{
		"reset":        pluraltest.ResetAfterApply,
		"hang":         pluraltest.HangAfterApply,
		"500":          pluraltest.ServerErrorAfterApply,
		"empty":        pluraltest.EmptyOKAfterApply,
		"error in 200": pluraltest.ErrorInOKAfterApply,
	}
	for mode, want := range map[pluraltest.DuplicateMode]result{
		pluraltest.DuplicateReturnsExisting: {orders: 1, check: linked},
		pluraltest.DuplicateRejected:        {orders: 1, check: duplicate},
		pluraltest.DuplicateAccepted:        {orders: 2, check: linked},
	} {
		for name, fault := range lost {
			t.Run(fmt.Sprintf("mode %d, %s", mode, name), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), fault)
					o, err := newClient(t, d.srv).Orders.Create(t.Context(), checkout(wholeAmount, true))
					want.check(t, d, o, err)
					require.Len(t, d.srv.OrdersByReference("order-1"), want.orders)
					d.doubles = want.orders - 1 // two orders may exist, but the caller has the link of only one
				}, pluraltest.WithDuplicateOrders(mode))
			})
		}
	}
}

func TestOrderCreateUnderAReferenceInUse(t *testing.T) {
	t.Parallel()
	rejected := pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected)
	create := func(t *testing.T, d *desk, req *plural.CreateOrderRequest,
		opts ...plural.CallOption,
	) (*plural.CheckoutOrder, error) {
		t.Helper()
		return newClient(t, d.srv).Orders.Create(t.Context(), req, opts...)
	}
	t.Run("the same order", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			d.order("order-1", true)
			_, err := create(t, d, checkout(wholeAmount, true))
			var dup *plural.DuplicateOrderError
			require.ErrorAs(t, err, &dup)
			require.Len(t, d.srv.RequestsTo(pluraltest.OpOrdersCreate), 1)
		}, rejected)
	})
	for name, req := range map[string]*plural.CreateOrderRequest{
		"another amount":     checkout(wholeAmount+100, true),
		"no hold":            checkout(wholeAmount, false),
		"the same, a refund": checkout(partAmount, true),
	} {
		for mode, lost := range map[pluraltest.DuplicateMode]bool{
			pluraltest.DuplicateRejected:        false,
			pluraltest.DuplicateReturnsExisting: true,
		} {
			t.Run(fmt.Sprintf("%s, mode %d", name, mode), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					if name == "the same, a refund" {
						w := d.readyWrite(pluraltest.OpRefundsCreate, partAmount)
						d.refund(w.orderID, "order-1", partAmount)
					} else {
						d.order("order-1", true)
					}
					if lost {
						d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
					}
					o, err := create(t, d, req)
					require.Nil(t, o)
					reused := stateError(t, err, plural.ErrReferenceReused)
					require.Equal(t, "order-1", reused.Reference)
					require.Equal(t, pluraltest.OpOrdersCreate, reused.Op)
				}, pluraltest.WithDuplicateOrders(mode))
			})
		}
	}
	t.Run("duplicate that cannot be looked up", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, d *desk) {
			d.order("order-1", true)
			d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), repeated(pluraltest.ServerErrorBeforeApply, 4)...)
			_, err := create(t, d, checkout(wholeAmount, true))
			unknown := unknownError(t, err)
			requireLastCause(t, err, plural.CodeDuplicateRequest)
			require.ErrorContains(t, err, "INTERNAL_ERROR")
			require.Equal(t, "order-1", unknown.Reference)
			require.Empty(t, unknown.OrderID)
			require.Nil(t, unknown.Last)
		}, rejected)
	})
}

func TestOrderCreateRunsOut(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T, d *desk, faults []pluraltest.Fault, opts ...plural.CallOption) (*plural.CheckoutOrder,
		error,
	) {
		t.Helper()
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), faults...)
		o, err := newClient(t, d.srv).Orders.Create(t.Context(), checkout(wholeAmount, true), opts...)
		d.srv.ClearFaults()
		return o, err
	}
	tests := map[string]struct {
		faults []pluraltest.Fault
		opts   []plural.CallOption
		sends  int
		check  func(t *testing.T, err error)
	}{
		"never arrives": {
			faults: repeated(pluraltest.ResetBeforeApply, 4), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				requireUnknown(t, err)
				require.ErrorContains(t, err, "ORDER_NOT_FOUND", "the answer of the look-up")
			},
		},
		"arrives without an answer": {
			faults: append(repeated(pluraltest.ResetBeforeApply, 3), pluraltest.ResetAfterApply), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, plural.ErrDuplicateRequest)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"one try": {
			faults: []pluraltest.Fault{pluraltest.ResetAfterApply}, opts: []plural.CallOption{plural.WithoutRetry()}, sends: 1,
			check: func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, plural.ErrDuplicateRequest) },
		},
		"nothing is sent": {
			faults: repeated(pluraltest.Refuse, 4),
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"too many requests": {
			faults: repeated(pluraltest.RateLimited, 4), sends: 4,
			check: func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, plural.ErrRateLimited)
				require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
			},
		},
		"lost, then too many requests": {
			faults: append([]pluraltest.Fault{pluraltest.ResetAfterApply}, repeated(pluraltest.RateLimited, 3)...), sends: 4,
			check: func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, plural.ErrDuplicateRequest) },
		},
		"rejected": {
			faults: []pluraltest.Fault{pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNever)}, sends: 1,
			check: func(t *testing.T, err error) { t.Helper(); rejection(t, err, plural.CodeInvalidRequest) },
		},
		"lost, then rejected": {
			faults: []pluraltest.Fault{
				pluraltest.ApplyLateReset.After(time.Hour),
				pluraltest.StatusFault(400, "INVALID_REQUEST", pluraltest.ApplyNever),
			},
			sends: 2,
			check: func(t *testing.T, err error) { t.Helper(); requireUnknown(t, err) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				o, err := create(t, d, test.faults, test.opts...)
				require.Nil(t, o)
				require.Error(t, err)
				test.check(t, err)
				require.Len(t, d.srv.RequestsTo(pluraltest.OpOrdersCreate), test.sends)
			})
		})
	}
}

// Create gets a checkout link for one order, but the reference leads to another
// order. Then Create does not return the link.
func TestOrderCreateLinkToAnotherOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.ResetAfterApply)
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersGetByReference), pluraltest.NoFault)
		elsewhere := rewriteAnswers(
			t,
			pluraltest.OpOrdersGetByReference,
			func(data map[string]any) any { data["order_id"] = "v1-elsewhere"; return data },
		)
		o, err := newClient(t, d.srv, elsewhere).Orders.Create(t.Context(), checkout(wholeAmount, true))
		require.Nil(t, o)
		unknown := unknownError(t, err)
		require.Equal(t, "v1-elsewhere", unknown.Last.OrderID)
	})
}

func TestOrderCreateContextEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		d.srv.Inject(pluraltest.On(pluraltest.OpOrdersCreate), pluraltest.HangAfterApply)
		_, err := newClient(t, d.srv).Orders.Create(ctx, checkout(wholeAmount, true))
		require.NoError(t, err, "there was enough time left for another try")

		hung, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		d.srv.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
			if r.Op == pluraltest.OpToken {
				return pluraltest.NoFault
			}
			return pluraltest.HangAfterApply
		})
		_, err = newClient(t, d.srv).Orders.Create(hung, checkout(wholeAmount, true))
		requireUnknown(t, err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		d.srv.ClearFaults()
	})
}

// If the checkout answers 2xx without a link, the call has not succeeded, but
// the order may exist.
func TestCheckoutAnswersWithoutALink(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no redirect_url": `{"token":"x","order_id":"v1-1-aa-b","response_code":200}`,
		"no order_id":     `{"redirect_url":"https://checkout.example.in/x","response_code":200}`,
		"another code": `{"order_id":"v1-1-aa-b","redirect_url":"https://checkout.example.in/x",` +
			`"response_code":400,"response_message":"no"}`,
		"another, as a text": `{"order_id":"v1-1-aa-b","redirect_url":"https://checkout.example.in/x","response_code":"500"}`,
		"wrapped, no link":   `{"data":{"order_id":"v1-1-aa-b"}}`,
		"data no object":     `{"data":7}`,
		"a list":             `[]`,
		"a server's fault":   `{"code":"INTERNAL_ERROR"}`,

		"a script":       withLink(`javascript:alert(1)`),
		"data":           withLink(`data:text/html,<script>s3cret()</script>`),
		"no scheme":      withLink(`//evil.example/pay`),
		"a path":         withLink(`/pay`),
		"a name":         withLink(`checkout.example.in/pay`),
		"plain http":     withLink(`http://checkout.example.in/pay`),
		"an app":         withLink(`upi://pay?pa=shop@bank`),
		"no host":        withLink(`https:///pay`),
		"only a port":    withLink(`https://:443/pay`),
		"user info":      withLink(`https://checkout.pluralpay.in@evil.example/pay`),
		"backslashes":    withLink(`https:\\evil.example\pay`),
		"a space before": withLink(` https://checkout.example.in/pay`),
		"a line break":   withLink(`https://checkout.example.in/\nSet-Cookie: a`),
		"no URL":         withLink(`https://%zz/`),
		"wrapped script": `{"data":` + withLink(`javascript:alert(1)`) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return answer(http.StatusOK, body), nil
				}
				return answer(http.StatusBadGateway, ""), nil
			})
			_, err := client.Orders.Create(t.Context(), minimalOrder())
			requireIsOnly(t, err, "unknown")
			requireTidy(t, err.Error())
			require.NotContains(t, err.Error(), "evil")
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func withLink(address string) string {
	return `{"token":"x","order_id":"v1-1-aa-b","response_code":200,"redirect_url":"` + address + `"}`
}

func TestCheckoutLinksThatAPayerCanBeSentTo(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"https://checkout.pluralpay.in/v2/?token=a%2Bb", "HTTPS://checkout.example.in", "https://checkout.example.in:8443/x",
		"http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:80/x", "https://[2001:db8::1]/x",
	} {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, withLink(address)), nil
		})
		o, err := client.Orders.Create(t.Context(), minimalOrder())
		require.NoError(t, err, address)
		require.Equal(t, address, o.RedirectURL, "as it came")
	}
}

// An order with a bad URL can still be decoded. The SDK does not check
// challenge_url and image_url. The page that shows such a URL has to check the
// URL.
func TestOrdersWithAnyURLDecode(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"upi://pay?pa=x", "javascript:alert(1)", "//evil", "%zz"} {
		var o plural.Order
		require.NoError(t, o.UnmarshalJSON([]byte(
			`{"order_id":"v1-1","challenge_url":"`+address+`","image_url":"`+address+`"}`)))
		require.Equal(t, address, o.ChallengeURL)
		require.Equal(t, address, o.ImageURL)
	}
}

// If the checkout's answer breaks off, the error does not quote it.
func TestCheckoutAnswersThatBreakOffAreNotQuoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return answer(http.StatusOK, `{"token":"s3cret-link","order_id":"v1-1`), nil
			}
			return answer(http.StatusBadGateway, ""), nil
		})
		_, err := client.Orders.Create(t.Context(), minimalOrder())
		requireIsOnly(t, err, "unknown")
		require.NotContains(t, err.Error(), "s3cret")
	})
}
