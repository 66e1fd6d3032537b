package pluraltest

import (
	"net/http"
	"runtime/debug"
)

// reportFunc tells the user of the emulator that the emulator, or something the
// user gave it, is wrong.
type reportFunc func(format string, args ...any)

// guarded counts the requests that a handler serves, so Close can wait for
// them, and reports its panics. After a panic it cuts the client's connection,
// as net/http would.
func (s *Server) guarded(next http.Handler, report reportFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			panic(http.ErrAbortHandler)
		}
		defer s.end()
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause != any(http.ErrAbortHandler) { // with this panic a fault cuts a connection
				report("pluraltest: %s %s: panic: %v\n%s", r.Method, r.URL.Path, cause, debug.Stack())
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// reportTo reports to a test. A bug of the emulator fails the test. A panic of
// the merchant's handler is only logged, because the test may be about that
// panic.
func reportTo(t TB) Option {
	return func(c *config) { c.report, c.mention = t.Errorf, t.Logf }
}
