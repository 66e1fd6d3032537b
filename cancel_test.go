package plural_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestCaptureAgainstCancel(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		for range 20 {
			capture := d.ready(pluraltest.OpCapturesCreate, 0)
			cancel := write{op: pluraltest.OpCancelsCreate, orderID: capture.orderID}
			c := newClient(t, d.srv)
			results := make(chan outcome)
			for _, w := range []write{capture, cancel} {
				go func() {
					o := outcome{write: w}
					o.order, o.err = w.run(t.Context(), c)
					results <- o
				}()
			}
			done := 0
			for range 2 {
				o := <-results
				require.Empty(t, o.contradictsLater(d.srv))
				if o.err == nil {
					done++
				} else {
					requireRuledOut(t, o.err, plural.ErrOperationNotAllowed)
				}
			}
			require.Equal(t, 1, done)
		}
	})
}
