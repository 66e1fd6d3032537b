package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

func TestReadDrawing(t *testing.T) {
	t.Parallel()
	positions, err := readDrawing(
		"text\n" + opening + "\n\n    a.go b.go   words like x.go do not count\n    c.go\n\nmore\n\n    d.go\n",
	)
	if err != nil {
		t.Fatal(err)
	}
	if len(positions) != 3 || positions["a.go"] > positions["b.go"] || positions["b.go"] > positions["c.go"] {
		t.Fatalf("got %v", positions)
	}
	for name, text := range map[string]string{
		"no line":    "    a.go\n",
		"no drawing": opening + "\nwords\n",
		"twice":      opening + "\n    a.go\n    a.go\n",
	} {
		if _, err := readDrawing(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestArrows(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	var files []*ast.File
	for name, source := range map[string]string{
		"low.go":  "package p\n\ntype T struct{ field int }\n\nfunc (T) method() { high() }\n",
		"high.go": "package p\n\nfunc high() { T{field: 1}.method() }\n",
	} {
		f, err := parser.ParseFile(fset, name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	p, err := new(types.Config).Check("p", fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range listArrows(fset, p, info) {
		got = append(got, a.from+">"+a.what)
	}
	if want := "high.go>T high.go>field high.go>method low.go>high"; strings.Join(got, " ") != want {
		t.Fatalf("got %v, want %s", got, want)
	}
}
