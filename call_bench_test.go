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
	document := payload(b, "capture_response_partially_captured.json")
	var o plural.Order
	require.NoError(b, o.UnmarshalJSON(dataOf(b, document)))
	entry := o.Captures()[0]
	header := http.Header{"Content-Type": {"application/json"}}
	client := newPeerClient(b, func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header,
			Body: io.NopCloser(bytes.NewReader(document)), ContentLength: int64(len(document)),
		}, nil
	})
	req := &plural.CaptureRequest{
		MerchantCaptureReference: entry.MerchantCaptureReference,
		CaptureAmount:            entry.CaptureAmount,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Captures.Create(b.Context(), o.OrderID, req); err != nil {
			b.Fatal(err)
		}
	}
}
