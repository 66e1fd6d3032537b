package pluraltest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// withCapture runs a test on a server with a captured order of 50 rupees. The
// server's clock shows the evening of 3 January 2000 in India.
func withCapture(
	t *testing.T,
	test func(t *testing.T, srv *pluraltest.Server, a *api, id string),
	opts ...pluraltest.Option,
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(append(opts, pluraltest.WithTokenLifetime(10_000*time.Hour))...)
		defer srv.Close()
		passTime(62 * time.Hour)
		a := newAPI(t, srv)
		id := authorized(t, srv, "order", 5000)
		require.NoError(t, srv.Capture(id, "capture", pluraltest.Amount{}))
		test(t, srv, a, id)
	})
}

// object is a JSON object whose numbers keep their digits.
type object map[string]json.RawMessage

func get(t *testing.T, a *api, status int, path string) object {
	t.Helper()
	r, err := a.try(t.Context(), http.MethodGet, "/api/settlements/v1/"+path, "")
	require.NoError(t, err)
	require.Equal(t, status, r.status, string(r.body))
	var o object
	require.NoError(t, json.Unmarshal(r.body, &o))
	return o
}

func list(t *testing.T, o object, field string) (rows []object) {
	t.Helper()
	require.NoError(t, json.Unmarshal(o[field], &rows))
	return rows
}

func requireFields(t *testing.T, o object, want map[string]string) {
	t.Helper()
	for name, value := range want {
		require.Equal(t, value, string(o[name]), name)
	}
}

func TestSettledOnTheNextDay(t *testing.T) {
	t.Parallel()
	withCapture(t, func(t *testing.T, srv *pluraltest.Server, a *api, _ string) {
		const window = "list?start_date=2000-01-01&end_date=2000-01-10T00:00:00"
		require.Empty(t, srv.Settlements())
		require.Empty(t, list(t, get(t, a, 200, window), "data"))
		srv.Advance(14 * time.Hour) // the morning of 4 January, before the time of the day's settlements
		require.Empty(t, srv.Settlements())
		srv.Advance(2 * time.Hour)
		require.Len(t, srv.Settlements(), 1)
		rows := list(t, get(t, a, 200, window), "data")
		require.Len(t, rows, 1)
		requireFields(t, rows[0], map[string]string{
			"total_amount": "48.82", "actual_transaction_amount": "50", "total_deduction_amount": "1.18",
			"total_transactions_count": "1", "last_processed_date": `"2000-01-04T07:00:00"`,
			"settled_date": `"2000-01-04T10:59:46"`, "programs": `["CARD"]`, "system": `"PG"`,
		})
		// If there are only refunds, no settlement is made. The refunds wait
		// for the next settlement.
		_, err := srv.Refund(srv.Orders()[0].ID, "refund", pluraltest.Amount{Value: 1000, Currency: "INR"})
		require.NoError(t, err)
		srv.Advance(48 * time.Hour)
		require.Len(t, srv.Settlements(), 1)
		id := authorized(t, srv, "another", 5000)
		require.NoError(t, srv.Capture(id, "capture", pluraltest.Amount{}))
		srv.Advance(48 * time.Hour)
		require.Len(t, srv.Settlements(), 2)
		rows = list(t, get(t, a, 200, window), "data")
		require.Equal(t, "38.82", string(rows[0]["total_amount"]), "the newest settlement comes first")
	})
	withCapture(t, func(t *testing.T, srv *pluraltest.Server, _ *api, _ string) {
		srv.Advance(48 * time.Hour)
		require.Empty(t, srv.Settlements())
		srv.Advance(24 * time.Hour)
		require.Len(t, srv.Settlements(), 1)
	}, pluraltest.WithSettlementDays(3))
}

