package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var incidentRaceCases = []testCase{
	{"a step and the end of its incident at once", stepAndEnd},
	{"events, people and steps at once", func(k *kit) { IncidentStorm(k.t, k.s) }},
	{"Prune beside incidents that come and go", pruneAndIncidents},
}

// stepAndEnd has a step made, by two, while a resolved event comes. Either it is done, and
// the webhook hears of the end, too; or it is skipped, and the webhook hears of nothing.
func stepAndEnd(k *kit) {
	const rounds = 40
	h := k.hooks("a", "lead")
	k.now() // makes the clock's webhook
	revision := k.configuration().Revision
	done := 0
	for n := range rounds {
		key := fmt.Sprint("incident ", n)
		k.append(firing(2*n, key, h[0].ID, after(soon, h[1].ID)))
		i := k.incident(key)
		k.laterThan(i.Steps[0].DueAt)
		escalate := func() {
			if _, err := k.s.Escalate(k.ctx, i.ID, i.Steps[0].ID, i.Seq, tocsin.Obligation{WebhookID: h[1].ID}, ""); err != nil {
				k.t.Errorf("escalating: %v", err)
			}
		}
		end := func() {
			if _, err := k.s.Append(k.ctx, revision, []tocsin.NewEvent{resolving(2*n+1, key, h[1].ID)}); err != nil {
				k.t.Errorf("appending: %v", err)
			}
		}
		var wg sync.WaitGroup
		for _, f := range [][]func(){{escalate, escalate, end}, {end, escalate, escalate}}[n%2] { // the last is likely to be first
			wg.Go(f)
		}
		wg.Wait()
		step, heard := k.incident(key).Steps[0].State, k.verdicts(h[1], 2*n, 2)
		switch {
		case step == tocsin.StepDone && len(heard) == 2:
			done++
		case step == tocsin.StepSkipped && len(heard) == 0:
		default:
			k.t.Fatalf("round %d: the step is %s, and lead is owed %v", n, step, heard)
		}
	}
	k.same("accepted for lead", CheckLedger(k.t, k.s)[h[1].ID].Accepted, int64(2*done))
}

// pruneAndIncidents opens and ends incidents of few keys, while what is over is removed.
func pruneAndIncidents(k *kit) {
	const callers, rounds, keys = 3, 25, 3
	h := k.hooks("a", "pager")
	k.laterThan(k.now())
	revision := k.configuration().Revision
	done := make(chan struct{})
	var producers, pruner sync.WaitGroup
	pruner.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, _, err := k.s.Prune(k.ctx, everythingOld, 3); err != nil {
				k.t.Errorf("pruning: %v", err)
			}
		}
	})
	for c := range callers {
		producers.Go(func() {
			r := rand.New(rand.NewPCG(8, uint64(c)))
			for n := 1000 * c; n < 1000*c+3*rounds; n += 3 {
				var batch []tocsin.NewEvent
				for i, key := range r.Perm(keys) {
					e := resolving(n+i, fmt.Sprint("incident ", key), h[1].ID)
					if r.IntN(2) == 0 {
						e = firing(n+i, fmt.Sprint("incident ", key), h[0].ID, after(0, h[1].ID), after(soon, h[1].ID))
					}
					batch = append(batch, e)
				}
				if _, err := k.s.Append(k.ctx, revision, batch); err != nil {
					k.t.Errorf("appending: %v", err)
				}
			}
		})
	}
	producers.Wait()
	close(done)
	pruner.Wait()
	for key := range keys {
		k.append(resolving(10_000+key, fmt.Sprint("incident ", key), h[1].ID))
	}
	k.prune(everythingOld, 100)
	all, _, err := k.s.ListIncidents(k.ctx, tocsin.IncidentQuery{Page: tocsin.Page{Limit: 10}})
	k.ok(err)
	k.same("left", len(all), 0)
	if got := CheckLedger(k.t, k.s)[h[1].ID]; got.Pending == 0 {
		k.t.Fatalf("pager is owed nothing: %+v", got)
	}
}

// storm is what happens at once, and what was submitted.
type storm struct {
	*kit
	revision              int64
	a, b, pager, lead     tocsin.Webhook
	mu                    sync.Mutex
	fired, ended, changed []int // numbers of events
}

const stormKeys = 5

// IncidentStorm lets events fire and end, people change and steps be made, all at once and
// through all of the stores, which share their content. Each keeps its order: no event is
// lost to its incident, and whoever was reached hears of the end once.
func IncidentStorm(t *testing.T, stores ...tocsin.Store) {
	const callers, rounds = 4, 20
	k := newKit(t, stores[0])
	h := k.hooks("a", "b", "pager", "lead")
	m := &storm{kit: k, a: h[0], b: h[1], pager: h[2], lead: h[3]}
	m.revision = k.configuration().Revision
	stop := make(chan struct{})
	var producers, others sync.WaitGroup
	for c := range callers * len(stores) {
		s := stores[c%len(stores)]
		producers.Go(func() {
			r := rand.New(rand.NewPCG(5, uint64(c)))
			for round := range rounds {
				m.fail("appending", m.submit(s, r, 1000*(c+1)+20*round))
				m.fail("attending", m.attend(s, r, 100_000*(c+1)+round)) // so that some of it happens for sure
			}
		})
	}
	for c, s := range append(stores, stores...) {
		others.Go(func() {
			r := rand.New(rand.NewPCG(6, uint64(c)))
			for n := 1_000_000 * (c + 1); ; n++ {
				select {
				case <-stop:
					return
				default:
					m.fail("attending", m.attend(s, r, n))
				}
			}
		})
	}
	producers.Wait()
	close(stop)
	others.Wait()
	m.check()
}

