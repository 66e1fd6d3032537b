package pluraltest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

const linkPath = "/api/pay/v1/paymentlink"

// linkBody makes a request for a link, with further fields from the caller.
func linkBody(reference string, more ...string) string {
	fields := append([]string{
		`"amount":{"value":50000,"currency":"INR"}`,
		`"merchant_payment_link_reference":"` + reference + `"`,
		`"customer":{"email_id":"asha@example.com","first_name":"Asha","mobile_number":"9000000001"}`,
	}, more...)
	return "{" + strings.Join(fields, ",") + "}"
}

func (a *api) link(reference string, more ...string) map[string]any {
	a.t.Helper()
	r := a.do("POST", linkPath, linkBody(reference, more...))
	require.Equal(a.t, http.StatusOK, r.status, "%s", r.body)
	return r.doc(a.t)
}

// withStillClock makes a server whose clock stands still until a test moves it.
func withStillClock(t *testing.T, opts ...pluraltest.Option) (*pluraltest.Server, *api) {
	t.Helper()
	start := time.Date(2026, 11, 29, 8, 15, 0, 0, time.UTC)
	srv := pluraltest.New(append([]pluraltest.Option{pluraltest.WithClock(func() time.Time { return start })}, opts...)...)
	t.Cleanup(srv.Close)
	return srv, newAPI(t, srv)
}

func TestLinkLife(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t)
	made := a.link("inv-1", `"description":"Invoice 1"`, `"pre_auth":"true"`, `"allowed_payment_methods":["CARD"]`,
		`"expire_by":"2026-12-21T08:29:30Z"`, `"callback_url":"https://shop.example.com/back"`,
		`"failure_callback_url":"https://shop.example.com/failed"`)
	id, orderID := made["payment_link_id"].(string), made["order_id"].(string)
	require.Regexp(t, `^pl-v1-261129081500-aa-[0-9A-Za-z]{6}$`, id)
	require.Equal(t, "CREATED", made["status"])
	require.Equal(t, true, made["pre_auth"], "the answer has a boolean, although the request has a string")
	require.Equal(t, "2026-12-21T08:29Z", made["expire_by"], "without seconds")
	require.Equal(t, "https://shop.example.com/failed", made["failure_callback_url"])
	require.NotContains(t, made, "callback_url")
	require.Equal(t, made["amount"], made["amount_due"])

	order, ok := srv.Order(orderID)
	require.True(t, ok, "the order exists once the link is made")
	require.Equal(t, pluraltest.StatusCreated, order.Status)
	require.NotEqual(t, "inv-1", order.Reference, "the order has a reference that Plural chose")
	require.Equal(t, "https://shop.example.com/back", order.CallbackURL)

	byID := a.do("GET", linkPath+"/"+id, "")
	byReference := a.do("GET", linkPath+"/ref/inv-1", "")
	require.JSONEq(t, string(byID.body), string(byReference.body))
	require.JSONEq(t, string(srv.LinkDocument(id)), string(byID.body))

	require.NoError(t, srv.OpenLink(id))
	require.Equal(t, "CLICKED", a.do("GET", linkPath+"/"+id, "").doc(t)["status"])
	_, err := srv.Pay(orderID, pluraltest.LeavePending)
	require.NoError(t, err)
	require.Equal(t, "PAYMENT_INITIATED", a.do("GET", linkPath+"/"+id, "").doc(t)["status"])
	_, err = srv.Pay(orderID, pluraltest.Approve)
	require.NoError(t, err)
	paid := a.do("GET", linkPath+"/"+id, "").doc(t)
	require.Equal(t, "PROCESSED", paid["status"])
	require.InDelta(t, 0, paid["amount_due"].(map[string]any)["value"], 0)
	require.Equal(t, "AUTHORIZED", a.get(orderID).data(t)["status"], "the hold of a link is captured like any other hold")
	require.Equal(t, http.StatusOK, a.capture(orderID, `{"merchant_capture_reference":"c"}`).status)
	require.Equal(t, "PROCESSED", a.do("GET", linkPath+"/"+id, "").doc(t)["status"])

	refused := a.do("PUT", linkPath+"/"+id+"/cancel", "")
	require.Equal(t, 422, refused.status)
	require.Equal(t, "OPERATION_NOT_ALLOWED", refused.code(t))
}

