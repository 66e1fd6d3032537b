package pluraltest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestPayerDecisions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		preAuth  bool
		decision pluraltest.Decision
		status   string
		form     url.Values
		failed   bool // the browser goes back to failure_callback_url
		events   []string
	}{
		{
			"approve a hold", true, pluraltest.Approve, "AUTHORIZED",
			url.Values{"status": {"AUTHORIZED"}},
			false,
			[]string{"ORDER_AUTHORIZED"},
		},
		{
			"approve a sale", false, pluraltest.Approve, "PROCESSED",
			url.Values{"status": {"PROCESSED"}},
			false,
			[]string{"ORDER_PROCESSED"},
		},
		{
			"decline", true, pluraltest.Decline("Do not honour"), "ATTEMPTED",
			url.Values{"status": {"FAILED"}, "error_code": {"PAYMENT_DECLINED"}, "error_message": {"Do not honour"}},
			true,
			[]string{"PAYMENT_FAILED"},
		},
		{
			"decline for funds", true, pluraltest.DeclineFor("INSUFFICIENT_FUNDS", "No funds").Final(), "FAILED",
			url.Values{"status": {"FAILED"}, "error_code": {"INSUFFICIENT_FUNDS"}, "error_message": {"No funds"}},
			true,
			[]string{"PAYMENT_FAILED", "ORDER_FAILED"},
		},
		{
			"fail the OTP", true, pluraltest.FailOTP, "ATTEMPTED",
			url.Values{
				"status": {"FAILED"}, "error_code": {"USER_AUTHENTICATION_FAILED"},
				"error_message": {"Consumer Authentication failed"},
			},
			true,
			[]string{"PAYMENT_FAILED"},
		},
		{
			"expire", false, pluraltest.LetExpire, "ATTEMPTED",
			url.Values{"status": {"FAILED"}, "error_code": {"PAYMENT_EXPIRED"}, "error_message": {"The payment has expired"}},
			true,
			[]string{"PAYMENT_FAILED"},
		},
		{
			"cancel", true, pluraltest.CancelPayment, "CANCELLED",
			url.Values{"status": {"CANCELLED"}},
			true,
			[]string{"ORDER_CANCELLED"},
		},
		{"wait", false, pluraltest.LeavePending, "PENDING", url.Values{"status": {"PENDING"}}, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.New()
			t.Cleanup(srv.Close)
			id, err := srv.AddOrder(pluraltest.OrderSpec{
				Reference: "r", Amount: inr(1000), PreAuth: tt.preAuth,
				CallbackURL: "https://shop.example.com/ok", FailureURL: "https://shop.example.com/failed",
			})
			require.NoError(t, err)
			back, err := srv.Pay(id, tt.decision)
			require.NoError(t, err)
			if tt.failed {
				require.Equal(t, "https://shop.example.com/failed", back.URL)
			} else {
				require.Equal(t, "https://shop.example.com/ok", back.URL)
			}
			require.Equal(t, id, back.Form.Get("order_id"))
			require.Len(t, back.Form.Get("signature"), 64)
			back.Form.Del("order_id")
			back.Form.Del("signature")
			require.Equal(t, tt.form, back.Form)
			order, ok := srv.Order(id)
			require.True(t, ok)
			require.Equal(t, tt.status, order.Status)
			var events []string
			for _, d := range srv.Deliveries() {
				events = append(events, d.EventType)
				require.Equal(t, pluraltest.DeliveryNotSent, d.State)
			}
			require.Equal(t, tt.events, events)
		})
	}
}

func TestPaymentRetries(t *testing.T) {
	t.Parallel()
	none := pluraltest.New(pluraltest.WithPaymentRetries(-1))
	t.Cleanup(none.Close)
	last := newPayer(t, none, pluraltest.OrderSpec{})
	_, err := none.Pay(last.id, pluraltest.FailOTP)
	require.NoError(t, err)
	require.Equal(t, "FAILED", last.status(), "a negative number of retries means none")

	srv := pluraltest.New(pluraltest.WithPaymentRetries(2))
	t.Cleanup(srv.Close)
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(1000), PreAuth: true})
	require.NoError(t, err)
	for _, want := range []struct {
		status string
		left   int
	}{{"ATTEMPTED", 1}, {"ATTEMPTED", 0}, {"FAILED", 0}} {
		_, err = srv.Pay(id, pluraltest.Decline("no"))
		require.NoError(t, err)
		order, _ := srv.Order(id)
		require.Equal(t, want.status, order.Status)
		require.Equal(t, want.left, order.RetriesRemaining)
	}
	_, err = srv.Pay(id, pluraltest.Approve)
	require.ErrorContains(t, err, "is FAILED")
	_, err = srv.Pay("none", pluraltest.Approve)
	require.Error(t, err)
}

