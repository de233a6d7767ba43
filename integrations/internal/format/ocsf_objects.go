package format

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// The objects of a finding. https://schema.ocsf.io/1.9.0/objects

type resource struct {
	UID    string `json:"uid"`
	Name   string `json:"name"`
	Type   string `json:"type,omitempty"`
	RoleID int    `json:"role_id"`
	Role   string `json:"role"`
}

type evidence struct {
	Name        string       `json:"name,omitempty"`
	Actor       *actor       `json:"actor,omitempty"`
	SrcEndpoint *endpoint    `json:"src_endpoint,omitempty"`
	HTTPRequest *httpRequest `json:"http_request,omitempty"`
	URL         *urlObject   `json:"url,omitempty"`
	AIAgent     *aiAgent     `json:"ai_agent,omitempty"`
	Data        any          `json:"data,omitempty"`
}

type actor struct {
	User user `json:"user"`
}

type user struct {
	UID string `json:"uid"`
}

type endpoint struct {
	IP       string    `json:"ip,omitempty"`
	Location *location `json:"location,omitempty"`
}

type location struct {
	Country string `json:"country"`
}

type httpRequest struct {
	Method string     `json:"http_method,omitempty"`
	URL    *urlObject `json:"url,omitempty"`
}

type urlObject struct {
	URLString string `json:"url_string,omitempty"`
	Scheme    string `json:"scheme,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
	Path      string `json:"path,omitempty"`
	Query     string `json:"query_string,omitempty"`
}

type aiAgent struct {
	UID     string   `json:"uid"`
	Name    string   `json:"name,omitempty"`
	TypeID  int      `json:"type_id"`
	Type    string   `json:"type,omitempty"`
	AIModel *aiModel `json:"ai_model,omitempty"`
}

type aiModel struct {
	Name     string `json:"name"`
	Provider string `json:"ai_provider"`
}

type observable struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

type vulnerability struct {
	Title      string   `json:"title,omitempty"`
	CWE        cwe      `json:"cwe"`
	References []string `json:"references,omitempty"`
}

type cwe struct {
	UID string `json:"uid"`
}

type remediation struct {
	Desc       string   `json:"desc"`
	References []string `json:"references,omitempty"`
}

// data are the keys of an event's data that have a place in a finding. A key of another
// type than the catalog's stays empty here, and whole in unmapped.
type data struct {
	object bool
	keys   map[string]json.RawMessage
}

func dataOf(e *tocsin.Event) data {
	d := data{}
	d.object = json.Unmarshal(e.Data, &d.keys) == nil && d.keys != nil
	return d
}

// text is a string, or "".
func (d data) text(key string) string {
	var s string
	_ = json.Unmarshal(d.keys[key], &s) // another type counts as absent
	return s
}

// maxList is how many of a list stand in a finding. Each may become an object much larger
// than itself; all of them are in unmapped.
const maxList = 50

// texts are the first of a list of strings, each once and none empty, or nil.
func (d data) texts(key string) []string {
	var list []string
	if json.Unmarshal(d.keys[key], &list) != nil {
		return nil
	}
	seen, out := map[string]bool{"": true}, []string(nil)
	for _, s := range list {
		if len(out) == maxList {
			break
		}
		if !seen[s] {
			seen[s], out = true, append(out, s)
		}
	}
	return out
}

// statusDetail says who acknowledged or resolved the incident, and why.
func (d data) statusDetail(e *tocsin.Event) string {
	verb := map[string]string{tocsin.TypeIncidentAcknowledged: "Acknowledged", tocsin.TypeIncidentResolved: "Resolved"}[e.Type]
	if verb == "" {
		return ""
	}
	if by := d.text("by"); by != "" {
		verb += " by " + by
	}
	if note := d.text("note"); note != "" {
		verb += ": " + note
	}
	return verb
}

// riskScore is the current score where it is a whole number, as the schema wants.
func (d data) riskScore(e *tocsin.Event) *int64 {
	var n int64
	if e.Type != "risk_score.changed" || len(d.keys["current"]) == 0 || json.Unmarshal(d.keys["current"], &n) != nil {
		return nil
	}
	return &n
}

// remediation is what the event itself says about it.
func (d data) remediation() *remediation {
	r := remediation{Desc: d.text("remediation"), References: d.texts("references")}
	var guide catalog.Remediation
	if r.Desc == "" && json.Unmarshal(d.keys["remediation"], &guide) == nil {
		parts := []string{guide.Title}
		for _, s := range guide.Steps {
			parts = append(parts, s.Title, s.Text)
		}
		r.Desc = strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "\n\n")
	}
	if r.Desc == "" {
		return nil
	}
	return &r
}

// kinds are what the first part of a subject stands for.
var kinds = map[string]string{
	"agent": "AI Agent", "mcp": "MCP Server", "api": "API Endpoint", "collection": "API Collection", "parameter": "API Parameter",
	"test_run": "Test Run",
}

func resourceOf(subject string) resource {
	kind, name, _ := strings.Cut(subject, "/")
	if word := kinds[kind]; word != "" && name != "" {
		return resource{UID: subject, Name: name, Type: word}
	}
	return resource{UID: subject, Name: subject}
}

// resourcesOf are the subject, what else is affected, and the collection, each once.
func resourcesOf(e *tocsin.Event, d data) []resource {
	var out []resource
	seen := map[string]bool{"": true}
	add := func(subject string, id int, role string) {
		if seen[subject] {
			return
		}
		seen[subject] = true
		r := resourceOf(subject)
		r.RoleID, r.Role = id, role
		out = append(out, r)
	}
	add(e.Subject, 1, "Target")
	for _, s := range d.texts("affected") {
		add(s, 3, "Affected")
	}
	if c := e.Collection(); c != "" {
		add("collection/"+c, 4, "Related")
	}
	return out
}

// evidencesOf are what shows it: the request of a threat, the agent that was found, the
// text of a finding.
func evidencesOf(e *tocsin.Event, d data) []evidence {
	var out []evidence
	if x, ok := threatEvidence(d); ok && e.Type == "threat.detected" {
		out = append(out, x)
	}
	if e.Type == "agent.discovered" && e.Subject != "" {
		out = append(out, agentEvidence(e, d))
	}
	if text := d.text("evidence"); text != "" {
		out = append(out, evidence{Name: "evidence", Data: map[string]string{"evidence": text}})
	}
	return out
}

// threatEvidence is the attacker's request; false when there is nothing to say. An actor
// that is the address itself is no user. A request alone is not enough for an evidence, so
// then its URL stands beside it.
func threatEvidence(d data) (evidence, bool) {
	x := evidence{Name: "request", SrcEndpoint: endpointOf(d)}
	if a := d.text("actor"); a != "" && a != d.text("ip") {
		x.Actor = &actor{user{a}}
	}
	u := urlOf(d.text("url"))
	if method := strings.ToUpper(d.text("method")); method != "" || u != nil {
		x.HTTPRequest = &httpRequest{method, u}
	}
	if x.Actor == nil && x.SrcEndpoint == nil {
		x.URL = u
	}
	return x, x.Actor != nil || x.SrcEndpoint != nil || x.URL != nil
}

func endpointOf(d data) *endpoint {
	ip, err := netip.ParseAddr(d.text("ip"))
	if err != nil {
		return nil
	}
	out := &endpoint{IP: ip.WithZone("").String()}
	// The country is an ISO 3166-1 alpha-2 code.
	if c := strings.ToUpper(d.text("country")); len(c) == 2 && strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		out.Location = &location{c}
	}
	return out
}

// urlOf takes a URL apart; nil for "". url_string is for whole URLs only: what has no
// host is a path.
func urlOf(text string) *urlObject {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "":
		return &urlObject{Path: text}
	case u.Scheme != "" && u.Host != "":
		return &urlObject{URLString: text, Scheme: u.Scheme, Hostname: u.Hostname(), Path: u.EscapedPath(), Query: u.RawQuery}
	}
	return &urlObject{Hostname: u.Hostname(), Path: cmp.Or(u.EscapedPath(), text), Query: u.RawQuery}
}

// frameworks are the type_id of agents whose framework the schema knows.
var frameworks = map[string]struct {
	id   int
	name string
}{"langchain": {2, "LangChain"}, "autogen": {3, "AutoGen"}, "crewai": {4, "CrewAI"}, "unknown": {0, "Unknown"}, "": {0, "Unknown"}}

// agentEvidence is the agent that was found. ai_agent is not among the attributes of which
// an evidence must have one (https://schema.ocsf.io/1.9.0/objects/evidences), data is.
func agentEvidence(e *tocsin.Event, d data) evidence {
	agent := &aiAgent{UID: e.Subject, Name: resourceOf(e.Subject).Name, TypeID: 99, Type: d.text("framework")}
	if f, known := frameworks[strings.ToLower(agent.Type)]; known {
		agent.TypeID, agent.Type = f.id, f.name
	}
	if model, provider := d.text("model"), d.text("llm_provider"); model != "" && provider != "" {
		agent.AIModel = &aiModel{model, provider}
	}
	more := map[string]json.RawMessage{"llm_provider": null, "capabilities": null, "shadow": null}
	for name := range more {
		if raw, ok := d.keys[name]; ok {
			more[name] = raw
		}
	}
	return evidence{Name: "agent", AIAgent: agent, Data: more}
}

var null = json.RawMessage("null")

func analyticOf(e *tocsin.Event, d data) analytic {
	a := analytic{TypeID: 0, Type: "Unknown", Name: e.Type, UID: e.Type}
	switch e.Type {
	case "threat.detected":
		if filter := d.text("filterId"); filter != "" {
			a.Name, a.UID = filter, filter
		}
		a.Category = d.text("subCategory")
		switch d.text("type") {
		case "Rule-Based":
			a.TypeID, a.Type = 1, "Rule"
		case "Anomaly":
			a.TypeID, a.Type = 2, "Behavioral"
		}
	case "anomaly.detected":
		a.TypeID, a.Type = 3, "Statistical"
	case "vulnerability.found":
		if test := d.text("test_id"); test != "" {
			a.Name, a.UID = test, test
		}
		a.TypeID, a.Type, a.Category = 1, "Rule", d.text("category")
	case "traffic.stopped", "performance.degraded":
		a.TypeID, a.Type = 1, "Rule"
	}
	return a
}

// vulnerabilitiesOf has one for each CWE. What is said of all of them stands on the first
// only: repeated, it would make gigabytes of a long list.
func vulnerabilitiesOf(e *tocsin.Event, d data) []vulnerability {
	if e.Type != "vulnerability.found" {
		return nil
	}
	var out []vulnerability
	for _, id := range d.texts("cwe") {
		out = append(out, vulnerability{CWE: cwe{id}})
	}
	if len(out) > 0 {
		out[0].Title, out[0].References = d.text("category"), d.texts("references")
	}
	return out
}

// observablesOf point at what a SIEM looks up: addresses and URLs.
// https://schema.ocsf.io/1.9.0/objects/observable
func observablesOf(evidences []evidence) []observable {
	var out []observable
	for _, x := range evidences {
		if x.SrcEndpoint != nil {
			out = append(out, observable{"evidences[].src_endpoint.ip", 2, "IP Address", x.SrcEndpoint.IP})
		}
		if x.HTTPRequest != nil && x.HTTPRequest.URL != nil && x.HTTPRequest.URL.URLString != "" {
			out = append(out, observable{"evidences[].http_request.url.url_string", 6, "URL String", x.HTTPRequest.URL.URLString})
		}
	}
	return out
}

func tagsOf(labels map[string]string) []keyValue {
	var out []keyValue
	for name, value := range labels {
		out = append(out, keyValue{name, value})
	}
	slices.SortFunc(out, func(a, b keyValue) int { return strings.Compare(a.Name, b.Name) })
	return out
}
