package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sampleEvery is how often memory is looked at, for its peak.
const sampleEvery = 250 * time.Millisecond

// measurement is what goes on between measure and end.
type measurement struct {
	rig    *rig
	result *Result
	during string
	began  time.Time

	kept     [2]time.Duration // by the hypervisor, and all CPU time
	usage    map[string]usage
	peak     map[string]int64
	counts   temporalCounts
	disk     diskState
	stop     context.CancelFunc
	sampling sync.WaitGroup
	backends []int // processes of PostgreSQL
	perf     []*exec.Cmd
}

// measure begins to measure what all processes use.
func (r *rig) measure(ctx context.Context, result *Result, during string) (*measurement, error) {
	m := &measurement{rig: r, result: result, during: during, peak: map[string]int64{}}
	if r.cluster != nil && r.databaseURL != "" {
		m.backends = children(r.cluster.PID()) // before there are any of our own, which end
	}
	var err error
	if m.counts, err = readCounts(ctx, r.temporalMetrics); err != nil {
		return nil, err
	}
	if m.disk, err = r.readDisk(ctx); err != nil {
		return nil, err
	}
	if m.kept[0], m.kept[1], err = readKept(); err != nil {
		return nil, err
	}
	if m.usage, err = r.usages(); err != nil {
		return nil, err
	}
	if err := m.profile(); err != nil {
		return nil, err
	}
	sampling, stop := context.WithCancel(ctx)
	m.stop = stop
	m.sampling.Go(func() { m.sample(sampling) })
	m.began = time.Now()
	return m, nil
}

func (m *measurement) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if now, err := m.rig.usages(); err == nil {
			for name, u := range now {
				m.peak[name] = max(m.peak[name], u.memory)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// usages reads what every process has used so far, by name.
func (r *rig) usages() (map[string]usage, error) {
	all := map[string]usage{}
	var err error
	for _, p := range r.processes {
		if all[p.name], err = readUsage(p.pid()); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", p.name, err, p.out.String())
		}
	}
	if r.cluster != nil && r.databaseURL != "" {
		if all["postgres"], err = readPostgres(r.cluster.PID()); err != nil {
			return nil, err
		}
	}
	all["bench"], err = readUsage(syscall.Getpid())
	return all, err
}

// names are those of all processes, in the order they are shown in.
func (r *rig) names() (names []string) {
	for _, p := range r.processes {
		if p != r.server {
			names = append(names, p.name)
		}
	}
	if r.databaseURL != "" && r.cluster != nil {
		names = append(names, "postgres")
	}
	return append(names, r.server.name, "bench")
}

// end writes down what was used, and by how many events that one webhook wanted: for each
// thousand of them, if there were any.
func (m *measurement) end(ctx context.Context, events int) error {
	return m.endPer(ctx, events, "event")
}

// endPer is end by how many of something else.
func (m *measurement) endPer(ctx context.Context, n int, what string) error {
	took := time.Since(m.began)
	m.stop()
	m.sampling.Wait()
	m.endProfile()
	after, err := m.rig.usages()
	if err != nil {
		return err
	}
	kept, all, err := readKept()
	if err != nil {
		return err
	}
	counts, err := readCounts(ctx, m.rig.temporalMetrics)
	if err != nil {
		return err
	}
	spent := counts.minus(m.counts)
	used := Used{During: m.during, Seconds: took.Seconds(), Actions: spent.Kinds}
	for _, name := range m.rig.names() {
		used.Processes = append(used.Processes, Process{Name: name, CPU: (after[name].cpu - m.usage[name].cpu).Seconds(),
			PeakMB: megabytes(max(m.peak[name], after[name].memory)), EndMB: megabytes(after[name].memory)})
	}
	m.result.Used = append(m.result.Used, used)
	m.result.cost("CPU time kept by the hypervisor, "+m.during, 100*float64(kept-m.kept[0])/float64(max(1, all-m.kept[1])), "%")
	if n == 0 {
		return nil
	}
	disk, err := m.rig.readDisk(ctx)
	if err != nil {
		return err
	}
	thousands := float64(n) / 1000
	actions := m.result.cost(fmt.Sprintf("Temporal actions per 1,000 %s, %s", plural(what), m.during), spent.Actions/thousands, "")
	if float64(n) >= sustained*took.Seconds() {
		actions.atMost(1)
	}
	history := m.result.cost(fmt.Sprintf("history events per 1,000 %s, %s", plural(what), m.during), spent.History/thousands, "")
	if float64(n) >= sustained*took.Seconds() {
		history.atMost(5)
	}
	m.result.cost(fmt.Sprintf("on disk per %s, %s", what, m.during), float64(disk.data-m.disk.data)/float64(n), "B")
	if m.rig.databaseURL != "" {
		m.result.cost(fmt.Sprintf("write-ahead log per %s, %s", what, m.during), float64(disk.log-m.disk.log)/float64(n), "B")
	}
	return nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// sustained is the load, in events per second, from which on little of Temporal is asked
// for: a Deliver gives a sign of life every 3 s and lasts a minute, however little there is
// to do.
const sustained = 1000

// perfHz is how often perf looks: often enough for ten seconds, and no multiple of
// anything that ticks.
const perfHz = 499

// profile starts perf on every process, where profiles are asked for.
func (m *measurement) profile() error {
	if m.rig.options.profile == "" {
		return nil
	}
	if err := os.MkdirAll(m.rig.options.profile, 0o750); err != nil {
		return fmt.Errorf("making the folder for profiles: %w", err)
	}
	targets := map[string][]int{}
	for _, p := range m.rig.processes {
		targets[p.name] = []int{p.pid()}
	}
	if len(m.backends) > 0 {
		targets["postgres"] = m.backends
	}
	for name, pids := range targets {
		file := filepath.Join(m.rig.options.profile, strings.ReplaceAll(fmt.Sprintf("%s-%s-%s.perf", m.result.Part, m.during, name), " ", "-"))
		list := strings.ReplaceAll(strings.Trim(fmt.Sprint(pids), "[]"), " ", ",")
		cmd := exec.Command("perf", "record", "-q", "-F", strconv.Itoa(perfHz), "-g", "-o", file, "-p", list) // #nosec G204 -- numbers, and a path of the user's
		cmd.SysProcAttr = ownGroup()
		cmd.Stderr = os.Stderr // a process that is gone, or no right to look
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("profiling %s: %w", name, err)
		}
		m.perf = append(m.perf, cmd)
	}
	return nil
}

func (m *measurement) endProfile() {
	for _, cmd := range m.perf {
		_ = cmd.Process.Signal(syscall.SIGINT) // it writes its file then
	}
	for _, cmd := range m.perf {
		_ = cmd.Wait() // perf repeats the signal as its exit status
	}
}

func plural(what string) string {
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		return stem + "ies"
	}
	return what + "s"
}
