package main

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestReconcile(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	client, err := plural.NewClient(
		plural.Credentials{ClientID: srv.ClientID, ClientSecret: srv.ClientSecret}, plural.WithBaseURL(srv.URL))
	require.NoError(t, err)
	held := func(reference string, paise int64) string {
		id, err := srv.AddOrder(pluraltest.OrderSpec{
			Reference: reference, Amount: pluraltest.Amount{Value: paise, Currency: "INR"}, PreAuth: true,
		})
		require.NoError(t, err)
		_, err = srv.Pay(id, pluraltest.Approve)
		require.NoError(t, err)
		return id
	}
	first := held("order-1", 149950)
	require.NoError(t, srv.Capture(first, "capture-1", pluraltest.Amount{Value: 100000, Currency: "INR"}))
	_, err = srv.Refund(first, "refund-1", pluraltest.Amount{Value: 40000, Currency: "INR"})
	require.NoError(t, err)
	held("order-2", 50000)
	held("order-3", 50000)
	held("order-4", 70000)

	list, err := os.Open("testdata/list.csv")
	require.NoError(t, err)
	defer func() { _ = list.Close() }()
	var report strings.Builder
	differences, err := reconcile(t.Context(), client, list, &report)
	require.NoError(t, err)
	require.Equal(t, 3, differences)
	require.Equal(t, `order-1: refunded in part
order-2: the money is on hold
order-3: DIFFERS: captured ₹0.00, the shop has ₹500.00
order-4: DIFFERS: ordered ₹700.00, the shop has ₹750.00
order-5: DIFFERS: Plural has no such order
`, report.String())
	for _, request := range srv.Requests() {
		require.True(t, request.Op == pluraltest.OpToken || request.Method == http.MethodGet, "it reads only")
	}
	srv.Inject(
		pluraltest.Match{Op: pluraltest.OpOrdersGetByReference},
		pluraltest.StatusFault(403, "UNAUTHORIZED", pluraltest.ApplyNever),
	)
	_, err = reconcile(
		t.Context(), client, strings.NewReader("reference,amount,captured,refunded\norder-1,1,1,1\n"), &report,
	)
	require.Error(t, err)
	for _, list := range []string{"", "a,b\n", "reference,amount,captured,refunded\norder-1,x,0,0\n"} {
		_, err = reconcile(t.Context(), client, strings.NewReader(list), &report)
		require.Error(t, err)
	}
}
