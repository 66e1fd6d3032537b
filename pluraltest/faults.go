package pluraltest

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Effect says what a request with a fault does to the books.
type Effect string

// The effects that a [Fault] can have.
const (
	ApplyNow   Effect = ""      // the request takes effect as usual
	ApplyNever Effect = "never" // nothing happens
	// The request takes effect after Fault.Delay. The delay begins when the
	// server begins to answer. With AnswerHang, the delay begins when the
	// client gives up.
	ApplyLater Effect = "later"
	// The write is accepted as PENDING. If Fault.Reads is 0, the write
	// becomes final after Fault.Delay. Otherwise clients can read PENDING
	// as often as Fault.Reads says, and the next read makes the write final.
	ApplyPending     Effect = "pending"
	ApplyPendingFail Effect = "pending, failed" // the write is accepted as PENDING and then fails
	ApplyFail        Effect = "failed"          // the write is accepted and fails: status FAILED
	// A capture takes the money of one payment after the other. The capture
	// takes the money of the first payment at once. Before each further
	// payment, the capture waits. If Fault.Reads is 0, it waits for
	// Fault.Delay. Otherwise it waits until clients have read the order as
	// often as Fault.Reads says. The next read then takes the money. Other
	// operations treat this effect as ApplyNow.
	ApplyByLegs     Effect = "leg by leg"
	ApplyByLegsFail Effect = "leg by leg, the last fails" // like ApplyByLegs, but the last payment fails
	// The server checks a refund when the request arrives, and makes the
	// refund after Fault.Delay. It does not check again whether the
	// refund's reference is taken by then. Other operations treat this
	// effect as ApplyNow.
	InsertLater Effect = "checked, then inserted"
)

// canFail reports whether an operation can get the status PENDING or FAILED.
// Any other operation treats ApplyPending, ApplyPendingFail and ApplyFail as
// ApplyNow.
func canFail(op string) bool {
	return op == OpCapturesCreate || op == OpCancelsCreate || op == OpRefundsCreate
}

func isRead(op string) bool {
	switch op {
	case OpOrdersGet, OpOrdersGetByReference, OpPaymentLinksGet, OpPaymentLinksGetByReference:
		return true
	}
	return false
}

// isOfLinks reports whether an operation belongs to payment links. The
// documents of payment links are not orders.
func isOfLinks(op string) bool { return strings.HasPrefix(op, "payment_links.") }

func isOfSettlements(op string) bool { return op == OpSettlementsList || op == OpSettlementsGet }

// Answer says what the client receives for a request with a fault.
type Answer string

// The answers that a [Fault] can have.
const (
	AnswerNormal      Answer = ""                   // the usual answer of the service
	AnswerRefused     Answer = "refused"            // no connection
	AnswerHang        Answer = "hang"               // the server does not answer, and waits until the client gives up
	AnswerReset       Answer = "reset"              // the connection is reset (TCP RST), with all streams on it
	AnswerClose       Answer = "close"              // the connection is closed without a byte of answer
	AnswerStreamReset Answer = "stream reset"       // HTTP/2: RST_STREAM with PROTOCOL_ERROR; HTTP/1.1: as AnswerClose
	AnswerThenClose   Answer = "answer, then close" // the normal answer, then the idle connection is closed
	AnswerTruncated   Answer = "truncated"          // half of the normal body, then the connection ends
	AnswerStatus      Answer = "status"             // Fault.Status with Fault.Code
	AnswerHTML        Answer = "html"               // Fault.Status with a page of HTML
	AnswerEmpty       Answer = "empty"              // 200 without a body
	AnswerErrorInOK   Answer = "error in 200"       // 200 with {"code":Fault.Code,...}
	AnswerRedirect    Answer = "redirect"           // 307 to another path
	// A read gets an old document. If Fault.Delay is zero, the document is
	// the version before the last change. Otherwise the document is the
	// version that was valid at an earlier time: Fault.Delay before the
	// read. The answer may be "not found". Other requests get the normal
	// answer.
	AnswerStale         Answer = "stale"
	AnswerNoCaptureData Answer = "no capture data" // the normal document without capture_data
	AnswerNoParent      Answer = "no parent"       // the normal document without parent_order_id
	AnswerOtherOrder    Answer = "other order"     // the normal document with another order's id and reference
	AnswerSlowHeaders   Answer = "slow headers"    // the normal answer, after Fault.Delay
	AnswerSlowBody      Answer = "slow body"       // the normal headers at once, then the body, spread over Fault.Delay
	AnswerHuge          Answer = "huge"            // many spaces, then the normal answer; together they are valid JSON
)

