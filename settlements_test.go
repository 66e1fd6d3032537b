package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// all(seq) reads a list to its end. It returns the list's rows. If an error
// ends the list, it returns the error, too.
func all[T any](seq iter.Seq2[*T, error]) (list []*T, err error) {
	for each, e := range seq {
		if e != nil {
			if err != nil || each != nil {
				panic("the list goes on after an error")
			}
			err = e
			continue
		}
		list = append(list, each)
	}
	return list, err
}

// lastDays returns the last n days. Today is the last of them.
func lastDays(n int) plural.Days {
	now := time.Now().In(plural.India())
	return plural.Days{First: now.AddDate(0, 0, 1-n), Last: now}
}

func incomplete(t *testing.T, err error) *plural.IncompleteError {
	t.Helper()
	require.ErrorIs(t, err, plural.ErrIncomplete)
	e, ok := errors.AsType[*plural.IncompleteError](err)
	require.True(t, ok)
	requireTidy(t, err.Error())
	require.False(t, plural.NeedsReview(err))
	return e
}

func requireIncomplete(t *testing.T, err error) {
	t.Helper()
	require.NotNil(t, incomplete(t, err))
}

// settlementPages answers requests for a list of settlements, or for one
// settlement, with payloads that Plural has published.
func settlementPages(t *testing.T, list string, pages ...string) transportFunc {
	t.Helper()
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/list") {
			return answer(http.StatusOK, payload(t, list)), nil
		}
		page, err := strconv.Atoi(r.URL.Query().Get("page"))
		require.NoError(t, err)
		return answer(http.StatusOK, payload(t, pages[min(page, len(pages))-1])), nil
	}
}

func TestSettlementPayloadsLoseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, settlementPages(t, "settlement_list_response.json",
			"settlement_detail_by_utr_response.json", "settlement_detail_by_utr_response_page2.json"))
		rows, err := all(client.Settlements.List(t.Context(), lastDays(30)))
		require.NoError(t, err)
		require.Len(t, rows, 3)
		var list struct {
			Data json.RawMessage `json:"data"`
		}
		require.NoError(t, json.Unmarshal(payload(t, "settlement_list_response.json"), &list))
		requireNothingLost(t, list.Data, rows, nil)
		for _, row := range rows { // in these rows total_amount is not the paid amount minus the deductions
			net, err := row.ActualTransactionAmount.Sub(row.TotalDeductionAmount)
			require.NoError(t, err)
			differ, err := net.Cmp(row.TotalAmount)
			require.NoError(t, err)
			require.NotZero(t, differ)
		}

		detail, err := client.Settlements.Get(t.Context(), "520019904417")
		require.NoError(t, err)
		require.Len(t, detail.Transactions, 3)
		for i, name := range []string{"settlement_detail_by_utr_response.json", "settlement_detail_by_utr_response_page2.json"} {
			one := *detail
			one.Transactions = [][]plural.SettlementLine{detail.Transactions[:2], detail.Transactions[2:]}[i]
			requireNothingLost(t, payload(t, name), one, []string{"pagination.total_pages", "pagination.current_page"})
		}
		require.True(t, detail.Transactions[0].PayoutStatus.IsSuccess())
		lines, err := all(client.Settlements.Lines(t.Context(), "520019904417"))
		require.NoError(t, err)
		require.Len(t, lines, 3)

		client = newPeerClient(t, settlementPages(t, "settlement_list_response_empty.json",
			"settlement_detail_refund_chargeback_precision.json"))
		rows, err = all(client.Settlements.List(t.Context(), lastDays(30)))
		require.NoError(t, err)
		require.Empty(t, rows)
		detail, err = client.Settlements.Get(t.Context(), "520019904417")
		e := incomplete(t, err) // the answer announces three lines, but has two
		require.Equal(t, plural.IncompleteError{UTR: "520019904417", Want: 3, Got: 2}, *e)
		requireNothingLost(t, payload(t, "settlement_detail_refund_chargeback_precision.json"), detail,
			[]string{"pagination.total_pages", "pagination.current_page"})
		require.Equal(t, plural.Rupees("1875.0015"), detail.TotalMDRAmount)
		require.False(t, detail.Transactions[1].PayoutStatus.IsSuccess())
		paise, ok := detail.Transactions[1].TransactionAmount.Paise()
		require.True(t, ok)
		require.Equal(t, int64(-199999), paise)
	})
}

