package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

// log is an audit log in memory.
type log struct {
	tocsin.AuditLog
	steps    []string
	last     tocsin.AuditEntry
	noBegin  error
	noEnd    error
	endedCtx error
}

func (l *log) BeginAudit(_ context.Context, e tocsin.AuditEntry) (tocsin.AuditEntry, error) {
	if l.noBegin != nil {
		return e, l.noBegin
	}
	l.steps = append(l.steps, "begin "+e.Action+" "+e.Outcome)
	e.ID = "audit_1"
	return e, nil
}

func (l *log) EndAudit(ctx context.Context, e tocsin.AuditEntry) error {
	l.steps, l.last, l.endedCtx = append(l.steps, "end "+e.ID+" "+e.Outcome), e, ctx.Err()
	return l.noEnd
}

func change(t *testing.T, l *log, do func(*tocsin.AuditEntry) error) (logged string, err error) {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	err = audit.Change(ctx, slog.New(slog.NewTextHandler(&out, nil)), l, tocsin.AuditEntry{Actor: "key ops", Action: "webhook.pause"}, func(e *tocsin.AuditEntry) error {
		l.steps = append(l.steps, "change")
		cancel() // a caller who goes away in the middle
		return do(e)
	})
	return out.String(), err
}

func TestAnEntryIsBegunBeforeAndEndedAfter(t *testing.T) {
	l := &log{}
	_, err := change(t, l, func(e *tocsin.AuditEntry) error {
		e.Object, e.After = "wh_1", audit.Public(tocsin.Webhook{ID: "wh_1", Sealed: []byte("SEALED")})
		return nil
	})
	if err != nil || fmt.Sprint(l.steps) != "[begin webhook.pause  change end audit_1 done]" || l.endedCtx != nil {
		t.Errorf("got %v, %q, %v", err, l.steps, l.endedCtx)
	}
	if l.last.Object != "wh_1" || l.last.Actor != "key ops" || strings.Contains(string(l.last.After), "U0VBTEVE") {
		t.Errorf("got %+v", l.last)
	}
}

func TestWithoutAnEntryThereIsNoChange(t *testing.T) {
	l := &log{noBegin: errors.New("disk full")}
	_, err := change(t, l, func(*tocsin.AuditEntry) error { return nil })
	if tocsin.CodeOf(err) != tocsin.CodeUnavailable || len(l.steps) != 0 || !errors.Is(err, l.noBegin) {
		t.Errorf("got %v, %q", err, l.steps)
	}
}

func TestAnEntryThatCannotBeEndedIsLogged(t *testing.T) {
	l := &log{noEnd: errors.New("store away")}
	logged, err := change(t, l, func(*tocsin.AuditEntry) error { return nil })
	if err != nil || !strings.Contains(logged, "audit_1") || !strings.Contains(logged, "store away") {
		t.Errorf("got %v, logged %s", err, logged)
	}
}

func TestAPanicIsAFailure(t *testing.T) {
	l := &log{}
	func() {
		defer func() { _ = recover() }()
		_, _ = change(t, l, func(*tocsin.AuditEntry) error { panic("a fault") })
	}()
	if l.last.Outcome != tocsin.AuditFailed || strings.Contains(l.last.Detail, "a fault") {
		t.Errorf("got %+v", l.last)
	}
}

func TestOutcomes(t *testing.T) {
	invalid := &tocsin.Error{Code: tocsin.CodeInvalid, Message: "the webhook is not valid", Fields: []tocsin.FieldError{
		{Field: "config.url", Message: `"https://user:hunter2@example.com" has a password`}, {Field: "name", Message: "is required"},
	}}
	for _, tt := range []struct {
		err             error
		outcome, detail string
	}{
		{nil, tocsin.AuditDone, ""},
		{fmt.Errorf("checking: %w", invalid), tocsin.AuditRefused, "invalid: the webhook is not valid (config.url, name)"},
		{tocsin.ErrNotFound, tocsin.AuditRefused, "not_found: not found"},
		{tocsin.Errorf(tocsin.CodeForbidden, "this needs admin"), tocsin.AuditRefused, "forbidden: this needs admin"},
		{tocsin.Errorf(tocsin.CodeUnavailable, "dialing postgres://u:hunter2@db"), tocsin.AuditFailed, "the store is unavailable"},
		{errors.New("hunter2"), tocsin.AuditFailed, "an internal error; the log says more"},
		{tocsin.Errorf(tocsin.CodeConflict, "%s", strings.Repeat("é", 1000)), tocsin.AuditRefused, "conflict: " + strings.Repeat("é", 245) + "…"},
	} {
		outcome, detail := audit.Outcome(tt.err)
		if outcome != tt.outcome || detail != tt.detail {
			t.Errorf("%v: got %s, %q; want %s, %q", tt.err, outcome, detail, tt.outcome, tt.detail)
		}
	}
}
