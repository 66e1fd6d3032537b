package adversary_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

type effectWhen int

const (
	effectNow effectWhen = iota
	effectNone
	effectLate
)

// writeFault says what goes wrong with one capture, cancel or refund.
type writeFault struct {
	latency      time.Duration
	effect       effectWhen
	late         time.Duration
	hang         time.Duration // if set, the connection breaks after this time, without an answer
	answer       *answer       // replaces the true answer
	delta        int64         // the gateway adds this to the request's amount before it carries out the request
	legFails     bool          // the capture from the last of two payments fails
	legGap       time.Duration
	midStatus    string
	pendingFor   time.Duration // how long a capture or cancel is PENDING
	pendingEnd   string        // the status after PENDING: PROCESSED, FAILED, or AUTHORIZED again
	pendingEntry bool          // the order lists the capture even while it is PENDING
	fate         []string      // the statuses of a refund, one after the other
	fateGap      time.Duration
	answerLag    time.Duration // how old the order's state in the answer is
	docFault
	words []string
}

func (f writeFault) String() string {
	if len(f.words) == 0 {
		return ""
	}
	return " {" + strings.Join(f.words, "; ") + "}"
}

// readFault says what goes wrong with one read of the books.
type readFault struct {
	latency, lag time.Duration
	answer       *answer
	docFault
}

// codedAnswers returns error answers. They have most of the API's error codes,
// with the statuses that belong to the codes. A few answers do not fit the
// API's documentation, such as an answer with a code that the API does not
// have.
func codedAnswers() []answer {
	var all []answer
	add := func(status int, codes ...string) {
		for _, code := range codes {
			all = append(all, answer{status: status, body: errorBody(code)})
		}
	}
	add(400, "INVALID_REQUEST")
	add(401, "UNAUTHORIZED")
	add(404, "ORDER_NOT_FOUND")
	add(422, "INVALID_REQUEST", "ORDER_NOT_FOUND", "DUPLICATE_REQUEST", "DUPLICATE_REQUEST", "OPERATION_NOT_ALLOWED",
		"OPERATION_NOT_ALLOWED", "ORDER_CANCELLED", "ORDER_CANCELLED", "AMOUNT_LIMIT_EXCEEDED", "AMOUNT_LIMIT_EXCEEDED",
		"PAYMENT_METHOD_NOT_ENABLED", "PAYMENT_NOT_AUTHORIZED", "PAYMENT_PENDING", "PAYMENT_EXPIRED", "PAYMENT_DECLINED",
		"USER_AUTHENTICATION_FAILED", "INSUFFICIENT_FUNDS", "ISSUER_NOT_SUPPORTED", "RISK_CHECK_FAILED",
		"CARD_VERIFICATION_FAILED", "CARD_NOT_ALLOWED", "CARD_STOLEN", "CARD_LOST", "CARD_EXPIRED", "CARD_NOT_ENROLLED",
		"INVALID_CARDHOLDER", "INVALID_INSTRUMENT", "INVALID_USER_ACCOUNT", "API_RATE_LIMIT", "PAYMENT_RATE_LIMIT",
		"SOMETHING_NEW")
	add(429, "API_RATE_LIMIT", "PAYMENT_RATE_LIMIT")
	add(500, "INTERNAL_ERROR", "UNKNOWN_ERROR")
	add(504, "TIMED_OUT", "INVALID_USER_ACCOUNT")
	return all
}

func junk() []answer {
	return []answer{
		{status: 502, body: "<html>bad gateway</html>", html: true},
		{status: 403, body: "<html>forbidden</html>", html: true},
		{status: 404, body: "<html>not here</html>", html: true},
		{status: 504, body: ""},
		{status: 409, body: `{"message":"conflict"}`},
		{status: 408, body: ""},
		{status: 302, body: ""},
		{status: 200, body: ""},
		{status: 200, body: `{"data":{"order_id":"v1-`},
		{status: 200, body: `{}`},
		{status: 200, body: `{"data":{}}`},
		{status: 200, body: errorBody("INTERNAL_ERROR")},
		{status: 200, body: errorBody("DUPLICATE_REQUEST")},
		{status: 202, body: ""},
		{status: 204, body: ""},
	}
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func chance(rng *rand.Rand, p float64) bool { return rng.Float64() < p }

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)+1))
}

