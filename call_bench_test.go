package plural_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// One capture call over a transport that answers at once.
func BenchmarkCapture(b *testing.B) {
	capture := capturing(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := capture(); err != nil {
			b.Fatal(err)
		}
	}
}

// capturing makes such a call.
func capturing(tb testing.TB) func() error {
	tb.Helper()
	document := payload(tb, "capture_response_partially_captured.json")
	var o plural.Order
	require.NoError(tb, o.UnmarshalJSON(dataOf(tb, document)))
	entry := o.Captures()[0]
	header := http.Header{"Content-Type": {"application/json"}}
	client := newPeerClient(tb, func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header,
			Body: io.NopCloser(bytes.NewReader(document)), ContentLength: int64(len(document)),
		}, nil
	})
	req := &plural.CaptureRequest{
		MerchantCaptureReference: entry.MerchantCaptureReference,
		CaptureAmount:            entry.CaptureAmount,
	}
	return func() error {
		_, err := client.Captures.Create(tb.Context(), o.OrderID, req)
		return err
	}
}
