//go:build !go1.26

package pluraltest_test

import "github.com/plural-go/plural/pluraltest"

// bubbleProtocols are what a server in a synctest bubble is tried with. Before
// Go 1.26, net/http's HTTP/2 server hands channels from one bubble to the next,
// which panics; outside of bubbles HTTP/2 is tried with every Go.
func bubbleProtocols() map[string][]pluraltest.Option {
	return map[string][]pluraltest.Option{"http1": nil}
}
