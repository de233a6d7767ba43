package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tocsin-alerts/tocsin"
)

// OIDC is sign-in by an OpenID Connect provider, beside API keys. Who signs in so has the
// scopes that a claim of theirs stands for; nobody needs a key.
type OIDC struct {
	// Issuer is the provider's address, exactly as its tokens have it. Required.
	Issuer string
	// ClientID is what the provider calls this Tocsin; required. ClientSecret is its
	// secret; none for a public client, which PKCE protects.
	ClientID     string
	ClientSecret tocsin.Secret
	// Claim is the claim that decides; "" is "groups". A dot goes into objects:
	// "realm_access.roles".
	Claim string
	// Read and Admin are the values of the claim that give these scopes. Somebody with
	// neither is refused.
	Read, Admin []string
}

// The time and bytes that a provider may take for one answer.
const (
	providerTimeout = 10 * time.Second
	maxProviderBody = 1 << 20
)

// oidcLife is how long a sign-in by a provider holds. The ID token's own life is not
// asked: it says how long the token may be presented, and is five minutes with some
// providers. When it is over, the provider is asked again, which nobody notices who is
// still signed in there, so that access ends so long after it was taken away at most.
const oidcLife = 4 * time.Hour

// provider is the sign-in that was configured, and what the issuer says of itself, which
// is read when it is first needed: a provider that is away does not keep Tocsin from
// starting.
type provider struct {
	OIDC
	redirect string
	client   *http.Client

	mu    sync.Mutex
	known *discovered
}

// discovered is what the issuer's document says.
type discovered struct {
	*oidc.Provider
	scopes []string
}

func newProvider(cfg OIDC, publicURL string) (*provider, error) {
	switch {
	case cfg.Issuer == "" || cfg.ClientID == "":
		return nil, errors.New("OIDC: want an issuer and a client id")
	case publicURL == "":
		return nil, errors.New("OIDC: want the public URL, where the provider sends people back to")
	case len(cfg.Read)+len(cfg.Admin) == 0:
		return nil, errors.New("OIDC: nobody could sign in: want values of the claim that may read or administer")
	}
	if cfg.Claim == "" {
		cfg.Claim = "groups"
	}
	return &provider{
		OIDC: cfg, redirect: strings.TrimRight(publicURL, "/") + Base + "oidc/callback",
		client: &http.Client{Timeout: providerTimeout, Transport: bounded{http.DefaultTransport.(*http.Transport).Clone()}},
	}, nil
}

// bounded cuts answers that are larger than any provider's should be.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxProviderBody), resp.Body}
	return resp, nil
}

// context carries the client to the libraries, which look for it there.
func (o *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, o.client)
}

// discover returns what the issuer says of itself. An error is not remembered.
func (o *provider) discover(ctx context.Context) (*discovered, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known != nil {
		return o.known, nil
	}
	found, err := oidc.NewProvider(o.context(ctx), o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("asking the issuer: %w", err)
	}
	var document struct {
		Scopes []string `json:"scopes_supported"`
	}
	if err := found.Claims(&document); err != nil {
		return nil, fmt.Errorf("reading the issuer's document: %w", err)
	}
	o.known = &discovered{found, document.Scopes}
	return o.known, nil
}

// config is the request that sign-ins begin and end with. Providers such as Okta and Dex
// put groups into tokens only for those who ask for a scope of that name.
func (o *provider) config(found *discovered) *oauth2.Config {
	scopes := []string{oidc.ScopeOpenID, "profile", "email"}
	if slices.Contains(found.scopes, o.Claim) && !slices.Contains(scopes, o.Claim) {
		scopes = append(scopes, o.Claim)
	}
	return &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Endpoint: found.Endpoint(), RedirectURL: o.redirect, Scopes: scopes,
	}
}

// scopes are what values of the claim stand for; none for somebody who is not let in.
func (o *provider) scopes(values []string) []string {
	among := func(v string) func(string) bool { return func(w string) bool { return v == w } }
	var found []string
	for _, v := range values {
		if slices.ContainsFunc(o.Admin, among(v)) {
			return []string{admin}
		}
		if slices.ContainsFunc(o.Read, among(v)) {
			found = []string{read}
		}
	}
	return found
}

// person is somebody whom the provider knows.
type person struct {
	name string
	// values are those of the claim that mean something here.
	values []string
}

// redeem exchanges the code of an answer for an ID token and checks that: its signature,
// issuer, audience, time, and that it was made for this sign-in.
func (o *provider) redeem(ctx context.Context, code string, begun begunSignIn) (person, error) {
	found, err := o.discover(ctx)
	if err != nil {
		return person{}, err
	}
	ctx = o.context(ctx)
	config := o.config(found)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(begun.Verifier))
	if err != nil {
		return person{}, fmt.Errorf("exchanging the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return person{}, refusedToken("there is no ID token in the answer")
	}
	id, err := found.VerifierContext(ctx, &oidc.Config{ClientID: o.ClientID}).Verify(ctx, raw)
	if err != nil {
		return person{}, refusedToken("%w", err)
	}
	var all claims
	if err := id.Claims(&all); err != nil {
		return person{}, refusedToken("%w", err)
	}
	if id.Nonce == "" || id.Nonce != begun.Nonce {
		return person{}, refusedToken("it was made for another sign-in: its nonce is not ours")
	}
	if azp, ok := all["azp"].(string); ok && azp != o.ClientID {
		return person{}, refusedToken("it was made for another client")
	}
	if all.at(o.Claim) == nil && found.UserInfoEndpoint() != "" {
		if err := more(ctx, found, config, token, id.Subject, all); err != nil {
			return person{}, err
		}
	}
	return o.person(id.Subject, all)
}

// more adds the claims that a provider tells only when it is asked about the user.
func more(ctx context.Context, found *discovered, config *oauth2.Config, token *oauth2.Token, subject string, all claims) error {
	info, err := found.UserInfo(ctx, config.TokenSource(ctx, token))
	if err != nil {
		return fmt.Errorf("asking about the user: %w", err)
	}
	var told claims
	if err := info.Claims(&told); err != nil {
		return refusedToken("%w", err)
	}
	if info.Subject != subject {
		return refusedToken("the provider told about another user than the token's")
	}
	for name, v := range told {
		if _, there := all[name]; !there {
			all[name] = v
		}
	}
	return nil
}

// tokenError is a token that does not hold; errors of others mean that the provider could
// not be asked.
type tokenError struct{ err error }

func (e tokenError) Error() string { return "the ID token is refused: " + e.err.Error() }
func (e tokenError) Unwrap() error { return e.err }

func refusedToken(format string, args ...any) error { return tokenError{fmt.Errorf(format, args...)} }
