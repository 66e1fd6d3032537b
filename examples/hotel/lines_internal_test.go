package main

import (
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything about Plural is in one file, and that file is short.
func TestOneFileKnowsOfPlural(t *testing.T) {
	t.Parallel()
	const most = 200
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var knows []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, imported := range file.Imports {
			if strings.Contains(imported.Path.Value, "plural-go/plural") {
				knows = append(knows, path)
				break
			}
		}
	}
	require.Equal(t, []string{"plural.go"}, knows)
	n := codeLines(t, "plural.go")
	require.Greater(t, n, most/2)
	require.LessOrEqual(t, n, most)
}

// The code and the tables on docs/together.md are copies of the hotel's code
// and tables. The layout and the comments of the copies may differ.
func TestThePageShowsTheHotel(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/together.md")
	require.NoError(t, err)
	var sources strings.Builder
	for _, path := range []string{"plural.go", "hotel.go", "schema.sql"} {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		sources.Write(source)
	}
	comment := regexp.MustCompile(`(?m)//.*$`)
	words := func(code string) string {
		return strings.Join(strings.Fields(comment.ReplaceAllString(code, "")), " ")
	}
	shown := regexp.MustCompile("(?s)```(?:go|sql)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, shown, 11)
	hotel := words(sources.String())
	for _, block := range shown {
		require.Contains(t, hotel, words(block[1]))
	}
}

// codeLines counts the lines of a file that have code.
func codeLines(t *testing.T, path string) int {
	t.Helper()
	source, err := os.ReadFile(path)
	require.NoError(t, err)
	files := token.NewFileSet()
	file := files.AddFile(path, -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	lines := map[int]bool{}
	for {
		at, tok, text := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue
		}
		first := file.Line(at)
		for n := range strings.Count(text, "\n") + 1 { // a raw string can have several lines
			lines[first+n] = true
		}
	}
}
