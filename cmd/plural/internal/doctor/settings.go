package doctor

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/plural-go/plural"
	"github.com/plural-go/plural/cmd/plural/internal/account"
)

// lookAtVariables makes the client as a shop would make it.
func lookAtVariables(_ context.Context, v *sharedValues) Finding {
	const do = "Set PLURAL_CLIENT_ID and PLURAL_CLIENT_SECRET as the dashboard shows them, without white space, " +
		"and PLURAL_ENVIRONMENT to uat or production."
	var err error
	if v.client, err = v.account.Client(plural.WithUserAgent("plural-doctor")); err != nil {
		return fault(err.Error(), do)
	}
	if v.base, err = v.account.Base(); err != nil {
		return fault(err.Error(), do)
	}
	return well("client id and secret are set, and so is the environment or the base URL")
}

// lookAtInstallation reports whether calls go to production, where real money
// moves.
func lookAtInstallation(_ context.Context, v *sharedValues) Finding {
	host := strings.TrimSuffix(strings.ToLower(v.base.Hostname()), ".") // other spellings lead to the same host
	switch {
	case host == account.ProductionHost && v.account.Environment != string(plural.Production):
		return fault("PLURAL_BASE_URL is the address of production, where real money moves",
			"Set PLURAL_ENVIRONMENT=production in place of PLURAL_BASE_URL: that shows that real money moves.")
	case host == account.ProductionHost:
		return well("production: real money moves")
	case host == account.UATHost:
		return well("UAT: test money")
	case v.account.IsEmulator():
		return well("an emulator on this machine: no money")
	default:
		return well("neither UAT nor production: " + host)
	}
}

// lookAtSecret reports whether callbacks and webhooks can be verified with the
// client secret.
func lookAtSecret(_ context.Context, v *sharedValues) Finding {
	if _, err := plural.NewVerifier(v.account.ClientSecret); err != nil {
		return note("the client secret is not in hex, so by default it cannot verify callbacks",
			"Copy the secret again from the dashboard. If it is right, see plural.WithCallbackKeys.")
	}
	return well("the client secret is in hex: it can verify callbacks")
}

// lookAtProxy finds the proxy that requests go through. net/http ignores a
// proxy address that it cannot parse.
func lookAtProxy(_ context.Context, v *sharedValues) Finding {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: v.base})
	isSet := os.Getenv("HTTPS_PROXY")+os.Getenv("https_proxy") != "" && v.base.Scheme == "https"
	switch {
	case err == nil && proxy != nil:
		v.proxy = proxy
		return well("requests go through " + (&url.URL{Scheme: proxy.Scheme, Host: proxy.Host}).String())
	case err != nil || isSet:
		return note("no proxy, although HTTPS_PROXY is set",
			"HTTPS_PROXY has to be a URL such as http://proxy.example.com:3128, and NO_PROXY must not name Plural's host.")
	default:
		return well("none")
	}
}
