package plural

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/plural-go/plural/internal/retry"
	"github.com/plural-go/plural/internal/wire"
)

// SettlementService reads the settlements that have reached the merchant's
// bank. It returns what Plural sends and does not check it. Usually Plural
// shows a settlement at once; in rare cases that takes up to three hours
// (Plural's settlement API, overview).
type SettlementService struct{ p *pipeline }

// Limits of the settlement API (Plural's settlement API, overview).
const (
	maxWindow     = 60 // days
	historyMonths = 6
	maxUTR        = 50 // documented as 16 to 50 characters, but the UTRs in Plural's samples have 12
)

// maxLines is the largest number of lines that [SettlementService.Get] keeps.
const maxLines = 10_000

// List reads the settlements of whole calendar days, and returns each UTR once.
// For the days, see [Days].
//
//	GET /api/settlements/v1/list
//
// List asks for windows of at most 60 days, in pages of at most 10 rows. Each
// window overlaps the one before by a day. List keeps one page in memory. It is
// not known whether Plural includes the last day of a window. So List asks for
// one more day, and may also return settlements of the day after d.Last. It is
// also not known which day counts for a settlement: the day of processing, or
// the day of settling.
//
// Each page has a total. Plural does not document whether the total counts the
// rows of all pages, or only the rows of that page. If the total counts only
// the rows of one page, List may not notice that rows moved to another page
// during the reading.
//
// Each page is a request with its own Request-ID. A request that fails is
// repeated. If Plural refuses a request with 429, List keeps trying for about
// ten times as long as the MaxDelay of the [RetryPolicy], or longer if Plural
// asks for longer waits. List stops reading when the caller leaves the loop.
// After one of these errors, the list ends:
//
//   - [ValidationError]: nothing was sent. Either d is not valid, or
//     [WithRequestID] was given. In d, both days are required. The last day
//     must not be before the first day, and must not be more than a year after
//     the first day. The first day must be within the last six months, because
//     Plural keeps no older settlements.
//   - [Error]: the first page was refused, or did not come.
//   - [IncompleteError] ([ErrIncomplete]): not everything could be read. If a
//     page cannot be read, the list ends at once. If all pages of a window were
//     read, but the window is incomplete, List reads the window up to three
//     times before it gives up. A window is incomplete, for example, if it has
//     fewer rows than its total, or if its first page has changed when List
//     reads that page again at the end.
func (s *SettlementService) List(ctx context.Context, d Days, opts ...CallOption) iter.Seq2[*Settlement, error] {
	return func(yield func(*Settlement, error) bool) {
		l := settlementList{
			pager: pager{p: s.p, op: opListSettlements, opts: opts, check: d.check()},
			days:  d,
			seen:  map[string]seenSettlement{},
			yield: func(row *Settlement) bool { return yield(row, nil) },
		}
		if err := l.read(ctx); err != nil && !errors.Is(err, errLeft) {
			yield(nil, err)
		}
	}
}

// Lines reads all lines of one settlement, and keeps one page in memory.
//
//	GET /api/settlements/v1/detail/{utr}
//
// Lines makes requests in the same way as [SettlementService.List]. It compares
// each line with at least the 10,000 lines before it. If a line equals an
// earlier line in every field, Lines does not return the second line, and
// reports the reading as incomplete. The line may have moved to the next page
// during the reading, and then it came twice. After one of these errors, the
// sequence of lines ends:
//
//   - [ValidationError]: nothing was sent. Either the UTR does not fit into a
//     path or is too long, or [WithRequestID] was given.
//   - [Error]: the first page was refused, or did not come. It is [ErrNotFound]
//     if Plural has no such settlement.
//   - [IncompleteError] ([ErrIncomplete]): not everything could be read.
func (s *SettlementService) Lines(
	ctx context.Context,
	utr string,
	opts ...CallOption,
) iter.Seq2[*SettlementLine, error] {
	return func(yield func(*SettlementLine, error) bool) {
		_, err := s.readLines(ctx, opSettlementLines, utr, opts, func(line *SettlementLine) bool { return yield(line, nil) })
		if err != nil && !errors.Is(err, errLeft) {
			yield(nil, err)
		}
	}
}

