package browsertest_test

import (
	_ "embed"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed wellmade.js
var wellMade string

// wellMade checks the rules that hold for each page. Nothing is wider than the
// screen. Each control has a label and is large enough to touch. There is one
// main landmark and one h1. Text differs enough from its background.
func (b *tab) wellMade(name string) {
	b.t.Helper()
	require.Empty(b.t, runAction(b, chromedp.Evaluate[[]string](wellMade)), "%s, %s", name, b.screen.name)
}
