package main

import (
	"encoding/json"

	"github.com/plural-go/plural"
)

const (
	decodeTitle = "An order decoded"
	encodeTitle = "A create request encoded"
)

func codecSuites() []suite {
	document := compactOrder()
	decode := suite{
		Title: decodeTitle,
		Cases: []benchCase{
			work("json.Unmarshal into a plain struct", func() error { return json.Unmarshal(document, new(handOrder)) }),
			work("plural, Order.UnmarshalJSON", func() error { return new(plural.Order).UnmarshalJSON(document) }),
			work("plural, through json.Unmarshal", func() error { return json.Unmarshal(document, new(plural.Order)) }),
		},
	}
	hand, ours := handCreateRequest(), pluralCreateRequest()
	encode := suite{
		Title: encodeTitle,
		Note:  "json.Marshal checks and copies what MarshalJSON returns. The client encodes an order without json.Marshal.",
		Cases: []benchCase{
			work("json.Marshal of a plain struct", func() error { _, err := json.Marshal(hand); return err }),
			work("plural, through json.Marshal", func() error { _, err := json.Marshal(ours); return err }),
			work("plural, CreateOrderRequest.MarshalJSON", func() error { _, err := ours.MarshalJSON(); return err }),
		},
	}
	decode.Cases = append(decode.Cases, repeatedCase(decode.Cases[0]))
	encode.Cases = append(encode.Cases, repeatedCase(encode.Cases[0]))
	return []suite{decode, encode}
}

func work(name string, do func() error) benchCase {
	return benchCase{Name: name, Setup: func() (func() error, func()) { return do, nil }}
}
