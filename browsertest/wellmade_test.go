package browsertest_test

import (
	_ "embed"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed wellmade.js
var wellMade string

// wellMade checks what every page must have: nothing wider than the screen, a
// label for each control, one main landmark and one h1, text that stands out
// from its background, and controls that are large enough to touch.
func (b *tab) wellMade(name string) {
	b.t.Helper()
	require.Empty(b.t, get(b, chromedp.Evaluate[[]string](wellMade)), "%s, %s", name, b.screen.name)
}
