// Command preauth goes through Plural's pre-authorisation flow and prints each
// step.
//
//	go run ./examples/preauth
//
// This command starts the emulator and a small shop in one process, and also
// acts as the payer. It needs no other program. For a real order, set
// PLURAL_CLIENT_ID, PLURAL_CLIENT_SECRET and PLURAL_ENVIRONMENT (uat or
// production). The program then creates the order, prints the link to open, and
// waits for the payer. To create the order at the sandbox, set PLURAL_BASE_URL
// instead of PLURAL_ENVIRONMENT.
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
	if isConfigured() {
		return runLive(ctx, out)
	}
	return runDemo(ctx, out)
}

// isConfigured reports whether any of the SDK's variables is set. If one is
// set, the program does not use the emulator. The program ends with an error if
// another variable that it needs is missing.
func isConfigured() bool {
	return slices.ContainsFunc(variables(), func(name string) bool { return os.Getenv(name) != "" })
}

func variables() []string {
	return []string{"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL"}
}
