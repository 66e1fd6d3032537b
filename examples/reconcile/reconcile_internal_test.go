package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func rupees(paise int64) pluraltest.Amount { return pluraltest.Amount{Value: paise, Currency: "INR"} }

// startEmulator starts an emulator, and sets the environment variables that
// make the program use this emulator.
func startEmulator(t *testing.T, opts ...pluraltest.Option) *pluraltest.Server {
	t.Helper()
	srv := pluraltest.NewServer(t, opts...)
	t.Setenv("PLURAL_CLIENT_ID", srv.ClientID)
	t.Setenv("PLURAL_CLIENT_SECRET", srv.ClientSecret)
	t.Setenv("PLURAL_ENVIRONMENT", "")
	t.Setenv("PLURAL_BASE_URL", srv.URL)
	return srv
}

// makeOrder makes an order whose money is on hold. If the parameter captured is
// above 0, makeOrder also captures this amount, in paise.
func makeOrder(t *testing.T, srv *pluraltest.Server, reference string, captured int64) (orderID, paymentID string) {
	t.Helper()
	id, err := srv.AddOrder(pluraltest.OrderSpec{Reference: reference, Amount: rupees(149950), PreAuth: true})
	require.NoError(t, err)
	_, err = srv.Pay(id, pluraltest.Approve)
	require.NoError(t, err)
	if captured > 0 {
		require.NoError(t, srv.Capture(id, "capture", rupees(captured)))
	}
	o, _ := srv.Order(id)
	return id, o.Payments[0].ID
}

// runNight runs the program, and returns its exit code, its report and its log.
func runNight(t *testing.T, list string, args ...string) (code int, table []map[string]string, log string) {
	t.Helper()
	var out, said bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(list), &out, &said)
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	for i, cells := range rows {
		if i == 0 {
			continue
		}
		named := map[string]string{}
		for n, cell := range cells {
			named[rows[0][n]] = cell
		}
		table = append(table, named)
	}
	return code, table, said.String()
}

// Plural's orders differ from the shop's list. There is no settlement.
func TestOrdersSayOtherwise(t *testing.T) { //nolint:paralleltest // it sets variables
	srv := startEmulator(t, pluraltest.WithSettlementDays(-1))
	first, _ := makeOrder(t, srv, "order-1", 100000)
	_, err := srv.Refund(first, "refund-1", rupees(40000))
	require.NoError(t, err)
	makeOrder(t, srv, "order-2", 0)
	makeOrder(t, srv, "order-3", 0)
	makeOrder(t, srv, "order-4", 75000)
	list, err := os.ReadFile("testdata/list.csv")
	require.NoError(t, err)
	code, table, log := runNight(t, string(list))
	require.Equal(t, somethingDiffers, code, log)
	var got []string
	for _, row := range table {
		got = append(got, row["reference"]+": "+row["outcome"]+": "+row["reasons"])
	}
	require.Len(t, got, 5)
	require.Equal(t, []string{
		"order-1: not seen: ",
		"order-2: not seen: ",
		"order-3: differs: Plural's order says that INR 0.00 was captured, the shop has INR 500.00",
		"order-4: differs: Plural's order says that INR 750.00 was captured, the shop has INR 700.00",
	}, got[:4])
	require.Contains(t, got[4], "order-5: unknown: the order could not be read")
	for _, request := range srv.Requests() {
		require.True(t, request.Op == pluraltest.OpToken || request.Method == http.MethodGet, "the program only reads")
	}
}