// Get reads one settlement with all of its lines, at most 10,000.
//
//	GET /api/settlements/v1/detail/{utr}
//
// It reads in the same way as [SettlementService.Lines], and returns the same
// errors. With an [IncompleteError] it also returns the document, with the
// lines that could be read. For a settlement with more than 10,000 lines, it
// returns the first 10,000 lines with an IncompleteError. Use Lines to read all
// lines.
func (s *SettlementService) Get(ctx context.Context, utr string, opts ...CallOption) (*SettlementDetail, error) {
	var kept []SettlementLine
	head, err := s.readLines(ctx, opGetSettlement, utr, opts, func(line *SettlementLine) bool {
		if len(kept) == maxLines {
			return false
		}
		kept = append(kept, *line)
		return true
	})
	if head == nil {
		return nil, err
	}
	head.Transactions = kept
	if errors.Is(err, errLeft) {
		return head, &IncompleteError{
			UTR: head.UTRNumber, Want: head.TotalTransactionCount, Got: len(kept), Err: errTooManyLines,
		}
	}
	return head, err
}

var errTooManyLines = errors.New("it has more lines than Get keeps; read it with Lines")

// settlementList is one reading of the settlements of some days.
type settlementList struct {
	pager

	days  Days
	seen  map[string]seenSettlement // by UTR
	pass  int                       // the number of passes so far, over all windows; each pass reads one window once
	yield func(*Settlement) bool
}

// A seenSettlement describes a settlement that the caller already has.
type seenSettlement struct {
	mark fingerprint
	pass int // the number of the last pass that read the settlement
}

func (l *settlementList) read(ctx context.Context) error {
	first, last := dateOf(l.days.First), dateOf(l.days.Last)
	for {
		// The window ends at midnight after the last day, in case Plural does
		// not include the last day.
		end := last.AddDate(0, 0, 1)
		if most := first.AddDate(0, 0, maxWindow-1); end.After(most) {
			end = most
		}
		if err := l.readWindow(ctx, first, end); err != nil || end.After(last) {
			return err
		}
		first = end.AddDate(0, 0, -1)
	}
}

// readWindow reads the settlements of some days. If rows are missing or have
// changed meanwhile, readWindow reads these days again. It reads the days at
// most three times in all.
func (l *settlementList) readWindow(ctx context.Context, first, end time.Time) error {
	const passes = 3
	for n := 1; ; n++ {
		err := l.readOnce(ctx, first, end)
		incomplete, ok := errors.AsType[*IncompleteError](err)
		switch {
		case err == nil, errors.Is(err, errLeft), !ok && l.pass == 1:
			return err
		case !ok:
			incomplete = &IncompleteError{Page: 1, Err: err}
		case incomplete.Err == nil && n < passes:
			continue
		}
		incomplete.Days = Days{First: first, Last: dateOf(l.days.Last)} // the later windows are not read
		return incomplete
	}
}

func (l *settlementList) readOnce(ctx context.Context, first, end time.Time) error {
	l.pass++
	return readPages(func(page int) (s *sheet[Settlement], err error) {
		err = l.fetchPage(ctx, pathOfSettlements(first, end, page), "", func(a *answer) (err error) {
			s, err = decodeSettlements(a)
			return err
		})
		return s, err
	}, l.takeRow)
}

// This method passes each new settlement to the caller. A settlement is new if
// no earlier row had its UTR. If a UTR comes again with other data, the method
// returns rowIsOdd, because the caller already has the earlier data. Then the
// list counts as incomplete.
func (l *settlementList) takeRow(row *Settlement) rowResult {
	now := fingerprintOf(row)
	key := strings.Clone(row.UTRNumber)
	if key == "" {
		key = string(now[:])
	}
	before, isKnown := l.seen[key]
	switch {
	case !isKnown:
		l.seen[key] = seenSettlement{now, l.pass}
		if !l.yield(row) {
			return rowIsLast
		}
		return rowIsNew
	case before.mark != now:
		return rowIsOdd
	case before.pass == l.pass:
		return rowIsKnown
	}
	l.seen[key] = seenSettlement{now, l.pass}
	return rowIsNew
}

// decodeSettlements reads a page of a list.
func decodeSettlements(a *answer) (*sheet[Settlement], error) {
	var list struct {
		Data                 []Settlement `json:"data"`
		TotalSettlementCount *int         `json:"total_settlement_count"`
	}
	if err := wire.Unmarshal(a.body, &list); err != nil {
		return nil, err
	}
	if list.Data == nil || list.TotalSettlementCount == nil {
		return nil, errors.New("the answer has no data or no total_settlement_count")
	}
	return &sheet[Settlement]{rows: list.Data, total: *list.TotalSettlementCount, mark: fingerprintOf(list)}, nil
}

