package plural

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/finals.md has a line for each row. "go test -run Finals . -update" writes
// them.
func TestFinalsAreDocumented(t *testing.T) {
	t.Parallel()
	const page, mark = "docs/finals.md", "<!-- the rows -->\n"
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	head, rows, found := strings.Cut(string(written), mark)
	require.True(t, found)
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(page, []byte(head+mark+finalsTable()), 0o600))
		return
	}
	require.Equal(t, finalsTable(), rows)
}

func finalsTable() string {
	var b strings.Builder
	b.WriteString("\n| | the books show | so it is | looks | because |\n|---|---|---|---|---|\n")
	for _, row := range allEvidence {
		looks := "one"
		if row.twice {
			looks = "three seconds"
		}
		name := map[error]string{
			ErrNotApplied: "`ErrNotApplied`", ErrConflict: "`ErrConflict`", ErrNoHold: "`ErrNoHold`",
		}[row.is]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", row.of, row.shows, name, looks, row.because)
	}
	return b.String()
}

// Each row is of one kind, and says all that the page needs.
func TestEvidenceIsWhole(t *testing.T) {
	t.Parallel()
	for _, row := range allEvidence {
		require.NotEmpty(t, row.of)
		require.NotEmpty(t, row.shows)
		require.NotEmpty(t, row.because)
		require.Contains(t, []error{ErrNotApplied, ErrConflict, ErrNoHold}, row.is, row.shows)
	}
}
