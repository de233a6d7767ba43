package inbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// tracker is the little that a Jira must remember: which tickets there are, and which are
// done.
type tracker struct {
	mu   sync.Mutex
	next int
	done map[string]bool
}

func (t *tracker) create() map[string]any {
	t.next++
	return map[string]any{"id": fmt.Sprint(10000 + t.next), "key": fmt.Sprintf("INBOX-%d", t.next)}
}

// transitions are those of a ticket that is done, and of one that is not.
var transitions = map[bool][]any{
	false: {transition("31", "Done", "done")},
	true:  {transition("11", "Reopen", "new")},
}

func transition(id, name, category string) any {
	return map[string]any{"id": id, "name": name, "to": map[string]any{"name": name, "statusCategory": map[string]any{"key": category}}}
}

// jiraDone answers Jira's API for one project in which everything goes.
func jiraDone(i *Inbox, _ string, r *http.Request, path, body string) reply {
	t := &i.tickets
	t.mu.Lock()
	defer t.mu.Unlock()
	_, call, _ := strings.Cut(path, "rest/api/2/")
	parts := strings.Split(call, "/")
	switch {
	case call == "myself":
		return reply{200, map[string]any{"displayName": "Inbox", "name": "inbox", "accountId": "inbox"}}
	case strings.HasPrefix(call, "issue/createmeta/") && parts[len(parts)-1] == "issuetypes":
		return reply{200, map[string]any{"values": []any{map[string]any{"id": "1", "name": "Task"}}}}
	case strings.HasPrefix(call, "issue/createmeta/"):
		return reply{404, map[string]any{"errorMessages": []string{"this Jira does not say which fields there are"}}}
	case call == "issue/bulk":
		return t.bulk(body)
	case call == "issue" && r.Method == http.MethodPost:
		return reply{201, t.create()}
	case strings.HasPrefix(call, "search"):
		return reply{200, map[string]any{"issues": []any{}, "isLast": true, "total": 0}}
	case parts[0] == "issue" && len(parts) == 3 && parts[2] == "comment":
		return reply{201, map[string]any{"id": "1"}}
	case parts[0] == "issue" && len(parts) == 3 && parts[2] == "transitions":
		return t.transition(parts[1], r.Method, body)
	case parts[0] == "issue" && len(parts) == 2:
		return reply{200, t.ticket(parts[1])}
	case parts[0] == "project":
		return reply{200, map[string]any{"id": "1", "key": "INBOX", "name": "Inbox", "issueTypes": []any{map[string]any{"id": "1", "name": "Task"}}}}
	}
	return reply{200, map[string]any{}}
}

func (t *tracker) bulk(body string) reply {
	var in struct {
		Updates []json.RawMessage `json:"issueUpdates"`
	}
	_ = json.Unmarshal([]byte(body), &in) // nothing to create then
	issues := []any{}
	for range in.Updates {
		issues = append(issues, t.create())
	}
	return reply{201, map[string]any{"issues": issues, "errors": []any{}}}
}

func (t *tracker) transition(key, method, body string) reply {
	if method == http.MethodGet {
		return reply{200, map[string]any{"transitions": transitions[t.done[key]]}}
	}
	if t.done == nil {
		t.done = map[string]bool{}
	}
	t.done[key] = strings.Contains(body, `"31"`)
	return reply{204, nil}
}

func (t *tracker) ticket(key string) map[string]any {
	status := map[string]any{"name": "To Do", "statusCategory": map[string]any{"key": "new"}}
	if t.done[key] {
		status = map[string]any{"name": "Done", "statusCategory": map[string]any{"key": "done"}}
	}
	return map[string]any{"id": "1", "key": key, "fields": map[string]any{"status": status}}
}
