package probe

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

// checkoutID reads the order's id from a checkout answer.
func checkoutID(r *reply) string { id, _ := checkoutAnswer(r); return id }

// checkoutLink reads the link to the payment page from a checkout answer.
func checkoutLink(r *reply) string { _, link := checkoutAnswer(r); return link }

func checkoutAnswer(r *reply) (orderID, link string) {
	type answer struct {
		OrderID     string `json:"order_id"`
		RedirectURL string `json:"redirect_url"`
	}
	var doc struct {
		answer
		Data answer `json:"data"`
	}
	if !r.isOK() || json.Unmarshal(r.body, &doc) != nil {
		return "", ""
	}
	if doc.OrderID == "" {
		doc.answer = doc.Data
	}
	return doc.OrderID, doc.RedirectURL
}

// For some questions the probe sends two requests under the same reference.
// These are the possible answers to such a question.
const (
	theSame     = "the first one again"
	refused     = "refused"
	aSecond     = "a second one"
	secondAtOne = "a second one, if both come at once"
)

// compareTwo compares the answers to two requests under the same reference.
func compareTwo(first, second *reply, idOf func(*reply) string) (string, error) {
	for _, r := range []*reply{first, second} {
		if idOf(r) == "" && !r.isRefusal() {
			return "", r.unclearFailure()
		}
	}
	switch {
	case idOf(first) == "" && idOf(second) == "":
		return "", nil
	case idOf(first) == "" || idOf(second) == "":
		return refused, nil
	case idOf(first) == idOf(second):
		return theSame, nil
	default:
		return aSecond, nil
	}
}

// sendTwo sends two requests at the same time.
func sendTwo(send func(i int) (*reply, error)) (replies [2]*reply, err error) {
	type outcome struct {
		i   int
		r   *reply
		err error
	}
	start, outcomes := make(chan struct{}), make(chan outcome, 2)
	for i := range 2 {
		go func() {
			<-start
			r, err := send(i)
			outcomes <- outcome{i, r, err}
		}()
	}
	close(start)
	for range 2 {
		o := <-outcomes
		replies[o.i] = o.r
		if o.err != nil {
			err = o.err
		}
	}
	return replies, err
}

func askOrderDuplicate(ctx context.Context, p *Probe) (Found, error) {
	send := func(reference string) (*reply, error) {
		r, _, err := p.createOrder(ctx, orderRequest(reference, unpaidSum))
		return r, err
	}
	reference := p.newReference("dup")
	first, err := send(reference)
	if err != nil {
		return Found{}, err
	}
	if err := p.pause(ctx); err != nil {
		return Found{}, err
	}
	second, err := send(reference)
	if err != nil {
		return Found{}, err
	}
	reference = p.newReference("two")
	both, err := sendTwo(func(int) (*reply, error) { return send(reference) })
	if err != nil {
		return Found{}, err
	}
	inTurn, err := compareTwo(first, second, checkoutID)
	if err != nil {
		return Found{}, err
	}
	together, err := compareTwo(both[0], both[1], checkoutID)
	if err != nil {
		return Found{}, err
	}
	found := Found{Answer: inTurn, Facts: []fact.Fact{
		second.fact("the second"), both[0].fact("one of two sent at once"), both[1].fact("the other of these two"),
	}}
	if inTurn != aSecond && together == aSecond {
		found.Answer = secondAtOne
	}
	return found, nil
}

func askOtherAmount(ctx context.Context, p *Probe) (Found, error) {
	reference := p.newReference("amt")
	first, _, err := p.createOrder(ctx, orderRequest(reference, unpaidSum))
	if err != nil {
		return Found{}, err
	}
	if err := p.pause(ctx); err != nil {
		return Found{}, err
	}
	second, _, err := p.createOrder(ctx, orderRequest(reference, 2*unpaidSum))
	if err != nil {
		return Found{}, err
	}
	answer, err := compareTwo(first, second, checkoutID)
	return Found{Answer: answer, Facts: []fact.Fact{second.fact("the second")}}, err
}

// askOrderLag reads a new order until the API finds it.
func askOrderLag(ctx context.Context, p *Probe) (Found, error) {
	reference, id, err := p.mustCreate(ctx, "lag")
	if err != nil {
		return Found{}, err
	}
	found := Found{Answer: "at once"}
	for _, one := range []struct{ name, path string }{
		{"by id", ordersPath + id},
		{"by reference", byReference + reference},
	} {
		took, looks, err := p.waitUntil(ctx, func() (bool, error) {
			r, err := p.wire.send(ctx, http.MethodGet, one.path, nil)
			return err == nil && r.readOrder().OrderID == id, err
		})
		if err != nil {
			return Found{}, err
		}
		found.Facts = append(found.Facts, fact.Took(one.name, took))
		if looks > 1 {
			found.Answer = "later"
		}
	}
	return found, nil
}

// missingID looks like an order's id, but no order has it.
const missingID = "v1-200101000000-aa-PROBE0"

func askNotFound(ctx context.Context, p *Probe) (Found, error) {
	byID, err := p.wire.send(ctx, http.MethodGet, ordersPath+missingID, nil)
	if err != nil {
		return Found{}, err
	}
	byRef, err := p.wire.send(ctx, http.MethodGet, byReference+p.newReference("none"), nil)
	if err != nil {
		return Found{}, err
	}
	for _, r := range []*reply{byID, byRef} {
		if !r.isRefusal() {
			return Found{}, r.unclearFailure()
		}
	}
	facts := []fact.Fact{byID.fact("by id"), byRef.fact("by reference")}
	switch {
	case byID.fact("").Text() == byRef.fact("").Text():
		return Found{Answer: byID.fact("").Text(), Facts: facts}, nil
	case byRef.status == http.StatusBadRequest && byRef.code == string(plural.CodeInvalidRequest):
		return Found{Answer: "400 INVALID_REQUEST by reference", Facts: facts}, nil
	}
	return Found{Facts: facts}, nil
}

