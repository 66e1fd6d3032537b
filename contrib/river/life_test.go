package pluralriver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/internal/servertest"
	"github.com/plural-go/plural/pluraltest"
)

// testLife follows jobs from start to end.
func testLife[TTx any](t *testing.T, e *engine[TTx]) {
	broken := true
	s := e.open(t, func(cfg pluralriver.Config[TTx]) pluralriver.Config[TTx] {
		cfg.Ended = func(ctx context.Context, tx TTx, o pluralriver.Outcome) error {
			if err := e.ended(ctx, tx, o); err != nil {
				return err
			}
			if o.Reference == "hook" && broken {
				broken = false
				return errors.New("the shop's own bug")
			}
			return nil
		}
		return cfg
	})

	// Carried out.
	id := makeHeldOrder(t, s.gateway, "order-1")
	row := s.waitFor(t, s.insert(t, pluralriver.CaptureArgs{
		OrderID: id, Reference: "capture-1", Amount: plural.INR(4000),
	}), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.JSONEq(t, `{"plural": "carried out", "attempt": 1, "id": "`+id+`"}`, string(row.Output()))
	require.Len(t, s.gateway.Captures(id), 1)
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'capture-1' AND good = 1`))

	row = s.waitFor(t, s.insert(t, pluralriver.RefundArgs{
		OrderID: id, Reference: "refund-1", Amount: plural.INR(1000),
	}), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Len(t, s.gateway.Refunds(id), 1)

	// The answer is final, and nothing is carried out, because the order is
	// cancelled.
	failed := makeHeldOrder(t, s.gateway, "order-5")
	require.NoError(t, s.gateway.Cancel(failed))
	row = s.waitFor(t, s.insert(t, pluralriver.CaptureArgs{OrderID: failed, Reference: "late", Full: true}), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Contains(t, string(row.Output()), `not carried out`)
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'late' AND good = 0`))

	// The answer is lost at first. Later the job finds out what happened.
	id = makeHeldOrder(t, s.gateway, "order-2")
	s.gateway.Inject(pluraltest.On(pluraltest.OpCapturesCreate),
		pluraltest.ResetAfterApply, pluraltest.ResetBeforeApply, pluraltest.ResetBeforeApply)
	row = s.waitFor(t, s.insert(t, pluralriver.CaptureArgs{OrderID: id, Reference: "capture-2", Full: true}), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Len(t, s.gateway.Captures(id), 1)

	// The function Ended returns an error. So its writes are rolled back,
	// and the job is tried again.
	id = makeHeldOrder(t, s.gateway, "order-3")
	row = s.waitFor(t, s.insert(t, pluralriver.CaptureArgs{OrderID: id, Reference: "hook", Full: true}), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'hook'`))
	require.Len(t, s.gateway.Captures(id), 1)

	// The answer to the request for a payment link is also lost.
	s.gateway.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), pluraltest.ResetAfterApply)
	deposit := pluralriver.LinkArgs{
		Reference: "deposit-1", Amount: plural.INR(5000), PreAuth: true,
		Customer: &plural.Customer{EmailID: "asha@example.com"},
	}
	row = s.waitFor(t, s.insert(t, deposit), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	links := s.gateway.LinksByReference("deposit-1")
	require.Len(t, links, 1)
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'deposit-1' AND good = 1 AND order_id = '%s'`, links[0].ID))
	row = s.waitFor(t, s.insert(t, pluralriver.LinkCancelArgs{PaymentLinkID: links[0].ID}), isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Equal(t, pluraltest.StatusCancelled, s.gateway.LinksByReference("deposit-1")[0].Status)
	deposit.Amount = plural.INR(6000)
	row = s.waitFor(t, s.insert(t, deposit), isFinalized)
	require.Contains(t, string(row.Output()), "conflict")
	_, err := s.tryInsert(t, pluralriver.LinkArgs{Reference: "deposit-2", Amount: plural.INR(5000)})
	require.ErrorIs(t, err, plural.ErrInvalidRequest, "there is nobody to send the link to")

	// A decision in a transaction that is rolled back makes no job.
	id = makeHeldOrder(t, s.gateway, "order-4")
	require.Error(t, s.transact(t.Context(), func(tx TTx) error {
		_, err := pluralriver.InsertTx(t.Context(), s.river, tx, pluralriver.CancelArgs{OrderID: id}, nil)
		return errors.Join(err, errors.New("the shop changed its mind"))
	}))
	require.Zero(t, s.count(t, `river_job WHERE kind = 'plural_cancel'`))
	s.gateway.AssertExactlyOnce(t)
	require.Zero(t, s.count(t, `unsettled`))
}

