package main

import (
	"io"
	"strings"
	"testing"
)

const profile = `mode: set
github.com/plural-go/plural/auth.go:1.1,2.2 3 0
github.com/plural-go/plural/auth.go:1.1,2.2 3 1
github.com/plural-go/plural/auth.go:4.1,5.2 1 0
github.com/plural-go/plural/internal/retry/retry.go:1.1,2.2 2 0
`

func TestCheck(t *testing.T) {
	t.Parallel()
	files, err := parseProfile(strings.NewReader(profile))
	if err != nil {
		t.Fatal(err)
	}
	if got := files["auth.go"]; got != (tally{3, 4}) {
		t.Fatalf("a block that only one of two binaries ran counts once, and as covered: got %v", got)
	}
	for _, tt := range []struct {
		name, areas, wantErr string
	}{
		{"met", "auth 75 auth.go # three of four", ""},
		{"missed", "auth 76 auth.go", "75.0% is below 76%"},
		{"directory", "retry 1 internal/retry/", "0.0% is below 1%"},
		{"several files", "both 50 auth.go internal/retry/", ""},
		{"everything", "all 51 ./", "50.0% is below 51%"},
		{"renamed file", "settle 95 settle.go", "the profile has no file of this area"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			areas, err := parseAreas(strings.NewReader(tt.areas))
			if err != nil {
				t.Fatal(err)
			}
			err = check(io.Discard, files, areas)
			if tt.wantErr == "" && err != nil {
				t.Errorf("got %v", err)
			}
			if tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("got %v, want it to say %q", err, tt.wantErr)
			}
		})
	}
}

func TestBrokenInput(t *testing.T) {
	t.Parallel()
	if _, err := parseProfile(strings.NewReader("what\n")); err == nil {
		t.Error("a line that is not coverage was accepted")
	}
	if _, err := parseAreas(strings.NewReader("auth auth.go\n")); err == nil {
		t.Error("an area without a minimum was accepted")
	}
}
