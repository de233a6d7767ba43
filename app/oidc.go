package app

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/console"
)

// The settings of signing in to the console by OpenID Connect.
const (
	oidcIssuer = "TOCSIN_OIDC_ISSUER"
	oidcClient = "TOCSIN_OIDC_CLIENT_ID"
	oidcSecret = "TOCSIN_OIDC_CLIENT_SECRET" // #nosec G101 -- the name of a variable
	oidcClaim  = "TOCSIN_OIDC_CLAIM"
	oidcRead   = "TOCSIN_OIDC_READ"
	oidcAdmin  = "TOCSIN_OIDC_ADMIN"
)

// parseOIDC reads how people sign in to the console without a key; nil when nothing is
// said about that. The issuer is taken as it is, but for space around it: tokens name it
// exactly so.
func parseOIDC(roles Roles, getenv func(string) string) (*console.OIDC, error) {
	if roles&Serve == 0 {
		return nil, nil // a worker shares the settings and has no console
	}
	get := func(name string) string { return strings.TrimSpace(getenv(name)) }
	all := []string{oidcIssuer, oidcClient, oidcSecret, oidcClaim, oidcRead, oidcAdmin}
	set := slices.IndexFunc(all, func(name string) bool { return get(name) != "" })
	if set < 0 {
		return nil, nil
	}
	if get(oidcIssuer) == "" {
		return nil, fmt.Errorf("%s is set, but %s is not: want the address of an OpenID Connect provider", all[set], oidcIssuer)
	}
	o := &console.OIDC{
		Issuer: get(oidcIssuer), ClientID: get(oidcClient), ClientSecret: tocsin.NewSecret(get(oidcSecret)), Claim: get(oidcClaim),
		Read: commaList(get(oidcRead)), Admin: commaList(get(oidcAdmin)),
	}
	return o, nil
}

// commaList splits a text at its commas.
func commaList(text string) []string {
	var all []string
	for _, one := range strings.Split(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// checkOIDC says what is missing for signing in by a provider.
func checkOIDC(o *console.OIDC, publicURL string) error {
	switch {
	case o == nil:
		return nil
	case !isIssuer(o.Issuer):
		return fmt.Errorf("%s: %q is not an https URL (http is for this machine alone); write for example https://login.example.com/realms/main", oidcIssuer, o.Issuer)
	case o.ClientID == "":
		return fmt.Errorf("%s is not set: want what the provider calls this Tocsin", oidcClient)
	case publicURL == "":
		return fmt.Errorf("TOCSIN_PUBLIC_URL is not set, but %s is: the provider sends people back there", oidcIssuer)
	case len(o.Read)+len(o.Admin) == 0:
		return errors.New(oidcRead + " and " + oidcAdmin + " are not set: nobody could sign in; want values of the claim that may read or administer")
	}
	return nil
}

// isIssuer reports whether a provider may be asked at an address: what it says decides
// who is let in, and must come unchanged.
func isIssuer(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
