package pluraltest

import (
	"strconv"
	"strings"
)

// The function money formats an amount for the payer. Rupees have Indian
// grouping: "₹1,10,000.00". Other currencies have their code.
func money(a Amount) string {
	digits := strconv.FormatInt(a.Value, 10)
	if n := 3 - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	whole, decimals := digits[:len(digits)-2], digits[len(digits)-2:]
	if a.Currency == "INR" {
		return "₹" + grouped(whole, 2) + "." + decimals
	}
	return a.Currency + " " + grouped(whole, 3) + "." + decimals
}

// The function grouped puts a comma before the last three digits. It divides
// the digits to the left of that comma into groups of the given size, with a
// comma between two groups.
func grouped(digits string, size int) string {
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
