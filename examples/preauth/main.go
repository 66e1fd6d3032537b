// Command preauth walks Plural's pre-authorisation flow and prints each step.
//
//	go run ./examples/preauth
//
// starts the emulator and a small shop in this process, plays the payer too,
// and needs nothing else. With PLURAL_CLIENT_ID, PLURAL_CLIENT_SECRET and
// PLURAL_ENVIRONMENT (uat or production) set it creates a real order instead,
// prints the link to open, and waits for the payer. With PLURAL_BASE_URL in
// place of PLURAL_ENVIRONMENT that order is one of the sandbox.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "preauth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	if configured() {
		return runLive(ctx, out)
	}
	return runDemo(ctx, out)
}

// configured reports whether any of the SDK's variables is set. A half of what
// is needed is then an error, and no reason to use the emulator.
func configured() bool {
	return slices.ContainsFunc(variables(), func(name string) bool { return os.Getenv(name) != "" })
}

func variables() []string {
	return []string{"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL"}
}
