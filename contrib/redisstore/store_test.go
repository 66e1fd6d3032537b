package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/redisstore"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

func TestMain(m *testing.M) {
	switch servertest.Role() {
	case "":
		os.Exit(m.Run())
	case "caller":
		callOnce()
	case "receiver":
		receiveWebhooks()
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	srv := servertest.StartRedis(t)
	t.Run("Deduper", func(t *testing.T) {
		t.Parallel()
		pluraltest.TestDeduper(t, func() plural.Deduper {
			return redisstore.New(connect(t, srv), redisstore.WithPrefix("deduper:"))
		}, true)
	})
	t.Run("TokenStore", func(t *testing.T) {
		t.Parallel()
		pluraltest.TestTokenStore(t, func() plural.TokenStore {
			return redisstore.New(connect(t, srv), redisstore.WithPrefix("tokens:"))
		})
	})
}

func TestPrefixesAreApart(t *testing.T) {
	t.Parallel()
	srv := servertest.StartRedis(t)
	one := redisstore.New(connect(t, srv), redisstore.WithPrefix("one:"))
	other := redisstore.New(connect(t, srv), redisstore.WithPrefix("other:"))
	require.NoError(t, one.Save(t.Context(), "k", []byte("sealed"), time.Minute))
	sealed, err := other.Load(t.Context(), "k")
	require.NoError(t, err)
	require.Nil(t, sealed)
	first, err := one.Claim(t.Context(), "msg", time.Minute)
	require.NoError(t, err)
	second, err := other.Claim(t.Context(), "msg", time.Minute)
	require.NoError(t, err)
	require.Equal(t, [2]plural.ClaimState{plural.Claimed, plural.Claimed}, [2]plural.ClaimState{first.State, second.State})
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	store := redisstore.New(redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}))
	for _, err := range []error{
		second(store.Claim(t.Context(), "", time.Minute)),
		second(store.Claim(t.Context(), "msg", 0)),
		store.Commit(t.Context(), "msg", "token", 0),
	} {
		require.ErrorContains(t, err, "redisstore: ")
	}
}

func second(_ plural.Claim, err error) error { return err }

// If twenty processes make their first calls at the same time, and the store is
// empty, they fetch only one token in total.
//
// A process that has waited for the store for two seconds fetches its own
// token. On a busy machine several processes do so. Then the test tries again,
// up to four times.
func TestColdFleetFetchesOneToken(t *testing.T) {
	t.Parallel()
	var issued []int
	for range 5 {
		issued = append(issued, runColdFleet(t))
		if issued[len(issued)-1] == 1 {
			return
		}
	}
	require.Contains(t, issued, 1, "tokens, by round")
}

// runColdFleet starts 20 processes, each of which makes one call at the same
// time. It returns how many tokens they fetched.
func runColdFleet(t *testing.T) int {
	t.Helper()
	redisServer, gateway := servertest.StartRedis(t), pluraltest.NewServer(t)
	var fleet []*servertest.Process
	for range 20 {
		fleet = append(fleet, servertest.StartProcess(t, "caller", "REDIS="+redisServer.Addr,
			"PLURAL="+gateway.URL, "ID="+gateway.ClientID, "SECRET="+gateway.ClientSecret))
	}
	for _, p := range fleet {
		require.Equal(t, "ready", p.Line())
	}
	for _, p := range fleet {
		p.Tell("go")
	}
	for _, p := range fleet {
		require.Equal(t, "ORDER_NOT_FOUND", p.Line())
	}
	return gateway.TokensIssued()
}

