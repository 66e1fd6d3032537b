package pluralriver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/riverqueue/river"

	"github.com/plural-go/plural"
)

// LinkArgs is a job that makes a payment link, and has Plural send it. At any
// time there is one job for each reference that has not ended. What the fields
// mean is with [plural.PaymentLinkRequest]. A job that is worked after ExpireBy,
// and whose link is not in the books by then, ends with a
// [plural.ValidationError].
//
// Store [plural.PaymentLink.Expected] of Outcome.Link in Config.Ended.
type LinkArgs struct {
	Reference   string           `json:"reference" river:"unique"` // the merchant's, of this link
	Amount      plural.Amount    `json:"amount"`
	Customer    *plural.Customer `json:"customer,omitzero"` // personal data: River keeps it with the job
	Description string           `json:"description,omitzero"`
	ExpireBy    time.Time        `json:"expire_by,omitzero"`
	PreAuth     bool             `json:"pre_auth,omitzero"`
	PartPayment bool             `json:"part_payment,omitzero"`

	AllowedPaymentMethods []plural.PaymentMethod `json:"allowed_payment_methods,omitzero"`
	CallbackURL           string                 `json:"callback_url,omitzero"`
	FailureCallbackURL    string                 `json:"failure_callback_url,omitzero"`
}

// Kind is [KindLink].
func (LinkArgs) Kind() string { return KindLink }

// InsertOpts keeps a second job from being inserted while the first has not
// ended.
func (LinkArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

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

// findExisting looks for the link before a later run of the job sends it: an
// earlier run may have made it, and Plural may not keep references unique. It
// is sent only if the books said for three seconds that they do not have it.
// Until then the job has not ended, even if ExpireBy has passed since.
func (a LinkArgs) findExisting(ctx context.Context, client *plural.Client, again bool) (*result, error) {
	if !again {
		return nil, nil //nolint:nilnil // not in sight, which is not an error
	}
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	for began := time.Now(); ; {
		l, err := client.PaymentLinks.GetByReference(ctx, a.Reference)
		switch {
		case err == nil:
			return a.sameLink(l)
		case !isAbsent(err):
			return nil, err
		case time.Since(began) >= absence:
			return nil, nil //nolint:nilnil // not there, which is not an error
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(min(absence/3, absence-time.Since(began))):
		}
	}
}

// absence is how long the books have to say that they do not have a link.
const absence = 3 * time.Second

// isAbsent reports whether Plural said that it has no such link. A page of a
// firewall, a 404 without a code, or a broken server does not say so.
func isAbsent(err error) bool {
	said, ok := errors.AsType[*plural.Error](err)
	return ok && said.Code != "" && said.StatusCode < http.StatusInternalServerError && errors.Is(err, plural.ErrNotFound)
}

// sameLink returns the link that was found if it is the link of this job.
// Otherwise it says why that link rules the job out.
func (a LinkArgs) sameLink(l *plural.PaymentLink) (*result, error) {
	switch {
	case l.Amount.Value == 0 || l.Amount.Currency == "":
		return nil, errors.New("pluralriver: the payment link of this reference does not say its amount")
	case l.Amount == a.Amount && (l.PreAuth == nil || *l.PreAuth == a.PreAuth):
		return &result{link: l}, nil
	}
	return nil, &plural.PaymentLinkError{
		Op: "payment_links.create", Link: l,
		Reason: fmt.Sprintf("the reference belongs to another payment link, of %s", l.Amount),
	}
}

func (a LinkArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofLink(client.PaymentLinks.Create(ctx, a.request()))
}

// LinkCancelArgs is a job that cancels a payment link. At any time there is one
// job for each link that has not ended. Where the payer was faster it ends with
// plural.ErrConflict.
type LinkCancelArgs struct {
	PaymentLinkID string `json:"payment_link_id" river:"unique"`
}

// Kind is [KindLinkCancel].
func (LinkCancelArgs) Kind() string { return KindLinkCancel }

// InsertOpts keeps a second job from being inserted while the first has not
// ended.
func (LinkCancelArgs) InsertOpts() river.InsertOpts { return oneThatHasNotEnded() }

func (a LinkCancelArgs) check() error { return plural.ValidatePaymentLinkID(a.PaymentLinkID) }

func (a LinkCancelArgs) subject() (orderID, reference string) { return a.PaymentLinkID, "" }

func (a LinkCancelArgs) findExisting(ctx context.Context, client *plural.Client, again bool) (*result, error) {
	if !again {
		return nil, nil //nolint:nilnil // not in sight, which is not an error
	}
	ctx, cancel := withLookTimeout(ctx)
	defer cancel()
	l, err := client.PaymentLinks.Get(ctx, a.PaymentLinkID)
	if err != nil || l.Status != plural.PaymentLinkStatusCancelled {
		return nil, nil //nolint:nilnil // only a hit counts
	}
	o, err := client.Orders.Get(ctx, l.OrderID)
	if err != nil || o.Status != plural.OrderStatusCreated && o.Status != plural.OrderStatusAttempted {
		return nil, nil //nolint:nilnil // it may be paid: the call tells what that means
	}
	return &result{link: l}, nil
}

func (a LinkCancelArgs) send(ctx context.Context, client *plural.Client) (*result, error) {
	return ofLink(client.PaymentLinks.Cancel(ctx, a.PaymentLinkID))
}

// ofLink is the result of a call about a payment link; nil without one.
func ofLink(l *plural.PaymentLink, err error) (*result, error) {
	if l == nil {
		return nil, err
	}
	return &result{link: l}, err
}
