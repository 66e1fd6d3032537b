package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// A process that starts does not stand in the way of a transaction of a process
// that runs, and does not wait for it.
func TestAProcessStartsWhileAnotherWrites(t *testing.T) {
	t.Parallel()
	c := open(t, pluraltest.NewServer(t), 2)
	number, _ := c.held(true)
	c.processes[1].Kill()
	tx, err := c.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `UPDATE decisions SET note = ''`)
	require.NoError(t, err)
	c.start(1)
	opened := make(chan string, 1)
	go func() { opened <- c.processes[1].Line() }()
	select {
	case line := <-opened:
		require.Equal(t, "open", line)
	case <-time.After(10 * time.Second):
		t.Error("the second process waits")
	}
	_, err = tx.ExecContext(t.Context(), `UPDATE bookings SET room = 'Garden' WHERE number = $1`, number)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}
