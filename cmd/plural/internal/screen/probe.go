package screen

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/plural-go/plural/cmd/plural/internal/probe"
	"github.com/plural-go/plural/cmd/plural/internal/report"
)

// Progress shows the progress of a run.
type Progress struct{ Out io.Writer }

// The method Say shows one line of text.
func (p Progress) Say(line string) { fmt.Fprintln(p.Out, line) }

// The method Plan describes the run.
func (p Progress) Plan(plan probe.Plan) {
	if plan.IsTakenUp {
		fmt.Fprintf(p.Out, "This continues the run that is recorded in %s.\n", plan.StateFile)
	}
	fmt.Fprintf(p.Out, "Questions to ask: %d. That takes about %d requests, and makes %d orders of a rupee "+
		"that nobody pays.\n", plan.Questions, plan.Requests, plan.Orders)
	if len(plan.Payments) > 0 {
		fmt.Fprintf(p.Out, "You will be asked for card payments, %s: %d rupees of test money. "+
			"Never pay by UPI: on UAT it can move real money.\n", joinNames(plan.Payments), plan.Rupees())
		fmt.Fprintln(p.Out, "At the end all holds are cancelled, and all captured money is refunded.")
	}
	if plan.KeepsHold {
		fmt.Fprintln(p.Out, "Payment D stays held. The next run reads what happened to the hold.")
	}
	fmt.Fprintf(p.Out, "Ids and answers are kept in %s: a run can be stopped and continued.\n\n", plan.StateFile)
}

// joinNames makes one text from several names, such as "A, B and C".
func joinNames(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// The method Ask asks the person to make payments.
func (p Progress) Ask(payments []string, link func(string) string, webhookURL string, takesWebhooks bool) {
	fmt.Fprintln(p.Out, "\nPlease make these payments in a browser on this machine, with the test card")
	fmt.Fprintln(p.Out, "(4012 0010 3714 1112, CVV 212, any future expiry):")
	for _, name := range payments {
		fmt.Fprintf(p.Out, "  %s  %s\n", name, link(name))
	}
	if takesWebhooks {
		fmt.Fprintf(p.Out, "Webhooks are taken at %s: set this address on the dashboard before you pay.\n", webhookURL)
	}
	fmt.Fprintln(p.Out, "The program continues by itself.")
}

// The method Answered shows the result of one question.
func (p Progress) Answered(n, total int, r probe.Result) {
	fmt.Fprintf(p.Out, "%2d/%d  %-22s %-10s  %s\n", n, total, r.ID, r.State, r.Answer)
}

// Report writes the answers as a table.
func Report(w io.Writer, r *report.Report) {
	fmt.Fprintln(w)
	t := newTable(w, 46, 60)
	t.AppendHeader(table.Row{"Question", "", "Answer", "What to set or do"})
	var notAsked []string
	for _, row := range r.Rows {
		if row.State == probe.NotAsked {
			notAsked = append(notAsked, row.ID)
			continue
		}
		t.AppendRow(table.Row{row.ID, string(row.State), row.Answer, row.Do})
	}
	t.Render()
	if len(notAsked) > 0 {
		fmt.Fprintln(w, text.WrapSoft("Not asked (the report says why): "+strings.Join(notAsked, ", ")+".", 120))
	}
	fmt.Fprintf(w, "%d as assumed, %d differ, %d other, %d failed, %d not asked.\n", r.Count(probe.AsAssumed),
		r.Count(probe.Differs), r.Count(probe.Other), r.Count(probe.Failed), r.Count(probe.NotAsked))
}

// Questions lists the questions that can be asked.
func Questions(w io.Writer) {
	t := newTable(w, 70, 40)
	t.AppendHeader(table.Row{"Question", "", "Asks", "Assumed"})
	for _, q := range probe.Questions() {
		needs := ""
		if q.Ask == nil {
			needs = "not asked"
		}
		t.AppendRow(table.Row{q.ID, needs, q.Asks, q.Assumed})
	}
	t.Render()
}
