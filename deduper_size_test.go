// The race detector makes the claims of a full memory take long; one goroutine
// makes them.

package plural_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

func TestMemoryDeduperDefaultIsBounded(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for _, d := range []*plural.MemoryDeduper{{}, plural.NewMemoryDeduper(0)} {
		for i := range 1 << 18 {
			if _, err := d.Claim(t.Context(), strconv.Itoa(i), time.Hour); err != nil {
				t.Fatalf("claim %d: %v", i, err)
			}
		}
		_, err := d.Claim(t.Context(), "one more", time.Hour)
		require.ErrorIs(t, err, plural.ErrDeduperFull)
	}
}
