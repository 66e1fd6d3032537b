package plural_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// TestListIsReadAgain moves rows to other pages while a window is read. The
// window is then read again, and is complete. If the rows go on moving, the
// list ends with an error. The error says that the list is incomplete.
func TestListIsReadAgain(t *testing.T) {
	t.Parallel()
	// If rows are missing, the SDK asks for four pages, and then for the first
	// page again. The emulator can move a row whenever it answers a request for
	// a page, except for the first page. So rows can move three times during
	// one reading.
	for moves, isWhole := range map[int]bool{0: true, 1: true, 3: true, 4: true, 6: true, 7: false, 8: false, 100: false} {
		t.Run(strconv.Itoa(moves), func(t *testing.T) {
			t.Parallel()
			inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
				var want []string
				for i := range 23 {
					want = append(want, strconv.Itoa(1000+i))
					require.NoError(t, srv.AddSettlement(madeUp(want[i], time.Now(), 1)))
				}
				srv.MoveSettlementRows(moves)
				rows, err := all(client.Settlements.List(t.Context(), lastDays(1)))
				got := utrs(rows)
				require.Len(t, slices.Compact(slices.Clone(got)), len(got), "each once")
				if isWhole {
					require.NoError(t, err)
					require.Equal(t, want, got)
					return
				}
				e := incomplete(t, err)
				require.Equal(t, time.Now().In(plural.India()).Format(time.DateOnly), e.Days.Last.Format(time.DateOnly))
				require.NoError(t, e.Err)
				require.LessOrEqual(t, len(srv.RequestsTo(pluraltest.OpSettlementsList)), 3*(4+1))
			})
		})
	}
}

// TestSettlementThatChanges changes the figures of a settlement after the
// caller has received them. The list then counts as incomplete.
func TestSettlementThatChanges(t *testing.T) {
	t.Parallel()
	inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
		for i := range 12 {
			require.NoError(t, srv.AddSettlement(madeUp(strconv.Itoa(1000+i), time.Now(), 1)))
		}
		var got []string
		var last error
		for row, err := range client.Settlements.List(t.Context(), lastDays(90)) {
			if err != nil {
				last = err
				continue
			}
			if len(got) == 0 {
				require.NoError(t, srv.ChangeSettlement(row.UTRNumber, func(s *pluraltest.Settlement) { s.SaidAmount = "1" }))
			}
			got = append(got, row.UTRNumber)
		}
		require.Len(t, got, 12)
		requireIncomplete(t, last)
	})
}

