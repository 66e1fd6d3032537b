package plural

// OrderType distinguishes orders from refunds: in this API a refund is an order
// of type REFUND.
type OrderType string

// The types of an order.
const (
	OrderTypeCharge OrderType = "CHARGE"
	OrderTypeRefund OrderType = "REFUND"
)

// OrderStatus is the state of an order. It is an open enum: a status that this
// package does not know is kept as sent.
type OrderStatus string

// The statuses of an order. A refund, which is an order too, is CREATED,
// PENDING, PROCESSED or FAILED.
const (
	OrderStatusCreated           OrderStatus = "CREATED"            // no payment yet
	OrderStatusPending           OrderStatus = "PENDING"            // a payment is under way
	OrderStatusAttempted         OrderStatus = "ATTEMPTED"          // a payment failed, the payer may try again
	OrderStatusAuthorized        OrderStatus = "AUTHORIZED"         // money is on hold: capture or cancel it
	OrderStatusProcessed         OrderStatus = "PROCESSED"          // paid, or captured in full
	OrderStatusPartiallyCaptured OrderStatus = "PARTIALLY_CAPTURED" // captured in part, the rest of the hold was released
	OrderStatusCancelled         OrderStatus = "CANCELLED"          // voided or abandoned
	OrderStatusFailed            OrderStatus = "FAILED"             // no payment, and no more attempts
	OrderStatusPartiallyRefunded OrderStatus = "PARTIALLY_REFUNDED"
	OrderStatusFullyRefunded     OrderStatus = "FULLY_REFUNDED"
)

// orderStatuses has the meaning of each status in words, for people.
//
//nolint:gochecknoglobals // this map never changes
var orderStatuses = map[OrderStatus]string{
	OrderStatusCreated:           "not paid yet",
	OrderStatusPending:           "a payment is under way",
	OrderStatusAttempted:         "a payment failed, the payer may try again",
	OrderStatusAuthorized:        "the money is on hold",
	OrderStatusProcessed:         "paid",
	OrderStatusPartiallyCaptured: "paid in part, the rest was released",
	OrderStatusCancelled:         "cancelled",
	OrderStatusFailed:            "failed",
	OrderStatusPartiallyRefunded: "refunded in part",
	OrderStatusFullyRefunded:     "refunded",
}

// IsKnown reports whether this package has a constant for the status.
func (s OrderStatus) IsKnown() bool { return orderStatuses[s] != "" }

// IsTerminal reports whether an order in this status never changes again:
// CANCELLED, FAILED or FULLY_REFUNDED. A paid order is not terminal, because it
// can be refunded. A refund that is PROCESSED never changes again. But the
// status alone does not show whether it belongs to a refund or to an order. So
// PROCESSED is not terminal. An unknown status is not terminal.
func (s OrderStatus) IsTerminal() bool {
	return s == OrderStatusCancelled || s == OrderStatusFailed || s == OrderStatusFullyRefunded
}

// isUnpaid reports whether an order in this status is not paid yet, but may
// still be paid.
func (s OrderStatus) isUnpaid() bool {
	return s == OrderStatusCreated || s == OrderStatusPending || s == OrderStatusAttempted
}

// Text describes an order's state in a few English words, for pages that the
// merchant's staff see. It returns "" for a status that this package does not
// know.
func (s OrderStatus) Text() string { return orderStatuses[s] }

// PaymentStatus is the state of one payment of an order. It is an open enum.
type PaymentStatus string

// The statuses of a payment. There is no status CAPTURED: a captured payment is
// PROCESSED, even after a partial capture.
const (
	PaymentStatusPending    PaymentStatus = "PENDING"
	PaymentStatusAuthorized PaymentStatus = "AUTHORIZED"
	PaymentStatusCancelled  PaymentStatus = "CANCELLED"
	PaymentStatusProcessed  PaymentStatus = "PROCESSED"
	PaymentStatusFailed     PaymentStatus = "FAILED"
)

// All code that adds up captures uses the next three functions to decide which
// payments count. Payments that were refunded later still count. A status that
// fits none of the three functions is unclear.

