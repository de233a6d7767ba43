package demo

import (
	"net"
	"strconv"
)

// webhook is one of the demo's.
type webhook struct {
	name    string
	channel string
	fields  map[string]any
	// config is the channel's configuration, but for signing secrets.
	config func(Config) map[string]any
	// needs says what else must be there: "" leaves the webhook out.
	needs func(Config) string
}

// instant and onlyEscalated are settings that several have.
var (
	instant       = map[string]any{"frequency": "instant"}
	onlyEscalated = map[string]any{"frequency": "instant", "events": []string{"none"}}
)

// webhooks lists one of each channel, and of each frequency. Those that others escalate
// to come first. Their credentials are made up: the inbox asks for none.
var webhooks = []webhook{
	{name: "demo-pagerduty", channel: "pagerduty", fields: onlyEscalated, config: func(c Config) map[string]any {
		return map[string]any{"url": c.InboxURL + "/pagerduty", "routing_key": "0123456789abcdef0123456789abcdef"}
	}},
	{name: "demo-jira", channel: "jira", fields: onlyEscalated, config: func(c Config) map[string]any {
		return map[string]any{"url": c.InboxURL + "/jira", "deployment": "datacenter", "token": "demo-token", "project": "INBOX"}
	}},
	{name: "demo-email", channel: "email", fields: onlyEscalated, needs: func(c Config) string { return c.SMTPAddr }, config: func(c Config) map[string]any {
		host, port := split(c.SMTPAddr)
		return map[string]any{"host": host, "port": port, "tls": "none", "auth": "none", "from": "Tocsin <tocsin@example.com>", "to": []string{"security@example.com"}}
	}},
	{name: "demo-instant", channel: "webhook", fields: instant, config: plain("demo-instant")},
	{name: "demo-periodic", channel: "webhook", config: plain("demo-periodic"), fields: map[string]any{
		"frequency": "periodic", "run_every": "1m",
		"escalate": []map[string]any{
			{"min_severity": "critical", "to": "demo-pagerduty", "after": "0s"}, {"min_severity": "high", "to": "demo-jira", "after": "0s"},
			{"min_severity": "critical", "to": "demo-email", "after": "2m", "unless": "acknowledged"},
		},
	}},
	{name: "demo-threats", channel: "webhook", config: plain("demo-threats"), fields: map[string]any{"frequency": "instant", "events": []string{"threat.detected"}}},
	{name: "demo-ocsf", channel: "webhook", fields: instant, config: formatted("demo-ocsf", "ocsf")},
	{name: "demo-cloudevents", channel: "webhook", fields: instant, config: formatted("demo-cloudevents", "cloudevents")},
	{name: "demo-slack", channel: "slack", fields: instant, config: plain("slack")},
	{name: "demo-slack-bot", channel: "slack", fields: instant, config: func(c Config) map[string]any {
		return map[string]any{"api_url": c.InboxURL + "/slack-bot/api/", "token": "xoxb-demo-token", "channel": "C0123456789"} // #nosec G101 -- made up
	}},
	{name: "demo-teams", channel: "teams", fields: instant, config: plain("teams")},
	{name: "demo-splunk", channel: "splunk", fields: instant, config: func(c Config) map[string]any {
		return map[string]any{"url": c.InboxURL + "/splunk", "token": "demo-token"}
	}},
	{name: "demo-syslog", channel: "syslog", fields: instant, needs: func(c Config) string { return c.SyslogAddr }, config: func(c Config) map[string]any {
		return map[string]any{"address": c.SyslogAddr, "transport": "tcp", "format": "cef"}
	}},
	{name: "demo-elasticsearch", channel: "elasticsearch", fields: instant, config: func(c Config) map[string]any {
		return map[string]any{"url": c.InboxURL + "/elasticsearch", "api_key": "ZGVtbzprZXk="}
	}},
	{name: "demo-sentinel", channel: "sentinel", fields: instant, config: func(c Config) map[string]any {
		return map[string]any{
			"endpoint": c.InboxURL + "/sentinel", "login_url": c.InboxURL + "/sentinel", "rule_id": "dcr-00000000000000000000000000000000", "stream": "Custom-Tocsin",
			"tenant_id": "00000000-0000-0000-0000-000000000000", "client_id": "00000000-0000-0000-0000-000000000000", "client_secret": "demo-secret",
		}
	}},
	{name: "demo-datadog", channel: "datadog", fields: instant, config: func(c Config) map[string]any {
		return map[string]any{"url": c.InboxURL + "/datadog", "api_url": c.InboxURL + "/datadog", "api_key": "0123456789abcdef0123456789abcdef"}
	}},
}

// plain is a configuration that is a URL alone.
func plain(name string) func(Config) map[string]any {
	return func(c Config) map[string]any { return map[string]any{"url": c.InboxURL + "/" + name} }
}

func formatted(name, format string) func(Config) map[string]any {
	return func(c Config) map[string]any { return map[string]any{"url": c.InboxURL + "/" + name, "format": format} }
}

// split takes host:port apart.
func split(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(text) // the inbox's own listener has a number
	return host, port
}
