package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// ifMatch reads the precondition of a change to a webhook (RFC 9110, section 13.1.1); nil
// where there is none.
func (s *server) ifMatch(r *http.Request) (webhooks.Condition, error) {
	given := strings.Join(r.Header.Values("If-Match"), ", ")
	if len(r.Header.Values("If-Match")) == 0 || strings.TrimSpace(given) == "*" {
		return nil, nil // that there is a webhook is asked in any case
	}
	tags, ok := entityTags(given)
	if !ok {
		return nil, tocsin.Errorf(tocsin.CodeMalformed, `If-Match: %q is no list of entity tags; send the ETag of the webhook, quotes included, or *`, cut(given))
	}
	return func(ctx context.Context, w tocsin.Webhook) error {
		if slices.Contains(tags, w.Tag()) {
			return nil
		}
		return tocsin.Errorf(tocsin.CodePrecondition, "webhook %q is %s now, and not %s as If-Match says%s; read it again before it is changed",
			w.Name, w.Tag(), cut(given), s.lastChange(ctx, w))
	}, nil
}

// entityTags reads a list of entity tags. Weak ones are kept with their mark: they are
// equal to none of ours.
func entityTags(list string) (tags []string, ok bool) {
	for rest := strings.TrimLeft(list, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		opaque, weak := strings.CutPrefix(rest, "W/")
		if !strings.HasPrefix(opaque, `"`) {
			return nil, false
		}
		end := strings.IndexByte(opaque[1:], '"') + 2
		if end < 2 {
			return nil, false
		}
		tag := opaque[:end]
		if weak {
			tag = "W/" + tag
		}
		tags, rest = append(tags, tag), strings.TrimLeft(opaque[end:], " \t")
		if rest != "" && rest[0] != ',' {
			return nil, false
		}
	}
	return tags, len(tags) > 0
}

// lastEntries is how many entries of the audit log are looked through for what made a
// webhook what it is: one that was refused, or is not complete yet, may be later.
const lastEntries = 20

// lastChange says who made the webhook what it is now, when, and what of it was changed;
// "" where the audit log has no such entry, as when a receiver had it disabled.
func (s *server) lastChange(ctx context.Context, w tocsin.Webhook) string {
	entries, _, err := s.Store.AuditEntries(ctx, tocsin.AuditQuery{Page: tocsin.Page{Limit: lastEntries}, Object: w.ID})
	if err != nil {
		s.Logger.Warn("looking for who changed a webhook", "webhook", w.ID, "error", err)
		return ""
	}
	for _, e := range entries {
		var after tocsin.Webhook
		if e.Outcome == tocsin.AuditDone && json.Unmarshal(e.After, &after) == nil && after.Version == w.Version {
			return fmt.Sprintf(": %s changed %s at %s", e.Actor, changedMembers(e.Before, e.After), e.At.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// changedMembers names the members in which two forms of a webhook differ.
func changedMembers(before, after json.RawMessage) string {
	var from, to map[string]json.RawMessage
	if json.Unmarshal(before, &from) != nil || json.Unmarshal(after, &to) != nil {
		return "it"
	}
	all := maps.Clone(from)
	maps.Copy(all, to)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch name {
		case "version", "updated_at", "state_since": // which differ with everything
			continue
		}
		if !bytes.Equal(from[name], to[name]) {
			names = append(names, name)
		}
	}
	if len(names) == 0 { // a secret, whose forms look alike
		return "it"
	}
	return strings.Join(names, ", ")
}
