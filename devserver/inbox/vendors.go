package inbox

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// reply is what a vendor's API would answer when all is well.
type reply struct {
	status int
	body   any // encoded as JSON; nil for none
}

// vendor answers paths below a name as some vendor's API does, so that every channel can
// be tried: /inbox/{name}/ is then the address to configure. Nothing is checked but what
// the answer needs.
type vendor struct {
	// path is how the path below the name ends, or contains where it ends with "/".
	path   string
	answer func(i *Inbox, name string, r *http.Request, path, body string) reply
	// asks says that such requests deliver nothing, and are not kept: they check something,
	// or ask for a token.
	asks bool
}

// vendors are tried in this order.
var vendors = []vendor{
	// Slack: https://docs.slack.dev/reference/methods/chat.postMessage
	{path: "chat.postMessage", answer: slackMessageSaid}, {path: "chat.update", answer: slackMessageSaid},
	{path: "auth.test", answer: fixed(reply{200, map[string]any{"ok": true, "team": "Inbox", "user": "tocsin"}}), asks: true},
	{path: "conversations.info", answer: fixed(reply{200, map[string]any{"ok": true, "channel": map[string]any{"name": "inbox", "is_member": true}}}), asks: true},
	// PagerDuty: https://developer.pagerduty.com/docs/send-alert-event
	{path: "v2/enqueue", answer: pagerdutyTaken}, {path: "v2/change/enqueue", answer: fixed(reply{202, map[string]any{"status": "success", "message": "Change event processed"}})},
	// Jira: https://developer.atlassian.com/cloud/jira/platform/rest/v2/
	{path: "rest/api/2/", answer: jiraDone},
	// Splunk: https://docs.splunk.com/Documentation/Splunk/latest/Data/HECRESTendpoints
	{path: "services/collector/health", answer: fixed(reply{200, map[string]any{"text": "HEC is healthy", "code": 17}}), asks: true},
	{path: "services/collector/event", answer: splunkTaken},
	// Elasticsearch: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
	{path: "_bulk", answer: elasticTaken},
	{path: "_security/user/_has_privileges", answer: fixed(reply{200, map[string]any{"username": "inbox", "has_all_requested": true}}), asks: true},
	// Microsoft Sentinel: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
	{path: "oauth2/v2.0/token", answer: fixed(reply{200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": "inbox"}}), asks: true},
	{path: "dataCollectionRules/", answer: fixed(reply{204, nil})},
	// Datadog: https://docs.datadoghq.com/api/latest/logs/#send-logs
	{path: "api/v2/logs", answer: fixed(reply{202, map[string]any{}})}, {path: "api/v1/validate", answer: fixed(reply{200, map[string]any{"valid": true}}), asks: true},
}

func fixed(r reply) func(*Inbox, string, *http.Request, string, string) reply {
	return func(*Inbox, string, *http.Request, string, string) reply { return r }
}

// vendorOf finds who answers a path below a name.
func vendorOf(path string) (vendor, bool) {
	for _, v := range vendors {
		if strings.HasSuffix(path, v.path) || strings.HasSuffix(v.path, "/") && strings.Contains(path, v.path) {
			return v, true
		}
	}
	return vendor{}, false
}

func slackMessageSaid(i *Inbox, _ string, _ *http.Request, _, body string) reply {
	var m struct {
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	}
	_ = json.Unmarshal([]byte(body), &m) // what is missing is answered as such
	if m.TS == "" {
		m.TS = fmt.Sprintf("%.6f", float64(i.options.Now().UnixMicro())/1e6)
	}
	return reply{200, map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS}}
}

func pagerdutyTaken(_ *Inbox, _ string, _ *http.Request, _, body string) reply {
	var e struct {
		DedupKey string `json:"dedup_key"`
	}
	_ = json.Unmarshal([]byte(body), &e)
	return reply{202, map[string]any{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey}}
}

func splunkTaken(_ *Inbox, _ string, _ *http.Request, _, body string) reply {
	if strings.TrimSpace(body) == "" {
		return reply{400, map[string]any{"text": "No data", "code": 5}}
	}
	return reply{200, map[string]any{"text": "Success", "code": 0}}
}

// elasticTaken answers each action as created.
func elasticTaken(_ *Inbox, _ string, _ *http.Request, _, body string) reply {
	items := []any{}
	lines := json.NewDecoder(strings.NewReader(body))
	for {
		var action map[string]struct {
			ID    string `json:"_id"`
			Index string `json:"_index"`
		}
		var document json.RawMessage
		if lines.Decode(&action) != nil || lines.Decode(&document) != nil {
			return reply{200, map[string]any{"took": 1, "errors": false, "items": items}}
		}
		for op, target := range action {
			items = append(items, map[string]any{op: map[string]any{"_index": target.Index, "_id": target.ID, "status": 201, "result": "created"}})
		}
	}
}

// unpacked is a body as people read it.
func unpacked(r *http.Request, body []byte) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, MaxBody))
}

// receiveVendor takes a request for a path below a name.
func (i *Inbox) receiveVendor(w http.ResponseWriter, r *http.Request) {
	name, path := r.PathValue("name"), r.PathValue("rest")
	v, known := vendorOf(path)
	if r.Method == http.MethodGet && path == "" {
		v, known = vendor{answer: elasticRoot}, true
	}
	if !known || !nameForm.MatchString(name) {
		http.Error(w, "no vendor's API that this inbox plays has such a path", http.StatusNotFound)
		return
	}
	i.take(w, r, name, v.asks || r.Method == http.MethodGet, func(body string) reply { return v.answer(i, name, r, path, body) })
}

// elasticRoot is Elasticsearch's own name.
func elasticRoot(*Inbox, string, *http.Request, string, string) reply {
	return reply{200, map[string]any{
		"name": "inbox", "cluster_name": "inbox", "version": map[string]any{"number": "9.0.0", "build_flavor": "default"}, "tagline": "You Know, for Search",
	}}
}

// Take keeps what came by a protocol that is not HTTP. It reports whether the sender is to
// be told that it was accepted, as the mode for the name has it.
func (i *Inbox) Take(name, protocol, remote, body string) bool {
	answer := i.modes.take(name)
	i.box.add(Delivery{
		Name: name, ReceivedAt: i.options.Now(), Method: protocol, URL: strings.ToLower(protocol) + "://" + name, Remote: remote,
		Body: body, Bytes: len(body), Status: answer.Status,
	})
	return answer.Status >= 200 && answer.Status < 300
}

// shortly is how long a listener waits for a peer that says nothing.
const shortly = 5 * time.Minute
