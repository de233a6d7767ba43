package ingest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func (s *scene) submit(e tocsin.Event) {
	s.t.Helper()
	if _, err := s.in.Submit(s.t.Context(), []tocsin.Event{e}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) balance(id string) tocsin.Balance {
	s.t.Helper()
	all, err := s.db.Balances(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(b tocsin.Balance) bool { return b.WebhookID == id })
	if at < 0 {
		s.t.Fatalf("no ledger of %s", id)
	}
	return all[at]
}

// mute mutes everything for the pager, what is said of incidents included.
func (s *scene) mute() {
	s.t.Helper()
	m := tocsin.Mute{ID: "mute_1", WebhookIDs: []string{s.pager.ID}, Events: []tocsin.Selector{{Type: "custom"}, {Type: "pipeline"}}, Until: time.Now().Add(time.Hour), Author: "x", Reason: "x"}
	if _, err := s.db.CreateMute(s.t.Context(), m); err != nil {
		s.t.Fatal(err)
	}
}

// A webhook that selects nothing is told of the end of what it was paged for, even when
// nobody in the installation escalates any more.
func TestEndIsToldAfterTheLastEscalateIsGone(t *testing.T) {
	for how, change := range map[string]func(*scene) error{
		"removed": func(s *scene) error {
			s.soc.Escalate = nil
			_, err := s.db.UpdateWebhook(t.Context(), s.soc)
			return err
		},
		"deleted": func(s *scene) error {
			_, err := s.db.SetState(t.Context(), s.soc.ID, tocsin.StateDeleted, "test")
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := newScene(t, nil)
			s.open("1")
			if err := change(s); err != nil {
				t.Fatal(err)
			}
			s.submit(severe("2", tocsin.SeverityHigh, tocsin.Resolved))
			if b := s.balance(s.pager.ID); b.Pending != 2 {
				t.Errorf("the pager's ledger is %+v, want the page and its end", b)
			}
		})
	}
}

// Verdicts say the same: it may have been reached before.
func TestVerdictsOfEndsWhereNobodyEscalates(t *testing.T) {
	s := newStore(hook("ops", events("threat")), hook("pager", events("none")))
	in, _ := start(t, s)
	for status, want := range map[tocsin.Status]bool{tocsin.Resolved: true, tocsin.Firing: false} {
		verdicts, err := in.Verdicts(t.Context(), severe("1", tocsin.SeverityHigh, status))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(verdicts[1].Note, "had been escalated to it"); got != want || verdicts[0].Note != "" {
			t.Errorf("%s: got %+v", status, verdicts)
		}
	}
}

// A mute suppresses no end of what was told: PagerDuty and Jira would stay open for good.
// What fires, or is acknowledged, it does.
func TestMutesHideNoEnd(t *testing.T) {
	for how, end := range map[string]func(*scene, tocsin.Incident){
		"by an event": func(s *scene, _ tocsin.Incident) { s.submit(severe("2", tocsin.SeverityHigh, tocsin.Resolved)) },
		"by a person": func(s *scene, i tocsin.Incident) { s.change(i.ID, tocsin.IncidentResolved, "dana", "") },
	} {
		t.Run(how, func(t *testing.T) {
			s := newScene(t, nil)
			i := s.open("1")
			s.mute()
			s.change(i.ID, tocsin.IncidentAcknowledged, "dana", "")
			if b := s.balance(s.pager.ID); b.Pending != 1 || b.Suppressed != 1 {
				t.Errorf("the pager's ledger is %+v, want the page, and the acknowledgement muted", b)
			}
			end(s, i)
			if b := s.balance(s.pager.ID); b.Pending != 2 || b.Suppressed != 1 {
				t.Errorf("the pager's ledger is %+v, want the page and its end", b)
			}
		})
	}
}
