// Package doctor checks what a client of Plural needs, and changes nothing.
package doctor

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/account"
)

// Result says how a check ended.
type Result string

// The results of a check.
const (
	Well    Result = "ok"
	Fault   Result = "FAULT"
	Note    Result = "note" // something unusual that may be intended
	Skipped Result = "-"    // the check does not apply, or another check that it needs has failed
)

// Finding describes the result of one check to a person. It holds no secret and
// no token.
type Finding struct {
	Check  string
	Result Result
	Says   string
	Do     string // what to do about a fault or a note
}

// HasFault reports whether something is wrong.
func HasFault(findings []Finding) bool {
	for _, f := range findings {
		if f.Result == Fault {
			return true
		}
	}
	return false
}

// namedCheck is one of the checks that the doctor makes.
type namedCheck struct {
	name string
	// requiredCheck is the name of another check, or "". This check is made
	// only if the other check has passed.
	requiredCheck string
	look          func(ctx context.Context, v *sharedValues) Finding
}

// The names of the checks that other checks need.
const (
	variables = "variables"
	network   = "network"
	token     = "token"
)

// allChecks returns all checks. The doctor makes them in this order.
func allChecks() []namedCheck {
	return []namedCheck{
		{variables, "", lookAtVariables},
		{"installation", variables, lookAtInstallation},
		{"secret", variables, lookAtSecret},
		{"proxy", variables, lookAtProxy},
		{"dns", variables, lookAtDNS},
		{"tls", variables, lookAtTLS},
		{network, variables, lookAtNetwork},
		{"clock", network, lookAtClock},
		{token, network, lookAtToken},
		{"read", token, lookAtRead},
	}
}

// sharedValues has the values that the checks share. Some checks set values
// that later checks use.
type sharedValues struct {
	account *account.Account
	client  *plural.Client
	base    *url.URL
	proxy   *url.URL       // nil if there is no proxy
	answer  *http.Response // the answer to the first request; its body is closed
	asked   time.Time      // the time halfway through the first request, by this machine's clock
}

// checkTimeout is the time limit of one check.
const checkTimeout = 15 * time.Second

// Examine makes every check and returns the findings. If ctx ends, the check
// that is under way and all later checks count as skipped.
func Examine(ctx context.Context, a *account.Account) []Finding {
	v := &sharedValues{account: a}
	well := map[string]bool{"": true}
	list := allChecks()
	findings := make([]Finding, 0, len(list))
	for _, c := range list {
		f := Finding{Result: Skipped, Says: "not checked: see " + c.requiredCheck}
		if well[c.requiredCheck] {
			f = look(ctx, c, v)
		}
		if ctx.Err() != nil {
			f = skipped("not checked: the doctor was stopped")
		}
		f.Check = c.name
		well[c.name] = f.Result == Well
		findings = append(findings, f)
	}
	return findings
}

func look(ctx context.Context, c namedCheck, v *sharedValues) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return c.look(ctx, v)
}

func well(says string) Finding { return Finding{Result: Well, Says: says} }

func fault(says, do string) Finding { return Finding{Result: Fault, Says: says, Do: do} }

func note(says, do string) Finding { return Finding{Result: Note, Says: says, Do: do} }

func skipped(says string) Finding { return Finding{Result: Skipped, Says: says} }
