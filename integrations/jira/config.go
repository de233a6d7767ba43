package jira

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The deployments.
const (
	cloud      = "cloud"
	datacenter = "datacenter"
)

var keys = []string{"url", "deployment", "email", "token", "project", "issue_type", "labels", "priority", "components", "assignee",
	"custom_fields", "resolve_transition", "reopen_transition", "comment_on_refire", "ca_cert"}

// ownFields are fields of a ticket that the channel sets by itself.
var ownFields = []string{"project", "issuetype", "summary", "description", "labels", "priority", "components", "assignee"}

// maxLabel is the longest label Jira takes, in characters. It refuses longer ones, as it does
// labels with spaces; no page of Atlassian's says so.
const maxLabel = 255

var (
	fieldID    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	projectKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,254}$`)
)

// config is a configuration as it is used.
type config struct {
	url               string // without a final slash
	deployment        string
	email, token      string
	project           string
	issueType         string
	labels            []string
	priority          map[string]string // by severity
	components        []string
	assignee          string
	customFields      map[string]json.RawMessage
	resolveTransition string // "": by category
	reopenTransition  string
	commentOnRefire   bool
	caCert            string
}

// complete fills in defaults. What it cannot read it leaves to validation.
func complete(o settings.Object) {
	if !o.Has("issue_type") {
		o.Set("issue_type", "Task")
	}
	if !o.Has("comment_on_refire") {
		o.Set("comment_on_refire", true)
	}
	var raw string
	if !o.Has("deployment") && json.Unmarshal(o["url"], &raw) == nil && raw != "" {
		o.Set("deployment", deploymentOf(raw))
	}
}

// deploymentOf goes by the host: Cloud sites are names under atlassian.net, or are reached
// through api.atlassian.com with scoped tokens.
func deploymentOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return datacenter
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if strings.HasSuffix(host, ".atlassian.net") || host == "api.atlassian.com" {
		return cloud
	}
	return datacenter
}

// hideUserInfo redacts a URL that holds credentials. Validation refuses it; it may have
// been stored by hand.
func hideUserInfo(o settings.Object) {
	var raw string
	if json.Unmarshal(o["url"], &raw) != nil || raw == "" {
		return
	}
	if u, err := url.Parse(raw); err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		o.Set("url", tocsin.Redacted)
	}
}

// parse reads a configuration without looking at the address.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{
		issueType: o.String(&p, "issue_type"), assignee: o.String(&p, "assignee"), token: o.String(&p, "token"), email: o.String(&p, "email"),
		project: o.String(&p, "project"), caCert: o.String(&p, "ca_cert"),
		resolveTransition: o.String(&p, "resolve_transition"), reopenTransition: o.String(&p, "reopen_transition"),
		commentOnRefire: o.Bool(&p, "comment_on_refire", true),
	}
	if c.issueType == "" {
		c.issueType = "Task"
	}
	c.readURL(&p, o)
	c.readAccount(&p)
	c.readProject(&p)
	c.readLabels(&p, o)
	c.components = o.Strings(&p, "components")
	refuseEmpty(&p, "components", c.components)
	c.readPriority(&p, o)
	c.readCustomFields(&p, o)
	return c, p.Err()
}

func (c *config) readURL(p *settings.Problems, o settings.Object) {
	before := len(*p)
	raw := o.String(p, "url")
	c.deployment = o.Choice(p, "deployment", deploymentOf(raw), cloud, datacenter)
	c.url = strings.TrimRight(raw, "/")
	if len(*p) > before {
		return
	}
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		p.Add("url", "required; want https://<site>.atlassian.net, or the address of a Jira of your own")
	case err != nil:
		// The check of the address has better words.
	case u.RawQuery != "" || u.ForceQuery:
		p.Add("url", "has a query; want the address of Jira alone")
	case strings.Contains(u.Path, "/rest/") || strings.HasSuffix(u.Path, "/rest"):
		p.Add("url", "leads into the REST API; want the address of Jira alone, without /rest and what follows")
	case strings.Contains(u.Path, "/browse"):
		p.Add("url", "is a page of Jira; want the address of Jira alone, without /browse and what follows")
	}
}

// readAccount: Cloud takes Basic authentication with the account's email
// (https://developer.atlassian.com/cloud/jira/platform/basic-auth-for-rest-apis/), Data
// Center a personal access token as bearer
// (https://confluence.atlassian.com/enterprise/using-personal-access-tokens-1026032365.html).
func (c *config) readAccount(p *settings.Problems) {
	missing := func(key, words string) {
		if !slices.ContainsFunc(*p, func(f tocsin.FieldError) bool { return f.Field == "config."+key }) {
			p.Add(key, "%s", words)
		}
	}
	if c.token == "" {
		missing("token", "required; want an API token (Cloud) or a personal access token (Data Center)")
	} else if strings.ContainsFunc(c.token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		p.Add("token", "contains a space, a line break or another character that no token has")
	}
	switch {
	case c.deployment == cloud && c.email == "":
		missing("email", "required for Jira Cloud: the email of the account that the API token is of")
	case c.deployment == cloud && strings.ContainsFunc(c.email, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }):
		p.Add("email", "contains a space, a colon or a control character")
	case c.deployment == datacenter && c.email != "":
		p.Add("email", "is for Jira Cloud only; a personal access token of Data Center stands alone")
	}
}

func (c *config) readProject(p *settings.Problems) {
	switch {
	case c.project == "" && !slices.ContainsFunc(*p, func(f tocsin.FieldError) bool { return f.Field == "config.project" }):
		p.Add("project", "required; want the key of a project, as in SEC-123")
	case c.project != "" && !projectKey.MatchString(c.project):
		p.Add("project", "%.40q is not a project key; want letters, digits and underscores, as in SEC", c.project)
	}
}

func (c *config) readLabels(p *settings.Problems, o settings.Object) {
	c.labels = o.Strings(p, "labels")
	refuseEmpty(p, "labels", c.labels)
	for i, l := range c.labels {
		switch {
		case strings.ContainsFunc(l, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u00a0' }):
			p.Add(fmt.Sprintf("labels[%d]", i), "%.40q contains a space, which Jira takes in no label", l)
		case len([]rune(l)) > maxLabel:
			p.Add(fmt.Sprintf("labels[%d]", i), "is %d characters long; at most %d", len([]rune(l)), maxLabel)
		}
	}
}

// refuseEmpty refuses entries of a list that say nothing: Jira would refuse every ticket.
func refuseEmpty(p *settings.Problems, key string, list []string) {
	for i, text := range list {
		field := fmt.Sprintf("%s[%d]", key, i)
		known := slices.ContainsFunc(*p, func(f tocsin.FieldError) bool { return f.Field == "config."+field || f.Field == "config."+key })
		if strings.TrimSpace(text) == "" && !known {
			p.Add(field, "is empty; want a name, or no entry")
		}
	}
}

func (c *config) readPriority(p *settings.Problems, o settings.Object) {
	c.priority = o.Map(p, "priority")
	for _, severity := range slices.Sorted(maps.Keys(c.priority)) {
		if !slices.Contains(tocsin.Severities(), severity) {
			p.Add("priority."+severity, "not a severity; allowed: %s", strings.Join(tocsin.Severities(), ", "))
		}
	}
}

func (c *config) readCustomFields(p *settings.Problems, o settings.Object) {
	if !o.Has("custom_fields") {
		return
	}
	if json.Unmarshal(o["custom_fields"], &c.customFields) != nil {
		o.Map(p, "custom_fields") // says what it is instead of an object
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.customFields)) {
		switch {
		case slices.Contains(ownFields, strings.ToLower(id)):
			p.Add("custom_fields."+id, "is set by the channel itself; there is a key of its own for it, or it follows from the event")
		case !fieldID.MatchString(id):
			p.Add("custom_fields."+id, "not the id of a field; want for example customfield_10042")
		}
	}
}

// authorization is the header of every request.
func (c *config) authorization() string {
	if c.deployment == cloud {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.email+":"+c.token))
	}
	return "Bearer " + c.token
}
