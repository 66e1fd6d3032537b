package probe

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

const (
	settlementList   = "/api/settlements/v1/list"
	settlementDetail = "/api/settlements/v1/detail/"
	localTime        = "2006-01-02T15:04:05"
)

// settlementPage is one page of settlements. The probe reads single pages,
// while the SDK reads all pages and joins them.
type settlementPage struct {
	Rows []struct {
		UTR       string `json:"utr_number"`
		Settled   string `json:"settled_date"`
		Processed string `json:"last_processed_date"`
	} `json:"data"`
	Count *int `json:"total_settlement_count"`
}

func (p *settlementPage) has(utr string) bool {
	for _, row := range p.Rows {
		if row.UTR == utr {
			return true
		}
	}
	return false
}

// settlements reads one page.
func (p *Probe) settlements(ctx context.Context, first, last time.Time, perPage string) (*settlementPage, error) {
	query := url.Values{
		"start_date": {first.Format(localTime)}, "end_date": {last.Format(localTime)},
		"page": {"1"}, "per_page": {perPage},
	}
	r, err := p.wire.send(ctx, http.MethodGet, settlementList+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	page := &settlementPage{}
	if !r.isOK() || json.Unmarshal(r.body, page) != nil || page.Count == nil {
		return nil, unmet("settlements cannot be read: " + r.fact("").Text())
	}
	return page, nil
}

// recentSettlements reads one page of the settlements of the last 30 days.
func (p *Probe) recentSettlements(ctx context.Context, perPage string) (*settlementPage, error) {
	now := time.Now().UTC()
	page, err := p.settlements(ctx, now.AddDate(0, 0, -30), now.AddDate(0, 0, 1), perPage)
	if err == nil && len(page.Rows) == 0 {
		return nil, unmet("nothing has been settled in the last 30 days")
	}
	return page, err
}

// askSettlementDays finds out which days a request has to name to get a certain
// settlement.
func askSettlementDays(ctx context.Context, p *Probe) (Found, error) {
	page, err := p.recentSettlements(ctx, "10")
	if err != nil {
		return Found{}, err
	}
	row := page.Rows[0]
	day := func(text string) time.Time {
		date, _, _ := strings.Cut(text, "T")
		at, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return time.Time{}
		}
		return at
	}
	settled, processed := day(row.Settled), day(row.Processed)
	if settled.IsZero() {
		return Found{}, nil
	}
	for _, one := range []struct {
		answer      string
		first, last time.Time
	}{
		{"the last day counts, by the settled date", settled, settled},
		{"the last day counts, by the processed date", processed, processed},
		{"the last day does not count", settled, settled.AddDate(0, 0, 1)},
	} {
		if one.first.IsZero() {
			continue
		}
		page, err := p.settlements(ctx, one.first, one.last, "10")
		if err != nil {
			return Found{}, err
		}
		if page.has(row.UTR) {
			isSame := settled.Equal(processed)
			return Found{Answer: one.answer, Facts: []fact.Fact{fact.Holds("processed on the same day", isSame)}}, nil
		}
	}
	return Found{}, nil
}

// askSettlementTotals asks for a page with only one row, and compares the
// page's total with the number of all rows.
func askSettlementTotals(ctx context.Context, p *Probe) (Found, error) {
	all, err := p.recentSettlements(ctx, "10")
	if err != nil {
		return Found{}, err
	}
	if len(all.Rows) < 2 {
		return Found{}, unmet("one settlement is not enough to compare a page with the whole list")
	}
	one, err := p.recentSettlements(ctx, "1")
	if err != nil {
		return Found{}, err
	}
	found := Found{Facts: []fact.Fact{
		fact.Count("rows", len(all.Rows)), fact.Count("rows on a page that may have one row", len(one.Rows)),
	}}
	switch {
	case len(one.Rows) != 1:
	case *one.Count == 1:
		found.Answer = "of the page"
	case *one.Count >= len(all.Rows):
		found.Answer = "of all pages"
	}
	return found, nil
}

// What the ids of orders and payments look like. A payment's id is the order's
// id with two letters and one more character at its end.
var (
	orderIDPattern   = regexp.MustCompile(`^v\d+-\d+-[a-z]+-[A-Za-z0-9]+$`)
	paymentIDPattern = regexp.MustCompile(`^v\d+-\d+-[a-z]+-[A-Za-z0-9]+-[a-z]{2}-[A-Za-z0-9]+$`)
)

// askSettlementLines finds out whether a settlement's lines have ids of orders
// or ids of payments.
func askSettlementLines(ctx context.Context, p *Probe) (Found, error) {
	page, err := p.recentSettlements(ctx, "10")
	if err != nil {
		return Found{}, err
	}
	path := settlementDetail + url.PathEscape(page.Rows[0].UTR) + "?page=1&per_page=10"
	r, err := p.wire.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return Found{}, err
	}
	var doc struct {
		Lines []settlementLine `json:"transactions"`
	}
	if !r.isOK() || json.Unmarshal(r.body, &doc) != nil || len(doc.Lines) == 0 {
		return Found{}, unmet("the lines cannot be read: " + r.fact("").Text())
	}
	found := Found{Facts: []fact.Fact{fact.Count("lines", len(doc.Lines))}}
	switch {
	case areAll(doc.Lines, paymentIDPattern):
		found.Answer = "ids of payments"
	case areAll(doc.Lines, orderIDPattern):
		found.Answer = "ids of orders"
	}
	return found, nil
}

type settlementLine struct {
	ID string `json:"transaction_id"`
}

// areAll reports whether the id of every line matches idPattern.
func areAll(lines []settlementLine, idPattern *regexp.Regexp) bool {
	return !slices.ContainsFunc(lines, func(l settlementLine) bool { return !idPattern.MatchString(l.ID) })
}
