// Command sandbox runs the emulator as a program. While you build a shop, in
// any language, you can use the sandbox instead of Plural's test environment
// (UAT).
//
//	go run ./examples/sandbox -addr 127.0.0.1:8080
//
// The sandbox prints credentials and the base URL. The page at that URL lists
// the orders, and shows requests and webhooks as they happen. On the page you
// can act as the payer and as the merchant, and switch faults on. When the
// program ends, all its data is gone. No money moves. See -help for more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/plural-go/plural/pluraltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// The function run serves the sandbox until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	settings, err := parseSettings(args, out)
	if err != nil {
		return err
	}
	srv, err := pluraltest.Start(settings.options()...)
	if err != nil {
		return err
	}
	defer srv.Close()
	newDashboard(srv, settings).mount()
	announce(out, srv, settings)
	<-ctx.Done()
	fmt.Fprintln(out, "\nThe sandbox has stopped; its orders are gone.")
	return nil
}

// announce prints the settings for a shop, as the SDK's environment variables.
func announce(out io.Writer, srv *pluraltest.Server, s *settings) {
	fmt.Fprintf(out, `Plural sandbox: a test emulator, no real money moves.

  Dashboard              %s/

  export PLURAL_BASE_URL=%s
  export PLURAL_CLIENT_ID=%s
  export PLURAL_CLIENT_SECRET=%s

  Webhook secret         %s
  Merchant id            %s

The integration guide's sample credentials and sample token are accepted too,
so the guide's cURL commands work with only the host changed.

%s%sStop it with Ctrl-C.
`,
		srv.URL, shellQuoted(srv.URL), shellQuoted(srv.ClientID), shellQuoted(srv.ClientSecret),
		srv.WebhookSecret, srv.MerchantID, replayHint(s), secretWarning(srv))
}

// shellQuoted quotes a value for a shell.
func shellQuoted(value string) string {
	if regexp.MustCompile(`^[A-Za-z0-9:/._-]+$`).MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// replayHint returns a text that tells the user how to get the same random
// faults again.
func replayHint(s *settings) string {
	if s.FaultRate == 0 {
		return ""
	}
	return fmt.Sprintf(
		"Random faults meet %v of the requests; -seed %d repeats the same faults.\n\n", s.FaultRate, s.Seed,
	)
}

// secretWarning returns a warning for the user if the client secret cannot be
// decoded into a key for signatures. Otherwise it returns "". The sample secret
// in Plural's documentation cannot be decoded.
func secretWarning(srv *pluraltest.Server) string {
	if srv.SignForm(url.Values{"order_id": {"any"}}).Get("signature") != "" {
		return ""
	}
	return "The client secret cannot be decoded as -callback-key says, so callbacks have an empty signature.\n" +
		"Plural's sample code would send an empty signature as well.\n\n"
}