// TestPayoutStatus checks that only the status Success, in upper or lower case,
// counts as a success.
func TestPayoutStatus(t *testing.T) {
	t.Parallel()
	for _, s := range []plural.PayoutStatus{"Success", "SUCCESS", "success", plural.PayoutStatusSuccess} {
		require.True(t, s.IsSuccess(), s)
	}
	for _, s := range []plural.PayoutStatus{"", "Successful", "Failed", "PENDING", " Success"} {
		require.False(t, s.IsSuccess(), s)
	}
}

// madeUp returns an invented settlement with n lines.
func madeUp(utr string, at time.Time, n int) pluraltest.Settlement {
	s := pluraltest.Settlement{UTR: utr, ProcessedAt: at.Add(-time.Hour), SettledAt: at}
	for i := range n {
		s.Lines = append(s.Lines, pluraltest.SettlementLine{
			TransactionID: fmt.Sprintf("v1-%s-%d-cc-a", utr, i), Program: "CARD", PaidAt: at.AddDate(0, 0, -1),
			Amount: "100.5", MDR: "2.01", GST: "0.36",
		})
	}
	return s
}

// inBank runs a test in synctest's bubble, with an emulator and a client.
func inBank(
	t *testing.T,
	test func(t *testing.T, srv *pluraltest.Server, client *plural.Client),
	opts ...pluraltest.Option,
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New(opts...)
		t.Cleanup(srv.Close)
		pass(400 * 24 * time.Hour)
		test(t, srv, newClient(t, srv))
	})
}

func utrs(rows []*plural.Settlement) (list []string) {
	for _, row := range rows {
		list = append(list, row.UTRNumber)
	}
	slices.Sort(list)
	return list
}

// TestSettlementsOfAnySpan checks that List returns each settlement once, for
// spans from 1 day to 149 days. List reads windows of at most 60 days. Plural
// may count the last day of a window, or leave it out.
func TestSettlementsOfAnySpan(t *testing.T) {
	t.Parallel()
	for name, quirks := range map[string]pluraltest.SettlementQuirk{
		"the last day counts": 0, "the last day does not count": pluraltest.SettleEndExcluded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
				var want []string
				const days = 150
				midnight := time.Date(2001, 2, 1, 0, 0, 0, 0, plural.India())
				for d := range days { // each day has two settlements: in its first and its last second
					for i, at := range []time.Time{midnight, midnight.Add(24*time.Hour - time.Second)} {
						utr := fmt.Sprintf("%03d%d", d, i)
						want = append(want, utr)
						require.NoError(t, srv.AddSettlement(madeUp(utr, at.AddDate(0, 0, d-days), 1)))
					}
				}
				for _, span := range []int{1, 2, 10, 57, 58, 59, 60, 61, 116, 117, 118, 119, 149} {
					last := midnight.AddDate(0, 0, -1)
					got, err := all(client.Settlements.List(t.Context(), plural.Days{
						First: last.AddDate(0, 0, 1-span).Add(23 * time.Hour), // the time of day does not matter
						Last:  last.UTC().Add(9 * time.Hour),                  // the zone matters only for the date
					}))
					require.NoError(t, err)
					require.Equal(t, want[2*(days-span):], utrs(got), span)
				}
				for _, r := range srv.RequestsTo(pluraltest.OpSettlementsList) {
					require.Equal(t, http.StatusOK, r.Status)
				}
			}, pluraltest.WithSettlementQuirks(quirks))
		})
	}
}

// TestSettlementDaysAreChecked checks that bad days, texts and options give an
// error before anything is sent.
func TestSettlementDaysAreChecked(t *testing.T) {
	t.Parallel()
	inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
		now := time.Now()
		for name, c := range map[string]struct {
			days plural.Days
			rule string
		}{
			"none":     {plural.Days{}, "must have a first and a last one"},
			"no last":  {plural.Days{First: now}, "must have a first and a last one"},
			"reversed": {plural.Days{First: now, Last: now.AddDate(0, 0, -1)}, "must not end before they begin"},
			"too old":  {plural.Days{First: now.AddDate(0, -6, -1), Last: now}, "must begin within the last six months"},
			"too long": {plural.Days{First: now, Last: now.AddDate(1, 0, 1)}, "must be those of one year at most"},
		} {
			list, err := all(client.Settlements.List(t.Context(), c.days))
			require.Empty(t, list)
			require.ErrorIs(t, err, plural.ErrInvalidRequest, name)
			require.NotErrorIs(t, err, plural.ErrIncomplete)
			require.ErrorContains(t, err, c.rule)
		}
		id := plural.WithRequestID("own")
		_, err := all(client.Settlements.List(t.Context(), lastDays(1), id))
		require.ErrorContains(t, err, "Request-ID must not be given")
		for _, bad := range []struct {
			utr string
			opt []plural.CallOption
		}{
			{"", nil},
			{"..", nil},
			{"a/b", nil},
			{strings.Repeat("1", 51), nil},
			{"520019904417", []plural.CallOption{id}},
			{"520019904417", []plural.CallOption{nil}},
		} {
			_, err = all(client.Settlements.Lines(t.Context(), bad.utr, bad.opt...))
			require.ErrorIs(t, err, plural.ErrInvalidRequest, bad.utr)
			detail, err := client.Settlements.Get(t.Context(), bad.utr, bad.opt...)
			require.ErrorIs(t, err, plural.ErrInvalidRequest, bad.utr)
			require.Nil(t, detail)
		}
		require.Empty(t, srv.Requests())

		_, err = all(client.Settlements.List(t.Context(), plural.Days{First: now.AddDate(0, -7, 0), Last: now},
			plural.WithoutValidation()))
		require.NoError(t, err, "with WithoutValidation older days are not an error")
		today, err := all(client.Settlements.List(t.Context(), plural.Days{First: now.AddDate(0, -6, 0), Last: now}))
		require.NoError(t, err)
		require.Empty(t, today)
	})
}

// TestSettlementPages reads pages of ten rows. Each page is one request with
// its own request id. A caller can break off a loop over the list, and can read
// the list again.
func TestSettlementPages(t *testing.T) {
	t.Parallel()
	inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
		for i := range 23 {
			require.NoError(t, srv.AddSettlement(madeUp(strconv.Itoa(1000+i), time.Now().Add(-time.Hour), 25+i)))
		}
		seq := client.Settlements.List(t.Context(), lastDays(1))
		for range 2 {
			rows, err := all(seq)
			require.NoError(t, err)
			require.Len(t, rows, 23)
		}
		requests := srv.RequestsTo(pluraltest.OpSettlementsList)
		require.Len(t, requests, 2*(3+1), "three pages and the first page again, twice")
		ids := map[string]bool{}
		for _, r := range requests {
			ids[r.RequestID] = true
		}
		require.Len(t, ids, len(requests))

		for row, err := range seq {
			require.NoError(t, err)
			require.Equal(t, "1022", row.UTRNumber)
			break
		}
		require.Len(t, srv.RequestsTo(pluraltest.OpSettlementsList), len(requests)+1)

		lines, err := all(client.Settlements.Lines(t.Context(), "1005"))
		require.NoError(t, err)
		require.Len(t, lines, 30)
		for line, err := range client.Settlements.Lines(t.Context(), "1005") {
			require.NoError(t, err)
			if line.TransactionID == "v1-1005-11-cc-a" {
				break
			}
		}
		require.Len(t, srv.RequestsTo(pluraltest.OpSettlementsGet), 3+1+2)

		var response plural.Response
		detail, err := client.Settlements.Get(t.Context(), "1005", plural.WithResponseInto(&response))
		require.NoError(t, err)
		require.Len(t, detail.Transactions, 30)
		require.Equal(t, http.StatusOK, response.StatusCode)
	})
}

