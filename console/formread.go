package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// formReader reads what [builder] made, as a browser sends it.
type formReader struct {
	form url.Values
	// gone is the name of the row that is to be taken out, "" for none.
	gone string
	// problems are what cannot be put into a document at all; anything else that is wrong is
	// for the API to say.
	problems []tocsin.FieldError
}

// maxRows bounds what is read of one list or map.
const maxRows = 2000

func (r *formReader) wrong(at place, format string, args ...any) {
	r.problems = append(r.problems, tocsin.FieldError{Field: at.id, Message: fmt.Sprintf(format, args...)})
}

// read returns the value of a field; false where it is left blank.
func (r *formReader) read(s *schema, at place) (any, bool) {
	if r.form.Get(at.name+"!json") != "" {
		return r.json(at)
	}
	text := strings.ReplaceAll(r.form.Get(at.name), "\r\n", "\n")
	switch s.kind() {
	case kindSecret:
		if text == "" && r.form.Get(at.name+"!kept") != "" && r.form.Get(at.name+"!drop") == "" {
			return tocsin.Redacted, true
		}
		return text, text != ""
	case kindNumber:
		if text = strings.TrimSpace(text); isNumber(text) {
			return json.Number(text), true
		}
		return text, text != ""
	case kindYesNo:
		if text == "true" || text == "false" {
			return text == "true", true
		}
		return text, text != ""
	case kindPick:
		if text == otherChoice {
			text = strings.TrimSpace(r.form.Get(at.name + "!other"))
		}
		if slices.Contains(s.Type, "integer") && isNumber(text) {
			return json.Number(text), true
		}
		return text, text != ""
	case kindList:
		return r.list(s, at)
	case kindMap:
		return r.entries(s, at)
	case kindObject:
		return r.object(s, at)
	case kindAny:
		return r.any(text)
	case kindJSON:
		return r.json(at)
	}
	// A blank that nobody sees is nothing. In a configuration it may be what is meant.
	if !strings.HasPrefix(at.name, "config.") && strings.TrimSpace(text) == "" {
		text = ""
	}
	return text, text != ""
}

// otherChoice is what a field with usual values says for another one.
const otherChoice = "!other"

// any is a text that may be JSON.
func (r *formReader) any(text string) (any, bool) {
	if v, err := decodeTree([]byte(text)); err == nil {
		return v, true
	}
	return text, text != ""
}

// json is a value that is written as JSON; what is none is kept for another try.
func (r *formReader) json(at place) (any, bool) {
	text := strings.TrimSpace(r.form.Get(at.name))
	if text == "" {
		return nil, false
	}
	v, err := decodeTree([]byte(text))
	if err != nil {
		r.wrong(at, "is not valid JSON: %v", err)
		return badJSON(text), true
	}
	return v, true
}

func (r *formReader) rows(at place) int {
	n, _ := strconv.Atoi(r.form.Get(at.name + "!rows")) // 0 for none
	return min(n, maxRows)
}

func (r *formReader) list(s *schema, at place) (any, bool) {
	item := s.listItem()
	items := []any{}
	for i := range r.rows(at) {
		row := at.item(i)
		if row.name == r.gone {
			continue
		}
		row.id = at.item(len(items)).id
		if v, some := r.read(item, row); some {
			items = append(items, v)
		}
	}
	if len(items) == 1 && s.oneText() {
		return items[0], true
	}
	return items, len(items) > 0
}

func (r *formReader) entries(s *schema, at place) (any, bool) {
	found := map[string]any{}
	for i := range r.rows(at) {
		name := at.item(i).name
		if name == r.gone {
			continue
		}
		key := strings.TrimSpace(r.form.Get(name + "!key"))
		row := at.entry(i, key)
		v, some := r.read(s.member(key), row)
		switch _, twice := found[key]; {
		case key == "" && some:
			r.wrong(row, "has a value and no name")
			found[key] = v
		case key == "":
		case twice:
			r.wrong(row, "%q is there twice", key)
		case !some:
			found[key] = ""
		default:
			found[key] = v
		}
	}
	return found, len(found) > 0
}

func (r *formReader) object(s *schema, at place) (any, bool) {
	members := map[string]any{}
	rest := place{at.name + "!rest", at.id + "!rest"}
	if v, some := r.json(rest); some {
		switch v := v.(type) {
		case map[string]any:
			maps.Copy(members, v)
		case badJSON:
			members[restKey] = v
		default:
			r.wrong(rest, "is not a JSON object")
			members[restKey] = badJSON(r.form.Get(rest.name))
		}
	}
	for _, p := range s.Properties {
		if v, some := r.read(p.Schema, at.member(p.Name)); some {
			members[p.Name] = v
		}
	}
	return members, len(members) > 0
}

// reconcile gives back what a form cannot tell from what it shows: line ends, texts and
// lists that are there and empty, one text for a list of one. Everything that somebody
// changed stays changed.
func reconcile(base, read any) any {
	if sameShown(base, read) {
		return base
	}
	old, isOld := base.(map[string]any)
	fresh, isFresh := read.(map[string]any)
	if !isOld || !isFresh {
		return read
	}
	out := maps.Clone(fresh)
	for key, v := range old {
		now, there := fresh[key]
		switch {
		case there:
			out[key] = reconcile(v, now)
		case blank(v):
			out[key] = v
		}
	}
	return out
}

// sameShown reports whether two values look alike in a form.
func sameShown(a, b any) bool {
	if x, ok := a.(string); ok {
		if list, ok := b.([]any); ok && len(list) == 1 {
			b = list[0]
		}
		y, ok := b.(string)
		return ok && strings.ReplaceAll(x, "\r\n", "\n") == strings.ReplaceAll(y, "\r\n", "\n")
	}
	if x, ok := a.([]any); ok {
		x = slices.DeleteFunc(slices.Clone(x), blank)
		y, isList := b.([]any)
		if !isList {
			y = []any{b}
		}
		return len(x) > 0 && slices.EqualFunc(x, y, sameShown)
	}
	if x, ok := a.(map[string]any); ok {
		y, isMap := b.(map[string]any)
		if !isMap || len(x) != len(y) {
			return false
		}
		for key, v := range x {
			if w, there := y[key]; !there || !sameShown(v, w) {
				return false
			}
		}
		return true
	}
	return a == b
}

// blank reports whether a form shows nothing of a value.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return !slices.ContainsFunc(v, func(one any) bool { return !blank(one) })
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// mergePatch is what makes one document of another by RFC 7396.
func mergePatch(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for key, v := range to {
		old, there := from[key]
		if there && sameValue(old, v) {
			continue
		}
		before, isOld := old.(map[string]any)
		after, isNew := v.(map[string]any)
		if isOld && isNew {
			patch[key] = mergePatch(before, after)
		} else {
			patch[key] = v
		}
	}
	for key := range from {
		if _, there := to[key]; !there {
			patch[key] = nil
		}
	}
	return patch
}

// patched is a document with a merge patch applied.
func patched(from, patch map[string]any) map[string]any {
	out := maps.Clone(from)
	if out == nil {
		out = map[string]any{}
	}
	for key, v := range patch {
		changes, isMap := v.(map[string]any)
		old, wasMap := out[key].(map[string]any)
		switch {
		case v == nil:
			delete(out, key)
		case isMap && wasMap:
			out[key] = patched(old, changes)
		default:
			out[key] = v
		}
	}
	return out
}

// sameValue compares documents.
func sameValue(a, b any) bool { return encode(a, "") == encode(b, "") }
