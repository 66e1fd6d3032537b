package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/plural-go/plural/pluraltest"
)

// settings are the program's flags.
type settings struct {
	Addr          string
	ClientID      string
	ClientSecret  string
	WebhookSecret string
	MerchantID    string
	Tokens        []string
	TokenLifetime time.Duration
	Retries       int
	Duplicates    pluraltest.DuplicateMode
	WebhookURL    string
	WebhookKey    pluraltest.WebhookKeyForm
	WebhookScale  float64
	CallbackKey   pluraltest.WebhookKeyForm
	HoldLifetime  time.Duration
	Lapse         pluraltest.Lapse
	PluginRefunds bool
	OldRefunds    bool
	FaultRate     float64
	Seed          uint64 // seed of the random faults
}

// parseSettings reads the flags.
func parseSettings(args []string, out io.Writer) (*settings, error) {
	s := &settings{CallbackKey: pluraltest.WebhookKeyHex}
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&s.Addr, "addr", "127.0.0.1:8080", "loopback address to listen on")
	flags.StringVar(
		&s.ClientID, "client-id", "", "client id (default: random); the sample id in the integration guide works as well",
	)
	flags.StringVar(
		&s.ClientSecret,
		"client-secret",
		"",
		"client secret, in hex because it signs callbacks (default: random); the guide's sample secret works as well",
	)
	flags.StringVar(&s.WebhookSecret, "webhook-secret", "", "secret that signs webhooks (default: the client secret)")
	flags.StringVar(&s.MerchantID, "merchant-id", "123456", "merchant_id in the answers of the API")
	flags.Func(
		"token",
		"an access token to accept besides the issued tokens and the guide's sample token; the flag may be repeated",
		func(v string) error {
			s.Tokens = append(s.Tokens, v)
			return nil
		},
	)
	flags.DurationVar(&s.TokenLifetime, "token-lifetime", time.Hour, "how long an issued token is valid")
	flags.IntVar(&s.Retries, "retries", 10, "how often a payer may try again after a failed payment")
	flags.Func(
		"duplicates",
		"if a reference is used again: return the existing object (existing, the default), reject or accept",
		s.setDuplicates,
	)
	flags.StringVar(&s.WebhookURL, "webhook-url", "", "where to deliver webhooks; you can change it on the page")
	flags.Func(
		"webhook-key",
		"how to decode the webhook secret into a key: characters (the default), hex or base64",
		func(v string) error { return setKey(v, &s.WebhookKey) },
	)
	flags.Func(
		"callback-key",
		"how to decode the client secret into the key that signs callbacks: hex (the default), characters or base64",
		func(v string) error { return setKey(v, &s.CallbackKey) },
	)
	flags.DurationVar(&s.HoldLifetime, "hold-lifetime", 0,
		"time after which a hold lapses; with 0, a hold lapses only if you press the button on the page")
	flags.Func(
		"hold-lapse",
		"where a hold lapses: at the bank (bank), in the books (books), or both (the default)",
		func(v string) (err error) {
			s.Lapse, err = parseLapse(v)
			return err
		},
	)
	flags.BoolVar(&s.PluginRefunds, "plugin-refunds", false,
		"expect refund requests as shop plugins send them, with the field refund_amount")
	flags.BoolVar(
		&s.OldRefunds,
		"old-refunds",
		false,
		"expect refund requests as in Plural's older guide, with merchant_refund_reference and refund_amount",
	)
	flags.Float64Var(
		&s.WebhookScale,
		"webhook-scale",
		1,
		"factor for the waits between the attempts to deliver a webhook; 0.001 turns hours into seconds",
	)
	flags.Float64Var(
		&s.FaultRate, "fault-rate", 0, "share of the requests (0 to 1) that meet a random fault; the page can change it",
	)
	flags.Uint64Var(
		&s.Seed,
		"seed",
		0,
		"seed of the random faults; with the same seed, the same requests meet the same faults (default: random)",
	)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if s.Seed == 0 {
		s.Seed = uint64(rand.Uint32()) //nolint:gosec // the seed is not a secret
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return s, s.check()
}