// testInserted inserts the same call again, a different call, and an invalid
// call.
func testInserted[TTx any](t *testing.T, e *engine[TTx]) {
	g := newGate("begun")
	s := e.open(t, gated[TTx](g))

	// While a job has not ended, no other job can have its reference.
	id := makeHeldOrder(t, s.gateway, "order-1")
	args := pluralriver.CaptureArgs{OrderID: id, Reference: "capture-1", Amount: plural.INR(4000)}
	first := s.insert(t, args)
	<-g.arrived
	again, err := s.tryInsert(t, args)
	require.NoError(t, err)
	require.True(t, again.UniqueSkippedAsDuplicate)
	require.Equal(t, first, again.Job.ID)
	args.Amount = plural.INR(5000)
	_, err = s.tryInsert(t, args)
	require.ErrorIs(t, err, pluralriver.ErrOtherWaiting)
	close(g.open)
	s.waitFor(t, first, isFinalized)

	// After the job has ended, there may be another job with the reference. The
	// job with the changed amount gets the result that the books show.
	row := s.waitFor(t, s.insert(t, args), isFinalized)
	require.Contains(t, string(row.Output()), "conflict")
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'capture-1' AND good = 1`))
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'capture-1' AND good = 0`))
	require.Len(t, s.gateway.Captures(id), 1)

	// The shop can decide again on a cancel that was refused.
	id = makeHeldOrder(t, s.gateway, "order-2")
	require.NoError(t, s.gateway.Capture(id, "capture-2", pluraltest.Amount{}))
	for n := range 2 {
		s.waitFor(t, s.insert(t, pluralriver.CancelArgs{OrderID: id}), isFinalized)
		require.Equal(t, n+1, s.count(t, `ended WHERE order_id = '%s' AND good = 0`, id))
	}

	// If the call would refuse a request, InsertTx refuses the request as well.
	bad := map[string]string{"why": "a\xffb"}
	for name, args := range map[string]pluralriver.MoneyArgs{
		"no amount":      pluralriver.CaptureArgs{OrderID: id, Reference: "r"},
		"two amounts":    pluralriver.CaptureArgs{OrderID: id, Reference: "r", Full: true, Amount: plural.INR(100)},
		"no reference":   pluralriver.CaptureArgs{OrderID: id, Full: true},
		"no order":       pluralriver.CancelArgs{},
		"a path":         pluralriver.CancelArgs{OrderID: "../x"},
		"a bad word":     pluralriver.RefundArgs{OrderID: id, Reference: "ref 1", Amount: plural.INR(100)},
		"too little":     pluralriver.RefundArgs{OrderID: id, Reference: "r", Amount: plural.INR(99)},
		"not UTF-8":      pluralriver.RefundArgs{OrderID: id, Reference: "r", Amount: plural.INR(100), Metadata: bad},
		"negative split": pluralriver.RefundArgs{OrderID: id, Reference: "r", Amount: plural.INR(100), SplitInfo: split(-1)},
	} {
		_, err := s.tryInsert(t, args)
		var invalid *plural.ValidationError
		require.ErrorAs(t, err, &invalid, name)
	}
	require.Error(t, s.transact(t.Context(), func(tx TTx) error {
		_, err := pluralriver.InsertTx(t.Context(), s.river, tx, nil, nil)
		return err
	}))

	// If such a request was inserted without this package's InsertTx, the job
	// ends at once and calls Ended.
	var job *rivertype.JobInsertResult
	require.NoError(t, s.transact(t.Context(), func(tx TTx) (err error) {
		job, err = s.river.InsertTx(t.Context(), tx, pluralriver.RefundArgs{OrderID: id, Reference: "bad word"}, nil)
		return err
	}))
	row = s.waitFor(t, job.Job.ID, isFinalized)
	require.Equal(t, rivertype.JobStateCompleted, row.State)
	require.Equal(t, 1, row.Attempt)
	require.Contains(t, string(row.Output()), "invalid, not sent")
	require.Equal(t, 1, s.count(t, `ended WHERE reference = 'bad word' AND good = 0`))

	// Every field of a refund reaches Plural.
	refund := pluralriver.RefundArgs{
		OrderID: id, Reference: "refund-2", Amount: plural.INR(1000), Metadata: map[string]string{"why": "torn"},
		Products: []plural.Product{{ProductCode: "shoe", ProductAmount: plural.INR(1000)}}, SplitInfo: split(1000),
	}
	var sent string
	s.gateway.SetFaultPlan(func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == pluraltest.OpRefundsCreate {
			sent = string(r.Body)
		}
		return pluraltest.NoFault
	})
	s.waitFor(t, s.insert(t, refund), isFinalized)
	require.JSONEq(t, `{
		"merchant_order_reference": "refund-2", "order_amount": {"value": 1000, "currency": "INR"},
		"merchant_metadata": {"why": "torn"},
		"products": [{"product_code": "shoe", "product_amount": {"value": 1000, "currency": "INR"}}],
		"split_info": {"split_type": "AMOUNT", "split_details": [
			{"split_merchant_id": "m-1", "amount": {"value": 1000, "currency": "INR"}}]}
	}`, sent)
}

