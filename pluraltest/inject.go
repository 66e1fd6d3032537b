package pluraltest

import (
	"slices"
	"time"
)

// Match selects requests. An empty field matches every value.
type Match struct {
	Op        string // OpCapturesCreate, ...
	OrderID   string // the order's id in the path, or the id of a payment link
	Reference string // the merchant's reference in the body or the path
}

// On makes a [Match] that selects every request of one operation.
func On(op string) Match { return Match{Op: op} }

func (m Match) matches(r *Request) bool {
	return (m.Op == "" || m.Op == r.Op) &&
		(m.OrderID == "" || m.OrderID == r.OrderID) &&
		(m.Reference == "" || m.Reference == r.Reference)
}

// rule is a queue of faults for the requests that match.
type rule struct {
	match  Match
	faults []Fault
}

// Inject puts faults into a queue for the requests that match. The first such
// request takes the first fault, and the second takes the second fault.
// Requests after the last fault are served as usual. If two queues match, the
// older queue goes first. The server calls the fault plan for a request only if
// no queue has a fault for the request.
//
// A call of Inject panics if a fault makes no sense:
//   - Its Answer or its Effect does not exist.
//   - Its Delay, its Reads or its Size is negative.
//   - Its Answer is AnswerStatus or AnswerHTML, and its Status is not from 200
//     to 599.
func (s *Server) Inject(match Match, faults ...Fault) {
	mustMakeSense("Inject", faults...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &rule{match: match, faults: append([]Fault(nil), faults...)})
}

// SetFaultPlan sets the fault plan. The plan is a function that chooses a fault
// for an API request. The server calls the plan for each request that has no
// fault in a queue of [Server.Inject]. A nil plan chooses no faults. The server
// may call the plan from several goroutines at once.
//
// If the plan panics or returns a fault that makes no sense, the server cuts
// the connection and reports the mistake: see [NewServer]. There is one
// exception. For a request of [Server.Client] or [Server.Transport], the
// client's own goroutine calls the plan. If the plan then panics, the client's
// goroutine panics.
func (s *Server) SetFaultPlan(plan func(Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = plan
}

// ClearFaults forgets the queued faults and the fault plan. It does not cancel
// the effects of earlier faults: an effect that has not happened yet still
// happens later. See also [Server.Flush].
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.plan = nil, nil
	clear(s.decided)
}

// EffectState says what a request with a fault has done to the books so far.
type EffectState string

// The states of an effect.
const (
	EffectApplied     EffectState = "applied"
	EffectNotApplied  EffectState = "not applied"  // the fault prevents the effect, or the request is a read or a repeat
	EffectRejected    EffectState = "rejected"     // the service refused the request
	EffectWaiting     EffectState = "waiting"      // the effect is still to come
	EffectAppliedLate EffectState = "applied late" // the effect came after the answer
	EffectFailed      EffectState = "failed"       // the write has ended as FAILED in the books
	EffectDropped     EffectState = "dropped"      // the server was closed before the effect came
)

// FaultRecord is one fault that was injected.
type FaultRecord struct {
	Seq       int // 1 for the first fault in the log
	Fault     Fault
	Op        string
	OrderID   string
	Reference string
	RequestID string
	Request   int // Request.Seq; 0 if the request never arrived
	Attempt   int // Request.Attempt
	Reused    bool
	Proto     string
	At        time.Time
	Effect    EffectState
	SettledAt time.Time // when Effect reached its present value
}

// setEffect records the state of the effect. It does nothing if r is nil. The
// server's lock must be held.
func (r *FaultRecord) setEffect(state EffectState, at time.Time) {
	if r != nil {
		r.Effect, r.SettledAt = state, at
	}
}

// FaultLog returns the faults injected so far, oldest first.
func (s *Server) FaultLog() []FaultRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FaultRecord, 0, len(s.faults))
	for _, r := range s.faults {
		list = append(list, *r)
	}
	return list
}

