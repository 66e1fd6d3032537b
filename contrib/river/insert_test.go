package pluralriver_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
)

// InsertTx skips a job exactly if an earlier job with the same reference has
// not ended. The options that the shop gives to InsertTx do not change this.
func TestOptionsDoNotChangeWhatIsUnique(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*river.InsertOpts{
		"none":     nil,
		"queue":    {Queue: "money"},
		"by queue": {UniqueOpts: river.UniqueOpts{ByQueue: true}},
		"by day":   {UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: 24 * time.Hour}},
		"by hour":  {UniqueOpts: river.UniqueOpts{ByPeriod: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
			require.NoError(t, err)
			e.makeTables(t)
			client, err := river.NewClient(e.driver, &river.Config{})
			require.NoError(t, err)
			insert := func(reference string) *rivertype.JobInsertResult {
				t.Helper()
				var result *rivertype.JobInsertResult
				require.NoError(t, e.transact(t.Context(), func(tx *sql.Tx) (err error) {
					result, err = pluralriver.InsertTx(t.Context(), client, tx, pluralriver.RefundArgs{
						OrderID: "v1-1", Reference: reference, Amount: plural.INR(1000),
					}, opts)
					return err
				}))
				return result
			}
			first := insert("refund-1")
			require.True(t, insert("refund-1").UniqueSkippedAsDuplicate, "it waits")
			require.False(t, insert("refund-2").UniqueSkippedAsDuplicate, "it is another refund")
			e.execute(t, `UPDATE river_job SET state = 'completed', finalized_at = CURRENT_TIMESTAMP WHERE id = %d`, first.Job.ID)
			require.False(t, insert("refund-1").UniqueSkippedAsDuplicate, "the first job has ended")
		})
	}
}

// Plural gets ExpireBy in UTC and in whole seconds. So two jobs are the same if
// their times differ only in the zone, or in parts of a second. Times may
// differ like this after the shop has read a time from its database.
func TestTheSameTimeInAnotherForm(t *testing.T) {
	t.Parallel()
	e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	e.makeTables(t)
	client, err := river.NewClient(e.driver, &river.Config{})
	require.NoError(t, err)
	insert := func(at time.Time) (result *rivertype.JobInsertResult, err error) {
		return result, e.transact(t.Context(), func(tx *sql.Tx) error {
			result, err = pluralriver.InsertTx(t.Context(), client, tx, pluralriver.LinkArgs{
				Reference: "deposit-1", Amount: plural.INR(5000), ExpireBy: at,
				Customer: &plural.Customer{MobileNumber: "9876543210"},
			}, nil)
			return err
		})
	}
	at := time.Now().Add(time.Hour).Truncate(time.Second).Add(123456789)
	first, err := insert(at)
	require.NoError(t, err)
	require.False(t, first.UniqueSkippedAsDuplicate)
	for name, tc := range map[string]struct {
		at    time.Time
		other bool
	}{
		"again":   {at: at},
		"zone":    {at: at.In(plural.India())},
		"digits":  {at: at.Truncate(time.Microsecond)},
		"later":   {at: at.Add(time.Second), other: true},
		"no time": {other: true},
	} {
		result, err := insert(tc.at)
		if tc.other {
			require.ErrorIs(t, err, pluralriver.ErrOtherWaiting, name)
			continue
		}
		require.NoError(t, err, name)
		require.True(t, result.UniqueSkippedAsDuplicate, name)
		require.Equal(t, first.Job.ID, result.Job.ID, name)
	}
}

// If the only difference between two jobs is an empty list or map in one of
// them, InsertTx treats the jobs as equal. The shop may get an empty list or
// map when it reads the metadata from its database.
func TestAnEmptyListIsTheSameAsNone(t *testing.T) {
	t.Parallel()
	e, err := openSQLite(filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	e.makeTables(t)
	client, err := river.NewClient(e.driver, &river.Config{})
	require.NoError(t, err)
	refund := pluralriver.RefundArgs{OrderID: "v1-1", Reference: "refund-1", Amount: plural.INR(1000)}
	sameRefund := refund
	sameRefund.Metadata, sameRefund.Products = map[string]string{}, []plural.Product{}
	link := pluralriver.LinkArgs{
		Reference: "deposit-1", Amount: plural.INR(5000), Customer: &plural.Customer{MobileNumber: "9876543210"},
	}
	sameLink := link
	sameLink.AllowedPaymentMethods = []plural.PaymentMethod{}
	for _, same := range [][]pluralriver.MoneyArgs{{refund, sameRefund}, {link, sameLink}} {
		for i, args := range same {
			require.NoError(t, e.transact(t.Context(), func(tx *sql.Tx) error {
				result, err := pluralriver.InsertTx(t.Context(), client, tx, args, nil)
				require.NoError(t, err)
				require.Equal(t, i > 0, result.UniqueSkippedAsDuplicate)
				return nil
			}))
		}
	}
}