func TestRetryAfterFailureThenCapture(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	a := newAPI(t, srv)
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(1000), PreAuth: true})
	require.NoError(t, err)
	for _, d := range []pluraltest.Decision{pluraltest.FailOTP, pluraltest.LeavePending, pluraltest.Approve} {
		_, err = srv.Pay(id, d)
		require.NoError(t, err)
	}
	require.Equal(t, 200, a.capture(id, `{"merchant_capture_reference":"c"}`).status)
	order, _ := srv.Order(id)
	require.Equal(t, "PROCESSED", order.Status)
	require.Len(t, order.Payments, 2)
	require.Equal(t, "FAILED", order.Payments[0].Status)
	require.Zero(t, order.Payments[0].Captured)
	require.Equal(t, "USER_AUTHENTICATION_FAILED", order.Payments[0].Code)
	require.Equal(t, inr(1000), order.Payments[1].Captured)
	require.EqualValues(t, 9, a.get(id).data(t)["payment_retries_remaining"])
}

func TestPointsAndCard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		capture  string
		status   string
		captured []int64
		payments []string
	}{
		{`{"merchant_capture_reference":"c"}`, "PROCESSED", []int64{700, 300}, []string{"PROCESSED", "PROCESSED"}},
		{
			`{"merchant_capture_reference":"c","capture_amount":{"value":800,"currency":"INR"}}`, "PARTIALLY_CAPTURED",
			[]int64{700, 100},
			[]string{"PROCESSED", "PROCESSED"},
		},
		{
			`{"merchant_capture_reference":"c","capture_amount":{"value":200,"currency":"INR"}}`, "PARTIALLY_CAPTURED",
			[]int64{200, 0},
			[]string{"PROCESSED", "CANCELLED"},
		},
	} {
		srv := pluraltest.New()
		t.Cleanup(srv.Close)
		a := newAPI(t, srv)
		id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "r", Amount: inr(1000), PreAuth: true})
		require.NoError(t, err)
		_, err = srv.Pay(id, pluraltest.ApproveWithPoints(300))
		require.NoError(t, err)
		require.Equal(t, tt.status, a.capture(id, tt.capture).data(t)["status"])
		order, _ := srv.Order(id)
		for i, p := range order.Payments {
			require.Equal(t, tt.captured[i], p.Captured.Value)
			require.Equal(t, tt.payments[i], p.Status)
		}
		require.Equal(t, "POINTS", order.Payments[1].Method)
		refund := a.refund(id, `{"merchant_order_reference":"back"}`).data(t)
		require.EqualValues(t, order.Captured, refund["order_amount"].(map[string]any)["value"])
		order, _ = srv.Order(id)
		require.Equal(t, "FULLY_REFUNDED", order.Status)
	}
}

func TestMethodFollowsTheOrder(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: "upi", Amount: inr(1000), Methods: []string{"UPI"}})
	require.NoError(t, err)
	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	order, _ := srv.Order(id)
	require.Equal(t, "UPI", order.Payments[0].Method)
	require.Contains(t, string(srv.Document(id)), `"upi_data"`)
	require.Contains(t, order.Payments[0].ID, "-up-")

	id, err = srv.AddOrder(pluraltest.OrderSpec{Reference: "nb", Amount: inr(1000)})
	require.NoError(t, err)
	_, err = srv.Pay(id, pluraltest.ApproveBy("NETBANKING"))
	require.NoError(t, err)
	require.Contains(t, string(srv.Document(id)), `"netbanking_data"`)
}

