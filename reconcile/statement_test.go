package reconcile_test

import (
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

func credits(list ...reconcile.Credit) iter.Seq2[reconcile.Credit, error] {
	return func(yield func(reconcile.Credit, error) bool) {
		for _, c := range list {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func TestStatement(t *testing.T) {
	t.Parallel()
	s, err := reconcile.NewStatement(credits(
		reconcile.Credit{UTR: " 6333 ", Amount: plural.INR(97802), Day: "28/11/2026"},
		reconcile.Credit{UTR: "6334", Amount: plural.INR(1), Day: "28/11/2026"},
		reconcile.Credit{UTR: "6334", Amount: plural.INR(2), Day: "29/11/2026"},
	))
	require.NoError(t, err)
	for _, test := range []struct {
		utr  string
		net  plural.Rupees
		want reconcile.BankSide
	}{
		{"6333", "978.02", reconcile.BankSide{Arrival: reconcile.Arrived, Amount: plural.INR(97802), Day: "28/11/2026"}},
		{"6333", "978.020", reconcile.BankSide{Arrival: reconcile.Arrived, Amount: plural.INR(97802), Day: "28/11/2026"}},
		{"6333", "978.021", reconcile.BankSide{
			Arrival: reconcile.ArrivedOtherwise, Amount: plural.INR(97802), Day: "28/11/2026",
		}},
		{"6333", "", reconcile.BankSide{Arrival: reconcile.ArrivedOtherwise, Amount: plural.INR(97802), Day: "28/11/2026"}},
		{"6334", "0.03", reconcile.BankSide{Arrival: reconcile.Arrived, Amount: plural.INR(3), Day: "28/11/2026"}},
		{"6335", "0.03", reconcile.BankSide{Arrival: reconcile.NotThereYet}},
	} {
		require.Equal(t, test.want, s.Match(test.utr, test.net), "%s %s", test.utr, test.net)
	}
}

func TestStatementRefuses(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]reconcile.Credit{
		"credit 1 of the statement: it has no UTR": {Amount: plural.INR(1)},
		"credit 1 of the statement: the amount is": {UTR: "6333"},
		"it must be in INR and above zero":         {UTR: "6333", Amount: plural.Amount{Value: 1, Currency: "USD"}},
	} {
		_, err := reconcile.NewStatement(credits(c))
		require.ErrorContains(t, err, want)
	}
	broken := errors.New("line 7")
	_, err := reconcile.NewStatement(func(yield func(reconcile.Credit, error) bool) { yield(reconcile.Credit{}, broken) })
	require.ErrorIs(t, err, broken)
}

// Credits with one UTR are added up, even if they have no day.
func TestCreditsWithoutADay(t *testing.T) {
	t.Parallel()
	for _, days := range [][2]string{{"", ""}, {"", "29/11/2026"}, {"28/11/2026", ""}} {
		s, err := reconcile.NewStatement(credits(
			reconcile.Credit{UTR: "6334", Amount: plural.INR(50000), Day: days[0]},
			reconcile.Credit{UTR: "6334", Amount: plural.INR(30000), Day: days[1]},
		))
		require.NoError(t, err)
		got := s.Match("6334", "800")
		require.Equal(t, reconcile.BankSide{Arrival: reconcile.Arrived, Amount: plural.INR(80000), Day: days[0]}, got)
		require.Equal(t, reconcile.ArrivedOtherwise, s.Match("6334", "300").Arrival)
	}
}
