package pluraltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Settlement is one transfer to the merchant's bank. The UTR is the number of
// the transfer.
type Settlement struct {
	UTR         string
	ProcessedAt time.Time
	SettledAt   time.Time
	Lines       []SettlementLine

	// The number of lines, and the amount of the transfer in rupees. If you set
	// one of these fields, the server shows the value that you set. Otherwise
	// it computes the figure from the lines.
	SaidLines  int
	SaidAmount string
}

// SettlementLine is the part of a settlement that comes from one payment. Its
// figures are in rupees, as decimal texts: "488.22", "-100", "1875.0015".
type SettlementLine struct {
	TransactionID string // the id of a payment
	Program       string // "CARD", "UPI", ...
	PaidAt        time.Time
	Amount        string
	MDR, GST      string // deductions; "" means no deduction
	PayoutStatus  string // "" means "Success"
	Kind          LineKind
}

// LineKind is the kind of a line: a payment, a refund or a chargeback. A
// settlement has a total for each kind of line. The lines themselves do not
// show their kind, because Plural has not published how it shows refunds and
// chargebacks.
type LineKind int

// The kinds of lines. The amounts of refunds and chargebacks are below zero.
const (
	LinePayment LineKind = iota
	LineRefund
	LineChargeback
)

// SettlementQuirk is a set of possible oddities of settlements. Plural has not
// published whether the real service has these oddities.
type SettlementQuirk uint

// The oddities.
const (
	// Each refund has a line of its own. Without this quirk, a settlement
	// includes the refunds in its totals, but has no lines for them.
	SettleRefundLines   SettlementQuirk = 1 << iota
	SettleThreeDecimals                 // MDR and GST have three decimals
	SettleSplit                         // each payment has two lines, with three fifths and two fifths of its amount
	SettleTextFigures                   // figures are strings, not numbers
	// In the list of settlements, the deduction of a settlement is twice the
	// sum of the deductions in its lines, as in Plural's own sample.
	SettleOddTotals
	SettleEndExcluded // a list leaves out the settlements of its end_date
	SettleByProcessed // a list selects settlements by the processed date, not by the settled date
	SettlePageTotals  // the totals of a list count only the rows of the page
)

func (q SettlementQuirk) has(one SettlementQuirk) bool { return q&one != 0 }

// The emulator's fees, as shares in ten-thousandths: MDR is a share of the
// payment, and GST is a share of the MDR.
const (
	mdrShare = 200
	gstShare = 1800
)

// The limits of the settlement API.
const (
	settlementWindow = 60 // days, counting both the first day and the last day
	settlementPage   = 10
	settlementMonths = 6
)

// WithSettlementDays sets how many days after a capture its money is settled,
// by the server's clock. The default is 1. If n is below zero, only
// [Server.Settle] and [Server.AddSettlement] settle money.
func WithSettlementDays(n int) Option { return func(c *config) { c.settlementDays = n } }

// WithSettlementQuirks switches on oddities of settlements.
func WithSettlementQuirks(quirks SettlementQuirk) Option {
	return func(c *config) { c.settlementQuirks |= quirks }
}

// india is the time zone of settlements.
var india = time.FixedZone("IST", 5*60*60+30*60)

// bookedSettlement is one settlement in the books.
type bookedSettlement struct{ Settlement }

// settlementBooks has all settlements. It also records which money they
// contain.
type settlementBooks struct {
	list  []*bookedSettlement
	done  map[string]bool // the names of the movements that are in a settlement
	moves int             // how many more times MoveSettlementRows makes rows move
}

// Settlements returns the settlements, oldest first.
func (s *Server) Settlements() []Settlement {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleDue()
	list := make([]Settlement, 0, len(s.settled.list))
	for _, each := range s.settled.list {
		shown := each.Settlement
		shown.Lines = slices.Clone(shown.Lines)
		list = append(list, shown)
	}
	return list
}

// SettlementLines returns those lines of a settlement that the service shows.
// It returns nil if the UTR does not exist. Without SettleRefundLines, the
// service does not show the lines of the emulator's own refunds. The totals of
// the settlement still include these refunds.
func (s *Server) SettlementLines(utr string) []SettlementLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.settlement(utr); found != nil {
		return slices.Clone(s.shownLines(found))
	}
	return nil
}

