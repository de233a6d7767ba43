package ingest

import (
	"sync"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Matches reports whether a webhook's selection, min_severity and filter let an event
// through, and the batch key it is then owed under. Neither its state nor when it was
// created is asked, nor mutes and repeat_after: it is for replays. A filter that cannot
// be evaluated says no, as when events arrive; one that does not compile is an error
// with CodeInvalid.
func (in *Ingest) Matches(w tocsin.Webhook, e *tocsin.Event) (batchKey string, ok bool, err error) {
	full := *e
	in.complete(&full, e.ReceivedAt)
	s := newSubject(&full, in.catalog.Category(e.Type))
	if s.category == catalog.CategoryPipeline && about(e) == w.ID {
		return "", false, nil
	}
	if full.Severity < w.MinSeverity || !selectionOf(&w).takes(s) {
		return "", false, nil
	}
	if w.Filter != "" {
		f, err := in.lookups.get(w.Filter)
		if err != nil {
			return "", false, err
		}
		if ok, err := f.match(s); !ok || err != nil {
			return "", false, nil
		}
	}
	return in.batchKey(w.Channel, &full), true, nil
}

// maxLookups bounds the filters that are kept for questions about stored events. They
// are few at a time: one for each replay, and each webhook that somebody asks about.
const maxLookups = 1000

// lookups keeps filters that were compiled to ask about stored events. It is safe for
// concurrent use.
type lookups struct {
	mu       sync.Mutex
	compiled map[string]*Filter
}

func (l *lookups) get(expr string) (*Filter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.compiled[expr]; f != nil {
		return f, nil
	}
	f, err := CompileFilter(expr)
	if err != nil {
		return nil, err
	}
	if l.compiled == nil || len(l.compiled) >= maxLookups {
		l.compiled = map[string]*Filter{}
	}
	l.compiled[expr] = f
	return f, nil
}