func split(value int64) *plural.SplitInfo {
	return &plural.SplitInfo{SplitType: "AMOUNT", SplitDetails: []plural.SplitDetail{
		{SplitMerchantID: "m-1", Amount: plural.INR(value)},
	}}
}

// testKilled kills a process between every two steps. When River's rescuer has
// found the job, another process continues it.
func testKilled[TTx any](t *testing.T, e *engine[TTx]) {
	s := e.open(t, nil)
	require.NoError(t, s.river.Stop(t.Context()))
	steps := []string{"begun", "looked", "answered", "ended", "told", "committed"}
	orders := map[string]string{}
	for _, step := range steps {
		orders[step] = makeHeldOrder(t, s.gateway, "killed-"+step)
		s.insert(t, pluralriver.CaptureArgs{OrderID: orders[step], Reference: "killed-" + step, Full: true})
		s.process(t, step, "kill").Wait()
	}
	s.river = s.startAnother(t, nil)
	for _, step := range steps {
		s.waitForRows(t, 1, `ended WHERE reference = 'killed-%s'`, step)
	}
	require.NoError(t, s.river.StopAndCancel(t.Context()))
	for _, step := range steps {
		require.Equal(t, 1, s.count(t, `ended WHERE reference = 'killed-%s' AND good = 1`, step))
		require.Len(t, s.gateway.Captures(orders[step]), 1, step)
	}
	s.gateway.AssertExactlyOnce(t)
}

