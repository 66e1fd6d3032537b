package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/plural-go/plural/cmd/plural/internal/account"
	"github.com/plural-go/plural/cmd/plural/internal/probe"
	"github.com/plural-go/plural/cmd/plural/internal/report"
	"github.com/plural-go/plural/cmd/plural/internal/screen"
)

func probeCommand() *cli.Command {
	return &cli.Command{
		Name:  "probe",
		Usage: "ask a UAT account what Plural's documentation leaves open",
		Description: "Reads the variables that doctor reads. It runs on UAT, and on an emulator on this machine,\n" +
			"and refuses every other address: it makes orders, and asks a person for card payments of test\n" +
			"money. It cancels and refunds these payments. The report names answers, codes and durations,\n" +
			"and no data of the account or of a payer, so it can be posted in an issue of the package.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "only", Usage: "ask these `questions` only (see -list)"},
			&cli.BoolFlag{Name: "no-payer", Usage: "leave out the questions that need a payment"},
			&cli.BoolFlag{Name: "keep-hold", Usage: "leave one payment on hold; the next run reads what happened to the hold"},
			&cli.StringFlag{
				Name:  "public-url",
				Usage: "public `URL` that leads to the -listen address, such as a tunnel's",
			},
			&cli.StringFlag{
				Name: "listen", Value: "127.0.0.1:0",
				Usage: "`address` for the payer's return and for webhooks",
			},
			&cli.StringFlag{Name: "state", Value: "plural-probe.json", Usage: "`file` of the run's ids and answers"},
			&cli.StringFlag{Name: "markdown", Value: "plural-probe.md", Usage: "`file` for the report in Markdown"},
			&cli.StringFlag{Name: "json", Usage: "`file` for the report in JSON"},
			&cli.DurationFlag{
				Name: "patience", Value: 30 * time.Second,
				Usage: "how long to wait for something to show up",
			},
			&cli.DurationFlag{Name: "pace", Value: 500 * time.Millisecond, Usage: "how long to wait between two looks"},
			&cli.DurationFlag{Name: "pay-within", Value: 30 * time.Minute, Usage: "how long to wait for payments"},
			&cli.BoolFlag{Name: "list", Usage: "list the questions, and ask none"},
			&cli.BoolFlag{Name: "clean", Usage: "give back the money that a stopped run has left, and ask nothing"},
		},
		Action: runProbe,
	}
}

func runProbe(ctx context.Context, cmd *cli.Command) error {
	out := cmd.Root().Writer
	if cmd.Bool("list") {
		screen.Questions(out)
		return nil
	}
	a := account.FromEnv()
	run, err := probe.New(a, probe.Options{
		Only:      cmd.StringSlice("only"),
		NoPayer:   cmd.Bool("no-payer"),
		KeepHold:  cmd.Bool("keep-hold"),
		PublicURL: cmd.String("public-url"),
		Listen:    cmd.String("listen"),
		StateFile: cmd.String("state"),
		Patience:  cmd.Duration("patience"),
		Pace:      cmd.Duration("pace"),
		PayWithin: cmd.Duration("pay-within"),
	}, screen.Progress{Out: out})
	if err != nil {
		return err
	}
	if cmd.Bool("clean") {
		if err := run.Clean(ctx); err != nil {
			return err
		}
		if cmd.Bool("keep-hold") {
			fmt.Fprintln(out, "All holds except a kept one are cancelled, and all captured money is refunded.")
			return nil
		}
		fmt.Fprintln(out, "All holds are cancelled, and all captured money is refunded.")
		return nil
	}
	results, err := run.Run(ctx)
	if len(results) == 0 {
		return err
	}
	r := report.New(version(), sdkVersion(), a.IsEmulator(), results)
	screen.Report(out, r)
	notWritten := writeFile(cmd.String("markdown"), r.Markdown)
	if name := cmd.String("markdown"); name != "" && notWritten == nil {
		fmt.Fprintf(out, "The report is in %s. Please paste it into an issue: %s\n", name, issueURL)
	}
	return errors.Join(err, notWritten, writeFile(cmd.String("json"), r.JSON))
}

const issueURL = "https://github.com/plural-go/plural/issues/new?template=live-report.yml"

// writeFile writes a report to a file. If name is "", it writes nothing.
func writeFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := write(file); err != nil {
		_ = file.Close()
		return fmt.Errorf("write the report: %w", err)
	}
	return file.Close()
}

// sdkVersion returns the version of the SDK in this program.
func sdkVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/plural-go/plural" && module.Replace == nil {
				return module.Version
			}
		}
	}
	return "(devel)"
}