// askProducts sends products under both names that Plural's pages have for
// them.
func askProducts(ctx context.Context, p *Probe) (Found, error) {
	kept := map[string]bool{}
	var facts []fact.Fact
	for _, name := range []string{"product", "products"} {
		request := orderRequest(p.newReference("prod"), unpaidSum)
		request["purchase_details"] = map[string]any{
			name: []map[string]any{{"product_code": "probe", "product_amount": sum(unpaidSum)}},
		}
		r, id, err := p.createOrder(ctx, request)
		if err != nil {
			return Found{}, err
		}
		facts = append(facts, r.fact(name))
		switch {
		case id == "" && !r.isRefusal():
			return Found{}, r.unclearFailure()
		case id == "":
			continue
		}
		var doc struct {
			Data struct {
				OrderID string                     `json:"order_id"`
				Details map[string]json.RawMessage `json:"purchase_details"`
			} `json:"data"`
		}
		if _, _, err := p.waitUntil(ctx, func() (bool, error) {
			read, err := p.wire.send(ctx, http.MethodGet, ordersPath+id, nil)
			return err == nil && json.Unmarshal(read.body, &doc) == nil && doc.Data.OrderID == id, err
		}); err != nil {
			return Found{}, err
		}
		_, kept[name] = doc.Data.Details[name]
	}
	answer := map[[2]bool]string{
		{true, true}: "both are kept", {true, false}: "product is kept",
		{false, true}: "products is kept", {false, false}: "neither is kept",
	}
	return Found{Answer: answer[[2]bool{kept["product"], kept["products"]}], Facts: facts}, nil
}

// askCancelUnpaid tries to cancel an order that nobody has paid.
func askCancelUnpaid(ctx context.Context, p *Probe) (Found, error) {
	_, id, err := p.mustCreate(ctx, "unp")
	if err != nil {
		return Found{}, err
	}
	r, err := p.cancel(ctx, id)
	if err != nil {
		return Found{}, err
	}
	found, err := r.refusalAnswer()
	if r.readOrder().Status == plural.OrderStatusCancelled {
		found.Answer = "CANCELLED"
	}
	return found, err
}

// askLimits sends values just inside and just outside of the documented limits.
func askLimits(ctx context.Context, p *Probe) (Found, error) {
	of := func(length int) string {
		reference := p.newReference("lim") + "-"
		for len(reference) < length {
			reference += "x"
		}
		return reference
	}
	var facts []fact.Fact
	isLoose, isStrict := false, false
	for _, one := range []struct {
		name      string
		reference string
		paise     int64
		isInside  bool
	}{
		{"99 paise", p.newReference("lim"), 99, false},
		{"100 paise", p.newReference("lim"), 100, true},
		{"a reference of 50", of(50), unpaidSum, true},
		{"a reference of 51", of(51), unpaidSum, false},
		{"a reference with a dot", p.newReference("lim") + ".x", unpaidSum, false},
	} {
		r, id, err := p.createOrder(ctx, orderRequest(one.reference, one.paise))
		if err != nil {
			return Found{}, err
		}
		if id == "" && !r.isRefusal() {
			return Found{}, r.unclearFailure()
		}
		facts = append(facts, r.fact(one.name))
		isLoose = isLoose || id != "" && !one.isInside
		isStrict = isStrict || id == "" && one.isInside
	}
	answer := map[[2]bool]string{
		{false, false}: "as documented", {true, false}: "takes more", {false, true}: "takes less",
		{true, true}: "elsewhere",
	}
	return Found{Answer: answer[[2]bool{isLoose, isStrict}], Facts: facts}, nil
}

// maxSkew is how far Plural's clock and this machine's clock may differ. It is
// above a second, because a Date header has whole seconds.
const maxSkew = 5 * time.Second

// askAnswers looks at the protocol and the headers of answers, at the fields of
// an error, and at the answer to a PUT without a body.
func askAnswers(ctx context.Context, p *Probe) (Found, error) {
	read, err := p.wire.send(ctx, http.MethodGet, ordersPath+missingID, nil)
	if err != nil {
		return Found{}, err
	}
	unknown, err := p.wire.send(ctx, http.MethodGet, "/api/pay/v1/no-such-path", nil)
	if err != nil {
		return Found{}, err
	}
	put, err := p.cancel(ctx, missingID)
	if err != nil {
		return Found{}, err
	}
	var headers []string
	for name := range read.header {
		headers = append(headers, name)
	}
	found := Found{Answer: "a Date, and a PUT without a body is taken", Facts: []fact.Fact{
		fact.OneOf("protocol", read.proto, "HTTP/1.1", "HTTP/2.0"),
		fact.Holds("gzip", read.isGzip),
		fact.Names("headers", headers),
		fact.Names("fields of an error", read.fields()),
		unknown.fact("an unknown path"),
		fact.Names("fields of its error", unknown.fields()),
		put.fact("a PUT without a body"),
	}}
	date, err := http.ParseTime(read.header.Get("Date"))
	switch skew := read.at.Sub(date); {
	case err != nil:
		found.Answer = "no Date"
	case skew.Abs() > maxSkew:
		found.Answer = "the clocks differ"
		found.Facts = append(found.Facts, fact.Took("by", skew.Abs()))
	case put.status == http.StatusLengthRequired || put.status == http.StatusUnsupportedMediaType:
		found.Answer = "a PUT needs a body"
	case !put.isOK() && !put.isRefusal():
		return Found{}, put.unclearFailure()
	}
	return found, nil
}
