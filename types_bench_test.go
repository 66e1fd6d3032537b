package plural_test

import (
	"encoding/json"
	"testing"

	"github.com/plural-go/plural"
)

func BenchmarkOrderUnmarshal(b *testing.B) {
	data := dataOf(b, payload(b, "capture_response_partially_captured.json"))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var o plural.Order
		if err := o.UnmarshalJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOrderEncodingJSON(b *testing.B) {
	data := dataOf(b, payload(b, "capture_response_partially_captured.json"))
	type plain plural.Order
	b.ReportAllocs()
	for b.Loop() {
		var o plain
		if err := json.Unmarshal(data, &o); err != nil {
			b.Fatal(err)
		}
	}
}
