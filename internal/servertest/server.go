//go:build unix

// Package servertest starts real servers for the tests of the modules around
// package plural. Each test gets a server of its own, on a free loopback port
// and in a folder that is removed afterwards.
//
// The package uses only the standard library. It is in the SDK's module, so the
// modules under contrib/ can import it even when they are built outside this
// repository. No package for merchants imports it.
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
	quick   syscall.Signal // the signal that ends the program before it can clean up
}

// Start starts the server. If the server ran before, it still has its data.
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

// Stop ends the server at once, as a crash of the machine would.
func (s *server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Signal(s.quick)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Hang suspends the server, so it does not answer until Resume.
func (s *server) Hang() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets the server run again after Hang.
func (s *server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// freeAddr returns a loopback address that was free a moment ago.
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

// skipWithout skips a test because the server that it needs is not installed.
// In CI the test fails instead.
func skipWithout(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf("%s is not installed", what)
	}
	tb.Skipf("%s is not installed", what)
}
