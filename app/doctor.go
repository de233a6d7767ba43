package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Result is how a check ended.
type Result string

// The results.
const (
	CheckOK      Result = "ok"
	CheckWarn    Result = "warn" // it works, and may not for long, or not as meant
	CheckFail    Result = "fail"
	CheckSkipped Result = "skip" // could not be looked at from here
)

// Finding is what one check found. It shows no secret.
type Finding struct {
	// Area is settings, api, store, keys, egress, temporal or ledger.
	Area   string `json:"area"`
	Check  string `json:"check"`
	Result Result `json:"result"`
	// Seen is what was found, Mend how to put it right; "" where nothing is wrong.
	Seen string `json:"seen"`
	Mend string `json:"mend,omitempty"`
}

// checkTimeout bounds each question of a check.
const checkTimeout = 5 * time.Second

// DoctorConfig says where to look. All fields are required.
type DoctorConfig struct {
	Getenv func(string) string
	// Environ lists the variables there are, as os.Environ does.
	Environ func() []string
	// Version is this program's.
	Version string
}

// doctor collects findings. What depends on something that is missing is left out, or
// skipped.
type doctor struct {
	DoctorConfig
	found []Finding
	store tocsin.Store // nil when it cannot be read
}

// Diagnose checks an installation from this machine, as far as its environment reaches:
// settings, store, keys, egress, Temporal and ledger. It changes nothing and sends
// nothing.
func Diagnose(ctx context.Context, cfg DoctorConfig) []Finding {
	d := &doctor{DoctorConfig: cfg}
	settings, ok := d.settings()
	d.checkStore(ctx)
	if d.store != nil {
		defer d.store.Close()
	}
	ring := d.checkKeys(ctx)
	if ok && ring != nil && d.store != nil {
		d.checkEgress(ctx, ring, settings.EgressAllow)
	}
	d.checkTemporal(ctx)
	d.checkLedger(ctx)
	return d.found
}

func (d *doctor) add(area, check string, result Result, mend, seen string, args ...any) {
	d.found = append(d.found, Finding{Area: area, Check: check, Result: result, Seen: fmt.Sprintf(seen, args...), Mend: mend})
}

// settings reads what processes read, and looks for names that are nearly right.
func (d *doctor) settings() (Config, bool) {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	cfg, err := Bind(flags, Serve|Work, d.Getenv).Config(io.Discard)
	if err == nil && cfg.PublicURL != "" {
		err = checkPublicURL(cfg.PublicURL)
	}
	if err != nil {
		d.add("settings", "variables", CheckFail, "correct the variable; tocsin serve --help says what is allowed", "%v", err)
		return cfg, false
	}
	var known, set []string
	for _, v := range Variables() {
		known = append(known, v.Name)
		if strings.TrimSpace(d.Getenv(v.Name)) != "" {
			set = append(set, v.Name)
		}
	}
	for _, entry := range d.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		near := catalog.Suggest(name, known)
		if strings.HasPrefix(name, "TOCSIN_") && near != "" && near != name {
			d.add("settings", "variables", CheckWarn, "did you mean "+near+"?", "%s is set, and read by nothing", name)
		}
	}
	d.add("settings", "variables", CheckOK, "", "%s", firstText(strings.Join(set, ", "), "none is set"))
	return cfg, true
}

func firstText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// checkLedger compares the counters of every webhook; the rows are recounted by
// tocsin ledger --verify.
func (d *doctor) checkLedger(ctx context.Context) {
	if d.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	balances, err := d.store.Balances(ctx)
	if err != nil {
		d.add("ledger", "difference", CheckFail, "see the store's checks", "%v", err)
		return
	}
	d.found = append(d.found, LedgerFinding(balances))
}

// LedgerFinding says whether balances add up.
func LedgerFinding(balances []tocsin.Balance) Finding {
	f := Finding{Area: "ledger", Check: "difference", Result: CheckOK}
	var wrong []string
	var total tocsin.Balance
	for _, b := range balances {
		total = total.Add(b)
		if diff := b.Difference(); diff != 0 {
			wrong = append(wrong, fmt.Sprintf("%s by %d", firstText(b.Webhook, b.WebhookID), diff))
		}
	}
	if len(wrong) > 0 {
		f.Result, f.Seen = CheckFail, "does not add up: "+strings.Join(wrong, ", ")
		f.Mend = "this is a bug in Tocsin: please report it, with the output of tocsin ledger --verify"
		return f
	}
	f.Seen = fmt.Sprintf("%d webhooks, %d accepted: all adds up", len(balances), total.Accepted)
	return f
}
