package plural_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

const (
	testLease = time.Minute
	testKeep  = 72 * time.Hour
)

func mustClaim(tb testing.TB, d plural.Deduper, id string) string {
	tb.Helper()
	claim, err := d.Claim(tb.Context(), id, testLease)
	require.NoError(tb, err)
	require.Equal(tb, plural.Claimed, claim.State)
	require.NotEmpty(tb, claim.Token)
	return claim.Token
}

func requireState(tb testing.TB, d plural.Deduper, id string, want plural.ClaimState) {
	tb.Helper()
	claim, err := d.Claim(tb.Context(), id, testLease)
	require.NoError(tb, err)
	require.Equal(tb, plural.Claim{State: want}, claim)
}

func TestMemoryDeduperClaimCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(0)
		token := mustClaim(t, d, "a")
		requireState(t, d, "a", plural.InProgress)
		mustClaim(t, d, "b")

		require.NoError(t, d.Commit(t.Context(), "a", token, testKeep))
		requireState(t, d, "a", plural.Done)
		requireState(t, d, "b", plural.InProgress)

		<-time.After(testKeep - time.Nanosecond)
		requireState(t, d, "a", plural.Done)
		<-time.After(time.Nanosecond)
		mustClaim(t, d, "a")
	})
}

func TestMemoryDeduperRelease(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(0)
	token := mustClaim(t, d, "a")
	require.NoError(t, d.Release(t.Context(), "a", token))
	require.ErrorIs(t, d.Release(t.Context(), "a", token), plural.ErrClaimLost)
	require.ErrorIs(t, d.Commit(t.Context(), "a", token, testKeep), plural.ErrClaimLost)

	next := mustClaim(t, d, "a")
	require.NotEqual(t, token, next)
	require.ErrorIs(t, d.Release(t.Context(), "a", token), plural.ErrClaimLost, "the token is that of the claim before")
	requireState(t, d, "a", plural.InProgress)

	require.NoError(t, d.Commit(t.Context(), "a", next, testKeep))
	require.ErrorIs(t, d.Release(t.Context(), "a", next), plural.ErrClaimLost, "what is done stays done")
	require.ErrorIs(t, d.Commit(t.Context(), "a", next, testKeep), plural.ErrClaimLost)
	require.ErrorIs(t, d.Release(t.Context(), "a", ""), plural.ErrClaimLost)
	require.ErrorIs(t, d.Commit(t.Context(), "a", "", testKeep), plural.ErrClaimLost)
	requireState(t, d, "a", plural.Done)
	require.ErrorIs(t, d.Release(t.Context(), "never claimed", next), plural.ErrClaimLost)
	require.ErrorIs(t, d.Commit(t.Context(), "never claimed", next, testKeep), plural.ErrClaimLost)
}

func TestMemoryDeduperLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(0)
		first := mustClaim(t, d, "a")
		<-time.After(testLease - time.Nanosecond)
		requireState(t, d, "a", plural.InProgress)
		<-time.After(time.Nanosecond)
		second := mustClaim(t, d, "a")
		require.NotEqual(t, first, second)

		require.ErrorIs(t, d.Commit(t.Context(), "a", first, testKeep), plural.ErrClaimLost)
		require.ErrorIs(t, d.Release(t.Context(), "a", first), plural.ErrClaimLost)
		requireState(t, d, "a", plural.InProgress)
		require.NoError(t, d.Commit(t.Context(), "a", second, testKeep))
		require.ErrorIs(t, d.Commit(t.Context(), "a", first, testKeep), plural.ErrClaimLost)
		requireState(t, d, "a", plural.Done)
	})
}

// Nobody took over: the work is done, and doing it again would help nobody.
func TestMemoryDeduperLateCommitWithoutRival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(0)
		token := mustClaim(t, d, "a")
		<-time.After(2 * testLease)
		mustClaim(t, d, "b") // does not make it forget
		require.NoError(t, d.Commit(t.Context(), "a", token, testKeep))
		requireState(t, d, "a", plural.Done)

		abandoned := mustClaim(t, d, "c")
		<-time.After(testLease + time.Hour)
		mustClaim(t, d, "d")
		require.ErrorIs(
			t,
			d.Commit(t.Context(), "c", abandoned, testKeep),
			plural.ErrClaimLost,
			"an abandoned claim is forgotten in the end",
		)
	})
}

func TestMemoryDeduperFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(2)
		claimed := mustClaim(t, d, "a")
		done := mustClaim(t, d, "b")
		require.NoError(t, d.Commit(t.Context(), "b", done, testKeep))

		refused := func(id string) {
			t.Helper()
			claim, err := d.Claim(t.Context(), id, testLease)
			require.ErrorIs(t, err, plural.ErrDeduperFull)
			require.Zero(t, claim)
		}
		refused("c")
		requireState(t, d, "a", plural.InProgress)
		requireState(t, d, "b", plural.Done)

		<-time.After(testLease - time.Nanosecond)
		refused("c")
		<-time.After(time.Nanosecond)
		mustClaim(t, d, "c") // in the place of a, whose lease ran out
		require.ErrorIs(t, d.Commit(t.Context(), "a", claimed, testKeep), plural.ErrClaimLost)
		refused("a")
		requireState(t, d, "b", plural.Done)

		<-time.After(testKeep)
		mustClaim(t, d, "d")
		mustClaim(t, d, "b")
		refused("e")
	})
}

func TestMemoryDeduperReleaseMakesRoom(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(1)
	for i := range 5 {
		id := strconv.Itoa(i)
		require.NoError(t, d.Release(t.Context(), id, mustClaim(t, d, id)))
	}
	mustClaim(t, d, "last")
	_, err := d.Claim(t.Context(), "more", testLease)
	require.ErrorIs(t, err, plural.ErrDeduperFull)
}

// The order in which entries end is not that in which they came.
func TestMemoryDeduperEvictsOnlyWhatEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := plural.NewMemoryDeduper(100)
		tokens := map[int]string{}
		for i := range 100 {
			claim, err := d.Claim(t.Context(), strconv.Itoa(i), time.Duration(1+(i*37)%100)*time.Minute)
			require.NoError(t, err)
			tokens[i] = claim.Token
		}
		for minute := 1; minute <= 100; minute++ {
			_, err := d.Claim(t.Context(), "new"+strconv.Itoa(minute), 1000*time.Hour)
			require.ErrorIs(t, err, plural.ErrDeduperFull)
			<-time.After(time.Minute)
			claim, err := d.Claim(t.Context(), "new"+strconv.Itoa(minute), 1000*time.Hour)
			require.NoError(t, err)
			require.Equal(t, plural.Claimed, claim.State)
			for i := range 100 {
				ended := 1+(i*37)%100 <= minute
				claim, err := d.Claim(t.Context(), strconv.Itoa(i), time.Hour)
				if ended {
					require.ErrorIs(t, err, plural.ErrDeduperFull)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, plural.InProgress, claim.State)
			}
		}
		require.Len(t, tokens, 100)
	})
}

func TestMemoryDeduperRefusesNonsense(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(-1)
	for _, lease := range []time.Duration{0, -time.Second} {
		claim, err := d.Claim(t.Context(), "a", lease)
		require.Error(t, err)
		require.Zero(t, claim)
	}
	_, err := d.Claim(t.Context(), "", testLease)
	require.Error(t, err)

	token := mustClaim(t, d, "a")
	for _, keep := range []time.Duration{0, -time.Second} {
		require.Error(t, d.Commit(t.Context(), "a", token, keep))
	}
	requireState(t, d, "a", plural.InProgress)
}

func TestMemoryDeduperZeroValue(t *testing.T) {
	t.Parallel()
	var d plural.MemoryDeduper
	token := mustClaim(t, &d, "a")
	require.NoError(t, d.Commit(t.Context(), "a", token, testKeep))
	requireState(t, &d, "a", plural.Done)
	require.ErrorIs(t, new(plural.MemoryDeduper).Release(t.Context(), "a", "1"), plural.ErrClaimLost)
}

func TestMemoryDeduperConcurrently(t *testing.T) {
	t.Parallel()
	d := plural.NewMemoryDeduper(1000)
	var handled [50]atomic.Int32
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				n := (i*7 + worker) % len(handled)
				id := strconv.Itoa(n)
				claim, err := d.Claim(t.Context(), id, testLease)
				if err != nil {
					t.Error(err)
					return
				}
				if claim.State != plural.Claimed {
					continue
				}
				if (i+worker)%3 == 0 {
					err = d.Release(t.Context(), id, claim.Token)
				} else {
					handled[n].Add(1)
					err = d.Commit(t.Context(), id, claim.Token, testKeep)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for n := range handled {
		require.Equal(t, int32(1), handled[n].Load(), n)
	}
}
