package main_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// binary is the path of the built program.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(switchesVariable) != "" {
		emulate()
		return
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "plural")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	flag.Parse()
	_ = flag.Set("test.parallel", "12") // many at once, because the runs mostly wait
	binary = filepath.Join(dir, "plural")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(fmt.Errorf("build: %w", err))
	}
	return m.Run()
}

// terminalRun is one run of the program on a terminal.
type terminalRun struct {
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{} // closed when all output was read

	mu     sync.Mutex
	output bytes.Buffer
}

// variablesOf returns the environment variables for an emulator's account.
func variablesOf(srv *pluraltest.Server) []string {
	return []string{
		"PLURAL_CLIENT_ID=" + srv.ClientID,
		"PLURAL_CLIENT_SECRET=" + srv.ClientSecret,
		"PLURAL_BASE_URL=" + srv.URL,
	}
}

// startProgram starts the program with the given variables. The program gets no
// other PLURAL_ variables.
func startProgram(t *testing.T, variables []string, args ...string) *terminalRun {
	t.Helper()
	return startIn(t, t.TempDir(), variables, args...)
}

// startIn does the same as startProgram, but starts the program in the folder
// dir.
func startIn(t *testing.T, dir string, variables []string, args ...string) *terminalRun {
	t.Helper()
	run := &terminalRun{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	run.cmd.Dir = dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PLURAL_") && !strings.Contains(strings.ToUpper(variable), "_PROXY=") {
			run.cmd.Env = append(run.cmd.Env, variable)
		}
	}
	run.cmd.Env = append(run.cmd.Env, "TERM=xterm-256color")
	run.cmd.Env = append(run.cmd.Env, variables...)
	tty, err := pty.StartWithSize(run.cmd, &pty.Winsize{Rows: 50, Cols: 200})
	require.NoError(t, err)
	run.tty = tty
	go func() {
		defer close(run.done)
		_, _ = io.Copy(run, tty) // when the program has ended, a read from its terminal returns an error
	}()
	t.Cleanup(func() {
		_ = run.cmd.Process.Kill()
		_ = tty.Close()
		<-run.done
	})
	return run
}

// The method Write records a part of the program's output.
func (r *terminalRun) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.Write(p)
}

// The method shown returns the text that the terminal has shown so far.
func (r *terminalRun) shown() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.ReplaceAll(r.output.String(), "\r\n", "\n")
}

// The method wait waits until the program has ended.
func (r *terminalRun) wait() (exitCode int, shown string) {
	_ = r.cmd.Wait()
	<-r.done
	return r.cmd.ProcessState.ExitCode(), r.shown()
}
