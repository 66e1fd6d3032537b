package browsertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// chromium is the browser that all tests share. Each tab that a test opens has
// a profile of its own.
var chromium context.Context

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	path := findChromium()
	if path == "" {
		if os.Getenv("CI") == "true" {
			fmt.Fprintln(os.Stderr, "browsertest: there is no Chromium: install the package chromium")
			return 1
		}
		fmt.Fprintln(os.Stderr, "browsertest: skipped: there is no Chromium here (CI has one)")
		return 0
	}
	profile, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "browsertest:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(profile) }()
	if programsDir, err = os.MkdirTemp("", "browsertest"); err != nil {
		fmt.Fprintln(os.Stderr, "browsertest:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(programsDir) }()
	// No request may leave this machine. Every page is on loopback.
	options := append(
		slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-back-forward-cache", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	browser, quit := chromedp.NewContext(allocator)
	defer quit()
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "browsertest: start Chromium:", err)
		return 1
	}
	chromium = browser //nolint:fatcontext // one browser for all tests
	return m.Run()
}

func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// A screen is a kind of device on which a test opens the pages.
type screen struct {
	name       string
	width      int64
	javaScript bool
}

func screens() []screen {
	return []screen{
		{"desktop", 1280, true},
		{"phone", 360, true},
		{"desktop without JavaScript", 1280, false},
		{"phone without JavaScript", 360, false},
	}
}

// A tab is one page of the browser.
type tab struct {
	t      *testing.T
	ctx    context.Context
	screen screen

	mu       sync.Mutex
	messages []string // errors that the browser logged, such as content that a policy blocked
}

const patience = 30 * time.Second

func openTab(t *testing.T, s screen) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(leave)
	b := &tab{t: t, ctx: ctx, screen: s}
	require.NoError(t, chromedp.Listen(ctx, b.hear))
	_, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(
		ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !s.javaScript},
	)
	require.NoError(t, err)
	if s.width < 600 {
		b.do(chromedp.EmulateViewport(s.width, 800, chromedp.EmulateMobile, chromedp.EmulateTouch))
	} else {
		b.do(chromedp.EmulateViewport(s.width, 800))
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.messages) > 0 {
			t.Errorf("the browser complains: %s", strings.Join(b.messages, "; "))
		}
	})
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError && !strings.Contains(e.Entry.Text, "server responded with a status of 4") {
			b.messages = append(b.messages, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.messages = append(b.messages, e.ExceptionDetails.Text)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	_ = runAction(b, chromedp.Steps(steps...))
}

// runAction runs an action and returns the action's value. The page of the
// sandbox updates itself, and replaces elements with new ones. If the page
// replaces the element that the action has just found, runAction runs the
// action again, with the new element.
func runAction[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	for isNodeGone(err) && ctx.Err() == nil {
		value, err = chromedp.Run(ctx, action)
	}
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.describePage())
	}
	return value
}

// isNodeGone reports whether an action ended because its element is no longer in
// the page. Then the action has not clicked or typed yet.
func isNodeGone(err error) bool {
	refused, ok := errors.AsType[*cdproto.Error](err)
	return ok && strings.Contains(refused.Message, "node with given id")
}

// describePage returns a description of what the tab shows. The message of a
// failed test contains this description.
func (b *tab) describePage() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	link, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	return fmt.Sprintf("at %s: %.1000s", link, text)
}

func (b *tab) open(link string) { b.t.Helper(); b.do(chromedp.Navigate(link)) }

// The method click clicks the button or link with these words.
func (b *tab) click(words string) {
	b.t.Helper()
	b.do(chromedp.Click(withText(words, "button", "a")))
}

// The method press clicks the button or link, and waits until a page shows the
// text.
func (b *tab) press(words, next string) {
	b.t.Helper()
	b.click(words)
	b.sees(next)
}

// b.sees(text) waits until the page shows the text, for example in a heading or
// a paragraph.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(withText(text, "h1", "h2", "p", "td", "summary", "li")))
}

// withText selects the elements of the given kinds that contain the words.
func withText(words string, kinds ...string) chromedp.Search {
	self := make([]string, len(kinds))
	for i, kind := range kinds {
		self[i] = "self::" + kind
	}
	return chromedp.Search(fmt.Sprintf(`//*[%s][contains(normalize-space(.), %q)]`, strings.Join(self, " or "), words))
}

func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), value))
}

// setControl sets the value of a form control, for example the choice in a
// list.
func (b *tab) setControl(selector, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(selector), value))
}

func (b *tab) choose(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// evalText runs a script and returns the script's result, which is a
// string.
func (b *tab) evalText(script string) string {
	b.t.Helper()
	return runAction(b, chromedp.Evaluate[string](script))
}

// The call b.picture(name) checks the page with the method wellMade. If
// JavaScript is on, the call also saves a picture of the whole page as a PNG
// file.
func (b *tab) picture(name string) {
	b.t.Helper()
	b.wellMade(name)
	if !b.screen.javaScript {
		return // the page looks the same with JavaScript, and the test with JavaScript saves its picture
	}
	png := runAction(b, chromedp.FullScreenshot(100))
	require.NoError(b.t, os.MkdirAll("screenshots", 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join("screenshots", name+"-"+b.screen.name+".png"), png, 0o600))
}
