package frameworktest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	fiber2 "github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const webhookSecret = "a-secret-of-the-shop"

// numberedWebhook makes delivery number n.
func numberedWebhook(n int) (r request, id, orderID string) {
	id, orderID = fmt.Sprintf("msg_%06d", n), fmt.Sprintf("v1-order-%06d", n)
	body := fmt.Sprintf(`{"event_type":"ORDER_AUTHORIZED","data":{"order_id":%q,"status":"AUTHORIZED"}}`, orderID)
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return request{
		method: http.MethodPost, path: webhookPath, body: []byte(body),
		header: http.Header{
			"Content-Type": {"application/json"}, "Webhook-Id": {id}, "Webhook-Timestamp": {timestamp},
			"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
		},
	}, id, orderID
}

// Fiber reuses the memory of a request for the next request. Even so, the shop
// handles each event exactly once, although every event is delivered twice.
func TestFiberHandlesEachEventOnce(t *testing.T) {
	t.Parallel()
	const deliveries, senders = 3000, 16
	for name, serve := range map[string]framework{"v2": fiberV2, "v3": fiberV3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := plural.RawKey(webhookSecret)
			require.NoError(t, err)
			verifier, err := plural.NewVerifier("", plural.WithWebhookKeys(key))
			require.NoError(t, err)
			var mu sync.Mutex
			var events []*plural.Event
			h := plural.NewWebhookHandler(verifier, func(_ context.Context, e *plural.Event) error {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
				return nil
			})
			send := serve(t, map[string]http.Handler{webhookPath: h})
			for range 2 {
				inParallel(senders, deliveries, func(n int) {
					r, _, _ := numberedWebhook(n)
					if status := send(t, r).status; status != http.StatusOK {
						t.Errorf("delivery %d: %d", n, status)
					}
				})
			}
			handled := map[string]int{}
			for _, e := range events {
				handled[e.ID]++
			}
			require.Len(t, events, deliveries)
			for n := range deliveries {
				_, id, _ := numberedWebhook(n)
				require.Equal(t, 1, handled[id], id)
			}
			for _, e := range events {
				orderID, err := e.OrderID()
				require.NoError(t, err)
				require.Equal(t, e.ID[len("msg_"):], orderID[len("v1-order-"):], "id and body belong to the same delivery")
			}
		})
	}
}

func inParallel(workers, count int, work func(n int)) {
	numbers := make(chan int)
	var ended sync.WaitGroup
	for range workers {
		ended.Go(func() {
			for n := range numbers {
				work(n)
			}
		})
	}
	for n := range count {
		numbers <- n
	}
	close(numbers)
	ended.Wait()
}

// If a shop does not use Fiber's adaptor for net/http, it passes on the strings
// that it gets from Fiber. These strings share the memory of the request, so
// the verifier must copy them.
func TestFiberFormsAreCopied(t *testing.T) {
	t.Parallel()
	const returns, senders, secret = 500, 8, "00112233445566778899AABBCCDDEEFF"
	verifier, err := plural.NewVerifier(secret)
	require.NoError(t, err)
	key, err := plural.HexKey(secret)
	require.NoError(t, err)
	names := []string{"order_id", "status", "signature"}

	for name, serve := range map[string]func(t *testing.T, keep func(url.Values) error) sender{
		"v2": func(t *testing.T, keep func(url.Values) error) sender {
			t.Helper()
			app := fiber2.New(fiber2.Config{DisableStartupMessage: true})
			app.Post(returnPath, func(c *fiber2.Ctx) error {
				form := url.Values{}
				for _, name := range names {
					form.Set(name, c.FormValue(name))
				}
				return keep(form)
			})
			return serveFiber(t, app.Listener, app.Shutdown)
		},
		"v3": func(t *testing.T, keep func(url.Values) error) sender {
			t.Helper()
			app := fiber3.New()
			app.Post(returnPath, func(c fiber3.Ctx) error {
				form := url.Values{}
				for _, name := range names {
					form.Set(name, c.FormValue(name))
				}
				return keep(form)
			})
			return serveFiberV3(t, app)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var kept []*plural.Callback
			send := serve(t, func(form url.Values) error {
				callback, err := verifier.VerifyCallback(form)
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept, callback)
				return err
			})
			inParallel(senders, returns, func(n int) {
				orderID := fmt.Sprintf("v1-order-%06d", n)
				form := url.Values{"order_id": {orderID}, "status": {"AUTHORIZED"}}
				form.Set("signature", plural.Sign([]byte("order_id="+orderID+"&status=AUTHORIZED"), key))
				r := request{method: http.MethodPost, path: returnPath, body: []byte(form.Encode()), header: http.Header{
					"Content-Type": {"application/x-www-form-urlencoded"},
				}}
				if status := send(t, r).status; status != http.StatusOK {
					t.Errorf("return %d: %d", n, status)
				}
			})
			require.Len(t, kept, returns)
			seen := map[string]bool{}
			for _, callback := range kept {
				seen[callback.OrderID] = true
				require.Equal(t, plural.OrderStatusAuthorized, callback.Status)
				require.Equal(t, callback.OrderID, callback.Fields["order_id"])
			}
			for n := range returns {
				require.True(t, seen[fmt.Sprintf("v1-order-%06d", n)])
			}
		})
	}
}
