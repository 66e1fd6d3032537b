package pluraltest

import (
	"math/big"
	"strings"
)

// parseRupees reads a decimal text as an exact number. It returns false if the
// text is not a decimal number.
func parseRupees(text string) (*big.Rat, bool) {
	if text == "" || strings.Trim(text, "0123456789.-") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// paiseToRupees converts a number of paise to rupees.
func paiseToRupees(n int64) *big.Rat { return big.NewRat(n, 100) }

// roundedShare returns a share of r. The share is given in parts of ten
// thousand: 200 parts are 2 per cent. The result is rounded to the given number
// of decimals.
func roundedShare(r *big.Rat, parts int64, decimals int) *big.Rat {
	exact := new(big.Rat).Mul(r, big.NewRat(parts, 10_000))
	rounded, _ := new(big.Rat).SetString(exact.FloatString(decimals))
	return rounded
}

// formatDecimal formats an exact number. The text has at most 12 decimals, and
// does not end with needless zeros.
func formatDecimal(r *big.Rat) string {
	const most = 12
	text := r.FloatString(most)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func sum(of ...*big.Rat) *big.Rat {
	total := new(big.Rat)
	for _, r := range of {
		total.Add(total, r)
	}
	return total
}

func minus(r *big.Rat) *big.Rat { return new(big.Rat).Neg(r) }
