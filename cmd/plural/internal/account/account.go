// Package account reads the account from the environment variables.
package account

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/plural-go/plural"
)

// The hosts of UAT and production.
const (
	UATHost        = "pluraluat.v2.pinepg.in"
	ProductionHost = "api.pluralpay.in"
)

// Account has the values of the environment variables, right or wrong.
type Account struct {
	ClientID     string
	ClientSecret string
	Environment  string // PLURAL_ENVIRONMENT
	BaseURL      string // PLURAL_BASE_URL
}

// FromEnv reads the environment variables.
func FromEnv() *Account {
	return &Account{
		ClientID:     os.Getenv("PLURAL_CLIENT_ID"),
		ClientSecret: os.Getenv("PLURAL_CLIENT_SECRET"),
		Environment:  os.Getenv("PLURAL_ENVIRONMENT"),
		BaseURL:      os.Getenv("PLURAL_BASE_URL"),
	}
}

// Client makes the SDK's client for the account. Its error says what is wrong
// with the environment variables.
func (a *Account) Client(opts ...plural.Option) (*plural.Client, error) {
	client, err := plural.NewClientFromEnv(opts...)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "plural: new client: "))
	}
	return client, nil
}

// Base returns the address that requests go to.
func (a *Account) Base() (*url.URL, error) {
	switch {
	case a.BaseURL != "":
		base, err := url.Parse(strings.TrimSuffix(a.BaseURL, "/"))
		if err != nil || base.Hostname() == "" {
			return nil, errors.New("PLURAL_BASE_URL is not an absolute URL")
		}
		return base, nil
	case a.Environment == string(plural.Production):
		return &url.URL{Scheme: "https", Host: ProductionHost}, nil
	default:
		return &url.URL{Scheme: "https", Host: UATHost}, nil
	}
}

// MayBeProbed returns nil if requests go to UAT, or to an emulator on this
// machine. There the card payments of the probe move only test money. For any
// other address MayBeProbed returns an error, because the address might be
// production.
func (a *Account) MayBeProbed() error {
	base, err := a.Base()
	if err != nil {
		return err
	}
	if base.Hostname() == UATHost || isLoopback(base.Hostname()) {
		return nil
	}
	return fmt.Errorf(
		"the probe moves money, so it runs only on UAT (%s) and on an emulator on this machine, not on %s; "+
			"plural doctor runs everywhere", UATHost, base.Hostname())
}

// IsEmulator reports whether requests go to this machine.
func (a *Account) IsEmulator() bool {
	base, err := a.Base()
	return err == nil && isLoopback(base.Hostname())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