// chooseFault chooses the fault for a request that has arrived. The plan may
// have chosen a fault already, before a Transport sent the request. In that
// case decisionName is the name that decideEarly returned.
func (s *Server) chooseFault(req *Request, decisionName string) Fault {
	s.mu.Lock()
	early, decided := s.decided[decisionName]
	delete(s.decided, decisionName)
	fault := early.fault
	req.Attempt = early.attempt
	if !decided {
		s.countAttempt(req)
		fault, decided = s.takeQueued(req)
	}
	plan := s.plan
	s.mu.Unlock()
	if !decided && plan != nil {
		fault = plan(*req)
	}
	mustMakeSense("fault plan", fault) // Inject has already checked the queued faults
	return fault
}

// earlyDecision is a fault that the plan has chosen before the client sends the
// request.
type earlyDecision struct {
	fault   Fault
	attempt int
}

// decideEarly is called before a Transport sends a request. It reports whether
// the Transport must refuse the request. If decideEarly calls the plan and does
// not refuse the request, it keeps the plan's choice and returns a name for the
// choice. chooseFault finds the choice by this name. In all other cases the
// name is "".
func (s *Server) decideEarly(req *Request) (refused bool, name string) {
	s.mu.Lock()
	for _, r := range s.rules {
		if len(r.faults) == 0 || !r.match.matches(req) {
			continue
		}
		if r.faults[0].Answer != AnswerRefused {
			s.mu.Unlock()
			return false, "" // chooseFault takes this fault from the queue
		}
		s.countAttempt(req)
		fault, _ := s.takeQueued(req)
		s.logFault(req, fault, EffectNotApplied)
		s.mu.Unlock()
		return true, ""
	}
	plan := s.plan
	if plan == nil {
		s.mu.Unlock()
		return false, ""
	}
	s.countAttempt(req)
	s.mu.Unlock()
	fault := plan(*req)

	s.mu.Lock()
	defer s.mu.Unlock()
	if fault.Answer == AnswerRefused && fault.invalidReason() == "" {
		s.logFault(req, fault, EffectNotApplied)
		return true, ""
	}
	s.decisions++
	name = itoa(s.decisions)
	s.decided[name] = earlyDecision{fault, req.Attempt}
	return false, name
}

// mayRefuse reports whether a Transport must call decideEarly for the next
// request. If it returns false, the request will not be refused.
func (s *Server) mayRefuse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan != nil || slices.ContainsFunc(s.rules, func(r *rule) bool {
		return len(r.faults) > 0 && r.faults[0].Answer == AnswerRefused
	})
}

// countAttempt sets the field Attempt of a request: 1 for the first request
// with its identity, 2 for the second, and so on. s.mu must be held.
func (s *Server) countAttempt(req *Request) {
	s.attempts[req.identity]++
	req.Attempt = s.attempts[req.identity]
}

// takeQueued takes the next injected fault for a request. s.mu must be held.
func (s *Server) takeQueued(req *Request) (Fault, bool) {
	for i, r := range s.rules {
		if len(r.faults) > 0 && r.match.matches(req) {
			fault := r.faults[0]
			r.faults = r.faults[1:]
			if len(r.faults) == 0 {
				s.rules = slices.Delete(s.rules, i, i+1)
			}
			return fault, true
		}
	}
	return Fault{}, false
}

// logFault adds a fault to the log. s.mu must be held.
func (s *Server) logFault(req *Request, fault Fault, state EffectState) *FaultRecord {
	r := &FaultRecord{
		Seq: len(s.faults) + 1, Fault: fault, Op: req.Op, OrderID: req.OrderID, Reference: req.Reference,
		RequestID: req.RequestID, Request: req.Seq, Attempt: req.Attempt, Reused: req.Reused, Proto: req.Proto,
		At: s.now(), Effect: state, SettledAt: s.now(),
	}
	s.faults = append(s.faults, r)
	return r
}
