//go:build unix

package servertest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// roleVariable is the environment variable that tells a child process its role.
const roleVariable = "PLURAL_TEST_ROLE"

// Role returns the role of this process. It is "" for the process that runs the
// tests. If a test binary has roles, its TestMain calls Role first.
func Role() string { return os.Getenv(roleVariable) }

// Process is another process that runs the binary of a test.
type Process struct {
	tb  testing.TB
	cmd *exec.Cmd
	out *bufio.Reader
	in  io.Writer
}

// StartProcess starts the test's binary again, in a role, with additional
// environment variables. The process is killed when the test ends.
func StartProcess(tb testing.TB, role string, env ...string) *Process {
	tb.Helper()
	binary, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return StartProgram(tb, binary, role, env...)
}

// StartProgram does the same as StartProcess, with the binary of another test.
func StartProgram(tb testing.TB, binary, role string, env ...string) *Process {
	tb.Helper()
	cmd := exec.Command(filepath.Clean(binary))
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &Process{tb: tb, cmd: cmd, out: bufio.NewReader(out), in: in}
	tb.Cleanup(p.Kill)
	return p
}

// Line returns the next line that the process prints. It returns "" if the
// process ends first.
func (p *Process) Line() string {
	line, _ := p.out.ReadString('\n')
	return strings.TrimSpace(line)
}

// Tell writes a line to the process.
func (p *Process) Tell(line string) { _, _ = fmt.Fprintln(p.in, line) }

// Kill kills the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	p.Wait()
}

// Wait waits until the process has ended.
func (p *Process) Wait() { _ = p.cmd.Wait() }
