package main

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"

	"github.com/plural-go/plural"
)

// A cart has the quantity of each product that a customer wants, and the number
// of the order that the cart will become. The cart becomes only one order,
// however often the customer goes to the checkout and back. The browser keeps
// the cart in a cookie. The cart has no prices.
type cart struct {
	number string
	counts map[string]int64
}

const (
	cartCookie = "cart"
	maxOfOne   = 9
)

// readCart reads the cart from the browser's cookie. It ignores values that
// make no sense.
func readCart(r *http.Request) *cart {
	c := &cart{counts: map[string]int64{}}
	cookie, err := r.Cookie(cartCookie)
	if err != nil {
		return c
	}
	number, rest, _ := strings.Cut(cookie.Value, ".")
	if firstNumber(number) == number && orderNumber.MatchString(number) {
		c.number = number
	}
	for one := range strings.SplitSeq(rest, ".") {
		id, count, _ := strings.Cut(one, "-")
		n, err := strconv.ParseInt(count, 10, 64)
		if isProduct(id) && err == nil && n >= 1 && n <= maxOfOne {
			c.counts[id] = n
		}
	}
	return c
}

// cartOf returns the customer's cart. If the cart's order has failed or was
// cancelled, the cart keeps its products. If the order is paid, or its payment
// is under way, the cart loses its products. In both cases the cart gets a new
// number, for another order.
func (s *shop) cartOf(w http.ResponseWriter, r *http.Request) *cart {
	c := readCart(r)
	if c.number == "" {
		return c
	}
	o, err := s.db.order(r.Context(), s.db, c.number)
	if err != nil || o.isPayable() {
		return c // not ordered yet, or not paid
	}
	if o.Status != plural.OrderStatusFailed && o.Status != plural.OrderStatusCancelled {
		c.counts = map[string]int64{}
	}
	s.writeCart(w, c)
	return c
}

// writeCart gives a cart a new number, so the cart will become another order.
// It writes the cart to the browser's cookie.
func (s *shop) writeCart(w http.ResponseWriter, c *cart) {
	c.number = newNumber()
	parts := []string{c.number}
	for _, p := range products {
		if n := c.counts[p.ID]; n > 0 {
			parts = append(parts, p.ID+"-"+strconv.FormatInt(n, 10))
		}
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // the cookie is Secure if the shop uses https
		Name: cartCookie, Value: strings.Join(parts, "."), Path: "/", MaxAge: 7 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.url, "https:"),
	})
}

func (c *cart) count() (n int64) {
	for _, one := range c.counts {
		n += one
	}
	return n
}

// pricedLines returns the cart's products with today's prices, and the sum of
// these prices.
func (c *cart) pricedLines() (lines []line, total plural.Amount) {
	total = plural.INR(0)
	for _, p := range products {
		if n := c.counts[p.ID]; n > 0 {
			lines = append(lines, line{p.ID, p.Name, n, p.Price})
			total.Value += n * p.Price.Value
		}
	}
	return lines, total
}

// Sum returns the price of the whole line.
func (l line) Sum() plural.Amount { return plural.INR(l.Quantity * l.Price.Value) }

// cartView is the cart's page. The page also contains the cart's number, so an
// old page cannot place an order.
type cartView struct {
	Number string
	Lines  []line
	Total  plural.Amount
}

func (s *shop) showCart(w http.ResponseWriter, r *http.Request) {
	c := s.cartOf(w, r)
	lines, total := c.pricedLines()
	v := cartView{c.number, lines, total}
	s.show(w, http.StatusOK, "cart.html", view{Title: "Your cart", InCart: c.count(), Data: v})
}

// changeCart adds a product, or sets its quantity.
func (s *shop) changeCart(w http.ResponseWriter, r *http.Request) {
	c := s.cartOf(w, r)
	id := r.PostFormValue("product")
	before := c.counts[id]
	if !isProduct(id) {
		s.notFound(w)
		return
	}
	if quantity := r.PostFormValue("quantity"); quantity != "" {
		n, err := strconv.ParseInt(quantity, 10, 64)
		if err != nil || n < 0 || n > maxOfOne {
			s.showMessage(w, http.StatusUnprocessableEntity, "Not so many", "We sell up to nine of each.")
			return
		}
		c.counts[id] = n
	} else {
		c.counts[id] = min(c.counts[id]+1, maxOfOne)
	}
	if c.counts[id] != before || c.number == "" {
		s.writeCart(w, c)
	}
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
}

// newNumber makes a number for an order. Nobody can guess the number. That is
// needed because anybody who knows it may see the order.
func newNumber() string { return "order-" + strings.ToLower(rand.Text()) }
