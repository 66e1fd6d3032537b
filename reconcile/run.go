package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/plural-go/plural"
)

// Option changes a [Run].
type Option func(*settings) error

type settings struct {
	parallel   int
	everyOrder bool
	statement  *Statement
	progress   func(Progress)
}

// WithParallel reads n orders or settlements at a time. The default is one at a
// time. The outcomes are the same for any n. But if two of Plural's orders have
// the same payment, the reasons in the results of these two orders may depend
// on n.
func WithParallel(n int) Option {
	return func(s *settings) error { s.parallel = max(n, 1); return nil }
}

// WithEveryOrder reads every order of the list and compares it with the shop's
// figures. Without this option, Run reads an order only in two cases:
//
//   - A payment of the order has no PaymentID.
//   - An unexplained line may belong to the order.
func WithEveryOrder() Option {
	return func(s *settings) error { s.everyOrder = true; return nil }
}

// WithStatement compares each settlement with the bank's statement.
func WithStatement(statement *Statement) Option {
	return func(s *settings) error {
		if statement == nil {
			return errors.New("the statement is nil")
		}
		s.statement = statement
		return nil
	}
}

// WithProgress calls a function after each read, and passes the progress so
// far. The calls do not overlap.
func WithProgress(told func(Progress)) Option {
	return func(s *settings) error {
		if told == nil {
			return errors.New("the function is nil")
		}
		s.progress = told
		return nil
	}
}

// Progress says how far a run has come.
type Progress struct {
	Stage       string // "orders", "settlements" or "orders again"
	Done, Total int
}

// maxStrangers limits the number of orders that a run reads although they are
// not on the list. The run reads these orders to find out whether a line
// belongs to a refund. There is one exception to this limit: if an order
// explained a line on an earlier night, the run always reads this order.
const maxStrangers = 1000

// Run does the work of one night. It reads the orders that are needed. It lists
// the settlements of the days d. If earlier runs have listed settlements, the
// list begins at least nine days before the last day that they have listed. So
// the list may begin before the first day of d. Run reads the lines of the
// settlements that are new or have changed. It reports each settlement, each
// new line that is unexplained (see [Report]), and the result of each payment.
//
// The days d should not end after today, because Run would then record a future
// day as listed. If an error stops the list, some days are missing. Then only
// the results that depend on the missing days show the error. To learn of the
// error in any case, pass a Reader that remembers each error that its method
// List returns. The program in examples/reconcile does this. The field Seen of
// the new state has only days that this run or an earlier run has listed.
//
// If something cannot be read, the results that depend on it become [Unknown],
// and Run does not return an error. Run stops with one of these errors, and
// returns the state that it was given:
//
//   - the context's error, if the context has ended;
//   - an error that a method of the report has returned;
//   - an error if Run was called with b before, because b has the lines of that
//     earlier run. Make new [Books] for each run, even after a run that failed;
//   - an error for invalid days: the first or the last day of d is missing, or
//     the last day is before the first day;
//   - a [plural.ValidationError] from listing the settlements, if the list
//     would begin more than six months ago. If Run was not called for such a
//     long time, begin with a new state;
//   - an error for an option that is nil, or whose statement or function is
//     nil.
//
// Store the new state when Run has returned. By then, everything in the new
// state was reported.
func Run(
	ctx context.Context, from Reader, b *Books, d plural.Days, last State, to Report, opts ...Option,
) (State, error) {
	r := &nightRun{
		settings: settings{parallel: 1}, from: from, b: b, last: last, to: to,
		next: State{UTRs: map[string]UTR{}}, orders: map[string]bool{}, explains: map[string]bool{},
	}
	var refused error
	for i, option := range opts {
		if option == nil {
			refused = fmt.Errorf("option %d is nil", i+1)
		} else if err := option(&r.settings); err != nil {
			refused = fmt.Errorf("option %d: %w", i+1, err)
		}
	}
	if refused == nil {
		refused = r.run(ctx, d)
	}
	err := errors.Join(refused, to.Close())
	if err != nil {
		return last, fmt.Errorf("reconcile: run: %w", err)
	}
	return r.next, nil
}

