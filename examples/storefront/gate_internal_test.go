package main

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Passwords can be guessed only slowly. A person whose browser is known gets
// in, even if others behind the same proxy give wrong passwords.
func TestWrongPasswordsAreSlow(t *testing.T) {
	t.Parallel()
	_, shop := openUsual(t)
	staff := shop.staff()
	require.Equal(t, http.StatusOK, staff.get("/operator").status)
	guess := func(password string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, shop.url+"/operator", nil)
		require.NoError(t, err)
		req.SetBasicAuth("operator", password)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		return res
	}
	for i := range freeTries {
		require.Equal(t, http.StatusUnauthorized, guess(fmt.Sprint("guess-", i)).StatusCode)
	}
	refused := guess(password)
	require.Equal(t, http.StatusTooManyRequests, refused.StatusCode, "even the right password is refused")
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, staff.get("/operator").status)
	staff.http.Jar = nil
	require.Equal(t, http.StatusTooManyRequests, staff.get("/operator").status)
	require.Equal(t, http.StatusUnauthorized, shop.customer().get("/operator").status, "the password is asked for")
}

func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g gate
		allowed := 0
		for range 3600 {
			if g.remainingWait("attacker", time.Now()) <= 0 {
				allowed++
				g.countWrong("attacker", time.Now())
			}
			time.Sleep(time.Second)
		}
		require.Less(t, allowed, 80, "guesses in an hour")
		require.Zero(t, g.remainingWait("somebody else", time.Now()))
		time.Sleep(2 * forgetting)
		require.Zero(t, g.remainingWait("attacker", time.Now()))
		for i := range maxSenders + 10 {
			g.countWrong(strconv.Itoa(i), time.Now())
		}
		require.LessOrEqual(t, len(g.tries), maxSenders)
		time.Sleep(2 * forgetting)
		g.countWrong("one more", time.Now())
		require.Len(t, g.tries, 1)
	})
	for remote, want := range map[string]string{
		"192.0.2.7:1234": "192.0.2.7", "[2001:db8:1:2:3::4]:99": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "@",
	} {
		require.Equal(t, want, senderAddress(&http.Request{RemoteAddr: remote}))
	}
}