// chooseEffect is for a write whose answer is lost or false. It decides whether
// the gateway carries out the write at once, later, or not at all.
func (f *writeFault) chooseEffect(rng *rand.Rand) {
	switch rng.IntN(3) {
	case 0:
		f.effect = effectNone
		f.words = append(f.words, "not carried out")
	case 1:
		f.words = append(f.words, "carried out at once")
	default:
		f.effect, f.late = effectLate, between(rng, 300*time.Millisecond, 6*time.Second-300*time.Millisecond)
		f.words = append(f.words, fmt.Sprintf("carried out after %.1f s", f.late.Seconds()))
	}
}

// writeEvent chooses one thing that goes wrong with a write, such as a lost
// answer or a wrong amount. It returns a function that adds this event to the
// faults of a write.
func writeEvent(rng *rand.Rand) func(*writeFault) {
	kind := rng.IntN(13)
	seed := rng.Uint64()
	return func(f *writeFault) {
		rng := rand.New(rand.NewPCG(seed, 1))
		say := func(format string, args ...any) { f.words = append(f.words, fmt.Sprintf(format, args...)) }
		switch kind {
		case 0, 1, 2, 3:
			a := pick(rng, codedAnswers()...)
			f.answer = &a
			say("answered with %d %s", a.status, a.body)
			f.chooseEffect(rng)
		case 4, 5:
			f.hang = pick(rng, time.Millisecond, time.Second, 15*time.Second)
			say("the answer is lost after %s", f.hang)
			f.chooseEffect(rng)
		case 6:
			a := pick(rng, junk()...)
			f.answer = &a
			say("answered with junk: %d %q", a.status, a.body)
			f.chooseEffect(rng)
		case 7:
			f.delta = pick[int64](rng, -1, 1, -50, 200)
			say("the amount differs by %d", f.delta)
		case 8:
			f.answerLag = between(rng, 100*time.Millisecond, 6*time.Second)
			say("the answer shows the order %.1f s ago", f.answerLag.Seconds())
		case 9:
			f.legFails = chance(rng, 0.6)
			f.legGap = pick(rng, 0, between(rng, 200*time.Millisecond, 5*time.Second))
			f.midStatus = pick(rng, authorized, pending, processed)
			say(
				"legs %.1f s apart, the order is %s meanwhile, the last leg fails: %t",
				f.legGap.Seconds(),
				f.midStatus,
				f.legFails,
			)
		case 10:
			f.fate = pick(rng, []string{pending, processed}, []string{pending, failed}, []string{created, pending, processed},
				[]string{failed}, []string{pending, cancelled}, []string{rejected}, []string{pending})
			f.fateGap = between(rng, 500*time.Millisecond, 20*time.Second)
			say("a refund gets the statuses %v, one every %.1f s", f.fate, f.fateGap.Seconds())
		case 11:
			f.pendingFor = between(rng, 300*time.Millisecond, 20*time.Second)
			f.pendingEnd = pick(rng, processed, processed, failed, authorized)
			f.pendingEntry = chance(rng, 0.4)
			say("PENDING for %.1f s, then %s, listed meanwhile: %t", f.pendingFor.Seconds(), f.pendingEnd, f.pendingEntry)
		default:
			f.effect, f.late = effectLate, between(rng, 300*time.Millisecond, 6*time.Second-300*time.Millisecond)
			say("slow: carried out and answered after %.1f s", f.late.Seconds())
		}
	}
}

