// Package plural is a client for the payment API of Pine Labs Online
// ("Plural"), for the backends of merchants: hosted checkout with a hold on the
// payer's card, capture, cancel, refund, and the signed messages that come
// back.
//
// # The flow
//
//	client, err := plural.NewClient(creds, plural.WithEnvironment(plural.Production))
//	order, err := client.Orders.Create(ctx, req)            // send the payer to order.RedirectURL
//	callback, err := verifier.VerifyCallbackRequest(r)      // the payer's browser comes back, signed
//	paid, err := client.Orders.Confirm(ctx, callback, want) // what the server says of it
//	captured, err := client.Captures.Create(ctx, paid.OrderID, capture)
//
// or Cancels.Create to release the hold, and Refunds.Create to give money back.
// Webhooks tell of the same events to the server: [NewWebhookHandler].
// [Client.Do] calls endpoints that this package has no method for.
//
// Without an option the client talks to Plural's test installation, [UAT].
// Package [github.com/plural-go/plural/pluraltest] is Plural on localhost, for
// tests.
//
// # Exactly once
//
// A nil error from a capture, cancel or refund means that the server's books
// show it. When an answer is lost, the call asks the books what became of it,
// and sends again only where that cannot have a second effect. What it cannot
// settle in the attempts and time given is an [OutcomeUnknownError], never a
// guess:
//
//	_, err := client.Captures.Create(ctx, orderID, req)
//	switch {
//	case err == nil:                   // carried out: the books show it
//	case errors.Is(err, ErrNotApplied): // final: nothing was carried out under this reference
//	default:                           // not known yet: call again with the same reference
//	}
//
// The books are what Plural answers when it is asked for the order: the order
// itself, its payments with their captures, its refunds. [ErrNotApplied]
// matches when they rule the write out, whoever asked for it. [ErrNoHold] is
// final, too: the money was taken already, and the books do not say by what.
//
// The merchant's reference is what makes this possible: make it before the
// call, keep it, and use it again. Do not pass an HTTP request's context to
// what moves money, since it ends when the browser hangs up; give the call a
// deadline of its own. That a repeated refund is made once rests on Plural's
// documented uniqueness of its reference.
//
// # Errors
//
// A request that cannot be right is a [ValidationError] that names every bad
// field, and is not sent. An answer that is not the one asked for is an
// [Error], with the operation, the status, Plural's code, the request id and
// the number of attempts; so is no answer at all. [StateError],
// [DuplicateOrderError] and [NotPaidError] carry the order as the server has
// it. [errors.Is] matches each with the sentinels that its documentation names.
// An unknown outcome matches [ErrOutcomeUnknown] and no other of them; it
// matches the context's error too where that ended the call, so ask for
// [ErrOutcomeUnknown] first.
//
// # Units and times
//
// Money is an [Amount]: an integer of the minor unit, for rupees paise. Times
// are in UTC. Fields and enum values that this package does not know are kept:
// enums are open strings, and [Order.RawJSON] is the document as it came.
//
// # Secrets and personal data
//
// [Credentials], [Key], [Verifier] and [Client] do not print what they hold.
// Orders and requests print and log without personal data;
// [encoding/json.Marshal] and RawJSON keep it, and so does slog's JSON handler
// for orders inside slices, maps and structs, which it hands to json.Marshal.
// Errors hold neither secrets nor tokens; [Error.Body] may hold personal data
// and is left out of logs.
package plural
