// Package plural is a client for the payment API of Pine Labs Online
// ("Plural"), for the backends of merchants: hosted checkout with a hold on the
// payer's card, capture, cancel, refund, and the signed callbacks and webhooks
// that Plural sends.
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
// with the first call, or with [Client.Warm]. The token is kept, and refreshed
// before it ends without delaying a call. If Plural refuses it, another one is
// fetched. Without an option the client talks to Plural's test installation,
// [UAT]. Make one Client for each merchant, and keep it.
//
// # Orders
//
// [OrderService.Create] makes an order with a link to the hosted checkout;
// PreAuth holds the money instead of taking it. [OrderService.Get] and
// [OrderService.GetByReference] read it, and [OrderService.Wait] reads it until
// the payer has decided. [Reference] makes references of the right form.
//
// # Capturing and cancelling
//
// An order that is AUTHORIZED can be captured once, in full or in part
// ([CaptureService.Create]), or cancelled ([CancelService.Create]). After a
// partial capture, Plural releases the rest. [Order.CapturableAmount] and
// [Order.CapturedAmount] show what can be captured and what was.
//
// # Refunds
//
// [RefundService.Create] gives back what was taken, in any number of parts. A
// refund is an order of its own, and may stay PENDING for days.
// [Order.RefundedAmount] counts it, and [Order.RefundableAmount] is what is
// left.
//
// # Callbacks
//
// The payer's browser comes back with a signed form. A [Verifier] verifies it,
// and [OrderService.Confirm] compares it with the server's order, because the
// signature covers no amount. The request is cross-site, which protection
// against request forgery refuses: see [Verifier.VerifyCallbackRequest].
//
// # Webhooks
//
// [NewWebhookHandler] verifies events, recognises repetitions and answers as
// Plural's retries expect. [OrderService.ConfirmEvent] is for a payer who never
// comes back.
//
// # Retries and unknown outcomes
//
// A nil error from a capture, cancel or refund means that the server's books
// show it. When an answer is lost, the call asks the books what happened, and
// sends again only if that cannot have a second effect. If the call cannot
// settle it within its attempts and time, the error is an
// [OutcomeUnknownError], and never a guess:
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
// The books are Plural's answers to questions about the order: the order
// itself, its payments with their captures, and its refunds. The code of an
// answer only says what to do next; only the books make an answer final.
// docs/finals.md lists what they have to show for each final answer.
// [ErrNotApplied] means that they rule the write out, no matter which call
// asked for it. [ErrConflict] means that they show something other than what
// was asked for. [NeedsReview] reports the answers that are not final and that
// calling again may never settle.
//
// The merchant's reference makes this possible: make it before the call, store
// it, and use it again. Do not pass an HTTP request's context to a call that
// moves money, because that context ends when the browser hangs up. Give the
// call a deadline of its own, of five seconds or more. A repeated refund is
// safe only if Plural refuses a reference that was used before, as it
// documents.
//
// # Errors
//
// A request that cannot be right is a [ValidationError] that names every bad
// field, and is not sent. An answer other than the one asked for, or no answer
// at all, is an [Error], with the operation, the status, Plural's code, the
// request id and the number of attempts. [StateError], [DuplicateOrderError]
// and [NotPaidError] carry the server's order. [errors.Is] matches each with
// the sentinels that its documentation names. An unknown outcome matches
// [ErrOutcomeUnknown] and none of the other sentinels. It also matches the
// context's error if that ended the call, so test for [ErrOutcomeUnknown]
// first.
//
// # Money and times
//
// Money is an [Amount]: an integer in the minor unit, for rupees paise.
// [ParseAmount] reads what people write, [Amount.Display] writes it for them,
// and no float is used. Times are in UTC. Fields and enum values that this
// package does not know are kept: enums are open strings, and [Order.RawJSON]
// is the document as Plural sent it.
//
// # Testing
//
// Package [github.com/plural-go/plural/pluraltest] is Plural on localhost, or
// without sockets: orders, the payer, webhooks, and faults on request, such as
// an answer that is lost. Your own fake can make this package's errors by
// setting their exported fields.
//
// # A fleet
//
// Processes share one access token through a [TokenStore] ([WithTokenStore])
// and handle each event once through a [Deduper] ([WithDeduper]). Both are
// interfaces that a merchant can implement. TestDeduper and TestTokenStore of
// package pluraltest check an implementation against their rules. Captures,
// cancels and refunds only need to share the reference.
//
// # Secrets and personal data
//
// [Credentials], [Key], [Verifier] and [Client] do not print their contents.
// Orders and requests print and log without personal data;
// [encoding/json.Marshal] and RawJSON keep it, and so does slog's JSON handler
// for orders inside slices, maps and structs, which it hands to json.Marshal.
// Errors hold neither secrets nor tokens. [Error.Body] and [Error.Header] are
// what the server sent, and may hold personal data; logs leave them out.
package plural
