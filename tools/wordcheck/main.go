// Command wordcheck finds phrases that CONTRIBUTING.md advises against, in Go
// comments and in Markdown.
//
//	wordcheck -table CONTRIBUTING.md FILE...
//
// The phrases are in the table under the heading "Words". The first column has
// the phrases in backticks. The second column says what to write instead.
package main

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
)

const heading = "## Words\n"

func main() {
	table := flag.String("table", "CONTRIBUTING.md", "the `file` with the table")
	flag.Parse()
	found, err := run(*table, flag.Args())
	for _, f := range found {
		fmt.Println(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || len(found) > 0 {
		os.Exit(1)
	}
}

func run(table string, files []string) ([]string, error) {
	text, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	phrases := readTable(string(text))
	if len(phrases) == 0 {
		return nil, fmt.Errorf("%s: no phrases under %q", table, strings.TrimSpace(heading))
	}
	var found []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		prose := markdownText(string(text))
		if strings.HasSuffix(name, ".go") {
			if prose, err = commentText(name, text); err != nil {
				return nil, err
			}
		}
		found = append(found, findPhrases(name, prose, phrases)...)
	}
	return found, nil
}

// A phrase is found in upper and lower case, and even if it continues on the
// next line.
type phrase struct {
	text, better string
	pattern      *regexp.Regexp
}

var quoted = regexp.MustCompile("`([^`\n]+)`")

func readTable(text string) []phrase {
	_, section, _ := strings.Cut(text, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	var phrases []phrase
	for row := range strings.Lines(section) {
		columns := strings.Split(row, "|")
		if len(columns) != 4 {
			continue
		}
		for _, match := range quoted.FindAllStringSubmatch(columns[1], -1) {
			words := strings.Fields(match[1])
			for i := range words {
				words[i] = regexp.QuoteMeta(words[i])
			}
			phrases = append(phrases, phrase{
				text:    match[1],
				better:  strings.TrimSpace(columns[2]),
				pattern: regexp.MustCompile(`(?i)\b` + strings.Join(words, `\s+`) + `\b`),
			})
		}
	}
	return phrases
}

// findPhrases finds the phrases in a text, and returns a message for each
// place. The parameter prose is the text. Each of its lines has the same number
// as in the file.
func findPhrases(name, prose string, phrases []phrase) []string {
	var found []string
	for _, p := range phrases {
		for _, at := range p.pattern.FindAllStringIndex(prose, -1) {
			line := 1 + strings.Count(prose[:at[0]], "\n")
			found = append(found, fmt.Sprintf("%s:%d: %q: better %s", name, line, p.text, p.better))
		}
	}
	return found
}

// commentText returns the comments of a Go file. Each comment has the same line
// numbers in the returned text as in the file.
func commentText(name string, text []byte) (string, error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ParseComments)
	if err != nil {
		return "", err
	}
	lines := make([]string, 1+strings.Count(string(text), "\n"))
	for _, group := range f.Comments {
		for _, c := range group.List {
			first := files.PositionFor(c.Pos(), false).Line - 1
			for i, line := range strings.Split(c.Text, "\n") {
				lines[first+i] = strings.TrimPrefix(line, "//")
			}
		}
	}
	return strings.Join(lines, "\n"), nil
}

// markdownText returns the text of a Markdown file without its code.
func markdownText(text string) string {
	lines := strings.Split(text, "\n")
	isCode := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			isCode = !isCode
		}
		if fence || isCode {
			lines[i] = ""
		}
	}
	return quoted.ReplaceAllString(strings.Join(lines, "\n"), "`code`")
}
