package plural

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// peer is the base transport, and what it has told about the server.
type peer struct {
	base        http.RoundTripper
	speaksHTTP1 atomic.Bool // the last answer came by it
}

// RoundTrip holds a transport that is not net/http's to the contract: an answer
// with a body, or an error.
func (p *peer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the HTTP client's transport gave neither an answer nor an error")
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if isHTTP1 := resp.ProtoMajor == 1; p.speaksHTTP1.Load() != isHTTP1 {
		p.speaksHTTP1.Store(isHTTP1)
	}
	return resp, nil
}