func TestLinkExpires(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t)
	short := a.link("short", `"expire_by":"2026-11-29T09:00Z"`)["payment_link_id"].(string)
	day := a.link("day")
	require.Equal(t, "2026-11-30T08:15Z", day["expire_by"], "24 hours, because the request has no expire_by")
	paying := a.link("paying", `"expire_by":"2026-11-29T09:00Z"`)
	_, err := srv.Pay(paying["order_id"].(string), pluraltest.LeavePending)
	require.NoError(t, err)

	srv.Advance(44 * time.Minute)
	require.Equal(t, "CREATED", linkStatus(t, srv, short))
	srv.Advance(time.Minute)
	require.Equal(t, "EXPIRED", a.do("GET", linkPath+"/"+short, "").doc(t)["status"])
	require.Equal(t, "CREATED", linkStatus(t, srv, day["payment_link_id"].(string)))
	require.Equal(t, "PAYMENT_INITIATED", linkStatus(t, srv, paying["payment_link_id"].(string)), "somebody is paying")

	l, _ := srv.Link(short)
	_, err = srv.Pay(l.OrderID, pluraltest.Approve)
	require.ErrorContains(t, err, "EXPIRED")
	for _, call := range []string{"PUT /cancel", "PATCH /notify"} {
		method, path, _ := strings.Cut(call, " ")
		require.Equal(t, 422, a.do(method, linkPath+"/"+short+path, "").status, call)
	}
	require.Len(t, srv.Notifications(short), 1, "only the message of its creation")

	_, err = srv.Pay(paying["order_id"].(string), pluraltest.Decline("no"))
	require.NoError(t, err)
	require.Equal(t, "EXPIRED", linkStatus(t, srv, paying["payment_link_id"].(string)))
}

// The expiry time of a link passes, but no request comes. When a test then
// opens or cancels the link, or sends its message again, the server finds that
// the link has expired.
func TestLinkExpiresBeforeItIsChangedByHand(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*pluraltest.Server, string) error{
		"open":   (*pluraltest.Server).OpenLink,
		"cancel": (*pluraltest.Server).CancelLink,
		"notify": (*pluraltest.Server).NotifyLink,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := pluraltest.New(pluraltest.WithReadLag(30 * time.Minute))
				defer srv.Close()
				id, err := srv.AddLink(pluraltest.LinkSpec{
					Reference: "inv", Amount: inr(500), Customer: json.RawMessage(`{"email_id":"a@example.com"}`),
				})
				require.NoError(t, err)
				time.Sleep(25 * time.Hour)                  // a link lives for a day
				if err := change(srv, id); name != "open" { // a customer may open an old link
					require.ErrorContains(t, err, "422")
				}
				require.Equal(t, "EXPIRED", linkStatus(t, srv, id))
				require.Len(t, srv.Notifications(id), 1, "only the message of its creation")
				late := newAPI(t, srv).do("GET", linkPath+"/"+id, "")
				require.Equal(t, "EXPIRED", late.doc(t)["status"], "half an hour ago, the link had already expired")
			})
		})
	}
}

func linkStatus(t *testing.T, srv *pluraltest.Server, id string) string {
	t.Helper()
	l, ok := srv.Link(id)
	require.True(t, ok)
	return l.Status
}

