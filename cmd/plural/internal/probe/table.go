package probe

// Texts that say what to do after an answer. Each of them is used for several
// answers.
const (
	nothing  = "Nothing to set."
	report   = "Please report it: the package does not know this answer."
	reads    = "Give captures a context of a minute: the package reads the order until it shows the reference."
	unseen   = "Please report it: every capture would end in ErrOutcomeUnknown or ErrNoHold."
	readBack = "Nothing to set: the package reads the order after every answer."
)

// Questions returns the table of questions. The probe asks them from the first
// row to the last. For a new question, add one row here and one row in the
// test.
func Questions() []Question {
	return append(asked(), notAsked()...)
}

func asked() []Question {
	return append(append(ofTheAccount(), ofPayments()...), ofSettlements()...)
}

// ofTheAccount lists the questions that need no payer.
func ofTheAccount() []Question {
	return []Question{
		{
			ID: "token.lifetime", Asks: "How does the token endpoint state how long a token lives?",
			Assumed: "expires_at", Requests: 1, Ask: askTokenLifetime,
			Answers: []Answer{
				{"expires_at", nothing},
				{"expires_in", "Nothing to set: the package also reads this field."},
				{"in the token", "Nothing to set: the package reads the expiry in the token itself."},
				{"not told", "Nothing to set: the package assumes five minutes. Let all processes share a token store."},
			},
		},
		{
			ID: "token.second", Asks: "Is an older token still good after a new token was issued?",
			Assumed: "stays good", Requests: 3, Ask: askTokenSecond,
			Answers: []Answer{
				{"stays good", nothing},
				{
					"is refused",
					"Give all processes one token store (contrib/redisstore): a new token ends the old one.",
				},
			},
		},
		{
			ID: "token.wrong-secret", Asks: "Which fields does the answer to a wrong secret have?",
			Assumed: "status, message", Requests: 1, IsOnce: true, Ask: askWrongSecret,
			Answers: []Answer{
				{"status, message", nothing},
				{"error, error_description", "Nothing to set: the package also reads these fields."},
				{"code, message", "Nothing to set: the package also reads these fields."},
			},
		},
		{
			ID: "order.duplicate", Asks: "What happens to a second order under the same reference?",
			Assumed: theSame, Requests: 4, Orders: 2, Ask: askOrderDuplicate,
			Answers: []Answer{
				{theSame, nothing},
				{refused, "Store each link before you use it: Orders.Create may return a DuplicateOrderError."},
				{
					aSecond,
					"Never repeat Orders.Create under one reference, and use WithoutRetry: the payer may pay twice.",
				},
				{secondAtOne, "Let only one process create an order: two requests at the same time make two orders."},
			},
		},
		{
			ID: "order.other-amount", Asks: "What happens to an order with another amount under the same reference?",
			Assumed: theSame, Requests: 2, Orders: 1, Ask: askOtherAmount,
			Answers: []Answer{
				{theSame, "Nothing to set: the package compares the amounts, and returns ErrReferenceReused."},
				{refused, nothing},
				{aSecond, "Never use a reference again: there would be two orders with different amounts."},
			},
		},
		{
			ID: "order.lag", Asks: "How soon after its creation can an order be read?",
			Assumed: "at once", Requests: 3, Orders: 1, Ask: askOrderLag,
			Answers: []Answer{
				{"at once", nothing},
				{"later", "Do not treat \"not found\" as final: ask again for longer than the measured lag."},
			},
		},
		{
			ID: "order.not-found", Asks: "How is an order that does not exist reported?",
			Assumed: "422 ORDER_NOT_FOUND", Requests: 2, Ask: askNotFound,
			Answers: []Answer{
				{"422 ORDER_NOT_FOUND", nothing},
				{"404 ORDER_NOT_FOUND", "Nothing to set: the package knows this answer, too."},
				{"400 INVALID_REQUEST by reference", "Nothing to set: the package knows this answer, too."},
			},
		},
		{
			ID: "order.products", Asks: "Under which name does an order keep its products?",
			Assumed: "both are kept", Requests: 4, Orders: 2, Ask: askProducts,
			Answers: []Answer{
				{"both are kept", nothing},
				{"product is kept", "Set PurchaseDetails.Product."},
				{"products is kept", "Set PurchaseDetails.Products."},
				{"neither is kept", "Do not rely on products in an order."},
			},
		},
		{
			ID: "cancel.unpaid", Asks: "Can an order that nobody has paid be cancelled?",
			Assumed: "422 OPERATION_NOT_ALLOWED", Requests: 2, Orders: 1, Ask: askCancelUnpaid,
			Answers: []Answer{
				{"422 OPERATION_NOT_ALLOWED", nothing},
				{"CANCELLED", "Cancel orders that are not paid in time: that also ends their links."},
			},
		},
		{
			ID: "link.duplicate", Asks: "What happens to a second payment link under the same reference?",
			Assumed: theSame, Requests: 2, Orders: 1, Ask: askLinkDuplicate,
			Answers: []Answer{
				{theSame, nothing},
				{refused, "Nothing to set: the package reads the link that has the reference."},
				{aSecond, "Set WithSingleRefundSend: a repeated call may make a second link, and both may be paid."},
			},
		},
		{
			ID: "link.reference-in-order", Asks: "Which reference does the order of a payment link have?",
			Assumed: "has one of Plural's", Requests: 2, Orders: 1, Ask: askLinkReference,
			Answers: []Answer{
				{"has one of Plural's", nothing},
				{"has the link's", "Nothing to set: Orders.GetByReference also finds a link's order by the link's reference."},
			},
		},
		{
			ID: "limits", Asks: "Are the limits of amounts and references as documented?",
			Assumed: "as documented", Requests: 5, Orders: 2, Ask: askLimits,
			Answers: []Answer{
				{"as documented", nothing},
				{"takes more", "Nothing to set. WithoutValidation lets a call go beyond the documented limits."},
				{"takes less", "Use only values that were accepted: see the report."},
				{"elsewhere", report},
			},
		},
		{
			ID: "http.answers", Asks: "Do answers have a Date, and is a PUT without a body accepted?",
			Assumed: "a Date, and a PUT without a body is taken", Requests: 3, Ask: askAnswers,
			Answers: []Answer{
				{"a Date, and a PUT without a body is taken", nothing},
				{"no Date", "Keep this machine's clock right: the package cannot compare it with Plural's clock."},
				{"the clocks differ", "Run an NTP client, and set WithTolerance for webhooks until the clocks agree."},
				{"a PUT needs a body", "Please report it: the package sends cancels without a body."},
			},
		},
		{
			ID: "hold.lifetime", Asks: "What happened to a hold that nobody captured?",
			Needs: NeedKeptHold, Assumed: "still held", Requests: 1, Ask: askKeptHold,
			Answers: []Answer{
				{"still held", "Nothing to set. Ask again later, with -keep-hold."},
				{"CANCELLED", "Capture before the measured time is over. The order shows that the hold is gone."},
				{"FAILED", "Capture before the measured time is over. The order shows that the hold is gone."},
			},
		},
	}
}

