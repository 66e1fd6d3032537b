package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// withPassword asks for the operator's password before it calls next.
func (s *staffPages) withPassword(next http.HandlerFunc) http.Handler {
	want := sha256.Sum256([]byte(s.password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, isGiven := r.BasicAuth()
		from := senderAddress(r)
		if wait := s.gate.remainingWait(from, time.Now()); isGiven && wait > 0 && !s.isKnown(r) {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			s.showMessage(w, http.StatusTooManyRequests, "Too many wrong passwords", "Try again in a minute.")
			return
		}
		got := sha256.Sum256([]byte(password))
		if user != "operator" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			if isGiven {
				s.gate.countWrong(from, time.Now())
				s.log.WarnContext(r.Context(), "wrong password of the staff", "from", from)
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="operator", charset="UTF-8"`)
			s.showMessage(
				w,
				http.StatusUnauthorized,
				"For the staff",
				"The user is operator; the password was shown when the shop was opened.",
			)
			return
		}
		if !s.isKnown(r) {
			s.rememberBrowser(w)
		}
		next(w, r)
	})
}

// A gate makes it slow to guess the password. After a few wrong passwords from
// an address, it refuses every password from that address for some time. That
// time doubles after each further wrong password, up to a minute.
type gate struct {
	mu    sync.Mutex
	tries map[string]tries
}

type tries struct {
	wrong int
	last  time.Time
}

const (
	freeTries  = 5
	longestTry = time.Minute
	forgetting = time.Hour
	maxSenders = 10_000
)

// remainingWait returns the time for which the gate still refuses every
// password from an address.
func (g *gate) remainingWait(from string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tries[from]
	if t.wrong < freeTries || now.Sub(t.last) > forgetting {
		return 0
	}
	return min(time.Second<<min(t.wrong-freeTries, 10), longestTry) - now.Sub(t.last)
}

func (g *gate) countWrong(from string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tries == nil {
		g.tries = map[string]tries{}
	}
	if _, there := g.tries[from]; !there && len(g.tries) >= maxSenders {
		g.forget(now)
		if len(g.tries) >= maxSenders {
			return // against so many senders, only the people who run the network can help
		}
	}
	t := g.tries[from]
	if now.Sub(t.last) > forgetting {
		t = tries{}
	}
	g.tries[from] = tries{t.wrong + 1, now}
}

func (g *gate) forget(now time.Time) {
	for from, t := range g.tries {
		if now.Sub(t.last) > forgetting {
			delete(g.tries, from)
		}
	}
}

// senderAddress returns the address that a request comes from. For an IPv6
// address it returns the network (/64). Behind a proxy all requests have the
// proxy's address. A proxy can put the browser's address into a header. But the
// shop does not know the address of the proxy, and anybody can send such a
// header. So the shop ignores these headers.
func senderAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Unmap().Is4() {
		return host
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return network.String()
}

// If a browser has given the right password, the shop remembers the browser for
// 90 days (knownFor). Wrong passwords from other browsers behind the same proxy
// do not lock out such a known browser. A known browser still has to give the
// password.
const (
	knownCookie = "known"
	knownFor    = 90 * 24 * time.Hour
)

func (s *staffPages) isKnown(r *http.Request) bool {
	cookie, err := r.Cookie(knownCookie)
	if err != nil {
		return false
	}
	until, mark, _ := strings.Cut(cookie.Value, ".")
	n, err := strconv.ParseInt(until, 10, 64)
	return err == nil && time.Now().Unix() < n && hmac.Equal([]byte(mark), []byte(s.browserMark(until)))
}

func (s *staffPages) rememberBrowser(w http.ResponseWriter) {
	until := strconv.FormatInt(time.Now().Add(knownFor).Unix(), 10)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // the cookie is Secure if the shop uses https
		Name: knownCookie, Value: until + "." + s.browserMark(until), Path: "/operator", MaxAge: int(knownFor / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: strings.HasPrefix(s.url, "https:"),
	})
}

func (s *staffPages) browserMark(until string) string {
	mac := hmac.New(sha256.New, []byte(s.password))
	mac.Write([]byte("known browser until " + until))
	return hex.EncodeToString(mac.Sum(nil))
}

// isPlain reports whether passwords to this address cross a network without
// encryption.
func isPlain(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback())
}
