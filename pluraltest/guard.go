package pluraltest

import (
	"net/http"
	"runtime/debug"
)

// reportFunc tells the user of the emulator that something is wrong with it, or
// with what they have given it.
type reportFunc func(format string, args ...any)

// guarded counts the requests that a handler serves, for Close to wait for, and
// reports its panics. The client's connection is cut, as net/http would.
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
			if cause != any(http.ErrAbortHandler) { // which is how faults cut a connection
				report("pluraltest: %s %s: panic: %v\n%s", r.Method, r.URL.Path, cause, debug.Stack())
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// reportTo has a test told: a bug fails it, a panic of the merchant's handler
// is mentioned, for the test may be about that.
func reportTo(t TB) Option {
	return func(c *config) { c.report, c.mention = t.Errorf, t.Logf }
}
