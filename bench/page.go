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

// writePage writes docs/performance.md, and the chart, from the files of one or
// more runs. Runs other than the last are only in the summary.
func writePage(page, chart string, files []string) error {
	if len(files) == 0 {
		return errors.New("-page needs the files of the runs")
	}
	runs := make([]*run, 0, len(files))
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // named by who runs the command
		if err != nil {
			return err
		}
		one := &run{}
		if err := json.Unmarshal(text, one); err != nil {
			return err
		}
		runs = append(runs, one)
	}
	if chart != "" {
		if err := drawChart(chart, runs); err != nil {
			return err
		}
	}
	relative, err := filepath.Rel(filepath.Dir(page), chart)
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(pageOf(runs, relative)), 0o644) //nolint:gosec // a page of the repository
}

// goal is a line of the summary.
type goal struct {
	work, title, name string
	most              float64 // 0: no goal
}

func goals() []goal {
	return []goal{
		{"Capture, in memory", callTitle("Capture", inMemory, 0), "plural", 0.45},
		{"Capture, over HTTP/1.1", callTitle("Capture", overH1, 0), "plural", 0.75},
		{"Capture, over HTTP/2 with TLS", callTitle("Capture", overH2, 0), "plural", 0.85},
		{"An order decoded", decodeTitle, "plural, Order.UnmarshalJSON", 0.4},
		{"Webhook signature, 2.5 KB", signatureTitle(2560), "plural", 1.15},
		{"Webhook signature, as NewVerifier(secret) ships", signatureTitle(2560), "plural, NewVerifier(secret)", 1.15},
		{"Webhook event, 2.5 KB", eventTitle(2560), "plural", 0.5},
		{"Webhook event and its order, 2.5 KB", orderTitle(2560), "plural, with Event.Order", 0.5},
		{"Callback", callbackTitle, "plural", 1.5},
		{"Token read, 64 goroutines", tokenTitle(64), "plural", 1.1},
	}
}

func pageOf(runs []*run, chart string) string {
	last := runs[len(runs)-1]
	var b strings.Builder
	b.WriteString("# Performance\n\n" +
		"What a call, a signature and a token cost, beside the same work written by hand and beside other SDKs.\n" +
		"`make bench` measures it and writes this page; `bench/` has the code, and its README says how it measures.\n\n" +
		"Every figure is a ratio: the time of a case divided by that of the first one named, taken within one round, and\n" +
		"the median of all rounds. Less is faster. Rows that end in \"(again)\" are the same code measured twice: what\n" +
		"they differ by is noise, and so is any smaller difference.\n\n")
	fmt.Fprintf(&b, "Measured on %s (%s), %d rounds.\n\n", last.Date, last.Machine, last.Rounds)
	b.WriteString("## In short\n\n| plural, by what it is compared with | aim |")
	for _, r := range runs {
		fmt.Fprintf(&b, " %s |", shortVersion(r.Go))
	}
	b.WriteString("\n|---|---:|" + strings.Repeat("---:|", len(runs)) + "\n")
	for _, g := range goals() {
		fmt.Fprintf(&b, "| %s | %.2f |", g.work, g.most)
		for _, r := range runs {
			fmt.Fprintf(&b, " %.2f |", r.suite(g.title).ratio(g.name))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe newer Go's `encoding/json` is faster, and with it what is written by hand.\n\n" +
		"![A capture by SDK and by way to the server](" + chart + ")\n\n")
	for _, r := range slices.Backward(runs) {
		fmt.Fprintf(&b, "## %s\n\n", shortVersion(r.Go))
		for _, s := range r.Suites {
			b.WriteString(s.table() + "\n")
		}
		if table := r.Refresh.table(); table != "" {
			b.WriteString(table + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func shortVersion(version string) string {
	return strings.Replace(cmp.Or(strings.Fields(version)...), "go", "Go ", 1)
}