// ofPayments lists the questions that need a payer. For some of these questions
// the probe changes a payment, for example with a cancel. The questions that
// need the same payment without the change come first.
func ofPayments() []Question {
	return []Question{
		{
			ID: "callback.key", Asks: "Which key is the payer's return signed with?",
			Needs: NeedReturn, Assumed: keyHex, Ask: askCallbackKey,
			Answers: []Answer{
				{keyHex, nothing},
				{keyCharacters, "Set WithCallbackKeys(plural.RawKey(secret))."},
				{keyBase64, "Set WithCallbackKeys(plural.Base64Key(secret))."},
				{keyAnother, "Ask Plural for the secret of callbacks, and give it to NewVerifier."},
			},
		},
		{
			ID: "callback.fields", Asks: "Which fields does the payer's return have, and which are signed?",
			Needs: NeedReturn, Assumed: "status", Ask: askCallbackFields,
			Answers: []Answer{
				{"status", nothing},
				{"payment_status", "Nothing to set: the package knows both names."},
				{"status, and fields without a value that are signed", "Nothing to set: the package tries both ways."},
				{"status, and fields without a value that are not signed", "Nothing to set: the package tries both ways."},
			},
		},
		{
			ID: "webhook.key", Asks: "Which key are webhooks signed with?",
			Needs: NeedWebhook, Assumed: keyCharacters, Ask: askWebhookKey,
			Answers: []Answer{
				{keyCharacters, nothing},
				{keyHex, "Nothing to set: the package also tries this key."},
				{keyBase64, "Set WithWebhookKeys(plural.Base64Key(secret))."},
				{keyAnother, "Give NewVerifier the dashboard's webhook secret with WithWebhookKeys."},
			},
		},
		{
			ID: "refund.of-hold", Asks: "How is a refund refused if nothing was captured yet?",
			Needs: NeedHeld, Assumed: "422 OPERATION_NOT_ALLOWED", Requests: 1, Ask: askRefundOfHold,
			Answers: possibleRefusals("422 OPERATION_NOT_ALLOWED", "400 INVALID_REQUEST"),
		},
		{
			ID: "capture.above-hold", Asks: "How is a capture refused if it is above the hold?",
			Needs: NeedHeld, Assumed: "422 AMOUNT_LIMIT_EXCEEDED", Requests: 1, Ask: askAboveHold,
			Answers: possibleRefusals("422 AMOUNT_LIMIT_EXCEEDED", "422 OPERATION_NOT_ALLOWED", "400 INVALID_REQUEST"),
		},
		{
			ID: "cancel.twice", Asks: "What happens to a second cancel of the same order?",
			Needs: NeedHeld, Assumed: "422 ORDER_CANCELLED", Requests: 2, Ask: askCancelTwice,
			Answers: []Answer{
				{"422 ORDER_CANCELLED", nothing},
				{"422 OPERATION_NOT_ALLOWED", readBack},
				{"the unchanged order", nothing},
			},
		},
		{
			ID: "capture.after-cancel", Asks: "How is a capture refused after the order was cancelled?",
			Needs: NeedHeld, Assumed: "422 ORDER_CANCELLED", Requests: 1, Ask: askAfterCancel,
			Answers: possibleRefusals("422 ORDER_CANCELLED", "422 OPERATION_NOT_ALLOWED"),
		},
		{
			ID: "capture.document", Asks: "What does an order show after a partial capture?",
			Needs: NeedPartTaken, Assumed: "PARTIALLY_CAPTURED, our reference at once",
			Requests: 2, Ask: askCaptureDocument,
			Answers: []Answer{
				{"PARTIALLY_CAPTURED, our reference at once", nothing},
				{
					"PROCESSED, our reference at once",
					"Nothing to set: the package reads the order's capture entries, and does not rely on its status.",
				},
				{"PARTIALLY_CAPTURED, our reference later", reads},
				{"PROCESSED, our reference later", reads},
				{"PARTIALLY_CAPTURED, our reference never", unseen},
				{"PROCESSED, our reference never", unseen},
			},
		},
		{
			ID: "capture.same-again", Asks: "What happens if the same capture is sent again?",
			Needs: NeedPartTaken, Assumed: "422 OPERATION_NOT_ALLOWED", Requests: 1, Ask: askSameAgain,
			Answers: []Answer{
				{"422 OPERATION_NOT_ALLOWED", nothing},
				{"422 DUPLICATE_REQUEST", readBack},
				{"the unchanged order", nothing},
			},
		},
		{
			ID: "capture.other-again", Asks: "Is a second capture refused while a part of the hold is left?",
			Needs: NeedPartTaken, Assumed: "422 OPERATION_NOT_ALLOWED", Requests: 1, Ask: askOtherAgain,
			Answers: []Answer{
				{"422 OPERATION_NOT_ALLOWED", nothing},
				{
					"it takes more",
					"Capture an order only once: a capture under another reference takes money again. Please report it.",
				},
			},
		},
		{
			ID: "capture.two-at-once", Asks: "If two captures come at the same time, is one of them refused?",
			Needs: NeedTwoTaken, Assumed: "one goes through", Requests: 3, Ask: askTwoCaptures,
			Answers: []Answer{
				{"one goes through", nothing},
				{
					"both go through",
					"Capture an order from one place, under one reference: two captures at once take money twice.",
				},
			},
		},
		{
			ID: "refund.duplicate", Asks: "What happens to a second refund under the same reference?",
			Needs: NeedPartTaken, Assumed: theSame, Requests: 2, Ask: askRefundDuplicate,
			Answers: []Answer{
				{theSame, nothing},
				{refused, "Nothing to set: the package finds the first refund by its reference."},
				{aSecond, "Set WithSingleRefundSend: a refund that is sent again pays twice."},
			},
		},
		{
			ID: "refund.two-at-once", Asks: "If two refunds under one reference come at the same time, is one made?",
			Needs: NeedPartTaken, Assumed: "one refund", Requests: 2, Ask: askTwoRefunds,
			Answers: []Answer{
				{"one refund", nothing},
				{"two refunds", "Set WithSingleRefundSend, and refund an order from one place at a time."},
			},
		},
		{
			ID: "refund.listed", Asks: "How soon after its creation can a refund be found?",
			Needs: NeedPartTaken, Assumed: "at once", Requests: 3, Ask: askRefundListed,
			Answers: []Answer{
				{"at once", nothing},
				{"later", "Set WithSingleRefundSend if the measured lag is above three seconds."},
				{"not listed", "Look refunds up by their reference: the order does not list them."},
			},
		},
		{
			ID: "refund.above-rest", Asks: "How is a refund refused if it is above the captured sum?",
			Needs: NeedPartTaken, Assumed: "422 AMOUNT_LIMIT_EXCEEDED", Requests: 1, Ask: askRefundAbove,
			Answers: possibleRefusals("422 AMOUNT_LIMIT_EXCEEDED", "422 OPERATION_NOT_ALLOWED", "400 INVALID_REQUEST"),
		},
		{
			ID: "webhook.again", Asks: "How does a webhook come again after it was answered with 500?",
			Needs: NeedWebhook, Assumed: "with a new stamp", Ask: askWebhookAgain,
			Answers: []Answer{
				{"with a new stamp", nothing},
				{
					"with the first stamp",
					"Set WithTolerance(29*time.Hour), and use a durable Deduper: late redeliveries have the first stamp.",
				},
				{"under another id", "Record handled events by order and event type: a repeated event has a new id."},
				{"it does not come again", "Let a job read the orders that stay open: Plural does not repeat a missed webhook."},
			},
		},
	}
}

