// Command bench measures package plural, compares it with code written by hand
// and with other SDKs, and writes docs/performance.md and
// docs/performance-results.md. See README.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	testing.Init()
	rounds := flag.Int("rounds", 8, "how often each case is measured")
	each := flag.String("time", "100ms", "how long a case is measured in one round")
	only := flag.String("only", "", "measure only the suites whose title matches this regular expression")
	out := flag.String("out", "", "write the measurements to this file, as JSON, for -page")
	page := flag.String(
		"page", "", "do not measure; write the page from the result files in the arguments, the oldest Go version first",
	)
	results := flag.String("results", "", "with -page: write every table to this file, which the page links to")
	chart := flag.String("chart", "", "with -page: write the chart to this file")
	flag.Parse()
	var err error
	if *page != "" {
		err = writePage(*page, *results, *chart, flag.Args())
	} else {
		err = measure(*rounds, *each, *only, *out)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func measure(rounds int, each, only, out string) error {
	if err := flag.Set("test.benchtime", each); err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if out != "" { // create the folder before the measurements, which take minutes
		if err := os.MkdirAll(filepath.Dir(out), 0o750); err != nil {
			return err
		}
	}
	run := newRun(rounds)
	for _, s := range suites() {
		if !wanted.MatchString(s.Title) {
			continue
		}
		result, err := s.runRounds(rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Title, err)
		}
		run.Suites = append(run.Suites, result)
		fmt.Println(result.formatTable())
	}
	if wanted.MatchString(refreshTitle) {
		run.Refresh = measureRefresh()
		fmt.Println(run.Refresh.formatTable())
	}
	if out == "" {
		return nil
	}
	text, err := json.MarshalIndent(run, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o600)
}

func suites() []suite {
	all := callSuites()
	all = append(all, connectionSuite())
	all = append(all, webhookSuites()...)
	all = append(all, callbackSuite())
	all = append(all, codecSuites()...)
	return append(all, tokenSuites()...)
}
