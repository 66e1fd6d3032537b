package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	paddle "github.com/PaddleHQ/paddle-go-sdk/v4"
	"github.com/plutov/paypal/v4"
	razorpay "github.com/razorpay/razorpay-go"
	"github.com/stripe/stripe-go/v85"
)

// The calls of the other SDKs. Each SDK is used as its own README shows, but
// with another address, and in some cases with another transport. Each SDK gets
// an answer of about 2.4 KB in the shape that it reads.

var errEmpty = errors.New("an answer without its payment")

func (to target) httpClient(timeout time.Duration) *http.Client {
	return &http.Client{Transport: to.transport, Timeout: timeout}
}

func stripeCapture(to target) func(context.Context) error {
	config := &stripe.BackendConfig{
		URL:           stripe.String(to.baseURL),
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	}
	if to.transport != nil {
		config.HTTPClient = to.httpClient(80 * time.Second)
	}
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, config)
	client := stripe.NewClient("sk_test_example", stripe.WithBackends(&stripe.Backends{
		API: backend, Connect: backend, Uploads: backend, MeterEvents: backend,
	}))
	return func(ctx context.Context) error {
		params := &stripe.PaymentIntentCaptureParams{AmountToCapture: stripe.Int64(captureValue)}
		params.AddMetadata("merchant_capture_reference", captureReference)
		intent, err := client.V1PaymentIntents.Capture(ctx, "pi_3QxYcdExample000000000001", params)
		if err == nil && intent.ID == "" {
			return errEmpty
		}
		return err
	}
}

func razorpayCapture(to target) func(context.Context) error {
	client := razorpay.NewClient("rzp_test_example", "secret")
	razorpay.Request.BaseURL = to.baseURL
	if to.transport != nil {
		razorpay.Request.HTTPClient = to.httpClient(10 * time.Second)
	}
	return func(context.Context) error { // this client takes no context
		payment, err := client.Payment.Capture("pay_Example0000001", captureValue, map[string]any{"currency": "INR"}, nil)
		if err == nil && payment["id"] == nil {
			return errEmpty
		}
		return err
	}
}

func paypalCapture(to target) func(context.Context) error {
	client, err := paypal.NewClient("id", "secret", to.baseURL)
	if err != nil {
		return failing(err)
	}
	if to.transport != nil {
		client.SetHTTPClient(to.httpClient(0)) // this client ships without a timeout
	}
	client.SetAccessToken(accessToken)
	return func(ctx context.Context) error {
		capture, err := client.CaptureAuthorizationWithPaypalRequestId(
			ctx,
			"3CD45678E90123456",
			&paypal.PaymentCaptureRequest{
				Amount: &paypal.Money{Currency: "INR", Value: "43.00"}, InvoiceID: "INVOICE-123", FinalCapture: true,
			},
			captureReference,
		)
		if err == nil && capture.ID == "" {
			return errEmpty
		}
		return err
	}
}

// paddleGet makes a read, because Paddle's API has no capture.
func paddleGet(to target) func(context.Context) error {
	options := []paddle.Option{paddle.WithBaseURL(to.baseURL)}
	if to.transport != nil {
		options = append(options, paddle.WithClient(to.httpClient(0)))
	}
	client, err := paddle.New("pdl_example", options...)
	if err != nil {
		return failing(err)
	}
	return func(ctx context.Context) error {
		transaction, err := client.GetTransaction(ctx, &paddle.GetTransactionRequest{
			TransactionID: "txn_01hexample000000000000001a",
		})
		if err == nil && transaction.ID == "" {
			return errEmpty
		}
		return err
	}
}

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}
