package adversary_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// uniqueness is the gateway's rule for refund references that were used before.
type uniqueness int

const (
	unique      uniqueness = iota // no reference can be used twice
	failedFrees                   // a refund that failed frees its reference
	notUnique
)

func (u uniqueness) String() string {
	return [...]string{"unique", "unique but for refunds that failed", "not unique"}[u]
}

// A plan is a call that one process makes and repeats. The plan has the time of
// the first call, the greatest number of calls, and the time between two calls.
type plan struct {
	process   int
	op        string
	order     string
	reference string
	amount    int64 // 0: the whole amount on hold
	at        time.Duration
	deadline  time.Duration // 0: no deadline
	times     int
	gap       time.Duration
}

func (p plan) String() string {
	amount := strconv.FormatInt(p.amount, 10)
	if p.amount == 0 {
		amount = "the whole"
	}
	return fmt.Sprintf("%s of %s, %s under %q", p.op, p.order, amount, p.reference)
}

// The type scenario describes one run of the test. The seed decides the values
// of the scenario before the run begins.
type scenario struct {
	seed  uint64
	words []string

	unique                uniqueness
	single                bool // WithSingleRefundSend
	duplicateAnswers      bool
	latestByReference     bool
	secondCode            bool
	noMatchingRecords     int
	partialReadsProcessed bool
	clock, stampSkew      time.Duration
	noStamps, noDate      bool

	setup       string
	age         time.Duration // how long ago an earlier run of the shop made its calls
	legs        int
	plans       []plan
	writeEvents map[int][]func(*writeFault)
	outside     []outsideAction

	lags         []time.Duration
	leaves       docFault
	leavesP      float64
	leavesAlways bool
	readErrors   float64

	updates bool          // documents show the time of the order's last change
	faster  time.Duration // divides all durations, for tests on the real clock; 0: not used
}

// The method scale shortens durations for tests that run on the real clock.
func (sc *scenario) scale(times ...*time.Duration) {
	for _, d := range times {
		*d /= max(sc.faster, 1)
	}
}

// outsideAction describes an action of the payer, of the bank or of a person at
// the dashboard.
type outsideAction struct {
	at   time.Duration
	what string
}

func (sc *scenario) record(format string, args ...any) {
	sc.words = append(sc.words, fmt.Sprintf(format, args...))
}

func (sc *scenario) String() string { return strings.Join(sc.words, "\n") }

func (sc *scenario) codeOf(first, second string) string {
	if sc.secondCode {
		return second
	}
	return first
}

func (sc *scenario) notFound() answer {
	switch sc.noMatchingRecords {
	case 0:
		return answer{status: 400, body: `{"code":"INVALID_REQUEST","message":"No matching records found for the inquiry"}`}
	case 1:
		return answer{status: 404, body: errorBody("ORDER_NOT_FOUND")}
	}
	return answer{status: 422, body: errorBody("ORDER_NOT_FOUND")}
}

const (
	mainOrder  = "v1-main"
	otherOrder = "v1-other"
)

func newScenario(seed uint64) *scenario {
	rng := rand.New(rand.NewPCG(seed, 0))
	sc := &scenario{seed: seed, writeEvents: map[int][]func(*writeFault){}}
	sc.unique = pick(rng, unique, unique, failedFrees, notUnique)
	sc.single = chance(rng, 0.2)
	sc.duplicateAnswers = chance(rng, 0.5)
	sc.latestByReference = chance(rng, 0.7)
	sc.secondCode = chance(rng, 0.4)
	sc.noMatchingRecords = rng.IntN(3)
	sc.partialReadsProcessed = chance(rng, 0.2)
	if chance(rng, 0.4) {
		sc.clock = between(rng, -5*time.Minute, 5*time.Minute)
	}
	sc.stampSkew = pick(rng, 0, 0, -time.Second, time.Second)
	sc.noStamps = chance(rng, 0.1)
	sc.noDate = chance(rng, 0.1)
	sc.record(
		"refund references are %s; a duplicate answers %t; the latest by reference %t; "+
			"single refund send %t; partial captures read PROCESSED %t",
		sc.unique,
		sc.duplicateAnswers,
		sc.latestByReference,
		sc.single,
		sc.partialReadsProcessed,
	)
	sc.record(
		"the server's clock is %s off, stamps %s beside it; no stamps %t, no Date %t",
		sc.clock.Round(time.Millisecond),
		sc.stampSkew,
		sc.noStamps,
		sc.noDate,
	)

	sc.age = pick(rng, 3*time.Hour, between(rng, 200*time.Millisecond, 10*time.Second))
	sc.legs = pick(rng, 1, 1, 2)
	refunds := chance(rng, 0.45)
	if refunds {
		sc.setup = pick(
			rng,
			"captured",
			"captured",
			"captured",
			"outright",
			"outright",
			"partial",
			"refunded in part",
			"refunded in full",
			"refunded by us",
			"refunded by us, other figures",
			"refund failed",
			"refund failed",
			"refund rejected",
			"refund pending elsewhere",
			"refund of another order",
			"authorized",
			"cancelled",
			"failed",
			"created",
			"refund pending, will fail",
		)
	} else {
		sc.setup = pick(
			rng,
			"authorized",
			"authorized",
			"authorized",
			"authorized",
			"authorized",
			"authorized",
			"after failed attempt",
			"lapsed",
			"created",
			"attempted",
			"pending",
			"captured",
			"captured by us",
			"captured by us, other figures",
			"partial",
			"outright",
			"cancelled",
			"failed",
			"refunded in part",
			"refunded in full",
		)
	}
	sc.record("before: %s, %d legs, %.1f s ago", sc.setup, sc.legs, sc.age.Seconds())
	sc.plan(rng, refunds)
	sc.events(rng)
	return sc
}

