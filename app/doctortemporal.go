package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/workflows"
)

const (
	// shortRetention is what a namespace should keep at least, for those who look at
	// replays and incidents that are over.
	shortRetention = 24 * time.Hour
	// alive is how lately a worker must have asked for tasks: it does so every minute.
	alive = 2 * time.Minute
	// lateRounds is how many rounds a Schedule may miss, and lateness what comes on top.
	lateRounds = 3
	lateness   = time.Minute
)

// checkTemporal looks at the server that the TEMPORAL_* variables name.
func (d *doctor) checkTemporal(ctx context.Context) {
	options, err := temporalOptions(slog.New(slog.DiscardHandler), d.Version)
	if err != nil {
		d.add("temporal", "settings", CheckFail, "correct the TEMPORAL_* variables", "%v", err)
		return
	}
	c, err := client.NewLazyClient(options)
	if err != nil {
		d.add("temporal", "settings", CheckFail, "correct the TEMPORAL_* variables", "%v", err)
		return
	}
	defer c.Close()
	t := &temporalDoctor{doctor: d, client: c, namespace: firstText(options.Namespace, client.DefaultNamespace)}
	if !t.reachable(ctx, firstText(options.HostPort, client.DefaultHostPort)) || !t.namespaced(ctx) {
		return
	}
	t.attributes(ctx)
	t.schedule(ctx, workflows.SweepID)
	t.schedule(ctx, workflows.HousekeepingID)
	t.workers(ctx)
}

// temporalDoctor is the part that asks one Temporal.
type temporalDoctor struct {
	*doctor
	client    client.Client
	namespace string
}

// reachable reports whether Temporal answers. Where nothing says that there should be
// one, that it does not is no fault.
func (d *temporalDoctor) reachable(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	version, err := workflows.ServerVersion(ctx, d.client)
	meant := d.Getenv("TOCSIN_DATABASE_URL") != "" || d.Getenv("TEMPORAL_ADDRESS") != "" || d.Getenv("TEMPORAL_PROFILE") != "" || d.Getenv("TEMPORAL_CONFIG_FILE") != ""
	switch {
	case err == nil:
		d.add("temporal", "reachable", CheckOK, "", "version %s at %s", firstText(version, "unknown"), address)
	case meant:
		d.add("temporal", "reachable", CheckFail, "see that Temporal runs, and that TEMPORAL_ADDRESS, TEMPORAL_API_KEY and TEMPORAL_TLS_… are right; meanwhile events are accepted and held", "%s: %v", address, err)
	default:
		d.add("temporal", "reachable", CheckSkipped, "to look at Temporal, too, set TEMPORAL_ADDRESS", "nothing answers at %s, and TEMPORAL_ADDRESS is not set", address)
	}
	return err == nil
}

func (d *temporalDoctor) namespaced(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	kept, ok, err := workflows.Retention(ctx, d.client, d.namespace)
	switch {
	case err != nil:
		d.add("temporal", "namespace", CheckWarn, "let this client describe the namespace, to check more", "%v", err)
		return true
	case !ok:
		d.add("temporal", "namespace", CheckFail, "temporal operator namespace create --namespace "+d.namespace+" --retention 72h, or set TEMPORAL_NAMESPACE", "there is no namespace %q", d.namespace)
		return false
	case kept > 0 && kept < shortRetention:
		d.add("temporal", "namespace", CheckWarn, "temporal operator namespace update --namespace "+d.namespace+" --retention 72h",
			"%s keeps workflows that are over for %s only: replays and incidents are soon gone from the Web UI", d.namespace, tocsin.Duration(kept))
	default:
		d.add("temporal", "namespace", CheckOK, "", "%s keeps workflows that are over for %s", d.namespace, tocsin.Duration(kept))
	}
	return true
}