// readLines reads one settlement, and calls the function takeLine for each of
// the lines. It returns the document of the first page, without its lines, or
// nil if that page did not come.
func (s *SettlementService) readLines(
	ctx context.Context,
	op operation,
	utr string,
	opts []CallOption,
	takeLine func(*SettlementLine) bool,
) (head *SettlementDetail, err error) {
	p := pager{p: s.p, op: op, opts: opts}
	p.check.segment("utr_number", utr)
	p.check.length("utr_number", utr, 1, maxUTR)
	utr = strings.Clone(utr)
	var seen rowMemory
	err = readPages(func(page int) (s *sheet[SettlementLine], err error) {
		err = p.fetchPage(ctx, pathOfSettlement(utr, page), utr, func(a *answer) (err error) {
			var d *SettlementDetail
			if d, s, err = decodeSettlement(a, utr); err == nil && head == nil {
				first := *d
				head, first.Transactions = &first, nil
			}
			return err
		})
		return s, err
	}, func(line *SettlementLine) rowResult {
		switch {
		case !seen.add(fingerprintOf(line)):
			return rowIsOdd
		case !takeLine(line):
			return rowIsLast
		}
		return rowIsNew
	})
	if incomplete, ok := errors.AsType[*IncompleteError](err); ok {
		incomplete.UTR = utr
	}
	return head, err
}

// decodeSettlement reads a page of a settlement. It returns an error if the
// page is about another settlement.
func decodeSettlement(a *answer, utr string) (*SettlementDetail, *sheet[SettlementLine], error) {
	d := new(SettlementDetail)
	var whole struct {
		Count      *int `json:"total_transaction_count"`
		Pagination struct {
			TotalPages int `json:"total_pages"`
		} `json:"pagination" wire:"optional"`
	}
	if err := errors.Join(wire.Unmarshal(a.body, d), wire.Unmarshal(a.body, &whole)); err != nil {
		return nil, nil, err
	}
	switch {
	case d.UTRNumber != utr:
		return nil, nil, errors.New("the answer is about another settlement")
	case d.Transactions == nil || whole.Count == nil:
		return nil, nil, errors.New("the answer has no transactions or no total_transaction_count")
	}
	return d, &sheet[SettlementLine]{
		rows: d.Transactions, total: *whole.Count, pages: whole.Pagination.TotalPages, mark: fingerprintOf(d),
	}, nil
}

// A pager reads the pages of one list or of one settlement. It makes at least
// one call for each page.
type pager struct {
	p     *pipeline
	op    operation
	opts  []CallOption
	check requestCheck
}

// fetchPage reads one page. If Plural answers with 429, fetchPage makes up to
// ten calls in all, because a reading of many pages may reach a rate limit that
// lasts longer than the few tries of one call. Between two calls it waits for
// MaxDelay, or for as long as the answer asks, if that is longer.
func (r *pager) fetchPage(ctx context.Context, path, subject string, decode func(*answer) error) error {
	const rounds = 10
	for n := 1; ; n++ {
		check := r.check
		isNamed := newCallConfig(r.opts).requestID != ""
		check.must(!isNamed, "Request-ID", "must not be given: each page is its own request")
		k, err := r.p.newCall(ctx, r.op, path, subject, nil, check, r.opts)
		if err != nil {
			return err
		}
		k.orderID = "" // the call is not about an order
		err = k.read(ctx, decode)
		failure, ok := errors.AsType[*Error](err)
		if !ok || n == rounds || k.cfg.withoutRetry || !failure.Is(ErrRateLimited) ||
			failure.RetryAfter > retry.MaxRetryAfter || !retry.Wait(ctx, max(r.p.cfg.retry.MaxDelay, failure.RetryAfter)) {
			return err
		}
	}
}

// The method check makes sure that the days are valid, and that Plural still
// keeps their settlements.
func (d Days) check() (c requestCheck) {
	first, last := dateOf(d.First), dateOf(d.Last)
	switch {
	case d.First.IsZero() || d.Last.IsZero():
		c.must(false, "days", "must have a first and a last one")
	case last.Before(first):
		c.must(false, "days", "must not end before they begin")
	case last.After(first.AddDate(1, 0, 0)):
		c.must(false, "days", "must be those of one year at most")
	}
	oldest := monthsBefore(dateOf(time.Now().In(d.First.Location())), historyMonths)
	c.limit(!first.Before(oldest), "days", "must begin within the last six months: Plural has nothing older")
	return c
}
