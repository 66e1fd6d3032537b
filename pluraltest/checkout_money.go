package pluraltest

import (
	"strconv"
	"strings"
)

// formatMoney formats an amount for the payer. Rupees have Indian grouping:
// "₹1,10,000.00". An amount in another currency begins with the currency's
// code: "USD 110,000.00".
func formatMoney(a Amount) string {
	digits := strconv.FormatInt(a.Value, 10)
	if n := 3 - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	whole, decimals := digits[:len(digits)-2], digits[len(digits)-2:]
	if a.Currency == "INR" {
		return "₹" + groupDigits(whole, 2) + "." + decimals
	}
	return a.Currency + " " + groupDigits(whole, 3) + "." + decimals
}

// groupDigits puts a comma before the last three digits. It divides the digits
// to the left of that comma into groups of the given size, with a comma between
// two groups.
func groupDigits(digits string, size int) string {
	if len(digits) <= 3 {
		return digits
	}
	head, tail := digits[:len(digits)-3], digits[len(digits)-3:]
	for len(head) > size {
		tail = head[len(head)-size:] + "," + tail
		head = head[:len(head)-size]
	}
	return head + "," + tail
}
