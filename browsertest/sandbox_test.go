package browsertest_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// startSandbox starts the program, and returns the settings that it prints for
// a shop.
func startSandbox(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.Command(buildExample(t, "sandbox"), "-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	told := map[string]string{}
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Stop") {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		if name, value, ok := strings.Cut(line, "="); ok {
			told[name] = value
		}
	}
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		for lines.Scan() {
			told["last words"] = lines.Text()
		}
		require.NoError(t, cmd.Wait(), "the sandbox stops without an error after an interrupt")
		require.Contains(t, told["last words"], "has stopped")
	})
	return told
}

// TestSandbox acts as merchant and payer on the sandbox's page, while a client
// in another process uses the sandbox's API.
func TestSandbox(t *testing.T) {
	t.Parallel()
	for _, s := range screens() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			told := startSandbox(t)
			walkSandbox(openTab(t, s), told)
		})
	}
}

func walkSandbox(b *tab, told map[string]string) {
	b.t.Helper()
	b.open(told["PLURAL_BASE_URL"] + "/")
	b.sees("No orders yet.")
	b.do(chromedp.WaitVisible(withText(told["PLURAL_CLIENT_SECRET"], "dd")))

	b.do(chromedp.Click(withText("New order", "summary")))
	b.fill("#new-reference", "order-1")
	b.press("Create the order", "₹1,499.50")
	b.press("Approve", "AUTHORIZED")
	b.picture("sandbox-held")
	b.do(chromedp.Click(withText("Let the hold lapse", "summary")))
	b.picture("sandbox-lapse")
	b.do(chromedp.Click(withText("Let the hold lapse", "summary")))
	b.fill("input[id^=capture-]", "2000")
	b.press("Capture", "AMOUNT_LIMIT_EXCEEDED")
	b.picture("sandbox-problem")
	b.fill("input[id^=capture-]", "1,000")
	b.press("Capture", "PARTIALLY_CAPTURED")
	b.fill("input[id^=refund-]", "400")
	b.press("Refund", "PARTIALLY_REFUNDED")
	b.press("Refund", "FULLY_REFUNDED")
	b.sees("given back ₹1,000.00")

	b.setControl("#fault-op", "orders.create")
	b.do(chromedp.Click(withText("What each does", "summary")))
	b.picture("sandbox-faults")
	b.fill("#fault", "UnavailableBeforeApply")
	b.press("Queue it", "UnavailableBeforeApply for orders.create")
	b.fill("#webhook-url", "http://127.0.0.1:9/nobody")
	b.click("Save")
	b.do(chromedp.WaitVisible(chromedp.CSS(`#webhook-url[value="http://127.0.0.1:9/nobody"]`)))

	// A shop's client creates an order. Its request gets the fault that the
	// test has queued. With JavaScript the page shows the change without a
	// reload.
	client, err := plural.NewClient(
		plural.Credentials{ClientID: told["PLURAL_CLIENT_ID"], ClientSecret: told["PLURAL_CLIENT_SECRET"]},
		plural.WithBaseURL(told["PLURAL_BASE_URL"]))
	require.NoError(b.t, err)
	order, err := client.Orders.Create(b.t.Context(), &plural.CreateOrderRequest{
		MerchantOrderReference: "from-the-shop", OrderAmount: plural.INR(50000), PreAuth: true,
	})
	require.NoError(b.t, err)
	if !b.screen.javaScript {
		b.do(chromedp.Reload())
	}
	b.sees("Nothing is queued")
	b.do(
		chromedp.WaitVisible(withText("from-the-shop", "h3")),
		chromedp.WaitVisible(withText("UnavailableBeforeApply", "summary")),
	)
	b.do(chromedp.Click(withText("POST /api/checkout/v1/orders", "summary")))
	b.picture("sandbox-log")

	// The page links to the checkout. After the payment, the page shows the
	// hold.
	require.Equal(b.t, order.RedirectURL, b.evalText(`document.querySelector("article a.button").href`))
	b.open(order.RedirectURL)
	b.press("Authorise", "Confirm your payment")
	b.fill("#otp", "123456")
	b.press("Approve", "Payment authorised")
	b.open(told["PLURAL_BASE_URL"] + "/")
	b.press("Cancel the hold", "CANCELLED")
	b.picture("sandbox")
}