// TestLinesAreReadWhole checks that there is an error if only some of a
// settlement's lines were read.
func TestLinesAreReadWhole(t *testing.T) {
	t.Parallel()
	const utr = "2001"
	for name, c := range map[string]struct {
		change    func(*pluraltest.Settlement)
		opts      []pluraltest.Option
		moves     int
		want, got int
	}{
		"announces more lines than it has": {
			change: func(s *pluraltest.Settlement) { s.SaidLines = 25 }, want: 25, got: 24,
		},
		"a line came twice": {
			change: func(s *pluraltest.Settlement) { s.Lines[20] = s.Lines[0] }, want: 24, got: 23,
		},
		"a line came twice, and the total counts it once": {
			change: func(s *pluraltest.Settlement) { s.Lines[20], s.SaidLines = s.Lines[0], 23 }, want: 23, got: 23,
		},
		"rows moved": {moves: 1, want: 24, got: 23},
		"rows moved before the last page": {
			change: func(s *pluraltest.Settlement) { s.Lines = s.Lines[:20] }, moves: 1, want: 20, got: 19,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
				require.NoError(t, srv.AddSettlement(madeUp(utr, time.Now(), 24)))
				if c.change != nil {
					require.NoError(t, srv.ChangeSettlement(utr, c.change))
				}
				srv.MoveSettlementRows(c.moves)
				lines, err := all(client.Settlements.Lines(t.Context(), utr))
				require.Equal(t, plural.IncompleteError{UTR: utr, Want: c.want, Got: c.got}, *incomplete(t, err))
				require.Len(t, lines, c.got)
				srv.MoveSettlementRows(c.moves)
				detail, err := client.Settlements.Get(t.Context(), utr)
				require.Equal(t, plural.IncompleteError{UTR: utr, Want: c.want, Got: c.got}, *incomplete(t, err))
				require.Len(t, detail.Transactions, c.got)
				require.ErrorContains(t, err, "plural: get settlement 2001: not read whole: "+
					fmt.Sprintf("%d of %d came", c.got, c.want))
			}, c.opts...)
		})
	}
}

// TestLateLine adds a line to a settlement while its lines are read. That line
// is read, too. But an error says that the lines are incomplete, because the
// settlement's totals have changed.
func TestLateLine(t *testing.T) {
	t.Parallel()
	inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
		late := pluraltest.SettlementLine{
			TransactionID: "late", Amount: "-5", Kind: pluraltest.LineChargeback, PaidAt: time.Now(),
		}
		require.NoError(t, srv.AddSettlement(madeUp("3001", time.Now(), 24)))
		var ids []string
		var last error
		for line, err := range client.Settlements.Lines(t.Context(), "3001") {
			if err != nil {
				last = err
				continue
			}
			if len(ids) == 3 {
				require.NoError(t, srv.AddSettlementLine("3001", late))
			}
			ids = append(ids, line.TransactionID)
		}
		require.Contains(t, ids, "late")
		requireIncomplete(t, last) // the totals of the settlement have changed

		detail, err := client.Settlements.Get(t.Context(), "3001")
		require.NoError(t, err)
		require.Equal(t, 25, detail.TotalTransactionCount)
		require.Equal(t, plural.Rupees("5"), detail.TotalChargebackRecoveryAmount)
	})
}

