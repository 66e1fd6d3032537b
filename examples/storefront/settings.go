package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/pluraltest"
)

// The type settings has the values that are read when the program starts.
type settings struct {
	Addr     string // the address to listen on
	URL      string // the address at which browsers and Plural reach the shop; the default is made from Addr
	Database string // postgres://..., or a file for SQLite
	Redis    string // redis://...; if it is "", each process has its own access token
	Password string // the operator's password
	made     bool   // the program made the password itself

	pace    pace
	connect connect
	opened  func(url string) // for tests; may be nil
}

// A connect function makes a client for Plural. If the function starts an
// emulator, the emulator delivers its webhooks to webhookURL.
type connect func(log *slog.Logger, webhookURL string, opts ...plural.Option) (*gateway, error)

// A gateway is a client for Plural, with the secret that signs callbacks and
// webhooks.
type gateway struct {
	client *plural.Client
	secret string
	close  func()
}

// The type pace has the times that decide how fast the shop's jobs run. Tests
// with several processes need shorter times than a real shop.
type pace struct {
	Poll    time.Duration // the time between two polls for jobs
	Timeout time.Duration // time limit of one try of a job
	Rescue  time.Duration // a job that runs for longer than this is tried again, because its process seems to be dead
	Sweep   time.Duration // how often the shop searches for orders that it has to read again
	Look    time.Duration // after this time, an order that may still change is read again
	Hold    time.Duration // for how long a hold can safely be captured
	Bank    time.Duration // the time between two runs of the nightly job
	Retry   river.ClientRetryPolicy
}

func usualPace() pace {
	return pace{
		Poll:    time.Second,
		Timeout: 2 * time.Minute,
		Rescue:  5 * time.Minute,
		Sweep:   time.Minute,
		Look:    10 * time.Minute,
		Hold:    4 * 24 * time.Hour, // ask Plural how long a hold lasts, and subtract a day
		Bank:    24 * time.Hour,
		Retry:   &river.DefaultClientRetryPolicy{},
	}
}

func parseSettings(args []string) (settings, error) {
	s := settings{pace: usualPace(), connect: fromEnv}
	flags := flag.NewFlagSet("storefront", flag.ContinueOnError)
	flags.StringVar(&s.Addr, "addr", cmp.Or(os.Getenv("STOREFRONT_ADDR"), "127.0.0.1:8082"), "address to listen on")
	flags.StringVar(
		&s.URL, "url", os.Getenv("STOREFRONT_URL"), "the shop's address for browsers and Plural, if it is not -addr",
	)
	flags.StringVar(&s.Database, "database", os.Getenv("STOREFRONT_DATABASE"),
		"postgres://..., or a file for SQLite; default: an empty database that is removed at the end")
	flags.StringVar(&s.Redis, "redis", os.Getenv("STOREFRONT_REDIS"), "redis://..., to share the access token")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	// The password is not a flag, because others on this machine can read
	// flags.
	s.Password = os.Getenv("STOREFRONT_PASSWORD")
	if s.Password == "" {
		s.Password, s.made = rand.Text(), true
	}
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
			return settings{}, errors.New("-url: an address such as https://shop.example is needed")
		}
		s.URL = strings.TrimSuffix(s.URL, "/")
	}
	if isConfigured() && s.Database == "" {
		return settings{}, errors.New("-database is needed: a temporary database would lose orders that Plural still has")
	}
	if isConfigured() && s.made {
		return settings{}, errors.New("STOREFRONT_PASSWORD is needed, because the staff's pages move real money")
	}
	return s, nil
}

// isConfigured reports whether any of the SDK's variables is set. If one of
// them is set, the program does not use the emulator. It then ends with an
// error if another variable that it needs is missing.
func isConfigured() bool {
	return slices.ContainsFunc(
		[]string{"PLURAL_CLIENT_ID", "PLURAL_CLIENT_SECRET", "PLURAL_ENVIRONMENT", "PLURAL_BASE_URL"},
		func(name string) bool { return os.Getenv(name) != "" },
	)
}

// fromEnv makes a client from the SDK's variables. If none of them is set, it
// starts an emulator, and makes a client for the emulator.
func fromEnv(log *slog.Logger, webhookURL string, opts ...plural.Option) (*gateway, error) {
	if isConfigured() {
		client, err := plural.NewClientFromEnv(opts...)
		return &gateway{client, os.Getenv("PLURAL_CLIENT_SECRET"), func() {}}, err
	}
	emulator, err := pluraltest.Start(pluraltest.WithWebhookURL(webhookURL))
	if err != nil {
		return nil, err
	}
	log.Info("no PLURAL_ variable is set: using the emulator", "url", emulator.URL)
	creds := plural.Credentials{ClientID: emulator.ClientID, ClientSecret: emulator.ClientSecret}
	client, err := plural.NewClient(creds, append(opts, plural.WithBaseURL(emulator.URL))...)
	if err != nil {
		emulator.Close()
		return nil, err
	}
	return &gateway{client, emulator.ClientSecret, emulator.Close}, nil
}

// If the settings name no database, ensureDatabase makes a folder for a
// temporary database. The returned function deletes this folder. If the
// settings name a database, the returned function does nothing.
func (s *settings) ensureDatabase() (remove func(), err error) {
	if s.Database != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "storefront-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the database: %w", err)
	}
	s.Database = filepath.Join(dir, "shop.db")
	return func() { _ = os.RemoveAll(dir) }, nil
}
