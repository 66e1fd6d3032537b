// Package probe asks an account the questions that Plural's documentation
// leaves open, and records the answers.
package probe

import (
	"context"
	"slices"

	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// Question is one row of the table of questions.
type Question struct {
	ID   string
	Asks string // the question as a sentence for people
	// Needs is the set of the things that must exist before the probe can ask
	// the question.
	Needs Need
	// Assumed is the answer that the package assumes.
	Assumed string
	Answers []Answer
	// Requests is the number of requests that the probe sends for the question.
	// Orders is the number of orders that the probe makes for the question and
	// that nobody pays.
	Requests, Orders int
	// IsOnce means that the question is asked at most once, even if the run is
	// interrupted.
	IsOnce bool
	// The function Ask finds the answer to the question. It is nil if the
	// program cannot ask the question.
	Ask func(ctx context.Context, p *Probe) (Found, error)
}

// Answer is one of the answers that a question may have.
type Answer struct {
	Is string
	Do string // what to set or to do if this is the answer
}

// The type Found has the answer that the probe has found, and facts about it.
// If Question.Answers does not list the answer, the report says "other".
type Found struct {
	Answer string
	Facts  []fact.Fact
}

// Need is a set of things, besides the account, that a question needs.
type Need uint

// Each of these constants is one thing that a question may need. For all of
// them except NeedKeptHold and NeedSettled, a person has to make a payment in
// this run.
const (
	NeedPartTaken Need = 1 << iota // payment A, of which a part is captured
	NeedTwoTaken                   // payment B, with two captures at the same time
	NeedHeld                       // payment C, which is cancelled
	NeedReturn                     // the payer's browser has come back
	NeedWebhook                    // webhooks reach this machine
	NeedKeptHold                   // a hold that an earlier run has kept
	NeedSettled                    // something has been settled
)

// needsPayer is the set of all things for which a person has to make a payment
// in this run.
const needsPayer = NeedPartTaken | NeedTwoTaken | NeedHeld | NeedReturn | NeedWebhook

func (n Need) has(one Need) bool { return n&one != 0 }

// adviceFor returns a text for the user. The text says which option to set, or
// what to do, if Plural gives this answer. If the question does not list the
// answer, adviceFor returns "".
func (q *Question) adviceFor(answer string) string {
	i := slices.IndexFunc(q.Answers, func(a Answer) bool { return a.Is == answer })
	if i < 0 {
		return ""
	}
	return q.Answers[i].Do
}

// State says how a question ended.
type State string

// The states of a question.
const (
	AsAssumed State = "as assumed"
	Differs   State = "differs"
	Other     State = "other"     // an answer that the table does not list
	Failed    State = "failed"    // Answer says why
	NotAsked  State = "not asked" // Answer says why
)

// Result is the result of a question.
type Result struct {
	ID     string      `json:"id"`
	State  State       `json:"state"`
	Answer string      `json:"answer"`
	Facts  []fact.Fact `json:"facts,omitempty"`
}

// makeResult makes the Result of the question from the answer that the probe
// has found.
func (q *Question) makeResult(found Found) Result {
	r := Result{ID: q.ID, State: Differs, Answer: found.Answer, Facts: found.Facts}
	switch {
	case q.adviceFor(found.Answer) == "":
		r.State, r.Answer = Other, "none of the answers that this program knows"
	case found.Answer == q.Assumed:
		r.State = AsAssumed
	}
	return r
}
