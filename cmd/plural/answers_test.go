package main_test

import (
	"net/http"
	"strings"
	"time"

	"github.com/plural-go/plural/pluraltest"
)

// emulation describes an emulator that answers one question differently from
// what the package assumes.
type emulation struct {
	opts   []pluraltest.Option
	quirks pluraltest.Quirk
	faults func(r pluraltest.Request) pluraltest.Fault
	// The answers to other questions may change as well. newAnswers has the
	// id of each such question, with its new answer.
	newAnswers map[string]string
	pace       time.Duration // how long the probe waits until it looks again; 0 means the tests' usual pace
}

// otherAnswers lists, for each question, the answers that the package does not
// assume. Each new row of the program's table needs an entry here. The answers
// to hold.lifetime and to the questions about settlements have their own tests.
func otherAnswers() map[string]map[string]emulation {
	const notAllowed, invalid, isOver = "OPERATION_NOT_ALLOWED", "INVALID_REQUEST", "the unchanged order"
	const aSecond = "a second one"
	otherSecret := strings.Repeat("5a", 16)
	atOnce := emulation{
		opts: []pluraltest.Option{pluraltest.WithCheckLag(700 * time.Millisecond)},
		pace: time.Second,
		newAnswers: map[string]string{
			"order.duplicate":     "a second one, if both come at once",
			"capture.two-at-once": "both go through",
			"refund.two-at-once":  "two refunds",
		},
	}
	slow := emulation{
		opts:       []pluraltest.Option{pluraltest.WithReadLag(800 * time.Millisecond)},
		newAnswers: map[string]string{"order.lag": "later", "refund.listed": "later"},
	}
	return map[string]map[string]emulation{
		"token.lifetime": {
			"expires_in":   with(pluraltest.WithTokenAnswer(pluraltest.TokenExpiresIn)),
			"in the token": with(pluraltest.WithTokenAnswer(pluraltest.TokenWithoutExpiry)),
			"not told":     with(pluraltest.WithTokenAnswer(pluraltest.TokenOpaque)),
		},
		"token.second": {"is refused": with(pluraltest.WithOneToken())},
		"token.wrong-secret": {
			"error, error_description": with(pluraltest.WithTokenErrors(pluraltest.TokenErrorOAuth)),
			"code, message":            with(pluraltest.WithTokenErrors(pluraltest.TokenErrorCode)),
		},
		"order.duplicate": {
			"refused": with(pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected)).
				withNewAnswer("order.other-amount", "refused"),
			aSecond: with(pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted)).
				withNewAnswer("order.other-amount", aSecond),
			"a second one, if both come at once": atOnce,
		},
		"order.other-amount": {
			"refused": with(pluraltest.WithDuplicateOrders(pluraltest.DuplicateRejected)).
				withNewAnswer("order.duplicate", "refused"),
			aSecond: with(pluraltest.WithDuplicateOrders(pluraltest.DuplicateAccepted)).
				withNewAnswer("order.duplicate", aSecond),
		},
		"order.lag": {"later": slow},
		"order.not-found": {
			"404 ORDER_NOT_FOUND":              with(pluraltest.WithNotFound(pluraltest.NotFound404)),
			"400 INVALID_REQUEST by reference": with(pluraltest.WithNotFound(pluraltest.NotFoundInquiry)),
		},
		"order.products": {
			"product is kept":  with(pluraltest.WithProductNames("product")),
			"products is kept": with(pluraltest.WithProductNames("products")),
			"neither is kept":  with(pluraltest.WithProductNames()),
		},
		"link.duplicate": {
			"refused": with(pluraltest.WithDuplicateLinks(pluraltest.DuplicateRejected)),
			aSecond:   with(pluraltest.WithDuplicateLinks(pluraltest.DuplicateAccepted)),
		},
		"link.reference-in-order": {"has the link's": {quirks: pluraltest.QuirkLinkReferenceInOrder}},
		"cancel.unpaid":           {"CANCELLED": with(pluraltest.WithCancelUnpaid())},
		"limits": {
			"takes more": with(pluraltest.WithLooseLimits()),
			"takes less": {faults: refusedReferencesOf50},
			"elsewhere":  {opts: []pluraltest.Option{pluraltest.WithLooseLimits()}, faults: refusedReferencesOf50},
		},
		"http.answers": {
			"no Date":           with(pluraltest.WithoutDate()),
			"the clocks differ": with(pluraltest.WithClock(func() time.Time { return time.Now().Add(time.Hour) })),
			"a PUT needs a body": {faults: func(r pluraltest.Request) pluraltest.Fault {
				return refusedIf(r.Op == pluraltest.OpCancelsCreate && strings.HasSuffix(r.OrderID, "PROBE0"),
					http.StatusLengthRequired, invalid)
			}},
		},
		"callback.key": {
			"characters":     with(pluraltest.WithCallbackKey(pluraltest.WebhookKeyCharacters)),
			"base64":         with(pluraltest.WithCallbackKey(pluraltest.WebhookKeyBase64)),
			"another secret": with(pluraltest.WithCallbackSecret(otherSecret)),
		},
		"callback.fields": {
			"payment_status": with(pluraltest.WithCallbackStatusName("payment_status")),
			"status, and fields without a value that are signed":     with(pluraltest.WithEmptyCallbackFields()),
			"status, and fields without a value that are not signed": with(pluraltest.WithUnsignedEmptyCallbackFields()),
		},
		"webhook.key": {
			"hex":            with(pluraltest.WithWebhookKey(pluraltest.WebhookKeyHex)),
			"base64":         with(pluraltest.WithWebhookKey(pluraltest.WebhookKeyBase64)),
			"another secret": with(pluraltest.WithWebhookSecret(otherSecret)),
		},
		"refund.of-hold": {
			"400 INVALID_REQUEST": refuseRequests(pluraltest.OpRefundsCreate, "-not-", `"value":100}`, 400, invalid),
		},
		"capture.above-hold": {
			"422 OPERATION_NOT_ALLOWED": refuseRequests(pluraltest.OpCapturesCreate, "-more", "", 422, notAllowed),
			"400 INVALID_REQUEST":       refuseRequests(pluraltest.OpCapturesCreate, "-more", "", 400, invalid),
		},
		"cancel.twice": {
			"422 OPERATION_NOT_ALLOWED": with(pluraltest.WithDuplicateCancels(pluraltest.DuplicateAccepted)),
			isOver:                      with(pluraltest.WithDuplicateCancels(pluraltest.DuplicateReturnsExisting)),
		},
		"capture.after-cancel": {
			"422 OPERATION_NOT_ALLOWED": refuseRequests(pluraltest.OpCapturesCreate, "-late", "", 422, notAllowed),
		},
		"capture.document": {
			"PROCESSED, our reference at once":        {quirks: pluraltest.QuirkPartProcessed},
			"PARTIALLY_CAPTURED, our reference later": {faults: withoutCaptureData(pluraltest.OpCapturesCreate)},
			"PROCESSED, our reference later": {
				quirks: pluraltest.QuirkPartProcessed, faults: withoutCaptureData(pluraltest.OpCapturesCreate),
			},
			"PARTIALLY_CAPTURED, our reference never": {faults: withoutCaptureData("")},
			"PROCESSED, our reference never":          {quirks: pluraltest.QuirkPartProcessed, faults: withoutCaptureData("")},
		},
		"capture.same-again": {
			"422 DUPLICATE_REQUEST": with(pluraltest.WithDuplicateCaptures(pluraltest.DuplicateRejected)),
			isOver:                  with(pluraltest.WithDuplicateCaptures(pluraltest.DuplicateReturnsExisting)),
		},
		"capture.other-again": {
			"it takes more": with(pluraltest.WithMoreCaptures()).withNewAnswer("capture.two-at-once", "both go through"),
		},
		"capture.two-at-once": {"both go through": atOnce},
		"refund.duplicate": {
			"refused": with(pluraltest.WithDuplicateRefunds(pluraltest.DuplicateRejected)),
			aSecond: with(pluraltest.WithDuplicateRefunds(pluraltest.DuplicateAccepted)).
				withNewAnswer("refund.two-at-once", "two refunds"),
		},
		"refund.two-at-once": {"two refunds": atOnce},
		"refund.listed": {
			"later":      slow,
			"not listed": {quirks: pluraltest.QuirkNoRefundList},
		},
		"refund.above-rest": {
			"422 OPERATION_NOT_ALLOWED": refuseRequests(pluraltest.OpRefundsCreate, "-not-", `"value":2000}`, 422, notAllowed),
			"400 INVALID_REQUEST":       refuseRequests(pluraltest.OpRefundsCreate, "-not-", `"value":2000}`, 400, invalid),
		},
		"webhook.again": {
			"with the first stamp":   with(pluraltest.WithWebhookStampedOnce()),
			"under another id":       with(pluraltest.WithWebhookNewIDs()),
			"it does not come again": with(pluraltest.WithWebhookSchedule()),
		},
	}
}