// Settle settles all captured money that is not settled yet, in one settlement.
// It returns the UTR of the settlement, or "" if there was no such money.
func (s *Server) Settle() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleDue()
	now := s.now()
	return s.makeSettlement(s.listUnsettled(), now, now)
}

// AddSettlement adds a settlement of your own.
func (s *Server) AddSettlement(added Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if added.UTR == "" || s.settlement(added.UTR) != nil {
		return fmt.Errorf("pluraltest: the settlement has no UTR, or its UTR %q is taken", added.UTR)
	}
	added.Lines = slices.Clone(added.Lines)
	for _, line := range added.Lines {
		if err := line.check(); err != nil {
			return err
		}
	}
	s.settled.list = append(s.settled.list, &bookedSettlement{added})
	return nil
}

// AddSettlementLine adds a line to an existing settlement, such as a late
// payment, a refund or a chargeback.
func (s *Server) AddSettlementLine(utr string, line SettlementLine) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.settlement(utr)
	if found == nil {
		return fmt.Errorf("pluraltest: there is no settlement with UTR %s", utr)
	}
	if err := line.check(); err != nil {
		return err
	}
	found.Lines = append(found.Lines, line)
	return nil
}

// ChangeSettlement lets a test change the figures and the lines of a
// settlement.
func (s *Server) ChangeSettlement(utr string, change func(*Settlement)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.settlement(utr)
	if found == nil {
		return fmt.Errorf("pluraltest: there is no settlement with UTR %s", utr)
	}
	change(&found.Settlement)
	return nil
}

// MoveSettlementRows makes rows change places while a client reads page after
// page. This happens n times, always just before the server answers a request
// for a page other than the first. In the list of settlements, the first row
// becomes the last. In a settlement, the last line becomes the first.
func (s *Server) MoveSettlementRows(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled.moves = n
}

// Settled returns the amount that a line adds to its settlement, in rupees.
func (line SettlementLine) Settled() string { return formatDecimal(line.figures().settled) }

func (line SettlementLine) check() error {
	for _, figure := range []string{line.Amount, line.MDR, line.GST} {
		if _, ok := parseRupees(figure); !ok && figure != "" || line.Amount == "" {
			return errors.New("pluraltest: the figures of a line must be decimal texts, and it must have an amount")
		}
	}
	return nil
}

func (s *Server) settlement(utr string) *bookedSettlement {
	for _, each := range s.settled.list {
		if each.UTR == utr {
			return each
		}
	}
	return nil
}

// A value of the type movement is the money that one sale or one capture took
// from a payment, or that one refund gave back.
type movement struct {
	name    string // the payment's id; for a later capture, the id and the capture's number
	payment *payment
	amount  int64
	at      time.Time
	refund  bool
}

// listUnsettled returns the movements that are not in a settlement yet.
func (s *Server) listUnsettled() (list []movement) {
	for _, o := range s.inOrder {
		for _, p := range o.payments {
			isHeld := o.preAuth && p.captured == nil
			if p.status != StatusProcessed || isHeld {
				continue
			}
			all := []movement{{p.id, p, p.amount.Value, p.updatedAt, o.typ == typeRefund}}
			if p.captured != nil {
				all[0].amount, all[0].at = p.captured.amount.Value, p.captured.at
			}
			for i, later := range p.more {
				all = append(all, movement{p.id + " " + itoa(i), p, later.amount.Value, later.at, false})
			}
			for _, m := range all {
				if !s.settled.done[m.name] {
					list = append(list, m)
				}
			}
		}
	}
	return list
}

// joinMovements adds up the movements of each payment. The result has one
// movement for each payment.
func joinMovements(moved []movement) (list []movement) {
	places := map[*payment]int{}
	for _, m := range moved {
		if place, ok := places[m.payment]; ok {
			list[place].amount += m.amount
			continue
		}
		places[m.payment] = len(list)
		list = append(list, m)
	}
	return list
}

