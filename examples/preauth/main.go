// Command preauth walks Plural's pre-authorisation flow and prints each step.
//
//	go run ./examples/preauth
//
// starts the emulator and a small shop in this process, plays the payer too, and needs nothing else. With PLURAL_CLIENT_ID, PLURAL_CLIENT_SECRET and
// PLURAL_ENVIRONMENT (uat or production) set it creates a real order instead, prints the link to open, and waits for the payer.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	if os.Getenv("PLURAL_CLIENT_ID") != "" {
		return live(ctx, out)
	}
	return demo(ctx, out)
}
