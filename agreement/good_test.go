package agreement_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The type goodBooks has a document, and the amounts that the package must
// report for the document.
type goodBooks struct {
	name  string
	books books
	// These are the expected amounts:
	//
	//   - captured
	//   - held: may still be captured
	//   - refunded
	//   - refunding: the amount of those refunds that are still on their way;
	//     the refunded amount includes it
	//   - left: may still be refunded
	//
	// If an amount is nil, the test does not check it. If an amount is told{},
	// the package must report that the amount is not known.
	captured, held, refunded, refunding, left *told
	paid                                      bool // Expected.Check must return nil
	canCapture, canRefund                     bool
}

func plainlyGood() []goodBooks {
	pay := func(method, status string, paise int64, entries ...bookEntry) leg {
		return leg{method: method, status: status, amount: rupees(paise), entries: entries}
	}
	card := func(entries ...bookEntry) []leg { return []leg{pay("CARD", "PROCESSED", 2000, entries...)} }
	entry := func(paise int64) bookEntry { return bookEntry{ours, rupees(paise)} }
	garbled := pay("UPI", "FAILED", 0)
	garbled.amount = money{currency: "INR", garbled: true}
	foreign := pay("CARD", "PROCESSED", 24, entry(2000))
	foreign.amount.currency, foreign.base = "USD", rupees(2000)
	offer, fee := pay("CREDIT_EMI", "PROCESSED", 1700), pay("UPI", "PROCESSED", 2200)
	offer.extra, offer.explains, fee.extra, fee.explains = offered, true, charged, true
	refund := func(id, status string, paise int64) bookRefund {
		return bookRefund{id, "refund-" + id[4:], status, rupees(paise)}
	}
	done, all, under := refund("v1-r1", "PROCESSED", 500), refund("v1-r1", "PROCESSED", 2000), refund("v1-r1", "PENDING", 500)
	is, no := func(paise int64) *told { return new(knownToBe(paise)) }, new(told{})
	none := []bookRefund{}
	return []goodBooks{
		{
			name: "captured in full", books: books{status: "PROCESSED", legs: card(entry(2000)), refunds: none},
			captured: is(2000), held: is(0), refunded: is(0), refunding: is(0), left: is(2000), paid: true, canRefund: true,
		},
		{
			name: "captured in full, no list of refunds", books: books{status: "PROCESSED", legs: card(entry(2000))},
			captured: is(2000), held: is(0), refunded: is(0), left: is(2000), paid: true, canRefund: true,
		},
		{
			name: "captured in part", books: books{status: "PARTIALLY_CAPTURED", legs: card(entry(500))},
			captured: is(500), held: is(0), refunded: is(0), left: is(500), canRefund: true,
		},
		{
			name: "points and card", books: books{status: "PROCESSED", legs: []leg{
				pay("POINTS", "PROCESSED", 500, entry(500)), pay("CARD", "PROCESSED", 1500, entry(1500)),
			}},
			captured: is(2000), held: is(0), left: is(2000), paid: true, canRefund: true,
		},
		{
			name: "points and card in part", books: books{status: "PARTIALLY_CAPTURED", legs: []leg{
				pay("POINTS", "PROCESSED", 500, entry(200)), pay("CARD", "PROCESSED", 1500, entry(300)),
			}},
			captured: is(500), held: is(0), left: is(500), canRefund: true,
		},
		{
			name: "by UPI", books: books{status: "PROCESSED", preAuth: "false", legs: []leg{pay("UPI", "PROCESSED", 2000)}},
			captured: is(2000), held: is(0), left: is(2000), paid: true, canRefund: true,
		},
		{
			name:     "by UPI less a coupon",
			books:    books{status: "PROCESSED", coupon: rupees(500), legs: []leg{pay("UPI", "PROCESSED", 1500)}},
			captured: is(1500), held: is(0), left: is(1500), paid: true, canRefund: true,
		},
		{
			name:     "by UPI after a failed attempt without an amount",
			books:    books{status: "PROCESSED", legs: []leg{garbled, pay("UPI", "PROCESSED", 2000)}},
			captured: is(2000), held: is(0), left: is(2000), paid: true, canRefund: true,
		},
		{
			name: "by a foreign card", books: books{status: "PROCESSED", legs: []leg{foreign}},
			captured: is(2000), held: is(0), left: is(2000), paid: true, canRefund: true,
		},
		{
			name:  "on hold",
			books: books{status: "AUTHORIZED", preAuth: "true", legs: []leg{pay("CARD", "AUTHORIZED", 2000)}},
			held:  is(2000), paid: true, canCapture: true,
		},
		{
			name:  "on hold, pre_auth absent",
			books: books{status: "AUTHORIZED", legs: []leg{pay("CARD", "AUTHORIZED", 2000)}},
			held:  is(2000), paid: true, canCapture: true,
		},
		{
			name: "on hold, two legs", books: books{status: "AUTHORIZED", preAuth: "true", legs: []leg{
				pay("POINTS", "AUTHORIZED", 500), pay("CARD", "AUTHORIZED", 1500),
			}},
			held: is(2000), paid: true, canCapture: true,
		},
		{name: "on hold less a coupon", books: books{status: "AUTHORIZED", preAuth: "true", coupon: rupees(500), legs: []leg{
			pay("CARD", "AUTHORIZED", 1500),
		}}, held: is(1500), paid: true, canCapture: true},
		{
			name:     "refunded in part",
			books:    books{status: "PARTIALLY_REFUNDED", legs: card(entry(2000)), refunds: []bookRefund{done}},
			captured: is(2000), held: is(0), refunded: is(500), refunding: is(0), left: is(1500), canRefund: true,
		},
		{name: "refunded in part, one line for each leg", books: books{
			status: "PARTIALLY_REFUNDED", legs: card(entry(2000)),
			refunds: []bookRefund{done, done},
		}, captured: is(2000), refunded: is(500), refunding: is(0), left: is(1500), canRefund: true},
		{
			name:     "refunded in whole",
			books:    books{status: "FULLY_REFUNDED", legs: card(entry(2000)), refunds: []bookRefund{all}},
			captured: is(2000), held: is(0), refunded: is(2000), refunding: is(0), left: is(0),
		},
		{
			name:     "captured in part, and all of that refunded",
			books:    books{status: "FULLY_REFUNDED", legs: card(entry(500)), refunds: []bookRefund{done}},
			captured: is(500), held: is(0), refunded: is(500), left: is(0),
		},
		{
			name:     "a refund on its way",
			books:    books{status: "PROCESSED", legs: card(entry(2000)), refunds: []bookRefund{under}},
			captured: is(2000), refunded: is(500), refunding: is(500), left: is(1500), paid: true, canRefund: true,
		},
		{name: "by netbanking, refunded in whole", books: books{
			status: "FULLY_REFUNDED", legs: []leg{pay("NETBANKING", "PROCESSED", 2000)},
			refunds: []bookRefund{all},
		}, captured: is(2000), refunded: is(2000), left: is(0)},

		{
			name: "5.00 of 20.00 paid", books: books{status: "PROCESSED", legs: []leg{pay("UPI", "PROCESSED", 500)}},
			captured: no, left: no, canRefund: true,
		},
		{
			name: "the only payment failed", books: books{status: "PROCESSED", legs: []leg{pay("CARD", "FAILED", 2000)}},
			captured: no, left: no,
		},
		{name: "a hold whose only payment failed", books: books{status: "AUTHORIZED", preAuth: "true", legs: []leg{
			pay("CARD", "FAILED", 2000),
		}}, held: no},
		{
			name:  "a hold of 17.00",
			books: books{status: "AUTHORIZED", preAuth: "true", legs: []leg{pay("CARD", "AUTHORIZED", 1700)}},
			held:  no, canCapture: true,
		},
		{
			name: "a hold of nothing", books: books{status: "AUTHORIZED", preAuth: "true", legs: []leg{}},
			held: no, canCapture: true,
		},
		{name: "a leg without its entry", books: books{status: "PROCESSED", legs: []leg{
			pay("POINTS", "PROCESSED", 500, entry(300)), pay("CARD", "PROCESSED", 1500),
		}}, captured: no, left: no, canRefund: true},
		{name: "refunded in full, but the list lacks 15.00", books: books{
			status: "FULLY_REFUNDED", legs: card(entry(2000)),
			refunds: []bookRefund{done},
		}, captured: is(2000), refunded: no, refunding: no, left: no},
		{
			name:     "refunded, but the list is empty",
			books:    books{status: "PARTIALLY_REFUNDED", legs: card(entry(2000)), refunds: none},
			captured: is(2000), refunded: no, refunding: no, left: no, canRefund: true,
		},
		{
			name: "an offer", books: books{status: "PROCESSED", legs: []leg{offer}},
			captured: no, left: no, paid: true, canRefund: true,
		},
		{
			name: "a fee", books: books{status: "PROCESSED", legs: []leg{fee}},
			captured: no, left: no, paid: true, canRefund: true,
		},
		{
			name:       "a hold without pre_auth",
			books:      books{status: "AUTHORIZED", preAuth: "false", legs: []leg{pay("CARD", "AUTHORIZED", 2000)}},
			canCapture: true,
		},
	}
}

