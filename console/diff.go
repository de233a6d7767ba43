package console

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// fieldChange is one difference between two versions of something.
type fieldChange struct {
	Field  string `json:"field"`
	From   any    `json:"from"`
	To     any    `json:"to"`
	Secret bool   `json:"secret"`
}

// Old and New are the values as people write them, "" for none.
func (c fieldChange) Old() string { return valueText(c.From) }

// New is the value after the change.
func (c fieldChange) New() string { return valueText(c.To) }

func valueText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	if blank(v) {
		return ""
	}
	return encode(v, "")
}

// logEntry is an entry of the audit log.
type logEntry struct {
	ID      string          `json:"id"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Address string          `json:"address"`
	Action  string          `json:"action"`
	Object  string          `json:"object"`
	Name    string          `json:"name"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
	Outcome string          `json:"outcome"`
	Detail  string          `json:"detail"`
}

// noChange are members that differ with every change and say nothing of it.
var noChange = []string{"version", "updated_at", "state_since", "created_at", "id"}

// Changes are the fields that differ before and after; nil for what was created or deleted.
func (e logEntry) Changes() []fieldChange {
	before, after := objectOf(e.Before), objectOf(e.After)
	if before == nil || after == nil {
		return nil
	}
	return slices.DeleteFunc(changesOf(before, after), func(c fieldChange) bool { return slices.Contains(noChange, c.Field) })
}

func objectOf(raw json.RawMessage) map[string]any {
	v, err := decodeTree(raw)
	if err != nil {
		return nil
	}
	m, _ := v.(map[string]any)
	return m
}

// changesOf lists what differs between two documents; objects are gone into, lists are
// compared whole.
func changesOf(from, to map[string]any) []fieldChange { return differences("", from, to) }

func differences(path string, from, to any) []fieldChange {
	old, isOld := from.(map[string]any)
	fresh, isFresh := to.(map[string]any)
	if !isOld && !isFresh {
		if sameValue(from, to) || blank(from) && blank(to) {
			return nil
		}
		return []fieldChange{{Field: path, From: from, To: to}}
	}
	keys := maps.Clone(old)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, fresh)
	var all []fieldChange
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		all = append(all, differences(at, old[key], fresh[key])...)
	}
	return all
}
