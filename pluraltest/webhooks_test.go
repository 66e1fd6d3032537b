package pluraltest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// The type merchant records the webhooks that arrive. If onHook is not nil,
// the merchant calls onHook to write each answer.
type merchant struct {
	mu     sync.Mutex
	seen   []seenHook
	onHook func(n int, w http.ResponseWriter, r *http.Request)
}

type seenHook struct {
	at              time.Time
	id, stamp, sign string
	body            string
}

func (m *merchant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	m.seen = append(
		m.seen,
		seenHook{
			time.Now(),
			r.Header.Get("webhook-id"),
			r.Header.Get("webhook-timestamp"),
			r.Header.Get("webhook-signature"),
			string(body),
		},
	)
	n := len(m.seen)
	m.mu.Unlock()
	if m.onHook != nil {
		m.onHook(n, w, r)
	}
}

// recordedBody returns the body of a request that was recorded.
func (m *merchant) recordedBody(r *http.Request) string {
	for _, hook := range m.hooks() {
		if hook.id == r.Header.Get("webhook-id") {
			return hook.body
		}
	}
	return ""
}

// The method events returns the types of the webhooks that have arrived.
func (m *merchant) events(t *testing.T) (list []string) {
	t.Helper()
	for _, hook := range m.hooks() {
		var event struct {
			EventType string `json:"event_type"`
		}
		require.NoError(t, json.Unmarshal([]byte(hook.body), &event))
		list = append(list, event.EventType)
	}
	return list
}

// repeatWords returns a list that has each word n times.
func repeatWords(n int, words ...string) (list []string) {
	for _, word := range words {
		list = append(list, slices.Repeat([]string{word}, n)...)
	}
	return list
}

func (m *merchant) hooks() []seenHook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

func TestWebhookSchedule(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := &merchant{
				onHook: func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			}
			opts := []pluraltest.Option{pluraltest.WithWebhookHandler(m)}
			if once {
				opts = append(opts, pluraltest.WithWebhookStampedOnce())
			}
			srv := pluraltest.New(opts...)
			defer srv.Close()
			start := time.Now()
			authorized(t, srv, "r", 100)
			require.NoError(t, srv.WaitWebhooks(t.Context()))

			seen := m.hooks()
			require.Len(t, seen, 8)
			var at time.Duration
			for i, wait := range pluraltest.WebhookSchedule() {
				at += wait
				require.Equal(t, at, seen[i].at.Sub(start))
				require.Equal(t, seen[0].id, seen[i].id)
				require.Equal(t, seen[0].body, seen[i].body)
				require.Equal(t, srv.SignWebhook(seen[i].id, seen[i].stamp, []byte(seen[i].body)), seen[i].sign)
				require.Equal(t, once || i == 0, seen[i].stamp == seen[0].stamp)
			}
			deliveries := srv.Deliveries()
			require.Len(t, deliveries, 1)
			require.Equal(t, pluraltest.DeliveryExhausted, deliveries[0].State)
			require.Equal(t, 500, deliveries[0].Attempts[7].Status)
		})
	}
}

func TestWebhookSenderHangsUpAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left := make(chan time.Duration, 1)
		start := time.Now()
		m := &merchant{onHook: func(n int, _ http.ResponseWriter, r *http.Request) {
			if n == 1 {
				<-r.Context().Done()
				left <- time.Since(start)
			}
		}}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m))
		defer srv.Close()
		authorized(t, srv, "r", 100)
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		require.Equal(t, 5*time.Second, <-left)
		require.Equal(t, 10*time.Second, time.Since(start))
		d := srv.Deliveries()[0]
		require.Equal(t, pluraltest.DeliveryDelivered, d.State)
		require.Len(t, d.Attempts, 2)
		require.NotEmpty(t, d.Attempts[0].Err)
	})
}

func TestWebhookOverTCP(t *testing.T) {
	t.Parallel()
	m := &merchant{onHook: func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}}
	shop := httptest.NewServer(m)
	defer shop.Close()
	srv := pluraltest.NewServer(t, pluraltest.WithWebhookURL(shop.URL), pluraltest.WithWebhookTimeScale(0.0001))
	authorized(t, srv, "r", 100)
	require.NoError(t, srv.WaitWebhooks(t.Context()))
	require.Len(t, m.hooks(), 2)

	status, err := srv.Redeliver(m.hooks()[0].id)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Len(t, m.hooks(), 3)
	_, err = srv.Redeliver("msg_none")
	require.Error(t, err)
	srv.SetWebhookURL("")
	authorized(t, srv, "r2", 100)
	require.Equal(t, pluraltest.DeliveryNotSent, srv.Deliveries()[1].State)
}

func TestWebhookDuplicatesAndOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m), pluraltest.WithWebhookDuplicates(2))
		defer srv.Close()
		id := authorized(t, srv, "r", 100)
		synctest.Wait()
		seen := m.hooks()
		require.Len(t, seen, 3)
		require.Equal(t, seen[0].id, seen[2].id)

		srv.HoldWebhooks()
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		_, err := srv.Refund(id, "back", pluraltest.Amount{})
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, m.hooks(), 3)
		srv.ReleaseWebhooks(true)
		require.Equal(t, []string{
			"ORDER_AUTHORIZED",
			"ORDER_AUTHORIZED",
			"ORDER_AUTHORIZED",
			"REFUND_PROCESSED",
			"REFUND_PROCESSED",
			"REFUND_PROCESSED",
			"ORDER_PROCESSED",
			"ORDER_PROCESSED",
			"ORDER_PROCESSED",
		}, m.events(t))
		for _, d := range srv.Deliveries() {
			require.Equal(t, pluraltest.DeliveryDelivered, d.State)
			require.Len(t, d.Attempts, 3)
		}
	})
}

// In TestEventsOfAnOrderKeepTheirOrder, a merchant takes long to answer the
// first event of an order. The order's later events wait. The events of other
// orders do not wait.
func TestEventsOfAnOrderKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for name, duplicates := range map[string]int{"once": 1, "with a copy": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := "ORDER_AUTHORIZED"
				m := &merchant{}
				m.onHook = func(_ int, w http.ResponseWriter, r *http.Request) {
					if strings.Contains(m.recordedBody(r), slow) && strings.Contains(m.recordedBody(r), `"slow"`) {
						<-time.After(3 * time.Second)
						w.WriteHeader(http.StatusInternalServerError)
					}
				}
				srv := pluraltest.New(pluraltest.WithWebhookHandler(m), pluraltest.WithWebhookDuplicates(duplicates-1))
				defer srv.Close()
				id := authorized(t, srv, "slow", 500)
				require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
				_, err := srv.Refund(id, "back", pluraltest.Amount{})
				require.NoError(t, err)
				other := authorized(t, srv, "other", 500)
				require.NoError(t, srv.Cancel(other))
				passTime(time.Second)
				require.ElementsMatch(
					t,
					repeatWords(duplicates, "ORDER_AUTHORIZED", "ORDER_AUTHORIZED", "ORDER_CANCELLED"),
					m.events(t),
					"the events of the other order do not wait",
				)
				passTime(3 * time.Second)
				require.Equal(
					t,
					repeatWords(duplicates, "ORDER_PROCESSED", "REFUND_PROCESSED"),
					m.events(t)[3*duplicates:],
					"the later events go on after the first attempt has failed",
				)
				require.Equal(t, pluraltest.DeliveryPending, srv.Deliveries()[0].State)
			})
		})
	}
}

// TestFirstWaitCountsFromTheEvent uses a schedule that begins with a wait. The
// time of this wait starts when the event happens. The wait does not become
// longer if another event must be sent first.
func TestFirstWaitCountsFromTheEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m), pluraltest.WithWebhookSchedule(2*time.Second))
		defer srv.Close()
		start := time.Now()
		id := authorized(t, srv, "r", 500)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		seen := m.hooks()
		require.Len(t, seen, 2)
		require.Equal(t, 2*time.Second, seen[0].at.Sub(start))
		require.Equal(t, 7*time.Second, seen[1].at.Sub(start), "sent when the first attempt has timed out")
		require.Equal(t, pluraltest.DeliveryExhausted, srv.Deliveries()[1].State)
	})
}

