package plural

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Currency is an ISO 4217 currency code. Domestic payments are in
// [CurrencyINR], and international payments may be in the payer's currency.
type Currency string

// CurrencyINR is the Indian rupee, the currency of every domestic payment.
const CurrencyINR Currency = "INR"

// Amount is money in the minor unit of its currency: for rupees, paise. The
// value is never a float.
type Amount struct {
	Value    int64    `json:"value" wire:"exact"` // minor units: 149950 is 1499.50 rupees
	Currency Currency `json:"currency"`
}

// INR makes an amount from paise: INR(149950) is 1499.50 rupees.
func INR(paise int64) Amount {
	return Amount{Value: paise, Currency: CurrencyINR}
}

// ParseAmount reads a decimal number in the major unit, as shops and
// spreadsheets write it: "1499.5", "1,499.50" and "10,00,000" (Western or
// Indian grouping). ParseAmount fails if there is a sign, an exponent, a
// currency symbol, a space, or more decimals than the currency has. It does not
// round. The result is exact, because no float is used.
func ParseAmount(decimal string, c Currency) (Amount, error) {
	exponent, ok := c.exponent()
	if !ok {
		const problem = "plural: parse amount: %q is not a currency code of three capital letters"
		return Amount{}, fmt.Errorf(problem, clip(string(c)))
	}
	whole, fraction, hasPoint := strings.Cut(decimal, ".")
	if hasPoint && allDigits(fraction) && len(fraction) > exponent {
		return Amount{}, fmt.Errorf("plural: parse amount: %q: %s takes up to %d decimals", clip(decimal), c, exponent)
	}
	digits, ok := ungroup(whole)
	if !ok || !allDigits(digits) || hasPoint && !allDigits(fraction) {
		return Amount{}, fmt.Errorf("plural: parse amount: %q is not a plain decimal number", clip(decimal))
	}
	value, err := strconv.ParseInt(digits+fraction+strings.Repeat("0", exponent-len(fraction)), 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("plural: parse amount: %q is too large", clip(decimal))
	}
	return Amount{Value: value, Currency: c}, nil
}

// String writes the currency and the amount in the major unit, such as "INR
// 1499.50". If the amount is not negative and its currency is a code of three
// capital letters, [ParseAmount] turns the number and the currency back into
// the same Amount.
func (a Amount) String() string {
	if a.Currency == "" {
		return a.decimal()
	}
	return clip(string(a.Currency)) + " " + a.decimal()
}

// decimal returns the amount in the major unit, as a decimal number.
func (a Amount) decimal() string {
	exponent, _ := a.Currency.exponent() // 0 if the text is not a currency
	digits, isNegative := strings.CutPrefix(strconv.FormatInt(a.Value, 10), "-")
	digits = strings.Repeat("0", max(0, exponent+1-len(digits))) + digits
	number := digits[:len(digits)-exponent]
	if exponent > 0 {
		number += "." + digits[len(digits)-exponent:]
	}
	if isNegative {
		number = "-" + number
	}
	return number
}

// Display writes the amount for people to read. For rupees, it groups the
// digits as in India: "₹10,00,000.00". For other currencies, it writes "USD
// 1,234,567.00". Use Display in pages, and [Amount.String] in logs.
func (a Amount) Display() string {
	number, isNegative := strings.CutPrefix(a.decimal(), "-")
	whole, fraction, hasPoint := strings.Cut(number, ".")
	symbol, size := clip(string(a.Currency))+" ", 3
	if a.Currency == CurrencyINR {
		symbol, size = "₹", 2
	}
	out := strings.TrimLeft(symbol, " ") + groupDigits(whole, size)
	if hasPoint {
		out += "." + fraction
	}
	if isNegative {
		out = "-" + out
	}
	return out
}

// groupDigits puts a comma before the last three digits. It divides the other
// digits into groups, from the right, and puts a comma between two groups. The
// parameter size is the number of digits in a group.
func groupDigits(digits string, size int) string {
	if len(digits) <= 3 {
		return digits
	}
	head, tail := digits[:len(digits)-3], digits[len(digits)-3:]
	for len(head) > size {
		head, tail = head[:len(head)-size], head[len(head)-size:]+","+tail
	}
	return head + "," + tail
}

// Add returns the sum of two amounts. It fails if their currencies differ, or
// if the sum is too large for an Amount.
func (a Amount) Add(b Amount) (Amount, error) {
	if err := a.sameCurrency(b); err != nil {
		return Amount{}, err
	}
	sum := a.Value + b.Value
	if (sum > a.Value) != (b.Value > 0) { // the sum overflowed
		return Amount{}, fmt.Errorf("plural: the sum of %s and %s does not fit into an amount", a, b)
	}
	return Amount{Value: sum, Currency: a.Currency}, nil
}

// Sub returns a minus b, which may be negative. Sub fails in the same cases as
// [Amount.Add].
func (a Amount) Sub(b Amount) (Amount, error) {
	if err := a.sameCurrency(b); err != nil {
		return Amount{}, err
	}
	rest := a.Value - b.Value
	if (rest < a.Value) != (b.Value > 0) { // the difference overflowed
		return Amount{}, fmt.Errorf("plural: %s minus %s does not fit into an amount", a, b)
	}
	return Amount{Value: rest, Currency: a.Currency}, nil
}

// Cmp returns -1 if a is less than b, 0 if they are equal, and 1 if a is more.
// It fails if the currencies differ.
func (a Amount) Cmp(b Amount) (int, error) {
	if err := a.sameCurrency(b); err != nil {
		return 0, err
	}
	return cmp.Compare(a.Value, b.Value), nil
}

// clone returns a copy of the Amount. The copy has its own memory for the
// currency's text.
func (a Amount) clone() Amount { return Amount{a.Value, Currency(strings.Clone(string(a.Currency)))} }

func (a Amount) sameCurrency(b Amount) error {
	if a.Currency != b.Currency {
		return fmt.Errorf("plural: %s and %s are in two currencies", a, b)
	}
	return nil
}

// exponent returns the number of decimals of a currency (ISO 4217). It returns
// false if c is not a code of three capital letters.
func (c Currency) exponent() (int, bool) {
	const capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if len(c) != 3 || strings.Trim(string(c), capitals) != "" {
		return 0, false
	}
	switch isIn := func(list string) bool { return strings.Contains(list, string(c)) }; {
	case isIn("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"):
		return 0, true
	case isIn("BHD IQD JOD KWD LYD OMR TND"):
		return 3, true
	case isIn("CLF UYW"):
		return 4, true
	}
	return 2, true
}

// ungroup removes the commas between groups of digits. The groups may be
// Western (1,234,567) or Indian (12,34,567). It returns false if a comma is in
// another place.
func ungroup(whole string) (string, bool) {
	digits := strings.ReplaceAll(whole, ",", "")
	return digits, whole == digits || whole == groupDigits(digits, 3) || whole == groupDigits(digits, 2)
}