func TestLinkCancel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts   []pluraltest.Option
		do     func(srv *pluraltest.Server, l pluraltest.Link)
		status int
		ends   string
	}{
		"created": {status: 200, ends: "CANCELLED"},
		"cancelled": {
			do: func(s *pluraltest.Server, l pluraltest.Link) { _ = s.CancelLink(l.ID) }, status: 422, ends: "CANCELLED",
		},
		"clicked": {
			do: func(s *pluraltest.Server, l pluraltest.Link) { _ = s.OpenLink(l.ID) }, status: 422, ends: "CLICKED",
		},
		"clicked, quirk": {
			opts: []pluraltest.Option{pluraltest.WithQuirks(pluraltest.QuirkClickedLinkCancels)},
			do:   func(s *pluraltest.Server, l pluraltest.Link) { _ = s.OpenLink(l.ID) }, status: 200, ends: "CANCELLED",
		},
		"paid": {
			do:     func(s *pluraltest.Server, l pluraltest.Link) { _, _ = s.Pay(l.OrderID, pluraltest.Approve) },
			status: 422, ends: "PROCESSED",
		},
		"the payer left": {
			do:     func(s *pluraltest.Server, l pluraltest.Link) { _, _ = s.Pay(l.OrderID, pluraltest.CancelPayment) },
			status: 422, ends: "CANCELLED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, a := withStillClock(t, test.opts...)
			id := a.link("inv")["payment_link_id"].(string)
			l, _ := srv.Link(id)
			if test.do != nil {
				test.do(srv, l)
			}
			r := a.do("PUT", linkPath+"/"+id+"/cancel", "")
			require.Equal(t, test.status, r.status, "%s", r.body)
			require.Equal(t, test.ends, linkStatus(t, srv, id))
		})
	}
	srv, a := withStillClock(t)
	require.Equal(t, 422, a.do("PUT", linkPath+"/pl-none/cancel", "").status)
	require.Equal(t, 422, a.do("PATCH", linkPath+"/pl-none/notify", "").status)
	require.Equal(t, 422, a.do("GET", linkPath+"/pl-none", "").status)
	require.Equal(t, 422, a.do("GET", linkPath+"/ref/none", "").status)
	require.Empty(t, srv.Links())
}

func TestLinkDuplicates(t *testing.T) {
	t.Parallel()
	other := strings.Replace(linkBody("inv"), "50000", "70000", 1)

	srv, a := withStillClock(t)
	first := a.link("inv")
	again := a.do("POST", linkPath, other)
	require.Equal(t, 200, again.status)
	require.Equal(t, first, again.doc(t), "the existing link, although the request differs")
	require.Len(t, srv.LinksByReference("inv"), 1)

	srv, a = withStillClock(t, pluraltest.WithDuplicateLinks(pluraltest.DuplicateRejected))
	a.link("inv")
	again = a.do("POST", linkPath, other)
	require.Equal(t, 422, again.status)
	require.JSONEq(t, `{"code":"DUPLICATE_REQUEST","message":"Duplicate Merchant Reference ID received"}`, string(again.body))
	_, err := srv.AddLink(pluraltest.LinkSpec{
		Reference: "inv", Amount: inr(500), Customer: json.RawMessage(`{"email_id":"a@b"}`),
	})
	require.Error(t, err)
	require.Empty(t, srv.Doubles())

	srv, a = withStillClock(t, pluraltest.WithDuplicateLinks(pluraltest.DuplicateAccepted))
	first = a.link("inv")
	require.Equal(t, 200, a.do("POST", linkPath, other).status)
	links := srv.LinksByReference("inv")
	require.Len(t, links, 2)
	require.Equal(t, links[1].ID, a.do("GET", linkPath+"/ref/inv", "").doc(t)["payment_link_id"], "the newest")
	require.Equal(t, first["payment_link_id"], links[0].ID)
	require.Equal(t, []string{
		fmt.Sprintf("payment link inv made 2 times: %s, %s", links[0].ID, links[1].ID),
	}, srv.Doubles())
}

