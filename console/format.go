package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// to is the address of a page: to "webhooks" .ID. Every segment is escaped.
func to(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	return Base + strings.Join(escaped, "/")
}

// dict gives a template several values by name: dict "Label" "Name" "Value" .Name.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: want pairs of a name and a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// problemField is what is wrong with a field, for a problem that may be nil.
func problemField(p *Problem, name string) string { return p.Field(name) }

// moment reads a time that may be absent, as time.Time or *time.Time.
func moment(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t, !t.IsZero()
	case *time.Time:
		if t != nil {
			return *t, !t.IsZero()
		}
	}
	return time.Time{}, false
}

// ago is a time as people say it, "3 min ago" or "in 2 h", with the exact one beside it
// for those who point at it; "never" for none.
func ago(v any) template.HTML {
	t, ok := moment(v)
	if !ok {
		return `<span class="none">never</span>`
	}
	return timeTag(t, since(time.Since(t)))
}

// when is the exact time in UTC, to the second; "–" for none.
func when(v any) template.HTML {
	t, ok := moment(v)
	if !ok {
		return `<span class="none">–</span>`
	}
	return timeTag(t, t.UTC().Format("2006-01-02 15:04:05")+" UTC")
}

// day is the date alone.
func day(v any) template.HTML {
	t, ok := moment(v)
	if !ok {
		return `<span class="none">–</span>`
	}
	return timeTag(t, t.UTC().Format("2 Jan 2006"))
}

func timeTag(t time.Time, text string) template.HTML {
	utc := t.UTC()
	// #nosec G203 -- times and our own words
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s UTC">%s</time>`, utc.Format(time.RFC3339), utc.Format("2006-01-02 15:04:05"), text))
}

// since is a distance in the past, or in the future when negative.
func since(d time.Duration) string {
	switch {
	case d > -time.Second && d < 2*time.Second:
		return "just now"
	case d < 0:
		return "in " + coarse(-d)
	}
	return coarse(d) + " ago"
}

// coarse is a duration in its largest unit; hours that are few have their minutes.
func coarse(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 10*time.Hour && d%time.Hour >= time.Minute:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d < 2*day:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d/day))
}

// duration is a setting's duration as the API writes it, "15m".
func duration(d tocsin.Duration) string { return d.String() }

// whole is the type of a number that things are counted with.
type whole interface{ int | int64 }

// grouped is a whole number with its thousands apart.
func grouped[N whole](n N) string {
	digits, sign := strconv.FormatInt(int64(n), 10), ""
	if n < 0 {
		digits, sign = digits[1:], "−"
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// counted is a number and what it counts: 2 of "webhook" are "2 webhooks".
func counted[N whole](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + one + "s"
}

// wholeOf is a number as templates give it, whose type they know only when they run.
func wholeOf(v any) (int64, error) {
	switch n := v.(type) {
	case int:
		return int64(n), nil
	case int64:
		return n, nil
	}
	return 0, fmt.Errorf("%T is no whole number", v)
}

// number is grouped for templates.
func number(v any) (string, error) {
	n, err := wholeOf(v)
	return grouped(n), err
}

// compact is a number where there is little room: 1.2k, 34M.
func compact(v float64) string {
	for _, u := range []struct {
		at   float64
		unit string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.at {
			return trim(v/u.at) + u.unit
		}
	}
	return trim(v)
}

func trim(v float64) string {
	digits := 1
	if math.Abs(v) >= 100 || v == math.Trunc(v) {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// size is a number of bytes.
func size(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// milliseconds is a time that something took.
func milliseconds(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// percent is a share from 0 to 1. Only all is 100 %.
func percent(share float64) string {
	if share < 1 && share > 0.999 {
		return "99.9 %"
	}
	return trim(share*100) + " %"
}

// plural is counted for templates.
func plural(v any, one string) (string, error) {
	n, err := wholeOf(v)
	return counted(n, one), err
}

// pretty is JSON in lines; what is none as it is.
func pretty(v any) (string, error) {
	raw, ok := v.(json.RawMessage)
	if text, isText := v.(string); isText {
		raw, ok = json.RawMessage(text), true
	}
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return "", fmt.Errorf("json: %w", err)
		}
	}
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw), nil
	}
	return b.String(), nil
}

// tones say how a state is meant: by a sign and a colour beside its word.
var tones = map[string]string{
	"active": "ok", "delivered": "ok", "resolved": "ok", "done": "ok", "ok": "ok", "matched": "ok",
	"ready": "busy", "sending": "busy", "pending": "busy", "in_flight": "busy", "running": "busy", "waiting": "busy",
	"failing": "warn", "retryable": "warn", "partial": "warn", "unknown": "warn", "acknowledged": "warn", "medium": "warn", "high": "warn",
	"disabled": "bad", "dead": "bad", "permanent": "bad", "refused": "bad", "gone": "bad", "open": "bad", "firing": "bad", "failed": "bad", "critical": "bad",
	"paused": "idle", "split": "idle", "cancelled": "idle", "suppressed": "idle", "deleted": "idle", "skipped": "idle", "ended": "idle", "low": "idle", "info": "idle",
}

// signs go with tones, for who does not tell colours.
var signs = map[string]string{"ok": "✓", "busy": "●", "warn": "▲", "bad": "✕", "idle": "–"}

// pill is a state, an outcome or a severity as a coloured word with a sign. v is text of
// any kind of ours.
func pill(v any) template.HTML {
	word := fmt.Sprint(v)
	tone := tones[word]
	if tone == "" {
		tone = "idle"
	}
	// #nosec G203 -- the word is escaped
	return template.HTML(fmt.Sprintf(`<span class="pill %s"><span class="sign" aria-hidden="true">%s</span>%s</span>`,
		tone, signs[tone], template.HTMLEscapeString(strings.ReplaceAll(word, "_", " "))))
}