// On the first night the payment is not settled yet. Later the settlement has
// the payment, and the bank's statement shows the money.
func TestMoneyArrives(t *testing.T) { //nolint:paralleltest // it sets variables
	srv := startEmulator(t, pluraltest.WithSettlementDays(-1))
	order, payment := makeOrder(t, srv, "order-1", 100000)
	list := "reference,order_id,payment_id,captured,refunded\norder-1," + order + "," + payment + ",\"1,000.00\",0\n"
	dir := t.TempDir()
	state, page := filepath.Join(dir, "state.json"), filepath.Join(dir, "report.html")
	code, table, log := runNight(t, list, "-state", state, "-page", page)
	require.Equal(t, allAgrees, code, log)
	require.Equal(t, "not seen", table[0]["outcome"])

	utr := srv.Settle()
	statement := filepath.Join(dir, "statement.csv")
	require.NoError(t, os.WriteFile(statement, []byte("utr,amount,day\n"+utr+",976.40,28/11/2026\n999,1,x\n"), 0o600))
	for range 2 {
		code, table, log = runNight(t, list, "-state", state, "-page", page, "-statement", statement)
		require.Equal(t, allAgrees, code, log)
		require.Equal(t, "settlement arrived", table[0]["row"]+" "+table[0]["bank"], "%v", table[0])
		require.Equal(t, "settled 1000", table[1]["outcome"]+" "+table[1]["settled"])
	}
	require.Contains(t, log, "All agrees. 1 payments: 1 settled")
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "UTR "+utr)
	require.Contains(t, string(html), "arrived")
	require.NotContains(t, string(html), "http", "the page loads nothing from other addresses")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 3, "no temporary file is left")

	require.NoError(t, os.WriteFile(statement, []byte("utr,amount,day\n"+utr+",976.41,28/11/2026\n"), 0o600))
	code, _, log = runNight(t, list, "-state", state, "-statement", statement)
	require.Equal(t, somethingDiffers, code, log)

	code, table, log = runNight(t, "reference,captured,refunded\n", "-report", filepath.Join(dir, "r.jsonl"))
	require.Equal(t, somethingDiffers, code, log)
	require.Empty(t, table)
	require.Contains(t, log, "1 lines that nothing explains")
	text, err := os.ReadFile(filepath.Join(dir, "r.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(text), `{"unexplained":`)
}

func TestNotFoundOut(t *testing.T) { //nolint:paralleltest // it sets variables
	srv := startEmulator(t, pluraltest.WithSettlementDays(-1))
	order, payment := makeOrder(t, srv, "order-1", 100000)
	utr := srv.Settle()
	require.NoError(t, srv.ChangeSettlement(utr, func(s *pluraltest.Settlement) { s.SaidLines = 2 }))
	list := "reference,order_id,payment_id,captured,refunded\norder-1," + order + "," + payment + ",1000,0\n"
	code, table, log := runNight(t, list)
	require.Equal(t, notFoundOut, code, log)
	require.Equal(t, "unknown", table[1]["outcome"])
}

// The program does not skip a bad row. Its error names the line and the column.
func TestBadInput(t *testing.T) { //nolint:paralleltest // it sets variables
	startEmulator(t)
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	require.NoError(t, os.WriteFile(broken, []byte("{"), 0o600))
	const header = "reference,captured,refunded\n"
	for list, want := range map[string]string{
		"": "read the header of the list",
		"reference,amount\n": `column 2 is "amount"; ` +
			`the columns are reference, captured, refunded, order_id, payment_id`,
		"reference,captured\n":              `there is no column "refunded"`,
		"reference,reference\n":             `there are two columns "reference"`,
		header + "order-1,1,0\norder-2,x,0": "payment 2 of the list: read the list: line 3, column 9 (captured)",
		header + "order-1,1,-0.5\n":         "line 2, column 11 (refunded)",
		header + "order-1,1\n":              "wrong number of fields",
		header + ",1,0\n":                   "payment 1 of the list: it has neither a reference nor an order id",
		header + "a,1,0\na,1,0\n":           "payment 2 of the list: order a is on the list twice",
	} {
		code, _, log := runNight(t, list)
		require.Equal(t, notFoundOut, code)
		require.Contains(t, log, want)
	}
	for _, args := range [][]string{
		{"-list", filepath.Join(dir, "none")},
		{"-statement", filepath.Join(dir, "none")},
		{"-state", broken},
		{"-days", "0"},
		{"-parallel", "0"},
		{"left over"},
		{"-nothing"},
		{"-page", filepath.Join(dir, "no", "where")},
		{"-report", filepath.Join(dir, "no", "where")},
		{"-days", "400"},
	} {
		code, _, log := runNight(t, header, args...)
		require.Equal(t, notFoundOut, code, "%q: %s", args, log)
		require.NotEmpty(t, log)
	}
	code, _, _ := runNight(t, header, "-h")
	require.Equal(t, allAgrees, code)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "no half report is left")
}