// testSuspended suspends a process between two steps, as if its machine was
// suspended. Another process gets the job, and then the first process goes on.
func testSuspended[TTx any](t *testing.T, e *engine[TTx]) {
	s := e.open(t, nil)
	require.NoError(t, s.river.Stop(t.Context()))
	for _, step := range []string{"begun", "looked", "answered"} {
		reference := "suspended-" + step
		order := makeHeldOrder(t, s.gateway, reference)
		id := s.insert(t, pluralriver.CaptureArgs{OrderID: order, Reference: reference, Full: true})
		p := s.process(t, step, "stop")
		pid, err := strconv.Atoi(p.Line())
		require.NoError(t, err)
		s.rescueJob(t, id, rivertype.JobStateAvailable)
		other := s.startAnother(t, nil)
		s.waitForRows(t, 1, `ended WHERE reference = '%s'`, reference)
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		require.Equal(t, "went on", p.Line())
		p.Kill()
		require.NoError(t, other.StopAndCancel(t.Context()))
		require.Equal(t, 1, s.count(t, `ended WHERE reference = '%s' AND good = 1`, reference), step)
		require.Len(t, s.gateway.Captures(order), 1, step)
	}
	s.gateway.AssertExactlyOnce(t)
}

func (s *shop[TTx]) process(t *testing.T, step, how string) *servertest.Process {
	t.Helper()
	p := servertest.StartProcess(t, "worker", "KIND="+s.kind, "WHERE="+s.where, "STEP="+step, "HOW="+how,
		"PLURAL="+s.gateway.URL, "ID="+s.gateway.ClientID, "SECRET="+s.gateway.ClientSecret)
	require.Equal(t, "arrived", p.Line(), "at %q", step)
	return p
}

// workUntilAStep does the work of a process that runs jobs. The process is
// killed or suspended at a step of its first job.
func workUntilAStep() {
	client, err := pluralClient(os.Getenv("PLURAL"), os.Getenv("ID"), os.Getenv("SECRET"))
	if err == nil {
		switch where := os.Getenv("WHERE"); os.Getenv("KIND") {
		case "sqlite":
			e, failed := openSQLite(where)
			err = workIn(e, failed, client)
		case "sql":
			e, failed := openSQL(where)
			err = workIn(e, failed, client)
		default:
			e, failed := openPgx(where)
			err = workIn(e, failed, client)
		}
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	time.Sleep(time.Minute) // the process is killed long before this time is over
}

func workIn[TTx any](e *engine[TTx], err error, client *plural.Client) error {
	if err != nil {
		return err
	}
	isNext := false
	_, err = e.startClient(context.Background(), pluralriver.OnStep(e.config(client), func(step string) {
		switch {
		case step != os.Getenv("STEP"):
		case os.Getenv("HOW") == "kill":
			fmt.Println("arrived")
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case !isNext:
			isNext = true
			release, err := e.hold()
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println("arrived")
			fmt.Println(os.Getpid())
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			time.Sleep(time.Second) // the signal may stop this thread a little later than the others
			release()
			go func() {
				time.Sleep(2 * time.Second) // the rest of the work is done meanwhile
				fmt.Println("went on")
			}()
		}
	}), oneWorker)
	return err
}

func TestAddWorkersRefuses(t *testing.T) {
	t.Parallel()
	err := pluralriver.AddWorkers(river.NewWorkers(), pluralriver.Config[pgx.Tx]{})
	require.ErrorContains(t, err, "a Client and a Transact are needed")
	client, err := pluralClient("http://localhost:1", "id", "secret")
	require.NoError(t, err)
	transact := func(context.Context, func(pgx.Tx) error) error { return nil }
	err = pluralriver.AddWorkers(river.NewWorkers(), pluralriver.Config[pgx.Tx]{
		Client: client, Transact: transact, Timeout: time.Second,
	})
	require.ErrorContains(t, err, "less than 10s")
	err = pluralriver.AddLooks(river.NewWorkers(), pluralriver.Looks[pgx.Tx]{Client: client, Transact: transact})
	require.ErrorContains(t, err, "a Seen are needed")
	err = pluralriver.AddLooks(river.NewWorkers(), pluralriver.Looks[pgx.Tx]{
		Client: client, Transact: transact, HoldFor: time.Hour,
		Seen: func(context.Context, pgx.Tx, *plural.Order) error { return nil },
	})
	require.ErrorContains(t, err, "set both HoldFor and Lapsing")
}
