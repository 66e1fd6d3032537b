// Package doctor looks at what a client of Plural needs, and changes nothing.
package doctor

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/account"
)

// Result is how a check has ended.
type Result string

// The results.
const (
	Well    Result = "ok"
	Fault   Result = "FAULT"
	Note    Result = "note" // may be meant so
	Skipped Result = "-"    // it does not apply, or rests on what is at fault
)

// Finding is what one check has found. It holds no secret and no token.
type Finding struct {
	Check  string
	Result Result
	Says   string
	Do     string // about a fault or a note
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

// check is one thing to look at.
type check struct {
	name string
	// needs is the check that has to be well for this one to make sense
	needs string
	look  func(ctx context.Context, p *patient) Finding
}

// The names of the checks that others rest on.
const (
	variables = "variables"
	network   = "network"
	token     = "token"
)

// checks are looked at in this order.
func checks() []check {
	return []check{
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

// patient is what the checks share.
type patient struct {
	account *account.Account
	client  *plural.Client
	base    *url.URL
	proxy   *url.URL       // nil without one
	answer  *http.Response // of the first request; its body is closed
	asked   time.Time      // the middle of that request, by this machine's clock
}

// patience bounds one check.
const patience = 15 * time.Second

// Examine makes every check.
func Examine(ctx context.Context, a *account.Account) []Finding {
	p := &patient{account: a}
	well := map[string]bool{"": true}
	list := checks()
	findings := make([]Finding, 0, len(list))
	for _, c := range list {
		f := Finding{Result: Skipped, Says: "not looked at: see " + c.needs}
		if well[c.needs] {
			f = look(ctx, c, p)
		}
		f.Check = c.name
		well[c.name] = f.Result == Well
		findings = append(findings, f)
	}
	return findings
}

func look(ctx context.Context, c check, p *patient) Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.look(ctx, p)
}

func well(says string) Finding { return Finding{Result: Well, Says: says} }

func fault(says, do string) Finding { return Finding{Result: Fault, Says: says, Do: do} }

func note(says, do string) Finding { return Finding{Result: Note, Says: says, Do: do} }

func skipped(says string) Finding { return Finding{Result: Skipped, Says: says} }
