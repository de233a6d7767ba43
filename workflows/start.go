package workflows

import (
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

// about is what Temporal's tools show of a workflow type before anything is known of the
// workflow: a memo, and the details that were fixed when it was started, in Markdown.
type about struct{ memo, details string }

func (a about) memos() map[string]any { return map[string]any{"what": a.memo} }

var aboutWebhook = about{
	memo: "One Tocsin webhook. What is owed and configured is in Tocsin's store; query `status` or open Current Details.",
	details: "This workflow looks after **one webhook**, from its creation to its deletion. It holds no event and no secret: those are in Tocsin's store.\n\n" +
		"- **Query** `status`: what it does, did last, and does next.\n" +
		"- **Updates** `pause`, `resume`, `run-now` with `{}`; `configure` with `{\"settings\": {\"run_every\": \"30m\"}}`; `redeliver` with `{\"delivery\": \"dlv_…\"}`.\n" +
		"- **Signal** `submit-events` with `{\"events\": […]}`; `new-events` is the doorbell.\n\n" +
		"Terminated by mistake, it starts again with the next event, or by the sweeper: nothing is lost.",
}

var aboutReplay = about{
	memo: "One Tocsin replay. What it selects and how far it is is in Tocsin's store; query `status` or open Current Details.",
	details: "This workflow owes a webhook **events again**, step by step and at the replay's rate, until it is over. How far it is is in Tocsin's store.\n\n" +
		"- **Query** `status`: how far it is, and what it waits for.\n" +
		"- Pause, resume and cancel it by the API or `tocsin replay`; the **signal** `replay-changed` only says that somebody did.",
}

var aboutIncident = about{
	memo: "One Tocsin incident: the escalated events of one dedup key. How it stands is in Tocsin's store; query `status` or open Current Details.",
	details: "This workflow looks after the **incident of one dedup key**: it makes each step of its escalation when it is due, until the incident is resolved.\n\n" +
		"- **Query** `status`: how it stands, its steps, and what is waited for.\n" +
		"- **Signals** `acknowledge` and `resolve` with `{\"by\": \"dana\", \"note\": \"on it\"}`; `incident-changed` is the doorbell.",
}

var aboutSweep = about{
	memo:    "One round of Tocsin's sweeper. It rings webhooks that owe work and wakes replays and incidents that nobody looks after; it announces mutes that end.",
	details: "A process that is killed between its commit and its signal delays an alert, and never loses it: **this round finds what was left behind**. Nothing found is the normal case.",
}

var aboutHousekeeping = about{
	memo:    "One round of Tocsin's housekeeping. It removes what is older than the retention, and rotates the signing key.",
	details: "Removes **what is older than the retention** from Tocsin's store, and rotates the signing key when it is time. What a round did not come to is left to the next one.",
}

// startOptions are those of a workflow that is started where it is missing.
func (a about) startOptions(id, summary string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       id,
		TaskQueue:                TaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                     a.memos(),
		StaticSummary:            summary,
		StaticDetails:            a.details,
	}
}

func incidentStartOptions(key string) client.StartWorkflowOptions {
	return aboutIncident.startOptions(IncidentWorkflowID(key), "Tocsin incident")
}

func replayStartOptions(replayID string) client.StartWorkflowOptions {
	return aboutReplay.startOptions(ReplayWorkflowID(replayID), "Tocsin replay "+replayID)
}

func startOptions(webhookID string) client.StartWorkflowOptions {
	return aboutWebhook.startOptions(WebhookWorkflowID(webhookID), "Tocsin webhook "+webhookID)
}