func TestSettleNow(t *testing.T) {
	t.Parallel()
	withCapture(t, func(t *testing.T, srv *pluraltest.Server, _ *api, id string) {
		held := authorized(t, srv, "held", 5000) // this order is held, but not captured
		srv.Advance(1000 * time.Hour)
		require.Empty(t, srv.Settlements(), "the server settles nothing by itself")
		utr := srv.Settle()
		require.Regexp(t, `^\d{12}$`, utr)
		require.Empty(t, srv.Settle(), "all is settled")
		o, _ := srv.Order(id)
		require.Equal(t, o.Payments[0].ID, srv.Settlements()[0].Lines[0].TransactionID)
		require.Equal(t, "48.82", srv.Settlements()[0].Lines[0].Settled())
		require.NoError(t, srv.Capture(held, "capture", pluraltest.Amount{Value: 1234, Currency: "INR"}))
		require.NotEqual(t, utr, srv.Settle())
		require.Equal(t, "12.34", srv.Settlements()[1].Lines[0].Amount)
	}, pluraltest.WithSettlementDays(-1))
}

func TestSettlementLimits(t *testing.T) {
	t.Parallel()
	withCapture(t, func(t *testing.T, srv *pluraltest.Server, a *api, _ string) {
		utr := srv.Settle()
		for path, want := range map[string]int{
			"list": 400, "list?start_date=2000-01-01": 400, "list?start_date=x&end_date=2000-01-10": 400,
			"list?start_date=2000-01-01&end_date=2000-02-29":                 200, // 60 days
			"list?start_date=2000-01-01&end_date=2000-03-01":                 400,
			"list?start_date=2000-01-02&end_date=2000-01-01":                 400,
			"list?start_date=2000-01-01&end_date=2000-01-10&per_page=11":     400,
			"list?start_date=2000-01-01&end_date=2000-01-10&page=0":          400,
			"list?start_date=2000-01-01T00:00:00&end_date=2000-01-10&page=7": 200,
			"detail/" + utr: 200, "detail/" + utr + "?page=2&per_page=10": 200, "detail/" + utr + "?per_page=11": 400,
			"detail/0": 400,
		} {
			get(t, a, want, path)
		}
		require.Contains(t, string(get(t, a, 400, "detail/0")["message"]), "No matching records")
		srv.Advance(200 * 24 * time.Hour)
		require.Empty(t, list(t, get(t, a, 200, "list?start_date=2000-01-01&end_date=2000-01-10"), "data"))
		srv.RevokeTokens()
		get(t, a, 401, "detail/"+utr)
	})
}

func TestSettlementDocuments(t *testing.T) {
	t.Parallel()
	withCapture(t, func(t *testing.T, srv *pluraltest.Server, a *api, id string) {
		_, err := srv.Refund(id, "refund", pluraltest.Amount{Value: 1000, Currency: "INR"})
		require.NoError(t, err)
		utr := srv.Settle()
		doc := get(t, a, 200, "detail/"+utr)
		requireFields(t, doc, map[string]string{
			"utr_number": `"` + utr + `"`, "total_transaction_count": "1", "total_transaction_amount": "50",
			"total_refund": "10", "total_mdr_amount": "1", "total_gst_amount": "0.18", "total_settled_amount": "38.82",
			"total_gst_on_c_c_f": "0", "pagination": `{"total_pages":1,"current_page":"1"}`,
		})
		o, _ := srv.Order(id)
		requireFields(t, list(t, doc, "transactions")[0], map[string]string{
			"transaction_id": `"` + o.Payments[0].ID + `"`, "transaction_date": `"2000-01-03T00:00:00"`,
			"transaction_amount": "50", "total_deduction_amount": "1.18", "settled_amount": "48.82",
			"payout_status": `"Success"`, "is_emi": "false", "program": `"CARD"`,
		})
	})
}

