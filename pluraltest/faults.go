package pluraltest

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Effect says what a faulted request does to the books.
type Effect string

// The effects of a [Fault].
const (
	ApplyNow   Effect = ""      // as without a fault
	ApplyNever Effect = "never" // nothing happens
	ApplyLater Effect = "later" // it happens Delay after the client has its answer or has given up
	// it is accepted as PENDING. It becomes final after Reads reads or, if Reads
	// is 0, after Delay.
	ApplyPending     Effect = "pending"
	ApplyPendingFail Effect = "pending, failed" // it is accepted as PENDING and then fails
	ApplyFail        Effect = "failed"          // it is accepted and fails: status FAILED
	// a capture takes the money of one payment at once, and of the next after
	// Reads reads or, if Reads is 0, after Delay; other operations treat it as
	// ApplyNow.
	ApplyByLegs     Effect = "leg by leg"
	ApplyByLegsFail Effect = "leg by leg, the last fails" // the same, and the last payment fails
	// a refund is checked now and made Delay later, without checking whether its
	// reference has been used in between; other operations treat it as ApplyNow.
	InsertLater Effect = "checked, then inserted"
)

// canFail reports whether PENDING and FAILED results fit an operation. For any
// other operation such an effect is ApplyNow.
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

// isOfLinks tells the operations of payment links, whose documents are no
// orders.
func isOfLinks(op string) bool { return strings.HasPrefix(op, "payment_links.") }

func isOfSettlements(op string) bool { return op == OpSettlementsList || op == OpSettlementsGet }

// Answer says what the client of a faulted request receives.
type Answer string

// The answers of a [Fault].
const (
	AnswerNormal      Answer = ""                   // what the service answers
	AnswerRefused     Answer = "refused"            // no connection
	AnswerHang        Answer = "hang"               // nothing, until the client gives up
	AnswerReset       Answer = "reset"              // the connection is reset (TCP RST), with all streams on it
	AnswerClose       Answer = "close"              // the connection is closed without a byte of answer
	AnswerStreamReset Answer = "stream reset"       // HTTP/2 RST_STREAM with PROTOCOL_ERROR; on HTTP/1.1 a close
	AnswerThenClose   Answer = "answer, then close" // the normal answer, then the idle connection is closed unannounced
	AnswerTruncated   Answer = "truncated"          // half of the normal body, then the end
	AnswerStatus      Answer = "status"             // Status and Code
	AnswerHTML        Answer = "html"               // Status with a page of HTML
	AnswerEmpty       Answer = "empty"              // 200 without a body
	AnswerErrorInOK   Answer = "error in 200"       // 200 with {"code":Code,...}
	AnswerRedirect    Answer = "redirect"           // 307 to another path
	// a read gets the document before its last change or, with a Delay, as it was
	// that long ago. It may be "not found". Other requests get the normal answer.
	AnswerStale         Answer = "stale"
	AnswerNoCaptureData Answer = "no capture data" // the normal document without capture_data
	AnswerNoParent      Answer = "no parent"       // the normal document without parent_order_id
	AnswerOtherOrder    Answer = "other order"     // the normal document under another order's id and reference
	AnswerSlowHeaders   Answer = "slow headers"    // the normal answer, Delay later
	AnswerSlowBody      Answer = "slow body"       // the normal headers at once, the body over Delay
	AnswerHuge          Answer = "huge"            // Size spaces, then the normal answer: valid JSON
)

// Fault is one thing that goes wrong with one request: what happens to the
// books and what the client receives. The zero Fault changes nothing. The
// package's faults (ResetAfterApply, ApplyLate, ...) are values to use as they
// are or to adapt with After, AfterReads and so on; do not assign to them.
type Fault struct {
	Name   string // in logs
	Effect Effect
	Answer Answer
	// for ApplyLater, InsertLater, ApplyPending, ApplyByLegs, AnswerStale,
	// AnswerSlowHeaders and AnswerSlowBody
	Delay       time.Duration
	Reads       int    // for ApplyPending: how many reads of the order, or of a refund or its parent, see PENDING
	Status      int    // for AnswerStatus and AnswerHTML, 200 to 599
	Code        string // for AnswerStatus and AnswerErrorInOK, e.g. "INTERNAL_ERROR"
	RetryAfter  string // the Retry-After header, in seconds or as a date; none when empty
	Size        int    // of AnswerHuge, bytes
	PointsFirst bool   // for ApplyByLegs: the points are captured before the card
	Ends        string // the final status of a refund, instead of PROCESSED; see RefundEnds
}

