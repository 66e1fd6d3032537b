package reconcile

import (
	"strings"

	"github.com/plural-go/plural"
)

// chunkedList is a list that grows without copying its items.
type chunkedList[T any] struct {
	chunks [][]T
	n      int32
}

const chunk = 1024

func (p *chunkedList[T]) add(item T) int32 {
	if p.n%chunk == 0 {
		p.chunks = append(p.chunks, make([]T, 0, chunk))
	}
	last := &p.chunks[len(p.chunks)-1]
	*last = append(*last, item)
	p.n++
	return p.n - 1
}

func (p *chunkedList[T]) at(n int32) *T { return &p.chunks[n/chunk][n%chunk] }

// copyTexts copies the texts of a line, so the line does not keep its page in
// memory. The parameter l is the line, and before is the line before it. To
// save memory, some texts are not copied:
//
//   - If the TransactionID equals the parameter id, the line uses the text of
//     this parameter.
//   - If another field has the same text in both lines, both lines use one
//     text.
//   - If the ActualTransactionAmount equals the TransactionAmount, both fields
//     use one text.
func copyTexts(l, before *plural.SettlementLine, id string) {
	var fresh [15]*string
	n, size := 0, 0
	keep := func(text *string, same string) {
		switch {
		case *text == same:
			*text = same
		case *text != "":
			fresh[n] = text
			n, size = n+1, size+len(*text)
		}
	}
	keep(&l.TransactionID, id)
	keep(&l.System, before.System)
	keep((*string)(&l.ProcessedDate), string(before.ProcessedDate))
	keep((*string)(&l.TransactionDate), string(before.TransactionDate))
	keep((*string)(&l.TransactionAmount), string(before.TransactionAmount))
	isActual := l.ActualTransactionAmount == l.TransactionAmount
	if !isActual {
		keep((*string)(&l.ActualTransactionAmount), string(before.ActualTransactionAmount))
	}
	keep((*string)(&l.TotalDeductionAmount), string(before.TotalDeductionAmount))
	keep((*string)(&l.SettledAmount), string(before.SettledAmount))
	keep(&l.StoreAddress, before.StoreAddress)
	keep(&l.AcquirerName, before.AcquirerName)
	keep(&l.TID, before.TID)
	keep(&l.UTRNumber, before.UTRNumber)
	keep(&l.Program, before.Program)
	keep((*string)(&l.PayoutStatus), string(before.PayoutStatus))
	var b strings.Builder
	b.Grow(size)
	for _, text := range fresh[:n] {
		b.WriteString(*text)
	}
	all := b.String()
	for _, text := range fresh[:n] {
		*text, all = all[:len(*text)], all[len(*text):]
	}
	if isActual {
		l.ActualTransactionAmount = l.TransactionAmount
	}
}

// sumLines adds up the TransactionAmount of each line, and returns the exact
// sum. If the sum is whole paise, it also returns the sum in paise.
func sumLines(lines []plural.SettlementLine) (sum plural.Rupees, paise int64, isWhole bool, err error) {
	sum = "0"
	for i := range lines {
		figure := lines[i].TransactionAmount
		if len(lines) == 1 {
			if paise, isWhole = paiseOf(figure); isWhole {
				return figure, paise, true, nil
			}
		}
		if sum, err = sum.Add(figure); err != nil {
			return "", 0, false, err
		}
	}
	paise, isWhole = sum.Paise()
	return sum, paise, isWhole, nil
}

// paiseOf returns the same as figure.Paise. It is faster for the usual figures,
// which have only digits and at most two decimals.
func paiseOf(figure plural.Rupees) (paise int64, isWhole bool) {
	const mostDigits = 15
	whole, fraction, hasPoint := strings.Cut(string(figure), ".")
	isPlain := whole != "" && len(whole) <= mostDigits && len(fraction) <= 2 && hasPoint == (fraction != "")
	for _, part := range [2]string{whole, fraction} {
		for i := 0; i < len(part) && isPlain; i++ {
			isPlain = '0' <= part[i] && part[i] <= '9'
			paise = paise*10 + int64(part[i]) - '0'
		}
	}
	if !isPlain {
		return figure.Paise()
	}
	for range 2 - len(fraction) {
		paise *= 10
	}
	return paise, true
}
