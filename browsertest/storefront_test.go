package browsertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// A storefront is the running program, and the emulator that it uses.
type storefront struct {
	srv *pluraltest.Server
	url string
}

const staffPassword = "ship-it"

func openStorefront(t *testing.T, opts ...pluraltest.Option) *storefront {
	t.Helper()
	srv := pluraltest.NewServer(t, opts...)
	cmd := exec.Command(
		buildExample(t, "storefront"), "-addr", "127.0.0.1:0", "-database", filepath.Join(t.TempDir(), "shop.db"),
	)
	cmd.Env = append(os.Environ(), "STOREFRONT_PASSWORD="+staffPassword, "PLURAL_BASE_URL="+srv.URL, "PLURAL_ENVIRONMENT=",
		"PLURAL_CLIENT_ID="+srv.ClientID, "PLURAL_CLIENT_SECRET="+srv.ClientSecret)
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	s := &storefront{srv, startShop(t, cmd, out)}
	srv.SetWebhookURL(s.url + "/plural/webhook")
	return s
}

// staffURL returns the address of a page for the shop's staff. The address
// contains the user name and the password.
func (s *storefront) staffURL(path string) string {
	return strings.Replace(s.url, "http://", "http://operator:"+staffPassword+"@", 1) + path
}

// onlyOrder returns the order at Plural. If Plural does not have exactly one
// order, the test fails.
func (s *storefront) onlyOrder(t *testing.T) pluraltest.Order {
	t.Helper()
	orders := s.srv.Orders()
	require.Len(t, orders, 1)
	return orders[0]
}

// startCheckout puts a lamp into the cart and goes to the hosted page.
func (s *storefront) startCheckout(b *tab) {
	b.t.Helper()
	b.open(s.url)
	b.press("Add to cart", "Your cart")
	b.press("Go to the payment", "Pay ₹1,499.50")
}

// buyLamp orders a lamp, pays for it on the hosted page, and comes back to the
// shop.
func (s *storefront) buyLamp(b *tab) {
	b.t.Helper()
	s.startCheckout(b)
	s.approvePayment(b)
}

// approvePayment pays on the hosted page, and comes back to the shop.
func (s *storefront) approvePayment(b *tab) {
	b.t.Helper()
	b.press("Authorise", "Confirm your payment")
	b.click("Approve")
	if b.screen.javaScript {
		b.sees("Thank you")
	} else {
		b.press("Continue to", "Thank you")
	}
}

func TestStorefront(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, _ func(string)) {
		shop := openStorefront(b.t)
		b.open(shop.url)
		b.sees("Made by hand")
		b.picture("storefront")
		b.press("Add to cart", "Your cart")
		b.picture("storefront-cart")
		b.fill("input[name=quantity]", "2")
		b.press("Change", "Total ₹2,999.00")
		b.press("Go to the payment", "Pay ₹2,999.00")
		shop.approvePayment(b)
		b.sees("Your bank holds ₹2,999.00 for us.")
		b.picture("storefront-paid")
		page := b.evalText(`location.href`)
		require.Contains(b.t, page, shop.url+"/orders/order-", "the page comes after a redirect, so a reload is safe")
		b.do(chromedp.Reload())
		b.sees("Thank you")

		staff := openTab(b.t, b.screen)
		staff.open(shop.staffURL("/operator"))
		staff.sees("the money is on hold")
		staff.picture("storefront-orders")
		staff.press("order-", "Ship or let go")
		staff.picture("storefront-held")
		staff.fill("#capture-amount", "lots")
		staff.press("Capture part", "Enter an amount in rupees")
		staff.picture("storefront-problem")
		staff.fill("#capture-amount", "2,000.50")
		staff.press("Capture part", "Capture of ₹2,000.50 carried out")
		staff.sees("Give back")
		staff.fill("#refund-amount", "500.25")
		staff.press("Refund part", "Refund of ₹500.25 carried out")
		staff.sees("refunded ₹500.25")
		staff.sees("Give back") // the page does not change any more
		staff.picture("storefront-refunded")

		b.open(page)
		b.sees("We gave back ₹500.25 and keep ₹1,500.25.")
		b.picture("storefront-order-refunded")
		order := shop.srv.Orders()[0] // the order is first in the list, and its refund comes after it
		require.Equal(b.t, int64(200050), order.Captured)
		require.Equal(b.t, int64(50025), order.Refunded)
	})
}

// The payer declines, tries again, and gives up.
func TestStorefrontDeclines(t *testing.T) {
	t.Parallel()
	shop, b := openStorefront(t), openTab(t, screens()[1])
	shop.startCheckout(b)
	b.press("Authorise", "Confirm your payment")
	b.do(chromedp.Click(chromedp.CSS(`input[name=final]`)))
	b.click("Decline")
	b.sees("The payment failed, and nothing was taken.")
	b.picture("storefront-failed")
}

// The payer goes back from the hosted page to the shop, and then to the hosted
// page again. There is still only one order. Then the payer pays in another
// browser, and the webhook reports the payment.
func TestStorefrontGoesBack(t *testing.T) {
	t.Parallel()
	shop, b := openStorefront(t), openTab(t, screens()[0])
	shop.startCheckout(b)
	first := shop.onlyOrder(t)
	b.evalText(`history.back(), ""`)
	b.sees("Your cart")
	b.press("Go to the payment", "Pay ₹1,499.50")
	require.Equal(t, first.ID, shop.onlyOrder(t).ID)

	b.open(shop.url + "/orders/" + first.Reference)
	b.sees("Not paid yet")
	b.picture("storefront-unpaid")
	b.press("Pay ₹1,499.50", "Pay ₹1,499.50")
	_, err := shop.srv.Pay(first.ID, pluraltest.Approve) // in another browser
	require.NoError(t, err)
	b.open(shop.url + "/orders/" + first.Reference)
	b.sees("Thank you")
}

