package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// updateInterval is the time between two updates of an open page.
const updateInterval = 300 * time.Millisecond

// streamChanges sends the parts of the page that have changed, as server-sent
// events, until the browser closes the connection.
func (d *dashboard) streamChanges(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	ticker := time.NewTicker(updateInterval)
	defer ticker.Stop()
	sent := map[string]string{}
	for {
		if err := d.sendChanges(w, sent); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}

// sendChanges sends each part of the page that has changed since it was last
// sent.
func (d *dashboard) sendChanges(w http.ResponseWriter, sent map[string]string) error {
	v := d.view()
	for _, part := range []string{"orders", "links", "settled", "queued", "log"} {
		var html bytes.Buffer
		if err := pages.ExecuteTemplate(&html, part, v); err != nil {
			return err
		}
		if html.String() == sent[part] {
			continue
		}
		sent[part] = html.String()
		data, err := json.Marshal(html.String()) // an event's data must be on one line
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", part, data); err != nil {
			return err
		}
	}
	return nil
}
