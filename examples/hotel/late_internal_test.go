package main

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// The desk can give up a decision long after the decision's job has ended.
// River deletes a job one day after the end of the job.
func TestGivenUpAfterItsJobIsDeleted(t *testing.T) {
	t.Parallel()
	c := startHotel(t, pluraltest.NewServer(t), 1)
	number, _ := c.makeHeldBooking(true)
	c.pressButton(number, kindCheckOut, "13250.50")
	c.waitForValue("done", `SELECT state FROM decisions WHERE number = $1`, number)
	for _, statement := range []string{
		`UPDATE decisions SET state = 'look'`, // the state after an ErrConflict
		`DELETE FROM river_job WHERE id IN (SELECT job_id FROM decisions)`,
	} {
		_, err := c.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	reference := c.queryText(`SELECT reference FROM decisions WHERE number = $1`, number)
	p := c.sendRequest(http.MethodPost, "/desk/"+number+"/give-up", url.Values{"reference": {reference}})
	require.Equal(t, http.StatusSeeOther, p.status)
	require.Equal(t, "given up", c.queryText(`SELECT state FROM decisions WHERE number = $1`, number))
}

// The bank refuses a refund that Plural had accepted. The hotel finds that out
// even if the webhook is lost and the booking is old.
func TestLateRefundOfAnOldBooking(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	c := startHotel(t, gateway, 1)
	number, _ := c.makeHeldBooking(true)
	c.pressButton(number, kindCheckOut, "13250.50")
	c.waitForValue("1325050", `SELECT taken FROM bookings WHERE number = $1`, number)
	require.NoError(t, gateway.WaitWebhooks(t.Context()))
	gateway.HoldWebhooks()
	_, err := c.db.ExecContext(t.Context(), `UPDATE bookings SET made_at = now() - interval '90 days'`)
	require.NoError(t, err)
	gateway.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.PendingThenFailed.After(time.Hour))
	c.pressButton(number, kindRefund, "250.50")
	c.waitForValue("done", `SELECT state FROM decisions WHERE kind = 'refund' AND number = $1`, number)
	c.waitForValue("0", `SELECT count(*) FROM river_job WHERE kind = 'plural_look' AND finalized_at IS NULL`)
	gateway.Flush()
	c.waitForValue("refused", `SELECT state FROM decisions WHERE kind = 'refund' AND number = $1`, number)
}

// A document comes from a server of Plural whose clock is fast. Later documents
// come from servers whose clocks are right, so these documents have earlier
// times. The hotel must not ignore the later documents.
func TestADocumentFromTheFuture(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	c := startHotel(t, gateway, 1)
	gateway.HoldWebhooks()
	number, id := c.makeBooking()
	gateway.Advance(6 * time.Hour)
	c.payDeposit(id, false)
	gateway.Advance(-6 * time.Hour)
	c.waitForDesk(number, "check-out")
	require.NoError(t, gateway.LapseHold(id, pluraltest.LapseEverywhere))
	c.waitForValue("CANCELLED", `SELECT status FROM bookings WHERE number = $1`, number)
}

// Plural's books have two refunds under one reference. The first refund failed,
// and the second one was carried out. The guest has the money, so the decision
// must keep the state "done".
func TestOneOfTwoRefundsFailed(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t, pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted))
	c := startHotel(t, gateway, 1)
	number, id := c.makeHeldBooking(true)
	c.pressButton(number, kindCheckOut, "13250.50")
	c.waitForValue("1325050", `SELECT taken FROM bookings WHERE number = $1`, number)
	gateway.Inject(pluraltest.On(pluraltest.OpRefundsCreate), pluraltest.PendingThenFailed.After(time.Hour))
	c.pressButton(number, kindRefund, "250.50")
	c.waitForValue("done", `SELECT state FROM decisions WHERE kind = 'refund' AND number = $1`, number)
	reference := c.queryText(`SELECT reference FROM decisions WHERE kind = 'refund' AND number = $1`, number)
	_, err := gateway.Refund(id, reference, pluraltest.Amount{Value: 25050, Currency: "INR"})
	require.NoError(t, err)
	gateway.Flush()
	c.waitForValue("25050", `SELECT refunded FROM bookings WHERE number = $1`, number)
	c.waitForValue("PARTIALLY_REFUNDED",
		`SELECT status FROM bookings WHERE number = $1 AND NOT may_change UNION ALL SELECT '' LIMIT 1`, number)
	require.Equal(t, "done", c.queryText(`SELECT state FROM decisions WHERE reference = $1`, reference))
}
