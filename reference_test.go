package plural_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestReference(t *testing.T) {
	t.Parallel()
	for want, parts := range map[string][]any{
		"refund_1042_3": {"refund", 1042, 3},
		"refund_0190d1f2-aaaa-bbbb-cccc-1234567890ab": {"refund", "0190d1f2-aaaa-bbbb-cccc-1234567890ab"},
		strings.Repeat("x", 50):                       {strings.Repeat("x", 50)},
	} {
		require.Equal(t, want, plural.Reference(parts...))
	}
	valid := regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)
	seen := map[string][]any{}
	for _, parts := range [][]any{
		nil,
		{""},
		{"a"},
		{"a", ""},
		{"", "a"},
		{"a", "b"},
		{"a_b"},
		{"a", "b", "c"},
		{"a_b", "c"},
		{"a", "b_c"},
		{"order 7"},
		{"order", "7/8"},
		{"order", "७"},
		{strings.Repeat("x", 51)},
		{strings.Repeat("x", 50) + "y"},
		{"refund", strings.Repeat("9", 60)},
		{"refund", strings.Repeat("9", 60) + "1"},
		{strings.Repeat("r", 40), "b"},
		{strings.Repeat("r", 40), "b", strings.Repeat("c", 20)},
		{"A", "b"},
		{1, 23},
		{12, 3},
	} {
		reference := plural.Reference(parts...)
		require.Regexp(t, valid, reference)
		require.Equal(t, reference, plural.Reference(parts...), "the same parts")
		require.NotContains(t, seen, reference, "%q and %q", parts, seen[reference])
		seen[reference] = parts
	}
	require.True(
		t,
		strings.HasPrefix(plural.Reference("refund", strings.Repeat("9", 60)), "refund_"),
		"the first part is kept",
	)
}

func FuzzReference(f *testing.F) {
	f.Add("refund", "1042", "refund", "1042_1")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		first, second := plural.Reference(a, b), plural.Reference(c, d)
		require.Equal(t, a == c && b == d, first == second)
		require.Regexp(t, `^[A-Za-z0-9_-]{1,50}$`, first)
	})
}
