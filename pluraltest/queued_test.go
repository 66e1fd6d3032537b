package pluraltest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

func TestQueuedFaults(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t)
	require.Empty(t, srv.QueuedFaults())
	srv.Inject(pluraltest.On(pluraltest.OpOrdersGet), pluraltest.ServerErrorAfterApply, pluraltest.RateLimited)
	srv.Inject(pluraltest.On(pluraltest.OpToken), pluraltest.Truncate)
	require.Len(t, srv.QueuedFaults(), 3)
	require.Equal(t, 500, newAPI(t, srv).get("x").status)
	require.Equal(t, []pluraltest.QueuedFault{
		{Match: pluraltest.On(pluraltest.OpOrdersGet), Fault: pluraltest.RateLimited},
		{Match: pluraltest.On(pluraltest.OpToken), Fault: pluraltest.Truncate},
	}, srv.QueuedFaults())
	srv.ClearFaults()
	require.Empty(t, srv.QueuedFaults())
}

func TestAccessTokenOfTheCallersOwn(t *testing.T) {
	t.Parallel()
	srv := pluraltest.NewServer(t, pluraltest.WithAccessToken("pasted"))
	a := newAPI(t, srv)
	a.token = "pasted"
	srv.Advance(24 * 365 * 1e9 * 3600)
	require.Equal(t, 422, a.get("x").status)
	require.Equal(t, 1, srv.TokensIssued(), "the helper's own")
	srv.RevokeToken("pasted")
	require.Equal(t, 401, a.get("x").status)
}
