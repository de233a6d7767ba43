package console

import (
	"encoding/json"
	"fmt"
)

// settingsSchema describes what every webhook has, for the same forms that channels get
// from their schemas. What is allowed is the API's affair: this only says how it is asked
// for. events has a form of its own, and config is the channel's.
const settingsSchema = `{
  "type": "object",
  "required": ["name"],
  "properties": {
    "name": {"type": "string", "title": "Name", "description": "Unique; it stands in deliveries, lists and logs.", "examples": ["soc-critical"]},
    "min_severity": {"type": "string", "title": "Severity", "enum": ["info", "low", "medium", "high", "critical"],
      "labels": {"low": "low and above", "medium": "medium and above", "high": "high and above", "critical": "critical only", "info": "info and above"}, "unset": "any severity"},
    "collections": {"type": "array", "items": {"type": "string"}, "title": "Collections", "description": "Only events of these collections (label collection, else data.apiCollectionId). None means all."},
    "filter": {"type": "string", "long": true, "title": "Filter", "description": "A CEL expression that must be true of an event: its attributes, severity as a word, level (info 1 to critical 5), labels, data. What it matches is shown beside this form.",
      "examples": ["severity == \"critical\" && labels.environment == \"production\""]},
    "repeat_after": {"type": "string", "title": "Repeat after", "choices": ["0s", "15m", "1h", "6h", "24h"],
      "labels": {"0s": "every event is sent", "15m": "15 minutes", "1h": "1 hour", "6h": "6 hours", "24h": "24 hours"},
      "description": "The same alert (dedup key and status) within this time is not sent again.", "default": "0s"},
    "frequency": {"type": "string", "title": "Alert frequency", "enum": ["periodic", "instant"]},
    "run_every": {"type": "string", "title": "Run every", "choices": ["15m", "30m", "1h", "6h", "12h", "24h"],
      "labels": {"15m": "15 min", "30m": "30 min", "1h": "1 h", "6h": "6 h", "12h": "12 h", "24h": "24 h"}, "default": "15m", "description": "What came since the run before goes out together."},
    "anchor": {"type": "string", "title": "Anchor", "description": "A time that runs are counted from, as 2026-11-20T09:00:00Z: with 24 h, the time of day. The creation when left out."},
    "batch_size": {"type": "integer", "title": "Batch size", "choices": ["1", "10", "20", "50", "100", "200"], "default": 20, "description": "Events in one delivery, at most 1000."},
    "retry_for": {"type": "string", "title": "Retry for", "choices": ["1h", "6h", "24h", "72h", "168h"], "labels": {"1h": "1 hour", "6h": "6 hours", "24h": "24 hours", "72h": "3 days", "168h": "7 days"}, "default": "72h",
      "description": "How long a delivery is tried again while others of this webhook succeed. While nothing succeeds, everything is held."},
    "disable_after": {"type": "string", "title": "Disable after", "choices": ["24h", "72h", "120h", "336h"], "labels": {"24h": "24 hours", "72h": "3 days", "120h": "5 days", "336h": "14 days"}, "default": "120h",
      "description": "After this long with nothing but failures the webhook is disabled. What it owes is held."},
    "on_resume": {"type": "string", "title": "On resume", "enum": ["deliver", "discard"], "labels": {"deliver": "deliver what was held", "discard": "discard what was held"}, "default": "deliver"},
    "max_per_second": {"type": "number", "title": "Deliveries per second", "description": "At most. 0 is no limit.", "labels": {"0": "no limit"}, "default": 0},
    "max_concurrent": {"type": "integer", "title": "Deliveries at a time", "description": "At most, up to 100. Events of one incident stay in their order.", "default": 1},
    "fallback": {"type": "string", "title": "Fallback", "enum": [], "unset": "none", "description": "Another webhook, which hears that this one fails, recovers or is disabled."},
    "escalate": {"type": "array", "title": "Escalation", "description": "Passes events on to another webhook when time has passed.", "items": {"type": "object", "required": ["to", "after"], "properties": {
      "to": {"type": "string", "title": "To"},
      "after": {"type": "string", "title": "After", "examples": ["15m"]},
      "min_severity": {"type": "string", "title": "Severity", "enum": ["info", "low", "medium", "high", "critical"], "unset": "any severity"},
      "unless": {"type": "string", "title": "Unless", "unset": "always", "enum": ["acknowledged"]}
    }}},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}, "title": "Labels", "description": "Words of your own, to find webhooks by.", "examples": [{"team": "security"}]}
  }
}`

// webhookSchema is the schema of a whole webhook of a channel. names are the webhooks that
// others may be handed to.
func webhookSchema(channel *schema, names []string) (*schema, error) {
	s := &schema{}
	if err := json.Unmarshal([]byte(settingsSchema), s); err != nil {
		return nil, fmt.Errorf("reading the schema of settings: %w", err)
	}
	s.Properties.find("fallback").Enum = names
	s.Properties.find("escalate").Items.Properties.find("to").Enum = names
	if channel != nil {
		s.Properties = append(s.Properties, property{"config", channel})
	}
	return s, nil
}
