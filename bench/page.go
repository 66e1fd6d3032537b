package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// run has all measurements of one Go version.
type run struct {
	Go      string         `json:"go"`
	Machine string         `json:"machine"`
	Date    string         `json:"date"`
	Rounds  int            `json:"rounds"`
	Suites  []*suiteResult `json:"suites"`
	Refresh *refreshResult `json:"refresh,omitzero"`
}

func newRun(rounds int) *run {
	return &run{
		Go: runtime.Version(), Machine: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Date: time.Now().UTC().Format(time.DateOnly), Rounds: rounds,
	}
}

func (r *run) suite(title string) *suiteResult {
	at := slices.IndexFunc(r.Suites, func(s *suiteResult) bool { return s.Title == title })
	if at < 0 {
		return &suiteResult{}
	}
	return r.Suites[at]
}

// writePage writes docs/performance.md, the tables that it links to and the
// chart. It reads the files of one or more runs. The run with the oldest Go
// comes first.
func writePage(page, results, chart string, files []string) error {
	if len(files) == 0 || page == "" || results == "" || chart == "" {
		return errors.New("-page needs -results, -chart and the files of the runs")
	}
	runs := make([]*run, 0, len(files))
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // the user of the command chooses the file
		if err != nil {
			return err
		}
		one := &run{}
		if err := json.Unmarshal(text, one); err != nil {
			return err
		}
		runs = append(runs, one)
	}
	if err := drawChart(chart, runs); err != nil {
		return err
	}
	for name, text := range map[string]string{
		page: pageOf(runs, filepath.Base(results), filepath.Base(chart)), results: resultsOf(runs, filepath.Base(page)),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // a page of the repository
			return err
		}
	}
	return nil
}

// summaryRow is a row of the table in the page's summary.
type summaryRow struct {
	work, title, name string
	most              float64 // the aim for the ratio
}

func summaryRows() []summaryRow {
	return []summaryRow{
		{"Capture, in memory", callTitle("Capture", inMemory, 0), "plural", 0.5},
		{"Capture, over HTTP/1.1", callTitle("Capture", overH1, 0), "plural", 0.8},
		{"Create, over HTTP/1.1", callTitle("Create", overH1, 0), "plural", 1},
		{"Capture, over HTTP/2 with TLS", callTitle("Capture", overH2, 0), "plural", 0.85},
		{"An order decoded", decodeTitle, "plural, Order.UnmarshalJSON", 0.4},
		{"Webhook signature, 2.5 KB", signatureTitle(2560), "plural", 1.15},
		{"Webhook signature, 2.5 KB, with NewVerifier(secret)", signatureTitle(2560), "plural, NewVerifier(secret)", 1.15},
		{"Webhook event, 2.5 KB", eventTitle(2560), "plural", 0.5},
		{"Webhook event and its order, 2.5 KB", orderTitle(2560), "plural, with Event.Order", 0.5},
		{"Callback", callbackTitle, "plural", 1.5},
		{"Token read, 64 goroutines", tokenTitle(64), "plural", 1.1},
	}
}

// pageTable describes a table of the page. The table has a row for each suite
// and a column for each case.
type pageTable struct {
	title  string
	suites []string // the beginnings of the suites' titles
}

func pageTables() []pageTable {
	return []pageTable{
		{"Captures", []string{"Capture, "}},
		{"Reads and new orders", []string{"Get, ", "Create, "}},
		{"Connections", []string{connectionsTitle}},
		{"Signatures of webhooks", []string{"Webhook signature, "}},
		{"Events", []string{"Webhook event, "}},
		{"Events and their orders", []string{"Webhook event and its order, "}},
		{"Callbacks", []string{callbackTitle}},
		{"Decoding", []string{decodeTitle}},
		{"Encoding", []string{encodeTitle}},
		{"Tokens", []string{"Token read, "}},
	}
}

// costNote is the part of the page that describes the cost of package
// reconcile. No suite measures that package, because there is no other code to
// compare it with.
const costNote = `For each line of a settlement, package reconcile should take less than 2 µs to find the line's payment
and to work out the result for the payment. An open payment should take less than 1 KB of memory. In a list
of 1,000,000 lines, a line may take up to five times as long as in a list of 10,000 lines, because the longer
list does not fit into the processor's cache. "go test -bench Matcher ./reconcile" measures these times and
the memory. The benchmark fails if a line in the longer list takes more than five times as long as a line in
the shorter list.
`

