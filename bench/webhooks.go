package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	paddle "github.com/PaddleHQ/paddle-go-sdk/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/plural-go/plural"
)

// delivery is one signed webhook.
type delivery struct {
	key   []byte
	id    string
	sent  time.Time
	body  []byte
	forge bool // the signature belongs to another body
}

func newDelivery(body []byte) delivery {
	const key = "0123456789abcdef0123456789abcdef"
	return delivery{key: []byte(key), id: "msg_example0000000000000001", sent: time.Now(), body: body}
}

var errMismatch = errors.New("the signature does not match")

func (d delivery) timestamp() string { return strconv.FormatInt(d.sent.Unix(), 10) }

func (d delivery) signed() []byte {
	if !d.forge {
		return d.body
	}
	other := bytes.Clone(d.body)
	other[len(other)/2] ^= 1
	return other
}

func (d delivery) mac(parts ...string) []byte {
	h := hmac.New(sha256.New, d.key)
	for _, part := range parts {
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// header makes the headers of the Standard Webhooks specification, which Plural
// uses.
func (d delivery) header(prefix string) http.Header {
	sum := d.mac(d.id, ".", d.timestamp(), ".", string(d.signed()))
	h := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"webhooks/1.0"}}
	h.Set(prefix+"-id", d.id)
	h.Set(prefix+"-timestamp", d.timestamp())
	h.Set(prefix+"-signature", "v1,"+base64.StdEncoding.EncodeToString(sum))
	return h
}

// eventBody makes a body of n bytes with an order as its data. The body is also
// a valid event for stripe-go, so all cases use the same bytes.
func eventBody(n int) []byte {
	order := compactOrder()
	head := `{"id":"evt_example","object":"event","api_version":"` + stripe.APIVersion +
		`","event_type":"ORDER_PROCESSED","type":"ORDER_PROCESSED","data":`
	if n < len(head)+len(order)+100 { // the whole order does not fit, so use an order with only an id and a status
		order = []byte(`{"order_id":"` + orderID + `","status":"PROCESSED"}`)
	}
	body := append([]byte(head+`{"object":{},`), order[1:]...) // stripe-go requires data.object to be an object
	payment := `{"id":"v1-3131313131-aa-eXamPl-cc-C","status":"PROCESSED",` +
		`"payment_amount":{"value":4300,"currency":"INR"},"payment_method":"CARD","created_at":"2031-04-09T09:11:48.944Z"}`
	if missing := n - len(body); missing > 2*len(payment) {
		list := strings.Repeat(payment+",", (missing-20)/(len(payment)+1))
		body = append(append(body, `,"history":[`...), strings.TrimSuffix(list, ",")+"]"...)
	}
	pad := n - len(body) - len(`,"pad":""}`)
	return append(body, `,"pad":"`+strings.Repeat("x", max(0, pad))+`"}`...)
}

func compactOrder() []byte {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	var out bytes.Buffer
	if json.Unmarshal(orderAnswer, &answer) != nil || json.Compact(&out, answer.Data) != nil {
		panic("testdata/order.json does not have the form of an answer")
	}
	return out.Bytes()
}

// verifier is one way to check a delivery.
type verifier struct {
	name  string
	setup func(delivery) func() error
}

// pooledHMAC is the cheapest possible check with crypto/hmac. It joins the id
// and the timestamp, and computes the expected signature, before the
// measurement.
func pooledHMAC(d delivery) func() error {
	type state struct {
		mac hash.Hash
		sum [sha256.Size]byte
	}
	prefix := []byte(d.id + "." + d.timestamp() + ".")
	want := d.mac(string(prefix), string(d.signed()))
	pool := sync.Pool{New: func() any { return &state{mac: hmac.New(sha256.New, d.key)} }}
	return func() error {
		s := pool.Get().(*state)
		defer pool.Put(s)
		s.mac.Reset()
		s.mac.Write(prefix)
		s.mac.Write(d.body)
		if subtle.ConstantTimeCompare(s.mac.Sum(s.sum[:0]), want) != 1 {
			return errMismatch
		}
		return nil
	}
}

func pluralVerifier(d delivery) *plural.Verifier {
	key := mustMake(plural.Base64Key(base64.StdEncoding.EncodeToString(d.key)))
	return mustMake(plural.NewVerifier("", plural.WithWebhookKeys(key)))
}

