package plural

// EventType is what a webhook is about. It is an open enum: a type that this
// package does not know is kept as it came.
type EventType string

// The event types of Plural's webhook documentation, available events. Order,
// payment and refund events carry an order; see [Event.Order]. There is no
// event for captures: a capture shows as ORDER_PROCESSED, and a partial one as
// ORDER_PROCESSED with an order that is PARTIALLY_CAPTURED.
const (
	EventOrderAuthorized EventType = "ORDER_AUTHORIZED"
	EventOrderProcessed  EventType = "ORDER_PROCESSED"
	EventOrderCancelled  EventType = "ORDER_CANCELLED"
	EventOrderFailed     EventType = "ORDER_FAILED"

	EventPaymentFailed EventType = "PAYMENT_FAILED" // the payer may try again while the order is ATTEMPTED

	EventRefundProcessed EventType = "REFUND_PROCESSED"
	EventRefundFailed    EventType = "REFUND_FAILED"

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

// IsKnown reports whether the type is one that this package has a constant for.
func (t EventType) IsKnown() bool {
	switch t {
	case EventOrderAuthorized, EventOrderProcessed, EventOrderCancelled, EventOrderFailed,
		EventPaymentFailed,
		EventRefundProcessed, EventRefundFailed,
		EventCustomerActivated, EventCustomerDeleted, EventCustomerSuspended, EventCustomerCreationFailed,
		EventTokenActivated, EventTokenDeactivated, EventTokenSuspended, EventTokenProvisionFailed,
		EventSubscriptionActivated, EventSubscriptionPending, EventSubscriptionPaused, EventSubscriptionResumed,
		EventSubscriptionCompleted, EventSubscriptionCharged, EventSubscriptionHalted, EventSubscriptionCancelled,
		EventSubscriptionRevokeFailed, EventSubscriptionUpdated, EventSubscriptionUpdateFailed,
		EventPayoutTransactionSuccess, EventPayoutTransactionFailed:
		return true
	}
	return false
}
