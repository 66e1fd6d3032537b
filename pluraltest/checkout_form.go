package pluraltest

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The documented test data, and the one-time password that the emulated bank
// accepts.
const (
	testCardNumber = "4012001037141112"
	testCardCVV    = "212"
	testCardExpiry = "12/30"
	testVPA        = "success@upi"
	testOTP        = "123456"
)

// checkoutMethod is a way to pay that the page offers.
type checkoutMethod struct {
	Code    string
	Name    string
	Hint    string // a short text that the page shows next to the name
	Checked bool
}

// checkoutMethods lists every method, in the sequence in which the page shows
// them.
func checkoutMethods() []checkoutMethod {
	return []checkoutMethod{
		{Code: "CARD", Name: "Card", Hint: "Credit or debit"},
		{Code: "UPI", Name: "UPI", Hint: "By your UPI ID"},
		{Code: "NETBANKING", Name: "Net banking", Hint: "At your bank"},
		{Code: "WALLET", Name: "Wallet", Hint: "From a balance"},
		{Code: "POINTS", Name: "Points", Hint: "Reward points"},
		{Code: "CREDIT_EMI", Name: "Credit card EMI", Hint: "In instalments"},
		{Code: "DEBIT_EMI", Name: "Debit card EMI", Hint: "In instalments"},
		{Code: "BNPL", Name: "Pay later", Hint: "Buy now, pay later"},
		{Code: "CARDLESS_EMI", Name: "Cardless EMI", Hint: "In instalments"},
	}
}

// usesOTP reports whether the bank asks for a one-time password.
func usesOTP(method string) bool { return usesCard(method) || method == "NETBANKING" }

func usesCard(method string) bool {
	return method == "CARD" || method == "CREDIT_EMI" || method == "DEBIT_EMI"
}

// fieldFault names a field of the form and what is wrong with it.
type fieldFault struct {
	Field string // the id of the field
	Text  string
}

// payForm is a payment form that the browser has posted. The card's number and
// CVV are checked and then forgotten: the form does not hold them, and the page
// never shows them again.
type payForm struct {
	Method string
	Expiry string
	VPA    string
	Faults []fieldFault
}

// Fault returns what is wrong with a field, or "" if the field is right.
func (f *payForm) Fault(field string) string {
	if f != nil {
		for _, fault := range f.Faults {
			if fault.Field == field {
				return fault.Text
			}
		}
	}
	return ""
}

func (f *payForm) fault(field, text string) {
	f.Faults = append(f.Faults, fieldFault{field, text})
}

// readPayForm reads and checks a posted form. It accepts only the documented
// test data, because nobody should type a real card into an emulator.
func readPayForm(form url.Values, offered []string) *payForm {
	f := &payForm{Method: form.Get("method")}
	if !slices.Contains(offered, f.Method) {
		f.Method = ""
		f.fault("methods", "Choose how to pay.")
		return f
	}
	switch f.Method {
	case "CARD":
		f.readCard(form)
	case "UPI":
		f.VPA = cleanLine(form.Get("vpa"), 50)
		if f.VPA != testVPA {
			f.fault("vpa", "Enter the test UPI ID, "+testVPA+".")
		}
	}
	return f
}

func (f *payForm) readCard(form url.Values) {
	number := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, form.Get("card_number"))
	switch number {
	case testCardNumber:
	case "":
		f.fault("card-number", "The card number was missing. The test card is filled in again.")
	default:
		f.fault("card-number", "That was not the test card. The test card is filled in again. Never enter a real card here.")
	}
	f.Expiry = cleanLine(form.Get("card_expiry"), 7)
	if !validExpiry(f.Expiry) {
		f.fault("card-expiry", "Enter an expiry of 12/25 or later, as MM/YY.")
	}
	if strings.TrimSpace(form.Get("card_cvv")) != testCardCVV {
		f.fault("card-cvv", "The test card's CVV is "+testCardCVV+". This CVV is filled in again.")
	}
}

var expiryPattern = regexp.MustCompile(`^(0[1-9]|1[0-2]) ?/ ?(?:20)?([0-9]{2})$`)

// validExpiry reports whether an expiry is 12/25 or later. The test card's
// expiry is valid on any date.
func validExpiry(expiry string) bool {
	parts := expiryPattern.FindStringSubmatch(expiry)
	if parts == nil {
		return false
	}
	month, _ := strconv.Atoi(parts[1])
	year, _ := strconv.Atoi(parts[2])
	return year > 25 || year == 25 && month == 12
}

// bankReason is a reason why a bank declines a payment.
type bankReason struct {
	Code    string
	Message string
}

// bankReasons lists documented codes of declined payments, the usual code
// first.
func bankReasons() []bankReason {
	return []bankReason{
		{"PAYMENT_DECLINED", "Transaction declined by Acquirer due to unknown reason"},
		{"INSUFFICIENT_FUNDS", "Insufficient funds"},
		{"AMOUNT_LIMIT_EXCEEDED", "The amount exceeds the permitted limit"},
		{"CARD_EXPIRED", "The card has expired"},
		{"CARD_NOT_ALLOWED", "The card is not allowed"},
		{"CARD_STOLEN", "The card is reported stolen"},
		{"RISK_CHECK_FAILED", "The payment was declined by a risk check"},
		{"USER_AUTHENTICATION_FAILED", "Consumer Authentication failed"},
	}
}

// declineReason returns the chosen code and a message. If the payer typed a
// message, declineReason returns that message. Otherwise it returns the code's
// own message.
func declineReason(code, message string) (string, string) {
	chosen := bankReasons()[0]
	for _, reason := range bankReasons() {
		if reason.Code == code {
			chosen = reason
		}
	}
	if own := cleanLine(message, 200); own != "" {
		chosen.Message = own
	}
	return chosen.Code, chosen.Message
}

// cleanLine removes the control characters and the outer spaces from a line of
// text. If the line is longer than n characters, cleanLine keeps only the first
// n.
func cleanLine(text string, n int) string {
	line := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text))
	if runes := []rune(line); len(runes) > n {
		line = string(runes[:n])
	}
	return line
}
