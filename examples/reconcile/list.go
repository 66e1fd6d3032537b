package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/reconcile"
)

// readList reads the shop's list.
func (n night) readList(in io.Reader) (*reconcile.Books, error) {
	if n.list != "-" {
		f, err := os.Open(n.list)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return reconcile.New(payments(in))
}

func payments(in io.Reader) iter.Seq2[reconcile.Payment, error] {
	return readCSV(in, "the list", []string{"reference", "captured", "refunded"}, []string{"order_id", "payment_id"},
		func(r row) (p reconcile.Payment, err error) {
			p.Reference, p.OrderID, p.PaymentID = r.text("reference"), r.text("order_id"), r.text("payment_id")
			if p.Captured, err = r.amount("captured"); err != nil {
				return p, err
			}
			p.Refunded, err = r.amount("refunded")
			return p, err
		})
}

// readStatement reads the bank's statement.
func readStatement(name string) (*reconcile.Statement, error) {
	f, err := os.Open(name) //nolint:gosec // the operator chooses the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return reconcile.NewStatement(readCSV(f, "the statement", []string{"utr", "amount", "day"}, nil,
		func(r row) (c reconcile.Credit, err error) {
			c.UTR, c.Day = r.text("utr"), r.text("day")
			c.Amount, err = r.amount("amount")
			return c, err
		}))
}

// readCSV reads a table in CSV. The first row of the table is the header. An
// error names the line and the column.
func readCSV[T any](in io.Reader, what string, must, may []string, parse func(row) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		table := csv.NewReader(in)
		table.ReuseRecord = true
		header, err := table.Read()
		if err != nil {
			yield(none, fmt.Errorf("read the header of %s: %w", what, err))
			return
		}
		columns, err := columnsOf(header, must, may)
		if err != nil {
			yield(none, fmt.Errorf("the header of %s: %w", what, err))
			return
		}
		for {
			cells, err := table.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var one T
			if err == nil {
				one, err = parse(row{cells, columns, table})
			}
			if err != nil {
				yield(none, fmt.Errorf("read %s: %w", what, err))
				return
			}
			if !yield(one, nil) {
				return
			}
		}
	}
}

// columnsOf finds the columns by their names.
func columnsOf(header, must, may []string) (map[string]int, error) {
	columns := map[string]int{}
	for i, name := range header {
		name = strings.TrimPrefix(strings.TrimSpace(name), "\ufeff") // spreadsheets begin a file with this mark
		if !slices.Contains(must, name) && !slices.Contains(may, name) {
			all := strings.Join(slices.Concat(must, may), ", ")
			return nil, fmt.Errorf("column %d is %q; the columns are %s", i+1, name, all)
		}
		if _, isTwice := columns[name]; isTwice {
			return nil, fmt.Errorf("there are two columns %q", name)
		}
		columns[name] = i
	}
	for _, name := range must {
		if _, ok := columns[name]; !ok {
			return nil, fmt.Errorf("there is no column %q", name)
		}
	}
	return columns, nil
}

// row is a line of a table.
type row struct {
	cells   []string
	columns map[string]int
	table   *csv.Reader
}

func (r row) text(name string) string {
	if i, ok := r.columns[name]; ok {
		return strings.TrimSpace(r.cells[i])
	}
	return ""
}

func (r row) amount(name string) (plural.Amount, error) {
	a, err := plural.ParseAmount(r.text(name), plural.CurrencyINR)
	if err != nil {
		line, column := r.table.FieldPos(r.columns[name])
		return a, fmt.Errorf("line %d, column %d (%s): %w", line, column, name, err)
	}
	return a, nil
}
