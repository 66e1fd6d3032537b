package probe

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/plural-go/plural/cmd/plural/internal/account"
	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// runMemory is the content of the state file. It records what the run has made,
// and which answers it has, so the run can be continued. It holds ids, links
// and answers. It holds no secret, no token of the API, and no data of a payer.
type runMemory struct {
	Account  string              `json:"account"` // a hash of the address and the client id
	Name     string              `json:"name"`    // what the run's references begin with
	Started  time.Time           `json:"started"`
	IsOver   bool                `json:"is_over,omitempty"`
	Listens  string              `json:"listens,omitempty"` // the local address at which the run listens
	Unpaid   []string            `json:"unpaid,omitempty"`  // ids of orders that nobody pays
	Payments map[string]*payment `json:"payments,omitempty"`
	Kept     *payment            `json:"kept,omitempty"` // the hold that an earlier run has kept
	Tried    map[string]bool     `json:"tried,omitempty"`
	Results  map[string]Result   `json:"results,omitempty"`
	Return   *returnedForm       `json:"return,omitempty"`
	Webhooks []delivery          `json:"webhooks,omitempty"`

	mu   sync.Mutex
	path string
}

// The type payment describes an order that a person pays.
type payment struct {
	OrderID   string         `json:"order_id"`
	Reference string         `json:"reference"`
	Link      string         `json:"link"`
	HeldAt    time.Time      `json:"held_at,omitzero"`
	IsBack    bool           `json:"is_back,omitempty"`    // the payer's browser has come back
	StaysAway bool           `json:"stays_away,omitempty"` // the payment has no callback URL
	IsOver    bool           `json:"is_over,omitempty"`    // nothing of the payment is left to give back
	Step      step           `json:"step,omitempty"`
	Taken     int64          `json:"taken,omitempty"`   // paise
	Refunds   []string       `json:"refunds,omitempty"` // the ids of its refunds; each refund gave refundSum back
	Said      *captureAnswer `json:"said,omitempty"`
}

// The type step is the progress of a payment.
type step string

const (
	stepSent step = "sent" // the capture or the cancel is under way, or has failed
	stepDone step = "done"
)

// captureAnswer has two facts from the answer to a partial capture: the status
// of the order, and whether the order shows our reference.
type captureAnswer struct {
	Status       string `json:"status"`
	HasReference bool   `json:"has_reference"`
}

// returnedForm describes the form that a payer's browser brought back from
// Plural's page. It has the names of the form's fields, but not their values.
type returnedForm struct {
	Key         string   `json:"key"`
	Names       []string `json:"names"`
	Empty       int      `json:"empty"`
	EmptySigned bool     `json:"empty_signed,omitempty"`
	Method      string   `json:"method"`
}

// The type delivery describes one webhook that came.
type delivery struct {
	OrderID string    `json:"order_id"`
	Type    string    `json:"type"`
	ID      string    `json:"id"`
	Stamp   string    `json:"stamp"`
	Key     string    `json:"key"`
	Headers []string  `json:"headers"`
	Refused bool      `json:"refused,omitempty"` // the listener answered with 500
	At      time.Time `json:"at"`
}

// accountHash returns a text that differs from account to account, and shows
// neither the address nor the client id.
func accountHash(a *account.Account) string {
	base, err := a.Base()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(base.String() + "\x00" + a.ClientID))
	return hex.EncodeToString(sum[:8])
}

// The function remember reads the state file, so the run in the file can be
// continued. If there is no file, or the run in the file is finished, the
// function begins a new run. If -keep-hold has left a hold that was not given
// back yet, the new run records this hold. The new run takes over nothing else
// from a finished run.
func remember(path string, a *account.Account) (*runMemory, error) {
	m := &runMemory{}
	read, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the state file: %w", err)
	default:
		if err := json.Unmarshal(read, m); err != nil {
			return nil, fmt.Errorf("the state file %s cannot be read: move it away, or give -state another name", path)
		}
		if m.Account != accountHash(a) {
			return nil, fmt.Errorf("the state file %s belongs to another account: give -state another name", path)
		}
	}
	if m.Name == "" || m.IsOver {
		m = &runMemory{Kept: m.keptHold()}
		m.Name = "probe-" + strings.ToLower(rand.Text()[:8])
		m.Started = time.Now().UTC().Truncate(time.Second)
	}
	m.path, m.Account = path, accountHash(a)
	if m.Payments == nil {
		m.Payments = map[string]*payment{}
	}
	if m.Tried == nil {
		m.Tried = map[string]bool{}
	}
	if m.Results == nil {
		m.Results = map[string]Result{}
	}
	return m, nil
}

// keptHold returns the hold that this run or an earlier run has kept. It
// returns nil if no run has kept a hold, or if the hold was given back.
func (m *runMemory) keptHold() *payment {
	for _, kept := range []*payment{m.Payments[keptPayment], m.Kept} {
		if kept != nil && !kept.HeldAt.IsZero() && !kept.IsOver {
			return kept
		}
	}
	return nil
}

// changeAndSave calls a function that changes m. Then changeAndSave writes m to
// the state file. So a run that was stopped at any point can be continued.
func (m *runMemory) changeAndSave(change func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	encoded, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(m.path), ".plural-probe-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	_, err = draft.Write(encoded)
	err = errors.Join(err, draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), m.path)
	}
	if err != nil {
		_ = os.Remove(draft.Name())
		return fmt.Errorf("write the state file: %w", err)
	}
	return nil
}

// The method withLock calls a function that reads m. Until this function
// returns, m is locked, so changeAndSave cannot change m.
func (m *runMemory) withLock(read func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	read()
}

// reportFacts returns the facts about the form that the report shows.
func (r *returnedForm) reportFacts() []fact.Fact {
	return []fact.Fact{
		fact.Names("fields", r.Names),
		fact.Count("fields without a value", r.Empty),
		fact.OneOf("method", r.Method, "POST", "GET"),
	}
}
