package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/account"
)

// Options are the program's flags.
type Options struct {
	Only      []string // ids of questions; empty for all
	NoPayer   bool
	KeepHold  bool
	PublicURL string
	Listen    string
	StateFile string
	// Patience is how long the probe waits for a change that it expects, such
	// as a webhook or a refund in the list.
	Patience time.Duration
	// Pace is how long the probe waits between two checks of the same
	// condition.
	Pace      time.Duration
	PayWithin time.Duration
}

// Display shows the progress of the run to a person.
type Display interface {
	Say(text string)
	// Plan describes the run.
	Plan(plan Plan)
	// Ask asks the person to make payments.
	Ask(payments []string, link func(payment string) string, webhookURL string, takesWebhooks bool)
	// The method Answered shows the result of question number n. The
	// argument total is the number of questions in the run.
	Answered(n, total int, r Result)
}

// Probe carries out one run: it asks the questions, and records the answers.
type Probe struct {
	account  *account.Account
	options  Options
	show     Display
	wire     *wire
	client   *plural.Client
	memory   *runMemory
	listener *listener
	changed  chan struct{} // signals that recordChange has changed Probe.memory
}

// New continues an earlier run, or begins a new run. It sends no request.
func New(a *account.Account, options Options, show Display) (*Probe, error) {
	if err := a.MayBeProbed(); err != nil {
		return nil, err
	}
	client, err := a.Client(plural.WithUserAgent("plural-probe"))
	if err != nil {
		return nil, err
	}
	w, err := newWire(a)
	if err != nil {
		return nil, err
	}
	m, err := remember(options.StateFile, a)
	if err != nil {
		return nil, err
	}
	return &Probe{
		account: a, options: options, show: show, wire: w, client: client, memory: m, changed: make(chan struct{}, 1),
	}, nil
}

// A value of type unmet is the reason why a question was not asked.
type unmet string

func (u unmet) Error() string { return string(u) }

// The method Run asks Plural the selected questions. Then it cancels the holds
// and refunds the captured money. An interrupted run can be continued. If some
// money could not be given back, the method returns an error together with the
// complete results.
func (p *Probe) Run(ctx context.Context) ([]Result, error) {
	questions, err := selectQuestions(p.options.Only)
	if err != nil {
		return nil, err
	}
	p.listener, err = p.listen(ctx, p.options.Listen, p.options.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("listen for the payer's return: %w", err)
	}
	defer p.listener.close(ctx)
	p.show.Plan(p.plan(questions))

	hasCollected := false
	for i, q := range questions {
		if p.isAnswered(q) {
			continue // the question was asked before the run was stopped
		}
		if names := p.paymentsFor(questions[i:]); !hasCollected && q.Needs&needsPayer != 0 {
			hasCollected = true
			if err := p.collect(ctx, names); err != nil {
				return nil, p.stoppedError(ctx, err)
			}
		}
		r, err := p.ask(ctx, q)
		if err != nil {
			return nil, p.stoppedError(ctx, err)
		}
		if err := p.memory.changeAndSave(func() { p.memory.Results[q.ID] = r }); err != nil {
			return nil, p.stoppedError(ctx, err)
		}
		if q.Ask != nil {
			p.show.Answered(i+1, len(questions), r)
		}
	}
	if err := p.keepHold(ctx); err != nil {
		return nil, p.stoppedError(ctx, err)
	}
	results := make([]Result, 0, len(questions))
	for _, q := range questions {
		results = append(results, p.memory.Results[q.ID])
	}
	return results, p.Clean(ctx)
}

// With the flag -keep-hold, the method keepHold asks the person to make one
// more payment. The money of that payment stays on hold after the run.
func (p *Probe) keepHold(ctx context.Context) error {
	if !p.keepsNewHold() {
		return nil
	}
	return p.collect(ctx, []string{keptPayment})
}

// keepsNewHold reports whether the run asks for a payment whose money stays on
// hold. It does not, if such a hold is still there from an earlier run.
func (p *Probe) keepsNewHold() bool {
	kept := p.memory.Kept
	return p.options.KeepHold && !p.options.NoPayer && (kept == nil || kept.IsOver)
}

// isAnswered reports whether an earlier part of the run has asked the question
// and got an answer.
func (p *Probe) isAnswered(q *Question) bool {
	old, isAsked := p.memory.Results[q.ID]
	return isAsked && old.State != Failed && old.State != NotAsked
}

// The method Clean cancels the holds and refunds the captured money. If that
// succeeds, the run is over.
func (p *Probe) Clean(ctx context.Context) error {
	left := p.giveBack(ctx)
	if err := ctx.Err(); err != nil {
		return p.stoppedError(ctx, err)
	}
	if len(left) > 0 {
		return fmt.Errorf("not given back: %s. Run plural probe -clean, or give the money back on the dashboard",
			strings.Join(left, ", "))
	}
	return p.memory.changeAndSave(func() { p.memory.IsOver = true })
}

// stoppedError returns an error that says how to continue the run. If ctx has
// ended, the error says that the run was stopped. Otherwise the error wraps
// err.
func (p *Probe) stoppedError(ctx context.Context, err error) error {
	const how = "The same command continues from here; " +
		"plural probe -clean cancels the holds and refunds the captured money"
	if ctx.Err() == nil {
		return fmt.Errorf("%w. %s", err, how)
	}
	return errors.New("stopped. " + how)
}

