package plural_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestThreatModelNamesRealTests keeps SECURITY.md honest: each line of its
// tables names a test, and the tests exist.
func TestThreatModelNamesRealTests(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, pattern := range []string{
		"*_test.go", "internal/*/*_test.go", "contrib/*/*_test.go", "examples/*/*_test.go", "printtest/*_test.go",
	} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
				exists[string(found[1])] = true
			}
		}
	}
	page, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(string(page), -1)
	require.NotEmpty(t, lines)
	for _, line := range lines {
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(line, -1)
		if regexp.MustCompile(`^\| (Threat|Entry point|Version|0\.x|older)`).MatchString(line) {
			continue
		}
		require.NotEmpty(t, named, "a line without a test: %s", line)
		for _, name := range named {
			require.True(t, exists[name[1]], "there is no %s", name[1])
		}
	}
}
