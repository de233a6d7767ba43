package api

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

const (
	// maxNoted is how many refusals of one kind are entries of their own in a minute:
	// whoever has no key must not be able to fill the store.
	maxNoted = 20
	// notedWindow is that minute.
	notedWindow = time.Minute
	// noteTimeout bounds how long a refusal waits for its entry.
	noteTimeout = 5 * time.Second
	// actionRefuse is the action of a request that was not let in.
	actionRefuse = "api.refuse"
)

// refusals writes down who was not let in. Those beyond maxNoted are one entry with
// their number, which is there from the first of them on.
type refusals struct {
	to  tocsin.AuditLog
	log *slog.Logger
	// Callers with a key, and users, are counted apart: nobody without one can keep what they try
	// out of the log.
	keyless, keyed noted
}

// noted counts one kind of refusals in one window.
type noted struct {
	mu     sync.Mutex
	began  time.Time
	count  int
	beyond int
}

func newRefusals(to tocsin.AuditLog, log *slog.Logger) *refusals { return &refusals{to: to, log: log} }

// note writes down a refusal by authorize. An audit log that is away changes no answer:
// a refusal is one anyway.
func (f *refusals) note(ctx context.Context, by caller, route string, err error) {
	if tocsin.CodeOf(err) == tocsin.CodeUnavailable {
		return // nobody was refused: nobody could be asked
	}
	kind := &f.keyless
	if by.key.ID != "" || by.user != "" {
		kind = &f.keyed
	}
	itself, firstBeyond := kind.add(time.Now())
	switch {
	case itself:
		outcome, detail := audit.Outcome(err)
		if _, ok := err.(tooManyTries); ok {
			outcome, detail = tocsin.AuditRefused, err.Error()
		}
		f.write(ctx, tocsin.AuditEntry{
			Actor: by.actor, Address: by.address, Action: actionRefuse, Name: route, Outcome: outcome, Detail: detail,
		})
	case firstBeyond:
		f.sumUp(ctx, kind)
	}
}

// add counts a refusal. It is an entry itself, or the first beyond those in its window,
// or one of the others.
func (n *noted) add(now time.Time) (itself, firstBeyond bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.beyond == 0 && (now.Sub(n.began) >= notedWindow || now.Before(n.began)) {
		n.began, n.count = now, 0
	}
	n.count++
	if n.count <= maxNoted {
		return true, false
	}
	n.beyond++
	return false, n.beyond == 1
}

// close ends a window and says how many refusals it had beyond those with entries.
func (n *noted) close() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	beyond := n.beyond
	n.began, n.count, n.beyond = time.Time{}, 0, 0
	return beyond
}

// sumUp begins the entry for all refusals until the window ends, and completes it then.
// Were this process to die before, the entry would still say that there were some.
func (f *refusals) sumUp(ctx context.Context, n *noted) {
	n.mu.Lock()
	rest := notedWindow - time.Since(n.began)
	n.mu.Unlock()
	e := f.write(ctx, tocsin.AuditEntry{
		Actor: "tocsin", Action: actionRefuse, Detail: "further refusals, counted until the minute is over",
	})
	time.AfterFunc(rest, func() {
		e.Outcome = tocsin.AuditRefused
		e.Detail = fmt.Sprintf("%d further refusals within a minute, not listed one by one", n.close())
		f.end(context.Background(), e)
	})
}

func (f *refusals) write(ctx context.Context, e tocsin.AuditEntry) tocsin.AuditEntry {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	begun, err := f.to.BeginAudit(ctx, e)
	if err != nil {
		f.log.Warn("writing a refusal to the audit log", "actor", e.Actor, "address", e.Address, "detail", e.Detail, "error", err)
		return e
	}
	return begun
}

func (f *refusals) end(ctx context.Context, e tocsin.AuditEntry) {
	if e.ID == "" {
		return // it could not be begun
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	if err := f.to.EndAudit(ctx, e); err != nil {
		f.log.Warn("completing a refusal in the audit log", "id", e.ID, "detail", e.Detail, "error", err)
	}
}
