package pluralriver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/plural-go/plural"
)

// LinkArgs is a job that makes a payment link. Plural sends the link to the
// customer. For each reference, at most one job can be waiting or running. The
// fields have the same meaning as in [plural.PaymentLinkRequest]. If a job runs
// after ExpireBy, and the books do not have its link, the job ends with a
// [plural.ValidationError].
//
// River stores the job with Customer, so the customer's personal data is in
// River's tables. A job that has its final answer is deleted after
// river.Config.CompletedJobRetentionPeriod, a day by default. With a
// DiscardedJobRetentionPeriod of -1, a job that was given up stays until
// somebody deletes it. This package logs no arguments of jobs. If package fmt
// prints a LinkArgs, the text contains the Description, but no field of the
// Customer.
//
// In Config.Ended, call Outcome.Link.Expected (see
// [plural.PaymentLink.Expected]), and store the result.
type LinkArgs struct {
	Reference   string           `json:"reference" river:"unique"` // the merchant's reference of this link
	Amount      plural.Amount    `json:"amount"`
	Customer    *plural.Customer `json:"customer,omitzero"` // personal data: see above
	Description string           `json:"description,omitzero"`
	ExpireBy    time.Time        `json:"expire_by,omitzero"`
	PreAuth     bool             `json:"pre_auth,omitzero"`
	PartPayment bool             `json:"part_payment,omitzero"`

	AllowedPaymentMethods []plural.PaymentMethod `json:"allowed_payment_methods,omitempty"`
	CallbackURL           string                 `json:"callback_url,omitzero"`
	FailureCallbackURL    string                 `json:"failure_callback_url,omitzero"`
}

// Kind returns [KindLink].
func (LinkArgs) Kind() string { return KindLink }

