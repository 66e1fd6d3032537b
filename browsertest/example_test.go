package browsertest_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// TestReturnWithoutExemption shows why the shops here exempt the payer's return
// from net/http's CrossOriginProtection. The return comes from another site, so
// the protection would refuse it.
func TestReturnWithoutExemption(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}, plural.WithBaseURL(srv.URL))
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /return", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	shop := httptest.NewServer(http.NewCrossOriginProtection().Handler(mux))
	defer shop.Close()
	order, err := client.Orders.Create(t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "order-1", OrderAmount: plural.INR(149950), PreAuth: true, CallbackURL: shop.URL + "/return",
	})
	require.NoError(t, err)
	b := openTab(t, screens()[0])
	b.open(order.RedirectURL)
	b.press("Authorise", "Confirm your payment")
	b.do(chromedp.Click(withText("Approve", "button")))
	b.do(chromedp.WaitVisible(withText("cross-origin request detected", "pre")))
}

// TestWebhookExample places an order at the shop of examples/webhook, and pays
// for the order. Afterwards the browser comes back to a page of that shop. The
// shop is protected against requests from other sites.
func TestWebhookExample(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(buildExample(t, "webhook"), "-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	address := startShop(t, cmd, out)
	for _, s := range screens() {
		if !s.javaScript {
			continue // without JavaScript the checkout needs one more click, and other tests cover that click
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := openTab(t, s)
			b.open(address)
			b.picture("webhook-shop")
			b.press("Pay ₹1,499.50", "Pay ₹1,499.50")
			b.press("Authorise", "Confirm your payment")
			b.click("Approve")
			b.sees("Your payment is on hold.")
			require.Contains(t, b.describePage(), "/orders/v1-", "the page comes after a redirect, so a reload is safe")
			b.do(chromedp.Reload())
			b.sees("Your payment is on hold.")
			b.picture("webhook-paid")

			b.open(address)
			b.press("Pay ₹1,499.50", "Pay ₹1,499.50")
			b.press("Authorise", "Confirm your payment")
			b.do(chromedp.Click(chromedp.CSS(`input[name=final]`)))
			b.click("Decline")
			b.sees("Nothing was taken.")
		})
	}
}
