package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/plural-go/plural/internal/token"
)

func tokenTitle(goroutines int) string { return fmt.Sprintf("Token read, %d goroutines", goroutines) }

func tokenSuites() []suite {
	all := make([]suite, 0, 3)
	for _, goroutines := range []int{1, 64, 10_000} {
		s := suite{
			Title: tokenTitle(goroutines),
			Cases: []benchCase{
				tokenCase("an atomic pointer and the clock", goroutines, atomicRead()),
				tokenCase("plural", goroutines, pluralRead()),
				tokenCase("x/oauth2", goroutines, oauth2Read()),
			},
		}
		s.Cases = append(s.Cases, repeatedCase(s.Cases[0]))
		all = append(all, s)
	}
	return all
}

func tokenCase(name string, goroutines int, read func() (string, error)) benchCase {
	if goroutines == 1 {
		goroutines = 0
	}
	return benchCase{Name: name, Goroutines: goroutines, Setup: func() (func() error, func()) {
		return func() error {
			value, err := read()
			if value == "" {
				return errors.Join(err, errors.New("no token"))
			}
			return err
		}, nil
	}}
}

// atomicRead is the cheapest possible token cache that still checks the expiry
// time.
func atomicRead() func() (string, error) {
	type cached struct {
		value   string
		expires time.Time
	}
	var current atomic.Pointer[cached]
	current.Store(&cached{accessToken, time.Now().Add(time.Hour)})
	return func() (string, error) {
		if c := current.Load(); time.Now().Before(c.expires) {
			return c.value, nil
		}
		return "", nil
	}
}

func pluralRead() func() (string, error) {
	return pluralSource(0, time.Hour)
}

// pluralSource makes the client's own token source. Its fetch takes some time.
func pluralSource(takes, lifetime time.Duration) func() (string, error) {
	source := token.NewSource(func(context.Context, *token.Token, bool) (*token.Token, error) {
		started := time.Now()
		time.Sleep(takes) // simulates a token endpoint that takes this long to answer
		return token.New(accessToken, started, lifetime), nil
	}, func(error) time.Duration { return 0 })
	return func() (string, error) {
		t, err := source.Get(context.Background())
		if err != nil {
			return "", err
		}
		return t.Value, nil
	}
}

func oauth2Read() func() (string, error) { return oauth2Source(0, time.Hour) }

func oauth2Source(takes, lifetime time.Duration) func() (string, error) {
	// x/oauth2 treats a token as expired ten seconds before its end
	const early = 10 * time.Second
	source := oauth2.ReuseTokenSource(nil, tokenSourceFunc(func() (*oauth2.Token, error) {
		started := time.Now()
		time.Sleep(takes) // simulates a token endpoint that takes this long to answer
		return &oauth2.Token{AccessToken: accessToken, Expiry: started.Add(lifetime + early)}, nil
	}))
	return func() (string, error) {
		t, err := source.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	}
}

type tokenSourceFunc func() (*oauth2.Token, error)

func (f tokenSourceFunc) Token() (*oauth2.Token, error) { return f() }

const refreshTitle = "Refresh under load"

// refreshResult shows how long callers waited while tokens were replaced.
type refreshResult struct {
	Rows []refreshRow `json:"rows"`
}

type refreshRow struct {
	Name    string        `json:"name"`
	Blocked int           `json:"blocked"` // reads that waited for a refresh
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
	Worst   time.Duration `json:"worst"`
}

// measureRefresh runs 64 goroutines that read a token, for several lifetimes of
// the token. A token lives for a second, and fetching it takes 50 ms.
func measureRefresh() *refreshResult {
	const (
		takes     = 50 * time.Millisecond
		lifetime  = time.Second
		lifetimes = 5
	)
	result := &refreshResult{}
	for _, c := range []struct {
		name string
		read func() (string, error)
	}{
		{"plural", pluralSource(takes, lifetime)},
		{"x/oauth2", oauth2Source(takes, lifetime)},
	} {
		_, _ = c.read() // any client has to wait for the first token
		var mu sync.Mutex
		var waits []time.Duration
		var callers sync.WaitGroup
		end := time.Now().Add(lifetimes * lifetime)
		for range 64 {
			callers.Go(func() {
				var own []time.Duration
				for time.Now().Before(end) {
					started := time.Now()
					_, _ = c.read()
					own = append(own, time.Since(started))
					time.Sleep(time.Millisecond) // simulates the request that a caller would send with the token
				}
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, own...)
			})
		}
		callers.Wait()
		slices.Sort(waits)
		row := refreshRow{
			Name: c.name,
			P50:  waits[len(waits)/2], P99: waits[len(waits)*99/100], Worst: waits[len(waits)-1],
		}
		for _, w := range waits {
			if w > takes/2 {
				row.Blocked++
			}
		}
		result.Rows = append(result.Rows, row)
	}
	return result
}

func (r *refreshResult) formatTable() string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("### " + refreshTitle + "\n\n" +
		"For five seconds, 64 goroutines read a token. The token lives for a second, and a fetch takes 50 ms.\n\n" +
		"| case | median | 99 % | worst | reads that waited for a refresh |\n|---|---:|---:|---:|---:|\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s | %v | %v | %v | %d |\n", row.Name, row.P50, row.P99,
			row.Worst.Round(time.Microsecond), row.Blocked)
	}
	return b.String()
}
