package browsertest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// programsDir is the folder for the examples' binaries. The folder is removed
// at the end.
var programsDir string

// exampleBuilds has a function for each example. Each function builds its
// example once, for all tests.
var exampleBuilds sync.Map

// buildExample builds an example with go build.
func buildExample(t *testing.T, name string) string {
	t.Helper()
	build, _ := exampleBuilds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		program := filepath.Join(programsDir, name)
		cmd := exec.Command("go", "build", "-o", program, ".")
		cmd.Dir = filepath.Join("..", "examples", name)
		cmd.Env = append(os.Environ(), "GOTOOLCHAIN=auto") // the storefront's module may need a newer Go
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return program, nil
	}))
	program, err := build.(func() (string, error))()
	require.NoError(t, err)
	return program
}

// startShop starts a shop, and reads the shop's address from the shop's log.
// When the test ends, startShop interrupts the shop.
func startShop(t *testing.T, cmd *exec.Cmd, shopLog io.Reader) (address string) {
	t.Helper()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), "the shop stops without an error after an interrupt")
	})
	shop := regexp.MustCompile(`shop=(http://[^/\s]+)/`)
	lines := bufio.NewScanner(shopLog)
	for address == "" && lines.Scan() {
		if found := shop.FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, shopLog) }() // a full pipe would block the shop
	require.NotEmpty(t, address)
	return address
}
