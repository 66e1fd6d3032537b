// Package plural is a client for the payment API of Pine Labs Online
// ("Plural"), for the backends of merchants: hosted checkout with a hold on the
// payer's card, capture, cancel, refund, and the signed messages that come
// back.
//
// # The flow
//
//	client, err := plural.NewClient(creds, plural.WithEnvironment(plural.UAT))
//	order, err := client.Orders.Create(ctx, req)
//	// ... send the payer to order.RedirectURL; the browser comes back, signed ...
//	callback, err := verifier.VerifyCallbackRequest(r)
//	paid, err := client.Orders.Confirm(ctx, callback, want) // by Plural's books
//	captured, err := client.Captures.Create(ctx, paid.OrderID, capture)
//
// or Cancels.Create to release the hold, and Refunds.Create to give money back.
// [Client.Do] calls endpoints that this package has no method for.
//
// # Authentication
//
// [NewClient] takes the merchant's [Credentials] and fetches an access token
// with the first call, or with [Client.Warm]. The token is kept, refreshed
// before it ends without delaying a call, and fetched again when Plural refuses
// it. Without an option the client talks to Plural's test installation, [UAT].
// Make one Client for each merchant, and keep it.
//
// # Orders
//
// [OrderService.Create] makes an order with a link to the hosted checkout;
// PreAuth holds the money instead of taking it. [OrderService.Get] and
// [OrderService.GetByReference] read it, [OrderService.Wait] until the payer
// has decided. [Reference] makes references that fit.
//
// # Capturing and cancelling
//
// An order that is AUTHORIZED is captured once, whole or in part
// ([CaptureService.Create]), or cancelled ([CancelService.Create]). What a
// capture leaves over is released. [Order.CapturableAmount] and
// [Order.CapturedAmount] say where it stands.
//
// # Refunds
//
// [RefundService.Create] gives back what was taken, in as many parts as wanted.
// A refund is an order of its own, and may stay PENDING for days:
// [Order.RefundedAmount] counts it, [Order.RefundableAmount] is what is left.
//
// # Callbacks
//
// The payer's browser comes back with a signed form: a [Verifier] verifies it,
// and [OrderService.Confirm] holds it against the server's order, because the
// signature covers no amount. The request is cross-site, which protection
// against request forgery refuses: see [Verifier.VerifyCallbackRequest].
//
// # Webhooks
//
// [NewWebhookHandler] verifies events, tells repetitions apart and answers as
// Plural's retries expect. [OrderService.ConfirmEvent] is for a payer who never
// came back.
//
// # Retries and unknown outcomes
//
// A nil error from a capture, cancel or refund means that the server's books
// show it. When an answer is lost, the call asks the books what became of it,
// and sends again only where that cannot have a second effect. What it cannot
// settle in the attempts and time given is an [OutcomeUnknownError], never a
// guess:
//
//	_, err := client.Captures.Create(ctx, orderID, req)
//	switch {
//	case err == nil: // carried out: the books show it
//	case errors.Is(err, plural.ErrNotApplied): // final: not carried out
//	case errors.Is(err, plural.ErrConflict): // final: a person has to look
//	case plural.NeedsReview(err): // not final: a person has to look
//	default: // not known yet: call again, same reference
//	}
//
// The books are what Plural answers when it is asked for the order: the order
// itself, its payments with their captures, its refunds. A code of an answer
// says what to do next; only the books make an answer final. docs/finals.md
// lists what they have to show for each final. [ErrNotApplied] means that they
// rule the write out, no matter which call asked for it. [ErrConflict] means
// that they show something else than was asked for. [NeedsReview] reports the
// answers that are not final and that calling again alone may never settle.
//
// The merchant's reference is what makes this possible: make it before the
// call, keep it, and use it again. Do not pass an HTTP request's context to
// what moves money, since it ends when the browser hangs up; give the call a
// deadline of its own, of five seconds or more. A repeated refund is safe only
// if Plural refuses a reference that was used, as it documents.
//
// # Errors
//
// A request that cannot be right is a [ValidationError] that names every bad
// field, and is not sent. An answer other than the one asked for, or no answer
// at all, is an [Error], with the operation, the status, Plural's code, the
// request id and the number of attempts. [StateError], [DuplicateOrderError]
// and [NotPaidError] carry the order as the server has it. [errors.Is] matches
// each with the sentinels that its documentation names. An unknown outcome
// matches [ErrOutcomeUnknown] and no other of them; it matches the context's
// error too where that ended the call, so ask for [ErrOutcomeUnknown] first.
//
// # Money and times
//
// Money is an [Amount]: an integer of the minor unit, for rupees paise.
// [ParseAmount] reads what people write, [Amount.Display] writes it for them,
// and no float is involved. Times are in UTC. Fields and enum values that this
// package does not know are kept: enums are open strings, and [Order.RawJSON]
// is the document as it came.
//
// # Testing
//
// Package [github.com/plural-go/plural/pluraltest] is Plural on localhost, or
// without sockets: orders, the payer, webhooks, and faults on request, such as
// an answer that is lost. A fake of yours can make this package's errors by
// setting their exported fields.
//
// # A fleet
//
// Processes share one access token through a [TokenStore] ([WithTokenStore])
// and handle each event once through a [Deduper] ([WithDeduper]). Both are
// interfaces for what a merchant has; TestDeduper and TestTokenStore of package
// pluraltest hold an implementation to their rules. Captures, cancels and
// refunds need nothing shared but the reference.
//
// # Secrets and personal data
//
// [Credentials], [Key], [Verifier] and [Client] do not print what they hold.
// Orders and requests print and log without personal data;
// [encoding/json.Marshal] and RawJSON keep it, and so does slog's JSON handler
// for orders inside slices, maps and structs, which it hands to json.Marshal.
// Errors hold neither secrets nor tokens. [Error.Body] and [Error.Header] are
// what the server sent, and may hold personal data; logs leave them out.
package plural
