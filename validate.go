package plural

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/plural-go/plural/internal/clean"
	"github.com/plural-go/plural/internal/foreign"
	"github.com/plural-go/plural/internal/wire"
)

// The documented limits (Plural's pre-authorisation guide, sections 2 and 4,
// and its published schema). WithoutValidation leaves the check of these limits
// to the server.
const (
	minAmount       = 100         // in paise: this is one rupee
	maxAmount       = 100_000_000 // in paise: this is ten lakh rupees (1,000,000)
	maxMetadata     = 10
	maxMetadataText = 256
)

const segmentRule = `must be 1 to 200 printable characters without spaces and / \ % ? #, and not . or ..`

// requestCheck collects the faults of a request in two lists. If the list
// severeFaults has a fault, the request must not be sent. The list limitFaults
// has the faults that only break a documented limit. With [WithoutValidation],
// the faults in limitFaults do not count.
type requestCheck struct {
	severeFaults, limitFaults []FieldError
}

func (c *requestCheck) must(ok bool, field, rule string) {
	if !ok {
		c.severeFaults = append(c.severeFaults, FieldError{Field: field, Rule: rule})
	}
}

func (c *requestCheck) limit(ok bool, field, rule string) {
	if !ok {
		c.limitFaults = append(c.limitFaults, FieldError{Field: field, Rule: rule})
	}
}

// addPart checks a part of the request, unless the part is nil. The function in
// the parameter check adds faults with the names of fields inside the part.
// Then addPart puts the part's name before each of these names.
func addPart[T any](c *requestCheck, name string, part *T, check func(*T, *requestCheck)) {
	if part == nil {
		return
	}
	severe, limits := len(c.severeFaults), len(c.limitFaults)
	check(part, c)
	for _, found := range [][]FieldError{c.severeFaults[severe:], c.limitFaults[limits:]} {
		for i := range found {
			found[i].Field = name + found[i].Field
		}
	}
}

// applyOptions adds the faults of a call's options to the check. With
// [WithoutValidation], it leaves the check of the limits to the server.
func (c *requestCheck) applyOptions(cfg *callConfig) {
	c.severeFaults = append(slices.Clone(cfg.invalid), c.severeFaults...)
	if cfg.withoutValidation {
		c.limitFaults = nil
	}
}

// The method encode makes the body of a request. It refuses texts that are not
// UTF-8, because the encoder would change them. If the request already has
// faults, encode does not also report that the request cannot be encoded.
func (c *requestCheck) encode(request any) []byte {
	if len(c.severeFaults) > 0 && isNil(request) {
		return nil
	}
	body, err := encode(request)
	switch {
	case err != nil && len(c.severeFaults) == 0:
		c.must(false, "request", "cannot be encoded: "+encodingFault(err))
	case err == nil && wire.MayNotBeUTF8(body):
		c.utf8(request)
	}
	return body
}

// encodingFault describes an error of the encoder. If a method of the caller's
// own type returned the error, the text of the error may quote the payer's
// data. In this case the description has only the names of the types.
func encodingFault(err error) string {
	by, isByType := errors.AsType[*json.MarshalerError](err)
	if !isByType {
		return foreign.Describe(err)
	}
	if _, isSyntax := by.Err.(*json.SyntaxError); isSyntax { //nolint:errorlint // a wrapped one is from a caller's type
		return foreign.Describe(err)
	}
	return fmt.Sprintf("a value of type %v returned an error: %T", by.Type, by.Err)
}

// This method searches a request for texts that are not UTF-8. For the first
// such text, it adds a fault, unless the text's field already has a fault.
func (c *requestCheck) utf8(request any) {
	parts := []any{request}
	if r, ok := request.(extendable); ok {
		fields, extra := r.parts()
		parts = []any{fields, extra}
	}
	for _, part := range parts {
		path, found := wire.FindNotUTF8(part)
		if !found {
			continue
		}
		field := cmp.Or(clean.Shorten(path, 200), "request")
		isNamed := slices.ContainsFunc(c.severeFaults, func(f FieldError) bool { return f.Field == field })
		c.must(isNamed, field, "must be UTF-8")
		return
	}
}

// The method err returns the ValidationError for all faults, or nil.
func (c *requestCheck) err(op operation) error {
	if fields := slices.Concat(c.severeFaults, c.limitFaults); len(fields) > 0 {
		return &ValidationError{Op: op.op(), Fields: fields}
	}
	return nil
}

// errOf adds the checks of the order id and of the encoding to c. It returns
// the ValidationError for all faults, or nil.
func errOf(c requestCheck, op operation, orderID string, in any) error {
	c.orderID(orderID)
	if in != nil {
		c.encode(in)
	}
	return c.err(op)
}

// The method orderID refuses ids that would change the path.
func (c *requestCheck) orderID(id string) { c.segment("order_id", id) }

// This check refuses PreAuth together with payment methods that cannot hold
// money.
func (c *requestCheck) methods(methods []PaymentMethod, preAuth bool) {
	holdsNothing := func(m PaymentMethod) bool { return m != PaymentMethodCard && m != PaymentMethodPoints }
	c.limit(!preAuth || !slices.ContainsFunc(methods, holdsNothing), "allowed_payment_methods",
		"must be CARD or POINTS, or empty, when PreAuth is set: other methods cannot hold money")
	for i, m := range methods {
		if m == "" { // the field's name is built only if it is needed
			c.limit(false, fmt.Sprintf("allowed_payment_methods[%d]", i), "must be a payment method, such as CARD")
		}
	}
}