// TestReadingOfSettlementsFails lets the request for one page fail. If this is
// the first page that the call reads, the call returns the error of that
// request. If it is a later page, the call returns an IncompleteError that
// wraps the error.
func TestReadingOfSettlementsFails(t *testing.T) {
	t.Parallel()
	inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
		for i := range 12 {
			require.NoError(t, srv.AddSettlement(madeUp(strconv.Itoa(1000+i), time.Now(), 12)))
		}
		list, lines := pluraltest.On(pluraltest.OpSettlementsList), pluraltest.On(pluraltest.OpSettlementsGet)
		broken := repeated(pluraltest.ServerErrorAfterApply, 4)
		srv.Inject(list, broken...)
		rows, err := all(client.Settlements.List(t.Context(), lastDays(1)))
		require.Empty(t, rows)
		require.NotErrorIs(t, err, plural.ErrIncomplete)
		failure, ok := errors.AsType[*plural.Error](err)
		require.True(t, ok)
		require.Equal(t, []any{"settlements.list", "", 4}, []any{failure.Op, failure.OrderID, failure.Attempts})

		srv.Inject(list, append([]pluraltest.Fault{pluraltest.NoFault}, broken...)...)
		rows, err = all(client.Settlements.List(t.Context(), lastDays(1)))
		require.Len(t, rows, 10)
		e := incomplete(t, err)
		require.Equal(t, []int{2, 12, 10}, []int{e.Page, e.Want, e.Got})
		failure, ok = errors.AsType[*plural.Error](err)
		require.True(t, ok)
		require.Equal(t, plural.CodeInternalError, failure.Code)

		srv.Inject(list, append([]pluraltest.Fault{pluraltest.NoFault, pluraltest.NoFault, pluraltest.NoFault}, broken...)...)
		rows, err = all(client.Settlements.List(t.Context(), lastDays(90)))
		require.Len(t, rows, 12, "the first window is empty, and the second has two pages")
		require.Equal(t, 1, incomplete(t, err).Page)

		srv.Inject(list, append([]pluraltest.Fault{pluraltest.NoFault}, broken...)...)
		rows, err = all(client.Settlements.List(t.Context(), lastDays(90)))
		require.Empty(t, rows)
		e = incomplete(t, err) // the first window was read, and is empty
		require.Equal(t, 1, e.Page)
		require.Equal(t, lastDays(1).Last.Format(time.DateOnly), e.Days.Last.Format(time.DateOnly))

		srv.Inject(lines, broken...)
		detail, err := client.Settlements.Get(t.Context(), "1003")
		require.Nil(t, detail)
		require.NotErrorIs(t, err, plural.ErrIncomplete)
		failure, ok = errors.AsType[*plural.Error](err)
		require.True(t, ok)
		require.Equal(t, []any{"settlements.get", "1003"}, []any{failure.Op, failure.OrderID})

		srv.Inject(lines, append([]pluraltest.Fault{pluraltest.NoFault}, broken...)...)
		detail, err = client.Settlements.Get(t.Context(), "1003")
		require.Len(t, detail.Transactions, 10)
		require.Equal(t, 2, incomplete(t, err).Page)
		written, err := json.Marshal(err)
		require.NoError(t, err)
		require.Contains(t, string(written), `{"utr":"1003","page":2,"want":12,"got":10,"error":"plural: get settlement 1003: `)

		_, err = client.Settlements.Get(t.Context(), "9999")
		require.ErrorIs(t, err, plural.ErrNotFound)
		_, err = all(client.Settlements.Lines(t.Context(), "9999"))
		require.ErrorIs(t, err, plural.ErrNotFound)

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var n int
		for line, e := range client.Settlements.Lines(ctx, "1003") {
			if err = e; line != nil {
				n++
				cancel()
			}
		}
		require.Equal(t, 10, n)
		requireIncomplete(t, err)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Plural may answer all tries of one request with 429.
// TestSettlementsWaitForTheRate checks that Get then waits, and asks for the
// page again. Get does not wait if the caller wants no retry, or if the wait
// would be too long.
func TestSettlementsWaitForTheRate(t *testing.T) {
	t.Parallel()
	inBank(t, func(t *testing.T, srv *pluraltest.Server, client *plural.Client) {
		require.NoError(t, srv.AddSettlement(madeUp("1001", time.Now(), 12)))
		lines := pluraltest.On(pluraltest.OpSettlementsGet)
		srv.Inject(lines, repeated(pluraltest.RateLimited, 20)...)
		began := time.Now()
		detail, err := client.Settlements.Get(t.Context(), "1001")
		require.NoError(t, err)
		require.Len(t, detail.Transactions, 12)
		require.Greater(t, time.Since(began), 30*time.Second)

		srv.Inject(lines, repeated(pluraltest.RateLimited, 40)...)
		_, err = client.Settlements.Get(t.Context(), "1001")
		require.ErrorIs(t, err, plural.ErrRateLimited, "it is bounded")

		srv.Inject(lines, pluraltest.RateLimited)
		_, err = client.Settlements.Get(t.Context(), "1001", plural.WithoutRetry())
		require.ErrorIs(t, err, plural.ErrRateLimited)

		tooLong := pluraltest.RateLimitedRetryAfter
		tooLong.RetryAfter = "61"
		srv.Inject(lines, tooLong)
		_, err = client.Settlements.Get(t.Context(), "1001")
		require.ErrorIs(t, err, plural.ErrRateLimited)

		srv.Inject(lines, repeated(pluraltest.RateLimited, 40)...)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began = time.Now()
		_, err = client.Settlements.Get(ctx, "1001")
		require.ErrorIs(t, err, plural.ErrRateLimited)
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
	})
}

// TestSettlementsWaitAsLongAsAsked checks that the next request after a 429 is
// never earlier than the Retry-After header allows. All tries for a page may
// end with 429. Then the SDK waits for that time again, and starts new tries
// for the same page.
func TestSettlementsWaitAsLongAsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		requests := 0
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			if requests++; requests > 1 {
				require.GreaterOrEqual(t, time.Since(last), 30*time.Second, "before request %d", requests)
			}
			last = time.Now()
			if requests <= 9 {
				return answer(http.StatusTooManyRequests, `{"code":"API_RATE_LIMIT"}`, "Retry-After", "30"), nil
			}
			return answer(http.StatusOK, `{"data":[],"total_settlement_count":0}`), nil
		})
		rows, err := all(client.Settlements.List(t.Context(), lastDays(1)))
		require.NoError(t, err)
		require.Empty(t, rows)
		require.Equal(t, 10, requests)
	})
}

// In TestIncompleteListNamesTheLaterDays, the first window of a list is
// incomplete, so the list ends there. The later windows are not read, so the
// error names their days, too.
func TestIncompleteListNamesTheLaterDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newPeerClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, `{"data":[{"utr_number":"1001"}],"total_settlement_count":2}`), nil
		})
		d := lastDays(90)
		rows, err := all(client.Settlements.List(t.Context(), d))
		require.Len(t, rows, 1)
		require.Equal(t, d.String(), incomplete(t, err).Days.String())
	})
}

// TestTooManyLinesForGet checks that Get keeps 10,000 lines. If there are more
// lines, Get also returns an error.
func TestTooManyLinesForGet(t *testing.T) {
	t.Parallel()
	for n, isWhole := range map[int]bool{10_000: true, 10_001: false} {
		client := newPeerClient(t, manyLines(n))
		detail, err := client.Settlements.Get(t.Context(), "4001")
		require.Len(t, detail.Transactions, 10_000)
		if isWhole {
			require.NoError(t, err)
			continue
		}
		e := incomplete(t, err)
		require.Equal(t, []int{n, 10_000}, []int{e.Want, e.Got})
		require.ErrorContains(t, err, "read it with Lines")
	}
}
