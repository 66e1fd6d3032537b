package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const source = `package shop

import "time"

type hidden struct{ Lent int; kept int }

func (hidden) Promoted() {}

type Order struct {
	time.Time
	hidden
	ID    string
	notes []string
}

func (o *Order) Total(currency string) (int64, error) { return 0, nil }

type Amount struct{ Value int64 }

func (a Amount) String() string { return "" }

type Status string

const StatusPaid Status = "PAID"

var ErrGone error

type Store interface {
	Load(key string) ([]byte, error)
	sealed()
}

type Pair[K comparable, V any] struct{ Key K; Val V }

type Alias = map[string]any

func New(opts ...func(*Order)) *Order { return nil }

func internalOnly() {}
`

const wantAPI = `package shop // import "example.com/plural/shop"

const StatusPaid Status = "PAID"
func New(opts ...func(*Order)) *Order
method (*Order) Total(currency string) (int64, error)
method (Amount) String() string
method (Order) Promoted()
type Alias = map[string]any
type Amount struct // comparable
type Amount struct, Value int64
type Order struct
type Order struct, ID string
type Order struct, Lent int
type Order struct, Time time.Time // embedded
type Pair struct, Key K
type Pair struct, Val V
type Pair[K comparable, V any] struct
type Status string
type Store interface // with unexported methods
type Store interface, Load(key string) ([]byte, error)
var ErrGone error
`

func TestGolden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	golden := filepath.Join(dir, "api")
	put(t, filepath.Join(dir, "go.mod"), "module example.com/plural\n\ngo 1.26.0\n")
	put(t, filepath.Join(dir, "shop", "shop.go"), source)
	put(t, filepath.Join(dir, "internal", "inner.go"), "package internal\n\nfunc Secret() {}\n")
	put(t, filepath.Join(dir, "cmd", "main.go"), "package main\n\nfunc main() {}\n")
	put(t, filepath.Join(dir, "desk", "desk_test.go"), "package desk_test\n\nfunc Tests() {}\n")

	var out bytes.Buffer
	if err := run(&out, golden, false, []string{dir}); err == nil {
		t.Fatal("a package without a golden file passed")
	}
	if err := run(&out, golden, true, []string{dir}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(golden, "shop.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != wantAPI {
		t.Errorf("got:\n%s\nwant:\n%s", got, wantAPI)
	}
	if files, _ := filepath.Glob(filepath.Join(golden, "*")); len(files) != 1 {
		t.Errorf("golden files for internal packages or programs: %v", files)
	}
	if err := run(&out, golden, false, []string{dir}); err != nil {
		t.Fatalf("unchanged: %v", err)
	}

	put(t, filepath.Join(dir, "shop", "shop.go"), strings.Replace(source, "Value int64", "Value int32", 1))
	out.Reset()
	if err := run(&out, golden, false, []string{dir}); err == nil {
		t.Error("a changed field passed")
	}
	for _, line := range []string{"  - type Amount struct, Value int64\n", "  + type Amount struct, Value int32\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("missing %q in:\n%s", line, out.String())
		}
	}

	put(t, filepath.Join(dir, "shop", "shop.go"), "package shop\n\nvar X undeclared\n")
	if err := run(&out, golden, false, []string{dir}); err == nil {
		t.Error("a package that does not compile passed")
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