func TestSettlementQuirks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		quirk pluraltest.SettlementQuirk
		check func(t *testing.T, row, doc object, lines []object)
	}{
		"lines of refunds": {pluraltest.SettleRefundLines, func(t *testing.T, _, doc object, lines []object) {
			t.Helper()
			require.Len(t, lines, 2)
			require.Equal(t, "2", string(doc["total_transaction_count"]))
			require.Equal(t, "-10.01", string(lines[1]["transaction_amount"]))
		}},
		"three decimals": {pluraltest.SettleThreeDecimals, func(t *testing.T, _, doc object, _ []object) {
			t.Helper()
			require.Equal(t, "1.001", string(doc["total_mdr_amount"]))
		}},
		"two lines": {pluraltest.SettleSplit, func(t *testing.T, _, _ object, lines []object) {
			t.Helper()
			require.Len(t, lines, 2)
			require.Equal(t, lines[0]["transaction_id"], lines[1]["transaction_id"])
			require.Equal(t, "30.02", string(lines[0]["transaction_amount"]))
			require.Equal(t, "20.01", string(lines[1]["transaction_amount"]))
		}},
		"texts": {pluraltest.SettleTextFigures, func(t *testing.T, row, _ object, lines []object) {
			t.Helper()
			require.Equal(t, `"50.03"`, string(row["actual_transaction_amount"]))
			require.Equal(t, `"50.03"`, string(lines[0]["transaction_amount"]))
		}},
		"odd totals": {pluraltest.SettleOddTotals, func(t *testing.T, row, _ object, _ []object) {
			t.Helper()
			require.Equal(t, "2.36", string(row["total_deduction_amount"]))
		}},
		"the list without its end date": {pluraltest.SettleEndExcluded, func(t *testing.T, row, _ object, _ []object) {
			t.Helper()
			require.Nil(t, row)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := pluraltest.New(pluraltest.WithSettlementQuirks(c.quirk))
				defer srv.Close()
				a := newAPI(t, srv)
				id := authorized(t, srv, "order", 5003)
				require.NoError(t, srv.Capture(id, "capture", pluraltest.Amount{}))
				_, err := srv.Refund(id, "refund", pluraltest.Amount{Value: 1001, Currency: "INR"})
				require.NoError(t, err)
				utr := srv.Settle()
				var row object
				if rows := list(t, get(t, a, 200, "list?start_date=2000-01-01&end_date=2000-01-01"), "data"); len(rows) > 0 {
					row = rows[0]
				}
				doc := get(t, a, 200, "detail/"+utr)
				c.check(t, row, doc, list(t, doc, "transactions"))
			})
		})
	}
}

// There are two settlements. Each was processed on the day before it was
// settled. A page has one row.
func TestSettlementListQuirks(t *testing.T) {
	t.Parallel()
	const first, second = "11", "22"
	days := func(from, to int) string { return fmt.Sprintf("start_date=1999-12-%d&end_date=1999-12-%d", from, to) }
	for name, c := range map[string]struct {
		quirks     pluraltest.SettlementQuirk
		query, utr string // the UTR is "" if the list must have no row
		count      string
		amount     string
		lines      string
	}{
		"the settled date":               {0, days(21, 21), second, "1", "2", "1"},
		"no settled date":                {0, days(19, 19), "", "0", "0", "0"},
		"the processed date":             {pluraltest.SettleByProcessed, days(20, 20), second, "1", "2", "1"},
		"not by the settled date":        {pluraltest.SettleByProcessed, days(21, 21), "", "0", "0", "0"},
		"totals of all pages":            {0, days(20, 21), second, "2", "3", "2"},
		"totals of one page":             {pluraltest.SettlePageTotals, days(20, 21), second, "1", "2", "1"},
		"totals of a page that is empty": {pluraltest.SettlePageTotals, days(22, 22), "", "0", "0", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := pluraltest.New(pluraltest.WithSettlementQuirks(c.quirks))
				defer srv.Close()
				for i, utr := range []string{first, second} {
					at := time.Date(1999, 12, 20+i, 6, 0, 0, 0, time.UTC)
					require.NoError(t, srv.AddSettlement(pluraltest.Settlement{
						UTR: utr, SettledAt: at, ProcessedAt: at.AddDate(0, 0, -1),
						Lines: []pluraltest.SettlementLine{{TransactionID: utr, Amount: strconv.Itoa(i + 1)}},
					}))
				}
				doc := get(t, newAPI(t, srv), 200, "list?page=1&per_page=1&"+c.query)
				rows := list(t, doc, "data")
				if c.utr == "" {
					require.Empty(t, rows)
				} else {
					require.Len(t, rows, 1)
					require.Equal(t, `"`+c.utr+`"`, string(rows[0]["utr_number"]))
				}
				requireFields(t, doc, map[string]string{
					"total_settlement_count": c.count, "total_settlement_amount": c.amount,
					"total_transactions_count": c.lines,
				})
			})
		})
	}
}

