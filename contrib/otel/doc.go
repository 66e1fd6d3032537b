// Package pluralotel reports to OpenTelemetry what a client of package plural
// does: a span for each try, and metrics of each call.
//
//	client, err := plural.NewClient(credentials, pluralotel.Instrument()...)
//
// Each try is a client span with the name of its operation, such as
// "captures.create". The span has the attributes of OpenTelemetry's conventions
// for HTTP. It also has plural.order_id or plural.payment_link_id,
// plural.reference and plural.request_id. All tries of a call have the same
// plural.request_id, which Plural's support can look up. The tries after the
// first also have http.request.resend_count. If it is not clear what a write
// has done, the client reads Plural's books to find out. If the books show
// nothing about the write, the read does not count as an error. An answer with
// a 2xx status counts as an error if its body is an error document with a code
// that package plural knows.
//
// Each call is counted once, when it has ended. Each request for an access
// token is also counted, as the operation "token". The metrics are:
//
//   - plural.client.operation.duration, a histogram in seconds, by operation,
//     outcome and error.type;
//   - plural.client.operation.outcomes, a counter with the same attributes;
//   - plural.client.operation.attempts, a counter of tries by operation;
//   - plural.client.operation.settlements, a counter by operation. It counts
//     the calls that asked Plural's books what had happened.
//
// The attribute plural.outcome is one of the Outcome constants.
//
// # What is not reported
//
// No attribute holds personal data, a token, a secret, a signature, a body, a
// header or the text of an error. Ids and references are only in spans, never
// in metrics. The url.full of a span is a template, such as
// https://api.pluralpay.in/api/pay/v1/orders/{order_id}. It leaves out the ids
// in the path and the whole query. For [plural.Client.Do] it leaves out the
// whole path.
//
// Plural does not learn which trace a request belongs to. Headers that name the
// trace are sent only with [WithPropagators]. Baggage is never sent.
package pluralotel
