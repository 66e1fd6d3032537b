package main_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	linkPattern    = regexp.MustCompile(`(?m)^  ([A-D])  (http\S+)$`)
	webhookPattern = regexp.MustCompile(`Webhooks are taken at (http\S+):`)
	hiddenPattern  = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	shopPattern    = regexp.MustCompile(`<form method="post" action="([^"]+)" id="return"`)
)

// The type payer does what a person at the terminal does. It opens each payment
// link as a browser does, and pays by card.
type payer struct {
	run    *terminalRun
	client *http.Client
	tell   func(webhookURL string) // sets the webhook address on the dashboard; nil if the dashboard knows the address
	paid   map[string]bool
}

// payAll makes every payment that the program asks for, until the program ends.
func (p *payer) payAll(t *testing.T) {
	t.Helper()
	for {
		shown := p.run.shown()
		if strings.Contains(shown, "The program continues by itself.") {
			if found := webhookPattern.FindStringSubmatch(shown); found != nil && p.tell != nil {
				p.tell(found[1])
			}
			for _, link := range linkPattern.FindAllStringSubmatch(shown, -1) {
				if !p.paid[link[1]] {
					p.paid[link[1]] = true
					if err := p.payOne(link[2]); err != nil {
						t.Errorf("payment %s: %v", link[1], err)
						return
					}
				}
			}
		}
		select {
		case <-p.run.done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// payOne goes through the checkout's pages, and then back to the shop.
func (p *payer) payOne(link string) error {
	card := url.Values{
		"action": {"pay"}, "method": {"CARD"}, "card_number": {"4012001037141112"},
		"card_cvv": {"212"}, "card_expiry": {"12/30"},
	}
	if _, err := p.post(link, card); err != nil {
		return err
	}
	page, err := p.post(link, url.Values{"action": {"approve"}, "otp": {"123456"}})
	if err != nil {
		return err
	}
	shop := shopPattern.FindStringSubmatch(page)
	if shop == nil {
		return nil // the order has no callback URL
	}
	form := url.Values{}
	for _, field := range hiddenPattern.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	_, err = p.post(html.UnescapeString(shop[1]), form)
	return err
}

func (p *payer) post(to string, form url.Values) (page string, err error) {
	resp, err := p.client.PostForm(to, form)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, read)
	}
	return string(read), err
}

// startPayer makes the payments that a run asks for, until the run ends.
func startPayer(t *testing.T, run *terminalRun, tell func(webhookURL string)) {
	t.Helper()
	transport := &http.Transport{}
	p := &payer{run: run, client: &http.Client{Transport: transport}, tell: tell, paid: map[string]bool{}}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.payAll(t)
	}()
	t.Cleanup(func() {
		_ = run.cmd.Process.Kill()
		<-over
		transport.CloseIdleConnections()
	})
}
