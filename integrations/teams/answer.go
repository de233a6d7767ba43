package teams

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// failedInBody is a failure told in the body of a 200, as the connectors did and some
// gateways still do: "Webhook message delivery failed with error: Microsoft Teams endpoint
// returned HTTP error 413 with ContextId …".
// https://github.com/MicrosoftDocs/msteams-docs/issues/1810 (413)
// https://github.com/MicrosoftDocs/msteams-docs/issues/7425 (429)
// https://github.com/MicrosoftDocs/msteams-docs/issues/4145 (400)
var (
	failedInBody = regexp.MustCompile(`(?i)message delivery failed|Microsoft Teams endpoint returned HTTP error`)
	statusInBody = regexp.MustCompile(`(?i)HTTP error ([1-9][0-9]{2})\b`)
)

// misconfigured are the error codes with which a trigger answers 400 although the card is
// not at fault: the workflow is off or deleted, the URL lacks its query, the workflow wants
// bodies of another shape. The trigger does not look at the card.
// https://learn.microsoft.com/en-us/troubleshoot/power-platform/power-automate/flow-run-issues/triggers-troubleshoot
// https://github.com/caronc/apprise/issues/1161 (MissingApiVersionParameter)
var misconfigured = map[string]string{
	"WorkflowTriggerIsNotEnabled": "the workflow is turned off or deleted: turn it on, or give the URL of its successor",
	"MissingApiVersionParameter":  "the URL is not whole: copy it again, with everything after the ?",
	"TriggerInputSchemaMismatch":  "the workflow's trigger wants a body of another shape: use the trigger for Teams webhook requests, without a schema",
}

// classify turns an answer into an error; nil means accepted. shown is the body without
// secrets. A lost body is no reason to doubt a 202.
func classify(status int, header http.Header, body []byte, shown string) error {
	err := post.Classify(status, header, shown)
	if err == nil {
		return hidden(status, header, body, shown)
	}
	if status == http.StatusBadRequest {
		var answer struct {
			Error struct{ Code string }
		}
		if json.Unmarshal(body, &answer) == nil && misconfigured[answer.Error.Code] != "" {
			return tocsin.Refused(fmt.Errorf("%s: %w", misconfigured[answer.Error.Code], cause(err)))
		}
	}
	return err
}

// hidden finds a failure in the body of a 2xx, and sorts it by the status it names.
func hidden(status int, header http.Header, body []byte, shown string) error {
	if !failedInBody.Match(body) {
		return nil
	}
	said := 0
	if m := statusInBody.FindSubmatch(body); m != nil {
		said, _ = strconv.Atoi(string(m[1])) // three digits
	}
	if err := post.Classify(said, header, shown); said >= 400 && err != nil {
		return fmt.Errorf("answered %d, whose body says otherwise: %w", status, err)
	}
	return tocsin.Unsure(post.Errorf(post.ClassBody, "answered %d, whose body says otherwise: %.200q", status, shown))
}

// cause is what a classification is about.
func cause(err error) error { return tocsin.Classify(err).Err }