// ofSettlements lists the questions that need a settlement.
func ofSettlements() []Question {
	return []Question{
		{
			ID: "settlement.days", Asks: "Which date of a settlement has to be in the given days, and does the last day count?",
			Needs: NeedSettled, Assumed: "the last day counts, by the settled date",
			Requests: 4, Ask: askSettlementDays,
			Answers: []Answer{
				{"the last day counts, by the settled date", nothing},
				{
					"the last day counts, by the processed date",
					"Ask for a few days more than you need, and select by SettledDate.",
				},
				{"the last day does not count", "Nothing to set: the package asks for one more day."},
			},
		},
		{
			ID: "settlement.totals", Asks: "Do the totals of a list count one page or all pages?",
			Needs: NeedSettled, Assumed: "of all pages", Requests: 2, Ask: askSettlementTotals,
			Answers: []Answer{
				{"of all pages", nothing},
				{"of the page", "Please report it: the package may not notice rows that move while it reads."},
			},
		},
		{
			ID: "settlement.lines", Asks: "Which ids do the lines of a settlement have?",
			Needs: NeedSettled, Assumed: "ids of payments", Requests: 2, Ask: askSettlementLines,
			Answers: []Answer{
				{"ids of payments", nothing},
				{"ids of orders", "Look lines up by the order's id, not by a payment's id."},
			},
		},
	}
}

