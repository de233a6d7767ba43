package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

const (
	// completeWithin is how long a shell waits for words from the API: whoever presses Tab
	// rather gets none.
	completeWithin = 800 * time.Millisecond
	// completeAtMost is how many words are asked for.
	completeAtMost = 200
)

// source returns words for a shell; nil when it knows none. It says nothing about what
// went wrong: the shell has no place for it.
type source func(ctx context.Context, p *program) []cobra.Completion

// words are always the same.
func words(all ...string) source {
	return func(context.Context, *program) []cobra.Completion { return all }
}

// fetched are words of a list of the API.
func fetched[T any](path string, query url.Values, of func(T) cobra.Completion) source {
	return func(ctx context.Context, p *program) []cobra.Completion {
		api, err := p.client()
		if err != nil {
			return nil
		}
		asked := url.Values{}
		for name, values := range query {
			asked[name] = values
		}
		var answer page[json.RawMessage]
		if api.call(ctx, "GET", path, asked, nil, &answer) != nil {
			return nil
		}
		var all []cobra.Completion
		for _, raw := range answer.Items {
			var item T
			if json.Unmarshal(raw, &item) != nil {
				continue
			}
			if word := of(item); word != "" && len(all) < completeAtMost {
				all = append(all, word)
			}
		}
		return all
	}
}

// described is a word and what a shell shows beside it. A tab or a line break would end it.
func described(word string, about ...string) cobra.Completion {
	if word == "" || clean(word) != word {
		return ""
	}
	return cobra.CompletionWithDesc(word, clean(strings.Join(about, " ")))
}

// recent asks for one page, newest first.
var recent = url.Values{"limit": {"50"}}

// What there is to complete.
var (
	webhookNames = fetched("/v1/webhooks", nil, func(w webhookView) cobra.Completion {
		return described(w.Name, w.Channel, string(w.State))
	})
	alertTypes = fetched("/v1/alert-types", nil, func(t struct {
		Type     string `json:"type"`
		Title    string `json:"title"`
		Category string `json:"category"`
	}) cobra.Completion {
		return described(t.Type, t.Title)
	})
	channelNames = fetched("/v1/channels", nil, func(c struct {
		Name string `json:"name"`
	}) cobra.Completion {
		return described(c.Name)
	})
	deliveryIDs = fetched("/v1/deliveries", recent, func(d deliverySummary) cobra.Completion {
		return described(d.ID, first(d.WebhookName, d.WebhookID), string(d.State))
	})
	replayIDs = fetched("/v1/replays", recent, func(r replayView) cobra.Completion {
		return described(r.ID, first(r.Webhook, r.WebhookID), string(r.State))
	})
	muteIDs     = fetched("/v1/mutes", recent, func(m muteView) cobra.Completion { return described(m.ID, m.State, m.Reason) })
	incidentIDs = fetched("/v1/incidents", recent, func(i incidentView) cobra.Completion {
		return described(i.ID, string(i.State), i.Title)
	})
	keyNames = fetched("/v1/keys", nil, func(k tocsin.Key) cobra.Completion {
		return described(k.Name, strings.Join(k.Scopes, ","))
	})
	severities = words(tocsin.Severities()...)
	scopes     = words("ingest", "read", "admin")
)

// flagWords are what flags take, by command path without the program's name ("" for
// every command) and flag.
var flagWords = map[string]map[string]source{
	"": {
		"output": words("text", "json"), "webhook": webhookNames, "type": alertTypes, "types": alertTypes, "event": alertTypes,
		"min-severity": severities, "severity": severities, "status": words("firing", "resolved"), "channel": channelNames, "scopes": scopes,
	},
	"deliveries list":      {"state": words(deliveryStates...)},
	"webhooks list":        {"state": words(webhookStates...)},
	"deliveries redeliver": {"state": words("dead", "delivered", "cancelled")},
	"incidents list":       {"state": words("open", "acknowledged", "resolved", "unresolved")},
	"replay":               {"what": words("dead", "delivered", "cancelled", "suppressed", "missing", "all")},
	"serve":                {"log-level": words("debug", "info", "warn", "error"), "log-format": words("text", "json")},
}

// deliveryStates are the states a delivery may be in.
var deliveryStates = []string{"ready", "sending", "delivered", "dead", "split", "cancelled"}

// argumentWords are what commands take beside flags.
var argumentWords = map[string]source{
	"webhooks get": webhookNames, "webhooks pause": webhookNames, "webhooks resume": webhookNames, "webhooks run": webhookNames,
	"webhooks test": webhookNames, "webhooks check": webhookNames, "webhooks preview": webhookNames, "webhooks match": webhookNames,
	"webhooks rotate-secret": webhookNames, "webhooks delete": webhookNames,
	"events rejections": webhookNames,
	"deliveries get":    deliveryIDs, "deliveries redeliver": deliveryIDs,
	"replay get": replayIDs, "replay pause": replayIDs, "replay resume": replayIDs, "replay cancel": replayIDs,
	"mutes get": muteIDs, "mutes end": muteIDs,
	"incidents get": incidentIDs, "incidents acknowledge": incidentIDs, "incidents resolve": incidentIDs,
	"keys rotate": keyNames, "keys delete": keyNames,
}

// manyArguments are the commands that take more than one of them.
var manyArguments = []string{"deliveries redeliver"}

// completions gives every command of the tree what shells can complete for it.
func (p *program) completions(root *cobra.Command) {
	for _, cmd := range tree(root) {
		name := commandName(cmd)
		for flag, from := range flagWords[""] {
			p.completeFlag(cmd, flag, from)
		}
		for flag, from := range flagWords[name] {
			p.completeFlag(cmd, flag, from)
		}
		if from := argumentWords[name]; from != nil {
			cmd.ValidArgsFunction = p.completeArgument(from, slices.Contains(manyArguments, name))
		} else if cmd.ValidArgsFunction == nil && !takesFile(name) {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// takesFile lists the commands whose argument is a file.
func takesFile(name string) bool { return name == "events send" || name == "init" }

// commandName is a command's path without the program's name.
func commandName(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}

// tree is a command and all below it.
func tree(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		all = append(all, tree(child)...)
	}
	return all
}

// completeFlag takes the last word said for a flag of a command; others have none.
func (p *program) completeFlag(cmd *cobra.Command, flag string, from source) {
	if cmd.Flags().Lookup(flag) == nil && cmd.PersistentFlags().Lookup(flag) == nil {
		return
	}
	if _, ours := flagWords[commandName(cmd)][flag]; ours {
		from = flagWords[commandName(cmd)][flag]
	}
	// An error says that it was said before.
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return p.complete(cmd.Context(), from), cobra.ShellCompDirectiveNoFileComp
	})
}

func (p *program) completeArgument(from source, many bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all := slices.DeleteFunc(p.complete(cmd.Context(), from), func(c cobra.Completion) bool {
			word, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, word)
		})
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// complete asks a source, for a moment.
func (p *program) complete(ctx context.Context, from source) []cobra.Completion {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	return from(ctx, p)
}