// In TestReleasedEventsWaitForOneAnother, a merchant still works on an event
// when other events are released. Meanwhile more events happen. No event of an
// order may overtake another.
func TestReleasedEventsWaitForOneAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(int, http.ResponseWriter, *http.Request) { <-time.After(time.Second) }}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m))
		defer srv.Close()
		start := time.Now()
		id := authorized(t, srv, "r", 500)
		srv.HoldWebhooks()
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		other := authorized(t, srv, "other", 500)
		released := make(chan struct{})
		go func() {
			defer close(released)
			srv.ReleaseWebhooks(false)
		}()
		synctest.Wait()
		_, err := srv.Refund(id, "back", pluraltest.Amount{})
		require.NoError(t, err)
		<-released
		require.Equal(t, 3*time.Second, time.Since(start), "one after the other")
		require.NoError(t, srv.Cancel(other))
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		require.Equal(t, []string{"ORDER_AUTHORIZED", "ORDER_PROCESSED"}, m.events(t)[:2])
		require.ElementsMatch(t, []string{"REFUND_PROCESSED", "ORDER_AUTHORIZED", "ORDER_CANCELLED"}, m.events(t)[2:])
	})
}

// In TestWaitWebhooksWaitsForCopies, a merchant answers the first request at
// once and the copies late.
func TestWaitWebhooksWaitsForCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(n int, _ http.ResponseWriter, _ *http.Request) {
			if n > 1 {
				<-time.After(time.Second)
			}
		}}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m), pluraltest.WithWebhookDuplicates(1))
		defer srv.Close()
		authorized(t, srv, "r", 500)
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		require.Len(t, srv.Deliveries()[0].Attempts, 2)

		again := make(chan int)
		go func() {
			status, _ := srv.Redeliver(srv.Deliveries()[0].ID)
			again <- status
		}()
		synctest.Wait()
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		require.Len(t, srv.Deliveries()[0].Attempts, 3)
		require.Equal(t, 200, <-again)
	})
}

// In TestCopyInProgress, the merchant answers the first attempt and its copy
// with 409, as a handler does while it works on the same event. The server then
// sends the event again, but sends no further copy.
func TestCopyInProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n <= 2 {
				w.WriteHeader(http.StatusConflict)
			}
		}}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m), pluraltest.WithWebhookDuplicates(1))
		defer srv.Close()
		authorized(t, srv, "r", 500)
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		require.Len(t, m.hooks(), 3, "copies are sent only with the first attempt")
		require.Equal(t, pluraltest.DeliveryDelivered, srv.Deliveries()[0].State)
	})
}

// TestNowhereToSendAnyMore takes the URL away while an event waits to be tried
// again.
func TestNowhereToSendAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
		srv := pluraltest.New(
			pluraltest.WithWebhookURL("http://shop.example.com/"),
			pluraltest.WithOutboundClient(&http.Client{Transport: down}),
		)
		defer srv.Close()
		id := authorized(t, srv, "r", 100)
		synctest.Wait()
		srv.SetWebhookURL("")
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		d := srv.Deliveries()[0]
		require.Equal(t, pluraltest.DeliveryNotSent, d.State)
		require.Len(t, d.Attempts, 1)
		_, err := srv.Redeliver(d.ID)
		require.ErrorContains(t, err, "nowhere to send")

		srv.HoldWebhooks()
		require.NoError(t, srv.Cancel(id))
		srv.ReleaseWebhooks(false)
		require.Equal(t, pluraltest.DeliveryNotSent, srv.Deliveries()[1].State)
	})
}

// roundTripper lets a test answer requests without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestScheduleWithoutWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m), pluraltest.WithWebhookSchedule())
		defer srv.Close()
		authorized(t, srv, "r", 100)
		require.NoError(t, srv.WaitWebhooks(t.Context()))
		require.Len(t, m.hooks(), 1)
		require.Equal(t, pluraltest.DeliveryExhausted, srv.Deliveries()[0].State)
	})
}

// TestRedeliverDelivers redelivers an event that waits to be tried again, and
// an event that is held back. A good answer ends the delivery of both events.
func TestRedeliverDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n <= 2 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m))
		defer srv.Close()
		id := authorized(t, srv, "r", 100)
		synctest.Wait()
		first := srv.Deliveries()[0].ID
		for _, want := range []struct {
			status int
			state  pluraltest.DeliveryState
		}{{500, pluraltest.DeliveryPending}, {200, pluraltest.DeliveryDelivered}} {
			status, err := srv.Redeliver(first)
			require.NoError(t, err)
			require.Equal(t, want.status, status)
			require.Equal(t, want.state, srv.Deliveries()[0].State)
		}
		srv.HoldWebhooks()
		require.NoError(t, srv.Cancel(id))
		status, err := srv.Redeliver(srv.Deliveries()[1].ID)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		srv.ReleaseWebhooks(false)
		passTime(48 * time.Hour)
		require.Len(t, m.hooks(), 4)
	})
}

