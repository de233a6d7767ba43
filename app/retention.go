package app

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

const day = 24 * time.Hour

// DefaultRetention is how long things are kept when nothing else is said.
var DefaultRetention = tocsin.Retention{History: 30 * day, Keys: 30 * day, Audit: 365 * day, Refs: 365 * day}

// ParseRetention reads TOCSIN_RETENTION, TOCSIN_DEDUPE_WINDOW and
// TOCSIN_AUDIT_RETENTION, written as "30d"; what is not set is as in DefaultRetention, but
// a dedupe window that is not set is never shorter than the retention. Errors are
// *tocsin.Error with CodeInvalid.
func ParseRetention(getenv func(string) string) (tocsin.Retention, error) {
	r := DefaultRetention
	window := r.Keys
	for _, set := range []struct {
		name  string
		field *time.Duration
	}{{"TOCSIN_RETENTION", &r.History}, {"TOCSIN_DEDUPE_WINDOW", &r.Keys}, {"TOCSIN_AUDIT_RETENTION", &r.Audit}} {
		text := strings.TrimSpace(getenv(set.name))
		if text == "" {
			continue
		}
		d, err := tocsin.ParseDuration(text)
		if err == nil && d <= 0 {
			err = fmt.Errorf("%q is not more than nothing; write for example 30d", text)
		}
		if err != nil {
			return r, tocsin.Errorf(tocsin.CodeInvalid, "%s: %w", set.name, err)
		}
		*set.field = d.Std()
	}
	if getenv("TOCSIN_DEDUPE_WINDOW") == "" {
		r.Keys = max(window, r.History)
	}
	if err := checkRetention(r); err != nil {
		return r, tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	return r, nil
}

// BindRetention declares flags for what ParseRetention reads, and returns what reads both,
// the flags first.
func BindRetention(flags *flag.FlagSet, getenv func(string) string) func() (tocsin.Retention, error) {
	given := map[string]*string{
		"TOCSIN_RETENTION":       flags.String("retention", "", "how long finished deliveries and events are kept, as a `duration` (TOCSIN_RETENTION; default 30d)"),
		"TOCSIN_DEDUPE_WINDOW":   flags.String("dedupe-window", "", "how long an event's source and id are remembered, as a `duration` (TOCSIN_DEDUPE_WINDOW; default 30d)"),
		"TOCSIN_AUDIT_RETENTION": flags.String("audit-retention", "", "how long the audit log is kept, as a `duration` (TOCSIN_AUDIT_RETENTION; default 365d)"),
	}
	return func() (tocsin.Retention, error) {
		return ParseRetention(func(name string) string {
			if text := given[name]; text != nil && *text != "" {
				return *text
			}
			return getenv(name)
		})
	}
}

// checkRetention refuses keys that go before the events they stand for: those would be
// taken for new.
func checkRetention(r tocsin.Retention) error {
	if r.History < 0 || r.Keys < 0 || r.Audit < 0 || r.Refs < 0 {
		return errors.New("Config.Retention: want nothing negative")
	}
	if r.Keys != 0 && (r.History == 0 || r.Keys < r.History) {
		return fmt.Errorf("TOCSIN_DEDUPE_WINDOW: %s is shorter than TOCSIN_RETENTION, %s: an event that is still there would be taken for a new one; want at least as long",
			tocsin.Duration(r.Keys), tocsin.Duration(r.History))
	}
	return nil
}