// nightRun has the data of one call of Run.
type nightRun struct {
	settings

	from       Reader
	b          *Books
	last, next State
	isEarlier  bool // an earlier run has already listed a later day than the last day of this run
	to         Report

	mu       sync.Mutex
	orders   map[string]bool // orders that were asked for, by id; true if the read failed
	explains map[string]bool // orders and refunds that readHint has read and that belong to the list, by id
}

func (r *nightRun) run(ctx context.Context, d plural.Days) error {
	if !isValid(d) {
		return fmt.Errorf("the days %s are not valid", d)
	}
	d = r.last.daysToList(d)
	r.isEarlier = day(d.Last) < day(r.last.Seen.Last)
	if r.b.isUsed {
		return errors.New("these books were in a run before, and have its lines: make new ones")
	}
	r.b.isUsed = true
	if err := r.readOrders(ctx); err != nil {
		return err
	}
	rows, seen, err := r.listSettlements(ctx, d)
	if err != nil {
		return err
	}
	list, err := r.readSettlements(ctx, rows)
	if err != nil {
		return err
	}
	if err := r.readHints(ctx, list); err != nil {
		return err
	}
	if err := r.readOrdersAgain(ctx); err != nil {
		return err
	}
	for i := range list {
		if err := r.addSettlement(&list[i]); err != nil {
			return err
		}
	}
	for result := range r.b.Results(seen) {
		if err := r.to.Result(result); err != nil {
			return err
		}
	}
	r.next.Seen = r.last.newSeen(seen)
	return ctx.Err()
}

// readOrders reads the orders of the payments for which the shop has no payment
// id. With WithEveryOrder it reads all orders. It reads each order once.
func (r *nightRun) readOrders(ctx context.Context) error {
	var names []orderName
	for i := range r.b.payments {
		p := &r.b.payments[i]
		if (r.everyOrder || p.PaymentID == "") && r.b.firstOf(p) == int32(i) {
			names = append(names, nameOf(p))
		}
	}
	return r.forEach(ctx, "orders", len(names), func(i int) error { return r.readOrder(ctx, names[i]) })
}

// readOrdersAgain reads an order again if its figures differ from the shop's
// figures. The first answer may have come from a replica with an older state,
// or the shop may have made a refund in the meantime.
func (r *nightRun) readOrdersAgain(ctx context.Context) error {
	var names []orderName
	for i := range r.b.payments {
		p := &r.b.payments[i]
		if p.order == none || r.b.firstOf(p) != int32(i) || r.b.orders[p.order].err != nil {
			continue
		}
		if len(r.b.contradictions(p, &r.b.orders[p.order])) > 0 {
			names = append(names, nameOf(p))
		}
	}
	return r.forEach(ctx, "orders again", len(names), func(i int) error { return r.readOrder(ctx, names[i]) })
}

// orderName is the id or the reference of an order.
type orderName struct{ id, reference string }

func nameOf(p *entry) orderName {
	if p.OrderID != "" {
		return orderName{id: p.OrderID}
	}
	return orderName{reference: p.Reference}
}

// readOrder reads an order of the list.
func (r *nightRun) readOrder(ctx context.Context, name orderName) error {
	o, err := r.requestOrder(ctx, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.orders[o.OrderID] = false
		err = r.b.Order(o)
	}
	if err != nil {
		r.b.Unread("", name.id+name.reference, err)
		if name.id != "" {
			r.orders[name.id] = true
		}
	}
	return ctx.Err()
}

// requestOrder reads an order. An answer about another order is an error.
func (r *nightRun) requestOrder(ctx context.Context, name orderName) (*plural.Order, error) {
	o, err := r.from.Order(ctx, name.id, name.reference)
	switch {
	case err != nil:
		return nil, err
	case o == nil, name.id != "" && o.OrderID != name.id, name.id == "" && o.MerchantOrderReference != name.reference:
		return nil, errors.New("the answer is about another order")
	}
	return o, nil
}