// isSettled reports whether the payment's money was taken.
func (s PaymentStatus) isSettled() bool {
	return s == PaymentStatusProcessed || s == PaymentStatus(OrderStatusPartiallyRefunded) ||
		s == PaymentStatus(OrderStatusFullyRefunded)
}

// isUnderWay reports whether the payment's money may still be taken.
func (s PaymentStatus) isUnderWay() bool {
	return s == PaymentStatusPending || s == PaymentStatusAuthorized
}

// hasEnded reports whether the payment ended without success.
func (s PaymentStatus) hasEnded() bool {
	return s == PaymentStatusFailed || s == PaymentStatusCancelled
}

// PaymentMethod is how the payer pays. It is an open enum.
type PaymentMethod string

// The payment methods. On the hosted checkout, money can be held
// (pre-authorisation) only for payments by card. Elsewhere, payments by points
// can be held as well.
const (
	PaymentMethodCard        PaymentMethod = "CARD"
	PaymentMethodUPI         PaymentMethod = "UPI"
	PaymentMethodPoints      PaymentMethod = "POINTS"
	PaymentMethodNetbanking  PaymentMethod = "NETBANKING"
	PaymentMethodWallet      PaymentMethod = "WALLET"
	PaymentMethodCreditEMI   PaymentMethod = "CREDIT_EMI"
	PaymentMethodDebitEMI    PaymentMethod = "DEBIT_EMI"
	PaymentMethodCardlessEMI PaymentMethod = "CARDLESS_EMI"
	PaymentMethodBNPL        PaymentMethod = "BNPL"
)

// IntegrationMode is how the checkout is shown. It is an open enum. Some values
// occur only in requests, and SEAMLESS occurs only in responses.
type IntegrationMode string

// The integration modes. Requests take REDIRECT (the default), IFRAME (needed
// for the JavaScript embed) and SDK; responses say REDIRECT or SEAMLESS.
const (
	IntegrationModeRedirect IntegrationMode = "REDIRECT"
	IntegrationModeIframe   IntegrationMode = "IFRAME"
	IntegrationModeSDK      IntegrationMode = "SDK"
	IntegrationModeSeamless IntegrationMode = "SEAMLESS"
)

// mayBeHeld reports whether the money of a payment by this method may have been
// on hold.
func (m PaymentMethod) mayBeHeld() bool {
	return m != PaymentMethodUPI && m != PaymentMethodNetbanking && m != PaymentMethodWallet
}

// EventType is the kind of event that a webhook reports. It is an open enum: a
// type that this package does not know is kept as sent.
type EventType string

// The event types (Plural's webhook documentation, available events). Order,
// payment and refund events carry an order; see [Event.Order]. There is no
// event for captures. Plural reports a capture as ORDER_PROCESSED. After a
// partial capture, the order in that event is PARTIALLY_CAPTURED.
const (
	EventOrderAuthorized EventType = "ORDER_AUTHORIZED"
	EventOrderProcessed  EventType = "ORDER_PROCESSED"
	EventOrderCancelled  EventType = "ORDER_CANCELLED"
	EventOrderFailed     EventType = "ORDER_FAILED"

	EventPaymentFailed EventType = "PAYMENT_FAILED" // the payer may try again while the order is ATTEMPTED

	EventRefundProcessed EventType = "REFUND_PROCESSED"
	EventRefundFailed    EventType = "REFUND_FAILED"

	// Plural's documentation does not name these two events. Other sources name
	// these events, but no source shows what the events contain.
	EventOrderSettled            EventType = "ORDER_SETTLED"
	EventOrderSettlementRejected EventType = "ORDER_SETTLEMENT_REJECTED"

	EventCustomerActivated      EventType = "CUSTOMER_ACTIVATED"
	EventCustomerDeleted        EventType = "CUSTOMER_DELETED"
	EventCustomerSuspended      EventType = "CUSTOMER_SUSPENDED"
	EventCustomerCreationFailed EventType = "CUSTOMER_CREATION_FAILED"

	EventTokenActivated       EventType = "TOKEN_ACTIVATED"
	EventTokenDeactivated     EventType = "TOKEN_DEACTIVATED"
	EventTokenSuspended       EventType = "TOKEN_SUSPENDED"
	EventTokenProvisionFailed EventType = "TOKEN_PROVISION_FAILED"

	EventSubscriptionActivated    EventType = "SUBSCRIPTION_ACTIVATED"
	EventSubscriptionPending      EventType = "SUBSCRIPTION_PENDING"
	EventSubscriptionPaused       EventType = "SUBSCRIPTION_PAUSED"
	EventSubscriptionResumed      EventType = "SUBSCRIPTION_RESUMED"
	EventSubscriptionCompleted    EventType = "SUBSCRIPTION_COMPLETED"
	EventSubscriptionCharged      EventType = "SUBSCRIPTION_CHARGED"
	EventSubscriptionHalted       EventType = "SUBSCRIPTION_HALTED"
	EventSubscriptionCancelled    EventType = "SUBSCRIPTION_CANCELLED"
	EventSubscriptionRevokeFailed EventType = "SUBSCRIPTION_REVOKE_FAILED"
	EventSubscriptionUpdated      EventType = "SUBSCRIPTION_UPDATED"
	EventSubscriptionUpdateFailed EventType = "SUBSCRIPTION_UPDATE_FAILED"

	EventPayoutTransactionSuccess EventType = "payout-transaction-success"
	EventPayoutTransactionFailed  EventType = "payout-transaction-failed"
)