// Fault is one thing that goes wrong with one request. It says what happens to
// the books and what the client receives. The zero Fault changes nothing. Use
// the package's faults (ResetAfterApply, ApplyLate, ...) unchanged, or adapt a
// copy with After, AfterReads and so on. Do not assign to the package's
// variables.
type Fault struct {
	Name   string // in logs
	Effect Effect
	Answer Answer
	// Used by ApplyLater, InsertLater, ApplyPending, ApplyPendingFail,
	// ApplyByLegs, ApplyByLegsFail, AnswerStale, AnswerSlowHeaders and
	// AnswerSlowBody.
	Delay time.Duration
	// Reads says how often clients can read the order before the effect goes
	// on. With ApplyPending and ApplyPendingFail, clients read PENDING that
	// often, and then the write becomes final. With ApplyByLegs and
	// ApplyByLegsFail, clients read the order that often, and then the
	// capture takes the money of the next payment. If a client reads the
	// parent order of a refund, this counts as a read of the refund.
	Reads       int
	Status      int    // for AnswerStatus and AnswerHTML, 200 to 599
	Code        string // for AnswerStatus and AnswerErrorInOK, e.g. "INTERNAL_ERROR"
	RetryAfter  string // the Retry-After header, in seconds or as a date; if empty, there is no such header
	Size        int    // for AnswerHuge: how many spaces
	PointsFirst bool   // for ApplyByLegs and ApplyByLegsFail: the points are captured before the card
	Ends        string // the final status of a refund, instead of PROCESSED; see RefundEnds
}

// After makes a copy of the fault with another Delay.
func (f Fault) After(d time.Duration) Fault { f.Delay = d; return f }

// AfterReads makes a copy of the fault with another number of reads. A PENDING
// result becomes final after clients have read PENDING n times. The parent
// order of a refund also shows the refund. So if a client reads the parent
// order, this counts as a read of the refund.
func (f Fault) AfterReads(n int) Fault { f.Reads = n; return f }

// String returns the fault's name.
func (f Fault) String() string {
	switch {
	case f.Name != "":
		return f.Name
	case f == Fault{}:
		return "none"
	default:
		return "answer " + string(f.Answer) + ", effect " + string(f.Effect)
	}
}

const (
	defaultDelay = 3 * time.Second
	defaultHuge  = 8 << 20 // bytes
)

