package pluraltest_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

func TestCallbackSignatureVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, secret string
		fields       url.Values
		want         string
	}{
		{
			"success", "0123456789abcdef0123456789ABCDEF",
			url.Values{"order_id": {"v1-4405071524-aa-qlAtAf"}, "status": {"AUTHORIZED"}},
			"56BA48FD0FB800E4321B4BDF22EE3CD533F55E99A11DB6D4A623ADF4FD965309",
		},
		{
			"failed, message with spaces", "0123456789abcdef0123456789ABCDEF",
			url.Values{
				"order_id": {"v1-4405071524-aa-qlAtAf"}, "status": {"FAILED"},
				"error_code": {"USER_AUTHENTICATION_FAILED"}, "error_message": {"Consumer Authentication required"},
			},
			"16446DA2A8FB81FD215615DF0D7CC01E30E0D3BBA4EA1FFF1414683072B3A763",
		},
		{
			"odd secret", "0123456789abcdef0123456789ABCDEF7",
			url.Values{"order_id": {"v1-4405071524-aa-qlAtAf"}, "status": {"AUTHORIZED"}},
			"56BA48FD0FB800E4321B4BDF22EE3CD533F55E99A11DB6D4A623ADF4FD965309",
		},
		{
			"payment_status", "0123456789abcdef0123456789ABCDEF",
			url.Values{"order_id": {"v1-4405071524-aa-qlAtAf"}, "payment_status": {"AUTHORIZED"}},
			"9D403856050FE63D2A24250B9C335BB2BC85225C631E3F877075BE816B145B96",
		},
		{
			"empty values are dropped", "0123456789abcdef0123456789ABCDEF",
			url.Values{"order_id": {"v1-4405071524-aa-qlAtAf"}, "status": {"AUTHORIZED"}, "error_code": {""}},
			"56BA48FD0FB800E4321B4BDF22EE3CD533F55E99A11DB6D4A623ADF4FD965309",
		},
		{"no hex secret", "fgwei7egyhuggwp39w8rh", url.Values{"order_id": {"x"}, "status": {"AUTHORIZED"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.New(pluraltest.WithCredentials("id", tt.secret))
			defer srv.Close()
			require.Equal(t, tt.want, srv.SignForm(tt.fields).Get("signature"))
		})
	}
}

func TestWebhookSignatureVector(t *testing.T) {
	t.Parallel()
	const want = "v1,Ns46HrH+Nfu9dZtBUVvSLyrOD5JH0SAGlNo3M5yobfQ="
	body := []byte(`{"payload":"payload"}`)
	for name, opts := range map[string][]pluraltest.Option{
		"characters": {pluraltest.WithWebhookSecret("abc1234")},
		"hex":        {pluraltest.WithWebhookSecret("61626331323334"), pluraltest.WithWebhookKey(pluraltest.WebhookKeyHex)},
		"base64": {
			pluraltest.WithWebhookSecret("whsec_YWJjMTIzNA=="),
			pluraltest.WithWebhookKey(pluraltest.WebhookKeyBase64),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pluraltest.New(opts...)
			defer srv.Close()
			require.Equal(t, want, srv.SignWebhook("msg_2nEfCaUDn9fynC9Kz2upo1QSydl", "1728543028", body))

			id := authorized(t, srv, "r", 100)
			req, err := srv.WebhookRequest(
				"ORDER_AUTHORIZED",
				id,
				pluraltest.WebhookID("msg_2nEfCaUDn9fynC9Kz2upo1QSydl"),
				pluraltest.WebhookTime(time.Unix(1728543028, 0)),
				pluraltest.WebhookBody(body),
				pluraltest.WebhookTarget("https://shop.example.com/hook"),
			)
			require.NoError(t, err)
			require.Equal(t, want, req.Header.Get("webhook-signature"))
			require.Equal(t, "1728543028", req.Header.Get("webhook-timestamp"))
			require.Equal(t, "https://shop.example.com/hook", req.URL.String())
			sent, err := io.ReadAll(req.Body)
			require.NoError(t, err)
			require.Equal(t, body, sent)
		})
	}
}

func TestCallbackForms(t *testing.T) {
	t.Parallel()
	srv := pluraltest.New(pluraltest.WithCallbackStatusName("payment_status"), pluraltest.WithEmptyCallbackFields())
	defer srv.Close()
	id := authorized(t, srv, "r", 100)
	form := srv.CallbackForm(id)
	require.Equal(t, "AUTHORIZED", form.Get("payment_status"))
	require.Equal(t, []string{""}, form["error_code"])
	require.Contains(t, string(srv.CallbackJSON(id)), `"payment_status":"AUTHORIZED"`)
	kept := form.Get("signature")

	dropped := pluraltest.New(pluraltest.WithCredentials(srv.ClientID, srv.ClientSecret))
	defer dropped.Close()
	require.NotEqual(t, kept, dropped.SignForm(form).Get("signature"), "empty values are signed")
}

// There are several ways to make the key for callbacks from the secret, and the
// emulator uses the chosen way. The SDK accepts a callback only if the SDK
// makes its key in the same way.
func TestCallbackKeys(t *testing.T) {
	t.Parallel()
	const secret = "MDEyMzQ1Njc4OWFiY2RlZg=="
	forms := map[pluraltest.WebhookKeyForm]func(string) (plural.Key, error){
		pluraltest.WebhookKeyCharacters: plural.RawKey, pluraltest.WebhookKeyBase64: plural.Base64Key,
	}
	for form := range forms {
		srv := pluraltest.New(pluraltest.WithCredentials("shop", secret), pluraltest.WithCallbackKey(form))
		defer srv.Close()
		signed := srv.SignForm(url.Values{"order_id": {"v1-1"}, "status": {"AUTHORIZED"}})
		for other, key := range forms {
			k, err := key(secret)
			require.NoError(t, err)
			verifier, err := plural.NewVerifier("", plural.WithCallbackKeys(k))
			require.NoError(t, err)
			_, err = verifier.VerifyCallback(signed)
			require.Equal(t, form == other, err == nil, "%v %v", form, other)
		}
	}
}

// A client sends a body slowly, and never sends the end. The server closes the
// client's connection.
func TestSlowBodiesAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pluraltest.New()
		defer srv.Close()
		body, writer := io.Pipe()
		defer func() { _ = writer.Close() }()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/auth/v1/token", body)
		require.NoError(t, err)
		begun := time.Now()
		res, err := srv.Client().Do(req)
		if err == nil {
			require.Equal(t, http.StatusBadRequest, res.StatusCode)
			_ = res.Body.Close()
		}
		require.Equal(t, 30*time.Second, time.Since(begun))
		// net/http closes such a connection in two steps, with a short wait
		// between them. The test must not end before the second step.
		time.Sleep(time.Second)
	})
}