func TestStorefrontTwoOperators(t *testing.T) {
	t.Parallel()
	shop, b := openStorefront(t), openTab(t, screens()[0])
	shop.buyLamp(b)
	order := shop.onlyOrder(t)
	page := shop.staffURL("/operator/orders/" + order.Reference)
	other := openTab(t, screens()[0])
	other.open(page)
	other.sees("Ship or let go")

	b.open(page)
	b.sees("Ship or let go")
	b.press("Capture ₹1,499.50", "Capture ₹1,499.50?")
	b.picture("storefront-sure")
	b.do(chromedp.DoubleClick(withText("Capture ₹1,499.50", "button")))
	b.sees("Capture of ₹1,499.50 carried out")
	other.press("Cancel the order", "This order has changed since you opened it.")
	other.picture("storefront-changed")
	require.Len(t, shop.srv.Captures(order.ID), 1)
	require.Empty(t, shop.srv.Cancels(order.ID))
	require.Equal(t, "1", b.evalText(`String(document.querySelectorAll(".steps li").length)`), "two clicks, one decision")
}

// The test shows what the staff and the customer see when a hold lapses at the
// bank, when Plural has a second order under the same number and the payer pays
// it, and when Plural is down.
func TestStorefrontInDoubt(t *testing.T) {
	t.Parallel()
	onEachScreen(t, func(b *tab, _ func(string)) {
		shop := openStorefront(b.t, pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted))
		shop.buyLamp(b)
		order := shop.onlyOrder(b.t)
		second, err := shop.srv.AddOrder(pluraltest.OrderSpec{
			Reference: order.Reference, Amount: order.Amount, PreAuth: true,
		})
		require.NoError(b.t, err)
		_, err = shop.srv.Pay(second, pluraltest.Approve)
		require.NoError(b.t, err)
		require.NoError(b.t, shop.srv.LapseHold(order.ID, pluraltest.LapseAtBank))
		staff := openTab(b.t, b.screen)
		staff.open(shop.staffURL("/operator/orders/" + order.Reference))
		staff.press("Capture ₹1,499.50", "Capture ₹1,499.50?")
		staff.press("Capture ₹1,499.50", "has to be looked at")
		staff.open(shop.staffURL("/operator/orders/" + order.Reference + "-1"))
		staff.sees("The customer owes once")
		staff.picture("storefront-second")
		staff.open(shop.staffURL("/operator"))
		staff.sees("second order")
		staff.picture("storefront-orders-doubt")
		staff.open(shop.staffURL("/operator/orders/" + order.Reference))
		staff.sees("Plural has another order under this number")
		staff.picture("storefront-doubt")
		b.open(shop.url + "/orders/" + order.Reference)
		b.sees("We are looking into this order")
		b.picture("storefront-order-doubt")
		staff.press("Write it off", "Write off this decision?")
		staff.picture("storefront-writeoff")
		staff.press("Write it off", "Capture of ₹1,499.50 written off")
		staff.press("Cancel the order", "let go of ₹1,499.50?")
		staff.press("Cancel the order", "Cancellation carried out")

		shop.srv.SetFaultPlan(func(pluraltest.Request) pluraltest.Fault { return pluraltest.UnavailableBeforeApply })
		b.open(shop.url)
		b.press("Add to cart", "Your cart")
		b.press("Go to the payment", "cannot reach the payment page")
		b.picture("storefront-unreachable")
		b.press("Stop that", "Have it load itself again")
	})
}

// A return with a forged signature proves nothing. A return with a valid
// signature may come twice.
func TestStorefrontReturns(t *testing.T) {
	t.Parallel()
	shop, b := openStorefront(t), openTab(t, screens()[0])
	shop.startCheckout(b)
	order := shop.onlyOrder(t)
	b.open(shop.url + "/plural/return")
	b.sees("Nothing here")

	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,"><h1>Elsewhere</h1>`)
	}))
	defer elsewhere.Close()
	b.postForm(elsewhere.URL, shop.url+"/plural/return", url.Values{
		"order_id": {order.ID}, "status": {"AUTHORIZED"}, "signature": {strings.Repeat("AB", 32)},
	})
	b.sees("This page is for returns from the checkout.")
	b.open(shop.url + "/orders/" + order.Reference)
	b.sees("Not paid yet")

	back, err := shop.srv.Pay(order.ID, pluraltest.Approve)
	require.NoError(t, err)
	for range 2 {
		b.postForm(elsewhere.URL, shop.url+"/plural/return", back.Form)
		b.sees("Thank you")
	}
}

// postForm opens a page of another site, and sends a form from that page.
func (b *tab) postForm(from, to string, form url.Values) {
	b.t.Helper()
	b.open(from)
	var fields strings.Builder
	for name := range form {
		fmt.Fprintf(&fields, "add(%q, %q);", name, form.Get(name))
	}
	b.evalText(fmt.Sprintf(`(() => {
		const form = document.createElement("form");
		form.method = "post";
		form.action = %q;
		const add = (name, value) => {
			const input = document.createElement("input");
			input.type = "hidden"; input.name = name; input.value = value;
			form.append(input);
		};
		%s
		document.body.append(form);
		form.submit();
		return "";
	})()`, to, fields.String()))
}