// readEvent chooses one thing that goes wrong with all reads of the books. For
// example, the reads show an older state. readEvent adds this event to the
// scenario, and returns a text about the event.
func (sc *scenario) readEvent(rng *rand.Rand) string {
	switch rng.IntN(6) {
	case 0, 1, 2:
		sc.lags = []time.Duration{0}
		for range 1 + rng.IntN(3) {
			sc.lags = append(sc.lags, between(rng, 100*time.Millisecond, 6*time.Second))
		}
		if chance(rng, 0.5) {
			sc.lags = sc.lags[1:]
		}
		return fmt.Sprintf("each read comes from a replica that lags by one of %v", sc.lags)
	case 3:
		sc.leaves = leftOut(rng)
		sc.leavesP = pick(rng, 0.3, 0.7, 1)
		sc.leavesAlways = chance(rng, 0.3)
		return fmt.Sprintf("%.0f %% of documents: %s(even when healthy: %t)", sc.leavesP*100, sc.leaves, sc.leavesAlways)
	case 4:
		sc.leaves = pick(rng, docFault{entriesTwice: true}, docFault{entriesOnEveryLeg: true}, docFault{refundsTwice: true})
		sc.leavesP = pick(rng, 0.5, 1)
		sc.leavesAlways = chance(rng, 0.3)
		return fmt.Sprintf("%.0f %% of documents: %s(even when healthy: %t)", sc.leavesP*100, sc.leaves, sc.leavesAlways)
	default:
		sc.readErrors = pick(rng, 0.2, 0.5)
		return fmt.Sprintf("%.0f %% of reads fail", sc.readErrors*100)
	}
}

func leftOut(rng *rand.Rand) docFault {
	return pick(rng, docFault{noCaptures: true}, docFault{noPayments: true}, docFault{emptyRefunds: true},
		docFault{noRefunds: true}, docFault{noEntryReference: true}, docFault{noParent: true}, docFault{noPreAuth: true},
		docFault{noCaptures: true, emptyRefunds: true})
}

func (sc *scenario) writeFault(rng *rand.Rand, n int, well bool) writeFault {
	f := writeFault{latency: between(rng, 20*time.Millisecond, 300*time.Millisecond)}
	f.fate = pick(
		rng, []string{processed}, []string{processed}, []string{pending, processed}, []string{created, processed},
	)
	f.fateGap = between(rng, 500*time.Millisecond, 10*time.Second)
	if chance(rng, sc.leavesP) && (!well || sc.leavesAlways) {
		f.docFault = sc.leaves
	}
	if !well {
		for _, e := range sc.writeEvents[n] {
			e(&f)
		}
	}
	sc.scale(&f.latency, &f.late, &f.hang, &f.legGap, &f.pendingFor, &f.fateGap, &f.answerLag)
	return f
}

func (sc *scenario) readFault(rng *rand.Rand, well bool) (f readFault) {
	f = readFault{latency: between(rng, 20*time.Millisecond, 300*time.Millisecond)}
	defer func() { sc.scale(&f.latency, &f.lag) }()
	if chance(rng, sc.leavesP) && (!well || sc.leavesAlways) {
		f.docFault = sc.leaves
	}
	if well {
		return f
	}
	if len(sc.lags) > 0 {
		f.lag = pick(rng, sc.lags...)
	}
	if chance(rng, sc.readErrors) {
		a := pick(rng, append(junk(),
			answer{status: 404, body: errorBody("ORDER_NOT_FOUND")}, answer{status: 422, body: errorBody("ORDER_NOT_FOUND")},
			answer{status: 400, body: `{"code":"INVALID_REQUEST","message":"No matching records found for the inquiry"}`},
			answer{status: 500, body: errorBody("INTERNAL_ERROR")}, answer{status: 429, body: errorBody("API_RATE_LIMIT")},
			answer{err: errReset})...)
		f.answer = &a
	}
	return f
}