// settleDue settles the money that is now due by the server's clock. s.mu must
// be held.
func (s *Server) settleDue() {
	if s.cfg.settlementDays < 0 {
		return
	}
	days := map[time.Time][]movement{}
	for _, m := range s.listUnsettled() {
		y, month, d := m.at.In(india).Date()
		due := time.Date(y, month, d+s.cfg.settlementDays, 10, 59, 46, 0, india)
		if s.cfg.settlementDays == 0 {
			due = m.at.In(india)
		}
		if !due.After(s.now()) {
			days[due] = append(days[due], m)
		}
	}
	var waiting []movement // refunds that wait until they can be settled together with a payment
	for _, due := range slices.SortedFunc(maps.Keys(days), time.Time.Compare) {
		y, month, d := due.Date()
		waiting = append(waiting, days[due]...)
		if s.makeSettlement(waiting, time.Date(y, month, d, 7, 0, 0, 0, india), due) != "" {
			waiting = nil
		}
	}
}

// makeSettlement makes a settlement of the money that has moved. If all
// movements are refunds, makeSettlement makes no settlement and returns "".
// Then these refunds can become part of a later settlement that also has a
// payment.
func (s *Server) makeSettlement(moved []movement, processed, at time.Time) (utr string) {
	if !slices.ContainsFunc(moved, func(m movement) bool { return !m.refund }) {
		return ""
	}
	quirks := s.cfg.settlementQuirks
	decimals := 2
	if quirks.has(SettleThreeDecimals) {
		decimals = 3
	}
	made := &bookedSettlement{Settlement{ProcessedAt: processed, SettledAt: at}}
	for n := len(s.settled.list); ; n++ {
		if made.UTR = digits(s.digest("utr", itoa(n)), 12); s.settlement(made.UTR) == nil {
			break
		}
	}
	for _, m := range moved {
		s.settled.done[m.name] = true
	}
	for _, m := range joinMovements(moved) {
		parts := []*big.Rat{paiseToRupees(m.amount)}
		if quirks.has(SettleSplit) && !m.refund {
			first := roundedShare(parts[0], 6000, 2)
			parts = []*big.Rat{first, sum(parts[0], minus(first))}
		}
		for _, part := range parts {
			line := SettlementLine{
				TransactionID: m.payment.id, Program: m.payment.method, PaidAt: m.at, Amount: formatDecimal(part),
			}
			if m.refund {
				line.Kind, line.Amount = LineRefund, formatDecimal(minus(part))
			} else {
				mdr := roundedShare(part, mdrShare, decimals)
				line.MDR, line.GST = formatDecimal(mdr), formatDecimal(roundedShare(mdr, gstShare, decimals))
			}
			made.Lines = append(made.Lines, line)
		}
	}
	s.settled.list = append(s.settled.list, made)
	return made.UTR
}

// shownLines returns the lines that the service shows.
func (s *Server) shownLines(of *bookedSettlement) []SettlementLine {
	if s.cfg.settlementQuirks.has(SettleRefundLines) {
		return of.Lines
	}
	return slices.DeleteFunc(slices.Clone(of.Lines), func(line SettlementLine) bool {
		return line.Kind == LineRefund && s.settled.done[line.TransactionID] // a line that a test has added is shown
	})
}

// The type figures has the sums of a settlement, or of one of its lines.
type figures struct{ amount, mdr, gst, refund, chargeback, settled *big.Rat }

func (line SettlementLine) figures() figures {
	of := func(text string) *big.Rat {
		if r, ok := parseRupees(text); ok {
			return r
		}
		return new(big.Rat)
	}
	f := figures{new(big.Rat), of(line.MDR), of(line.GST), new(big.Rat), new(big.Rat), new(big.Rat)}
	amount := of(line.Amount)
	switch line.Kind {
	case LinePayment:
		f.amount = amount
	case LineRefund:
		f.refund = minus(amount)
	case LineChargeback:
		f.chargeback = minus(amount)
	}
	f.settled = sum(amount, minus(f.mdr), minus(f.gst))
	return f
}