// The faults. "BeforeApply" in a name means that the fault comes first, and the
// request has no effect. "AfterApply" means that the request takes effect
// first, and then the fault changes or cuts off the answer.
var (
	// NoFault lets a request through. Use it in a sequence of faults.
	NoFault = Fault{}

	// Refuse refuses the connection: nothing is written and nothing is applied.
	// This works only for a client that uses Server.Transport, such as the
	// client of Server.Client. Any other client has already connected and sent
	// its request when the server chooses the fault. Then the server resets the
	// connection, as it does with ResetBeforeApply. Server.Down refuses every
	// client.
	Refuse = Fault{Name: "Refuse", Effect: ApplyNever, Answer: AnswerRefused}

	HangBeforeApply = Fault{Name: "HangBeforeApply", Effect: ApplyNever, Answer: AnswerHang}
	HangAfterApply  = Fault{Name: "HangAfterApply", Answer: AnswerHang}

	ResetBeforeApply = Fault{Name: "ResetBeforeApply", Effect: ApplyNever, Answer: AnswerReset}
	ResetAfterApply  = Fault{Name: "ResetAfterApply", Answer: AnswerReset}
	CloseBeforeApply = Fault{Name: "CloseBeforeApply", Effect: ApplyNever, Answer: AnswerClose}
	CloseAfterApply  = Fault{Name: "CloseAfterApply", Answer: AnswerClose}

	// CloseAfterAnswer answers in full and closes the connection a moment later.
	// The next request on that connection fails.
	CloseAfterAnswer = Fault{Name: "CloseAfterAnswer", Answer: AnswerThenClose}

	StreamResetBeforeApply = Fault{Name: "StreamResetBeforeApply", Effect: ApplyNever, Answer: AnswerStreamReset}
	StreamResetAfterApply  = Fault{Name: "StreamResetAfterApply", Answer: AnswerStreamReset}

	// ApplyLate never answers. The request takes effect 3 seconds after the
	// client has given up. [Fault.After] sets another delay.
	ApplyLate = Fault{Name: "ApplyLate", Effect: ApplyLater, Answer: AnswerHang, Delay: defaultDelay}
	// ApplyLateReset resets the connection. The request takes effect 3
	// seconds later.
	ApplyLateReset = Fault{Name: "ApplyLateReset", Effect: ApplyLater, Answer: AnswerReset, Delay: defaultDelay}
	// ApplyLateTimedOut answers 504 TIMED_OUT. The request takes effect 3
	// seconds later.
	ApplyLateTimedOut = Fault{
		Name:   "ApplyLateTimedOut",
		Effect: ApplyLater,
		Answer: AnswerStatus,
		Status: 504,
		Code:   "TIMED_OUT",
		Delay:  defaultDelay,
	}

	// InsertLate answers 504 TIMED_OUT to a refund and makes the refund 2 seconds
	// later, even if its reference has been used by then. A repeat during these 2
	// seconds makes the refund twice. The client could not prevent that, so
	// InsertLate is not among [WriteFaults].
	InsertLate = Fault{
		Name:   "InsertLate",
		Effect: InsertLater,
		Answer: AnswerStatus,
		Status: 504,
		Code:   "TIMED_OUT",
		Delay:  2 * time.Second,
	}

	// CardThenPoints captures an order's payments one after the other. It
	// captures the card at once. If the order has points, it captures the
	// points 3 seconds later. By then the order is no longer AUTHORIZED.
	CardThenPoints = Fault{Name: "CardThenPoints", Effect: ApplyByLegs, Delay: defaultDelay}
	PointsThenCard = Fault{Name: "PointsThenCard", Effect: ApplyByLegs, Delay: defaultDelay, PointsFirst: true}
	// CardThenPointsFails captures only a part of the order, because the last
	// payment fails.
	CardThenPointsFails = Fault{Name: "CardThenPointsFails", Effect: ApplyByLegsFail, Delay: defaultDelay}
	PointsThenCardFails = Fault{
		Name:        "PointsThenCardFails",
		Effect:      ApplyByLegsFail,
		Delay:       defaultDelay,
		PointsFirst: true,
	}
	// RefundCancelled answers 200 with status CANCELLED. The refund moves no
	// money.
	RefundCancelled = RefundEnds(StatusCancelled)

	// LaggingRead shows the books as they were 3 seconds ago.
	LaggingRead = Fault{Name: "LaggingRead", Answer: AnswerStale, Delay: defaultDelay}

	// StaleRead shows the document as it was before its last change. If the
	// order, the refund or the payment link has never changed, the answer is
	// "not found".
	StaleRead = Fault{Name: "StaleRead", Answer: AnswerStale}

	Truncate = Fault{Name: "Truncate", Answer: AnswerTruncated}

	ServerErrorBeforeApply = Fault{
		Name:   "ServerErrorBeforeApply",
		Effect: ApplyNever,
		Answer: AnswerStatus,
		Status: 500,
		Code:   "INTERNAL_ERROR",
	}
	ServerErrorAfterApply = Fault{
		Name:   "ServerErrorAfterApply",
		Answer: AnswerStatus,
		Status: 500,
		Code:   "INTERNAL_ERROR",
	}
	UnavailableBeforeApply = Fault{Name: "UnavailableBeforeApply", Effect: ApplyNever, Answer: AnswerHTML, Status: 503}
	TimedOutBeforeApply    = Fault{
		Name:   "TimedOutBeforeApply",
		Effect: ApplyNever,
		Answer: AnswerStatus,
		Status: 504,
		Code:   "TIMED_OUT",
	}
	TimedOutAfterApply    = Fault{Name: "TimedOutAfterApply", Answer: AnswerStatus, Status: 504, Code: "TIMED_OUT"}
	BadGatewayBeforeApply = Fault{Name: "BadGatewayBeforeApply", Effect: ApplyNever, Answer: AnswerHTML, Status: 502}
	BadGatewayAfterApply  = Fault{Name: "BadGatewayAfterApply", Answer: AnswerHTML, Status: 502}

	EmptyOKBeforeApply   = Fault{Name: "EmptyOKBeforeApply", Effect: ApplyNever, Answer: AnswerEmpty}
	EmptyOKAfterApply    = Fault{Name: "EmptyOKAfterApply", Answer: AnswerEmpty}
	ErrorInOKBeforeApply = Fault{
		Name:   "ErrorInOKBeforeApply",
		Effect: ApplyNever,
		Answer: AnswerErrorInOK,
		Code:   "INTERNAL_ERROR",
	}
	ErrorInOKAfterApply = Fault{Name: "ErrorInOKAfterApply", Answer: AnswerErrorInOK, Code: "INTERNAL_ERROR"}
	Redirect            = Fault{Name: "Redirect", Effect: ApplyNever, Answer: AnswerRedirect}
	OtherOrder          = Fault{Name: "OtherOrder", Answer: AnswerOtherOrder}

	// PendingResult answers PENDING. The write succeeds 3 seconds later.
	// With [Fault.AfterReads], the write succeeds after a number of reads
	// instead. If a client reads the parent order of a refund, this counts as a
	// read of the refund.
	PendingResult = Fault{Name: "PendingResult", Effect: ApplyPending, Delay: defaultDelay}
	// PendingThenFailed answers PENDING. The write fails 3 seconds later.
	PendingThenFailed = Fault{Name: "PendingThenFailed", Effect: ApplyPendingFail, Delay: defaultDelay}
	// FailedResult answers 200 with status FAILED. A failed refund moves no
	// money. A failed capture or cancel ends the order's hold.
	FailedResult = Fault{Name: "FailedResult", Effect: ApplyFail}

	CaptureDataAbsent = Fault{Name: "CaptureDataAbsent", Answer: AnswerNoCaptureData}
	ParentAbsent      = Fault{Name: "ParentAbsent", Answer: AnswerNoParent}

	RateLimited = Fault{
		Name:   "RateLimited",
		Effect: ApplyNever,
		Answer: AnswerStatus,
		Status: 429,
		Code:   "API_RATE_LIMIT",
	}
	RateLimitedRetryAfter = Fault{
		Name:       "RateLimitedRetryAfter",
		Effect:     ApplyNever,
		Answer:     AnswerStatus,
		Status:     429,
		Code:       "API_RATE_LIMIT",
		RetryAfter: "1",
	}
	// Unauthorized answers 401 although the token is good.
	Unauthorized = Fault{
		Name: "Unauthorized", Effect: ApplyNever, Answer: AnswerStatus, Status: 401, Code: "UNAUTHORIZED",
	}

	SlowHeaders = Fault{Name: "SlowHeaders", Answer: AnswerSlowHeaders, Delay: defaultDelay}
	SlowBody    = Fault{Name: "SlowBody", Answer: AnswerSlowBody, Delay: defaultDelay}
	// HugeBody sends 8 MiB of blanks and then the normal answer.
	HugeBody = Fault{Name: "HugeBody", Answer: AnswerHuge, Size: defaultHuge}
)

