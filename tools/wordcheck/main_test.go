package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const table = "# Contributing\n\n## Words\n\n| Not | Better |\n| --- | --- |\n" +
	"| `says whether`, `tells whether` | reports whether |\n| a riddle | what is meant |\n| `anew` | again |\n\n" +
	"## Next\n\n| `the` | not in the table |\n"

func TestPhrases(t *testing.T) {
	for name, test := range map[string]struct {
		file, text string
		want       []string
	}{
		"a comment over two lines": {
			"a.go", "package a\n\n// f says\n// whether it is so.\nfunc f() {}\n",
			[]string{`a.go:3: "says whether": better reports whether`},
		},
		"a comment behind code": {
			"a.go", "package a\n\nvar b = 1 // begins Anew\n",
			[]string{`a.go:3: "anew": better again`},
		},
		"a block comment": {
			"a.go", "package a\n\n/* f\n\ttells whether */\nfunc f() {}\n",
			[]string{`a.go:4: "tells whether": better reports whether`},
		},
		"code and strings": {"a.go", "package a\n\nvar anew = \"says whether\"\n", nil},
		"a longer word":    {"a.go", "package a // canew anewt\n", nil},
		"Markdown":         {"a.md", "# Anew\n", []string{`a.md:1: "anew": better again`}},
		"code in Markdown": {"a.md", "The word `anew`.\n\n```\nanew\n```\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "CONTRIBUTING.md", table)
			write(t, test.file, test.text)
			got, err := run("CONTRIBUTING.md", []string{test.file})
			if err != nil || !slices.Equal(got, test.want) {
				t.Fatalf("%v, %q; want %q", err, got, test.want)
			}
		})
	}
}

func TestNoTable(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "CONTRIBUTING.md")
	write(t, file, "# Contributing\n")
	if _, err := run(file, nil); err == nil {
		t.Fatal("no error, although the file has no table of phrases")
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
