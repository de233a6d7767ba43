// Package audit makes changes that are written down: the entry is stored before the
// change and completed after it. The API, the command line, the updates that Temporal's
// own tools send, and nobody else, change things by hand; all of them go through Change.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// endTimeout bounds how long an answer waits for its entry to be completed.
const endTimeout = 5 * time.Second

// maxDetail bounds what an entry says of an error, in bytes.
const maxDetail = 500

// Change stores e, makes the change, and completes e with what came of it. change fills in
// Object, Name, Before, After and Detail as it learns them; it returns why the change was
// not made. When the entry cannot be stored, the change is not made, and the error has
// CodeUnavailable. An entry that cannot be completed is logged: the change was made, and
// its caller is told so. log may be nil.
func Change(ctx context.Context, log *slog.Logger, to tocsin.AuditLog, e tocsin.AuditEntry, change func(*tocsin.AuditEntry) error) error {
	begun, err := to.BeginAudit(ctx, e)
	if err != nil {
		return tocsin.Errorf(tocsin.CodeUnavailable, "writing the audit log, without which nothing is changed: %w", err)
	}
	end := func(outcome, detail string) {
		begun.Outcome = outcome
		if detail != "" {
			begun.Detail = detail
		}
		// A caller who goes away does not make the change unmade.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if err := to.EndAudit(ctx, begun); err != nil {
			orDefault(log).Error("completing an audit entry", "id", begun.ID, "action", begun.Action, "outcome", outcome, "error", err)
		}
	}
	panicked := true
	defer func() {
		if panicked {
			end(tocsin.AuditFailed, "a panic; the log says more")
		}
	}()
	err = change(&begun)
	panicked = false
	end(Outcome(err))
	return err
}

func orDefault(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.Default()
	}
	return log
}

// Outcome says how an entry ends, and why. What is wrong with fields is left out but for
// their names, because it repeats their values.
func Outcome(err error) (outcome, detail string) {
	if err == nil {
		return tocsin.AuditDone, ""
	}
	var e *tocsin.Error
	code := tocsin.CodeOf(err)
	switch {
	case code == tocsin.CodeUnavailable:
		return tocsin.AuditFailed, "the store is unavailable"
	case code == tocsin.CodeInternal || !errors.As(err, &e):
		return tocsin.AuditFailed, "an internal error; the log says more"
	}
	detail = string(code)
	if e.Message != "" && e.Message != detail {
		detail += ": " + e.Message
	}
	fields := make([]string, 0, len(e.Fields))
	for _, f := range e.Fields {
		if f.Field != "" {
			fields = append(fields, f.Field)
		}
	}
	if len(fields) > 0 {
		detail += " (" + strings.Join(fields, ", ") + ")"
	}
	return tocsin.AuditRefused, Cut(detail)
}

// Cut shortens a text to what an entry holds.
func Cut(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	return strings.ToValidUTF8(text[:maxDetail], "") + "…"
}

// Public is the form of a value in an entry. The value's own JSON form must hold no
// secret, as those of package tocsin do.
func Public(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil { // not for the types of package tocsin
		raw, _ = json.Marshal(fmt.Sprintf("not shown: %v", err))
	}
	return raw
}
