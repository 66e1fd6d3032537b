package pluraltest

import (
	"net/http"
	"runtime/debug"
)

// reportFunc reports an error in the emulator, or in code that a user passed to
// the emulator.
type reportFunc func(format string, args ...any)

// guardHandler wraps a handler. It counts the requests that the handler serves,
// so Close can wait for them. It also reports the handler's panics. After a
// panic it cuts the client's connection, as net/http would.
func (s *Server) guardHandler(next http.Handler, report reportFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.beginRequest() {
			panic(http.ErrAbortHandler)
		}
		defer s.endRequest()
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause != any(http.ErrAbortHandler) { // a fault that cuts a connection panics with ErrAbortHandler
				report("pluraltest: %s %s: panic: %v\n%s", r.Method, r.URL.Path, cause, debug.Stack())
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// reportToTest makes an option with which the emulator sends its reports to the
// test t. A bug of the emulator, of a fault plan or of a page fails the test. A
// panic of the merchant's handler is only logged, because the test may be about
// that panic.
func reportToTest(t TB) Option {
	return func(c *config) { c.report, c.mention = t.Errorf, t.Logf }
}