// callOnce runs in a separate process. It makes one call.
func callOnce() {
	connection := redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS")})
	client, err := plural.NewClient(
		plural.Credentials{ClientID: os.Getenv("ID"), ClientSecret: os.Getenv("SECRET")},
		plural.WithBaseURL(os.Getenv("PLURAL")),
		plural.WithTokenStore(redisstore.New(connection)),
	)
	if err == nil {
		err = connection.Ping(context.Background()).Err()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	_, err = client.Orders.Get(context.Background(), "v1-0-aa-none")
	if e, ok := errors.AsType[*plural.Error](err); ok {
		fmt.Println(e.Code)
		return
	}
	fmt.Println(err)
}

// A webhook that is delivered to eight processes at once is handled once.
func TestWebhookAtEightProcessesAtOnce(t *testing.T) {
	t.Parallel()
	srv, gateway := servertest.StartRedis(t), pluraltest.NewServer(t)
	var fleet []*servertest.Process
	var addresses []string
	for range 8 {
		p := servertest.StartProcess(t, "receiver", "REDIS="+srv.Addr, "SECRET="+gateway.WebhookSecret)
		fleet = append(fleet, p)
		addresses = append(addresses, p.Line())
	}
	for n := range 10 {
		id := fmt.Sprintf("msg_%d", n)
		statuses := make([]int, len(fleet))
		var all sync.WaitGroup
		for i, address := range addresses {
			all.Go(func() {
				resp, err := http.DefaultClient.Do(signedWebhook(t, gateway, address, id))
				if err == nil {
					statuses[i] = resp.StatusCode
					_ = resp.Body.Close()
				}
			})
		}
		all.Wait()
		for _, status := range statuses {
			require.Contains(t, []int{http.StatusOK, http.StatusConflict}, status)
		}
		require.Contains(t, statuses, http.StatusOK)
		handled, err := connect(t, srv).Get(t.Context(), "handled:"+id).Int()
		require.NoError(t, err)
		require.Equal(t, 1, handled)
	}
}

// receiveWebhooks runs in a separate process. It serves a webhook handler, and
// counts the handled webhooks in Redis.
func receiveWebhooks() {
	client := redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS")})
	verifier, err := plural.NewVerifier(os.Getenv("SECRET"))
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := plural.NewWebhookHandler(verifier, func(ctx context.Context, e *plural.Event) error {
		time.Sleep(50 * time.Millisecond) // long enough for the other deliveries to come
		return client.Incr(ctx, "handled:"+e.ID).Err()
	}, plural.WithDeduper(redisstore.New(client)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("http://" + listener.Addr().String())
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	_ = srv.Serve(listener)
}

// If the token store fails, the calls of the client still work.
func TestCallsGoOnWithoutRedis(t *testing.T) {
	t.Parallel()
	srv, gateway := servertest.StartRedis(t), pluraltest.NewServer(t)
	connection := connect(t, srv)
	call := func() error {
		client, err := plural.NewClient(
			plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret},
			plural.WithBaseURL(gateway.URL),
			plural.WithTokenStore(redisstore.New(connection)),
		)
		require.NoError(t, err)
		_, err = client.Orders.Get(t.Context(), "v1-0-aa-none")
		return err
	}
	require.ErrorIs(t, call(), plural.ErrNotFound)
	before := gateway.TokensIssued()
	require.ErrorIs(t, call(), plural.ErrNotFound)
	require.Equal(t, before, gateway.TokensIssued(), "the second client uses the first client's token")

	require.NoError(t, connection.FlushAll(t.Context()).Err())
	require.ErrorIs(t, call(), plural.ErrNotFound, "flushed")
	srv.Hang()
	require.ErrorIs(t, call(), plural.ErrNotFound, "hangs")
	srv.Resume()
	require.ErrorIs(t, call(), plural.ErrNotFound, "back")
	srv.Stop()
	require.ErrorIs(t, call(), plural.ErrNotFound, "gone")
	srv.Start()
	require.ErrorIs(t, call(), plural.ErrNotFound, "started again")
}

// A webhook handler whose Redis is down refuses webhooks, so Plural delivers
// them again.
func TestWebhooksWaitForRedis(t *testing.T) {
	t.Parallel()
	srv, gateway := servertest.StartRedis(t), pluraltest.NewServer(t)
	verifier, err := plural.NewVerifier(gateway.WebhookSecret)
	require.NoError(t, err)
	connection, handled := connect(t, srv), 0
	interrupt := func() {}
	handler := plural.NewWebhookHandler(verifier, func(context.Context, *plural.Event) error {
		handled++
		interrupt()
		return nil
	}, plural.WithDeduper(redisstore.New(connection)))
	deliver := func(id string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, signedWebhook(t, gateway, "/", id))
		return w.Code
	}

	require.Equal(t, http.StatusOK, deliver("msg_a"))
	require.Equal(t, http.StatusOK, deliver("msg_a"))
	require.Equal(t, 1, handled, "delivered twice")

	srv.Stop()
	require.Equal(t, http.StatusServiceUnavailable, deliver("msg_b"))
	require.Equal(t, 1, handled, "nothing is handled without Redis")
	srv.Start()
	require.Equal(t, http.StatusOK, deliver("msg_a"))
	require.Equal(t, 1, handled, "the record of msg_a outlasts a restart")
	require.Equal(t, http.StatusOK, deliver("msg_b"))
	require.Equal(t, 2, handled)

	interrupt = srv.Stop
	require.Equal(t, http.StatusInternalServerError, deliver("msg_c"), "the event could not be recorded")
	interrupt = func() {}
	srv.Start()
	require.Equal(t, http.StatusConflict, deliver("msg_c"), "the claim's lease runs")

	interrupt = func() { require.NoError(t, connection.FlushAll(t.Context()).Err()) }
	require.Equal(t, http.StatusInternalServerError, deliver("msg_d"), "the claim was flushed")
}

// signedWebhook makes the signed request of a webhook.
func signedWebhook(t *testing.T, gateway *pluraltest.Server, target, id string) *http.Request {
	t.Helper()
	const body = `{"event_type":"ORDER_PROCESSED","data":{}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	require.NoError(t, err)
	stamp := strconv.FormatInt(gateway.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", gateway.SignWebhook(id, stamp, []byte(body)))
	return req
}

func connect(t *testing.T, srv *servertest.Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: srv.Addr, ContextTimeoutEnabled: true, DialTimeout: time.Second, MaxRetries: -1,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}