func (s *settings) check() error {
	host, _, err := net.SplitHostPort(s.Addr)
	switch {
	case err != nil:
		return fmt.Errorf("-addr: %w", err)
	case !isLoopback(host):
		return errors.New("-addr: the page has no password, so the sandbox listens on loopback only, such as 127.0.0.1:8080")
	case !(s.FaultRate >= 0 && s.FaultRate <= 1): // also refuses NaN
		return errors.New("-fault-rate: from 0 to 1")
	case !(s.WebhookScale >= 0 && s.WebhookScale <= math.MaxFloat64):
		return errors.New("-webhook-scale: a number, not below 0")
	case s.HoldLifetime < 0:
		return errors.New("-hold-lifetime: not below 0")
	case s.Retries < 0:
		return errors.New("-retries: not below 0")
	case s.WebhookURL != "" && !isWebURL(s.WebhookURL):
		return errors.New("-webhook-url: not an http or https URL")
	case (s.ClientID == "") != (s.ClientSecret == ""):
		return errors.New("-client-id and -client-secret go together")
	}
	return nil
}

func (s *settings) setDuplicates(v string) error {
	switch v {
	case "existing":
		s.Duplicates = pluraltest.DuplicateReturnsExisting
	case "reject":
		s.Duplicates = pluraltest.DuplicateRejected
	case "accept":
		s.Duplicates = pluraltest.DuplicateAccepted
	default:
		return errors.New("existing, reject or accept")
	}
	return nil
}

func setKey(v string, form *pluraltest.WebhookKeyForm) error {
	switch v {
	case "characters":
		*form = pluraltest.WebhookKeyCharacters
	case "hex":
		*form = pluraltest.WebhookKeyHex
	case "base64":
		*form = pluraltest.WebhookKeyBase64
	default:
		return errors.New("characters, hex or base64")
	}
	return nil
}

func parseLapse(v string) (pluraltest.Lapse, error) {
	switch v {
	case "both":
		return pluraltest.LapseEverywhere, nil
	case "bank":
		return pluraltest.LapseAtBank, nil
	case "books":
		return pluraltest.LapseInBooks, nil
	}
	return 0, errors.New("both, bank or books")
}

func (s *settings) options() []pluraltest.Option {
	options := []pluraltest.Option{
		pluraltest.WithAddr(s.Addr),
		pluraltest.WithGuideSamples(), // everybody knows these samples, so -addr must be a loopback address
		pluraltest.WithMerchantID(s.MerchantID),
		pluraltest.WithTokenLifetime(s.TokenLifetime),
		pluraltest.WithPaymentRetries(s.Retries),
		pluraltest.WithDuplicateOrders(s.Duplicates),
		pluraltest.WithDuplicateRefunds(s.Duplicates),
		pluraltest.WithDuplicateLinks(s.Duplicates),
		pluraltest.WithWebhookURL(s.WebhookURL),
		pluraltest.WithWebhookKey(s.WebhookKey),
		pluraltest.WithWebhookTimeScale(s.WebhookScale),
		pluraltest.WithCallbackKey(s.CallbackKey),
		pluraltest.WithHoldLifetime(s.HoldLifetime, s.Lapse),
	}
	if s.PluginRefunds {
		options = append(options, pluraltest.WithPluginRefunds())
	}
	if s.OldRefunds {
		options = append(options, pluraltest.WithOldRefunds())
	}
	if s.ClientID != "" {
		options = append(options, pluraltest.WithCredentials(s.ClientID, s.ClientSecret))
	}
	if s.WebhookSecret != "" {
		options = append(options, pluraltest.WithWebhookSecret(s.WebhookSecret))
	}
	for _, token := range s.Tokens {
		options = append(options, pluraltest.WithAccessToken(token))
	}
	return options
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
