package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

// draft is a file of webhooks that is being written.
type draft struct {
	strings.Builder
	webhooks  []string
	variables []string // of the environment, which it refers to
}

const draftHead = `# Who wants to be told what, where and how often.
#
#   tocsin webhooks apply -f webhooks.yaml --dry-run    shows what would change
#   tocsin webhooks apply -f webhooks.yaml              makes it so; again, there is nothing to do
#   tocsin webhooks test NAME                           sends an example
#
# What has to be filled in is marked CHANGE. A line that is a comment shows a setting that
# is left at its default, with that default or an example. ${env:NAME} within config is
# taken from the environment of the command, so that no secret need be in this file.
`

// settingWords say what each setting of a webhook means, in the order a draft has them.
// value is the default, or an example where the default is none; set ones are no comment.
var settingWords = []struct {
	name, value, means string
	set                bool
}{
	{"events", "[discovery, security]", "Which events: alert types and categories. None means all (but the category pipeline). {type: finding.critical, collections: [payments]} limits a type to collections. Categories and their types:", true},
	{"min_severity", "medium", "Only events of this severity and above: " + strings.Join(tocsin.Severities(), ", ") + ".", true},
	{"frequency", "instant", "instant delivers at once; periodic collects, and delivers every run_every.", true},
	{"run_every", "15m", "How often a periodic webhook delivers: 15m, 6h, 5d.", false},
	{"anchor", "2026-01-01T06:00:00Z", "Its ticks are at anchor + k × run_every. Default: when it was created.", false},
	{"batch_size", "20", "How many events a delivery holds at most, 1 to 1000.", false},
	{"collections", "[payments]", "Only events of these collections. Default: all.", false},
	{"filter", `'severity == "critical" && labels.environment == "production"'`, "Only events for which this CEL expression is true.", false},
	{"repeat_after", "0s", "An event with the dedup key and status of another in this time is suppressed as a repeat. 0s suppresses none.", false},
	{"retry_for", "72h", "How long a delivery is tried before it is dead, if others succeed meanwhile.", false},
	{"disable_after", "120h", "After how long of nothing but failure the webhook is disabled; its events are held.", false},
	{"on_resume", "deliver", "What becomes of events held while paused: deliver or discard.", false},
	{"max_per_second", "0", "Deliveries in a second at most. 0 is no limit.", false},
	{"max_concurrent", "1", "How many deliveries are under way at once, 1 to 100.", false},
	{"fallback", "another-webhook", "The webhook that is told when this one fails, is disabled, and recovers.", false},
	{"escalate", "[{min_severity: critical, to: another-webhook, after: 30m, unless: acknowledged}]", "Webhooks that get its events as well, at once or after a while, unless somebody acknowledges.", false},
	{"labels", "{team: security}", "Words of your own, shown beside the webhook.", false},
}

// newDraft writes a webhook for each channel.
func newDraft(channels []tocsin.Channel) (*draft, error) {
	d := &draft{}
	fmt.Fprint(d, draftHead)
	fmt.Fprint(d, "\nwebhooks:\n")
	for _, ch := range channels {
		if err := d.webhook(ch); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *draft) webhook(ch tocsin.Channel) error {
	var schema configSchema
	if err := json.Unmarshal(ch.Schema(), &schema); err != nil {
		return fmt.Errorf("reading the schema of channel %s: %w", ch.Name(), err)
	}
	name := "my-" + ch.Name()
	d.webhooks = append(d.webhooks, name)
	d.comment("  ", schema.Title+": "+schema.Description)
	fmt.Fprintf(d, "  - name: %s    # CHANGE: unique, and a new name is another webhook\n    channel: %s\n", name, ch.Name())
	for _, s := range settingWords {
		fmt.Fprint(d, "\n")
		d.comment("    ", s.means)
		if s.name == "events" {
			d.alertTypes()
		}
		d.setting("    ", s.name, s.value, "", s.set)
	}
	return d.config(ch.Name(), &schema)
}

// alertTypes lists the catalog.
func (d *draft) alertTypes() {
	byCategory := map[string][]string{}
	var order []string
	for _, t := range app.AlertTypes() {
		if !slices.Contains(order, t.Category) {
			order = append(order, t.Category)
		}
		byCategory[t.Category] = append(byCategory[t.Category], t.Type)
	}
	for _, category := range order {
		d.comment("    ", "  "+category+": "+strings.Join(byCategory[category], ", "))
	}
}

// configSchema is what a draft needs of a channel's JSON Schema.
type configSchema struct {
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Required    []string          `json:"required"`
	OneOf       []configSchema    `json:"oneOf"`
	Then        *configSchema     `json:"then"`
	Properties  orderedProperties `json:"properties"`
}

// needed are the keys that a configuration is not complete without; of several ways, the
// first, which is that of the examples.
func (s *configSchema) needed() []string {
	keys := slices.Clone(s.Required)
	if len(s.OneOf) > 0 {
		keys = append(keys, s.OneOf[0].Required...)
	}
	if s.Then != nil {
		keys = append(keys, s.Then.Required...)
	}
	return keys
}

// property is one key of a configuration.
type property struct {
	name        string
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Default     json.RawMessage   `json:"default"`
	Examples    []json.RawMessage `json:"examples"`
	Enum        []string          `json:"enum"`
	WriteOnly   bool              `json:"writeOnly"`
	ReadOnly    bool              `json:"readOnly"`
}

// orderedProperties keep the schema's own order, which is how people read them.
type orderedProperties []property

// UnmarshalJSON implements json.Unmarshaler.
func (o *orderedProperties) UnmarshalJSON(b []byte) error {
	in := json.NewDecoder(bytes.NewReader(b))
	if _, err := in.Token(); err != nil { // {
		return err
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return err
		}
		var p property
		if err := in.Decode(&p); err != nil {
			return err
		}
		p.name, _ = key.(string) // keys are texts
		*o = append(*o, p)
	}
	return nil
}

