// Command plural checks a Plural (Pine Labs Online) account before and after it
// takes payments.
//
//	plural doctor   checks settings, network and token, on production too
//	plural probe    asks a UAT account what Plural's documentation leaves open
//
// Both commands read the environment variables that plural.NewClientFromEnv
// reads: PLURAL_CLIENT_ID, PLURAL_CLIENT_SECRET, and either PLURAL_ENVIRONMENT
// or PLURAL_BASE_URL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/plural-go/plural/cmd/plural/internal/account"
	"github.com/plural-go/plural/cmd/plural/internal/doctor"
	"github.com/plural-go/plural/cmd/plural/internal/screen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := program().Run(ctx, os.Args)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errShown) {
		fmt.Fprintln(os.Stderr, "plural:", err)
	}
	os.Exit(1)
}

// errShown is an error that was printed already.
var errShown = errors.New("see above")

func program() *cli.Command {
	return &cli.Command{
		Name:           "plural",
		Usage:          "check a Plural (Pine Labs Online) account",
		Version:        version(),
		Commands:       []*cli.Command{doctorCommand(), probeCommand()},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main prints errors and sets the exit code
	}
}

// version returns the version that go install has fetched.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check the settings, network, clock and token; changes nothing",
		Description: "Reads PLURAL_CLIENT_ID, PLURAL_CLIENT_SECRET, and PLURAL_ENVIRONMENT or PLURAL_BASE_URL.\n" +
			"It changes nothing, so it may be run on production. It exits with 1 when something is wrong.",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			findings := doctor.Examine(ctx, account.FromEnv())
			screen.Findings(cmd.Root().Writer, findings)
			if doctor.HasFault(findings) || ctx.Err() != nil {
				return errShown
			}
			return nil
		},
	}
}
