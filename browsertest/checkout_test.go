package browsertest_test

import (
	"testing"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

const (
	thanks = "The shop has your payment"
	sorry  = "The shop has no payment"
)

// onEachScreen runs a test on a desktop and on a phone, with and without
// JavaScript.
func onEachScreen(t *testing.T, test func(b *tab, leave func(next string))) {
	t.Helper()
	for _, s := range screens() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := openTab(t, s)
			// This function waits until the tab shows the shop's page. Without
			// JavaScript the payer has to press a button to get there.
			test(b, func(next string) {
				t.Helper()
				if s.javaScript {
					b.sees(next)
					return
				}
				b.press("Continue to", next)
			})
		})
	}
}

func TestPayerPays(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, leave func(string)) {
		shop := openShop(b.t)
		id, link := shop.sell("order-1", nil)
		b.open(link)
		b.sees("Pay ₹1,499.50")
		b.picture("pay")
		b.press("Authorise ₹1,499.50", "Confirm your payment")
		b.picture("bank")
		b.fill("#otp", "123456")
		b.click("Approve")
		leave(thanks)
		shop.requirePaid(id, plural.OrderStatusAuthorized)

		b.open(link)
		b.sees("Payment authorised")
		b.picture("used")
		b.press("Back to", map[bool]string{true: thanks, false: "Payment authorised"}[b.screen.javaScript])
	})
}

func TestPayerDeclinesAndRetries(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, leave func(string)) {
		shop := openShop(b.t)
		id, link := shop.sell("order-1", func(r *plural.CreateOrderRequest) { r.PreAuth = false })
		b.open(link)
		b.sees("Pay ₹1,499.50")
		b.press("Pay ₹1,499.50", "Confirm your payment")
		b.setControl("#reason", "INSUFFICIENT_FUNDS")
		b.fill("#message", "Not enough & <more>")
		b.press("Decline", "The payment did not go through")
		b.sees("Retries remaining after this one: 9")
		b.picture("declined")

		b.press("Pay ₹1,499.50", "Confirm your payment")
		b.fill("#otp", "000000")
		b.press("Approve", "Consumer Authentication failed")
		b.sees("Retries remaining after this one: 8")

		b.choose("label:has(#method-UPI)")
		b.do(chromedp.WaitVisible(chromedp.CSS("#vpa")), chromedp.WaitNotVisible(chromedp.CSS("#card-number")))
		b.picture("upi")
		b.press("Pay ₹1,499.50", "Confirm your payment")
		b.picture("bank-upi")
		b.click("Approve")
		leave(thanks)
		shop.requirePaid(id, plural.OrderStatusProcessed)
		order, _ := shop.srv.Order(id)
		require.Len(b.t, order.Payments, 3)
		require.Equal(b.t, "UPI", order.Payments[2].Method)
	})
}

func TestPayerGivesUp(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, leave func(string)) {
		shop := openShop(b.t)
		id, link := shop.sell("order-1", nil)
		b.open(link)
		b.press("Authorise", "Confirm your payment")
		b.fill("#otp", "1")
		b.press("Approve", "The payment did not go through")
		b.click("Give up")
		leave(sorry)
		shop.requireUnpaid(id, plural.OrderStatusFailed, "USER_AUTHENTICATION_FAILED")
	})
}

func TestPayerFailsForGood(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, leave func(string)) {
		shop := openShop(b.t, pluraltest.WithPaymentRetries(0))
		id, link := shop.sell("order-1", nil)
		b.open(link)
		b.press("Authorise", "Confirm your payment")
		b.fill("#message", "Not enough & <more>")
		b.click("Decline")
		leave(sorry)
		one := shop.requireUnpaid(id, plural.OrderStatusFailed, "PAYMENT_DECLINED")
		require.Equal(b.t, "Not enough & <more>", one.callback.ErrorMessage)
		b.open(link)
		b.sees("Payment failed")
		b.picture("failed")
	})
}

func TestPayerCancels(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, leave func(string)) {
		shop := openShop(b.t)
		id, link := shop.sell("order-1", nil)
		b.open(link)
		b.click("Cancel payment")
		leave(sorry)
		shop.requireUnpaid(id, plural.OrderStatusCancelled, "")
	})
}

func TestPayerMistypes(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, _ func(string)) {
		shop := openShop(b.t)
		_, link := shop.sell("order-1", func(r *plural.CreateOrderRequest) { r.PreAuth = false })
		b.open(link)
		b.fill("#card-number", "4111 1111 1111 1111")
		b.fill("#card-expiry", "11/25")
		b.fill("#card-cvv", "")
		b.press("Pay ₹1,499.50", "Please check the form")
		require.Equal(
			b.t,
			"alert",
			b.evalText(`document.activeElement.getAttribute("role")`),
			"the list of mistakes has the focus",
		)
		b.picture("mistakes")
		b.click("Never enter a real card")
		require.Equal(b.t, "card-number", b.evalText(`document.activeElement.id`), "the mistake is a link to its field")
	})
}

func TestPayerWithoutShop(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, _ func(string)) {
		shop := openShop(b.t)
		_, link := shop.sell("order-1", func(r *plural.CreateOrderRequest) { r.CallbackURL, r.FailureCallbackURL = "", "" })
		b.open(link)
		b.press("Authorise", "Confirm your payment")
		b.fill("#otp", "123456")
		b.press("Approve", "Payment authorised")
		b.picture("no-shop")
		b.open(shop.srv.URL + "/api/v3/checkout-bff/redirect/checkout?token=V3_gone")
		b.sees("This payment link is not known")
		b.picture("unknown")
	})
}

// TestPayerLeavesSecurePage pays on a page with TLS. This page then posts a
// form to a shop without TLS. Browsers allow that only because the shop's
// address is on loopback.
func TestPayerLeavesSecurePage(t *testing.T) {
	t.Parallel()
	shop := openShop(t, pluraltest.WithTLS())
	id, link := shop.sell("order-1", nil)
	b := openTab(t, screens()[0])
	_, err := chromedp.Call(
		b.ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true},
	)
	require.NoError(t, err)
	b.open(link)
	b.press("Authorise", "Confirm your payment")
	b.fill("#otp", "123456")
	b.click("Approve")
	b.sees(thanks)
	shop.requirePaid(id, plural.OrderStatusAuthorized)
}

// TestPayerWithKeyboard pays with the keyboard only, without a mouse.
func TestPayerWithKeyboard(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	id, link := shop.sell("order-1", nil)
	b := openTab(t, screens()[0])
	b.open(link)
	b.sees("Pay ₹1,499.50")
	b.do(chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "Skip to the payment", b.evalText(`document.activeElement.textContent`))
	b.do(chromedp.KeyEvent(kb.Enter))
	var stops []string
	for range 5 {
		b.do(chromedp.KeyEvent(kb.Tab))
		stops = append(stops, b.evalText(`document.activeElement.id || document.activeElement.textContent.trim()`))
	}
	require.Equal(t, []string{"method-CARD", "card-number", "card-expiry", "card-cvv", "Authorise ₹1,499.50"}, stops)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees("Confirm your payment")
	b.do(chromedp.KeyEvent(kb.Enter)) // the field already has the password and the focus
	b.sees(thanks)
	shop.requirePaid(id, plural.OrderStatusAuthorized)
}
