package workflows

import (
	"net/url"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
)

// TaskQueue is where workers take workflows and activities from.
const TaskQueue = "tocsin"

// Names of signals, updates and the query, for any Temporal client.
const (
	SignalNewEvents    = "new-events"    // the doorbell; its content is advisory
	SignalSubmitEvents = "submit-events" // events inline
	UpdateConfigure    = "configure"
	UpdatePause        = "pause"
	UpdateResume       = "resume"
	UpdateRunNow       = "run-now"
	UpdateRedeliver    = "redeliver"
	QueryStatus        = "status"
	// SignalReplayChanged wakes a replay's workflow; it has no content.
	SignalReplayChanged = "replay-changed"
	// SignalIncidentChanged wakes an incident's workflow; it has no content.
	SignalIncidentChanged = "incident-changed"
	SignalAcknowledge     = "acknowledge" // an incident; IncidentSignal
	SignalResolve         = "resolve"     // an incident; IncidentSignal
)

// Workflow types, as the Web UI lists them.
const (
	TypeWebhook  = "Webhook"
	TypeSweep    = "Sweep"
	TypeReplay   = "Replay"
	TypeIncident = "Incident"

	TypeHousekeeping = "Housekeeping"
)

// SweepID and HousekeepingID are the ids of the Schedules.
const (
	SweepID        = "tocsin-sweeper"
	HousekeepingID = "tocsin-housekeeping"
)

const (
	webhookPrefix  = "webhook/"
	replayPrefix   = "replay/"
	incidentPrefix = "incident/"
)

// IncidentWorkflowID is the id of the workflow of the incidents with a key
// ([tocsin.IncidentKey]).
func IncidentWorkflowID(key string) string { return incidentPrefix + key }

// ReplayWorkflowID is the id of a replay's workflow.
func ReplayWorkflowID(replayID string) string { return replayPrefix + replayID }

// WebhookWorkflowID is the id of a webhook's workflow.
func WebhookWorkflowID(webhookID string) string { return webhookPrefix + webhookID }

// WebhookID is the reverse of WebhookWorkflowID; false for another workflow's id.
func WebhookID(workflowID string) (string, bool) { return strings.CutPrefix(workflowID, webhookPrefix) }

// WebUIPath is the path of a workflow's page below the address of Temporal's Web UI; its
// id is escaped, since ours hold a slash. Without an id it is that of the list.
func WebUIPath(namespace, workflowID string) string {
	return strings.TrimRight("/namespaces/"+url.PathEscape(namespace)+"/workflows/"+url.PathEscape(workflowID), "/")
}

// Search attributes, set when the state of a webhook, replay or incident changes; they must be registered before
// a worker starts (see EnsureSearchAttributes).
var (
	AttrWebhook      = temporal.NewSearchAttributeKeyKeyword("TocsinWebhook")
	AttrChannel      = temporal.NewSearchAttributeKeyKeyword("TocsinChannel")
	AttrStatus       = temporal.NewSearchAttributeKeyKeyword("TocsinStatus")
	AttrFailures     = temporal.NewSearchAttributeKeyInt64("TocsinFailures")
	AttrPending      = temporal.NewSearchAttributeKeyInt64("TocsinPending")
	AttrLastDelivery = temporal.NewSearchAttributeKeyTime("TocsinLastDelivery")
)

// SearchAttributes lists them with their types.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		AttrWebhook.GetName():      enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		AttrChannel.GetName():      enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		AttrStatus.GetName():       enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		AttrFailures.GetName():     enumspb.INDEXED_VALUE_TYPE_INT,
		AttrPending.GetName():      enumspb.INDEXED_VALUE_TYPE_INT,
		AttrLastDelivery.GetName(): enumspb.INDEXED_VALUE_TYPE_DATETIME,
	}
}
