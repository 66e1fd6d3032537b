package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// A process starts while another process has an open transaction. The new
// process does not block the transaction, and does not wait for its end.
func TestAProcessStartsWhileAnotherWrites(t *testing.T) {
	t.Parallel()
	c := startHotel(t, pluraltest.NewServer(t), 2)
	number, _ := c.makeHeldBooking(true)
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

// When a process is told to stop, it first answers the requests that it has. So
// a guest who has just booked still gets to the payment page, even if Plural
// does not answer the first try.
func TestAProcessStops(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	c := startHotel(t, gateway, 1)
	asked := make(chan struct{})
	var once sync.Once
	gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpOrdersCreate {
			fault := pluraltest.Fault{Answer: pluraltest.AnswerSlowHeaders, Delay: 2 * time.Second}
			once.Do(func() {
				close(asked)
				fault = pluraltest.HangBeforeApply // for 10 seconds
			})
			return fault
		}
		return pluraltest.NoFault
	})
	answered := make(chan string, 1)
	go func() {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.PostForm("http://"+c.addresses[0]+"/bookings", url.Values{"room": {"Lake"}, "nights": {"2"}})
		if err != nil {
			answered <- err.Error()
			return
		}
		_ = res.Body.Close()
		answered <- res.Header.Get("Location")
	}()
	<-asked
	c.processes[0].Tell("stop")
	require.True(t, strings.HasPrefix(<-answered, gateway.URL))
	require.Equal(t, "1", c.queryText(`SELECT count(*) FROM bookings WHERE link <> ''`))
	require.Equal(t, "<nil>", c.processes[0].Line())
}

// A guest's browser goes away while the hotel makes the order. The hotel still
// stores the link. When the guest tries again, the guest gets that link.
func TestAGuestLeavesWhileTheOrderIsMade(t *testing.T) {
	t.Parallel()
	gateway := pluraltest.NewServer(t)
	c := startHotel(t, gateway, 1)
	ctx, leave := context.WithCancel(t.Context())
	gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpOrdersCreate {
			time.AfterFunc(100*time.Millisecond, leave)
			return pluraltest.Fault{Answer: pluraltest.AnswerSlowHeaders, Delay: time.Second}
		}
		return pluraltest.NoFault
	})
	form := strings.NewReader(url.Values{"room": {"Lake"}, "nights": {"2"}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addresses[0]+"/bookings", form)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	c.waitForValue("1", `SELECT count(*) FROM bookings WHERE link <> ''`)
	number := c.queryText(`SELECT number FROM bookings`)
	p := c.sendRequest(http.MethodPost, "/bookings/"+number+"/pay", nil)
	require.Equal(t, c.queryText(`SELECT link FROM bookings`), p.location)
	require.Len(t, gateway.Orders(), 1)
}