// TestPayerPaysAsTheOrderAllows tries payment methods that orders do not take.
func TestPayerPaysAsTheOrderAllows(t *testing.T) {
	t.Parallel()
	upi, hold := []string{"UPI"}, true
	for i, tt := range []struct {
		methods  []string
		preAuth  bool
		before   *pluraltest.Decision
		decision pluraltest.Decision
		want     string // the method of the payment, or a part of the error's text
	}{
		{nil, false, nil, pluraltest.ApproveBy("WALLET"), "WALLET"},
		{upi, false, nil, pluraltest.Approve, "UPI"},
		{upi, false, nil, pluraltest.ApproveBy("CARD"), `does not take "CARD"`},
		{upi, false, nil, pluraltest.ApproveWithPoints(100), `does not take "CARD"`},
		{[]string{"CARD"}, false, nil, pluraltest.ApproveWithPoints(100), `does not take "POINTS"`},
		{nil, false, nil, pluraltest.ApproveBy("BARTER"), `does not take "BARTER"`},
		{nil, hold, nil, pluraltest.ApproveBy("POINTS"), "POINTS"},
		{nil, hold, nil, pluraltest.ApproveWithPoints(100), "CARD"},
		{nil, hold, nil, pluraltest.ApproveBy("UPI"), `does not take "UPI"`},
		{[]string{"UPI", "POINTS"}, hold, nil, pluraltest.Approve, "POINTS"},
		{upi, hold, nil, pluraltest.Approve, "there is no method that order"},
		{upi, hold, nil, pluraltest.Decline("no"), "there is no method that order"},
		{upi, hold, nil, pluraltest.CancelPayment, ""},
		{nil, false, &pluraltest.LeavePending, pluraltest.ApproveBy("CARD"), "CARD"},
		{nil, false, &pluraltest.LeavePending, pluraltest.ApproveBy("UPI"), "by CARD is under way"},
		{nil, false, &pluraltest.LeavePending, pluraltest.ApproveWithPoints(100), "by CARD is under way"},
	} {
		srv := pluraltest.New()
		t.Cleanup(srv.Close)
		id, err := srv.AddOrder(
			pluraltest.OrderSpec{Reference: "r-" + itoa(int64(i)), Amount: inr(1000), PreAuth: tt.preAuth, Methods: tt.methods},
		)
		require.NoError(t, err)
		if tt.before != nil {
			_, err = srv.Pay(id, *tt.before)
			require.NoError(t, err)
		}
		before, _ := srv.Order(id)
		_, err = srv.Pay(id, tt.decision)
		order, _ := srv.Order(id)
		switch {
		case strings.Contains(tt.want, " "):
			require.ErrorContains(t, err, tt.want, "case %d", i)
			require.Equal(t, before, order)
		case tt.want == "":
			require.NoError(t, err, "case %d", i)
			require.Empty(t, order.Payments)
		default:
			require.NoError(t, err, "case %d", i)
			require.Equal(t, tt.want, order.Payments[0].Method)
		}
	}
}

// TestPayable follows an order through its states. It checks in which states
// the payer can decide.
func TestPayable(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New()
	t.Cleanup(srv.Close)
	id := newPayer(t, srv, pluraltest.OrderSpec{PreAuth: true}).id
	payable := func() bool { order, _ := srv.Order(id); return order.Payable }
	require.True(t, payable())
	for _, d := range []pluraltest.Decision{pluraltest.FailOTP, pluraltest.LeavePending} {
		_, err := srv.Pay(id, d)
		require.NoError(t, err)
		require.True(t, payable())
	}
	_, err := srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	require.False(t, payable())
	srv.Inject(pluraltest.On(pluraltest.OpCancelsCreate), pluraltest.PendingResult)
	order := newAPI(t, srv).cancel(id).data(t)
	require.Equal(t, "PENDING", order["status"])
	require.False(t, payable())
	_, err = srv.Pay(id, pluraltest.Approve)
	require.ErrorContains(t, err, "is PENDING")
}

func TestPostCallback(t *testing.T) {
	t.Parallel()
	var got url.Values
	var origin string
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got, origin = r.PostForm, r.Header.Get("Origin")
		http.Redirect(w, r, "/thanks", http.StatusSeeOther)
	}))
	defer shop.Close()
	srv := pluraltest.NewServer(t)
	id, err := srv.AddOrder(
		pluraltest.OrderSpec{Reference: "r", Amount: inr(1000), PreAuth: true, CallbackURL: shop.URL + "/return?x=1"},
	)
	require.NoError(t, err)
	back, err := srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	resp, err := srv.PostCallback(t.Context(), id)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, back.Form, got)
	require.Equal(t, srv.URL, origin)

	_, err = srv.PostCallback(t.Context(), "none")
	require.Error(t, err)
	require.Nil(t, srv.CallbackForm("none"))
}
