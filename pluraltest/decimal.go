package pluraltest

import (
	"math/big"
	"strings"
)

// The function rupees reads a decimal text as an exact number. It returns false
// if the text is not a decimal number.
func rupees(text string) (*big.Rat, bool) {
	if text == "" || strings.Trim(text, "0123456789.-") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// The function paise converts a number of paise to rupees.
func paise(n int64) *big.Rat { return big.NewRat(n, 100) }

// The function share returns r times parts/10,000, rounded to the given number
// of decimals.
func share(r *big.Rat, parts int64, decimals int) *big.Rat {
	exact := new(big.Rat).Mul(r, big.NewRat(parts, 10_000))
	rounded, _ := new(big.Rat).SetString(exact.FloatString(decimals))
	return rounded
}

// The function decimal formats an exact number with as many decimals as it
// needs.
func decimal(r *big.Rat) string {
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
