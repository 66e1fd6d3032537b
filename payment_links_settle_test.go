package plural_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func linkError(t *testing.T, err error) *plural.PaymentLinkError {
	t.Helper()
	require.ErrorIs(t, err, plural.ErrConflict)
	require.NotErrorIs(t, err, plural.ErrNotApplied)
	require.NotErrorIs(t, err, plural.ErrOutcomeUnknown)
	require.False(t, plural.NeedsReview(err))
	var conflict *plural.PaymentLinkError
	require.ErrorAs(t, err, &conflict)
	return conflict
}

// If the answer to the request that makes a link is lost, the SDK finds the
// link by its reference. The SDK does not make a second link.
func TestLinkCreateIsSettledByReference(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pluraltest.DuplicateMode{
		"the existing": pluraltest.DuplicateReturnsExisting, "422": pluraltest.DuplicateRejected,
		"no uniqueness": pluraltest.DuplicateAccepted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				c := newClient(t, d.srv)
				d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), pluraltest.ResetAfterApply)
				link, err := c.PaymentLinks.Create(t.Context(), minimalLink())
				require.NoError(t, err)
				require.Len(t, d.srv.RequestsTo(pluraltest.OpPaymentLinksCreate), 1)
				require.Len(t, d.srv.Links(), 1)
				require.Equal(t, d.srv.Links()[0].ID, link.PaymentLinkID)
				if mode == pluraltest.DuplicateAccepted {
					return
				}
				again, err := c.PaymentLinks.Create(t.Context(), minimalLink())
				require.NoError(t, err, "this call could come from another process, after a restart")
				require.Equal(t, link.PaymentLinkID, again.PaymentLinkID)

				other := minimalLink()
				other.Amount = plural.INR(100)
				_, err = c.PaymentLinks.Create(t.Context(), other)
				conflict := linkError(t, err)
				require.ErrorIs(t, err, plural.ErrReferenceReused)
				require.Equal(t, link.PaymentLinkID, conflict.Link.PaymentLinkID)
				require.Equal(t, plural.INR(319950), conflict.Link.Amount)
				requireTidy(t, err.Error())
				require.NotContains(t, err.Error(), "meera")

				held := minimalLink()
				held.PreAuth = true
				_, err = c.PaymentLinks.Create(t.Context(), held)
				require.Contains(t, linkError(t, err).Reason, "pre_auth false")
				require.Len(t, d.srv.Links(), 1)
			}, pluraltest.WithDuplicateLinks(mode))
		})
	}
}

// If a shop asks for the same link again, the SDK compares the existing link
// with the new request. It does not compare expire_by. It compares pre_auth
// only if the link's document has that field.
func TestLinkCreateComparesWhatCounts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c := newClient(t, d.srv)
		first, err := c.PaymentLinks.Create(t.Context(), minimalLink())
		require.NoError(t, err)
		require.Nil(t, first.PreAuth)
		again := minimalLink()
		again.ExpireBy, again.PreAuth = time.Now().Add(time.Hour), true
		second, err := c.PaymentLinks.Create(t.Context(), again)
		require.NoError(t, err)
		require.Equal(t, first.PaymentLinkID, second.PaymentLinkID)
	}, pluraltest.WithQuirks(pluraltest.QuirkLinkWithoutPreAuth))
}

// The request for a link may be lost. If the books then do not show the link
// for three seconds, the SDK sends the request again. With WithSingleRefundSend
// it never sends the request again.
func TestLinkCreateIsSentAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), pluraltest.ResetBeforeApply)
		_, err := newClient(t, d.srv).PaymentLinks.Create(t.Context(), minimalLink())
		require.NoError(t, err)
		sent := d.srv.RequestsTo(pluraltest.OpPaymentLinksCreate)
		require.Len(t, sent, 2)
		require.GreaterOrEqual(t, sent[1].At.Sub(sent[0].At), 3*time.Second)
		require.Equal(t, sent[0].Body, sent[1].Body, "the same reference is sent again")
		require.Equal(t, sent[0].RequestID, sent[1].RequestID)
	})
	inBubble(t, func(t *testing.T, d *desk) {
		d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), pluraltest.ResetBeforeApply, pluraltest.RateLimited)
		c := newClient(t, d.srv, plural.WithSingleRefundSend())
		_, err := c.PaymentLinks.Create(t.Context(), minimalLink())
		unknown := unknownError(t, err)
		require.Equal(t, "own-inv-4412", unknown.Reference)
		require.Contains(t, err.Error(), "call again with the same reference")
		require.Len(t, d.srv.RequestsTo(pluraltest.OpPaymentLinksCreate), 1)
		require.Empty(t, d.srv.Links())
		o, again := unknown.Settle(t.Context())
		require.Nil(t, o)
		require.Equal(t, err, again, "Settle cannot return a link, so the error stays the same")
	})
}

