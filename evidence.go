package plural

// evidence is a row of the table of finals: what Plural's books have to show
// before a write has a final answer. Without a row there is no final answer.
// docs/finals.md has the same rows.
//
// The code of an answer is never evidence: it only says what to do next. A
// missing entry is not evidence either, because replicas lag and documents
// leave things out.
type evidence struct {
	of      string // the operation that it is about
	shows   string // what the books show
	because string // why this rules out the write
	is      error  // ErrNotApplied, ErrConflict, or ErrNoHold, which is an ErrConflict
	twice   bool   // looks over lookSpan have to agree; otherwise one is enough
}

// The rows.
//
//nolint:gochecknoglobals // constants in all but name
var (
	rowCaptureOfEnded = &evidence{
		of:      "capture",
		shows:   "the order is CANCELLED or FAILED, and no payment has a capture entry",
		because: "an order in these statuses never changes again",
		is:      ErrNotApplied,
	}
	rowCaptureByOther = &evidence{
		of:      "capture",
		shows:   "every settled payment is captured, all under other references, and no payment is AUTHORIZED or PENDING",
		because: "an order is captured once",
		is:      ErrNotApplied,
		twice:   true,
	}
	rowCaptureTooMuch = &evidence{
		of:      "capture",
		shows:   "the amount is more than the AUTHORIZED payments add up to, and more than order_amount",
		because: "Plural captures no more than is on hold; this does not count if its refusal was about the order's state",
		is:      ErrNotApplied,
		twice:   true,
	}
	rowCaptureDiffers = &evidence{
		of:      "capture",
		shows:   "the one payment that is captured has an entry of this reference with another amount",
		because: "an order is captured once, and this was the capture",
		is:      ErrConflict,
	}
	rowCapturesDiffer = &evidence{
		of:      "capture",
		shows:   "the entries of this reference, on every settled payment, add up to another amount",
		because: "an order is captured once, and this was the capture",
		is:      ErrConflict,
		twice:   true,
	}
	rowNoHold = &evidence{
		of:      "capture",
		shows:   "the order is paid by payments that succeeded, none has a capture entry, and Plural rejected the capture",
		because: "the money was taken, and the books do not show by which capture",
		is:      ErrNoHold,
		twice:   true,
	}
	rowCancelOfFailed = &evidence{
		of:      "cancel",
		shows:   "the order is FAILED, and no payment has a capture entry",
		because: "an order in this status never changes again",
		is:      ErrNotApplied,
	}
	rowCancelOfTaken = &evidence{
		of:      "cancel",
		shows:   "what was taken adds up to the order's whole amount",
		because: "nothing is left that could be released",
		is:      ErrNotApplied,
		twice:   true,
	}
	rowRefundFailed = &evidence{
		of:      "refund",
		shows:   "the refund of this reference is FAILED or CANCELLED, surely newer than the request, and no other is listed",
		because: "a refund in these statuses never changes again, and a new one needs a new reference",
		is:      ErrNotApplied,
		twice:   true,
	}
	rowRefundTooMuch = &evidence{
		of:      "refund",
		shows:   "the list of refunds adds up to the order's status, and its PROCESSED ones leave less than the amount",
		because: "Plural refunds no more than was captured; this does not count if its refusal was about the order's state",
		is:      ErrNotApplied,
		twice:   true,
	}
	rowRefundOfNothing = &evidence{
		of:      "refund",
		shows:   "the order is CANCELLED or FAILED, and nothing was taken by it",
		because: "such an order never changes again, so there is nothing to give back",
		is:      ErrNotApplied,
		twice:   true,
	}
	rowRefundDiffers = &evidence{
		of:      "refund",
		shows:   "the refund of this reference has another amount",
		because: "Plural documents one refund for each reference, and this was the refund",
		is:      ErrConflict,
	}
	rowRefundIsOther = &evidence{
		of:      "refund",
		shows:   "the reference is that of another order, or of a refund of another order",
		because: "orders and refunds share their references",
		is:      ErrConflict,
	}
	rowRefundDouble = &evidence{
		of:      "refund",
		shows:   "two refunds of this reference are PROCESSED, PENDING or CREATED",
		because: "the payer has the money twice",
		is:      ErrConflict,
	}
	rowOrderDiffers = &evidence{
		of:      "create order",
		shows:   "the order of this reference has another amount, type or, while it is unpaid, pre_auth",
		because: "the reference belongs to that order",
		is:      ErrConflict,
	}

	rowLinkDiffers = &evidence{
		of:      "create payment link",
		shows:   "the link of this reference has another amount or, where it says so, another pre_auth",
		because: "the reference belongs to that link",
		is:      ErrConflict,
	}
	rowLinkDouble = &evidence{
		of:      "create payment link",
		shows:   "two links have this reference",
		because: "the customer can pay both",
		is:      ErrConflict,
	}
	rowLinkPaid = &evidence{
		of:      "cancel payment link",
		shows:   "the link's order was held or paid, in full or in part",
		because: "the payer was faster",
		is:      ErrConflict,
	}
	rowLinkExpired = &evidence{
		of:      "cancel payment link",
		shows:   "the link is EXPIRED, and its order shows no payment that has come or is under way",
		because: "a link in this status never changes again; the order is read for who paid before",
		is:      ErrNotApplied,
		twice:   true,
	}

	allEvidence = []*evidence{
		rowCaptureOfEnded, rowCaptureByOther, rowCaptureTooMuch, rowCaptureDiffers, rowCapturesDiffer, rowNoHold,
		rowCancelOfFailed, rowCancelOfTaken,
		rowRefundFailed, rowRefundTooMuch, rowRefundOfNothing, rowRefundDiffers, rowRefundIsOther, rowRefundDouble,
		rowOrderDiffers,
		rowLinkDiffers, rowLinkDouble, rowLinkPaid, rowLinkExpired,
	}
)
