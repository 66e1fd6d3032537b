package reconcile

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/plural-go/plural"
)

// Outcome is what the books show about a payment, as a short text such as
// "settled".
type Outcome string

// The outcomes.
const (
	// Settled: all lines that were read have the payout status Success. The sum
	// of the payment's lines, without the lines of refunds, is exactly the
	// captured amount. There may be several lines.
	Settled Outcome = "settled"
	// Differs: all lines were read, and their sum is not the captured amount.
	// Or Plural's order has another reference or other amounts than the shop.
	// [Run] reads such an order a second time, and uses only the second answer.
	// The Reasons say what differs, with the figures.
	Differs Outcome = "differs"
	// NotSeen: the settlements of the days in [Result.Seen] have no line of the
	// payment. That does not mean that the payment is not settled, because
	// money comes days later.
	NotSeen Outcome = "not seen"
	// Unknown: the outcome could not be determined. The reason is one of
	// these:
	//
	//   - a settlement was not read completely or was not listed, and this
	//     settlement may have a line of the payment;
	//   - the order could not be read;
	//   - the payment has no PaymentID, and its order was not read;
	//   - the order does not show the figures;
	//   - the shop's list has a payment of the order, but Plural's order does
	//     not list this payment;
	//   - an id in Plural's order also belongs to another payment on the shop's
	//     list;
	//   - a line has a payout status other than Success;
	//   - the amount of a line is not a number.
	Unknown Outcome = "unknown"
)

// Result is what the books show about a payment. It also has the payment's
// lines, and the reasons for the outcome.
type Result struct {
	Payment Payment
	Outcome Outcome
	// Lines are the lines of the payment, and then those of its refunds, as Plural
	// sent them.
	Lines []plural.SettlementLine
	// Reasons explain to people why the payment differs or is unknown.
	Reasons []string
	// Seen is the range of days whose settlements were listed. It is zero
	// if no day was listed.
	Seen plural.Days

	owned int // the number of lines of the payment itself; they come before the lines of refunds
}

// UTRs returns the UTRs of the settlements from which the Lines come, each UTR
// once.
func (r *Result) UTRs() []string {
	var list []string
	for i := range r.Lines {
		if utr := r.Lines[i].UTRNumber; !slices.Contains(list, utr) {
			list = append(list, utr)
		}
	}
	return list
}

// Settled adds up the payment's lines, without the lines of refunds, and
// returns the sum in rupees. It returns "" if the payment has no line, or if
// the amount of a line is not a number.
func (r *Result) Settled() plural.Rupees {
	if r.owned == 0 {
		return ""
	}
	sum, _, _, err := sumLines(r.Lines[:r.owned])
	if err != nil {
		return ""
	}
	return sum
}

// Results returns the result of each payment, in the sequence of the shop's
// list. The parameter seen is the range of days whose settlements you have read
// and added to the books. If you have read no settlements, pass plural.Days{}.
func (b *Books) Results(seen plural.Days) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		missing := b.unreadText()
		for n := range b.payments {
			if !yield(b.result(&b.payments[n], seen, missing)) {
				return
			}
		}
	}
}

func (b *Books) result(p *entry, seen plural.Days, missing string) Result {
	j := judgement{Result: Result{Payment: p.Payment, Seen: seen}}
	count := 0
	for at := p.first; at != none; at = b.lines.at(at).nextLine {
		count++
	}
	j.Lines = make([]plural.SettlementLine, 0, count)
	for at := p.first; at != none; at = b.lines.at(at).nextLine {
		if l := b.lines.at(at); !l.isRefund {
			j.Lines = append(j.Lines, l.SettlementLine)
		}
	}
	j.owned = len(j.Lines)
	for at := p.first; at != none; at = b.lines.at(at).nextLine {
		if l := b.lines.at(at); l.isRefund {
			j.Lines = append(j.Lines, l.SettlementLine)
		}
	}
	b.judgeOrder(&j, p)
	b.judgeLines(&j, p, missing)
	switch {
	case j.differs != nil:
		j.Outcome, j.Reasons = Differs, slices.Concat(j.differs, j.unknown)
	case j.unknown != nil:
		j.Outcome, j.Reasons = Unknown, j.unknown
	case j.owned > 0:
		j.Outcome = Settled
	default:
		j.Outcome = NotSeen
	}
	return j.Result
}

// judgement is a result whose outcome is not determined yet, and the reasons
// that were found so far.
type judgement struct {
	Result

	differs, unknown []string
	silence          string // why the payment's order does not show the amounts, or ""
}

func (j *judgement) differ(format string, a ...any) {
	j.differs = append(j.differs, fmt.Sprintf(format, a...))
}