// manyLines serves a settlement with n lines.
func manyLines(n int) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		page, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		fmt.Fprintf(&b, `{"utr_number":"4001","total_transaction_count":%d,"total_settled_amount":1.5,"transactions":[`, n)
		for i := (page - 1) * 10; i < min(n, page*10); i++ {
			if i%10 > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"transaction_id":"v1-%d-cc-a","transaction_amount":499,"settled_amount":488.22,`+
				`"store_address":"Residency Road","processed_date":"2026-10-27T07:00:00","utr_number":"4001"}`, i)
		}
		fmt.Fprintf(&b, `],"pagination":{"total_pages":%d,"current_page":"%d"}}`, (n+9)/10, page)
		return answer(http.StatusOK, b.String()), nil
	}
}

// TestListWithTotalsOfOnePage sends totals that count only the rows of one
// page. The list is still read to its end. The server may refuse the request
// for a page after the last one.
func TestListWithTotalsOfOnePage(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 9, 10, 11, 20, 25, 30} {
		for _, refuses := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				client := newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					page, _ := strconv.Atoi(r.URL.Query().Get("page"))
					var rows []string
					for i := (page - 1) * 10; i < min(n, page*10); i++ {
						rows = append(rows, fmt.Sprintf(`{"utr_number":"%d"}`, 5000+i))
					}
					if len(rows) == 0 && page > 1 && refuses {
						return answer(http.StatusNotFound, `{}`), nil
					}
					return answer(http.StatusOK, fmt.Sprintf(`{"data":[%s],"total_settlement_count":"%d"}`,
						strings.Join(rows, ","), len(rows))), nil
				})
				rows, err := all(client.Settlements.List(t.Context(), lastDays(1)))
				require.NoError(t, err)
				require.Len(t, rows, n)
			})
		}
	}
}

// TestSettlementsWithoutUTR reads a list with rows that have no UTR yet. Two
// different rows without a UTR do not count as the same settlement.
func TestSettlementsWithoutUTR(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, `{"data":[{"utr_number":"","total_amount":1},{"total_amount":2},{"total_amount":2}],
				"total_settlement_count":2}`), nil
		})
		rows, err := all(client.Settlements.List(t.Context(), lastDays(90)))
		require.NoError(t, err)
		require.Len(t, rows, 2)
	})
}

// TestAnswersThatAreNoSettlement sends answers that lack a field, have another
// shape, or are about another settlement. The SDK refuses such an answer.
func TestAnswersThatAreNoSettlement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for body, want := range map[string]string{
			`{}`:                           "the answer has no data or no total_settlement_count",
			`{"data":[]}`:                  "the answer has no data or no total_settlement_count",
			`{"total_settlement_count":0}`: "the answer has no data or no total_settlement_count",
			`{"data":null,"total_settlement_count":0}`: "the answer has no data or no total_settlement_count",
			`[]`: "JSON document must be an object",
			`{"data":["x"],"total_settlement_count":1}`: "data[0] must be an object",
		} {
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, body), nil })
			_, err := all(client.Settlements.List(t.Context(), lastDays(1)))
			require.ErrorContains(t, err, want, body)
			require.NotErrorIs(t, err, plural.ErrIncomplete)
		}
		for body, want := range map[string]string{
			`{}`: "the answer is about another settlement",
			`{"utr_number":"6002","total_transaction_count":0,"transactions":[]}`: "the answer is about another settlement",
			`{"utr_number":"6001","transactions":[]}`:                             "no transactions or no total_transaction_count",
			`{"utr_number":"6001","total_transaction_count":0}`:                   "no transactions or no total_transaction_count",
		} {
			client := newPeerClient(t, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, body), nil })
			_, err := client.Settlements.Get(t.Context(), "6001")
			require.ErrorContains(t, err, want, body)
		}
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, `{"utrNumber":6001,"totalTransactionCount":"1","pagination":"","programs":[{"a":1}],
				"transactions":{"transactionId":7,"transactionAmount":"1e1","isEmi":"true","settledAmount":null}}`), nil
		})
		detail, err := client.Settlements.Get(t.Context(), "6001")
		require.NoError(t, err)
		want := []plural.SettlementLine{{TransactionID: "7", TransactionAmount: "1e1", IsEMI: true}}
		require.Equal(t, want, detail.Transactions)
	})
}

// TestSettlementsShowNoAccount checks that only the last four digits of the
// account number are printed, and no part of the store's address.
func TestSettlementsShowNoAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, settlementPages(t, "settlement_list_response.json",
			"settlement_detail_by_utr_response.json", "settlement_detail_by_utr_response_page2.json"))
		rows, err := all(client.Settlements.List(t.Context(), lastDays(1)))
		require.NoError(t, err)
		detail, err := client.Settlements.Get(t.Context(), "520019904417")
		require.NoError(t, err)
		for _, v := range []any{rows[0], *rows[0], detail, *detail, detail.Transactions, &detail.Transactions[0]} {
			var log strings.Builder
			slog.New(slog.NewTextHandler(&log, nil)).Info("settled", "it", v)
			for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%+v %#v %q %d", v, v, v, v), log.String()} {
				require.NotContains(t, text, "5010009988")
				require.NotContains(t, text, "Residency")
				require.Contains(t, text, "520019904417")
			}
		}
		require.Contains(t, fmt.Sprint(detail), "bank_acc_number:...7766")
		kept, err := json.Marshal(detail)
		require.NoError(t, err)
		require.Contains(t, string(kept), "50100099887766")
		require.Contains(t, fmt.Sprint(plural.Settlement{BankAccNumber: "1234567"}), "bank_acc_number:[redacted]")
	})
}

// TestSettlementCallsAreObserved checks that an observer sees one call for each
// page, and that this call names no order.
func TestSettlementCallsAreObserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		defer srv.Close()
		require.NoError(t, srv.AddSettlement(madeUp("1001", time.Now(), 12)))
		var seen []string
		var inMiddleware atomic.Int64
		client := newClient(t, srv,
			plural.WithObserver(func(_ context.Context, o plural.Observation) {
				if o.Operation != "token" {
					seen = append(seen, fmt.Sprint(o.Operation, o.OrderID, o.Reference, o.Attempts, o.Err, o.RequestID != ""))
				}
			}),
			plural.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
				return transportFunc(func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(plural.OperationFromContext(r.Context()), "settlements.") {
						inMiddleware.Add(1)
					}
					return next.RoundTrip(r)
				})
			}))
		_, err := all(client.Settlements.List(t.Context(), lastDays(1)))
		require.NoError(t, err)
		_, err = all(client.Settlements.Lines(t.Context(), "1001"))
		require.NoError(t, err)
		_, err = client.Settlements.Get(t.Context(), "1001")
		require.NoError(t, err)
		page := func(op string) string { return op + "1 <nil> true" }
		require.Equal(t, []string{
			page("settlements.list"),
			page("settlements.lines"), page("settlements.lines"), page("settlements.lines"),
			page("settlements.get"), page("settlements.get"), page("settlements.get"),
		}, seen)
		require.EqualValues(t, 7, inMiddleware.Load())
	})
}

// TestAnswersOfDifferentAge: a replica may answer with an older state, so a
// later page may announce fewer rows or pages than the first page. If rows are
// missing, the list counts as incomplete. This is true even if the last page
// announces no more rows than the list has.
func TestAnswersOfDifferentAge(t *testing.T) {
	t.Parallel()
	type page struct{ rows, total, pages int } // rows is -1 for a 404 in JSON, and -2 for a 404 in HTML
	for name, c := range map[string]struct {
		pages   []page
		want    int
		isWhole bool
	}{
		"the second page counts fewer rows": {[]page{{10, 25, 3}, {10, 20, 2}}, 20, false},
		"the second page is gone":           {[]page{{10, 11, 2}, {0, 10, 1}}, 10, false},
		"the same, with a page count of 0":  {[]page{{10, 25, 0}, {10, 20, 0}}, 20, false},
		"an empty page in the middle, totals of one page": {
			[]page{{10, 10, 3}, {0, 0, 3}, {5, 5, 3}}, 10, false,
		},
		"an empty last page, totals of one page":  {[]page{{10, 10, 2}, {0, 0, 1}}, 10, false},
		"a 404 in the middle, totals of one page": {[]page{{10, 10, 3}, {-1, 0, 0}, {5, 5, 3}}, 10, false},
		"a page of HTML, totals of one page":      {[]page{{10, 10, 0}, {-2, 0, 0}, {5, 5, 0}}, 10, false},
		"a page of HTML after the last row":       {[]page{{10, 20, 3}, {10, 20, 3}, {-2, 0, 0}}, 20, true},
		"a page with a page count of 0":           {[]page{{10, 10, 3}, {4, 4, 0}, {5, 5, 3}}, 19, true},
		"a total that is too low":                 {[]page{{10, 12, 0}, {10, 12, 0}, {10, 12, 0}, {5, 12, 0}}, 35, true},
		"more pages than rows":                    {[]page{{10, 25, 5}, {10, 25, 5}, {5, 25, 5}, {0, 25, 5}}, 25, true},
		"more pages than there are":               {[]page{{10, 25, 5}, {10, 25, 5}, {5, 25, 5}, {-1, 0, 0}}, 25, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := func(row, document string) *plural.Client {
				return newPeerClient(t, func(r *http.Request) (*http.Response, error) {
					n, _ := strconv.Atoi(r.URL.Query().Get("page"))
					one := page{}
					if n <= len(c.pages) {
						one = c.pages[n-1]
					}
					switch one.rows {
					case -2:
						return answer(http.StatusNotFound, "<html>"), nil
					case -1:
						return answer(http.StatusNotFound, `{}`), nil
					}
					var rows []string
					for i := range one.rows {
						rows = append(rows, fmt.Sprintf(row, n*100+i))
					}
					body := fmt.Sprintf(document, strings.Join(rows, ","), one.total)
					if one.pages > 0 {
						body += fmt.Sprintf(`,"pagination":{"total_pages":%d}`, one.pages)
					}
					return answer(http.StatusOK, body+"}"), nil
				})
			}
			client := serve(`{"transaction_id":"%d"}`,
				`{"utr_number":"4001","transactions":[%s],"total_transaction_count":%d`)
			lines, err := all(client.Settlements.Lines(t.Context(), "4001"))
			require.Len(t, lines, c.want)
			require.Equal(t, c.isWhole, err == nil, "%v", err)
			if !c.isWhole {
				requireIncomplete(t, err)
			}
			if c.pages[0].pages > 0 { // lists have a page count of 0
				return
			}
			client = serve(`{"utr_number":"%d"}`, `{"data":[%s],"total_settlement_count":%d`)
			rows, err := all(client.Settlements.List(t.Context(), lastDays(1)))
			require.Len(t, rows, c.want)
			require.Equal(t, c.isWhole, err == nil, "%v", err)
		})
	}
}

// TestSixMonthsBackFromALongMonth: six months before 31 August is the last day
// of February, and not a day of March. Settlements from that day can still be
// read late in the evening of 31 August.
func TestSixMonthsBackFromALongMonth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		t.Cleanup(srv.Close)
		client := newClient(t, srv)
		pass(time.Until(time.Date(2001, time.August, 31, 22, 0, 0, 0, plural.India())))
		for date, isKept := range map[string]bool{"2001-02-27": false, "2001-02-28": true, "2001-03-01": true} {
			day, err := time.ParseInLocation(time.DateOnly, date, plural.India())
			require.NoError(t, err)
			require.NoError(t, srv.AddSettlement(pluraltest.Settlement{UTR: date, ProcessedAt: day, SettledAt: day}))
			list, err := all(client.Settlements.List(t.Context(), plural.Days{First: day, Last: day}))
			require.Equal(t, isKept, err == nil, "%s: %v", date, err)
			require.Equal(t, isKept, len(list) > 0, date)
		}
	})
}