// InsertOpts prevents a second job while the first job has not ended.
func (LinkArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

// MarshalJSON writes ExpireBy as Plural gets it, in UTC and in whole seconds.
// So [InsertTx] recognises two jobs that ask for the same link.
func (a LinkArgs) MarshalJSON() ([]byte, error) {
	type plain LinkArgs // without its methods
	a.ExpireBy = a.ExpireBy.UTC().Truncate(time.Second)
	return json.Marshal(plain(a))
}

func (a LinkArgs) request() *plural.PaymentLinkRequest {
	return &plural.PaymentLinkRequest{
		MerchantPaymentLinkReference: a.Reference, Amount: a.Amount, Customer: a.Customer, Description: a.Description,
		ExpireBy: a.ExpireBy, PreAuth: a.PreAuth, PartPayment: a.PartPayment,
		AllowedPaymentMethods: a.AllowedPaymentMethods,
		CallbackURL:           a.CallbackURL, FailureCallbackURL: a.FailureCallbackURL,
	}
}

func (a LinkArgs) check() error { return a.request().Validate() }

func (a LinkArgs) subject() (orderID, reference string) { return "", a.Reference }

// findExisting looks for the link before the job sends it, because Plural may
// not keep references unique.
//
// The first run of a job reads the books once, because an earlier job may have
// had the same reference. A later run reads the books for three seconds,
// because an earlier run may have made the link a moment ago. The later run
// sends the link only if every read in this time shows that Plural does not
// have the link. If the books cannot be read, the run fails, and the job is
// tried again. If ExpireBy has passed, PaymentLinks.Create returns an error
// that ends the job. So in that case the first run also reads the books for
// three seconds, as a later run does.
func (a LinkArgs) findExisting(ctx context.Context, client *plural.Client, isLaterRun bool) (*result, error) {
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	for began := time.Now(); ; {
		l, err := client.PaymentLinks.GetByReference(ctx, a.Reference)
		switch {
		case err == nil:
			return a.sameLink(l)
		case !isLaterRun && !a.isLate():
			return nil, nil //nolint:nilnil // the first run did not find the link, so the run makes the link
		case !isAbsent(err):
			return nil, err
		case time.Since(began) >= linkLookDuration:
			return nil, nil //nolint:nilnil // the link is not there, which is not an error
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(min(linkLookDuration/3, linkLookDuration-time.Since(began))):
		}
	}
}

// isLate reports whether ExpireBy has passed, or will pass in less than a
// second. This margin is needed because the call checks ExpireBy a little
// later.
func (a LinkArgs) isLate() bool { return !a.ExpireBy.IsZero() && time.Until(a.ExpireBy) < time.Second }

// linkLookDuration is the time for which a later run reads the books. The run
// makes the link only if every read in this time shows that Plural does not
// have the link.
const linkLookDuration = 3 * time.Second

// isAbsent reports whether Plural said that it has no such link. A firewall's
// page, a 404 without a code, or a server error is not enough.
func isAbsent(err error) bool {
	said, ok := errors.AsType[*plural.Error](err)
	return ok && said.Code != "" && said.StatusCode < http.StatusInternalServerError && errors.Is(err, plural.ErrNotFound)
}

// sameLink returns the link that was found, if it is the link of this job.
// Otherwise it returns an error, and the job's link must not be made.
func (a LinkArgs) sameLink(l *plural.PaymentLink) (*result, error) {
	switch {
	case l.Amount.Value == 0 || l.Amount.Currency == "":
		return nil, errors.New("pluralriver: the payment link under this reference has no amount")
	case l.Amount == a.Amount && (l.PreAuth == nil || *l.PreAuth == a.PreAuth):
		return &result{link: l}, nil
	}
	return nil, &plural.PaymentLinkError{
		Op: "payment_links.create", Link: l,
		Reason: fmt.Sprintf("the reference belongs to another payment link, with the amount %s", l.Amount),
	}
}

func (a LinkArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofLink(client.PaymentLinks.Create(ctx, a.request()))
}

// LinkCancelArgs is a job that cancels a payment link. For each link, at most
// one job can be waiting or running. If the payer has already paid, the job
// ends with plural.ErrConflict.
type LinkCancelArgs struct {
	PaymentLinkID string `json:"payment_link_id" river:"unique"`
}

// Kind returns [KindLinkCancel].
func (LinkCancelArgs) Kind() string { return KindLinkCancel }

// InsertOpts prevents a second job while the first job has not ended.
func (LinkCancelArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

func (a LinkCancelArgs) check() error { return plural.ValidatePaymentLinkID(a.PaymentLinkID) }

func (a LinkCancelArgs) subject() (orderID, reference string) { return a.PaymentLinkID, "" }

func (a LinkCancelArgs) findExisting(ctx context.Context, client *plural.Client, isLaterRun bool) (*result, error) {
	if !isLaterRun {
		return nil, nil //nolint:nilnil // the first run cancels the link without reading the books
	}
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	l, err := client.PaymentLinks.Get(ctx, a.PaymentLinkID)
	if err != nil || l.Status != plural.PaymentLinkStatusCancelled {
		return nil, nil //nolint:nilnil // the books did not show a cancelled link, so the job calls PaymentLinks.Cancel
	}
	o, err := client.Orders.Get(ctx, l.OrderID)
	if err != nil || !isUnpaid(o) {
		return nil, nil //nolint:nilnil // the link may be paid, and PaymentLinks.Cancel finds that out
	}
	return &result{link: l}, nil
}

// isUnpaid reports whether nobody has paid any part of an order, and no payment
// is under way.
func isUnpaid(o *plural.Order) bool {
	if o.Status != plural.OrderStatusCreated && o.Status != plural.OrderStatusAttempted {
		return false
	}
	return !slices.ContainsFunc(o.Payments, func(p plural.Payment) bool {
		return p.Status != plural.PaymentStatusFailed && p.Status != plural.PaymentStatusCancelled
	})
}

func (a LinkCancelArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofLink(client.PaymentLinks.Cancel(ctx, a.PaymentLinkID))
}

// ofLink makes the result of a call about a payment link. It returns nil if l
// is nil.
func ofLink(l *plural.PaymentLink, err error) (*result, error) {
	if l == nil {
		return nil, err
	}
	return &result{link: l}, err
}
