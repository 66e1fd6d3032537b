package pluralriver_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/pluraltest"
)

// A worker is paused after it has read the books, and before it makes its call.
// Meanwhile another worker makes the call and ends the job. Then the first
// worker makes a second link or refund. At that time the books cannot be read.
// A person still learns of the second link or refund, because its id differs
// from the id of the first.
func TestASecondDocumentContradicts(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]func(*testing.T, *refundShop) pluralriver.MoneyArgs{
		"refund": func(t *testing.T, s *refundShop) pluralriver.MoneyArgs {
			t.Helper()
			return s.makeRefundable(t, "order")
		},
		"link": func(*testing.T, *refundShop) pluralriver.MoneyArgs {
			return pluralriver.LinkArgs{
				Reference: "deposit-1", Amount: plural.INR(5000), Customer: &plural.Customer{MobileNumber: "9876543210"},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate("looked")
			s := openRefunds(t, gated[*sql.Tx](g))
			id := s.insert(t, args(t, s))
			<-g.arrived
			s.rescueJob(t, id, rivertype.JobStateAvailable)
			s.startAnother(t, s.telling)
			first := <-s.told
			require.NoError(t, first.Outcome.Err)
			require.Empty(t, first.Why)
			s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
				if isRead(r) {
					return pluraltest.UnavailableBeforeApply
				}
				return pluraltest.NoFault
			})
			close(g.open)
			var second told
			select {
			case second = <-s.told:
			case <-time.After(20 * time.Second):
				require.Fail(t, "nobody learns of the second one")
			}
			require.Equal(t, pluralriver.Contradicted, second.Why)
			require.NotContains(t, second.Attempt.Err.Error(), "9876543210")
			if first.Link != nil {
				require.NotEqual(t, first.Link.PaymentLinkID, second.Link.PaymentLinkID)
			}
		})
	}
}

// As above, a worker is paused before it makes its call. Then the answer to its
// late call is lost. No later run settles that call, because the job has ended.
// So a person learns of it.
func TestALateCallWithoutAnAnswerContradicts(t *testing.T) {
	t.Parallel()
	g := newGate("looked")
	s := openRefunds(t, gated[*sql.Tx](g))
	id := s.insert(t, s.makeRefundable(t, "order"))
	<-g.arrived
	s.rescueJob(t, id, rivertype.JobStateAvailable)
	s.startAnother(t, s.telling)
	first := <-s.told
	require.NoError(t, first.Outcome.Err)
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if isRead(r) {
			return pluraltest.UnavailableBeforeApply
		}
		return pluraltest.ResetAfterApply
	})
	close(g.open)
	var second told
	select {
	case second = <-s.told:
	case <-time.After(time.Minute):
		require.Fail(t, "nobody learns of the second call")
	}
	require.Equal(t, pluralriver.Contradicted, second.Why)
	require.ErrorIs(t, second.Attempt.Err, plural.ErrOutcomeUnknown)
	require.ErrorContains(t, second.Attempt.Err, "the job has already ended: carried out")
}
