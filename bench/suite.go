package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// suite is a set of cases that do the same work. All cases are compared with
// the first.
type suite struct {
	Title string
	Note  string
	Cases []benchCase
}

// benchCase is one of the ways to do the work of a suite. For example, it uses
// one of the SDKs.
type benchCase struct {
	Name string
	// Goroutines is how many goroutines do the work at the same time. If it
	// is 0, there is one goroutine. Any other number is rounded down to a
	// multiple of GOMAXPROCS, and is at least GOMAXPROCS.
	Goroutines int
	// Setup makes what the work needs, such as a client. The time of Setup
	// is not measured. Setup returns the work to measure, and a function to
	// call after the measurement. That function may be nil.
	Setup func() (work func() error, done func())
	// Extra returns a figure that is neither time nor memory, such as the
	// number of new connections. The argument n is how often the work was
	// done since the last call of Extra. A call with 0 starts the count.
	// Extra may be nil.
	Extra func(n int) float64
	// Unit is the unit of Extra's figure.
	Unit string
}

// repeatedCase returns a copy of the first case with another name, so the case
// is measured twice. The difference between the two measurements is noise.
func repeatedCase(c benchCase) benchCase {
	c.Name += " (again)"
	return c
}

// sample has the figures of one case in one round.
type sample struct {
	Ns     float64 `json:"ns"`
	Bytes  float64 `json:"bytes"`
	Allocs float64 `json:"allocs"`
	Extra  float64 `json:"extra,omitzero"`
}

func (c *benchCase) sample() (sample, error) {
	work, done := c.Setup()
	if done != nil {
		defer done()
	}
	for range 8 { // the first calls fill pools, open connections and make what later calls use again
		if err := work(); err != nil {
			return sample{}, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	var failed atomic.Pointer[error]
	extra := 0.0
	r := testing.Benchmark(func(b *testing.B) { //nolint:thelper // this function is the benchmark, and not a helper
		b.ReportAllocs()
		if c.Extra != nil {
			c.Extra(0) // starts the count
		}
		b.ResetTimer()
		if c.Goroutines == 0 {
			for range b.N {
				if err := work(); err != nil {
					failed.Store(&err)
					return
				}
			}
		} else {
			b.SetParallelism(max(1, c.Goroutines/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := work(); err != nil {
						failed.Store(&err)
						return
					}
				}
			})
		}
		b.StopTimer()
		if c.Extra != nil {
			extra = c.Extra(b.N)
		}
	})
	if err := failed.Load(); err != nil {
		return sample{}, fmt.Errorf("%s: %w", c.Name, *err)
	}
	return sample{
		Ns: float64(r.T.Nanoseconds()) / float64(r.N), Bytes: float64(r.AllocedBytesPerOp()),
		Allocs: float64(r.AllocsPerOp()), Extra: extra,
	}, nil
}

// runRounds runs all cases in every round. The sequence of the cases changes
// from round to round. So the first case of a round is not always the same, and
// a case does not always run directly after the same other case.
func (s *suite) runRounds(rounds int) (*suiteResult, error) {
	result := &suiteResult{Title: s.Title, Note: s.Note}
	for _, c := range s.Cases {
		result.Cases = append(result.Cases, caseResult{Name: c.Name, Unit: c.Unit})
	}
	for round := range rounds {
		for _, i := range caseSequence(round, len(s.Cases)) {
			one, err := s.Cases[i].sample()
			if err != nil {
				return nil, err
			}
			result.Cases[i].Samples = append(result.Cases[i].Samples, one)
		}
	}
	return result, nil
}

// caseSequence returns the sequence in which a round runs its n cases. The
// sequence is rotated by one place in each round, and reversed in every second
// round.
func caseSequence(round, n int) []int {
	sequence := make([]int, n)
	for i := range sequence {
		sequence[i] = (i + round) % n
	}
	if round%2 == 1 {
		slices.Reverse(sequence)
	}
	return sequence
}

// suiteResult has the results of a suite's rounds.
type suiteResult struct {
	Title string       `json:"title"`
	Note  string       `json:"note,omitzero"`
	Cases []caseResult `json:"cases"`
}

// caseResult has a sample for each round.
type caseResult struct {
	Name    string   `json:"name"`
	Unit    string   `json:"unit,omitzero"`
	Samples []sample `json:"samples"`
}

func (c *caseResult) median(of func(sample) float64) float64 {
	values := make([]float64, len(c.Samples))
	for i, s := range c.Samples {
		values[i] = of(s)
	}
	return median(values)
}

// timeRatios has a ratio for each round: the time of the case c, divided by the
// time of the first case in the same round.
func (s *suiteResult) timeRatios(c *caseResult) []float64 {
	out := make([]float64, len(c.Samples))
	for i, one := range c.Samples {
		out[i] = one.Ns / s.Cases[0].Samples[i].Ns
	}
	return out
}

// medianRatio returns the median of the ratios of the case with this name. It
// returns 0 if there is no such case.
func (s *suiteResult) medianRatio(name string) float64 {
	for i := range s.Cases {
		if s.Cases[i].Name == name {
			return median(s.timeRatios(&s.Cases[i]))
		}
	}
	return 0
}

// formatTable returns a table in Markdown. The fastest case comes first.
func (s *suiteResult) formatTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.Title)
	if s.Note != "" {
		b.WriteString(s.Note + "\n\n")
	}
	extra := ""
	for _, c := range s.Cases {
		extra = cmp.Or(extra, c.Unit)
	}
	fmt.Fprintf(&b, "| case | time | 95 %% | bytes | allocations |%s\n", cell(extra))
	fmt.Fprintf(&b, "|---|---:|---:|---:|---:|%s\n", strings.Repeat("---:|", min(1, len(extra))))
	sorted := slices.Clone(s.Cases)
	slices.SortStableFunc(sorted, func(a, c caseResult) int {
		return cmp.Compare(median(s.timeRatios(&a)), median(s.timeRatios(&c)))
	})
	for _, c := range sorted {
		ratios := s.timeRatios(&c)
		low, high := interval(ratios)
		name := c.Name
		if strings.HasPrefix(name, "plural") {
			name = "**" + name + "**"
		}
		fmt.Fprintf(&b, "| %s | %.2f | %.2f–%.2f | %.0f | %.0f |", name, median(ratios), low, high,
			c.median(func(s sample) float64 { return s.Bytes }), c.median(func(s sample) float64 { return s.Allocs }))
		if extra != "" {
			b.WriteString(cell(fmt.Sprintf("%.1f", c.median(func(s sample) float64 { return s.Extra }))))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func cell(text string) string {
	if text == "" {
		return ""
	}
	return " " + text + " |"
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func quantile(values []float64, at float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	x := at * float64(len(sorted)-1)
	low := int(x)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (x-float64(low))*(sorted[high]-sorted[low])
}

// interval returns the 95 % confidence interval of the median. It finds the
// interval by resampling the rounds.
func interval(values []float64) (low, high float64) {
	draw := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	medians := make([]float64, 1000)
	again := make([]float64, len(values))
	for i := range medians {
		for j := range again {
			again[j] = values[draw.IntN(len(values))]
		}
		medians[i] = median(again)
	}
	return quantile(medians, 0.025), quantile(medians, 0.975)
}
