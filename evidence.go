package plural

// The type evidence is one row of the table in docs/finals.md. A row describes
// what Plural's books have to show before a call returns a final answer. If no
// row describes what the books show, the answer is not final.
//
// An error code alone never makes an answer final. The code only shows what to
// do next. A missing entry alone does not make an answer final either, because
// replicas lag and documents may be incomplete.
type evidence struct {
	of             string // the operation that the row is about
	is             error  // ErrNotApplied, ErrConflict, or ErrNoHold, which is an ErrConflict
	needsAgreement bool   // true: all reads of the books during lookSpan have to agree; false: one read is enough
	shows          string // what the books show
	because        string // the reason why an answer with this evidence is final
}

// The rows.
//
//nolint:gochecknoglobals // these values never change
var (
	rowCaptureOfEnded = &evidence{
		of: "capture", is: ErrNotApplied,
		shows:   "the order is CANCELLED or FAILED, and no payment has a capture entry",
		because: "an order in these statuses never changes again",
	}
	rowCaptureByOther = &evidence{
		of: "capture", is: ErrNotApplied, needsAgreement: true,
		shows: "every settled payment has a capture entry. " +
			"Each entry has the reference of another capture. No payment is AUTHORIZED or PENDING",
		because: "an order is captured once",
	}
	rowCaptureTooMuch = &evidence{
		of: "capture", is: ErrNotApplied, needsAgreement: true,
		shows: "the amount is more than the sum of the AUTHORIZED payments, and more than order_amount",
		because: "Plural captures no more than is on hold. " +
			"But this row does not apply if Plural refused the capture " +
			"because of the order's state or an earlier request",
	}
	rowCaptureDiffers = &evidence{
		of: "capture", is: ErrConflict,
		shows: "the order has one settled payment. " +
			"The amount in its capture entry with this reference is not the amount that was asked for",
		because: "an order is captured once, and the books already show that capture",
	}
	rowCapturesDiffer = &evidence{
		of: "capture", is: ErrConflict, needsAgreement: true,
		shows: "the order has several settled payments. " +
			"The amounts in the capture entries with this reference do not add up to the amount that was asked for",
		because: "an order is captured once, and the books already show that capture",
	}
	rowNoHold = &evidence{
		of: "capture", is: ErrNoHold, needsAgreement: true,
		shows: "the order is paid, and no payment has a capture entry. " +
			"Either Plural rejected the capture, or nothing was sent",
		because: "the money was taken, and the books do not show by which capture",
	}
	rowCancelOfFailed = &evidence{
		of: "cancel", is: ErrNotApplied,
		shows:   "the order is FAILED, and no payment has a capture entry",
		because: "an order in this status never changes again",
	}
	rowCancelOfTaken = &evidence{
		of: "cancel", is: ErrNotApplied, needsAgreement: true,
		shows:   "the amounts that were taken add up to the order's whole amount",
		because: "nothing is left that could be released",
	}
	rowRefundFailed = &evidence{
		of: "refund", is: ErrNotApplied, needsAgreement: true,
		shows: "all refunds of this reference are FAILED or CANCELLED, and the newest one is newer than the request. " +
			"If the order lists refunds without a reference, these are FAILED or CANCELLED, too",
		because: "a refund in these statuses never changes again, and a new one needs a new reference",
	}
	rowRefundTooMuch = &evidence{
		of: "refund", is: ErrNotApplied, needsAgreement: true,
		shows: "the refunds in the order's document agree with the order's status. " +
			"The amount of this refund is more than the captured amount minus the PROCESSED refunds",
		because: "Plural refunds no more than was captured. " +
			"But this row does not apply if Plural refused the refund " +
			"because of the order's state or an earlier request",
	}
	rowRefundOfNothing = &evidence{
		of: "refund", is: ErrNotApplied, needsAgreement: true,
		shows:   "the order is CANCELLED or FAILED, and no money was taken for it",
		because: "such an order never changes again, so there is nothing to give back",
	}
	rowRefundDiffers = &evidence{
		of: "refund", is: ErrConflict,
		shows: "the refund of this reference has another amount",
		because: "by Plural's documentation a reference is used for one refund only, " +
			"and the books already show that refund",
	}
	rowRefundIsOther = &evidence{
		of: "refund", is: ErrConflict,
		shows:   "the reference is that of another order, or of a refund of another order",
		because: "a reference belongs to only one order or refund",
	}
	rowRefundDouble = &evidence{
		of: "refund", is: ErrConflict,
		shows:   "two refunds of this reference are PROCESSED, PENDING or CREATED",
		because: "the payer has the money twice",
	}
	rowOrderDiffers = &evidence{
		of: "create order", is: ErrConflict,
		shows: "the reference belongs to a refund, to an order with another amount, " +
			"or to an unpaid order with another pre_auth",
		because: "the reference belongs to that order or refund",
	}

	rowLinkDiffers = &evidence{
		of: "create payment link", is: ErrConflict,
		shows:   "the link of this reference has another amount, or shows another pre_auth",
		because: "the reference belongs to that link",
	}
	rowLinkDouble = &evidence{
		of: "create payment link", is: ErrConflict,
		shows:   "two links have this reference",
		because: "the customer can pay both",
	}
	rowLinkPaid = &evidence{
		of: "cancel payment link", is: ErrConflict,
		shows:   "the link's order was held or paid, in full or in part",
		because: "the payer paid before the link was cancelled",
	}
	rowLinkExpired = &evidence{
		of: "cancel payment link", is: ErrNotApplied, needsAgreement: true,
		shows:   "the link is EXPIRED. Its order is CANCELLED, or nobody has paid the order and no payment is under way",
		because: "a link in this status never changes again, and the order shows whether somebody paid before",
	}

	allEvidence = []*evidence{
		rowCaptureOfEnded, rowCaptureByOther, rowCaptureTooMuch, rowCaptureDiffers, rowCapturesDiffer, rowNoHold,
		rowCancelOfFailed, rowCancelOfTaken,
		rowRefundFailed, rowRefundTooMuch, rowRefundOfNothing, rowRefundDiffers, rowRefundIsOther, rowRefundDouble,
		rowOrderDiffers,
		rowLinkDiffers, rowLinkDouble, rowLinkPaid, rowLinkExpired,
	}
)