// After is the fault with another delay.
func (f Fault) After(d time.Duration) Fault { f.Delay = d; return f }

// AfterReads is a PENDING fault that becomes final once n reads have seen
// PENDING. A read of the parent also shows the refund, and counts.
func (f Fault) AfterReads(n int) Fault { f.Reads = n; return f }

// String is the fault's name.
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

// The faults. "Before" means that the request has no effect, "After" that it
// has its effect.
var (
	// NoFault lets a request through. Use it in a sequence of faults.
	NoFault = Fault{}

	// Refuse refuses the connection: nothing is written and nothing is applied. It
	// needs a client of Server.Transport or Server.Client, whose dial then fails.
	// A client with a transport of its own has sent the request by the time its
	// fault is known. For such a client Refuse acts as ResetBeforeApply.
	// Server.Down refuses every client.
	Refuse = Fault{Name: "Refuse", Effect: ApplyNever, Answer: AnswerRefused}

	HangBeforeApply = Fault{Name: "HangBeforeApply", Effect: ApplyNever, Answer: AnswerHang}
	HangAfterApply  = Fault{Name: "HangAfterApply", Answer: AnswerHang}

	ResetBeforeApply = Fault{Name: "ResetBeforeApply", Effect: ApplyNever, Answer: AnswerReset}
	ResetAfterApply  = Fault{Name: "ResetAfterApply", Answer: AnswerReset}
	CloseBeforeApply = Fault{Name: "CloseBeforeApply", Effect: ApplyNever, Answer: AnswerClose}
	CloseAfterApply  = Fault{Name: "CloseAfterApply", Answer: AnswerClose}

	// CloseAfterAnswer answers in full and closes the connection a moment later:
	// the next request that is sent on it fails.
	CloseAfterAnswer = Fault{Name: "CloseAfterAnswer", Answer: AnswerThenClose}

	StreamResetBeforeApply = Fault{Name: "StreamResetBeforeApply", Effect: ApplyNever, Answer: AnswerStreamReset}
	StreamResetAfterApply  = Fault{Name: "StreamResetAfterApply", Answer: AnswerStreamReset}

	// ApplyLate never answers; the effect comes Delay after the client has given
	// up.
	ApplyLate = Fault{Name: "ApplyLate", Effect: ApplyLater, Answer: AnswerHang, Delay: defaultDelay}
	// ApplyLateReset resets the connection; the effect comes Delay after that.
	ApplyLateReset = Fault{Name: "ApplyLateReset", Effect: ApplyLater, Answer: AnswerReset, Delay: defaultDelay}
	// ApplyLateTimedOut answers 504 TIMED_OUT; the effect comes Delay after that.
	ApplyLateTimedOut = Fault{
		Name:   "ApplyLateTimedOut",
		Effect: ApplyLater,
		Answer: AnswerStatus,
		Status: 504,
		Code:   "TIMED_OUT",
		Delay:  defaultDelay,
	}

	// InsertLate answers 504 TIMED_OUT to a refund and makes it 2 seconds later,
	// whatever has happened to its reference by then. It is not among
	// [WriteFaults]: a repeat during these 2 seconds makes the refund twice, which
	// is not the client's fault.
	InsertLate = Fault{
		Name:   "InsertLate",
		Effect: InsertLater,
		Answer: AnswerStatus,
		Status: 504,
		Code:   "TIMED_OUT",
		Delay:  2 * time.Second,
	}

	// CardThenPoints captures an order's payments one after the other: the card at
	// once, and the points, if there are any, Delay later. The order has left
	// AUTHORIZED by then.
	CardThenPoints = Fault{Name: "CardThenPoints", Effect: ApplyByLegs, Delay: defaultDelay}
	PointsThenCard = Fault{Name: "PointsThenCard", Effect: ApplyByLegs, Delay: defaultDelay, PointsFirst: true}
	// CardThenPointsFails captures a part: the last payment fails.
	CardThenPointsFails = Fault{Name: "CardThenPointsFails", Effect: ApplyByLegsFail, Delay: defaultDelay}
	PointsThenCardFails = Fault{
		Name:        "PointsThenCardFails",
		Effect:      ApplyByLegsFail,
		Delay:       defaultDelay,
		PointsFirst: true,
	}
	// RefundCancelled answers 200 with status CANCELLED: a refund that moves no
	// money.
	RefundCancelled = RefundEnds(StatusCancelled)

	// LaggingRead shows the books as they were 3 seconds ago.
	LaggingRead = Fault{Name: "LaggingRead", Answer: AnswerStale, Delay: defaultDelay}

	// StaleRead shows the document as it was before its last change; an order or
	// refund that has not changed since it was made is not found.
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

	// PendingResult answers PENDING; the write succeeds Delay later, or after
	// Reads reads of the order. Reads of a refund's parent count as reads of the
	// refund.
	PendingResult = Fault{Name: "PendingResult", Effect: ApplyPending, Delay: defaultDelay}
	// PendingThenFailed answers PENDING; the write fails Delay later.
	PendingThenFailed = Fault{Name: "PendingThenFailed", Effect: ApplyPendingFail, Delay: defaultDelay}
	// FailedResult answers 200 with status FAILED. A refund then moves no money,
	// and an order loses its hold.
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
	// Unauthorized answers one 401 although the token is good.
	Unauthorized = Fault{Name: "Unauthorized", Effect: ApplyNever, Answer: AnswerStatus, Status: 401, Code: "UNAUTHORIZED"}

	SlowHeaders = Fault{Name: "SlowHeaders", Answer: AnswerSlowHeaders, Delay: defaultDelay}
	SlowBody    = Fault{Name: "SlowBody", Answer: AnswerSlowBody, Delay: defaultDelay}
	// HugeBody is the normal answer after 8 MiB of blanks.
	HugeBody = Fault{Name: "HugeBody", Answer: AnswerHuge, Size: defaultHuge}
)

