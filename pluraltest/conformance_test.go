package pluraltest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConformanceTableNamesRealTests checks that every test in the table of
// docs/pluraltest.md exists, and that every row names a test.
func TestConformanceTableNamesRealTests(t *testing.T) {
	t.Parallel()
	tests := map[string]string{} // from a test's name to the source text of its file
	for _, dir := range []string{".", "../browsertest", "../examples/sandbox"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(source, -1) {
				tests[string(found[1])] = string(source)
			}
		}
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "pluraltest.md"))
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 4 || !strings.Contains(line, "`Test") {
			requireNoTest(t, line, cells)
			continue
		}
		rows++
		for _, name := range regexp.MustCompile("`(Test[^`]*)`").FindAllStringSubmatch(cells[len(cells)-2], -1) {
			function, sub, _ := strings.Cut(name[1], "/")
			source, exists := tests[function]
			require.True(t, exists, "there is no %s", function)
			if sub != "" {
				require.Contains(t, source, `"`+strings.ReplaceAll(sub, "_", " ")+`"`, "there is no %s", name[1])
			}
		}
	}
	require.Greater(t, rows, 40)
}

// requireNoTest checks a line that names no test. In the conformance table,
// each row about a behaviour must name a test. So only these lines are allowed:
//   - prose
//   - a separator or the head of the table
//   - a row with only a bold headline
func requireNoTest(t *testing.T, line string, cells []string) {
	t.Helper()
	conformance := len(cells) == 5 && !strings.HasPrefix(line, "|---")
	if conformance && strings.TrimSpace(cells[3]) != "Test" {
		require.Regexp(t, `^\| \*\*`, line, "a row without a test")
	}
}