// The page has all its parts. To see the page in a browser, name a file for it:
// PAGE=x.html go test -run Page .
func TestPage(t *testing.T) { //nolint:paralleltest // it sets variables
	srv := startEmulator(t,
		pluraltest.WithSettlementDays(-1), pluraltest.WithSettlementQuirks(pluraltest.SettleRefundLines))
	var list strings.Builder
	list.WriteString("reference,order_id,payment_id,captured,refunded\n")
	for i, name := range []string{"order-0", "order-1", "order-2", "<script>alert(1)</script>"} {
		order, payment := makeOrder(t, srv, fmt.Sprint("order-", i), int64(100000+i/2))
		list.WriteString(name + "," + order + "," + payment + ",1000.00,0\n")
	}
	srv.Settle()
	order, payment := makeOrder(t, srv, "order-late", 5000)
	list.WriteString("order-late," + order + "," + payment + ",50,0\n")
	require.NoError(t, srv.AddSettlement(pluraltest.Settlement{
		UTR: "633300000777", SettledAt: time.Now(), ProcessedAt: time.Now(), SaidLines: 2, Lines: []pluraltest.SettlementLine{
			{TransactionID: "v1-261127010000-aa-Rf0Und-cc-N", Amount: "-19.99", PaidAt: time.Now(), Kind: pluraltest.LineRefund},
		},
	}))
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	if name := os.Getenv("PAGE"); name != "" {
		page = name
	}
	code, _, log := runNight(t, list.String(), "-page", page)
	require.Equal(t, somethingDiffers, code, log)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, want := range []string{
		"Something differs", "Lines that nothing explains", "Unknown", "not read whole", "Settled", "₹1,000.00",
		"&lt;script&gt;", "v1-261127010000-aa-Rf0Und-cc-N", "633300000777",
	} {
		require.Contains(t, string(html), want)
	}
	require.NotContains(t, string(html), "<script")
}

// If settlements cannot be listed, the program reports that it could not find
// out everything. It reports this even if the saved state already has a
// settlement line for each payment on the list.
func TestSettlementsCannotBeListed(t *testing.T) { //nolint:paralleltest // it sets variables
	srv := startEmulator(t, pluraltest.WithSettlementDays(-1))
	order, payment := makeOrder(t, srv, "order-1", 100000)
	srv.Settle()
	list := "reference,order_id,payment_id,captured,refunded\norder-1," + order + "," + payment + ",1000,0\n"
	dir := t.TempDir()
	state, page := filepath.Join(dir, "state.json"), filepath.Join(dir, "report.html")
	code, _, log := runNight(t, list, "-state", state)
	require.Equal(t, allAgrees, code, log)
	srv.Inject(pluraltest.On(pluraltest.OpSettlementsList),
		pluraltest.Fault{Name: "Closed", Answer: pluraltest.AnswerStatus, Status: 403, Code: "FORBIDDEN"})
	code, table, log := runNight(t, list, "-state", state, "-page", page)
	require.Equal(t, "settled", table[0]["outcome"])
	require.Equal(t, notFoundOut, code, log)
	require.Contains(t, log, "Not everything could be found out")
	require.Contains(t, log, "Not all settlements could be listed: ")
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "Not all settlements could be listed: ")
	require.NotContains(t, string(html), "Settlements of ")
}

// The program refuses a state file that does not have exactly one valid state,
// and does not change the file.
func TestFileThatIsNoState(t *testing.T) { //nolint:paralleltest // it sets variables
	startEmulator(t)
	name := filepath.Join(t.TempDir(), "state.json")
	for what, text := range map[string]string{
		"empty":                 "",
		"broken off":            `{"Seen":{"First":"2026-11-20T00:00:00+05:30","Last":"2026-11-2`,
		"two states":            `{"Seen":{}}{"Seen":{}}`,
		"another file":          `{"shop":"Demo","orders":[]}`,
		"of another version":    `{"Version":2,"Seen":{},"UTRs":{}}`,
		"of another version, 2": `{"UTRs":{"633300000101":{"digest":"x","rows":[]}}}`,
	} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		code, _, log := runNight(t, "reference,captured,refunded\n", "-state", name)
		require.Equal(t, notFoundOut, code, what)
		require.Contains(t, log, "has no valid state", what)
		left, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, text, string(left), what)
	}
}
