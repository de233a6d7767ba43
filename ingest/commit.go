package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

const (
	// commitTimeout bounds one transaction. A caller's own deadline ends its waiting, not
	// the commit that it shares with others.
	commitTimeout = 10 * time.Second
	// staleTries is how often a group is matched again because the configuration
	// changed while it was on its way.
	staleTries = 10
)

// commitGroup is commit for a group as the queue gives it.
func (in *Ingest) commitGroup(group []*request) {
	in.metrics.begun(group, time.Now())
	in.commit(group)
}

// commit stores a group in one transaction and answers its requests.
func (in *Ingest) commit(group []*request) {
	failpoint.Hit("ingest.matched")
	began, span := time.Now(), in.tracer.committing(group)
	result, err := in.append(group)
	in.metrics.committed(began, err)
	committed(span, err)
	if err != nil && len(group) > 1 && !passing(err) {
		// One of them is the cause. Alone, it fails alone.
		for _, r := range group {
			in.commit([]*request{r})
		}
		return
	}
	if err == nil {
		failpoint.Hit("ingest.committed")
		in.afterCommit()
		in.ring.add(result.Owed)
		in.incidents.add(result.Incidents)
	}
	appended := result.Events
	for _, r := range group {
		if err != nil {
			r.done <- outcome{err: err}
			continue
		}
		var counts Result
		for _, a := range appended[:len(r.batch)] {
			counts.count(a)
		}
		appended = appended[len(r.batch):]
		in.metrics.count(counts)
		r.done <- outcome{result: counts}
	}
}

func (r *Result) count(a tocsin.Appended) {
	switch a {
	case tocsin.AppendedNew:
		r.Accepted++
	case tocsin.AppendedDuplicate:
		r.Duplicates++
	case tocsin.AppendedConflict:
		r.Conflicts++
	}
}

// append writes the group, matched against one revision of the configuration: the
// newest that any of it was matched against, or a newer one if the store says so.
func (in *Ingest) append(group []*request) (tocsin.AppendResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	stale := int64(anyRevision)
	for range staleTries {
		m, err := in.matcher(ctx, stale)
		if err != nil {
			return tocsin.AppendResult{}, err
		}
		var batch []tocsin.NewEvent
		for _, r := range group {
			if r.revision != m.revision {
				r.match(m)
			}
			if len(group) == 1 {
				batch = r.batch
				break
			}
			batch = append(batch, r.batch...)
		}
		result, err := in.store.Append(ctx, m.revision, batch)
		switch {
		case errors.Is(err, tocsin.ErrStaleRevision):
			stale = m.revision
			continue
		case err != nil:
			return tocsin.AppendResult{}, fmt.Errorf("storing events: %w", err)
		case len(result.Events) != len(batch):
			return tocsin.AppendResult{}, fmt.Errorf("storing events: the store answered for %d of %d", len(result.Events), len(batch))
		}
		return result, nil
	}
	return tocsin.AppendResult{}, tocsin.Errorf(tocsin.CodeUnavailable, "the configuration keeps changing; send the events again")
}

// passing reports whether an error is about the store and not about what it was given.
func passing(err error) bool {
	return tocsin.CodeOf(err) == tocsin.CodeUnavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