func (j *judgement) doubt(format string, a ...any) {
	j.unknown = append(j.unknown, fmt.Sprintf(format, a...))
}

// judgeOrder compares the shop's figures with those of Plural's order. If an
// order has several payments, the shop's figures for them are added up.
func (b *Books) judgeOrder(j *judgement, p *entry) {
	if p.order == none {
		if p.PaymentID == "" {
			j.doubt("the order was not read, and the shop has no payment id")
		}
		return
	}
	book := &b.orders[p.order]
	if book.err != nil {
		j.doubt("the order could not be read: %s", oneLine(book.err))
		return
	}
	j.differs = b.contradictions(p, book)
	switch {
	case book.isOfOthers || b.payments[b.firstOf(p)].isContested:
		j.doubt("an id of Plural's order also belongs to another payment of the list")
	case book.lacksOne != "":
		j.doubt("Plural's order does not list payment %s", book.lacksOne)
	case book.lacksID:
		j.silence = "Plural's order does not show the id of a payment"
	case !book.captured.isKnown:
		j.silence = fmt.Sprintf("Plural's order is %s and does not say how much was captured", book.status)
	case !book.refunded.isKnown:
		j.silence = fmt.Sprintf("Plural's order is %s and does not say how much was refunded", book.status)
	}
}

// contradictions lists the differences between an order and the shop's figures.
func (b *Books) contradictions(p *entry, book *orderBook) (list []string) {
	captured, refunded := plural.INR(0), plural.INR(0)
	for n := b.firstOf(p); n != none; n = b.payments[n].next {
		captured.Value += b.payments[n].Captured.Value
		refunded.Value += b.payments[n].Refunded.Value
	}
	if p.Reference != "" && book.reference != "" && book.reference != p.Reference {
		list = append(list, fmt.Sprintf("Plural's order has the reference %q", book.reference))
	}
	if book.captured.isKnown && book.captured.Amount != captured {
		list = append(list,
			fmt.Sprintf("Plural's order says that %s was captured, the shop has %s", book.captured, captured))
	}
	if book.refunded.isKnown && book.refunded.Amount != refunded {
		list = append(list,
			fmt.Sprintf("Plural's order says that %s was refunded, the shop has %s", book.refunded, refunded))
	}
	return list
}

// judgeLines compares the lines with the captured amount.
func (b *Books) judgeLines(j *judgement, p *entry, missing string) {
	for i := range j.Lines {
		l := &j.Lines[i]
		if !l.PayoutStatus.IsSuccess() {
			j.doubt("the payout status of a line of UTR %s is %q", l.UTRNumber, l.PayoutStatus)
		}
		if _, isUnread := b.unread[l.UTRNumber]; isUnread {
			j.doubt("UTR %s has a line of this payment, and was not read whole", l.UTRNumber)
		}
	}
	sum, paise, isWhole, err := sumLines(j.Lines[:j.owned])
	switch {
	case err != nil:
		j.doubt("the amount of a line is not a number: %s", oneLine(err))
		return
	case j.owned > 0 && isWhole && paise == p.Captured.Value:
		return
	}
	if j.silence != "" {
		j.doubt("%s", j.silence)
	}
	if missing != "" && (j.owned > 0 || len(b.unread) > 0 || j.Seen.First.IsZero()) {
		j.doubt("%s", missing)
	} else if j.owned == 0 && j.Seen.First.IsZero() {
		j.doubt("no settlement was read")
	}
	if j.owned == 0 || j.unknown != nil {
		return
	}
	reason := fmt.Sprintf("the lines add up to %s rupees, the shop has captured %s", sum, p.Captured)
	if left := p.Captured.Value - p.Refunded.Value; isWhole && p.Refunded.Value > 0 && paise == left {
		reason += fmt.Sprintf(": it is the captured amount less the refunds, %s", p.Refunded)
	}
	j.differ("%s", reason)
}

// unreadText returns a text about the settlements that could not be read, or
// could not be listed. If everything was read, it returns "".
func (b *Books) unreadText() string {
	const most = 3
	utrs := slices.Sorted(maps.Keys(b.unread))
	switch {
	case len(utrs) > most:
		return fmt.Sprintf("%d settlements were not read whole, such as UTR %s", len(utrs), utrs[0])
	case len(utrs) > 0:
		return fmt.Sprintf("UTR %s was not read whole, and may have lines of this payment", strings.Join(utrs, ", "))
	case b.unlisted != nil:
		return "not all settlements could be listed: " + oneLine(b.unlisted)
	}
	return ""
}

// oneLine returns the text of an error on one line. It shortens the text for a
// cell.
func oneLine(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
