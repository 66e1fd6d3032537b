package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

func openBank(t *testing.T, database string) (*bankReader, *pluraltest.Server) {
	t.Helper()
	gateway := pluraltest.NewServer(t)
	client, err := plural.NewClient(plural.Credentials{ClientID: gateway.ClientID, ClientSecret: gateway.ClientSecret},
		plural.WithBaseURL(gateway.URL), plural.WithRetry(plural.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	db, err := openStore(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &bankReader{&orderBooks{db: db, log: slog.New(slog.DiscardHandler)}, client}, gateway
}

// addSettlement adds a settlement to the gateway. The settlement has
// yesterday's date and one payment.
func addSettlement(t *testing.T, gateway *pluraltest.Server, utr, payment, payout string) {
	t.Helper()
	at := gateway.Now().Add(-24 * time.Hour)
	require.NoError(t, gateway.AddSettlement(pluraltest.Settlement{
		UTR: utr, ProcessedAt: at, SettledAt: at, Lines: []pluraltest.SettlementLine{{
			TransactionID: payment, Program: "CARD", PaidAt: at.Add(-time.Hour), Amount: "100", PayoutStatus: payout,
		}},
	}))
}

// arrivalStatus returns the status of a payment's arrival at the bank. It
// returns "" if the shop has stored nothing about such an arrival.
func (b *bankReader) arrivalStatus(t *testing.T, payment string) (status string) {
	t.Helper()
	require.NoError(t, b.db.QueryRowContext(t.Context(),
		`SELECT COALESCE(max(status), '') FROM arrivals WHERE payment_id = $1`, payment).Scan(&status))
	return status
}

// Some settlements have no usable UTR, so the job cannot ask for their lines.
// Plural may also list a settlement, and then not find it. In both cases the
// job still reads the other settlements.
func TestOddSettlementsStopNothing(t *testing.T) {
	t.Parallel()
	for name, utr := range map[string]string{
		"no UTR": "", "not a UTR": "../x", "not at Plural": "gone", "zero byte, on Postgres": "UTR\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := sqliteFile(t)
			if hasZero(utr) {
				database = servertest.StartPostgres(t).URL
			}
			b, gateway := openBank(t, database)
			addSettlement(t, gateway, "odd", "v1-odd", "")
			addSettlement(t, gateway, "UTR1", "v1-good", "")
			require.NoError(t, gateway.ChangeSettlement("odd", func(s *pluraltest.Settlement) { s.UTR = utr }))
			if utr == "gone" {
				gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
					if r.Path == "/api/settlements/v1/detail/gone" {
						return pluraltest.Fault{Answer: pluraltest.AnswerStatus, Status: 404, Code: "ORDER_NOT_FOUND"}
					}
					return pluraltest.NoFault
				})
			}
			require.NoError(t, b.readSettlements(t.Context()))
			require.Equal(t, "Success", b.arrivalStatus(t, "v1-good"))
		})
	}
}

// The figures of a settlement stay the same when its payout succeeds.
func TestPayoutThatSucceedsLater(t *testing.T) {
	t.Parallel()
	b, gateway := openBank(t, sqliteFile(t))
	addSettlement(t, gateway, "UTR1", "v1-p", "Pending")
	require.NoError(t, b.readSettlements(t.Context()))
	require.Equal(t, "Pending", b.arrivalStatus(t, "v1-p"))
	succeed := func(s *pluraltest.Settlement) { s.Lines[0].PayoutStatus = "Success" }
	require.NoError(t, gateway.ChangeSettlement("UTR1", succeed))
	require.NoError(t, b.readSettlements(t.Context()))
	require.Equal(t, "Success", b.arrivalStatus(t, "v1-p"))
	requests := len(gateway.Requests())
	require.NoError(t, b.readSettlements(t.Context()))
	require.Len(t, gateway.Requests(), requests+1, "only the list is read again")
}