// StatusFault answers a status, such as 408, 409, 425 or 503, with a code of
// your own, before or after the request is applied. It panics when the status
// is not the status of an answer, 200 to 599, or the effect is unknown.
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

// problem is what makes no sense about a fault; "" when the fault is valid.
func (f Fault) problem() string {
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

// mustMakeSense panics if a fault makes no sense, as regexp.MustCompile does.
func mustMakeSense(caller string, faults ...Fault) {
	for _, f := range faults {
		if problem := f.problem(); problem != "" {
			panic("pluraltest: " + caller + ": fault " + f.String() + ": " + problem)
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

// lostFaults are the faults that any request can meet.
func lostFaults() []Fault {
	return []Fault{
		Refuse, HangAfterApply, ResetAfterApply, CloseAfterApply, CloseAfterAnswer, StreamResetAfterApply, Truncate,
		ServerErrorAfterApply, UnavailableBeforeApply, TimedOutAfterApply, BadGatewayAfterApply,
		EmptyOKAfterApply, ErrorInOKAfterApply, Redirect, RateLimited, RateLimitedRetryAfter,
		SlowHeaders, SlowBody, HugeBody,
	}
}

// WriteFaults lists the faults of captures, cancels and refunds; some fit only
// one of them, see [FaultsFor].
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
	return slices.DeleteFunc(list, func(f Fault) bool { return !f.fits(op) })
}

// fits reports whether a fault has a meaning for an operation.
func (f Fault) fits(op string) bool {
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

// RandomFaults is a plan for [Server.SetFaultPlan] that faults the given share
// (0 to 1) of the requests. Each gets one of the given faults that fit its
// operation; without any given, one of [FaultsFor]. The fault of a request
// depends on the seed, its operation, its references and how often it has been
// sent. It does not depend on other goroutines, so a seed can be replayed. It
// panics when the share is not between 0 and 1, or a fault makes no sense; see
// [Server.Inject].
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
		if f.fits(r.Op) {
			fitting = append(fitting, f)
		}
	}
	if len(fitting) == 0 {
		return NoFault
	}
	return fitting[binary.BigEndian.Uint64(sum[8:])%uint64(len(fitting))]
}
