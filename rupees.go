package plural

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/plural-go/plural/internal/wire"
)

// Rupees is a figure of a settlement in rupees, with the digits that Plural
// sent: "978.02", "-1999.99", "1e2". It is "" if Plural sent no figure. A
// missing figure does not mean zero. It is never a float, because with a float
// 19.99 rupees would become 1998 paise.
//
// The methods compute with decimal numbers of at most 40 digits, and with an
// exponent from -40 to 40. More than two decimals are allowed, because amounts
// of MDR and GST may have them. Any other figure is kept as sent, and the
// methods refuse it.
type Rupees string

// maxRupeeDigits is the largest number of digits in a figure, and the largest
// exponent.
const maxRupeeDigits = 40

// Paise returns the figure in paise: 97802 for "978.02". It does not round. It
// returns false for a text that is not a number, for a fraction of a paisa, and
// for a number that does not fit into an int64.
func (r Rupees) Paise() (int64, bool) {
	n, scale, err := r.parse()
	if err != nil {
		return 0, false
	}
	n, isWhole := n, true
	if shift := 2 - scale; shift >= 0 {
		n.Mul(n, tenTo(shift))
	} else {
		var rest big.Int
		n.QuoRem(n, tenTo(-shift), &rest)
		isWhole = rest.Sign() == 0
	}
	if !isWhole || !n.IsInt64() {
		return 0, false
	}
	return n.Int64(), true
}

// Add returns the exact sum of two figures. It fails if one of them is not a
// number, or if the sum has more than 40 digits.
func (r Rupees) Add(other Rupees) (Rupees, error) { return r.combine(other, (*big.Int).Add) }

// Sub returns the exact difference r minus other. It fails as [Rupees.Add]
// does.
func (r Rupees) Sub(other Rupees) (Rupees, error) { return r.combine(other, (*big.Int).Sub) }

// Cmp returns -1 if r is less than other, 0 if they are equal, and 1 if r is
// more. "1.50" and "1.5" are equal. Cmp fails if one of the figures is not a
// number.
func (r Rupees) Cmp(other Rupees) (int, error) {
	a, b, _, err := r.alignDecimals(other)
	if err != nil {
		return 0, err
	}
	return a.Cmp(b), nil
}

func (r Rupees) combine(other Rupees, op func(z, x, y *big.Int) *big.Int) (Rupees, error) {
	a, b, scale, err := r.alignDecimals(other)
	if err != nil {
		return "", err
	}
	sum := op(a, a, b)
	digits := new(big.Int).Abs(sum).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	if len(digits) > maxRupeeDigits {
		return "", fmt.Errorf("plural: rupees: %s and %s give more than %d digits", r.clip(), other.clip(), maxRupeeDigits)
	}
	text := digits[:len(digits)-scale]
	if scale > 0 {
		text += "." + digits[len(digits)-scale:]
	}
	if sum.Sign() < 0 {
		text = "-" + text
	}
	return Rupees(text), nil
}

// alignDecimals gives both figures the same number of decimals, and returns
// them without the decimal point. It also returns this number of decimals. For
// example, the figures "1.5" and "1.25" become 1.50 and 1.25. So the results
// are 150, 125 and 2.
func (r Rupees) alignDecimals(other Rupees) (a, b *big.Int, decimals int, err error) {
	a, scaleA, err := r.parse()
	if err != nil {
		return nil, nil, 0, err
	}
	b, scaleB, err := other.parse()
	if err != nil {
		return nil, nil, 0, err
	}
	decimals = max(scaleA, scaleB)
	return a.Mul(a, tenTo(decimals-scaleA)), b.Mul(b, tenTo(decimals-scaleB)), decimals, nil
}

// The method parse returns the digits of the figure as the integer n, and the
// number of decimals as scale. For "978.02" it returns 97802 and 2. The number
// of decimals is never negative.
func (r Rupees) parse() (n *big.Int, scale int, err error) {
	mantissa, power, hasPower := strings.Cut(strings.ToLower(string(r[:min(len(r), 3*maxRupeeDigits)])), "e")
	unsigned, isNegative := strings.CutPrefix(mantissa, "-")
	whole, fraction, hasPoint := strings.Cut(unsigned, ".")
	exponent := 0
	if hasPower {
		exponent, err = strconv.Atoi(power)
	}
	digits := whole + fraction
	switch {
	case r == "":
		return nil, 0, errors.New("plural: rupees: there is no figure")
	case err != nil, len(r) > 3*maxRupeeDigits, !allDigits(whole), hasPoint && !allDigits(fraction),
		len(digits) > maxRupeeDigits, exponent < -maxRupeeDigits, exponent > maxRupeeDigits:
		return nil, 0, fmt.Errorf("plural: rupees: %s is not a decimal number of at most %d digits", r.clip(), maxRupeeDigits)
	}
	n, _ = new(big.Int).SetString(digits, 10)
	if isNegative {
		n.Neg(n)
	}
	if scale = len(fraction) - exponent; scale < 0 {
		n.Mul(n, tenTo(-scale))
		scale = 0
	}
	return n, scale, nil
}

func (r Rupees) clip() string { return strconv.Quote(clip(string(r))) }

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// UnmarshalJSON takes a number or a string, and keeps its digits. It never
// fails.
func (r *Rupees) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = strings.ToValidUTF8(string(data), "\uFFFD")
	}
	*r = Rupees(text)
	return nil
}

var _ = wire.FromText(func(r *Rupees, text string) { *r = Rupees(text) })