// The method ask asks one question. If the method returns an error, the run
// ends.
func (p *Probe) ask(ctx context.Context, q *Question) (Result, error) {
	if why := p.unmet(q); why != "" {
		return Result{ID: q.ID, State: NotAsked, Answer: why}, nil
	}
	if q.IsOnce {
		if p.memory.Tried[q.ID] {
			return Result{ID: q.ID, State: NotAsked, Answer: "it was asked before, and is never asked twice"}, nil
		}
		if err := p.memory.changeAndSave(func() { p.memory.Tried[q.ID] = true }); err != nil {
			return Result{}, err
		}
	}
	found, err := q.Ask(ctx, p)
	var why unmet
	var failed askError
	switch {
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case errors.As(err, &why):
		return Result{ID: q.ID, State: NotAsked, Answer: why.Error()}, nil
	case errors.As(err, &failed):
		return Result{ID: q.ID, State: Failed, Answer: failed.Error()}, nil
	case err != nil:
		return Result{}, err
	}
	return q.makeResult(found), nil
}

// The method unmet returns the reason why a question cannot be asked, or "" if
// it can be asked.
func (p *Probe) unmet(q *Question) string {
	switch {
	case q.Ask == nil:
		return "this program cannot ask it"
	case q.Needs&needsPayer != 0 && p.options.NoPayer:
		return "nobody pays (-no-payer)"
	case q.Needs.has(NeedWebhook) && !p.takesWebhooks():
		return "no webhook can reach this machine: give -public-url"
	case q.Needs.has(NeedKeptHold) && (p.memory.Kept == nil || p.memory.Kept.IsOver):
		return "no earlier run has kept a hold (-keep-hold)"
	}
	return ""
}

// takesWebhooks reports whether webhooks can reach this machine.
func (p *Probe) takesWebhooks() bool { return p.options.PublicURL != "" || p.account.IsEmulator() }

// paymentsFor lists the payments that can be made, for the questions that need
// them and are not answered yet.
func (p *Probe) paymentsFor(questions []*Question) []string {
	var names []string
	for _, q := range questions {
		if p.isAnswered(q) || p.unmet(q) != "" {
			continue
		}
		for _, one := range []struct {
			need Need
			name string
		}{
			{NeedPartTaken, partTaken},
			{NeedTwoTaken, twoTaken},
			{NeedHeld, heldPayment},
			{NeedReturn, partTaken},
			{NeedWebhook, partTaken},
		} {
			if q.Needs.has(one.need) && !slices.Contains(names, one.name) {
				names = append(names, one.name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// recordChange calls a function that changes p.memory, and writes p.memory to
// the state file. If the file cannot be written, recordChange shows the error.
// Then it wakes the code that waits for the payments and for the browsers to
// come back.
func (p *Probe) recordChange(change func()) {
	if err := p.memory.changeAndSave(change); err != nil {
		p.show.Say(err.Error())
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// isOurs reports whether an order is a payment of this run.
func (p *Probe) isOurs(orderID string) bool {
	isOurs := false
	p.memory.withLock(func() {
		for _, made := range p.memory.Payments {
			isOurs = isOurs || made.OrderID == orderID && orderID != ""
		}
	})
	return isOurs
}

// waitUntil checks a condition again and again until the condition is true, but
// not for longer than Options.Patience. It returns how long that took, and how
// often it has checked the condition.
func (p *Probe) waitUntil(ctx context.Context, isSo func() (bool, error)) (took time.Duration, looks int, err error) {
	begun := time.Now()
	for {
		looks++
		so, err := isSo()
		took = time.Since(begun)
		switch {
		case err != nil:
			return took, looks, err
		case so:
			return took, looks, nil
		case took > p.options.Patience:
			return took, looks, errNotSeen
		}
		if err := p.pause(ctx); err != nil {
			return took, looks, err
		}
	}
}

// The method pause waits for Options.Pace. Between two checks of the same
// condition, the probe waits in this way. It also waits between two requests if
// the second request must find the effect of the first request.
func (p *Probe) pause(ctx context.Context) error {
	select {
	case <-time.After(p.options.Pace):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const errNotSeen askError = "the expected change has not shown up in time (-patience)"

// Plan describes what a run is going to do.
type Plan struct {
	Questions, Requests, Orders int
	Payments                    []string
	KeepsHold                   bool
	StateFile                   string
	IsTakenUp                   bool
}

// Rupees returns the sum of the payments, in rupees of test money.
func (p Plan) Rupees() int { return len(p.Payments) * paidSum / 100 }

func (p *Probe) plan(questions []*Question) Plan {
	plan := Plan{StateFile: p.options.StateFile, IsTakenUp: len(p.memory.Results) > 0}
	for _, q := range questions {
		if !p.isAnswered(q) && p.unmet(q) == "" {
			plan.Questions++
			plan.Requests += q.Requests
			plan.Orders += q.Orders
		}
	}
	plan.Payments = p.paymentsFor(questions)
	plan.KeepsHold = p.keepsNewHold()
	if plan.KeepsHold {
		plan.Payments = append(plan.Payments, keptPayment)
	}
	return plan
}

// selectQuestions returns the questions with the given ids, in the order of the
// table. Without ids it returns all questions.
func selectQuestions(ids []string) ([]*Question, error) {
	var list []*Question
	known := map[string]bool{}
	for _, q := range Questions() {
		known[q.ID] = true
		if len(ids) == 0 || slices.Contains(ids, q.ID) {
			list = append(list, &q)
		}
	}
	for _, id := range ids {
		if !known[id] {
			return nil, fmt.Errorf("there is no question %q: plural probe -list shows them", id)
		}
	}
	return list, nil
}