// StatusFault makes a fault that answers with a status, such as 408, 409, 425
// or 503, and with a code of your own. The effect decides whether and when the
// request is applied. StatusFault panics if the status is not between 200 and
// 599, or if the effect is unknown.
func StatusFault(status int, code string, effect Effect) Fault {
	f := Fault{
		Name: "Status " + itoa(status) + " " + code, Effect: effect, Answer: AnswerStatus,
		Status: status, Code: code, Delay: defaultDelay,
	}
	mustMakeSense("StatusFault", f)
	return f
}

// RefundEnds makes a refund end in a status of your choice, such as one that
// Plural has not published. Only PROCESSED gives money back.
func RefundEnds(status string) Fault { return Fault{Name: "RefundEnds " + status, Ends: status} }

// invalidReason returns the reason why a fault is invalid. It returns "" if the
// fault is valid.
func (f Fault) invalidReason() string {
	switch {
	case !slices.Contains(effects(), f.Effect):
		return fmt.Sprintf("there is no effect %q", f.Effect)
	case !slices.Contains(answers(), f.Answer):
		return fmt.Sprintf("there is no answer %q", f.Answer)
	case (f.Answer == AnswerStatus || f.Answer == AnswerHTML) && (f.Status < http.StatusOK || f.Status > 599):
		return fmt.Sprintf("status %d is not the status of an answer", f.Status)
	case f.Delay < 0:
		return fmt.Sprintf("the delay %v is negative", f.Delay)
	case f.Reads < 0:
		return fmt.Sprintf("the number of reads %d is negative", f.Reads)
	case f.Size < 0:
		return fmt.Sprintf("the size %d is negative", f.Size)
	}
	return ""
}