func TestEveryEvent(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id := authorized(t, srv, "one", 5000)
	require.NoError(t, srv.Capture(id, "c", inr(1200)))
	srv.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.FailedResult)
	require.Equal(t, "FAILED", a.refund(id, `{"merchant_order_reference":"r1"}`).data(t)["status"])
	refund, err := srv.Refund(id, "r2", inr(100))
	require.NoError(t, err)
	voided := authorized(t, srv, "two", 5000)
	require.NoError(t, srv.Cancel(voided))
	lost := authorized(t, srv, "three", 5000)
	srv.Inject(pluraltest.On(pluraltest.OpCapturesCreate), pluraltest.FailedResult)
	failed := a.capture(lost, `{"merchant_capture_reference":"c"}`).data(t)
	require.Equal(t, "FAILED", failed["status"])
	acquirer := failed["payments"].([]any)[0].(map[string]any)["acquirer_data"].(map[string]any)
	require.Equal(t, []any{"", ""}, []any{acquirer["approval_code"], acquirer["rrn"]}, "as in the sample")
	require.NotEmpty(t, acquirer["acquirer_reference"])

	type event struct{ kind, order, status string }
	var got []event
	for _, d := range srv.Deliveries() {
		var payload struct {
			EventType string `json:"event_type"`
			Data      struct {
				OrderID string `json:"order_id"`
				Status  string `json:"status"`
			} `json:"data"`
		}
		require.NoError(t, json.Unmarshal(d.Body, &payload))
		require.Equal(t, d.EventType, payload.EventType)
		require.Equal(t, d.OrderID, payload.Data.OrderID)
		got = append(got, event{d.EventType, d.OrderID, payload.Data.Status})
	}
	require.Equal(t, []event{
		{"ORDER_AUTHORIZED", id, "AUTHORIZED"},
		{"ORDER_PROCESSED", id, "PARTIALLY_CAPTURED"},
		{"REFUND_FAILED", srv.Refunds(id)[0].ID, "FAILED"},
		{"REFUND_PROCESSED", refund, "PROCESSED"},
		{"ORDER_AUTHORIZED", voided, "AUTHORIZED"},
		{"ORDER_CANCELLED", voided, "CANCELLED"},
		{"ORDER_AUTHORIZED", lost, "AUTHORIZED"},
		{"PAYMENT_FAILED", lost, "FAILED"},
		{"ORDER_FAILED", lost, "FAILED"},
	}, got)
}

