package wire

import (
	"strconv"
	"strings"
)

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// parseInt reads a whole JSON number, in any spelling: 1200, 1200.00, 12E+2. It
// refuses a number with a fraction, and a number that does not fit into an
// int64.
func parseInt(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	digits, exponent, hasExponent := strings.Cut(strings.ToLower(text), "e")
	whole, fraction, _ := strings.Cut(digits, ".")
	shift := 0
	if hasExponent {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > maxExponent || n < -maxExponent {
			if strings.Trim(whole+fraction, "-0") == "" {
				return 0, whole != "" // zero, with any exponent
			}
			return 0, false
		}
		shift = n
	}
	// signedDigits has the sign and all digits of the number, without the
	// decimal point. pointIndex is the place of the decimal point in
	// signedDigits, and takes the exponent into account.
	signedDigits, pointIndex := whole+fraction, len(whole)+shift
	switch {
	case pointIndex > len(signedDigits):
		signedDigits += strings.Repeat("0", pointIndex-len(signedDigits))
	case pointIndex < len(signedDigits):
		cut := max(pointIndex, len(whole)-len(strings.TrimPrefix(whole, "-")))
		if strings.Trim(signedDigits[cut:], "0") != "" {
			return 0, false
		}
		signedDigits = signedDigits[:cut]
		if signedDigits == "" || signedDigits == "-" {
			signedDigits = "0"
		}
	}
	n, err := strconv.ParseInt(signedDigits, 10, 64)
	return n, err == nil
}

// parseInt accepts exponents from -maxExponent to maxExponent. It refuses every
// other exponent, unless the number is zero. This limit is high enough, because
// every number that fits into an int64 can be written with an exponent below
// maxExponent.
const maxExponent = 64

// parseIntText reads a number that came as a text. It refuses a fraction, even
// ".00", because a text such as "100.00" may be in paise or in rupees.
func parseIntText(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

func isNumber(text string) bool {
	s := scanner{text: text}
	s.passNumber()
	return !s.hasFailed && s.pos == len(text)
}
