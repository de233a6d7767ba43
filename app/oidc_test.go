package app_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

// oidcSettings are settings with which people sign in by a provider.
func oidcSettings() variables {
	return variables{
		"TOCSIN_OIDC_ISSUER": " https://login.example.com/realms/main ", "TOCSIN_OIDC_CLIENT_ID": "tocsin", "TOCSIN_OIDC_CLIENT_SECRET": "hush",
		"TOCSIN_OIDC_READ": "soc, audit,", "TOCSIN_OIDC_ADMIN": "ops", "TOCSIN_PUBLIC_URL": "https://tocsin.example.com",
		"TOCSIN_DATABASE_URL": "postgres://localhost/tocsin", "TOCSIN_SECRET_KEY": tocsin.GenerateKey("test"),
	}
}

func configOf(t *testing.T, roles app.Roles, env variables) (app.Config, error) {
	t.Helper()
	settings, err := app.ParseFlags("tocsin", nil, roles, env.get, nil)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Config(new(bytes.Buffer))
}

func TestSignInByAProviderIsReadFromTheEnvironment(t *testing.T) {
	cfg, err := configOf(t, app.Serve, oidcSettings())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(cfg); err != nil {
		t.Fatal(err)
	}
	o := cfg.OIDC
	got := []any{o.Issuer, o.ClientID, o.ClientSecret.Reveal(), o.Read, o.Admin}
	want := []any{"https://login.example.com/realms/main", "tocsin", "hush", []string{"soc", "audit"}, []string{"ops"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A worker has no console.
	if cfg, err := configOf(t, app.Work, oidcSettings()); err != nil || cfg.OIDC != nil {
		t.Errorf("a worker: got %v, %v", cfg.OIDC, err)
	}
}

func TestWhatIsMissingForAProviderIsNamed(t *testing.T) {
	for name, c := range map[string]struct{ value, want string }{
		"TOCSIN_OIDC_ISSUER":    {"", "TOCSIN_OIDC_ISSUER is not"},
		"TOCSIN_OIDC_CLIENT_ID": {"", "TOCSIN_OIDC_CLIENT_ID is not set"},
		"TOCSIN_PUBLIC_URL":     {"", "TOCSIN_PUBLIC_URL is not set"},
	} {
		env := oidcSettings()
		env[name] = c.value
		refusedOIDC(t, env, c.want)
	}
	for _, issuer := range []string{"http://login.example.com", "login.example.com", "https://ann@login.example.com", "https://login.example.com?x=1", "ftp://login.example.com"} {
		env := oidcSettings()
		env["TOCSIN_OIDC_ISSUER"] = issuer
		refusedOIDC(t, env, "TOCSIN_OIDC_ISSUER: \""+issuer)
	}
	env := oidcSettings()
	env["TOCSIN_OIDC_READ"], env["TOCSIN_OIDC_ADMIN"] = " , ", ""
	refusedOIDC(t, env, "nobody could sign in")

	env = oidcSettings()
	env["TOCSIN_OIDC_ISSUER"] = "http://127.0.0.1:9000"
	if cfg, err := configOf(t, app.Serve, env); err != nil {
		t.Error(err)
	} else if _, err := app.New(cfg); err != nil {
		t.Errorf("an issuer on this machine: %v", err)
	}
}

func refusedOIDC(t *testing.T, env variables, want string) {
	t.Helper()
	cfg, err := configOf(t, app.Serve, env)
	if err == nil {
		_, err = app.New(cfg)
	}
	if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
