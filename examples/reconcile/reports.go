package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

// reportList is a reconcile.Report. It passes everything that it receives to
// several reports. The files of these reports get their final names at the end,
// so nobody reads half a report.
type reportList struct {
	each    []reconcile.Report
	summary *summary
	page    *page
	files   []file
}

type file struct {
	*os.File

	name string
}

func (r *reportList) create(name string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return nil, err
	}
	r.files = append(r.files, file{f, name})
	return f, nil
}

func (r *reportList) all(do func(reconcile.Report) error) (err error) {
	for _, one := range r.each {
		err = errors.Join(err, do(one))
	}
	return err
}

func (r *reportList) Result(res reconcile.Result) error {
	return r.all(func(one reconcile.Report) error { return one.Result(res) })
}

func (r *reportList) Unexplained(l *plural.SettlementLine) error {
	return r.all(func(one reconcile.Report) error { return one.Unexplained(l) })
}

func (r *reportList) Transfer(t *reconcile.Transfer) error {
	return r.all(func(one reconcile.Report) error { return one.Transfer(t) })
}

func (r *reportList) Close() error {
	return r.all(func(one reconcile.Report) error { return one.Close() })
}

// publish gives the files their final names.
func (r *reportList) publish() (err error) {
	if r.page != nil {
		err = r.page.write(r.summary)
	}
	for _, f := range r.files {
		err = errors.Join(err, finish(f.File, f.name, err))
	}
	return err
}

var errDiscarded = errors.New("the run has failed")

// discard removes the files that were written.
func (r *reportList) discard() {
	for _, f := range r.files {
		_ = finish(f.File, f.name, errDiscarded)
	}
}

// summary counts the results of the run.
type summary struct {
	Settled, Differs, NotSeen, Unknown     int
	Lines                                  int // lines that nothing explains
	Settlements, Unread                    int
	Arrived, ArrivedOtherwise, NotThereYet int

	Unlisted error // why some settlements could not be listed
	Seen     plural.Days
	At       time.Time
	Requests int64
	Took     time.Duration
}

func (s *summary) Result(res reconcile.Result) error {
	switch res.Outcome {
	case reconcile.Settled:
		s.Settled++
	case reconcile.Differs:
		s.Differs++
	case reconcile.NotSeen:
		s.NotSeen++
	case reconcile.Unknown:
		s.Unknown++
	}
	return nil
}

func (s *summary) Unexplained(*plural.SettlementLine) error {
	s.Lines++
	return nil
}

func (s *summary) Transfer(t *reconcile.Transfer) error {
	s.Settlements++
	if t.Err != nil {
		s.Unread++
	}
	switch t.Bank.Arrival {
	case reconcile.Arrived:
		s.Arrived++
	case reconcile.ArrivedOtherwise:
		s.ArrivedOtherwise++
	case reconcile.NotThereYet:
		s.NotThereYet++
	}
	return nil
}

func (s *summary) Close() error { return nil }

// exitCode returns the exit code of the program. If something differs, this is
// the code for a difference, even if something else could not be checked.
func (s *summary) exitCode() int {
	switch {
	case s.Differs+s.Lines+s.ArrivedOtherwise > 0:
		return somethingDiffers
	case s.Unknown+s.Unread > 0 || s.Unlisted != nil:
		return notFoundOut
	}
	return allAgrees
}

// Payments returns the number of payments.
func (s *summary) Payments() int { return s.Settled + s.Differs + s.NotSeen + s.Unknown }

// Verdict describes the result of the run in a few words.
func (s *summary) Verdict() string {
	switch s.exitCode() {
	case somethingDiffers:
		return "Something differs"
	case notFoundOut:
		return "Not everything could be found out"
	}
	return "All agrees"
}

func (s *summary) String() string {
	text := fmt.Sprintf("%s. %d payments: %d settled, %d not seen yet, %d differ, %d unknown. "+
		"%d settlements, %d of them not read whole; %d lines that nothing explains. %d requests in %s.",
		s.Verdict(), s.Payments(), s.Settled, s.NotSeen, s.Differs, s.Unknown,
		s.Settlements, s.Unread, s.Lines, s.Requests, s.Took.Round(time.Millisecond))
	if s.Unlisted != nil {
		text += fmt.Sprintf(" Not all settlements could be listed: %v.", s.Unlisted)
	}
	return text
}
