package main

import (
	_ "embed"
	"html/template"
	"io"
	"strings"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"rupees": plural.Amount.Display,
	"day": func(t plural.LocalTime) string {
		day, clock, _ := strings.Cut(string(t), "T")
		return day + " " + clock
	},
}).Parse(pageText))

// mostRows is the largest number of rows that one part of the page shows.
// People could not read a page with many more rows.
const mostRows = 500

// page is the report as one HTML page. The page loads nothing from other
// addresses.
type page struct {
	to io.Writer

	Differs, Unknown, NotSeen, Settled part[reconcile.Result]
	Lines                              part[unexplainedLine]
	Settlements                        part[reconcile.Transfer]
	last                               *reconcile.Transfer
}

// part is one part of the page. It has the rows that the page shows, and the
// number of further rows.
type part[T any] struct {
	Rows []T
	More int
}

func (p *part[T]) add(one T) {
	if len(p.Rows) == mostRows {
		p.More++
		return
	}
	p.Rows = append(p.Rows, one)
}

// unexplainedLine is a line of a settlement that no payment of the shop
// explains. Detail has the figures of the settlement, if they are known.
type unexplainedLine struct {
	plural.SettlementLine

	Detail *plural.SettlementDetail
}

func (p *page) Result(res reconcile.Result) error {
	switch res.Outcome {
	case reconcile.Differs:
		p.Differs.add(res)
	case reconcile.Unknown:
		p.Unknown.add(res)
	case reconcile.NotSeen:
		p.NotSeen.add(res)
	case reconcile.Settled:
		p.Settled.add(res)
	}
	return nil
}

func (p *page) Unexplained(l *plural.SettlementLine) error {
	one := unexplainedLine{SettlementLine: *l}
	if p.last != nil && p.last.Listed.UTRNumber == l.UTRNumber {
		one.Detail = p.last.Detail
	}
	p.Lines.add(one)
	return nil
}

func (p *page) Transfer(t *reconcile.Transfer) error {
	p.last = t
	p.Settlements.add(*t)
	return nil
}

func (p *page) Close() error { return nil }

func (p *page) write(s *summary) error {
	return pageTemplate.Execute(p.to, struct {
		*page

		Sum *summary
	}{p, s})
}
