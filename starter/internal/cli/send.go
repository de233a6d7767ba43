package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/workflows"
)

const (
	// maxInput bounds what events send reads at once.
	maxInput = 1 << 30
	// chunkBytes and chunkLines bound one request made of lines; the API takes 10 MiB.
	chunkBytes = 4 << 20
	chunkLines = 5000
)

const sendLong = `Report events: from a file, from standard input (-), or one made from flags.

A file is what POST /v1/events takes: an event, an array, {"events": […]}, CloudEvents,
or lines of JSON. Each request is stored as a whole or not at all; lines are sent in
several requests when there are very many. Sending the same events again is safe: an
event is known by its source and id.`

// eventFlags make one event.
type eventFlags struct {
	id, source, kind, subject, severity, status, at string
	dedupKey, title, summary, link, data            string
	labels                                          map[string]string
}

func (p *program) eventsSend() *cobra.Command {
	var flags eventFlags
	cmd := &cobra.Command{
		Use: "send [FILE|-]", Short: "Report events", Long: sendLong + temporalHelp(fmt.Sprintf(
			`temporal workflow signal --workflow-id %s --name %s --input '{"events": […]}'`, workflows.WebhookWorkflowID("ID"), workflows.SignalSubmitEvents)),
		Args: func(cmd *cobra.Command, args []string) error {
			made := false
			cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { made = made || f.Changed && f.Name != "help" })
			switch {
			case len(args) > 1:
				return usagef("tocsin events send takes one FILE, not %d", len(args))
			case len(args) == 1 && made:
				return usagef("tocsin events send takes a FILE or flags that make an event, not both")
			case len(args) == 0 && flags.kind == "":
				return usagef("tocsin events send needs a FILE, - for standard input, or --type")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return p.sendFile(cmd.Context(), args[0])
			}
			event, err := flags.event()
			if err != nil {
				return err
			}
			return p.sendAll(cmd.Context(), []chunk{{contentType: "application/json", body: event}})
		},
	}
	flags.bind(cmd)
	return cmd
}

func (f *eventFlags) bind(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.kind, "type", "", "alert `TYPE`, such as finding.critical or custom.backup.failed")
	set.StringVar(&f.source, "source", "tocsin-cli", "who reports it")
	set.StringVar(&f.id, "id", "", "unique within the source (default a new one)")
	set.StringVar(&f.subject, "subject", "", "what it is about")
	set.StringVar(&f.severity, "severity", "", strings.Join(tocsin.Severities(), ", ")+" (default the type's)")
	set.StringVar(&f.status, "status", "", "firing or resolved (default firing)")
	set.StringVar(&f.at, "time", "", "when it happened, RFC 3339 (default now)")
	set.StringVar(&f.dedupKey, "dedup-key", "", "the incident it belongs to")
	set.StringVar(&f.title, "title", "", "one line for people")
	set.StringVar(&f.summary, "summary", "", "a few more lines")
	set.StringVar(&f.link, "link", "", "https `URL` with more")
	set.StringToStringVar(&f.labels, "label", nil, "`KEY=VALUE`; may be repeated")
	set.StringVar(&f.data, "data", "", "the alert type's own keys, as a `JSON` object")
}

// event writes the event as JSON. What it says is the server's to check.
func (f *eventFlags) event() ([]byte, error) {
	e := map[string]any{"id": first(f.id, tocsin.NewID("evt")), "source": f.source, "type": f.kind}
	for key, text := range map[string]string{
		"subject": f.subject, "severity": f.severity, "status": f.status, "time": f.at, "dedup_key": f.dedupKey,
		"title": f.title, "summary": f.summary, "link": f.link,
	} {
		if text != "" {
			e[key] = text
		}
	}
	if len(f.labels) > 0 {
		e["labels"] = f.labels
	}
	if f.data != "" {
		if !json.Valid([]byte(f.data)) {
			return nil, tocsin.Invalid("data", "--data is not JSON: %s", clean(f.data))
		}
		e["data"] = json.RawMessage(f.data)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding event: %w", err)
	}
	return b, nil
}

