package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The measured code of every case works without an error.
func TestEveryCaseWorks(t *testing.T) { //nolint:paralleltest // one SDK is configured by global variables
	for _, s := range suites() {
		for _, c := range s.Cases {
			work, done := c.Setup()
			require.NoError(t, work(), "%s: %s", s.Title, c.Name)
			if done != nil {
				done()
			}
		}
	}
}

// A verifier that accepts a forgery does not check the signature, so its times
// cannot be compared with the times of the other verifiers. So every verifier
// must refuse a forgery.
func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	for _, n := range sizes {
		body := eventBody(n)
		require.Len(t, body, n)
		d := newDelivery(body)
		d.forge = true
		for _, v := range append(append(signatureVerifiers(), eventVerifiers()...), orderVerifiers()...) {
			require.Error(t, v.setup(d)(), "%s, %d bytes", v.name, n)
		}
	}
	require.Error(t, callbackByHand(true)())
	require.Error(t, callbackPlural(true)())
}

func TestOrderOfCases(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{0, 1, 2}, caseSequence(0, 3))
	require.Equal(t, []int{0, 2, 1}, caseSequence(1, 3))
	require.Equal(t, []int{2, 0, 1}, caseSequence(2, 3))
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	s := suiteResult{Cases: []caseResult{
		{Name: "base", Samples: []sample{{Ns: 100}, {Ns: 1000}, {Ns: 10}}},
		{Name: "half", Samples: []sample{{Ns: 50}, {Ns: 500}, {Ns: 5}}},
	}}
	require.InDelta(t, 0.5, s.medianRatio("half"), 0)
	low, high := interval(s.timeRatios(&s.Cases[1]))
	require.InDelta(t, 0.5, low, 0)
	require.InDelta(t, 0.5, high, 0)
	require.Contains(t, s.formatTable(), "| half | 0.50 | 0.50–0.50 |")
}

func TestPageAndChart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	results, page, chart := file("run.json"), file("page.md"), file("chart.svg")
	require.NoError(t, os.WriteFile(results, []byte(`{"go":"go1.26.8","suites":[{"title":"Capture, in memory","cases":[
		{"name":"by hand","samples":[{"ns":100}]},{"name":"plural","samples":[{"ns":45}]}]}]}`), 0o600))
	require.NoError(t, writePage(page, file("tables.md"), chart, []string{results}))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "| Capture, in memory | 0.50 | 0.45 |")
	require.Contains(t, string(text), "### Captures\n\n| | by hand | plural |\n|---|---:|---:|\n"+
		"| Capture, in memory | 1.00 | 0.45 |\n")
	tables, err := os.ReadFile(file("tables.md"))
	require.NoError(t, err)
	require.Contains(t, string(tables), "| **plural** | 0.45 | 0.45–0.45 |")
	require.Contains(t, string(text), "chart.svg")
	drawing, err := os.ReadFile(chart)
	require.NoError(t, err)
	require.Contains(t, string(drawing), "<svg")
}