func with(opts ...pluraltest.Option) emulation { return emulation{opts: opts} }

// Some emulators change the answer to a second question as well. withNewAnswer
// records the id of the second question and the new answer.
func (t emulation) withNewAnswer(question, newAnswer string) emulation {
	t.newAnswers = map[string]string{question: newAnswer}
	return t
}

// refuseRequests describes an emulator that refuses some requests of one
// operation. The reference of these requests contains the first given text, and
// their body contains the second given text.
func refuseRequests(op, reference, body string, status int, code string) emulation {
	return emulation{faults: func(r pluraltest.Request) pluraltest.Fault {
		isMeant := r.Op == op && strings.Contains(r.Reference, reference) && strings.Contains(string(r.Body), body)
		return refusedIf(isMeant, status, code)
	}}
}

func refusedIf(isSo bool, status int, code string) pluraltest.Fault {
	if isSo {
		return pluraltest.StatusFault(status, code, pluraltest.ApplyNever)
	}
	return pluraltest.NoFault
}

func refusedReferencesOf50(r pluraltest.Request) pluraltest.Fault {
	return refusedIf(r.Op == pluraltest.OpOrdersCreate && len(r.Reference) == 50, 400, "INVALID_REQUEST")
}

// withoutCaptureData removes the capture entries from the answers of an
// operation, or from all answers if op is "".
func withoutCaptureData(op string) func(pluraltest.Request) pluraltest.Fault {
	return func(r pluraltest.Request) pluraltest.Fault {
		if r.Op == op || op == "" && r.Op != pluraltest.OpToken {
			return pluraltest.CaptureDataAbsent
		}
		return pluraltest.NoFault
	}
}
