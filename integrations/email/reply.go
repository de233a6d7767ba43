package email

import (
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// step is where in the dialogue we are.
type step string

// The steps.
const (
	stepGreeting step = "greeting"
	stepHello    step = "EHLO"
	stepTLS      step = "STARTTLS"
	stepAuth     step = "AUTH"
	stepNoop     step = "NOOP"
	stepFrom     step = "MAIL FROM"
	stepTo       step = "RCPT TO"
	stepData     step = "DATA"
	stepMessage  step = "the message"
)

// fault says whose fault a reply is that is no yes
// (https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1): 4yz are to be tried again. 5yz are
// the webhook's, since they are about the server, the login, the sender or the recipients,
// up to the message itself, whose content is refused.
func fault(at step, code int, text string) tocsin.Fault {
	switch {
	case code < 500 || code > 599:
		return tocsin.FaultRetry
	case at == stepMessage && !aboutSender(code, text):
		return tocsin.FaultEvent
	case at == stepTo && tooMany(code, text):
		return tocsin.FaultRetry
	}
	return tocsin.FaultWebhook
}

// enhanced is a code of https://www.rfc-editor.org/rfc/rfc3463 at the begin of a reply.
var enhanced = regexp.MustCompile(`^([245])\.(\d{1,3})\.(\d{1,3})\b`)

// senderCodes are enhanced codes after the message that are about who sends, and not about
// what: the registered ones of failed authentication of the domain
// (https://www.rfc-editor.org/rfc/rfc7372), and Exchange's
// (https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/non-delivery-reports-in-exchange-online)
var senderCodes = map[string]bool{
	"5.7.20": true, "5.7.21": true, "5.7.22": true, "5.7.23": true, "5.7.24": true, "5.7.25": true, "5.7.26": true, "5.7.27": true,
	"5.7.57": true, "5.7.60": true, "5.2.252": true,
}

// senderWords are Exchange's without a code of its own:
// https://learn.microsoft.com/previous-versions/office/developer/exchange-server-2007/aa494038(v=exchg.80)
var senderWords = []string{"send as this sender", "sendasdenied", "not authenticated", "authentication required"}

// aboutSender reports whether a message was refused for its sender: no other alert would
// fare better.
func aboutSender(code int, text string) bool {
	switch code {
	case 500, 501, 502, 503, 504, // we do not understand each other
		521, 556, // no mail at all: https://www.rfc-editor.org/rfc/rfc7504
		530, 534, 535, 538: // not logged in: https://www.rfc-editor.org/rfc/rfc4954#section-6
		return true
	}
	if senderCodes[enhanced.FindString(text)] {
		return true
	}
	for _, words := range senderWords {
		if strings.Contains(strings.ToLower(text), words) {
			return true
		}
	}
	return false
}

// tooMany reports whether a recipient was refused because there were enough already, which
// is to be taken for 452: https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.10
// A full mailbox has a 552 too, and says so (5.2.2).
func tooMany(code int, text string) bool {
	return code == 552 && !strings.HasPrefix(enhanced.FindString(text), "5.2.")
}

// crowded reports whether a recipient was put off because the mail has recipients enough:
// X.5.3 (https://www.rfc-editor.org/rfc/rfc3463#section-3.6), or those words.
func crowded(err error) bool {
	var r *textproto.Error
	if !errors.As(err, &r) {
		return false
	}
	return strings.HasSuffix(enhanced.FindString(r.Msg), ".5.3") || tooMany(r.Code, r.Msg) ||
		strings.Contains(strings.ToLower(r.Msg), "too many recipients")
}

// classify turns what went wrong at a step into an error: a reply goes by its code,
// anything else is a lost connection, after which a whole message may have been accepted.
func (d *dialogue) classify(at step, err error) error {
	var r *textproto.Error
	if !errors.As(err, &r) {
		during := string(at)
		if at == stepTLS {
			during = post.StepTLS
		}
		return fmt.Errorf("sending mail: %s: %w", at, post.Lost(err, during, at == stepMessage, d.redact))
	}
	text := printable(d.redact.Text(strings.Join(strings.Fields(r.Msg), " ")))
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	said := post.Errorf(post.ClassStatus, "sending mail: %s: answered %d %s", at, r.Code, text)
	// To a message there is yes and no; what is neither leaves it unknown.
	unknown := at == stepMessage && (r.Code < 400 || r.Code > 599)
	return &tocsin.SendError{Fault: fault(at, r.Code, r.Msg), Unsure: unknown, Err: &answered{said, at, r.Code}}
}