func (of Settlement) figures() figures {
	total := figures{new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)}
	for _, line := range of.Lines {
		f := line.figures()
		total.amount.Add(total.amount, f.amount)
		total.mdr.Add(total.mdr, f.mdr)
		total.gst.Add(total.gst, f.gst)
		total.refund.Add(total.refund, f.refund)
		total.chargeback.Add(total.chargeback, f.chargeback)
		total.settled.Add(total.settled, f.settled)
	}
	return total
}

func (of Settlement) programs() []string {
	names := []string{}
	for _, line := range of.Lines {
		if line.Program != "" && !slices.Contains(names, line.Program) {
			names = append(names, line.Program)
		}
	}
	return names
}

// listSettlements serves GET /api/settlements/v1/list.
func (s *Server) listSettlements(c *call) answer {
	query := c.query
	first, err1 := parseDay(query.Get("start_date"))
	last, err2 := parseDay(query.Get("end_date"))
	page, perPage, apiErr := pageOf(query)
	switch {
	case err1 != nil || err2 != nil:
		return invalid("Start date and end date must be dates").answer()
	case apiErr != nil:
		return apiErr.answer()
	case last.Before(first):
		return invalid("End date must not be before start date").answer()
	case last.After(first.AddDate(0, 0, settlementWindow-1)):
		return invalid(fmt.Sprintf("Date range must not exceed %d days", settlementWindow)).answer()
	}
	s.settleDue()
	if s.cfg.settlementQuirks.has(SettleEndExcluded) {
		last = last.AddDate(0, 0, -1)
	}
	oldest := monthsBefore(s.now().In(india), settlementMonths)
	s.moveRows(page, func() { rotateList(s.settled.list) })
	byProcessed := s.cfg.settlementQuirks.has(SettleByProcessed)
	var found []*bookedSettlement
	for _, each := range slices.Backward(s.settled.list) { // the newest first
		at := each.SettledAt
		if byProcessed {
			at = each.ProcessedAt
		}
		y, month, d := at.In(india).Date()
		day := time.Date(y, month, d, 0, 0, 0, 0, time.UTC)
		if day.Before(first) || day.After(last) || day.Before(oldest) {
			continue
		}
		found = append(found, each)
	}
	rows := []settlementRow{}
	shown := onPage(found, page, perPage)
	for _, each := range shown {
		rows = append(rows, s.settlementRow(each))
	}
	counted := found
	if s.cfg.settlementQuirks.has(SettlePageTotals) {
		counted = shown
	}
	count, amount := 0, new(big.Rat)
	for _, each := range counted {
		count += s.saidLines(each)
		amount.Add(amount, each.figures().settled)
	}
	return jsonAnswer(http.StatusOK, marshal(struct {
		Data   []settlementRow `json:"data"`
		Total  int             `json:"total_settlement_count"`
		Lines  int             `json:"total_transactions_count"`
		Amount json.RawMessage `json:"total_settlement_amount"`
	}{rows, len(counted), count, s.figure(amount)}))
}

