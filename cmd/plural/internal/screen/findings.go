// Package screen writes the messages and tables that a person reads in the
// terminal.
package screen

import (
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/plural-go/plural/cmd/plural/internal/doctor"
)

// Findings writes the doctor's findings.
func Findings(w io.Writer, findings []doctor.Finding) {
	t := newTable(w, 44, 52)
	t.AppendHeader(table.Row{"Check", "", "Found", "What to do"})
	for _, f := range findings {
		t.AppendRow(table.Row{f.Check, string(f.Result), f.Says, f.Do})
	}
	t.Render()
}

// newTable makes a table. It wraps the third and the fourth column at the given
// widths.
func newTable(w io.Writer, third, fourth int) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 3, WidthMax: third, WidthMaxEnforcer: text.WrapSoft},
		{Number: 4, WidthMax: fourth, WidthMaxEnforcer: text.WrapSoft},
	})
	return t
}