// possibleRefusals returns the possible answers to a question that asks how
// Plural refuses a request. After an answer other than the assumed one, there
// is nothing to set, because the package reads the order.
func possibleRefusals(assumed string, others ...string) []Answer {
	answers := append(make([]Answer, 0, 1+len(others)), Answer{assumed, nothing})
	for _, other := range others {
		answers = append(answers, Answer{other, readBack})
	}
	return answers
}

// notAsked lists the open questions that this program cannot ask an account.
func notAsked() []Question {
	return []Question{
		{ID: "refund.window", Asks: "For how long can an order be refunded?"},
		{ID: "refund.bank", Asks: "How long does a refund stay PENDING, and can it end CANCELLED?"},
		{ID: "settlement.refunds", Asks: "In a settlement, which sign and id do the lines of refunds and chargebacks have?"},
		{ID: "link.status", Asks: "Which status does a payment link have after a hold, a capture or a refund?"},
		{ID: "fees.sum", Asks: "After the payment, which amount of the order includes a convenience fee?"},
		{ID: "offers.settled", Asks: "Who pays for an offer's discount in a settlement?"},
		{ID: "customer.duplicate", Asks: "What happens to a second customer under the same reference?"},
		{ID: "payment.upi", Asks: "Are these answers the same for UPI? (On UAT, UPI can move real money.)"},
		{ID: "subscription.charge", Asks: "Which charge of a subscription does the event SUBSCRIPTION_CHARGED report?"},
		{ID: "payout.lost", Asks: "Can a payout be found if its answer was lost?"},
	}
}