// chunk is one request's worth of events.
type chunk struct {
	contentType string
	body        []byte
	lines       []int // of lines of JSON: where each event stands in the input
}

func (p *program) sendFile(ctx context.Context, file string) error {
	content, err := p.readInput(file, maxInput)
	if err != nil {
		return err
	}
	return p.sendAll(ctx, chunks(content))
}

// chunks tells the forms of input apart by what is there, not by a file's name.
func chunks(content []byte) []chunk {
	var value json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(content))
	if decoder.Decode(&value) == nil && decoder.Decode(new(json.RawMessage)) != io.EOF {
		return lineChunks(content)
	}
	return []chunk{{contentType: documentType(value), body: content}}
}

// documentType is the content type of a single JSON document.
func documentType(value json.RawMessage) string {
	type cloudEvent struct {
		SpecVersion string `json:"specversion"`
	}
	var one cloudEvent
	var many []cloudEvent
	switch {
	case json.Unmarshal(value, &one) == nil && one.SpecVersion != "":
		return "application/cloudevents+json"
	case json.Unmarshal(value, &many) == nil && len(many) > 0 && many[0].SpecVersion != "":
		return "application/cloudevents-batch+json"
	}
	return "application/json"
}

// lineChunks splits lines of JSON into requests.
func lineChunks(content []byte) []chunk {
	var list []chunk
	now := chunk{contentType: "application/x-ndjson"}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if len(now.body) > 0 && (len(now.body)+len(line) > chunkBytes || len(now.lines) >= chunkLines) {
			list = append(list, now)
			now = chunk{contentType: now.contentType}
		}
		now.body = append(now.body, line...)
		now.lines = append(now.lines, number)
	}
	return append(list, now)
}

// sent is what the API answers to events.
type sent struct {
	Accepted   int `json:"accepted"`
	Duplicates int `json:"duplicates"`
	Conflicts  int `json:"conflicts"`
}

func (p *program) sendAll(ctx context.Context, list []chunk) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var sum sent
	bar := p.progress("sending")
	defer bar.end()
	for i, c := range list {
		bar.at(int64(i), int64(len(list)), fmt.Sprintf("%d of %d requests, %d events accepted", i, len(list), sum.Accepted))
		var answer sent
		if err := api.send(ctx, http.MethodPost, "/v1/events", nil, c.contentType, c.body, &answer, ""); err != nil {
			return sendFailed(err, c, sum, i)
		}
		sum.Accepted += answer.Accepted
		sum.Duplicates += answer.Duplicates
		sum.Conflicts += answer.Conflicts
	}
	bar.end()
	if p.output == "json" {
		return printJSON(p.Stdout, sum)
	}
	_, err = fmt.Fprintf(p.Stdout, "accepted %d, duplicates %d, conflicts %d\n", sum.Accepted, sum.Duplicates, sum.Conflicts)
	if sum.Conflicts > 0 {
		fmt.Fprintln(p.Stderr, "conflicts have the source and id of an earlier event but other content; the earlier one counts")
	}
	return err
}

// sendFailed says which lines are wrong, and what was stored before.
func sendFailed(err error, c chunk, before sent, requests int) error {
	var e *tocsin.Error
	if errors.As(err, &e) {
		for i, f := range e.Fields {
			if f.Index == nil || *f.Index < 0 || *f.Index >= len(c.lines) {
				continue
			}
			e.Fields[i].Index = nil
			e.Fields[i].Field = strings.TrimSuffix(fmt.Sprintf("line %d: %s", c.lines[*f.Index], f.Field), ": ")
		}
	}
	if requests > 0 {
		return fmt.Errorf("sending events (%d accepted and %d duplicates before, which is safe to repeat): %w", before.Accepted, before.Duplicates, err)
	}
	return fmt.Errorf("sending events: %w", err)
}
