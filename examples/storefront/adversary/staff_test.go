package adversary_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The method post sends a request to any of the processes, and returns the
// page. It returns "" if no answer came.
func (f *fleet) post(rng *rand.Rand, method, path string, form url.Values) string {
	req, err := http.NewRequestWithContext(f.t.Context(), method,
		"http://"+f.addresses[rng.IntN(fleetSize)]+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Error(err)
		return ""
	}
	req.SetBasicAuth("operator", password)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(req)
}

func send(req *http.Request) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

var (
	versionField = regexp.MustCompile(`name="version" value="([0-9]+)"`)
	tryAgain     = regexp.MustCompile(`action="(/operator/orders/[^"]*/jobs/[0-9]+)"`)
	writtenOff   = regexp.MustCompile(`name="reference" value="([^"]+)"`)
)

// The method staff acts as an operator until ctx ends. It makes decisions that
// the order's page offers.
func (f *fleet) staff(ctx context.Context, o *shopOrder) {
	rng := rand.New(rand.NewPCG(o.sc.seed, 3))
	at := "/operator/orders/" + o.number
	for isPast(ctx, between(rng, 0, 3*time.Second)) {
		page := f.post(rng, http.MethodGet, at, nil)
		version := versionField.FindStringSubmatch(page)
		var ideas []string
		for _, kind := range []string{"capture", "cancel", "refund"} {
			if strings.Contains(page, `name="kind" value="`+kind+`"`) {
				ideas = append(ideas, kind)
			}
		}
		if again := tryAgain.FindStringSubmatch(page); again != nil && chance(rng, 0.3) {
			f.post(rng, http.MethodPost, again[1], nil)
		}
		off := writtenOff.FindStringSubmatch(page)
		if version == nil || len(ideas) == 0 && off == nil {
			continue
		}
		form := url.Values{"version": {version[1]}}
		if off != nil && chance(rng, 0.1) {
			f.post(rng, http.MethodPost, at+"/writeoff", url.Values{"version": form["version"], "reference": {off[1]}})
			continue
		}
		if len(ideas) == 0 {
			continue
		}
		kind := pick(rng, append(ideas, ideas[0])...)
		if chance(rng, 0.5) {
			form.Set("whole", "1")
		} else {
			form.Set("amount", pick(rng, "3.00", "30.00", "120.00"))
		}
		var twice sync.WaitGroup
		if chance(rng, 0.3) {
			twice.Go(func() { f.post(rand.New(rand.NewPCG(o.sc.seed, 4)), http.MethodPost, at+"/"+kind, form) })
		}
		f.post(rng, http.MethodPost, at+"/"+kind, form)
		twice.Wait()
	}
}

// sendWebhooks sends webhooks about the order's changes. Some come late, some
// come twice, and some do not come.
func (f *fleet) sendWebhooks(ctx context.Context, o *shopOrder) {
	rng := rand.New(rand.NewPCG(o.sc.seed, 5))
	for told := 0; isPast(ctx, between(rng, 0, time.Second)); {
		o.mu.Lock()
		main := o.orders[0]
		versions := len(o.versions[main.id])
		doc := map[string]any{"event_type": "ORDER_" + main.status, "data": o.orderDoc(main.clone(), docFault{})}
		o.mu.Unlock()
		if versions == told || chance(rng, 0.3) {
			told = versions
			continue
		}
		told = versions
		body, err := json.Marshal(doc)
		if err != nil {
			f.t.Error(err)
			return
		}
		for range pick(rng, 1, 2) {
			f.webhook(rng, fmt.Sprintf("msg_%d_%d", o.sc.seed, versions), body)
		}
	}
}

func (f *fleet) webhook(rng *rand.Rand, id string, body []byte) {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost,
		"http://"+f.addresses[rng.IntN(fleetSize)]+"/plural/webhook", bytes.NewReader(body))
	if err != nil {
		f.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	send(req)
}
