//go:build go1.26

package pluraltest_test

import "github.com/plural-go/plural/pluraltest"

// bubbleProtocols are what a server in a synctest bubble is tried with.
func bubbleProtocols() map[string][]pluraltest.Option {
	return map[string][]pluraltest.Option{"http1": nil, "http2": {pluraltest.WithHTTP2()}}
}