func (m *storm) fail(doing string, err error) {
	if err != nil {
		m.t.Errorf("%s: %v", doing, err)
	}
}

// submit appends a batch of events of all kinds.
func (m *storm) submit(s tocsin.Store, r *rand.Rand, from int) error {
	var batch []tocsin.NewEvent
	var fired, ended []int
	for n := from; n < from+1+r.IntN(8); n++ {
		key := fmt.Sprint("incident ", r.IntN(stormKeys))
		if r.IntN(3) == 0 {
			batch, ended = append(batch, resolving(n, key, m.lead.ID, m.pager.ID)), append(ended, n)
			continue
		}
		e := firing(n, key, m.a.ID, after(0, m.pager.ID), unless(soon, m.lead.ID), after(soon, m.lead.ID))
		if r.IntN(3) == 0 {
			e.Owed = append(e.Owed, firing(n, key, m.b.ID, after(2*soon, m.lead.ID)).Owed...)
			e.Owed[1].RepeatAfter = time.Microsecond
		}
		batch, fired = append(batch, e), append(fired, n)
	}
	_, err := s.Append(m.ctx, m.revision, batch)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fired, m.ended = append(m.fired, fired...), append(m.ended, ended...)
	return err
}

// attend does what an incident's workflow and people do.
func (m *storm) attend(s tocsin.Store, r *rand.Rand, n int) error {
	i, _, err := s.Attend(m.ctx, tocsin.IncidentKey(fmt.Sprint("incident ", r.IntN(stormKeys))))
	if err != nil {
		if tocsin.CodeOf(err) == tocsin.CodeNotFound {
			return nil
		}
		return err
	}
	if r.IntN(5) == 0 {
		to := []tocsin.IncidentState{tocsin.IncidentAcknowledged, tocsin.IncidentResolved}[r.IntN(2)]
		_, err := s.Append(m.ctx, m.revision, []tocsin.NewEvent{changing(n, i, to, m.pager.ID, m.lead.ID)})
		m.mu.Lock()
		defer m.mu.Unlock()
		m.changed = append(m.changed, n)
		return err
	}
	for _, step := range i.Steps {
		if step.State != tocsin.StepWaiting {
			continue
		}
		if _, err := s.Escalate(m.ctx, i.ID, step.ID, i.Seq, tocsin.Obligation{WebhookID: step.To}, ""); err != nil {
			return err
		}
	}
	return nil
}

// check compares the incidents with what was submitted.
func (m *storm) check() {
	CheckLedger(m.t, m.s)
	var events, byEvents, byPeople, reached int
	for key := range stormKeys {
		unresolved := 0
		for _, i := range m.incidents(fmt.Sprint("incident ", key)) {
			events += i.Events
			lead := false
			for _, s := range i.Steps {
				lead = lead || s.State == tocsin.StepDone && s.To == m.lead.ID
				if s.State == tocsin.StepWaiting && i.State == tocsin.IncidentResolved {
					m.t.Errorf("a step waits although its incident is resolved: %+v", i)
				}
			}
			if i.AcknowledgedAt != nil {
				byPeople++
			}
			switch {
			case i.State != tocsin.IncidentResolved:
				unresolved++
			case i.ResolvedBy != "":
				byPeople++
			default:
				byEvents++
				if lead {
					reached++
				}
			}
		}
		if unresolved > 1 {
			m.t.Errorf("incident %d has %d that are not resolved", key, unresolved)
		}
	}
	m.same("events that fired", events, len(m.fired))
	m.same("what pager hears of them", m.heard(m.pager, m.fired), len(m.fired))
	m.same("ends that pager hears of", m.heard(m.pager, m.ended), byEvents)
	m.same("ends that lead hears of", m.heard(m.lead, m.ended), reached)
	m.same("changes that pager hears of", m.heard(m.pager, m.changed), byPeople)
	if byEvents == 0 || byPeople == 0 || reached == 0 {
		m.t.Errorf("nothing happened: %d ends by events, %d changes by people, %d times lead was reached", byEvents, byPeople, reached)
	}
}

// heard counts the events of these numbers that are owed to a webhook.
func (m *storm) heard(w tocsin.Webhook, numbers []int) (events int) {
	for _, n := range numbers {
		if len(m.verdicts(w, n, 1)) > 0 {
			events++
		}
	}
	return events
}
