//go:build unix

package servertest

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Redis is a redis-server that writes every change to a file before it answers,
// so its data survives a kill of the process.
type Redis struct {
	server

	Addr string
}

// StartRedis starts a server for the test.
func StartRedis(tb testing.TB) *Redis {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		skipWithout(tb, "redis-server")
	}
	host, port := freeAddr(tb)
	dir := tb.TempDir()
	r := &Redis{Addr: net.JoinHostPort(host, port)}
	r.server = server{
		tb: tb, quick: syscall.SIGKILL,
		command: func() *exec.Cmd {
			return exec.Command(
				binary, "--bind", host, "--port", port, "--dir", dir,
				"--save", "", "--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction",
			)
		},
		ready: func() bool { return answersPing(r.Addr) },
	}
	tb.Cleanup(r.Stop)
	r.Start()
	return r
}

func answersPing(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	answer := make([]byte, len("+PONG"))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, _ := conn.Read(answer)
	return string(answer[:n]) == "+PONG"
}