// config writes the channel's own settings: first what is needed, then the rest.
func (d *draft) config(channel string, schema *configSchema) error {
	fmt.Fprint(d, "\n    config:\n")
	needed := schema.needed()
	for _, pass := range []bool{true, false} {
		for _, p := range schema.Properties {
			if slices.Contains(needed, p.name) == pass && !p.ReadOnly {
				d.property(channel, p, pass)
			}
		}
	}
	fmt.Fprint(d, "\n")
	return nil
}

func (d *draft) property(channel string, p property, needed bool) {
	means := strings.TrimSpace(p.Title + ". " + p.Description)
	if len(p.Enum) > 0 {
		means += " One of " + strings.Join(p.Enum, ", ") + "."
	}
	fmt.Fprint(d, "\n")
	d.comment("      ", means)
	value := ""
	switch {
	case p.WriteOnly || needed && len(p.Examples) == 0:
		value = d.variable(channel, p.name, needed)
	case needed:
		value = flow(p.Examples[0])
	case len(p.Default) > 0:
		value = flow(p.Default)
	case len(p.Examples) > 0:
		value = flow(p.Examples[0])
	case len(p.Enum) > 0:
		value = p.Enum[0]
	default:
		value = "…"
	}
	mark := ""
	if needed {
		mark = "    # CHANGE"
	}
	d.setting("      ", p.name, value, mark, needed)
}

var notInVariables = regexp.MustCompile(`[^A-Z0-9]+`)

// variable refers to the environment; those that are needed are remembered.
func (d *draft) variable(channel, key string, needed bool) string {
	name := notInVariables.ReplaceAllString(strings.ToUpper(channel+"_"+key), "_")
	if needed {
		d.variables = append(d.variables, name)
	}
	return `"${env:` + name + `}"`
}

func (d *draft) setting(indent, name, value, mark string, set bool) {
	if !set {
		name = "# " + name
	}
	fmt.Fprintf(d, "%s%s: %s%s\n", indent, name, value, mark)
}

// lineWidth is where comments break.
const lineWidth = 100

// comment writes text as comment lines.
func (d *draft) comment(indent, text string) {
	lead := indent + "# " + text[:len(text)-len(strings.TrimLeft(text, " "))]
	line := lead
	for _, word := range strings.Fields(text) {
		if len(line) > len(lead) && len(line)+len(word) >= lineWidth {
			fmt.Fprint(d, strings.TrimRight(line, " ")+"\n")
			line = lead
		}
		line += word + " "
	}
	fmt.Fprint(d, strings.TrimRight(line, " ")+"\n")
}

var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/@-]*((:| )[A-Za-z0-9._/@-]+)*$`)

// flow writes a JSON value on one line of YAML, of which JSON is a part; texts that need
// no quotes have none.
func flow(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && plainScalar.MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(text)) {
		return text
	}
	var compacted bytes.Buffer
	if json.Compact(&compacted, raw) != nil {
		return string(raw)
	}
	return compacted.String()
}
