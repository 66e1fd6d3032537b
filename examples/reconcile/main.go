// Command reconcile finds out whether the money arrived. Run it every night. It
// compares a shop's list of payments with Plural's orders, with the
// settlements, and with the bank's statement. It only reads, and changes
// nothing at Plural.
//
//	export PLURAL_CLIENT_ID=... PLURAL_CLIENT_SECRET=... PLURAL_ENVIRONMENT=uat
//	go run -C examples/reconcile . -list "$PWD/list.csv" \
//		-report report.csv -page report.html -state state.json
//
// The list is CSV with a header: see [testdata/list.csv]. Three columns are
// required: "reference", "captured" and "refunded". The columns "captured" and
// "refunded" have amounts in rupees. Two more columns are optional: "order_id"
// and "payment_id". If a line has both ids, the program need not read the
// payment's order at Plural. List every payment of the last ten days, settled
// or not. Keep an older payment on the list until it is settled. With -orders
// the program reads and compares every order, even if the line has both ids.
//
// The exit code is 0 if all figures agree, 1 if something differs, and 2 if
// something could not be checked. A payment that is not in the settlements yet
// does not count as a difference, because its money comes days later.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

// The exit codes.
const (
	allAgrees        = 0
	somethingDiffers = 1
	notFoundOut      = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The type night has the settings of one run.
type night struct {
	list, statement, report, page, state string

	days       int
	parallel   int
	everyOrder bool
}

func run(ctx context.Context, args []string, in io.Reader, out, log io.Writer) int {
	var n night
	flags := flag.NewFlagSet("reconcile", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&n.list, "list", "-", "the shop's list of payments, CSV; - is the standard input")
	flags.StringVar(&n.statement, "statement", "", "the bank's statement, CSV with the columns utr, amount and day")
	flags.StringVar(&n.report, "report", "-",
		"where the report goes: CSV, or JSON lines if the name ends in .jsonl; - is the standard output, as CSV")
	flags.StringVar(&n.page, "page", "", "the file for the report as an HTML page")
	flags.StringVar(&n.state, "state", "", "the file in which one run stores its state for the next")
	flags.IntVar(&n.days, "days", 10, "how many days of settlements to read, today included")
	flags.IntVar(&n.parallel, "parallel", 1, "how many requests to make at the same time")
	flags.BoolVar(&n.everyOrder, "orders", false, "read the order of every payment on the list")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return allAgrees
		}
		return notFoundOut
	}
	if flags.NArg() > 0 || n.days < 1 || n.parallel < 1 {
		fmt.Fprintln(log, "reconcile: each argument needs a flag, and -days and -parallel must be at least 1")
		return notFoundOut
	}
	counts, err := n.run(ctx, in, out, log)
	if err != nil {
		fmt.Fprintln(log, "reconcile:", strings.TrimPrefix(err.Error(), "reconcile: "))
		return notFoundOut
	}
	return counts.exitCode()
}

func (n night) run(ctx context.Context, in io.Reader, out, log io.Writer) (*summary, error) {
	start, requests := time.Now(), new(atomic.Int64)
	client, err := plural.NewClientFromEnv(plural.WithMiddleware(countRequests(requests)))
	if err != nil {
		return nil, err
	}
	books, err := n.readList(in)
	if err != nil {
		return nil, err
	}
	opts := []reconcile.Option{reconcile.WithParallel(n.parallel), reconcile.WithProgress(newProgressFunc(log))}
	if n.everyOrder {
		opts = append(opts, reconcile.WithEveryOrder())
	}
	if n.statement != "" {
		statement, err := readStatement(n.statement)
		if err != nil {
			return nil, err
		}
		opts = append(opts, reconcile.WithStatement(statement))
	}
	last, err := loadState(n.state)
	if err != nil {
		return nil, err
	}
	report, err := n.openReports(out)
	if err != nil {
		return nil, err
	}
	today := start.In(plural.India())
	days := plural.Days{First: today.AddDate(0, 0, 1-n.days), Last: today}
	from := &listing{Reader: reconcile.FromClient(client)}
	next, err := reconcile.Run(ctx, from, books, days, last, report, opts...)
	if err != nil {
		report.discard()
		return nil, err
	}
	counts := report.summary
	counts.Seen, counts.Requests, counts.Took = next.Seen, requests.Load(), time.Since(start)
	counts.At, counts.Unlisted = today, from.failure
	if err := report.publish(); err != nil {
		return nil, err
	}
	// The state is saved in the last step. So everything in the saved state
	// was reported.
	if err := saveState(n.state, next); err != nil {
		return nil, err
	}
	fmt.Fprintln(log, counts)
	return counts, nil
}

// The type listing is a Reader. If settlements could not be listed, its field
// failure has the error. The report does not show that error if no payment
// depends on these settlements.
type listing struct {
	reconcile.Reader

	failure error
}

func (l *listing) List(ctx context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error] {
	return func(yield func(*plural.Settlement, error) bool) {
		for row, err := range l.Reader.List(ctx, d) {
			if err != nil {
				l.failure = err
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// countRequests makes a middleware that counts the requests.
func countRequests(n *atomic.Int64) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			n.Add(1)
			return next.RoundTrip(r)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newProgressFunc returns a function that shows the progress of the run. If log
// is not a terminal, the function shows nothing.
func newProgressFunc(log io.Writer) func(reconcile.Progress) {
	file, ok := log.(*os.File)
	if !ok {
		return func(reconcile.Progress) {}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(reconcile.Progress) {}
	}
	var shown *progressbar.ProgressBar
	stage := ""
	return func(p reconcile.Progress) {
		if p.Stage != stage {
			stage = p.Stage
			shown = progressbar.NewOptions(p.Total, progressbar.OptionSetWriter(file),
				progressbar.OptionSetDescription(fmt.Sprintf("%-13s", stage)), progressbar.OptionShowCount(),
				progressbar.OptionSetPredictTime(true), progressbar.OptionOnCompletion(func() { fmt.Fprintln(file) }))
		}
		_ = shown.Set(p.Done)
	}
}

// openReports opens the files that the run writes.
func (n night) openReports(out io.Writer) (*reportList, error) {
	r := &reportList{summary: &summary{}}
	if n.report == "-" {
		r.each = append(r.each, reconcile.NewCSV(out))
	} else {
		f, err := r.create(n.report)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(n.report, ".jsonl") {
			r.each = append(r.each, reconcile.NewJSONLines(f))
		} else {
			r.each = append(r.each, reconcile.NewCSV(f))
		}
	}
	if n.page != "" {
		f, err := r.create(n.page)
		if err != nil {
			r.discard()
			return nil, err
		}
		r.page = &page{to: f}
		r.each = append(r.each, r.page)
	}
	r.each = append(r.each, r.summary)
	return r, nil
}