// IsKnown reports whether this package has a constant for the type.
func (t EventType) IsKnown() bool {
	switch t {
	case EventOrderAuthorized, EventOrderProcessed, EventOrderCancelled, EventOrderFailed, EventPaymentFailed,
		EventRefundProcessed, EventRefundFailed, EventOrderSettled, EventOrderSettlementRejected, EventCustomerActivated,
		EventCustomerDeleted, EventCustomerSuspended, EventCustomerCreationFailed, EventTokenActivated,
		EventTokenDeactivated, EventTokenSuspended, EventTokenProvisionFailed, EventSubscriptionActivated,
		EventSubscriptionPending, EventSubscriptionPaused, EventSubscriptionResumed, EventSubscriptionCompleted,
		EventSubscriptionCharged, EventSubscriptionHalted, EventSubscriptionCancelled, EventSubscriptionRevokeFailed,
		EventSubscriptionUpdated, EventSubscriptionUpdateFailed, EventPayoutTransactionSuccess,
		EventPayoutTransactionFailed:
		return true
	}
	return false
}

// PaymentLinkStatus is the state of a payment link. It is an open enum. No
// status proves that money was paid or is on hold: read the order.
type PaymentLinkStatus string

// The statuses of a payment link. Plural does not publish which status a link
// has while its payment is on hold.
const (
	PaymentLinkStatusCreated          PaymentLinkStatus = "CREATED"           // nobody has opened it
	PaymentLinkStatusClicked          PaymentLinkStatus = "CLICKED"           // it was opened
	PaymentLinkStatusPaymentInitiated PaymentLinkStatus = "PAYMENT_INITIATED" // a payment was begun, but not completed
	PaymentLinkStatusProcessed        PaymentLinkStatus = "PROCESSED"         // reports a payment; read the order
	PaymentLinkStatusPartialProcessed PaymentLinkStatus = "PARTIAL_PROCESSED" // reports a part payment; read the order
	PaymentLinkStatusExpired          PaymentLinkStatus = "EXPIRED"           // the link's time limit has passed
	PaymentLinkStatusCancelled        PaymentLinkStatus = "CANCELLED"         // it was withdrawn
)

// IsKnown reports whether this package has a constant for the status.
func (s PaymentLinkStatus) IsKnown() bool {
	switch s {
	case PaymentLinkStatusCreated, PaymentLinkStatusClicked, PaymentLinkStatusPaymentInitiated,
		PaymentLinkStatusPartialProcessed, PaymentLinkStatusProcessed, PaymentLinkStatusExpired,
		PaymentLinkStatusCancelled:
		return true
	}
	return false
}

// IsTerminal reports whether a link in this status never changes again. The
// link's order may still change: it can be captured, cancelled and refunded.
func (s PaymentLinkStatus) IsTerminal() bool {
	return s == PaymentLinkStatusProcessed || s == PaymentLinkStatusExpired || s == PaymentLinkStatusCancelled
}