func TestSettlementsOnRequest(t *testing.T) {
	t.Parallel()
	withCapture(t, func(t *testing.T, srv *pluraltest.Server, a *api, _ string) {
		added := pluraltest.Settlement{UTR: "77", SettledAt: srv.Now(), ProcessedAt: srv.Now()}
		for i := range 12 {
			added.Lines = append(added.Lines, pluraltest.SettlementLine{TransactionID: strconv.Itoa(i), Amount: "1.5"})
		}
		require.NoError(t, srv.AddSettlement(added))
		require.Error(t, srv.AddSettlement(added), "the UTR is taken")
		require.Error(t, srv.AddSettlement(pluraltest.Settlement{}))
		odd := []pluraltest.SettlementLine{{Amount: "1e5"}}
		require.Error(t, srv.AddSettlement(pluraltest.Settlement{UTR: "78", Lines: odd}))
		chargeback := pluraltest.SettlementLine{
			TransactionID: "late", Amount: "-500.5", Kind: pluraltest.LineChargeback, PayoutStatus: "Failed",
		}
		require.NoError(t, srv.AddSettlementLine("77", chargeback))
		require.Error(t, srv.AddSettlementLine("79", chargeback))
		require.Error(t, srv.AddSettlementLine("77", pluraltest.SettlementLine{}))
		require.Error(t, srv.ChangeSettlement("79", func(*pluraltest.Settlement) {}))
		require.NoError(t, srv.ChangeSettlement("77", func(s *pluraltest.Settlement) {
			s.SaidLines, s.SaidAmount = 20, "9.99"
		}))
		require.Len(t, srv.SettlementLines("77"), 13)
		require.Nil(t, srv.SettlementLines("79"))

		doc := get(t, a, 200, "detail/77?page=2")
		requireFields(t, doc, map[string]string{
			"total_transaction_count": "20", "total_settled_amount": "9.99", "total_chargeback_recovery_amount": "500.5",
			"pagination": `{"total_pages":2,"current_page":"2"}`,
		})
		lines := list(t, doc, "transactions")
		require.Len(t, lines, 3)
		require.Equal(t, `"Failed"`, string(lines[2]["payout_status"]))

		srv.MoveSettlementRows(1)
		lines = list(t, get(t, a, 200, "detail/77?page=2"), "transactions")
		require.Equal(t, `"9"`, string(lines[0]["transaction_id"]), "each line has moved down by one place")
		lines = list(t, get(t, a, 200, "detail/77?page=2"), "transactions")
		require.Equal(t, `"9"`, string(lines[0]["transaction_id"]), "the lines move only once")
	})
}

// TestMoreCapturesAreSettled checks that the money of later captures is settled
// as well, and that a settlement has only one line for each payment.
func TestMoreCapturesAreSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(pluraltest.WithMoreCaptures(), pluraltest.WithSettlementDays(-1))
		defer srv.Close()
		id := authorized(t, srv, "order", 5000)
		capture := func(reference string, paise int64) {
			require.NoError(t, srv.Capture(id, reference, pluraltest.Amount{Value: paise, Currency: "INR"}))
		}
		capture("capture-1", 1000)
		capture("capture-2", 500)
		lines := srv.SettlementLines(srv.Settle())
		require.Len(t, lines, 1)
		require.Equal(t, "15", lines[0].Amount)
		require.Empty(t, srv.Settle())
		capture("capture-3", 700)
		lines = srv.SettlementLines(srv.Settle())
		require.Len(t, lines, 1)
		require.Equal(t, "7", lines[0].Amount)
		require.Empty(t, srv.Settle())
	})
}