func TestQuirks(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T, quirk pluraltest.Quirk, points int64) (*pluraltest.Server, string) {
		t.Helper()
		srv := pluraltest.New(pluraltest.WithQuirks(quirk))
		t.Cleanup(srv.Close)
		id, err := srv.AddOrder(pluraltest.OrderSpec{
			Reference:   "r",
			Amount:      inr(1000),
			PreAuth:     true,
			CallbackURL: "https://shop.example.com/",
			PurchaseDetails: json.RawMessage(
				`{"customer":{"email_id":"kevin.bob@example.com"},"merchant_metadata":{"my_key":"v"}}`,
			),
		})
		require.NoError(t, err)
		_, err = srv.Pay(id, pluraltest.ApproveWithPoints(points))
		require.NoError(t, err)
		return srv, id
	}
	body := func(t *testing.T, srv *pluraltest.Server, event, id string) string {
		t.Helper()
		req, err := srv.WebhookRequest(event, id)
		require.NoError(t, err)
		read, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		return string(read)
	}
	t.Run("camelCase points", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkCamelCasePoints, 400)
		held := body(t, srv, "ORDER_AUTHORIZED", id)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		hook := body(t, srv, "ORDER_PROCESSED", id)
		for _, want := range []string{
			`"eventType":"ORDER_PROCESSED"`, `"orderId"`, `"captureData"`,
			`"merchantCaptureReference"`, `"networkName"`, `"emailId"`, `"merchantMetadata":{"my_key":"v"}`, `"callback_url"`,
			`"integration_mode"`,
		} {
			require.Contains(t, hook, want)
		}
		require.NotContains(t, hook, "acquirerData")
		require.Equal(t, 2, strings.Count(held, `"captureData":[]`))
		require.Equal(t, 1, strings.Count(held, `"createdAt"`), "the order has a createdAt, and its payments have none")
		require.Equal(t, 1, strings.Count(hook, `"updatedAt"`))
		require.Contains(
			t,
			hook,
			`"paymentOption":{"cardData":{"cardCategory":"","cardType":"","countryCode":"","issuerName":"",`+
				`"networkName":"","productName":""}}`,
		)
		require.Contains(t, string(srv.Document(id)), `"order_id"`, "only events are camelCase")
		require.Contains(t, string(srv.Document(id)), `"acquirer_data"`)
		srv, id = setup(t, pluraltest.QuirkCamelCasePoints, 0)
		require.Contains(t, body(t, srv, "ORDER_AUTHORIZED", id), `"event_type"`)
	})
	t.Run("empty lists", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkEmptyLists, 400)
		held := string(srv.Document(id))
		require.Equal(t, 1, strings.Count(held, `"refunds":[]`))
		require.Equal(t, 2, strings.Count(held, `"capture_data":[]`))
		require.Equal(t, 1, strings.Count(held, `"payment_option":{}`), "of the points")
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		refund, err := srv.Refund(id, "back", pluraltest.Amount{})
		require.NoError(t, err)
		require.Contains(t, string(srv.Document(id)), `"refunds":[{"order_id":"`+refund)
		require.Contains(t, string(srv.Document(refund)), `"refunds":[]`)
		srv, id = setup(t, 0, 400)
		for _, absent := range []string{`"refunds"`, `"capture_data"`, `"payment_option":{}`} {
			require.NotContains(t, string(srv.Document(id)), absent)
		}
	})
	t.Run("string pre_auth", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkStringPreAuth, 0)
		require.Contains(t, string(srv.Document(id)), `"pre_auth":"true"`)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		refund, err := srv.Refund(id, "back", pluraltest.Amount{})
		require.NoError(t, err)
		require.Contains(t, body(t, srv, "REFUND_PROCESSED", refund), `"pre_auth":"false"`)
		require.NotContains(t, string(srv.Document(refund)), `"pre_auth"`)
	})
	t.Run("pre_auth false", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkPreAuthFalse, 0)
		require.Contains(t, string(srv.Document(id)), `"pre_auth":true`)
		require.NoError(t, srv.Capture(id, "c", inr(100)))
		require.Contains(t, string(srv.Document(id)), `"pre_auth":false`)
	})
	t.Run("nanoseconds", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkNanoseconds, 0)
		require.Regexp(t, `"created_at":"[^"]*\.\d{9}Z"`, string(srv.Document(id)))
		srv, id = setup(t, 0, 0)
		require.Regexp(t, `"created_at":"[^"]*\.\d{3}Z"`, string(srv.Document(id)))
	})
	t.Run("refund in parent", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkRefundInParent, 0)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		refund, err := srv.Refund(id, "back", pluraltest.Amount{})
		require.NoError(t, err)
		hook := body(t, srv, "REFUND_PROCESSED", refund)
		require.Contains(t, hook, `"data":{"order_id":"`+id+`"`)
		require.Contains(t, hook, `"refunds":[{"order_id":"`+refund+`"`)
		require.Contains(t, hook, `"status":"FULLY_REFUNDED"`)
	})
	t.Run("capture_data object", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkCaptureDataObject, 0)
		require.NoError(t, srv.Capture(id, "c", pluraltest.Amount{}))
		require.Contains(t, string(srv.Document(id)), `"capture_data":{"merchant_capture_reference":"c"`)
	})
	t.Run("cancelled payment processed", func(t *testing.T) {
		t.Parallel()
		srv, id := setup(t, pluraltest.QuirkCancelledPaymentProcessed, 0)
		require.NoError(t, srv.Cancel(id))
		doc := string(srv.Document(id))
		require.Contains(t, doc, `"status":"CANCELLED"`)
		require.Equal(t, 1, strings.Count(doc, `"status":"PROCESSED"`))
	})
}

func TestCloseStopsWebhooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{onHook: func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
		srv := pluraltest.New(pluraltest.WithWebhookHandler(m))
		authorized(t, srv, "r", 100)
		synctest.Wait()
		srv.Close()
		passTime(48 * time.Hour)
		require.Len(t, m.hooks(), 1)
		require.Error(t, srv.WaitWebhooks(t.Context()))
	})
}
