package webhooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

// merge applies an RFC 7396 merge patch: objects are merged key by key, null removes,
// anything else replaces.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		for k, v := range old {
			merged[k] = v
		}
	}
	for k, v := range changes {
		if v == nil {
			delete(merged, k)
		} else {
			merged[k] = merge(merged[k], v)
		}
	}
	return merged
}

// tree decodes JSON with its numbers as they are written: a float64 would change
// large ones.
func tree(raw []byte) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err := d.Decode(&v)
	return v, err
}

// keepSecrets puts stored secrets back where a configuration written by a user holds
// their public form: [redacted], or whatever the channel shows of a partly secret
// text. clear and public are the stored configuration in both forms, nil for none.
// [redacted] where nothing is stored is a problem.
func keepSecrets(config, clear, public json.RawMessage, p *problems) json.RawMessage {
	trees := make([]any, 3)
	for i, raw := range []json.RawMessage{config, clear, public} {
		if raw == nil {
			continue
		}
		var err error
		if trees[i], err = tree(raw); err != nil {
			p.add("config", "is not valid JSON")
			return config
		}
	}
	kept, err := json.Marshal(keep("config", trees[0], trees[1], trees[2], p))
	if err != nil {
		p.add("config", "is not valid JSON")
		return config
	}
	return kept
}

func keep(at string, v, clear, public any, p *problems) any {
	switch v := v.(type) {
	case map[string]any:
		c, _ := clear.(map[string]any)
		u, _ := public.(map[string]any)
		for k, item := range v {
			v[k] = keep(at+"."+k, item, c[k], u[k], p)
		}
	case []any:
		c, _ := clear.([]any)
		u, _ := public.([]any)
		// One secret that becomes a list, as when it is rotated, is stored for each place.
		if text, ok := clear.(string); ok {
			c, u = slices.Repeat([]any{text}, len(v)), slices.Repeat([]any{public}, len(v))
		}
		for i, item := range v {
			v[i] = keep(fmt.Sprintf("%s[%d]", at, i), item, nth(c, i), nth(u, i), p)
		}
	case string:
		if v == public && clear != nil {
			return clear
		}
		if v == tocsin.Redacted {
			p.add(at, "%s stands for a secret that is stored, and none is stored here", tocsin.Redacted)
		}
	}
	return v
}

func nth(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// Change is one difference between what is stored and what was asked for.
type Change struct {
	// Field is a path: "batch_size", "config.headers.Authorization".
	Field string `json:"field"`
	// From and To are the values, nil where there was or will be none. Secrets show as
	// [redacted] on both sides.
	From any `json:"from"`
	To   any `json:"to"`
	// Secret says that a value is a secret, or holds one: From and To may look the same
	// and differ all the same.
	Secret bool `json:"secret,omitempty"`
}

// side is one side of a comparison: a value, and what may be shown of it.
type side struct{ clear, public any }

// secret reports whether not all of the value may be shown.
func (s side) secret() bool { return !reflect.DeepEqual(s.clear, s.public) }

func (s side) at(key string) side {
	c, _ := s.clear.(map[string]any)
	u, _ := s.public.(map[string]any)
	return side{c[key], u[key]}
}

// differences lists what differs in the clear forms and shows the public ones.
// Objects are gone into, lists are compared whole.
func differences(at string, from, to side) []Change {
	old, isOld := from.clear.(map[string]any)
	fresh, isFresh := to.clear.(map[string]any)
	if !isOld && !isFresh {
		if reflect.DeepEqual(from.clear, to.clear) {
			return nil
		}
		return []Change{{Field: at, From: from.public, To: to.public, Secret: from.secret() || to.secret()}}
	}
	keys := map[string]bool{}
	for k := range old {
		keys[k] = true
	}
	for k := range fresh {
		keys[k] = true
	}
	var list []Change
	for _, k := range sortedKeys(keys) {
		path := k
		if at != "" {
			path = at + "." + k
		}
		list = append(list, differences(path, from.at(k), to.at(k))...)
	}
	return list
}