func TestLinkReadsLag(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t, pluraltest.WithReadLag(2*time.Second))
	id := a.link("inv")["payment_link_id"].(string)
	require.Equal(t, 422, a.do("GET", linkPath+"/ref/inv", "").status, "not there yet")
	require.Equal(t, 422, a.do("GET", linkPath+"/"+id, "").status)
	srv.Advance(3 * time.Second)
	require.Equal(t, 200, a.do("PUT", linkPath+"/"+id+"/cancel", "").status)
	require.Equal(t, "CREATED", a.do("GET", linkPath+"/"+id, "").doc(t)["status"])
	srv.Advance(3 * time.Second)
	require.Equal(t, "CANCELLED", a.do("GET", linkPath+"/ref/inv", "").doc(t)["status"])

	srv, a = withStillClock(t)
	paid := a.link("paid")
	srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksGet),
		pluraltest.StaleRead, pluraltest.NoFault, pluraltest.StaleRead, pluraltest.OtherOrder)
	path := linkPath + "/" + paid["payment_link_id"].(string)
	require.Equal(t, 422, a.do("GET", path, "").status, "the link has not changed since it was made")
	require.Equal(t, 200, a.do("GET", path, "").status)
	_, err := srv.Pay(paid["order_id"].(string), pluraltest.Approve)
	require.NoError(t, err)
	require.Equal(t, "CREATED", a.do("GET", path, "").doc(t)["status"])
	require.Equal(t, "another-paid", a.do("GET", path, "").doc(t)["merchant_payment_link_reference"])
}

func TestLinkMessages(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t)
	id := a.link("inv", `"description":"Invoice 7"`)["payment_link_id"].(string)
	notify := pluraltest.On(pluraltest.OpPaymentLinksNotify)
	srv.Inject(notify, pluraltest.ResetAfterApply, pluraltest.ServerErrorBeforeApply)
	_, err := a.try(t.Context(), "PATCH", linkPath+"/"+id+"/notify", "")
	require.Error(t, err)
	require.Equal(t, 500, a.do("PATCH", linkPath+"/"+id+"/notify", "").status)
	require.Equal(t, 200, a.do("PATCH", linkPath+"/"+id+"/notify", "").status)
	sent := srv.Notifications(id)
	require.Len(t, sent, 3, "one message for the creation, and one for each notify that was carried out")
	require.Equal(t, []bool{false, true, true}, []bool{sent[0].Resent, sent[1].Resent, sent[2].Resent})
	l, _ := srv.Link(id)
	require.Equal(t, pluraltest.Notification{
		LinkID: id, Email: "asha@example.com", Mobile: "+91 9000000001", At: srv.Now(),
		Text: "Hello Asha, merchant 123456 asks you to pay ₹500.00 for Invoice 7: " + l.URL + " (until 30 Nov 2026 08:15 UTC)",
	}, sent[0])
	require.NoError(t, srv.NotifyLink(id))
	require.Len(t, srv.Notifications(id), 4)
	require.Error(t, srv.NotifyLink("pl-none"))
	require.Empty(t, srv.Notifications("pl-none"))
}

