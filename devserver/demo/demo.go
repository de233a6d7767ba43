// Package demo fills a running tocsin-dev with something to look at: a webhook of each
// kind, delivering to the inbox, and an event of every alert type that producers report.
package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Config says whom to talk to.
type Config struct {
	// APIURL is the API's, InboxURL the inbox's address, both without a final slash.
	APIURL, InboxURL string
	// SMTPAddr and SyslogAddr are where the inbox takes mail and syslog messages, as
	// host:port; without one, the demo has no webhook of that channel.
	SMTPAddr, SyslogAddr string
	// Seed makes the signing secrets: the same seed makes the same ones, so that the inbox
	// can check signatures of webhooks that an earlier start created.
	Seed tocsin.Secret
	// Expect tells the inbox the secret of a name; nil does not.
	Expect func(name string, secret tocsin.Secret) error
	// Now is the events' time; nil is time.Now.
	Now func() time.Time
}

// Report says what was done.
type Report struct {
	Webhooks []string // names, in the order they were created
	Events   int      // accepted
}

// Run creates the webhooks where they are missing, points those that exist at this inbox,
// and sends the events. On an error the report holds what was done until then.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var done Report
	for _, w := range webhooks {
		if w.needs != nil && w.needs(cfg) == "" {
			continue
		}
		if err := cfg.ensure(ctx, w); err != nil {
			return done, fmt.Errorf("creating webhook %s: %w", w.name, err)
		}
		done.Webhooks = append(done.Webhooks, w.name)
	}
	events, err := Events(catalog.Default(), cfg.Now())
	if err != nil {
		return done, err
	}
	var accepted struct {
		Accepted int `json:"accepted"`
	}
	if err := cfg.call(ctx, http.MethodPost, "/v1/events", map[string]any{"events": events}, &accepted); err != nil {
		return done, fmt.Errorf("sending events: %w", err)
	}
	done.Events = accepted.Accepted
	return done, nil
}

func (cfg Config) ensure(ctx context.Context, w webhook) error {
	config := w.config(cfg)
	if w.channel == "webhook" {
		secret := cfg.secret(w.name)
		config["signing_secret"] = secret.Reveal()
		if cfg.Expect != nil {
			if err := cfg.Expect(w.name, secret); err != nil {
				return err
			}
		}
	}
	body := map[string]any{"name": w.name, "channel": w.channel, "config": config, "labels": map[string]string{"made-by": "demo"}}
	for k, v := range w.fields {
		body[k] = v
	}
	err := cfg.call(ctx, http.MethodPost, "/v1/webhooks", body, nil)
	if tocsin.CodeOf(err) == tocsin.CodeConflict {
		// It is there from an earlier start, perhaps on another port. Whatever else was
		// changed of it is the user's.
		return cfg.call(ctx, http.MethodPatch, "/v1/webhooks/"+w.name, map[string]any{"config": config}, nil)
	}
	return err
}

func (cfg Config) secret(name string) tocsin.Secret {
	mac := hmac.New(sha256.New, []byte(cfg.Seed.Reveal()))
	mac.Write([]byte("demo signing secret " + name))
	return tocsin.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// call makes one request and decodes its answer into out, if that is not nil. A 409 is an
// error with tocsin.CodeConflict.
func (cfg Config) call(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, cfg.APIURL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		code := tocsin.CodeInternal
		if resp.StatusCode == http.StatusConflict {
			code = tocsin.CodeConflict
		}
		return tocsin.Errorf(code, "%s %s answered %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
