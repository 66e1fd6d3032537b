package redisstore_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/contrib/redisstore"
	"github.com/plural-go/plural/pluraltest"
)

// One store keeps the token and the record of webhooks. In this example Redis
// is down. Calls still work, because the process fetches its own token.
// Webhooks are refused with 503, so Plural delivers them again.
func Example() {
	gateway, err := pluraltest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	credentials := plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret}
	verifier, err := plural.NewVerifier(gateway.WebhookSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	handle := func(context.Context, *plural.Event) error { return nil }
	redisAddr, stop := startBrokenRedis()
	defer stop()
	baseURL := plural.WithBaseURL(gateway.URL)

	store := redisstore.New(redis.NewClient(&redis.Options{Addr: redisAddr}))

	client, err := plural.NewClient(credentials, plural.WithTokenStore(store), baseURL)
	handler := plural.NewWebhookHandler(verifier, handle, plural.WithDeduper(store))
	if err != nil {
		fmt.Println(err)
		return
	}

	order, err := client.Orders.Create(context.Background(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1", OrderAmount: plural.INR(149950),
	})
	fmt.Println(order != nil, err)
	event, err := gateway.WebhookRequest("ORDER_CREATED", order.OrderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, event)
	fmt.Println(answer.Code)
	// Output:
	// true <nil>
	// 503
}

// Shops that share a Redis each have their own prefix.
func ExampleWithPrefix() {
	redisAddr, stop := startBrokenRedis()
	defer stop()

	shared := redis.NewClient(&redis.Options{Addr: redisAddr})
	toys := redisstore.New(shared, redisstore.WithPrefix("toys:"))
	books := redisstore.New(shared, redisstore.WithPrefix("books:"))

	fmt.Println(toys != books)
	// Output: true
}

// startBrokenRedis starts a server in place of Redis. The server answers each
// command with an error.
func startBrokenRedis() (addr string, stop func()) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "*") { // a command begins
						_, _ = conn.Write([]byte("-ERR out of order\r\n"))
					}
				}
			}()
		}
	}()
	return listener.Addr().String(), func() { _ = listener.Close() }
}

// The README shows the code that the Example runs.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, shown, 1)
	asInReadme := strings.NewReplacer("\n\t", "\n", ", baseURL)", ")", "Addr: redisAddr", `Addr: "redis:6379"`)
	code := asInReadme.Replace(string(example))
	require.Contains(t, code, shown[0][1])
}