// listSettlements returns the settlements of the days d. It also returns the
// days that were listed completely.
func (r *nightRun) listSettlements(
	ctx context.Context, d plural.Days,
) (rows []*plural.Settlement, seen plural.Days, err error) {
	known := map[string]bool{}
	for row, failure := range r.from.List(ctx, d) {
		if failure != nil {
			err = failure
			break
		}
		if row.UTRNumber == "" || !known[row.UTRNumber] {
			known[strings.Clone(row.UTRNumber)] = true
			rows = append(rows, copyOf(row))
		}
	}
	if ctx.Err() != nil {
		return nil, seen, ctx.Err()
	}
	if err == nil {
		return rows, d, nil
	}
	if refused, ok := errors.AsType[*plural.ValidationError](err); ok {
		return nil, seen, refused
	}
	r.b.Unread("", "", err)
	incomplete, ok := errors.AsType[*plural.IncompleteError](err)
	if ok && isValid(incomplete.Days) {
		end, until := d.First.AddDate(0, 0, -1), min(day(incomplete.Days.First), day(d.Last.AddDate(0, 0, 1)))
		for next := d.First; day(next) < until; next = next.AddDate(0, 0, 1) {
			end = next
		}
		if whole := (plural.Days{First: d.First, Last: end}); isValid(whole) {
			return rows, whole, nil
		}
	}
	return rows, plural.Days{}, nil
}

// copyOf copies a row of the list of settlements, and copies each of its texts.
// A text that is not copied may be part of the page that was read. Then the
// whole page would stay in memory.
func copyOf(row *plural.Settlement) *plural.Settlement {
	c := *row
	c.Programs = slices.Clone(c.Programs)
	for i := range c.Programs {
		c.Programs[i] = strings.Clone(c.Programs[i])
	}
	for _, text := range []*string{
		(*string)(&c.TotalAmount), (*string)(&c.ActualTransactionAmount), (*string)(&c.TotalDeductionAmount),
		(*string)(&c.LastProcessedDate), (*string)(&c.SettledDate), &c.UTRNumber,
		&c.System, &c.BankName, &c.BankAccNumber,
	} {
		*text = strings.Clone(*text)
	}
	return &c
}

// settlementData has what is known about one settlement from tonight and from
// earlier nights.
type settlementData struct {
	utr      string
	current  UTR
	previous UTR
	isOld    bool      // the settlement was not read tonight, so current is a copy of previous
	about    *Transfer // nil if the settlement is not listed tonight
}