// If a call has seen two links with its reference, the error names both links.
func TestTwoLinksThatAreSeenAreAConflict(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.doubles = 1
		late := pluraltest.ApplyLateReset.After(5 * time.Second)
		d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), late, pluraltest.SlowHeaders.After(6*time.Second))
		_, err := newClient(t, d.srv).PaymentLinks.Create(t.Context(), minimalLink())
		conflict := linkError(t, err)
		require.ErrorIs(t, err, plural.ErrReferenceReused)
		links := d.srv.Links()
		require.Len(t, links, 2)
		for _, l := range links {
			require.Contains(t, conflict.Reason, l.ID)
		}
	}, pluraltest.WithDuplicateLinks(pluraltest.DuplicateAccepted))
}

// If the books do not explain why Plural refused the create, the refusal is not
// final, and a person has to look at it.
func TestLinkCreateRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c := newClient(t, d.srv)
		bad := minimalLink()
		bad.Customer.MobileNumber = "981"
		_, err := c.PaymentLinks.Create(t.Context(), bad, plural.WithoutValidation())
		rejection(t, err, plural.CodeInvalidRequest)
		require.True(t, plural.NeedsReview(err))

		d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate),
			pluraltest.StatusFault(http.StatusUnprocessableEntity, "DUPLICATE_REQUEST", pluraltest.ApplyNever))
		_, err = c.PaymentLinks.Create(t.Context(), minimalLink())
		rejection(t, err, plural.CodeDuplicateRequest)
		require.True(t, plural.NeedsReview(err), "the code contradicts the books, which have no such link")
		require.NotErrorIs(t, err, plural.ErrReferenceReused)
		require.Empty(t, d.srv.Links())
	})
}

// Even if a replica does not show a new link yet, no second link is made.
func TestLinkCreateWaitsForReplicas(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksCreate), pluraltest.CloseAfterApply)
		link, err := newClient(t, d.srv).PaymentLinks.Create(t.Context(), minimalLink())
		require.NoError(t, err)
		require.Len(t, d.srv.RequestsTo(pluraltest.OpPaymentLinksCreate), 1)
		require.Equal(t, plural.PaymentLinkStatusCreated, link.Status)
	}, pluraltest.WithReadLag(2500*time.Millisecond), pluraltest.WithDuplicateLinks(pluraltest.DuplicateAccepted))
}

func TestLinkCancel(t *testing.T) {
	t.Parallel()
	pay := func(decisions ...pluraltest.Decision) func(d *desk, id string) {
		return func(d *desk, id string) { d.pay(d.orderOf(write{orderID: id}), decisions...) }
	}
	for name, tc := range map[string]struct {
		prep   func(d *desk, id string)
		is     error // nil: the link is cancelled
		review bool
		reason string
	}{
		"created":   {},
		"cancelled": {prep: func(d *desk, id string) { require.NoError(d.t, d.srv.CancelLink(id)) }},
		"held": {
			prep: pay(pluraltest.Approve), is: plural.ErrConflict, reason: "the payer was faster, and the order is AUTHORIZED",
		},
		"captured": {
			prep: func(d *desk, id string) {
				pay(pluraltest.Approve)(d, id)
				d.capture(d.orderOf(write{orderID: id}), "c", 0)
			},
			is: plural.ErrConflict, reason: "the payer was faster, and the order is PROCESSED",
		},
		"expired": {
			prep: func(*desk, string) { pass(25 * time.Hour) }, is: plural.ErrNotApplied,
			reason: "the payment link has expired, and the order is CREATED",
		},
		"clicked":       {prep: func(d *desk, id string) { require.NoError(d.t, d.srv.OpenLink(id)) }, review: true},
		"tried in vain": {prep: pay(pluraltest.Decline("no")), review: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.link("inv", wholeAmount)
				if tc.prep != nil {
					tc.prep(d, id)
				}
				link, err := newClient(t, d.srv).PaymentLinks.Cancel(t.Context(), id)
				switch {
				case tc.is != nil:
					require.ErrorIs(t, err, tc.is)
					requireTidy(t, err.Error())
					require.Contains(t, err.Error(), tc.reason)
					require.Contains(t, err.Error(), id)
					if errors.Is(tc.is, plural.ErrConflict) {
						conflict := linkError(t, err)
						require.NotErrorIs(t, err, plural.ErrReferenceReused)
						require.Equal(t, conflict.Link.OrderID, conflict.Order.OrderID)
						require.Equal(t, d.orderOf(write{orderID: id}), conflict.Order.OrderID)
					} else {
						requireRuledOut(t, err, tc.is)
					}
				case tc.review:
					rejection(t, err, plural.CodeOperationNotAllowed)
					require.True(t, plural.NeedsReview(err))
				default:
					require.NoError(t, err)
					require.Equal(t, plural.PaymentLinkStatusCancelled, link.Status)
				}
			})
		})
	}
}