func TestLinkRequestsRefused(t *testing.T) {
	t.Parallel()
	_, a := withStillClock(t)
	const customer = `"email_id":"asha@example.com","first_name":"Asha","mobile_number":"9000000001"`
	replaced := func(old, now string) string { return strings.Replace(linkBody("inv"), old, now, 1) }
	for name, body := range map[string]string{
		"no reference":        replaced(`"merchant_payment_link_reference":"inv",`, ""),
		"a long reference":    linkBody(strings.Repeat("x", 51)),
		"another alphabet":    linkBody("in v"),
		"too small":           replaced("50000", "99"),
		"no amount":           replaced(`"amount":{"value":50000,"currency":"INR"},`, ""),
		"nobody to send to":   replaced(customer, `"first_name":"A"`),
		"no customer":         replaced(`,"customer":{`+customer+`}`, ""),
		"a short mobile":      replaced("9000000001", "90000"),
		"expired":             linkBody("inv", `"expire_by":"2026-11-29T08:15:00Z"`),
		"after 180 days":      linkBody("inv", `"expire_by":"2027-05-28T08:15:01Z"`),
		"no time":             linkBody("inv", `"expire_by":"soon"`),
		"a boolean":           linkBody("inv", `"pre_auth":true`),
		"a boolean of MCC":    linkBody("inv", `"is_mcc_transaction":false`),
		"an unknown method":   linkBody("inv", `"allowed_payment_methods":["CASH"]`),
		"one among many":      linkBody("inv", `"allowed_payment_methods":"CARD,CASH"`),
		"a number of methods": linkBody("inv", `"allowed_payment_methods":7`),
		"unread money":        linkBody("inv", `"tip_amount":{"value":100,"currency":"INR"}`),
		"a large coupon":      linkBody("inv", `"cart_coupon_discount_amount":{"value":50000,"currency":"INR"}`),
		"a callback":          linkBody("inv", `"callback_url":"shop"`),
		"no object":           `[]`,
	} {
		r := a.do("POST", linkPath, body)
		require.Equal(t, 400, r.status, "%s: %s", name, r.body)
		require.Equal(t, "INVALID_REQUEST", r.code(t), name)
	}
	require.Equal(t, 200, a.do("POST", linkPath, linkBody("180", `"expire_by":"2027-05-28T08:15:00Z"`)).status)
	for _, path := range []string{linkPath + "/", linkPath + "/a/b", linkPath + "/ref/", linkPath + "s", linkPath + "/a/b/c"} {
		require.Equal(t, 404, a.do("GET", path, "").status, path)
	}
	require.Equal(t, 405, a.do("PUT", linkPath+"/pl-1/notify", "").status)
}

// TestLinkRequestsOfTheVendorsClients sends the requests of the vendor's MCP
// server and n8n node. Only the base URL is different.
func TestLinkRequestsOfTheVendorsClients(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t)
	// create_payment_link of the MCP server, with all its arguments.
	r := a.do("POST", linkPath, `{
		"amount": {"value": 50000, "currency": "INR"},
		"merchant_payment_link_reference": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
		"customer": {
			"email_id": "kevin.bob@example.com", "first_name": "Kevin", "last_name": "Bob", "customer_id": "123456",
			"mobile_number": "9876543210", "country_code": "+91",
			"billing_address": {"address1": "H.No 15", "pincode": "61232", "city": "Chennai", "state": "Tamil Nadu",
				"country": "INDIA", "full_name": "Kevin Bob", "address_category": "billing"},
			"shipping_address": {"address1": "H.No 15", "pincode": "144001123", "address_category": "shipping"}
		},
		"description": "Payment for Order #12345",
		"expire_by": "2027-03-21T08:29Z",
		"allowed_payment_methods": ["CARD", "UPI"],
		"product_details": [{"product_code": "redmi_10", "product_amount": {"value": 50000, "currency": "INR"}}],
		"cart_coupon_discount_amount": {"value": 100, "currency": "INR"},
		"merchant_metadata": {"key1": "DD"}
	}`)
	require.Equal(t, 200, r.status, "%s", r.body)
	made := r.doc(t)
	id := made["payment_link_id"].(string)
	require.Equal(t, "+91 9876543210", srv.Notifications(id)[0].Mobile)
	require.Equal(t, []any{"CARD", "UPI"}, made["allowed_payment_methods"])
	require.Equal(t, map[string]any{"value": 100.0, "currency": "INR"}, made["cart_coupon_discount_amount"])
	require.Contains(t, made, "product_details")
	// The other four requests of the MCP server. PUT and PATCH have no body,
	// and no Content-Type.
	for _, call := range []string{
		"GET /" + id, "GET /ref/0a1b2c3d4e5f60718293a4b5c6d7e8f9", "PATCH /" + id + "/notify", "PUT /" + id + "/cancel",
	} {
		method, path, _ := strings.Cut(call, " ")
		req := a.request(t.Context(), method, linkPath+path, "")
		req.Header.Del("Content-Type")
		req.Header.Set("Idempotency-Key", "5a0b6b4e")
		resp, err := a.client.Do(req)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, call)
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, "CANCELLED", linkStatus(t, srv, id))

	// The MCP server repeats a request after a time-out, with the same
	// Request-ID. But each request to /notify sends a message, even with
	// the same Request-ID. A create is idempotent because of the reference.
	other := a.link("again")["payment_link_id"].(string)
	notify := pluraltest.On(pluraltest.OpPaymentLinksNotify)
	srv.Inject(notify, pluraltest.TimedOutAfterApply, pluraltest.TimedOutAfterApply)
	for range 3 {
		a.do("PATCH", linkPath+"/"+other+"/notify", "")
	}
	require.Len(t, srv.Notifications(other), 4)
	srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), pluraltest.TimedOutAfterApply)
	require.Equal(t, 504, a.do("POST", linkPath, linkBody("mcp")).status)
	require.Equal(t, 200, a.do("POST", linkPath, linkBody("mcp")).status)
	require.Len(t, srv.LinksByReference("mcp"), 1)

	// The n8n node sends the methods as a single string with commas, and always
	// sends four fields of the customer.
	r = a.do("POST", linkPath, `{
		"amount": {"value": 10000, "currency": "INR"},
		"merchant_payment_link_reference": "n8n-1",
		"description": "From n8n",
		"expire_by": "2027-01-15T18:30:00.000Z",
		"allowed_payment_methods": "CARD,UPI,NETBANKING",
		"customer": {"first_name": "A", "last_name": "B", "email_id": "a@example.com", "mobile_number": "9999999999"}
	}`)
	require.Equal(t, 200, r.status, "%s", r.body)
	require.Equal(t, []any{"CARD", "UPI", "NETBANKING"}, r.doc(t)["allowed_payment_methods"])
}