// namesNote explains the names of some cases and suites.
const namesNote = `The first column of figures in each table is the baseline. "By hand" means code that was
written by hand for this comparison.

In the table "Connections", each client uses its own default transport ("as shipped"). The code written by
hand is measured twice: with a connection pool that has room for all connections ("a sized pool"), and with
the default transport of net/http. In the table "Events and their orders", the code written by hand calls
json.Unmarshal twice: once for the event, and once for the order in the event.

`

func pageOf(runs []*run, results, chart string) string {
	first, last := runs[0], runs[len(runs)-1]
	var b strings.Builder
	b.WriteString("# Performance\n\n" +
		"This page compares the speed of this package with the speed of code written by hand, and of other SDKs.\n" +
		"It shows the cost of calls, signatures and tokens. `make bench` measures the cost and writes this page. The\n" +
		"code is in `bench/`. The README there explains how the program measures.\n\n" +
		"Every figure is a ratio of two durations measured in the same round: the case's duration divided by that of\n" +
		"its baseline case. The tables have the median of all rounds. A smaller figure is faster.\n\n")
	fmt.Fprintf(&b, "Measured on %s (%s), %d rounds. [All tables](%s), with intervals, memory and noise.\n\n",
		last.Date, last.Machine, last.Rounds, results)
	b.WriteString("## In short\n\n| time of package plural, divided by the time of code written by hand | aim |")
	for _, r := range runs {
		fmt.Fprintf(&b, " %s |", shortVersion(r.Go))
	}
	b.WriteString("\n|---|---:|" + strings.Repeat("---:|", len(runs)) + "\n")
	for _, row := range summaryRows() {
		fmt.Fprintf(&b, "| %s | %.2f |", row.work, row.most)
		for _, r := range runs {
			fmt.Fprintf(&b, " %.2f |", r.suite(row.title).medianRatio(row.name))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe code written by hand uses `encoding/json`, which is faster in the newer version of Go.\n" +
		"\"In memory\" means that there is no network, and the transport answers at once.\n\n" +
		"![Bars that show the time of a capture for each SDK, in memory, over HTTP/1.1 and over HTTP/2](" + chart + ")\n\n")
	fmt.Fprintf(&b, "## By kind of work, on %s\n\n"+namesNote, shortVersion(first.Go))
	for _, t := range pageTables() {
		b.WriteString(t.formatTable(first))
	}
	b.WriteString(first.Refresh.formatTable())
	b.WriteString("\n### Reconciling\n\n" + costNote)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// formatTable returns the table in Markdown. A cell shows the time of one case,
// divided by the time of the first case of the same suite. The table leaves out
// the second measurement of the first case.
func (t pageTable) formatTable(r *run) string {
	var found []*suiteResult
	var names []string
	for _, s := range r.Suites {
		if !slices.ContainsFunc(t.suites, func(title string) bool { return strings.HasPrefix(s.Title, title) }) {
			continue
		}
		found = append(found, s)
		for _, c := range s.Cases {
			if !slices.Contains(names, c.Name) && !strings.HasSuffix(c.Name, "(again)") {
				names = append(names, c.Name)
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("### " + t.title + "\n\n| |")
	for _, name := range names {
		b.WriteString(" " + name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(names)) + "\n")
	for _, s := range found {
		b.WriteString("| " + s.Title + " |")
		for _, name := range names {
			ratio := ""
			if r := s.medianRatio(name); r > 0 {
				ratio = fmt.Sprintf(" %.2f", r)
			}
			b.WriteString(ratio + " |")
		}
		b.WriteString("\n")
	}
	return b.String() + "\n"
}

// resultsOf writes every table of every run. The run with the newest Go comes
// first.
func resultsOf(runs []*run, page string) string {
	var b strings.Builder
	b.WriteString("# Performance: all tables\n\n" +
		"`make bench` writes this file. The summary is in [" + page + "](" + page + ").\n\n" +
		"In each table, the other cases are compared with the case at 1.00–1.00. In most tables, that case is measured\n" +
		"a second time, and the second measurement has \"(again)\" in its name. Both measure the same code, so the\n" +
		"difference between the two is noise. Any smaller difference is noise, too.\n\n")
	for _, r := range slices.Backward(runs) {
		fmt.Fprintf(&b, "## %s\n\n", shortVersion(r.Go))
		for _, s := range r.Suites {
			b.WriteString(s.formatTable() + "\n")
		}
		if table := r.Refresh.formatTable(); table != "" {
			b.WriteString(table + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func shortVersion(version string) string {
	return strings.Replace(cmp.Or(strings.Fields(version)...), "go", "Go ", 1)
}
