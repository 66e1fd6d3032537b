// Command preauth goes through Plural's pre-authorisation flow and prints each
// step.
//
//	go run ./examples/preauth
//
// starts the emulator and a small shop in this process, and plays the payer. It
// needs no other program. Set PLURAL_CLIENT_ID, PLURAL_CLIENT_SECRET and
// PLURAL_ENVIRONMENT (uat or production) for a real order. The program then
// creates the order, prints the link to open, and waits for the payer. With
// PLURAL_BASE_URL in place of PLURAL_ENVIRONMENT it creates the order at the
// sandbox.
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

// configured reports whether any of the SDK's variables is set. If only some of
// the needed variables are set, that is an error, and the emulator is not used.
func configured() bool {
	return slices.ContainsFunc(variables(), func(name string) bool { return os.Getenv(name) != "" })
}

func variables() []string {
	return []string{"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL"}
}
