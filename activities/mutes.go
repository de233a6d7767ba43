package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// muteNotice is how long before its end a mute is announced.
	muteNotice = time.Hour
	// mutesAtOnce bounds the mutes that one call announces.
	mutesAtOnce = 100
)

// announceMutes says of mutes that end soon that they do: to the webhooks they are for, and to
// those that name the type, and counts them. A call that is repeated announces the same events.
func (a *Activities) announceMutes(ctx context.Context) (announced int, err error) {
	mutes, err := a.Store.MutesEnding(ctx, muteNotice, mutesAtOnce)
	if err != nil || len(mutes) == 0 {
		return 0, wrap(err, "looking for mutes that end")
	}
	_, webhooks, err := a.Store.ListWebhooks(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the names of webhooks: %w", err)
	}
	names := map[string]string{}
	for _, w := range webhooks {
		names[w.ID] = w.Name
	}
	var errs []error
	for _, m := range mutes {
		if err := a.announceMute(ctx, m, names); err != nil {
			errs = append(errs, fmt.Errorf("announcing the end of mute %s: %w", m.ID, err))
			continue
		}
		announced++
	}
	return announced, errors.Join(errs...)
}

func (a *Activities) announceMute(ctx context.Context, m tocsin.Mute, names map[string]string) error {
	e, also, err := muteEnding(m, names)
	if err != nil {
		return err
	}
	if _, err := a.Submit.Announce(ctx, e, also...); err != nil {
		return err
	}
	return a.Store.MuteNoticed(ctx, m.ID)
}

// muteData is the data of alert type mute.ending.
type muteData struct {
	Mute     string    `json:"mute"`
	Until    time.Time `json:"until"`
	Author   string    `json:"author,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Webhooks []string  `json:"webhooks"`
}

// muteEnding makes the event, and lists the webhooks of the mute that are still there.
func muteEnding(m tocsin.Mute, names map[string]string) (e tocsin.Event, also []string, err error) {
	d := muteData{Mute: m.ID, Until: m.Until.UTC(), Author: m.Author, Reason: m.Reason, Webhooks: []string{}}
	for _, id := range m.WebhookIDs {
		if name, there := names[id]; there {
			d.Webhooks, also = append(d.Webhooks, name), append(also, id)
		}
	}
	of := "all webhooks"
	if n := len(d.Webhooks); n > 0 {
		of = strings.Join(d.Webhooks[:min(n, 3)], ", ")
		if n > 3 {
			of += fmt.Sprintf(" and %d more", n-3)
		}
	}
	e = tocsin.Event{
		ID: "mute.ending/" + m.ID, Source: announceSource, Type: "mute.ending", Subject: "mute/" + m.ID, DedupKey: "mute/" + m.ID,
		Severity: tocsin.SeverityInfo, Status: tocsin.Firing,
		Title:   fmt.Sprintf("A mute of %s ends at %s", of, d.Until.Format("2006-01-02 15:04 UTC")),
		Summary: fmt.Sprintf("It was made by %s: %s", m.Author, m.Reason),
	}
	e.Data, err = json.Marshal(d)
	return e, also, err
}
