//go:build unix

// Package servertest starts real servers for the tests of the modules around
// package plural: one for each test, on a free loopback port, in a folder that
// is removed afterwards.
//
// It uses only the standard library. It is in the SDK's module, so the modules
// under contrib/ can import it wherever they are built; nothing that a merchant
// imports uses it.
package servertest

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// server is a program that a test runs.
type server struct {
	tb      testing.TB
	cmd     *exec.Cmd
	command func() *exec.Cmd
	ready   func() bool
	quick   syscall.Signal // ends it without cleaning up
}

// Start starts it, or starts it again on its data on disk.
func (s *server) Start() {
	s.tb.Helper()
	s.cmd = s.command()
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	const patience = 30 * time.Second
	for end := time.Now().Add(patience); !s.ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.tb.Fatalf("%s does not answer", s.cmd.Path)
		}
	}
}

// Stop ends it at once, as a crash of the machine would.
func (s *server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Signal(s.quick)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Hang leaves it running without answering, until Resume.
func (s *server) Hang() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Hang.
func (s *server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// freeAddr is a loopback address that was free a moment ago.
func freeAddr(tb testing.TB) (host, port string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return host, port
}

// missing skips a test whose server is not installed; in CI the test fails
// instead.
func missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf("%s is not installed", what)
	}
	tb.Skipf("%s is not installed", what)
}
