package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test checks how the shop's code is divided. Only store.go has SQL. The
// code for decisions has no SQL and no pages. No type has too many methods.
func TestTheHouse(t *testing.T) {
	t.Parallel()
	const most = 20
	sql := regexp.MustCompile(`(?m)\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b`)
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	methods := map[string]int{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, path == "store.go", sql.Match(text), "%s and SQL", path)
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil {
				methods[nameOf(f.Recv.List[0].Type)]++
			}
		}
		switch path {
		case "bank.go", "books.go", "decisions.go", "desk.go", "orders.go", "store.go", "till.go", "twins.go", "webhook.go":
			for _, imported := range file.Imports {
				require.NotEqual(t, `"net/http"`, imported.Path.Value, path)
			}
		}
	}
	require.Positive(t, methods["shop"])
	for name, n := range methods {
		require.LessOrEqual(t, n, most, name)
	}
}

func nameOf(receiver ast.Expr) string {
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	name, _ := receiver.(*ast.Ident)
	return name.Name
}