// monthsBefore returns the date of the same day n months before t, as midnight
// in UTC. If that month has no such day, it returns the month's last day.
func monthsBefore(t time.Time, n int) time.Time {
	y, month, d := t.Date()
	first := time.Date(y, month-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	return first.AddDate(0, 0, min(d, first.AddDate(0, 1, -1).Day())-1)
}

type settlementRow struct {
	Amount      json.RawMessage `json:"total_amount"`
	Actual      json.RawMessage `json:"actual_transaction_amount"`
	Deduction   json.RawMessage `json:"total_deduction_amount"`
	Lines       int             `json:"total_transactions_count"`
	ProcessedAt string          `json:"last_processed_date"`
	SettledAt   string          `json:"settled_date"`
	UTR         string          `json:"utr_number"`
	Programs    []string        `json:"programs"`
	System      string          `json:"system"`
	Bank        string          `json:"bank_name"`
	Account     string          `json:"bank_acc_number"`
}

const (
	merchantBank    = "Demo Bank Ltd"
	merchantAccount = "00011122233344"
)

func (s *Server) settlementRow(of *bookedSettlement) settlementRow {
	f := of.figures()
	deduction := sum(f.mdr, f.gst)
	if s.cfg.settlementQuirks.has(SettleOddTotals) {
		deduction.Add(deduction, deduction)
	}
	row := settlementRow{
		s.figure(f.settled), s.figure(f.amount), s.figure(deduction), s.saidLines(of),
		indianTime(of.ProcessedAt), indianTime(of.SettledAt), of.UTR, of.programs(),
		"PG", merchantBank, merchantAccount,
	}
	if of.SaidAmount != "" {
		row.Amount = s.text(of.SaidAmount)
	}
	return row
}

func (s *Server) saidLines(of *bookedSettlement) int {
	if of.SaidLines != 0 {
		return of.SaidLines
	}
	return len(s.shownLines(of))
}

// getSettlement serves GET /api/settlements/v1/detail/{utr}.
func (s *Server) getSettlement(c *call) answer {
	page, perPage, apiErr := pageOf(c.query)
	if apiErr != nil {
		return apiErr.answer()
	}
	s.settleDue()
	found := s.settlement(c.Reference)
	if found == nil {
		return errNoRecords.answer()
	}
	s.moveRows(page, func() { rotateList(found.Lines) })
	lines := s.shownLines(found)
	rows := []settlementLineDoc{}
	for _, line := range onPage(lines, page, perPage) {
		rows = append(rows, s.settlementLine(found, line))
	}
	f, zero := found.figures(), new(big.Rat)
	amount := s.figure(f.settled)
	if found.SaidAmount != "" {
		amount = s.text(found.SaidAmount)
	}
	doc := settlementDoc{
		UTR: found.UTR, Bank: merchantBank, Account: merchantAccount, Programs: found.programs(),
		Lines: s.saidLines(found), Amount: s.figure(f.amount), Actual: s.figure(f.amount), Refund: s.figure(f.refund),
		Chargeback: s.figure(f.chargeback), MDR: s.figure(f.mdr), GST: s.figure(f.gst), Settled: amount,
		Transactions: rows,
	}
	for _, none := range []*json.RawMessage{
		&doc.Loan, &doc.Late, &doc.MAR, &doc.Split, &doc.Platform, &doc.Other, &doc.AdditionalMDR, &doc.Convenience,
		&doc.GSTOnCCF, &doc.Cashback, &doc.MerchantCashback, &doc.MerchantConvenience,
	} {
		*none = s.figure(zero)
	}
	doc.Pagination.Total = (len(lines) + perPage - 1) / perPage
	doc.Pagination.Current = itoa(page)
	return jsonAnswer(http.StatusOK, marshal(doc))
}

// settlementDoc has its fields in the same sequence and with the same spelling
// as the published sample.
type settlementDoc struct {
	UTR                 string              `json:"utr_number"`
	Bank                string              `json:"bank_name"`
	Account             string              `json:"bank_acc_number"`
	Programs            []string            `json:"programs"`
	Lines               int                 `json:"total_transaction_count"`
	Amount              json.RawMessage     `json:"total_transaction_amount"`
	Actual              json.RawMessage     `json:"actual_transaction_amount"`
	Refund              json.RawMessage     `json:"total_refund"`
	Chargeback          json.RawMessage     `json:"total_chargeback_recovery_amount"`
	Loan                json.RawMessage     `json:"total_loan_recovery_amount"`
	MDR                 json.RawMessage     `json:"total_mdr_amount"`
	GST                 json.RawMessage     `json:"total_gst_amount"`
	Late                json.RawMessage     `json:"total_late_settlement_fee"`
	Settled             json.RawMessage     `json:"total_settled_amount"`
	MAR                 json.RawMessage     `json:"total_mar_amount"`
	Split               json.RawMessage     `json:"split_fund_amount"`
	Platform            json.RawMessage     `json:"total_platform_fee"`
	Other               json.RawMessage     `json:"other_deductions"`
	AdditionalMDR       json.RawMessage     `json:"additional_mdr_amount"`
	Convenience         json.RawMessage     `json:"total_convenience_fee"`
	GSTOnCCF            json.RawMessage     `json:"total_gst_on_c_c_f"`
	Cashback            json.RawMessage     `json:"total_cashback_amount"`
	MerchantCashback    json.RawMessage     `json:"total_merchant_cashback"`
	MerchantConvenience json.RawMessage     `json:"total_merchant_convenience_fee"`
	Transactions        []settlementLineDoc `json:"transactions"`
	Pagination          struct {
		Total   int    `json:"total_pages"`
		Current string `json:"current_page"`
	} `json:"pagination"`
}

type settlementLineDoc struct {
	ID          string          `json:"transaction_id"`
	System      string          `json:"system"`
	ProcessedAt string          `json:"processed_date"`
	PaidAt      string          `json:"transaction_date"`
	Amount      json.RawMessage `json:"transaction_amount"`
	Actual      json.RawMessage `json:"actual_transaction_amount"`
	Deduction   json.RawMessage `json:"total_deduction_amount"`
	Settled     json.RawMessage `json:"settled_amount"`
	Store       string          `json:"store_address"`
	Acquirer    string          `json:"acquirer_name"`
	TID         string          `json:"tid"`
	IsEMI       bool            `json:"is_emi"`
	UTR         string          `json:"utr_number"`
	Program     string          `json:"program"`
	Payout      string          `json:"payout_status"`
}

func (s *Server) settlementLine(of *bookedSettlement, line SettlementLine) settlementLineDoc {
	f := line.figures()
	paid := line.PaidAt.In(india)
	doc := settlementLineDoc{
		ID: line.TransactionID, System: "PG", ProcessedAt: indianTime(of.ProcessedAt),
		PaidAt: paid.Format(time.DateOnly) + "T00:00:00",
		Amount: s.text(line.Amount), Actual: s.text(line.Amount),
		Deduction: s.figure(sum(f.mdr, f.gst)), Settled: s.figure(f.settled),
		Store: "Indiranagar", Acquirer: "DEMO_ACQUIRER", TID: "DEMO000028500001",
		IsEMI: line.Program == "CREDIT_EMI" || line.Program == "DEBIT_EMI",
		UTR:   of.UTR, Program: line.Program, Payout: line.PayoutStatus,
	}
	if doc.Payout == "" {
		doc.Payout = "Success"
	}
	return doc
}

// indianTime formats a time as settlements do: in Indian time, without the
// zone.
func indianTime(t time.Time) string { return t.In(india).Format("2006-01-02T15:04:05") }

func (s *Server) figure(r *big.Rat) json.RawMessage { return s.text(formatDecimal(r)) }

func (s *Server) text(number string) json.RawMessage {
	if s.cfg.settlementQuirks.has(SettleTextFigures) {
		return marshal(number)
	}
	return json.RawMessage(number)
}

// moveRows calls the function reorder, which changes the order of a list. It
// calls reorder only if both of these conditions are true:
//   - MoveSettlementRows has asked for a move that has not happened yet.
//   - The page is not the first page.
func (s *Server) moveRows(page int, reorder func()) {
	if page > 1 && s.settled.moves > 0 {
		s.settled.moves--
		reorder()
	}
}

// rotateList moves the last element of the list to the first place.
func rotateList[T any](list []T) {
	if n := len(list); n > 0 {
		last := list[n-1]
		copy(list[1:], list[:n-1])
		list[0] = last
	}
}

func onPage[T any](list []T, page, perPage int) []T {
	first := min((page-1)*perPage, len(list))
	return list[first:min(first+perPage, len(list))]
}

// parseDay reads the day of "2026-10-01T00:00:00" or "2026-10-01".
func parseDay(text string) (time.Time, error) {
	t, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	return t.Truncate(24 * time.Hour), err
}

// pageOf reads the page and its size from the query. Pages count from 1 and
// have at most 10 rows.
func pageOf(query url.Values) (page, perPage int, apiErr *apiError) {
	page, perPage = 1, settlementPage
	for _, each := range []struct {
		name string
		to   *int
		most int
	}{{"page", &page, 1 << 30}, {"per_page", &perPage, settlementPage}} {
		if text := query.Get(each.name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > each.most {
				return 0, 0, invalid(fmt.Sprintf("%s must be an Integer value from 1 to %d", each.name, each.most))
			}
			*each.to = n
		}
	}
	return page, perPage, nil
}