// This check is for an id or a reference that becomes part of a path.
func (c *requestCheck) segment(field, value string) { c.must(isPathSegment(value), field, segmentRule) }

// This check is for a merchant's reference. After a write, the call may look up
// the reference in the books, and then the reference is a part of the path. So
// a reference that does not fit into a path is always refused.
func (c *requestCheck) reference(field, reference string) {
	if !isPathSegment(reference) {
		c.must(false, field, referenceRule)
		return
	}
	c.limit(isReference(reference), field, referenceRule)
}

func (c *requestCheck) amount(field string, a Amount) {
	if a.Value <= 0 { // the fields' names are built only if they are needed
		c.must(false, field+".value", "must be positive, in paise: 10000 is 100 rupees")
	} else if a.Value < minAmount || a.Value > maxAmount {
		c.limit(false, field+".value", "must be 100 to 100000000, in paise: 10000 is 100 rupees")
	}
	if _, ok := a.Currency.exponent(); !ok {
		c.must(false, field+".currency", "must be a code of three capital letters, such as INR")
	}
}

func (c *requestCheck) length(field, value string, least, most int) {
	n := utf8.RuneCountInString(value)
	switch {
	case n == 0 || n >= least && n <= most:
	case least > 1:
		c.limit(false, field, fmt.Sprintf("must be %d to %d characters", least, most))
	default:
		c.limit(false, field, fmt.Sprintf("must be at most %d characters", most))
	}
}

func (c *requestCheck) metadata(field string, m map[string]string) {
	c.limit(len(m) <= maxMetadata, field, "must have at most 10 pairs")
	for name, value := range m {
		if utf8.RuneCountInString(name) > maxMetadataText || utf8.RuneCountInString(value) > maxMetadataText {
			c.limit(false, field, "must have names and values of at most 256 characters")
			return
		}
	}
}

func (c *requestCheck) url(field, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	c.limit(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "", field,
		"must be an absolute http or https URL, such as https://shop.example.com/return")
}

func (c *requestCheck) extra(request any, extra map[string]any) {
	if name, ok := wire.Collision(request, extra); ok {
		c.must(false, "extra."+name, "is a field of the request already")
	}
}

func (d *PurchaseDetails) check(c *requestCheck) {
	addPart(c, "bank_details.", d.BankDetails, (*BankDetails).check)
	addPart(c, "account_details.", d.AccountDetails, (*AccountDetails).check)
	addPart(c, "customer.", d.Customer, (*Customer).check)
	c.metadata("merchant_metadata", d.MerchantMetadata)
	addPart(c, "split_info.", d.SplitInfo, (*SplitInfo).check)
}

func (d *AccountDetails) check(c *requestCheck) {
	addPart(c, "bank_details.", d.BankDetails, (*BankDetails).check)
}

func (d *BankDetails) check(c *requestCheck) {
	c.limit(d.AccountNumber != "", "account_number", "is required")
}

func (p *Customer) check(c *requestCheck) {
	c.length("email_id", p.EmailID, 1, 50)
	c.length("first_name", p.FirstName, 1, 50)
	c.length("last_name", p.LastName, 1, 50)
	c.length("mobile_number", p.MobileNumber, 9, 20)
	c.limit(p.MobileNumber == "" || allDigits(strings.TrimPrefix(p.MobileNumber, "+")), "mobile_number",
		"must be digits, with or without a + before them")
	c.limit(p.CountryCode == "" || allDigits(p.CountryCode), "country_code", "must be digits without +, such as 91")
	addPart(c, "billing_address.", p.BillingAddress, (*Address).check)
	addPart(c, "shipping_address.", p.ShippingAddress, (*Address).check)
}

func (a *Address) check(c *requestCheck) {
	c.length("address1", a.Address1, 1, 100)
	c.length("address2", a.Address2, 1, 100)
	c.length("address3", a.Address3, 1, 100)
	c.length("pincode", a.Pincode, 6, 10)
	c.limit(a.Pincode == "" || allDigits(a.Pincode), "pincode", "must be digits")
	c.length("city", a.City, 1, 50)
	c.length("state", a.State, 1, 50)
	c.length("country", a.Country, 1, 50)
}

func (s *SplitInfo) check(c *requestCheck) {
	for i, d := range s.SplitDetails {
		if d.Amount.Value < 0 {
			c.must(false, fmt.Sprintf("split_details[%d].amount.value", i), "must not be negative")
		}
	}
}

// checkOfNil returns the faults of a request that is nil. The only fault is
// that the caller has passed no request.
func checkOfNil() requestCheck {
	return requestCheck{severeFaults: []FieldError{{Field: "request", Rule: "is required, and is nil"}}}
}

// isPathSegment reports whether s is safe as one segment of a path: every
// server and proxy reads such a path in the same way.
func isPathSegment(s string) bool {
	switch {
	case len(s) > 200:
		return false
	case isWord(s): // nearly all ids pass this quick check
		return true
	case s == "" || s == "." || s == ".." || !utf8.ValidString(s):
		return false
	}
	for _, r := range s {
		if r == '/' || r == '\\' || r == '%' || r == '?' || r == '#' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