// If the payer is at the bank's page, a cancel waits until the payment has
// ended.
func TestLinkCancelWaitsForThePayer(t *testing.T) {
	t.Parallel()
	decisions := map[string]pluraltest.Decision{"pays": pluraltest.Approve, "does not": pluraltest.Decline("no")}
	for name, decision := range decisions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.link("inv", wholeAmount)
				order := d.orderOf(write{orderID: id})
				d.pay(order, pluraltest.LeavePending)
				go func() {
					pass(20 * time.Second)
					d.pay(order, decision)
				}()
				_, err := newClient(t, d.srv).PaymentLinks.Cancel(t.Context(), id)
				if name == "pays" {
					require.NotNil(t, linkError(t, err))
					return
				}
				rejection(t, err, plural.CodeOperationNotAllowed)
			})
		})
	}
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.link("inv", wholeAmount)
		d.pay(d.orderOf(write{orderID: id}), pluraltest.LeavePending)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := newClient(t, d.srv).PaymentLinks.Cancel(ctx, id)
		unknown := unknownError(t, err)
		require.Equal(t, plural.OrderStatusPending, unknown.Last.Status)
		require.Contains(t, err.Error(), "call again to settle it")
	})
}

// The request to send a message is sent once, even if its answer is lost.
func TestNotifyIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, fault := range []pluraltest.Fault{
		pluraltest.ResetAfterApply, pluraltest.ResetBeforeApply, pluraltest.ServerErrorAfterApply,
		pluraltest.TimedOutBeforeApply, pluraltest.HangAfterApply, pluraltest.Truncate,
		pluraltest.EmptyOKAfterApply, pluraltest.BadGatewayAfterApply,
	} {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.link("inv", wholeAmount)
				d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksNotify), fault)
				link, err := newClient(t, d.srv).PaymentLinks.Notify(t.Context(), id)
				require.Nil(t, link)
				unknown := unknownError(t, err)
				require.Equal(t, id, unknown.OrderID)
				require.False(t, plural.NeedsReview(err))
				require.NotContains(t, err.Error(), "call again")
				require.Contains(t, err.Error(), "another call may send it a second time")
				require.Len(t, d.srv.RequestsTo(pluraltest.OpPaymentLinksNotify), 1)
				require.LessOrEqual(t, len(d.srv.Notifications(id)), 2)
				o, again := unknown.Settle(t.Context())
				require.Nil(t, o)
				require.Equal(t, err, again)
			})
		})
	}
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.link("inv", wholeAmount)
		c := newClient(t, d.srv)
		d.srv.Inject(pluraltest.On(pluraltest.OpPaymentLinksNotify), pluraltest.Refuse, pluraltest.Unauthorized)
		link, err := c.PaymentLinks.Notify(t.Context(), id)
		require.NoError(t, err, "the first request was not sent, and the second was refused because of its token")
		require.Equal(t, id, link.PaymentLinkID)
		require.Len(t, d.srv.Notifications(id), 2)
		d.pay(link.OrderID, pluraltest.Approve)
		_, err = c.PaymentLinks.Notify(t.Context(), id)
		rejection(t, err, plural.CodeOperationNotAllowed)
		require.False(t, plural.NeedsReview(err))
	})
}