// mustMakeSense panics if a fault is invalid, as [regexp.MustCompile] panics if
// an expression is invalid.
func mustMakeSense(caller string, faults ...Fault) {
	for _, f := range faults {
		if reason := f.invalidReason(); reason != "" {
			panic("pluraltest: " + caller + ": fault " + f.String() + ": " + reason)
		}
	}
}

func effects() []Effect {
	return []Effect{
		ApplyNow, ApplyNever, ApplyLater, ApplyPending, ApplyPendingFail, ApplyFail,
		ApplyByLegs, ApplyByLegsFail, InsertLater,
	}
}

func answers() []Answer {
	return []Answer{
		AnswerNormal,
		AnswerRefused,
		AnswerHang,
		AnswerReset,
		AnswerClose,
		AnswerStreamReset,
		AnswerThenClose,
		AnswerTruncated,
		AnswerStatus,
		AnswerHTML,
		AnswerEmpty,
		AnswerErrorInOK,
		AnswerRedirect,
		AnswerStale,
		AnswerNoCaptureData,
		AnswerNoParent,
		AnswerOtherOrder,
		AnswerSlowHeaders,
		AnswerSlowBody,
		AnswerHuge,
	}
}

// AllFaults lists every fault of the package.
func AllFaults() []Fault {
	all := WriteFaults()
	for _, f := range slices.Concat(ReadFaults(), TokenFaults()) {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// lostFaults lists the faults that any request can get.
func lostFaults() []Fault {
	return []Fault{
		Refuse, HangAfterApply, ResetAfterApply, CloseAfterApply, CloseAfterAnswer, StreamResetAfterApply, Truncate,
		ServerErrorAfterApply, UnavailableBeforeApply, TimedOutAfterApply, BadGatewayAfterApply,
		EmptyOKAfterApply, ErrorInOKAfterApply, Redirect, RateLimited, RateLimitedRetryAfter,
		SlowHeaders, SlowBody, HugeBody,
	}
}

// WriteFaults lists the faults of captures, cancels and refunds. Some of them
// fit only one of these operations: see [FaultsFor].
func WriteFaults() []Fault {
	return append(lostFaults(),
		HangBeforeApply, ResetBeforeApply, CloseBeforeApply, StreamResetBeforeApply,
		ServerErrorBeforeApply, TimedOutBeforeApply, BadGatewayBeforeApply, EmptyOKBeforeApply, ErrorInOKBeforeApply,
		ApplyLate, ApplyLateReset, ApplyLateTimedOut, OtherOrder,
		PendingResult, PendingThenFailed, FailedResult, CaptureDataAbsent, ParentAbsent, Unauthorized,
		PointsThenCard, CardThenPoints, PointsThenCardFails, CardThenPointsFails, RefundCancelled,
	)
}

// ReadFaults lists the faults of order lookups.
func ReadFaults() []Fault {
	return append(lostFaults(), StaleRead, LaggingRead, OtherOrder, CaptureDataAbsent, ParentAbsent, Unauthorized)
}

// TokenFaults lists the faults of the token endpoint.
func TokenFaults() []Fault { return lostFaults() }

// FaultsFor lists the faults that fit one operation (OpCapturesCreate, ...).
func FaultsFor(op string) []Fault {
	var list []Fault
	switch op {
	case OpToken:
		return TokenFaults()
	case OpOrdersGet, OpOrdersGetByReference:
		return ReadFaults()
	case OpSettlementsList, OpSettlementsGet:
		return append(lostFaults(), Unauthorized)
	case OpPaymentLinksGet, OpPaymentLinksGetByReference:
		list = ReadFaults()
	default:
		list = WriteFaults()
	}
	return slices.DeleteFunc(list, func(f Fault) bool { return !f.fitsOperation(op) })
}

// fitsOperation reports whether a fault makes sense for an operation.
func (f Fault) fitsOperation(op string) bool {
	read := isRead(op)
	switch f.Effect {
	case ApplyPending, ApplyPendingFail, ApplyFail:
		if !canFail(op) {
			return false
		}
	case ApplyLater:
		if read || op == OpToken || isOfSettlements(op) {
			return false
		}
	case ApplyByLegs, ApplyByLegsFail:
		return op == OpCapturesCreate
	case InsertLater:
		return op == OpRefundsCreate
	case ApplyNow, ApplyNever:
	}
	if f.Ends != "" && op != OpRefundsCreate {
		return false
	}
	switch f.Answer {
	case AnswerStale:
		return read
	case AnswerNoCaptureData:
		return read && !isOfLinks(op) || op == OpCapturesCreate
	case AnswerNoParent:
		return read && !isOfLinks(op) || op == OpRefundsCreate
	case AnswerOtherOrder:
		return op != OpToken && !isOfSettlements(op)
	case AnswerStatus:
		return f.Status != 401 || op != OpToken
	default:
		return true
	}
}

// RandomFaults makes a plan for [Server.SetFaultPlan]. The plan gives a fault
// to some of the requests. The parameter rate is the share of these requests,
// from 0 to 1. The plan chooses one of the given faults, but only a fault that
// fits the operation. If no faults are given, the plan chooses one of the
// faults of [FaultsFor]. The choice depends on the seed, and on the request:
// its operation, its references and how often it has been sent. The choice does
// not depend on other goroutines, so the same seed gives the same faults again.
// RandomFaults panics if rate is not between 0 and 1, or if a fault makes no
// sense: see [Server.Inject].
func RandomFaults(seed uint64, rate float64, faults ...Fault) func(Request) Fault {
	if !(rate >= 0 && rate <= 1) {
		panic(fmt.Sprintf("pluraltest: RandomFaults: the rate %v is not between 0 and 1", rate))
	}
	mustMakeSense("RandomFaults", faults...)
	plan := &randomPlan{seed: seedBytes(seed), rate: rate, faults: slices.Clone(faults)}
	return plan.decide
}

// randomPlan is the plan of RandomFaults.
type randomPlan struct {
	seed   []byte
	rate   float64
	faults []Fault
}

func (p *randomPlan) decide(r Request) Fault {
	sum := digest(p.seed, "fault", r.identity, itoa(r.Attempt))
	if float64(binary.BigEndian.Uint64(sum)>>11)/(1<<53) >= p.rate {
		return NoFault
	}
	var fitting []Fault
	if len(p.faults) == 0 {
		fitting = FaultsFor(r.Op)
	}
	for _, f := range p.faults {
		if f.fitsOperation(r.Op) {
			fitting = append(fitting, f)
		}
	}
	if len(fitting) == 0 {
		return NoFault
	}
	return fitting[binary.BigEndian.Uint64(sum[8:])%uint64(len(fitting))]
}