func (d *temporalDoctor) attributes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	missing, wrong, err := workflows.LackingSearchAttributes(ctx, d.client, d.namespace)
	switch {
	case err != nil:
		d.add("temporal", "search attributes", CheckWarn, "let this client list search attributes, to check them", "%v", err)
	case len(wrong) > 0:
		d.add("temporal", "search attributes", CheckFail, "remove them, or use another namespace", "of another type: %s", strings.Join(wrong, ", "))
	case len(missing) > 0:
		d.add("temporal", "search attributes", CheckFail, "a worker registers them when it starts; where it may not: temporal operator search-attribute create --namespace "+d.namespace+" --name … --type …",
			"not registered: %s", strings.Join(missing, ", "))
	default:
		d.add("temporal", "search attributes", CheckOK, "", "all %d are registered", len(workflows.SearchAttributes()))
	}
}

func (d *temporalDoctor) schedule(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s, err := workflows.Schedule(ctx, d.client, id)
	now := time.Now()
	late := lateRounds*s.Every + lateness
	last := s.LastRun
	if last.IsZero() {
		last = s.Created
	}
	switch {
	case err != nil:
		d.add("temporal", id, CheckWarn, "let this client describe schedules, to check them", "%v", err)
	case !s.Found:
		d.add("temporal", id, CheckFail, "tocsin serve and tocsin-worker make it when they start; their logs say why not", "there is no such schedule")
	case s.Paused:
		d.add("temporal", id, CheckFail, "temporal schedule toggle --schedule-id "+id+" --unpause --reason 'tocsin doctor'", "it is paused")
	case now.Sub(last) > late:
		d.add("temporal", id, CheckFail, "see that the server's own workers run, and that its clock is right", "every %s, but last %s ago", tocsin.Duration(s.Every), now.Sub(last).Round(time.Second))
	case s.LastRun.IsZero():
		d.add("temporal", id, CheckOK, "", "every %s; it is new, and has not run yet", tocsin.Duration(s.Every))
	default:
		d.add("temporal", id, CheckOK, "", "every %s, last %s ago", tocsin.Duration(s.Every), max(now.Sub(last), 0).Round(time.Second))
	}
}

func (d *temporalDoctor) workers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	all, backlog, err := workflows.Workers(ctx, d.client, d.namespace)
	if err != nil {
		d.add("temporal", "workers", CheckWarn, "let this client describe task queues, to check them", "%v", err)
		return
	}
	now := time.Now()
	all = slices.DeleteFunc(all, func(w workflows.WorkerState) bool { return now.Sub(w.Seen) > alive })
	var does workflows.WorkerState
	for _, w := range all {
		does.Workflows = does.Workflows || w.Workflows
		does.Activities = does.Activities || w.Activities
	}
	if !does.Workflows || !does.Activities {
		d.add("temporal", "workers", CheckFail, "start tocsin-worker, with the same TEMPORAL_* and TOCSIN_* settings; nothing is delivered until then, and nothing is lost",
			"no worker takes workflows and activities from the task queue %s; %d tasks wait", workflows.TaskQueue, backlog)
		return
	}
	d.add("temporal", "workers", CheckOK, "", "%d take tasks from the task queue %s; %d tasks wait", len(all), workflows.TaskQueue, backlog)
	d.versions(all)
}

// versions compares the workers' builds with each other and with this program.
func (d *temporalDoctor) versions(all []workflows.WorkerState) {
	count := map[string]int{}
	for _, w := range all {
		count[firstText(w.Version, "unknown")]++
	}
	var seen []string
	for version, n := range count {
		seen = append(seen, fmt.Sprintf("%s (%d)", version, n))
	}
	slices.Sort(seen)
	text := strings.Join(seen, ", ")
	switch {
	case len(count) > 1:
		d.add("temporal", "versions", CheckWarn, "finish the rollout: all workers should be of one version", "workers are of several versions: %s", text)
	case count[d.Version] == 0:
		d.add("temporal", "versions", CheckWarn, "use one version everywhere: serve first, then the workers", "workers are %s, this program is %s", text, d.Version)
	default:
		d.add("temporal", "versions", CheckOK, "", "workers and this program are %s", d.Version)
	}
}
