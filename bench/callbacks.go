package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"net/url"
	"slices"
	"sync"

	"github.com/razorpay/razorpay-go/utils"

	"github.com/plural-go/plural"
)

const callbackTitle = "Callback"

// callbackSuite verifies the form that the payer's browser brings back. The
// hand-written code takes a form, sorts and joins its fields, compares the
// signature, and returns a map of the fields. It does not check the values of
// the fields.
func callbackSuite() suite {
	s := suite{
		Title: callbackTitle,
		Note: "The code written by hand sorts and joins the form's fields, compares the signature with a pooled HMAC, " +
			"and returns the fields in a map. It does not check the values of the fields. " +
			"razorpay-go joins its two fields in a fixed order, so it has nothing to sort.",
		Cases: []benchCase{
			{Name: byHand, Setup: func() (func() error, func()) { return callbackByHand(false), nil }},
			{Name: "plural", Setup: func() (func() error, func()) { return callbackPlural(false), nil }},
			{Name: "plural, as JSON", Setup: func() (func() error, func()) { return callbackJSON(), nil }},
			{Name: "razorpay-go", Setup: func() (func() error, func()) { return callbackRazorpay(), nil }},
		},
	}
	s.Cases = append(s.Cases, repeatedCase(s.Cases[0]))
	return s
}

const callbackSecret = "30313233343536373839616263646566303132333435363738396162636465660a"

// callbackForm makes the signed form of a failed payment. If forge is true, the
// signature belongs to another status.
func callbackForm(forge bool) (url.Values, plural.Key) {
	key := mustMake(plural.HexKey(callbackSecret))
	text := "error_code=USER_AUTHENTICATION_REQUIRED&error_message=Authentication is required&order_id=" + orderID
	if forge {
		text += "&payment_status=AUTHORIZED"
	} else {
		text += "&payment_status=FAILED"
	}
	return url.Values{
		"order_id": {orderID}, "payment_status": {"FAILED"}, "error_code": {"USER_AUTHENTICATION_REQUIRED"},
		"error_message": {"Authentication is required"}, "signature": {plural.Sign([]byte(text), key)},
	}, key
}

func callbackByHand(forge bool) func() error {
	type state struct {
		mac   hash.Hash
		names []string
		text  []byte
		sum   [sha256.Size]byte

		fields map[string]string // returned to the caller, like the fields of a Callback
	}
	form, _ := callbackForm(forge)
	secret := mustMake(hex.DecodeString(callbackSecret))
	pool := sync.Pool{New: func() any { return &state{mac: hmac.New(sha256.New, secret)} }}
	return func() error {
		s := pool.Get().(*state)
		defer pool.Put(s)
		s.names, s.text = s.names[:0], s.text[:0]
		fields := make(map[string]string, len(form))
		for name, values := range form {
			if name != "signature" {
				s.names = append(s.names, name)
				fields[name] = values[0]
			}
		}
		slices.Sort(s.names)
		for i, name := range s.names {
			if i > 0 {
				s.text = append(s.text, '&')
			}
			s.text = append(append(append(s.text, name...), '='), fields[name]...)
		}
		want, err := hex.DecodeString(form.Get("signature"))
		if err != nil {
			return err
		}
		s.mac.Reset()
		s.mac.Write(s.text)
		if !hmac.Equal(s.mac.Sum(s.sum[:0]), want) || fields["order_id"] == "" {
			return errMismatch
		}
		s.fields = fields
		return nil
	}
}

func callbackPlural(forge bool) func() error {
	form, key := callbackForm(forge)
	v := mustMake(plural.NewVerifier("", plural.WithCallbackKeys(key)))
	return func() error {
		_, err := v.VerifyCallback(form)
		return err
	}
}

func callbackJSON() func() error {
	form, key := callbackForm(false)
	v := mustMake(plural.NewVerifier("", plural.WithCallbackKeys(key)))
	flat := map[string]string{}
	for name := range form {
		flat[name] = form.Get(name)
	}
	body := mustMake(json.Marshal(flat))
	return func() error {
		_, err := v.VerifyCallbackJSON(body)
		return err
	}
}

func callbackRazorpay() func() error {
	secret := "a-secret-of-the-merchant"
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("order_Example0000003|pay_Example0000001"))
	signature := hex.EncodeToString(mac.Sum(nil))
	fields := map[string]any{"razorpay_order_id": "order_Example0000003", "razorpay_payment_id": "pay_Example0000001"}
	return func() error {
		if !utils.VerifyPaymentSignature(fields, signature, secret) {
			return errMismatch
		}
		return nil
	}
}

func readCloser(body []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }
