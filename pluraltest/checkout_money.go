package pluraltest

import (
	"strconv"
	"strings"
)

// money prints an amount as the payer reads it. Rupees have Indian grouping:
// "₹1,10,000.00". Other currencies have their code.
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

// grouped puts a comma before the last three digits. To the left of them, it
// puts a comma before each group of as many digits as size says.
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