func TestLinkPage(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t)
	browser := *a.client
	browser.CheckRedirect = nil // unlike a.client, this client follows redirects
	get := func(method, address string) (int, string, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
		require.NoError(t, err)
		resp, err := browser.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Request.URL.Path, string(text)
	}
	made := a.link("inv")
	id, address := made["payment_link_id"].(string), made["payment_link"].(string)
	require.Regexp(t, `^http://localhost/PLUTUS/[0-9A-Za-z]{7}$`, address)

	status, path, _ := get("HEAD", address)
	require.Equal(t, 200, status)
	require.Contains(t, path, "checkout")
	require.Equal(t, "CREATED", linkStatus(t, srv, id), "only a GET opens the link")
	status, path, page := get("GET", address)
	require.Equal(t, 200, status)
	require.Contains(t, path, "checkout")
	require.Contains(t, page, "₹500.00")
	require.Equal(t, "CLICKED", linkStatus(t, srv, id))
	status, _, _ = get("POST", address)
	require.Equal(t, 405, status)
	status, _, page = get("GET", srv.URL+"/PLUTUS/none")
	require.Equal(t, 404, status)
	require.Contains(t, page, "not known")

	order, _ := srv.Order(made["order_id"].(string))
	srv.Advance(25 * time.Hour)
	status, _, page = get("GET", address)
	require.Equal(t, 410, status)
	require.Contains(t, page, "This payment link has expired")
	require.Contains(t, page, "30 November 2026, 08:15 UTC")
	_, _, page = get("GET", order.RedirectURL)
	require.Contains(t, page, "This payment link has expired", "the checkout page that was already open")
	order, _ = srv.Order(order.ID)
	require.False(t, order.Payable)

	a.token = srv.IssueToken()
	other := a.link("other")
	require.NoError(t, srv.CancelLink(other["payment_link_id"].(string)))
	status, _, page = get("GET", other["payment_link"].(string))
	require.Equal(t, 410, status)
	require.Contains(t, page, "This payment link was cancelled")
}

