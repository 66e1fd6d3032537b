package pluralriver_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README shows the code that the examples compile and run.
func TestReadmeShowsTheExamples(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, shown, 7)
	outside := string(examples)
	within := strings.ReplaceAll(outside, "\n\t", "\n") // the README shows the bodies of functions without their indent
	for _, block := range shown {
		if strings.HasPrefix(block[1], "func ") {
			require.Contains(t, outside, block[1])
		} else {
			require.Contains(t, within, block[1])
		}
	}
}