func (sc *scenario) plan(rng *rand.Rand, refunds bool) {
	first := plan{order: mainOrder}
	if refunds {
		first.op, first.reference = "refund", "R-1"
		first.amount = pick[int64](rng, 3000, 3000, 12000, total, total+1)
	} else {
		first.op = pick(rng, "capture", "capture", "capture", "capture", "cancel")
		if first.op == "capture" {
			first.reference = "C-1"
			first.amount = pick[int64](rng, 0, 0, 12000, 3000, total, total+1)
		}
	}
	timing := func(p *plan) {
		p.deadline = pick(
			rng, time.Minute, time.Minute, time.Minute, time.Minute, 0, 10*time.Second, 5*time.Second, 2*time.Second,
		)
		p.times = pick(rng, 1, 2, 3)
		p.gap = pick(rng, 0, between(rng, 0, 10*time.Second), time.Minute)
	}
	timing(&first)
	sc.plans = []plan{first}
	if chance(rng, 0.5) {
		second := first
		timing(&second)
		second.process = 1
		second.at = pick(rng, 0, between(rng, 0, 8*time.Second))
		switch rng.IntN(4) {
		case 0: // the same call
		case 1: // another amount under the same reference
			if second.op != "cancel" {
				second.amount = pick[int64](rng, 3000, 5000, 12000)
			}
		case 2:
			if second.op != "cancel" {
				second.reference += "b"
				second.amount = pick(rng, second.amount, 5000)
			}
		default:
			switch second.op {
			case "capture":
				second.op, second.reference, second.amount = "cancel", "", 0
			case "cancel":
				second.op, second.reference, second.amount = "capture", "C-1", 0
			default:
				second.reference += "b"
				second.amount = total - 3000
			}
		}
		sc.plans = append(sc.plans, second)
	}
	for _, p := range sc.plans {
		sc.record(
			"process %d, after %.1f s: %s; up to %d calls, %.1f s between, deadline %s",
			p.process,
			p.at.Seconds(),
			p,
			p.times,
			p.gap.Seconds(),
			p.deadline,
		)
	}
}

func (sc *scenario) events(rng *rand.Rand) {
	for range pick(rng, 0, 1, 1, 2, 2, 3, 3) {
		switch rng.IntN(10) {
		case 0, 1, 2, 3, 4:
			n := pick(rng, 0, 0, 0, 1, 1, 2)
			sc.writeEvents[n] = append(sc.writeEvents[n], writeEvent(rng))
			var f writeFault
			sc.writeEvents[n][len(sc.writeEvents[n])-1](&f)
			sc.record("event: write %d:%s", n, f)
		case 5, 6, 7, 8:
			sc.record("event: %s", sc.readEvent(rng))
		default:
			o := outsideAction{
				at:   between(rng, 0, 12*time.Second),
				what: pick(rng, "pay", "pay", "cancel", "capture", "refund", "lapse"),
			}
			sc.outside = append(sc.outside, o)
			sc.record("event: after %.1f s somebody else: %s", o.at.Seconds(), o.what)
		}
	}
}
