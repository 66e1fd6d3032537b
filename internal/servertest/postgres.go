//go:build unix

package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// Postgres is a PostgreSQL server with an empty database.
type Postgres struct {
	server

	URL string // the address of the database, with its owner as the user
}

// StartPostgres starts a server for the test. PostgreSQL refuses to run as
// root, so a test that runs as root starts it as Debian's user postgres.
func StartPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	programs := postgresPrograms()
	if programs == "" {
		skipWithout(tb, "PostgreSQL")
	}
	dir, err := os.MkdirTemp("", "plural-postgres-") // other users cannot enter tb.TempDir
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	run := asOther(tb, dir)
	host, port := freeAddr(tb)
	data := filepath.Join(dir, "data")
	initdb := run(filepath.Join(programs, "initdb"), "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	p := &Postgres{URL: fmt.Sprintf("postgres://shop@%s:%s/postgres?sslmode=disable", host, port)}
	p.server = server{
		tb: tb, quick: syscall.SIGQUIT, // SIGKILL would leave the server's child processes running
		command: func() *exec.Cmd {
			return run(filepath.Join(programs, "postgres"), "-D", data, "-h", host, "-p", port, "-k", dir,
				"-c", "max_connections=200", "-c", "fsync=off", "-c", "shared_buffers=32MB")
		},
		ready: func() bool {
			return run(filepath.Join(programs, "pg_isready"), "-h", host, "-p", port, "-U", "shop").Run() == nil
		},
	}
	tb.Cleanup(p.Stop)
	p.Start()
	return p
}

// postgresPrograms returns the folder of initdb and the other programs, or ""
// if they are not installed. Debian does not put them into the PATH.
func postgresPrograms() string {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return ""
	}
	if target, err := filepath.EvalSymlinks(path); err == nil { // the other programs are in the same folder
		path = target
	}
	return filepath.Dir(path)
}

// asOther runs programs in dir as another user if the test runs as root.
func asOther(tb testing.TB, dir string) func(name string, args ...string) *exec.Cmd {
	tb.Helper()
	var attributes *syscall.SysProcAttr
	if os.Getuid() == 0 {
		other, err := user.Lookup("postgres")
		if err != nil {
			skipWithout(tb, "the user postgres")
		}
		uid, _ := strconv.ParseUint(other.Uid, 10, 32)
		gid, _ := strconv.ParseUint(other.Gid, 10, 32)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			tb.Fatal(err)
		}
		attributes = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.SysProcAttr = attributes
		return cmd
	}
}