// A link's payment belongs to an ordinary order. When the payer returns, that
// order is compared with the data that the shop stored with the link, and with
// nothing else.
func TestLinkIsConfirmedByItsOwnOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		c := newClient(t, d.srv)
		request := minimalLink()
		request.PreAuth = true
		link, err := c.PaymentLinks.Create(t.Context(), request)
		require.NoError(t, err)
		stored := link.Expected()

		request.MerchantPaymentLinkReference = "own-inv-4413"
		other, err := c.PaymentLinks.Create(t.Context(), request)
		require.NoError(t, err)
		verifier, err := plural.NewVerifier(d.srv.ClientSecret)
		require.NoError(t, err)
		confirm := func(orderID string) error {
			callback, err := verifier.VerifyCallback(d.srv.CallbackForm(orderID))
			require.NoError(t, err)
			_, err = c.Orders.Confirm(t.Context(), callback, stored)
			return err
		}
		d.pay(other.OrderID, pluraltest.Approve)
		var notPaid *plural.NotPaidError
		require.ErrorAs(t, confirm(other.OrderID), &notPaid)
		require.True(t, notPaid.Mismatch, "the callback is about another link with the same amount")
		d.pay(link.OrderID, pluraltest.Approve)
		require.NoError(t, confirm(link.OrderID))
		order, err := c.Captures.Create(t.Context(), link.OrderID,
			&plural.CaptureRequest{MerchantCaptureReference: "c-1", FullAmount: true})
		require.NoError(t, err)
		captured, ok := order.CapturedAmount()
		require.True(t, ok)
		require.Equal(t, link.Amount, captured)
	})
	inBubble(t, func(t *testing.T, d *desk) {
		c := newClient(t, d.srv)
		request := minimalLink()
		request.PartPayment = true
		link, err := c.PaymentLinks.Create(t.Context(), request)
		require.NoError(t, err)
		d.pay(link.OrderID, pluraltest.ApprovePart(100000))
		part, err := c.PaymentLinks.Get(t.Context(), link.PaymentLinkID)
		require.NoError(t, err)
		require.Equal(t, plural.PaymentLinkStatusPartialProcessed, part.Status)
		require.Equal(t, plural.INR(219950), part.AmountDue)
		order, err := c.Orders.Get(t.Context(), link.OrderID)
		require.NoError(t, err)
		require.ErrorIs(t, link.Expected().Check(order), plural.ErrNotPaid)
		_, err = c.PaymentLinks.Cancel(t.Context(), link.PaymentLinkID)
		require.NotNil(t, linkError(t, err))
		d.pay(link.OrderID, pluraltest.Approve)
		order, err = c.Orders.Get(t.Context(), link.OrderID)
		require.NoError(t, err)
		require.NoError(t, link.Expected().Check(order))
	})
}

// Two processes create and cancel a link with the same reference at the same
// time.
func TestLinksOfTwoProcesses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			mode := pluraltest.DuplicateMode(seed % 2)
			synctest.Test(t, func(t *testing.T) {
				srv := pluraltest.New(pluraltest.WithRandomFaults(seed, 0.3), pluraltest.WithDuplicateLinks(mode))
				t.Cleanup(srv.Close)
				results := make(chan string, 2)
				for i := range 2 {
					client := newClient(t, srv)
					go func() {
						request := minimalLink()
						if seed%4 > 1 {
							request.Amount.Value += int64(i) * 100
						}
						link, err := client.PaymentLinks.Create(t.Context(), request)
						switch {
						case err == nil:
							results <- link.PaymentLinkID
						case errors.Is(err, plural.ErrReferenceReused):
							results <- "conflict"
						default:
							results <- ""
						}
					}()
				}
				first, second := <-results, <-results
				require.LessOrEqual(t, len(srv.Links()), 1)
				got := strings.Trim(first+second, " ")
				if seed%4 > 1 {
					require.False(t, strings.HasPrefix(first, "pl-") && strings.HasPrefix(second, "pl-"), got)
				} else {
					require.NotContains(t, got, "conflict")
				}
			})
		})
	}
}
