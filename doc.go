// Package plural is a client for the payment API of Pine Labs Online
// ("Plural"), for the backends of merchants. It covers hosted checkout with a
// hold on the payer's card, capture, cancel, refund, and the signed callbacks
// and webhooks that Plural sends.
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
// To release the hold instead, call Cancels.Create. To give money back, call
// Refunds.Create. [Client.Do] calls endpoints that this package has no method
// for.
//
// # Authentication
//
// [NewClient] takes the merchant's [Credentials]. The first call, or
// [Client.Warm], fetches an access token. The client keeps the token, and
// refreshes it before it expires, without delaying a call. If Plural refuses
// the token, the client fetches another token. Without an option, the client
// talks to Plural's test installation, [UAT]. Make one Client for each
// merchant, and keep it.
//
// # Orders
//
// [OrderService.Create] makes an order with a link to the hosted checkout. With
// PreAuth, the money is held instead of taken. [OrderService.Get] and
// [OrderService.GetByReference] read the order, and [OrderService.Wait] reads
// it until the payer has paid or can no longer pay. [Reference] makes
// references in the form that Plural accepts.
//
// # Capturing and cancelling
//
// An order that is AUTHORIZED can be captured once, in full or in part
// ([CaptureService.Create]), or cancelled ([CancelService.Create]). After a
// partial capture, Plural releases the rest. [Order.CapturableAmount] and
// [Order.CapturedAmount] show what can be captured and what was captured.
//
// # Refunds
//
// [RefundService.Create] gives back what was taken, in any number of parts. A
// refund is an order of its own, and may stay PENDING for days.
// [Order.RefundedAmount] includes refunds that are PENDING, and
// [Order.RefundableAmount] is what can still be refunded.
//
// # Callbacks
//
// The payer's browser comes back with a signed form. A [Verifier] verifies the
// form, and [OrderService.Confirm] compares it with the server's order, because
// the signature covers no amount. The browser sends this form from another
// site, so a shop's protection against cross-site request forgery refuses it.
// See [Verifier.VerifyCallbackRequest].
//
// # Webhooks
//
// [NewWebhookHandler] verifies events, recognises repeated deliveries, and
// answers with a status that makes Plural deliver an event again only if that
// is needed. [OrderService.ConfirmEvent] confirms an order from its event, even
// if the payer never comes back.
//
// # Retries and unknown outcomes
//
// A nil error from a capture, cancel or refund means that the server's books
// show it as carried out. If an answer is lost, the call asks the books what
// happened, and sends the request again only if that cannot have a second
// effect. If the call cannot find out what happened, the error is an
// [OutcomeUnknownError]. A call has these results:
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
// The books are Plural's records of the order: the order itself, its payments
// with their captures, and its refunds. An error code only shows what to do
// next. Only the books make an answer final. docs/finals.md lists what the
// books have to show for each final answer.
//
//   - [ErrNotApplied]: the books show that the write was not carried out and
//     will not be. This is true for this call, and for each other call that
//     asks for the same write.
//   - [ErrConflict]: the books show something other than what was asked for.
//   - [NeedsReview] is a function. It returns true for some errors that are not
//     final. After such an error, further calls may never give a final answer.
//     So a person has to look into the error.
//
// The merchant's reference makes it possible to find out what happened. Make
// the reference before the call, store it, and use it again when you repeat the
// call. Do not pass an HTTP request's context to a call that moves money,
// because that context ends when the browser closes the connection. Give the
// call a deadline of its own, of five seconds or more. A repeated refund is
// safe only if Plural refuses a reference that was used before. Plural's
// documentation promises this refusal.
//
// # Errors
//
// A call checks its request before it sends anything. If the request is not
// valid, nothing is sent, and the error is a [ValidationError] that names every
// invalid field. If Plural answers with an error, if its answer cannot be used,
// or if no answer comes, the error is an [Error]. An [Error] has the operation,
// the status, Plural's code, the request id and the number of attempts.
// [StateError], [DuplicateOrderError] and [NotPaidError] carry the server's
// order. The documentation of each error names the sentinels that it matches in
// [errors.Is]. An unknown outcome matches [ErrOutcomeUnknown] and none of the
// other sentinels. If the context ended the call, the error also matches the
// context's error, so test for [ErrOutcomeUnknown] first.
//
// # Money and times
//
// Money is an [Amount]: an integer in the minor unit of the currency, such as
// paise. [ParseAmount] reads an amount that a person wrote, and
// [Amount.Display] writes an amount for people. No float is used. Times are in
// UTC, but a [LocalTime] has no zone. Fields and enum values that this package
// does not know are kept: enums are open strings, and [Order.RawJSON] is the
// document as Plural sent it.
//
// # Testing
//
// Package [github.com/plural-go/plural/pluraltest] emulates Plural on
// localhost, or without sockets. It emulates orders, the payer and webhooks
// and, if a test asks for them, faults such as a lost answer. Your own fake can
// build this package's errors by setting their exported fields.
//
// # A fleet
//
// Processes share one access token through a [TokenStore] ([WithTokenStore])
// and handle each event once through a [Deduper] ([WithDeduper]). Both are
// interfaces that a merchant can implement. TestDeduper and TestTokenStore of
// package pluraltest check that an implementation follows the rules. The
// processes need no shared store to capture, cancel or refund. For the same
// capture, cancel or refund they only have to use the same order id and the
// same reference.
//
// # Secrets and personal data
//
// [Credentials], [Key], [Verifier] and [Client] do not print their contents.
// The packages fmt and slog print orders and requests without personal data.
// [encoding/json.Marshal] and RawJSON include that data. The JSON handler of
// slog passes slices, maps and structs to json.Marshal. So the handler also
// writes the personal data of orders that are inside them. Errors hold neither
// secrets nor tokens. [Error.Body] and [Error.Header] are what the server sent,
// and may hold personal data. Logs leave out both.
package plural
