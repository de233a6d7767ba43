// Package jira is the channel for tickets in Jira Cloud and Jira Data Center. It speaks
// version 2 of the REST API, whose texts are wiki markup in both:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/ and
// https://developer.atlassian.com/server/jira/platform/rest/.
//
// Each dedup key has one ticket. Its id is remembered in the notification's Refs (ref.go).
// An alert that fires for the first time creates it (create.go); later ones comment on it
// and move it through its workflow (follow.go). Jira has no idempotency key, so after an
// attempt of unknown outcome the ticket is looked for before it is created (recover.go).
//
// Event text is hostile. Values stand in {noformat} wherever possible, prose is escaped
// (wiki.go), and everything is fitted to Jira's limits (render.go).
package jira

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "jira".
type Channel struct {
	client *post.Client
	guide  *catalog.Catalog
	log    *slog.Logger
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel. guide has the words about threats; log gets a line when Jira
// takes a ticket only without some of its fields, or does not let it be moved.
func New(client *post.Client, guide *catalog.Catalog, log *slog.Logger) *Channel {
	return &Channel{client: client, guide: guide, log: log}
}

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "jira" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel: it fills in the defaults.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return nil, nil, err
	}
	complete(o)
	out, err := o.JSON()
	return out, nil, err
}

// BatchKey implements tocsin.Channel: any events may share a delivery, since several new
// tickets are created by one request.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel. Plain http is taken only where its address is
// allowed by CIDR, because the token travels with every request.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	conf, err := parse(raw)
	if err != nil {
		return err
	}
	client, err := c.clientFor(conf)
	if err != nil {
		return err
	}
	if err := client.CheckSecureURL(ctx, conf.url); err != nil {
		return tocsin.Invalid("config.url", "%v", err)
	}
	return nil
}

// Public implements tocsin.Channel.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return nil, err
	}
	o.Redact("token")
	o.HideKeys()
	hideUserInfo(o)
	return o.JSON()
}

// Open implements tocsin.Channel.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	conf, err := parse(raw)
	if err != nil {
		return nil, err
	}
	client, err := c.clientFor(conf)
	if err != nil {
		return nil, err
	}
	return &sender{channel: c, config: conf, client: client, redact: post.NewRedactor(conf.token, conf.authorization())}, nil
}

// clientFor is the client that trusts the configuration's certificates.
func (c *Channel) clientFor(conf config) (*post.Client, error) {
	client, err := c.client.WithTLS(post.TLS{CA: conf.caCert})
	if err != nil {
		return nil, tocsin.Invalid("config.ca_cert", "%v", err)
	}
	return client, nil
}

// sender writes to one project.
type sender struct {
	channel *Channel
	config  config
	client  *post.Client
	redact  *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "jira sender") }

// MarshalJSON is Format for encoders.
func (s *sender) MarshalJSON() ([]byte, error) { return []byte(`"jira sender"`), nil }

// Send implements tocsin.Sender. It makes as many requests as the events need, and stops
// at the first that is to be tried again: what Jira has taken until then is in the
// Results and the Refs.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	if err := s.ready(ctx, n); err != nil {
		return tocsin.Receipt{}, err
	}
	session := s.client.Session(s.redact)
	api, err := newAPI(s.config, s.redact, live(session))
	if err != nil {
		return tocsin.Receipt{}, err
	}
	r := s.newRun(n, api)
	r.all(ctx)
	receipt, err := r.receipt()
	receipt.Exchanges = session.Exchanges()
	return receipt, err
}

// ready says what stands in the way of the first request.
func (s *sender) ready(ctx context.Context, n tocsin.Notification) error {
	if len(n.Events) == 0 {
		return tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for jira: the delivery has no events"))
	}
	if err := s.client.CheckAtSend(ctx, s.config.url); err != nil {
		return fmt.Errorf("writing to jira: %w", err)
	}
	return nil
}
