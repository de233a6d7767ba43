package teams

import (
	"strings"

	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// All text of events stands in TextRuns of RichTextBlocks, where "Markdown is not
// supported": https://adaptivecards.io/explorer/TextRun.html. In a TextBlock or a FactSet it
// would be markup, which Teams' clients read in different ways, and which a backslash does
// not reliably take out of force: https://github.com/MicrosoftDocs/msteams-docs/issues/9669
//
// Two things work in a TextRun all the same, or could: {{DATE(…)}} and {{TIME(…)}}, with
// which an attacker would show another time than the event has
// (https://learn.microsoft.com/en-us/adaptive-cards/authoring-cards/text-features#datetime-formatting-and-localization),
// and <at>…</at>, a mention where a card has msteams.entities, which ours never has
// (https://learn.microsoft.com/en-us/microsoftteams/platform/task-modules-and-cards/cards/cards-format#mention-support-within-adaptive-cards).
// A word joiner breaks them.
var inert = strings.NewReplacer("{{DATE(", "{\u2060{DATE(", "{{TIME(", "{\u2060{TIME(", "<at", "<\u2060at", "<At", "<\u2060At", "<aT", "<\u2060aT", "<AT", "<\u2060AT")

// tidy is attacker text for a TextRun.
func tidy(text string, oneLine bool) string { return inert.Replace(alert.Clean(text, oneLine)) }

// line is tidy text on one line, shortened to limit UTF-16 units.
func line(text string, limit int) (string, bool) {
	return alert.Cut(tidy(text, true), limit, alert.UTF16)
}
