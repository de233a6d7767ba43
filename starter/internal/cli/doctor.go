package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

const doctorLong = `Check the installation from this machine, and say how to mend what is wrong: the settings;
the API, its version and the key; the store, its schema, clock and connections; whether the
key ring opens every secret; whether every webhook's host resolves and may be sent to;
Temporal with its namespace, search attributes, schedules and workers, and their versions;
the ledger. Nothing is changed or sent, and no secret is shown.

What the environment does not lead to is skipped: with TOCSIN_API_URL and TOCSIN_API_KEY
alone, only the API's side is checked. Run it where serve and the workers run, with their
environment, to check everything.

Exit code 1 when a check fails; a warning is none.`

// errUnwell makes the exit code of an installation with something to mend.
var errUnwell = errors.New("something is to be mended")

// diagnosis is what -o json prints.
type diagnosis struct {
	OK     bool          `json:"ok"`
	Checks []app.Finding `json:"checks"`
}

func (p *program) doctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check the installation, and say how to mend it", Long: doctorLong, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			checks := p.checkAPI(ctx)
			environ := p.Environ
			if environ == nil {
				environ = func() []string { return nil }
			}
			checks = append(checks, app.Diagnose(ctx, app.DoctorConfig{Getenv: p.Getenv, Environ: environ, Version: p.Version})...)
			if err := ctx.Err(); err != nil {
				return err
			}
			return p.printDiagnosis(withoutTwins(checks))
		},
	}
}

// withoutTwins leaves out the ledger as the API shows it where the store was asked itself.
func withoutTwins(checks []app.Finding) []app.Finding {
	var out []app.Finding
	last := map[string]int{}
	for _, c := range checks {
		if at, twin := last[c.Area+c.Check]; twin && c.Area == "ledger" {
			out[at] = c
			continue
		}
		last[c.Area+c.Check] = len(out)
		out = append(out, c)
	}
	return out
}

func (p *program) printDiagnosis(checks []app.Finding) error {
	count := map[app.Result]int{}
	for _, c := range checks {
		count[c.Result]++
	}
	var err error
	if n := count[app.CheckFail]; n > 0 {
		err = fmt.Errorf("%d of %d checks failed: %w", n, len(checks), errUnwell)
	}
	if p.output == "json" {
		return errors.Join(err, printJSON(p.Stdout, diagnosis{OK: err == nil, Checks: checks}))
	}
	t := newTable(p.Stdout)
	for _, c := range checks {
		t.row(c.Result, c.Area, c.Check, c.Seen)
		if c.Mend != "" {
			t.row(" ", " ", " ", "-> "+c.Mend)
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, printing := fmt.Fprintf(p.Stdout, "\n%d ok, %d to look at, %d failed, %d skipped\n",
		count[app.CheckOK], count[app.CheckWarn], count[app.CheckFail], count[app.CheckSkipped])
	return errors.Join(err, printing)
}

// meView is what the API says of itself and the key.
type meView struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"`
	Open      bool       `json:"open"`
	Version   string     `json:"version"`
	Now       time.Time  `json:"now"`
}

// soon is how long before its end a key is worth a word.
const soon = 7 * 24 * time.Hour

// checkAPI asks the API what it is, and what the key is.
func (p *program) checkAPI(ctx context.Context) []app.Finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found := func(check string, result app.Result, mend, seen string, args ...any) app.Finding {
		return app.Finding{Area: "api", Check: check, Result: result, Seen: fmt.Sprintf(seen, args...), Mend: mend}
	}
	api, err := p.client()
	if err != nil {
		return []app.Finding{found("reachable", app.CheckFail, "correct TOCSIN_API_URL", "%v", err)}
	}
	var me meView
	err = api.call(ctx, http.MethodGet, "/v1/me", nil, nil, &me)
	switch tocsin.CodeOf(err) {
	case "":
	case tocsin.CodeUnauthorized, tocsin.CodeForbidden:
		return []app.Finding{
			found("reachable", app.CheckOK, "", "answers at %s", api.base),
			found("key", app.CheckFail, "put a key into TOCSIN_API_KEY; tocsin keys create makes one", "%s", p.keyText()),
		}
	case tocsin.CodeUnavailable:
		return []app.Finding{found("reachable", app.CheckFail, "see that tocsin serve (or tocsin-dev) runs, and that TOCSIN_API_URL is where it listens", "%v", err)}
	case tocsin.CodeNotFound:
		return []app.Finding{found("reachable", app.CheckFail, "update serve, or use the tocsin of its version", "%s does not know what this program asks: it is older, or no Tocsin", api.base)}
	default:
		return []app.Finding{found("reachable", app.CheckFail, "see that TOCSIN_API_URL is the address of a Tocsin", "%v", err)}
	}
	checks := []app.Finding{found("reachable", app.CheckOK, "", "answers at %s", api.base), p.apiVersion(me.Version), keyFinding(me)}
	var ledger ledgerView
	if api.call(ctx, http.MethodGet, "/v1/ledger", nil, nil, &ledger) == nil { // else the key may not
		checks = append(checks, app.LedgerFinding(ledger.Webhooks))
	}
	return checks
}

// keyText says whether there is a key, without showing it.
func (p *program) keyText() string {
	if strings.TrimSpace(p.Getenv("TOCSIN_API_KEY")) == "" {
		return "TOCSIN_API_KEY is not set, and this API asks for a key"
	}
	return "the key in TOCSIN_API_KEY is not known to this API, or has expired"
}

func (p *program) apiVersion(version string) app.Finding {
	f := app.Finding{Area: "api", Check: "version", Result: app.CheckOK, Seen: version + ", as this program"}
	if version != p.Version {
		f.Result, f.Seen = app.CheckWarn, version+"; this program is "+p.Version
		f.Mend = "use one version everywhere: what this program asks may not be known there"
	}
	return f
}

func keyFinding(me meView) app.Finding {
	f := app.Finding{Area: "api", Check: "key", Result: app.CheckOK}
	switch holder := fmt.Sprintf("%s (%s)", me.Name, strings.Join(me.Scopes, ", ")); {
	case me.Open:
		f.Seen = "none is asked for"
	case me.ExpiresAt != nil && me.ExpiresAt.Sub(me.Now) < soon:
		f.Result, f.Seen = app.CheckWarn, holder+" expires at "+when(me.ExpiresAt)
		f.Mend = "tocsin keys rotate " + me.Name + " --expires 90d gives it another text and time"
	default:
		f.Seen = holder
	}
	return f
}