// readSettlements reads the settlements that are new or have changed. It also
// returns the settlements of earlier nights that are not listed tonight.
func (r *nightRun) readSettlements(ctx context.Context, rows []*plural.Settlement) ([]settlementData, error) {
	list := make([]settlementData, len(rows), len(rows)+len(r.last.UTRs))
	listed := make(map[string]bool, len(rows))
	for _, row := range rows {
		listed[row.UTRNumber] = true
	}
	err := r.forEach(ctx, "settlements", len(rows), func(i int) (err error) {
		list[i], err = r.readSettlement(ctx, rows[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, utr := range slices.Sorted(maps.Keys(r.last.UTRs)) {
		if before := r.last.UTRs[utr]; !listed[utr] {
			one := settlementData{utr: utr, current: copyOfUTR(before), previous: before, isOld: true}
			list = append(list, one)
		}
	}
	return list, nil
}

func (r *nightRun) readSettlement(ctx context.Context, row *plural.Settlement) (settlementData, error) {
	digest, err := digestOf(row)
	if err != nil {
		return settlementData{}, err
	}
	one := settlementData{utr: row.UTRNumber, previous: r.last.UTRs[row.UTRNumber], about: &Transfer{Listed: row}}
	if r.statement != nil {
		one.about.Bank = r.statement.Match(row.UTRNumber, row.TotalAmount)
	}
	if row.UTRNumber == "" {
		one.current.IsPart, one.about.Err = true, errors.New("it has no UTR, so its lines cannot be read")
		return one, nil
	}
	if one.isOld = one.previous.Digest == digest; one.isOld {
		one.current = copyOfUTR(one.previous)
		return one, nil
	}
	one.current.Digest = digest
	var last plural.SettlementLine
	one.about.Detail, err = r.from.Lines(ctx, row, func(l *plural.SettlementLine) error {
		line := newLine(l, &last, row.UTRNumber)
		last = line.SettlementLine
		if line.UTRNumber != row.UTRNumber {
			return fmt.Errorf("a line belongs to another UTR, %s", line.UTRNumber)
		}
		one.current.Lines = append(one.current.Lines, line)
		return ctx.Err()
	})
	if err == nil && len(one.current.Lines) < row.TotalTransactionsCount {
		err = fmt.Errorf("%d of %d lines came", len(one.current.Lines), row.TotalTransactionsCount)
	}
	one.current.IsPart, one.about.Err = err != nil, err
	return one, ctx.Err()
}

func copyOfUTR(u UTR) UTR {
	u.Lines = slices.Clone(u.Lines)
	return u
}

// readHints guesses orders from the ids of unexplained lines, and reads each of
// these orders once. The lines of a settlement may have been read on an earlier
// night, and not again tonight. Then the run of that night has also read the
// orders for these lines, but at most maxStrangers orders that are not on the
// list. For such lines, readHints reads only two kinds of orders:
//
//   - an order that has explained a line on an earlier night;
//   - an order that is on the shop's list.
func (r *nightRun) readHints(ctx context.Context, list []settlementData) error {
	var ids []string
	asked := map[string]bool{}
	strangers := 0
	for _, one := range list {
		for i := range one.current.Lines {
			l := &one.current.Lines[i]
			id := l.Order
			if id == "" && !r.b.isKnownID(l.TransactionID) {
				id = r.guessOrder(l.TransactionID)
			}
			l.guessedOrder = id
			_, isOurs := r.b.findOrder(id)
			if id == "" || asked[id] || !isOurs && l.Order == "" && (one.isOld || strangers >= maxStrangers) {
				continue
			}
			if !isOurs {
				strangers++
			}
			asked[id] = true
			ids = append(ids, id)
		}
	}
	return r.forEach(ctx, "orders", len(ids), func(i int) error { return r.readHint(ctx, ids[i]) })
}

// unknownUTR takes the place of the UTR in a reason if a settlement has no UTR
// yet.
const unknownUTR = "without a number"

// addSettlement adds the lines of a settlement to the books. If the settlement
// was listed tonight, addSettlement passes the settlement and its new
// unexplained lines to the report.
func (r *nightRun) addSettlement(one *settlementData) error {
	isOurs := false
	var unexplained []*Line
	// The key is a line without its payout status. The first loop counts the
	// lines in one.previous. The second loop subtracts 1 for each line in
	// one.current.
	known := map[plural.SettlementLine]int{}
	for i := range one.previous.Lines {
		known[one.previous.Lines[i].withoutStatus()]++
	}
	for i := range one.current.Lines {
		l := &one.current.Lines[i]
		key := l.withoutStatus()
		isKnown := known[key] > 0
		known[key]--
		switch {
		case r.b.Line(&l.SettlementLine):
			isOurs = true
			if r.explains[l.guessedOrder] {
				l.Order = l.guessedOrder
			}
		case !isKnown:
			unexplained = append(unexplained, l)
		}
		if r.orders[l.guessedOrder] || !l.PayoutStatus.IsSuccess() {
			one.current.Digest = ""
		}
	}
	if one.about == nil {
		if isOurs && one.current.IsPart {
			r.b.Unread(one.utr, "",
				errors.New("it was not read completely on an earlier night, and is not listed tonight"))
		}
		if isOurs || r.isEarlier || r.b.unlisted != nil {
			r.next.UTRs[one.utr] = one.current
		}
		return nil
	}
	t := one.about
	if t.Lines = len(one.current.Lines); t.Err != nil {
		r.b.Unread(cmp.Or(one.utr, unknownUTR), "", t.Err)
	}
	if t.Err != nil || t.Lines != t.Listed.TotalTransactionsCount {
		one.current.Digest = ""
	}
	// If the settlement was not read completely tonight, keep the lines
	// that only an earlier night has read. Otherwise a later night would
	// report them again.
	if one.current.IsPart {
		for i := range one.previous.Lines {
			key := one.previous.Lines[i].withoutStatus()
			if known[key]--; known[key] >= 0 {
				one.current.Lines = append(one.current.Lines, one.previous.Lines[i])
			}
		}
	}
	if one.utr != "" {
		r.next.UTRs[one.utr] = one.current
	}
	if err := r.to.Transfer(t); err != nil {
		return err
	}
	for _, l := range unexplained {
		if err := r.to.Unexplained(&l.SettlementLine); err != nil {
			return err
		}
	}
	return nil
}

// If a line's id is longer than maxIDLength, guessOrder does not guess an
// order's id from it. Plural's ids have at most 50 characters.
const maxIDLength = 100

// guessOrder guesses an order's id from a line's id. If the line's id begins
// with the id of an order on the shop's list, guessOrder returns the order's
// id. Otherwise it splits the line's id at its hyphens, removes the last two
// parts, and returns the rest.
func (r *nightRun) guessOrder(transactionID string) string {
	if len(transactionID) > maxIDLength {
		return ""
	}
	parts := strings.Split(transactionID, "-")
	for n := len(parts) - 1; n > 0; n-- {
		id := strings.Join(parts[:n], "-")
		if _, ok := r.b.findOrder(id); ok {
			return id
		}
	}
	if n := len(parts) - 2; n > 0 { //nolint:mnd // the last two parts are a payment method and a letter, such as -cc-k
		return strings.Join(parts[:n], "-")
	}
	return ""
}

// readHint reads an order. If the order is a refund, readHint also reads the
// refunded order.
func (r *nightRun) readHint(ctx context.Context, id string) error {
	r.mu.Lock()
	_, isRead := r.orders[id]
	r.mu.Unlock()
	if isRead {
		return nil
	}
	o, err := r.requestOrder(ctx, orderName{id: id})
	r.mu.Lock()
	_, isRefused := errors.AsType[*plural.ValidationError](err)
	answered, ok := errors.AsType[*plural.Error](err)
	isGone := errors.Is(err, plural.ErrNotFound) && (!ok || answered.Code != "") // a web page has no code of Plural
	r.orders[id] = err != nil && !isRefused && !isGone
	parent := ""
	switch {
	case err != nil:
		r.b.Unread("", id, err)
	case r.b.Order(o) == nil:
		r.explains[id] = true
		if o.Type == plural.OrderTypeRefund {
			parent = o.ParentOrderID
		}
	}
	r.mu.Unlock()
	if parent == "" || ctx.Err() != nil {
		return ctx.Err()
	}
	return r.readHint(ctx, parent)
}

// The method forEach calls the function work for each of n items. If the run is
// parallel, several of these calls run at the same time. forEach stops at the
// first error.
func (r *nightRun) forEach(ctx context.Context, stage string, n int, work func(i int) error) error {
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		failed error
		next   int
		done   int
	)
	take := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = ctx.Err()
		}
		next++
		return next - 1, failed == nil && next <= n
	}
	for range min(r.parallel, n) {
		all.Go(func() {
			for {
				i, ok := take()
				if !ok {
					return
				}
				err := work(i)
				mu.Lock()
				if done++; failed == nil {
					failed = err
				}
				if r.progress != nil && err == nil {
					r.progress(Progress{Stage: stage, Done: done, Total: n})
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return failed
}
