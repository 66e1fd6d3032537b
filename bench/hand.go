package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// handClient is the code that a careful engineer writes without an SDK. It uses
// typed structs, encoding/json and the API's headers. It limits how much it
// reads, and checks the status. It already has its token, and repeats no
// request.
type handClient struct {
	http *http.Client
	base string
}

func newHandClient(to target) *handClient {
	return &handClient{http: &http.Client{Transport: to.transport, Timeout: 30 * time.Second}, base: to.baseURL}
}

func (c *handClient) capture(ctx context.Context) error {
	return c.call(ctx, http.MethodPut, "/api/pay/v1/orders/"+url.PathEscape(orderID)+"/capture", handCapture{
		MerchantCaptureReference: captureReference, CaptureAmount: handAmount{Value: captureValue, Currency: "INR"},
	}, new(handAnswer))
}

func (c *handClient) get(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/api/pay/v1/orders/"+url.PathEscape(orderID), nil, new(handAnswer))
}

func (c *handClient) create(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/api/checkout/v1/orders", handCreateRequest(), new(handCheckout))
}

func (c *handClient) call(ctx context.Context, method, path string, in any, out interface{ complete() bool }) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Request-ID", uuid.NewString())
	req.Header.Set("Request-Timestamp", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return err
	}
	if !out.complete() {
		return errors.New("an answer without its order")
	}
	return nil
}

type (
	handAmount struct {
		Value    int64  `json:"value"`
		Currency string `json:"currency"`
	}
	handCapture struct {
		MerchantCaptureReference string     `json:"merchant_capture_reference"`
		CaptureAmount            handAmount `json:"capture_amount"`
	}
	handAddress struct {
		Address1 string `json:"address1,omitempty"`
		Address2 string `json:"address2,omitempty"`
		Address3 string `json:"address3,omitempty"`
		Pincode  string `json:"pincode,omitempty"`
		City     string `json:"city,omitempty"`
		State    string `json:"state,omitempty"`
		Country  string `json:"country,omitempty"`
	}
	handCustomer struct {
		EmailID         string       `json:"email_id,omitempty"`
		FirstName       string       `json:"first_name,omitempty"`
		LastName        string       `json:"last_name,omitempty"`
		CustomerID      string       `json:"customer_id,omitempty"`
		MobileNumber    string       `json:"mobile_number,omitempty"`
		BillingAddress  *handAddress `json:"billing_address,omitempty"`
		ShippingAddress *handAddress `json:"shipping_address,omitempty"`
	}
	handPurchase struct {
		Customer         *handCustomer     `json:"customer,omitempty"`
		MerchantMetadata map[string]string `json:"merchant_metadata,omitempty"`
	}
	handPayment struct {
		ID            string     `json:"id"`
		Status        string     `json:"status"`
		PaymentAmount handAmount `json:"payment_amount"`
		PaymentMethod string     `json:"payment_method"`
		PaymentOption *struct {
			CardData *struct {
				CardType     string `json:"card_type"`
				NetworkName  string `json:"network_name"`
				IssuerName   string `json:"issuer_name"`
				CardCategory string `json:"card_category"`
				CountryCode  string `json:"country_code"`
				TokenTxnType string `json:"token_txn_type"`
			} `json:"card_data"`
		} `json:"payment_option"`
		AcquirerData *struct {
			ApprovalCode      string `json:"approval_code"`
			AcquirerReference string `json:"acquirer_reference"`
			RRN               string `json:"rrn"`
		} `json:"acquirer_data"`
		CaptureData []struct {
			MerchantCaptureReference string     `json:"merchant_capture_reference"`
			CaptureAmount            handAmount `json:"capture_amount"`
			CreatedAt                time.Time  `json:"created_at"`
		} `json:"capture_data"`
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
	}
	handOrder struct {
		OrderID                string        `json:"order_id"`
		MerchantOrderReference string        `json:"merchant_order_reference"`
		Type                   string        `json:"type"`
		Status                 string        `json:"status"`
		MerchantID             string        `json:"merchant_id"`
		OrderAmount            handAmount    `json:"order_amount"`
		PreAuth                bool          `json:"pre_auth"`
		AllowedPaymentMethods  []string      `json:"allowed_payment_methods"`
		PurchaseDetails        *handPurchase `json:"purchase_details"`
		Payments               []handPayment `json:"payments"`
		CreatedAt              time.Time     `json:"created_at"`
		UpdatedAt              time.Time     `json:"updated_at"`
	}
	handAnswer struct {
		Data handOrder `json:"data"`
	}
	handCreate struct {
		MerchantOrderReference string        `json:"merchant_order_reference"`
		OrderAmount            handAmount    `json:"order_amount"`
		IntegrationMode        string        `json:"integration_mode,omitempty"`
		PreAuth                bool          `json:"pre_auth"`
		AllowedPaymentMethods  []string      `json:"allowed_payment_methods,omitempty"`
		Notes                  string        `json:"notes,omitempty"`
		PurchaseDetails        *handPurchase `json:"purchase_details,omitempty"`
	}
	handCheckout struct {
		OrderID     string `json:"order_id"`
		RedirectURL string `json:"redirect_url"`
	}
)

func (a *handAnswer) complete() bool   { return a.Data.OrderID != "" }
func (a *handCheckout) complete() bool { return a.OrderID != "" && a.RedirectURL != "" }

func handCreateRequest() *handCreate {
	address := &handAddress{
		Address1: "12 Garden Street", Address2: "Flat 4", Address3: "Near the park",
		Pincode: "560001", City: "BENGALURU", State: "KARNATAKA", Country: "INDIA",
	}
	return &handCreate{
		MerchantOrderReference: orderReference, OrderAmount: handAmount{Value: captureValue, Currency: "INR"},
		PreAuth: true, AllowedPaymentMethods: []string{"CARD", "POINTS"},
		Notes: `two shirts, gift wrap, "deliver after six" & ring the bell`,
		PurchaseDetails: &handPurchase{
			Customer: &handCustomer{
				EmailID: "asha.rao@example.test", FirstName: "Asha", LastName: "Rao", CustomerID: "C-1001",
				MobileNumber: "9000000001", BillingAddress: address, ShippingAddress: address,
			},
			MerchantMetadata: map[string]string{"channel": "web", "branch": "2"},
		},
	}
}
