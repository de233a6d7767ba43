package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// whyView says what became of an event.
type whyView struct {
	Event    tocsin.Event `json:"event"`
	Verdicts []struct {
		Webhook string `json:"webhook"`
		Matched bool   `json:"matched"`
		Clause  string `json:"clause"`
		Detail  string `json:"detail"`
		Note    string `json:"note"`
	} `json:"verdicts"`
	Traces []struct {
		Webhook    string        `json:"webhook"`
		WebhookID  string        `json:"webhook_id"`
		Generation int64         `json:"generation"`
		Bucket     string        `json:"bucket"`
		Delivery   *deliveryView `json:"delivery"`
		Next       string        `json:"next"`
	} `json:"traces"`
}

func (p *program) eventsWhy() *cobra.Command {
	return &cobra.Command{
		Use: "why SOURCE ID", Short: "Say where an event went, or why it did not", Args: exactly("SOURCE", "ID"),
		Long: `Say where an event went, webhook by webhook: what was owed for it and what became of
that, and which clause of each webhook's present configuration matches it or not.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/events/" + url.PathEscape(args[0]) + "/" + url.PathEscape(args[1]) + "/why"
			return show(cmd.Context(), p, http.MethodGet, path, nil, printWhy)
		},
	}
}

func printWhy(w io.Writer, v whyView) error {
	fmt.Fprintf(w, "%s %s %s at %s: %s\n\n", v.Event.Severity, clean(v.Event.Type), v.Event.Status, when(&v.Event.Time), clean(v.Event.Title))
	if len(v.Traces) == 0 {
		fmt.Fprintln(w, "owed to nobody when it arrived")
	} else {
		t := newTable(w, "OWED TO", "IS", "DELIVERY", "ATTEMPTS", "NEXT")
		for _, trace := range v.Traces {
			delivery, attempts := "", ""
			if d := trace.Delivery; d != nil {
				delivery, attempts = d.ID, fmt.Sprint(d.Attempts)
			}
			t.row(first(trace.Webhook, trace.WebhookID), trace.Bucket, delivery, attempts, trace.Next)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if len(v.Verdicts) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "WEBHOOK NOW", "MATCHES", "CLAUSE", "BECAUSE")
	for _, verdict := range v.Verdicts {
		t.row(verdict.Webhook, yesNo(verdict.Matched), verdict.Clause, strings.Trim(verdict.Detail+"; "+verdict.Note, "; "))
	}
	return t.flush()
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
