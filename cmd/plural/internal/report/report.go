// Package report writes the results of a run of the probe. The program has a
// list of possible answers for each question. If this list has the account's
// answer, the report shows the answer. The report also shows details such as
// statuses and durations. Each detail is a value of the type fact.Fact. Nothing
// else from Plural's answers gets into a report.
package report

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/plural-go/plural/cmd/plural/internal/probe"
)

//go:embed *.tmpl
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"quoted": jsonString,
	"cell":   func(text string) string { return strings.ReplaceAll(text, "|", `\|`) },
}).ParseFS(files, "*.tmpl"))

// jsonString encodes a text as a JSON string.
func jsonString(text string) (string, error) {
	encoded, err := json.Marshal(text)
	return string(encoded), err
}

// Report has the values that a template shows.
type Report struct {
	Program string // version
	SDK     string // version
	Where   string // "UAT" or "emulator"
	Rows    []Row
}

// Row is one question with its result.
type Row struct {
	probe.Result
	Asks    string
	Do      string // what to do after this answer; "" if the table does not list the answer
	Assumed string
}

// New makes a report from the results and their questions.
func New(program, sdk string, isEmulator bool, results []probe.Result) *Report {
	r := &Report{Program: program, SDK: sdk, Where: "UAT"}
	if isEmulator {
		r.Where = "emulator"
	}
	byID := map[string]probe.Result{}
	for _, result := range results {
		byID[result.ID] = result
	}
	for _, q := range probe.Questions() {
		result, ok := byID[q.ID]
		if !ok {
			continue
		}
		row := Row{Result: result, Asks: q.Asks, Assumed: q.Assumed}
		for _, answer := range q.Answers {
			if answer.Is == result.Answer {
				row.Do = answer.Do
			}
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}

// Count returns the number of rows with the given state.
func (r *Report) Count(state probe.State) int {
	n := 0
	for _, row := range r.Rows {
		if row.State == state {
			n++
		}
	}
	return n
}

// FactsLine returns a row's facts in one line.
func (r Row) FactsLine() string {
	facts := make([]string, 0, len(r.Facts))
	for _, f := range r.Facts {
		facts = append(facts, fmt.Sprintf("%s: %s", f.Name(), f.Text()))
	}
	return strings.Join(facts, "; ")
}

// The method Markdown writes the report in Markdown, for an issue of the
// repository.
func (r *Report) Markdown(w io.Writer) error { return pages.ExecuteTemplate(w, "report.md.tmpl", r) }

// The method JSON writes the report in JSON, for other programs.
func (r *Report) JSON(w io.Writer) error { return pages.ExecuteTemplate(w, "report.json.tmpl", r) }