// mustMake returns the result of a constructor whose arguments are known to be
// right.
func mustMake[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

func signatureVerifiers() []verifier {
	return []verifier{
		{"a pooled HMAC", pooledHMAC},
		{"plural", func(d delivery) func() error {
			v := pluralVerifier(d)
			h := d.header("webhook")
			return func() error { return v.VerifyWebhookSignature(h, d.body) }
		}},
		{"plural, NewVerifier(secret)", func(d delivery) func() error {
			v := mustMake(plural.NewVerifier(hex.EncodeToString(d.key)))
			h := d.header("webhook")
			return func() error { return v.VerifyWebhookSignature(h, d.body) }
		}},
		{"standard-webhooks", func(d delivery) func() error {
			wh := mustMake(standardwebhooks.NewWebhookRaw(d.key))
			h := d.header("webhook")
			return func() error { return wh.Verify(d.body, h) }
		}},
		{"svix-webhooks", func(d delivery) func() error {
			wh := mustMake(svix.NewWebhookRaw(d.key))
			h := d.header("svix")
			return func() error { return wh.Verify(d.body, h) }
		}},
		{"stripe-go", func(d delivery) func() error {
			header, secret := d.stripeHeader(), string(d.key)
			return func() error { return webhook.ValidatePayload(d.body, header, secret) }
		}},
		{"paddle-go-sdk", func(d delivery) func() error {
			v := paddle.NewWebhookVerifier(string(d.key))
			sum := hex.EncodeToString(d.mac(d.timestamp(), ":", string(d.signed())))
			header := http.Header{"Paddle-Signature": {"ts=" + d.timestamp() + ";h1=" + sum}}
			return func() error {
				req := &http.Request{Method: http.MethodPost, Header: header, Body: readCloser(d.body)}
				ok, err := v.Verify(req)
				if err == nil && !ok {
					return errMismatch
				}
				return err
			}
		}},
	}
}

func (d delivery) stripeHeader() string {
	return "t=" + d.timestamp() + ",v1=" + hex.EncodeToString(d.mac(d.timestamp(), ".", string(d.signed())))
}

// eventVerifiers returns verifiers that also read the envelope of the webhook.
func eventVerifiers() []verifier {
	return []verifier{
		{"a pooled HMAC and json.Unmarshal", func(d delivery) func() error { return eventByHand(d, false) }},
		{"plural", func(d delivery) func() error {
			v := pluralVerifier(d)
			h := d.header("webhook")
			return func() error {
				_, err := v.VerifyWebhook(h, d.body)
				return err
			}
		}},
		{"stripe-go", func(d delivery) func() error {
			header, secret := d.stripeHeader(), string(d.key)
			return func() error {
				_, err := webhook.ConstructEvent(d.body, header, secret)
				return err
			}
		}},
	}
}

// orderVerifiers returns verifiers that also read the order in the webhook.
func orderVerifiers() []verifier {
	return []verifier{
		{"a pooled HMAC and json.Unmarshal, twice", func(d delivery) func() error { return eventByHand(d, true) }},
		{"plural, with Event.Order", func(d delivery) func() error {
			v := pluralVerifier(d)
			h := d.header("webhook")
			return func() error {
				e, err := v.VerifyWebhook(h, d.body)
				if err == nil {
					_, err = e.Order()
				}
				return err
			}
		}},
	}
}

func eventByHand(d delivery, withOrder bool) func() error {
	check := pooledHMAC(d)
	return func() error {
		if err := check(); err != nil {
			return err
		}
		var envelope struct {
			Type string          `json:"event_type"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(d.body, &envelope); err != nil || !withOrder {
			return err
		}
		return json.Unmarshal(envelope.Data, new(handOrder))
	}
}

// The sizes of the bodies that are measured. Plural's events have about 2.5 KB.
var sizes = []int{256, 2560, 65536}

func sizeName(n int) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	return strconv.FormatFloat(float64(n)/1024, 'f', -1, 64) + " KB"
}

func signatureTitle(n int) string { return "Webhook signature, " + sizeName(n) }
func eventTitle(n int) string     { return "Webhook event, " + sizeName(n) }
func orderTitle(n int) string     { return "Webhook event and its order, " + sizeName(n) }

func webhookSuites() []suite {
	all := make([]suite, 0, 3*len(sizes))
	for _, n := range sizes {
		all = append(all, verifierSuite(signatureTitle(n), n, 0, signatureVerifiers()))
	}
	all = append(all, verifierSuite(signatureTitle(2560)+", all cores", 2560, 1, signatureVerifiers()))
	for _, n := range sizes {
		all = append(all, verifierSuite(eventTitle(n), n, 0, eventVerifiers()))
	}
	for _, n := range sizes[1:] {
		all = append(all, verifierSuite(orderTitle(n), n, 0, orderVerifiers()))
	}
	return all
}

func verifierSuite(title string, size, goroutines int, verifiers []verifier) suite {
	s := suite{Title: title}
	for _, v := range verifiers {
		s.Cases = append(s.Cases, benchCase{
			Name: v.name, Goroutines: goroutines,
			Setup: func() (func() error, func()) { return v.setup(newDelivery(eventBody(size))), nil },
		})
	}
	s.Cases = append(s.Cases, repeatedCase(s.Cases[0]))
	return s
}