func TestLinkPartPayment(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t)
	made := a.link("parts", `"part_payment":true`)
	id, orderID := made["payment_link_id"].(string), made["order_id"].(string)
	_, err := srv.Pay(orderID, pluraltest.ApprovePart(20000))
	require.NoError(t, err)
	part := a.do("GET", linkPath+"/"+id, "").doc(t)
	require.Equal(t, "PARTIAL_PROCESSED", part["status"])
	require.InDelta(t, 30000, part["amount_due"].(map[string]any)["value"], 0)
	require.Equal(t, 422, a.do("PUT", linkPath+"/"+id+"/cancel", "").status)
	for _, refused := range []pluraltest.Decision{pluraltest.ApprovePart(30001), pluraltest.ApprovePart(-1)} {
		_, err = srv.Pay(orderID, refused)
		require.Error(t, err)
	}
	_, err = srv.Pay(orderID, pluraltest.Decline("no"))
	require.NoError(t, err)
	_, err = srv.Pay(orderID, pluraltest.CancelPayment)
	require.NoError(t, err)
	require.Equal(t, "PARTIAL_PROCESSED", linkStatus(t, srv, id), "what is paid stays")
	_, err = srv.Pay(orderID, pluraltest.Approve)
	require.NoError(t, err)
	require.Equal(t, "PROCESSED", linkStatus(t, srv, id))
	order, _ := srv.Order(orderID)
	require.Equal(t, int64(50000), order.Captured)

	whole := a.link("whole")
	_, err = srv.Pay(whole["order_id"].(string), pluraltest.ApprovePart(100))
	require.Error(t, err, "it takes no parts")
}

func TestLinkQuirks(t *testing.T) {
	t.Parallel()
	srv, a := withStillClock(t, pluraltest.WithQuirks(
		pluraltest.QuirkLinkReferenceInOrder|pluraltest.QuirkWrappedLinks|
			pluraltest.QuirkLinkWithoutPreAuth|pluraltest.QuirkHeldLinkInitiated))
	made := a.do("POST", linkPath, linkBody("inv", `"pre_auth":"true"`)).data(t)
	require.NotContains(t, made, "pre_auth")
	_, err := srv.Pay(made["order_id"].(string), pluraltest.Approve)
	require.NoError(t, err)
	require.Equal(t, "PAYMENT_INITIATED", linkStatus(t, srv, made["payment_link_id"].(string)))
	require.Equal(t, made["order_id"], srv.OrdersByReference("inv")[0].ID)
}

func TestAddLink(t *testing.T) {
	t.Parallel()
	srv, _ := withStillClock(t)
	customer := json.RawMessage(`{"mobile_number":"9000000001"}`)
	id, err := srv.AddLink(pluraltest.LinkSpec{Reference: "a", Amount: inr(500), Customer: customer, PreAuth: true})
	require.NoError(t, err)
	require.Equal(t, "CREATED", linkStatus(t, srv, id))
	for name, spec := range map[string]pluraltest.LinkSpec{
		"reference": {Amount: inr(500), Customer: customer},
		"amount":    {Reference: "b", Customer: customer},
		"customer":  {Reference: "b", Amount: inr(500)},
		"methods":   {Reference: "b", Amount: inr(500), Customer: customer, Methods: []string{"CASH"}},
		"expiry":    {Reference: "b", Amount: inr(500), Customer: customer, ExpireBy: srv.Now()},
		"taken":     {Reference: "a", Amount: inr(500), Customer: customer},
	} {
		_, err := srv.AddLink(spec)
		require.Error(t, err, name)
	}
	require.Error(t, srv.OpenLink("pl-none"))
	require.Nil(t, srv.LinkDocument("pl-none"))
	_, ok := srv.Link("pl-none")
	require.False(t, ok)
	require.Len(t, srv.Links(), 1)
}