// If a document shows an amount clearly, the package reports exactly that
// amount. If a document contradicts itself, the package reports the amount as
// not known.
func TestAmountsOfPlainDocuments(t *testing.T) {
	t.Parallel()
	for _, d := range plainlyGood() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := new(plural.Order)
			require.NoError(t, json.Unmarshal([]byte(d.books.json()), o))
			for name, x := range map[string]struct {
				got  told
				want *told
			}{
				"captured": {toldOf(o.CapturedAmount()), d.captured}, "capturable": {toldOf(o.CapturableAmount()), d.held},
				"refunded": {toldOf(o.RefundedAmount()), d.refunded}, "refunding": {toldOf(o.RefundingAmount()), d.refunding},
				"refundable": {toldOf(o.RefundableAmount()), d.left},
			} {
				if x.want != nil {
					require.Equal(t, x.want.String(), x.got.String(), "%s %s", name, d.books.json())
				}
			}
			require.Equal(t, d.canCapture, o.CanCapture())
			require.Equal(t, d.canCapture, o.CanCancel())
			require.Equal(t, d.canRefund, o.CanRefund())
			err := plural.Expected{OrderID: "v1-agreed", OrderAmount: plural.INR(wholePrice)}.Check(o)
			if d.paid {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, plural.ErrNotPaid)
			}
		})
	}
}
