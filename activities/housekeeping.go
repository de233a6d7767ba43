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
	// pruneAtOnce is how many rows of each kind one transaction removes.
	pruneAtOnce = 1000
	// pruneFor bounds one call; what is left waits for the next one.
	pruneFor = 4 * time.Minute
	// muteNotice is how long before its end a mute is announced.
	muteNotice = time.Hour
	// mutesAtOnce bounds the mutes that one call announces.
	mutesAtOnce = 100
	// replaysAtOnce is a page of the list of replays.
	replaysAtOnce = 1000
)

// PruneResult counts what was removed.
type PruneResult struct {
	tocsin.Pruned
	// More says that time was up before everything old was gone.
	More bool `json:"more,omitempty"`
}

// Prune removes what is older than the retention, in short transactions.
func (a *Activities) Prune(ctx context.Context) (PruneResult, error) {
	out := PruneResult{More: true}
	defer heartbeat(ctx, func() any { return "pruning" })()
	for until := time.Now().Add(pruneFor); out.More && time.Now().Before(until); {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		n, more, err := a.Store.Prune(ctx, a.Retention, pruneAtOnce)
		if err != nil {
			return out, fmt.Errorf("pruning: %w", err)
		}
		out.Pruned, out.More = out.Pruned.Add(n), more
	}
	return out, nil
}

// MutesResult counts the mutes whose end was announced.
type MutesResult struct {
	Announced int `json:"announced"`
}

// AnnounceMutes says of mutes that end soon that they do: to the webhooks they are for, and to
// those that name the type. A call that is repeated announces the same events.
func (a *Activities) AnnounceMutes(ctx context.Context) (out MutesResult, err error) {
	mutes, err := a.Store.MutesEnding(ctx, muteNotice, mutesAtOnce)
	if err != nil || len(mutes) == 0 {
		return out, wrap(err, "looking for mutes that end")
	}
	_, webhooks, err := a.Store.ListWebhooks(ctx)
	if err != nil {
		return out, fmt.Errorf("reading the names of webhooks: %w", err)
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
		out.Announced++
	}
	return out, errors.Join(errs...)
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

// RotateKeys makes a new signing key where it is time for one.
func (a *Activities) RotateKeys(ctx context.Context) error {
	if a.RotateSigningKey == nil {
		return nil
	}
	return wrap(a.RotateSigningKey(ctx), "rotating the signing key")
}

// ReplaysResult counts the replays that are running.
type ReplaysResult struct {
	Running int `json:"running"`
}

// StartReplays starts, or wakes, the workflow of every replay that is running: a process
// was killed between its commit and its signal.
func (a *Activities) StartReplays(ctx context.Context) (out ReplaysResult, err error) {
	var errs []error
	for page := (tocsin.Page{Limit: replaysAtOnce}); ; {
		replays, next, err := a.Store.ListReplays(ctx, page)
		if err != nil {
			return out, errors.Join(append(errs, fmt.Errorf("listing replays: %w", err))...)
		}
		for _, rep := range replays {
			if rep.State != tocsin.ReplayRunning {
				continue
			}
			if err := a.Conductor.Replay(ctx, rep.ID); err != nil {
				errs = append(errs, err)
				continue
			}
			out.Running++
		}
		if page.Cursor = next; next == "" {
			return out, errors.Join(errs...)
		}
	}
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
