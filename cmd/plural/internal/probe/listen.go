package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plural-go/plural"
)

// The paths that this machine listens on.
const (
	returnPath  = "/return"
	webhookPath = "/webhook"
)

const maxIncoming = 256 << 10

// The type listener receives the browser's returns and the webhooks. It records
// only the parts that the probe's questions need. It records no data of a
// payer.
type listener struct {
	server *http.Server
	url    string // the address at which browsers and Plural reach the listener
}

// listenAddress returns the local address to listen on. The callback URLs of a
// run's payments have the port at which the run has listened. So if a run with
// payments is continued, it listens at that port again. If -listen gives
// another port, listenAddress returns an error.
func (p *Probe) listenAddress(asked string) (string, error) {
	_, port, _ := net.SplitHostPort(asked)
	_, before, _ := net.SplitHostPort(p.memory.Listens)
	switch {
	case before == "" || port == before:
		return asked, nil
	case port == "" || port == "0":
		return p.memory.Listens, nil
	case len(p.memory.Payments) > 0:
		return "", fmt.Errorf("the payments of this run come back to %s: leave -listen out, "+
			"or run plural probe -clean first", p.memory.Listens)
	}
	return asked, nil
}

// The method listen opens the local port. The argument publicURL is the
// listener's address on the internet, or "" if there is no tunnel.
func (p *Probe) listen(ctx context.Context, address, publicURL string) (*listener, error) {
	address, err := p.listenAddress(address)
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := p.memory.changeAndSave(func() { p.memory.Listens = l.Addr().String() }); err != nil {
		_ = l.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc(returnPath, p.takeReturn)
	mux.HandleFunc("POST "+webhookPath, p.takeWebhook)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	at := strings.TrimSuffix(publicURL, "/")
	if at == "" {
		at = "http://" + l.Addr().String()
	}
	return &listener{server, at}, nil
}

// The method close waits for requests that are being answered, and closes the
// listener.
func (l *listener) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close()
	}
}

// keyForm is a way to make a key from the client secret.
type keyForm struct {
	name string
	key  plural.Key
}

// The names of the ways to make a key from the client secret. keyAnother means
// that none of the resulting keys fits.
const (
	keyHex        = "hex"
	keyCharacters = "characters"
	keyBase64     = "base64"
	keyAnother    = "another secret"
)

// keyForms returns each key that can be made from the client secret.
func keyForms(secret string) []keyForm {
	var forms []keyForm
	for _, form := range []struct {
		name string
		make func(string) (plural.Key, error)
	}{{keyHex, plural.HexKey}, {keyCharacters, plural.RawKey}, {keyBase64, plural.Base64Key}} {
		if key, err := form.make(secret); err == nil {
			forms = append(forms, keyForm{form.name, key})
		}
	}
	return forms
}

// When a payer's browser comes back, takeReturn records the names of the form
// fields and how they are signed, but not the fields' values.
func (p *Probe) takeReturn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxIncoming)
	err := r.ParseForm()
	form := r.PostForm
	if r.Method == http.MethodGet {
		form = r.Form
	}
	if err != nil || !p.isOurs(form.Get("order_id")) {
		http.Error(w, "This return does not belong to a payment of this run.", http.StatusBadRequest)
		return
	}
	seen := readReturn(form, keyForms(p.account.ClientSecret))
	seen.Method = r.Method
	p.recordChange(func() {
		if p.memory.Return == nil {
			p.memory.Return = seen
		}
		for _, made := range p.memory.Payments {
			made.IsBack = made.IsBack || made.OrderID == form.Get("order_id")
		}
	})
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Thank you. plural probe continues, and you can close this window.\n")
}

// readReturn finds out which key has signed a return, and whether the signature
// covers fields without a value.
func readReturn(form url.Values, keys []keyForm) *returnedForm {
	seen := &returnedForm{Key: keyAnother, Names: slices.Collect(maps.Keys(form))}
	var all, filled []string
	for _, name := range slices.Sorted(maps.Keys(form)) {
		value := form.Get(name)
		if name == "signature" {
			continue
		}
		pair := name + "=" + value
		all = append(all, pair)
		if value == "" {
			seen.Empty++
		} else {
			filled = append(filled, pair)
		}
	}
	for _, each := range keys {
		for i, pairs := range [][]string{filled, all} {
			signature := plural.Sign([]byte(strings.Join(pairs, "&")), each.key)
			if strings.EqualFold(signature, form.Get("signature")) {
				seen.Key, seen.EmptySigned = each.name, i == 1 && seen.Empty > 0
				return seen
			}
		}
	}
	return seen
}

// takeWebhook records a webhook's ids, time, key and header names. It answers
// the first webhook with 500, so Plural sends that webhook again.
func (p *Probe) takeWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxIncoming))
	var event struct {
		Type      string       `json:"event_type"`
		CamelType string       `json:"eventType"` // Plural sends some events in camelCase
		Data      plural.Order `json:"data"`
	}
	if err != nil || json.Unmarshal(body, &event) != nil || !p.isOurs(event.Data.OrderID) {
		return // the webhook is about another order of the account, and need not come again
	}
	seen := delivery{
		OrderID: event.Data.OrderID, Type: cmp.Or(event.Type, event.CamelType), ID: r.Header.Get("Webhook-Id"),
		Stamp: r.Header.Get("Webhook-Timestamp"), Key: webhookKey(r.Header, body, keyForms(p.account.ClientSecret)),
		Headers: slices.Collect(maps.Keys(r.Header)), At: time.Now(),
	}
	p.recordChange(func() {
		seen.Refused = len(p.memory.Webhooks) == 0
		p.memory.Webhooks = append(p.memory.Webhooks, seen)
	})
	if seen.Refused {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// maxAge is the greatest age that a webhook can have at its last delivery.
const maxAge = 29 * time.Hour

// webhookKey finds out which key has signed a webhook.
func webhookKey(header http.Header, body []byte, forms []keyForm) string {
	for _, form := range forms {
		verifier, err := plural.NewVerifier("", plural.WithWebhookKeys(form.key), plural.WithTolerance(maxAge))
		if err == nil && verifier.VerifyWebhookSignature(header, body) == nil {
			return form.name
		}
	}
	return keyAnother
}

// stampOf reads the time of a webhook.
func (d *delivery) stampOf() (time.Time, bool) {
	seconds, err := strconv.ParseInt(d.Stamp, 10, 64)
	return time.Unix(seconds, 0), err == nil
}
