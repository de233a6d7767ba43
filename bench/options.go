package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// options say what is measured and where results go.
type options struct {
	bin, databaseURL     string
	parts, stores        []string
	json, report         string
	profile              string
	short                bool
	sizes                sizes
	delay                time.Duration // before the receiver answers
	failing              float64       // share of deliveries that the receiver answers with 503
	connections, batched int           // of the generator, for one event per request and for many
	env                  []string      // settings of serve and workers
}

// sizes are how long and how much a part measures.
type sizes struct {
	load     time.Duration // of each measurement under load
	warm     time.Duration // of load before it, which is not counted
	idle     time.Duration // of each measurement without load
	settle   time.Duration // before that
	webhooks int           // of idle10k
	backlog  int           // events that wait in the backlog part
	big      int           // events in the store of the big part
	workers  []int         // numbers of worker processes
	slow     int           // webhooks with slow receivers
	slots    int           // webhooks that one worker delivers for at once, where workers are added
}

var (
	fullSizes = sizes{load: 10 * time.Second, warm: 2 * time.Second, idle: 60 * time.Second, settle: 20 * time.Second,
		webhooks: 10_000, backlog: 1_000_000, big: 10_000_000, workers: []int{1, 2, 4}, slow: 200, slots: 25}
	// Enough that every part does all it does, and no more.
	shortSizes = sizes{load: time.Second, warm: 200 * time.Millisecond, idle: 2 * time.Second, settle: time.Second,
		webhooks: 100, backlog: 5_000, big: 20_000, workers: []int{1, 2}, slow: 20, slots: 5}
)

func parseFlags(args []string) (options, error) {
	var o options
	var parts, stores string
	var given sizes
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.bin, "bin", "bin", "`folder` with tocsin, tocsin-worker and tocsin-dev")
	flags.StringVar(&o.databaseURL, "database-url", "", "`URL` of a PostgreSQL server to make databases on, instead of a cluster of its own")
	flags.StringVar(&parts, "part", "", "`parts` to run, separated by commas (default all): "+strings.Join(partNames(), ", "))
	flags.StringVar(&stores, "store", "postgres,sqlite", "`stores`: postgres, sqlite or both, separated by a comma")
	flags.BoolVar(&o.short, "short", false, "run everything for a moment with small numbers: to see that it works")
	flags.StringVar(&o.json, "json", "", "`file` to write all results to, as JSON")
	flags.StringVar(&o.report, "report", "", "`folder` of performance.md, whose tables and plots are written anew")
	flags.StringVar(&o.profile, "profile", "", "`folder` for CPU profiles of every process under load, by perf")
	flags.DurationVar(&given.load, "load", 0, "`duration` of each measurement under load (default 10s)")
	flags.DurationVar(&given.idle, "idle", 0, "`duration` of each measurement without load (default 60s)")
	flags.IntVar(&given.webhooks, "webhooks", 0, "webhooks of the part idle10k (default 10000)")
	flags.IntVar(&given.backlog, "backlog", 0, "pending events of the part backlog (default 1000000)")
	flags.IntVar(&given.big, "big", 0, "events in the store of the part big (default 10000000)")
	flags.IntVar(&o.connections, "connections", 64, "connections that send one event in each request")
	flags.IntVar(&o.batched, "batch-connections", 8, "connections that send many")
	flags.DurationVar(&o.delay, "receiver-delay", 0, "how long the receiver takes to answer, where a part does not say")
	flags.Float64Var(&o.failing, "receiver-failing", 0, "`share` of deliveries that the receiver answers with 503")
	flags.Func("env", "`NAME=value` for serve and workers, as often as needed", func(text string) error {
		o.env = append(o.env, text)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("want only flags, not %q", flags.Arg(0))
	}
	o.sizes = fullSizes
	if o.short {
		o.sizes = shortSizes
	}
	o.sizes.override(given)
	var err error
	if o.parts, err = choose("-part", parts, partNames()); err != nil {
		return o, err
	}
	o.stores, err = choose("-store", stores, []string{postgresStore, sqliteStore})
	return o, err
}

func (s *sizes) override(given sizes) {
	for _, d := range [][2]*time.Duration{{&s.load, &given.load}, {&s.idle, &given.idle}} {
		if *d[1] > 0 {
			*d[0] = *d[1]
		}
	}
	for _, n := range [][2]*int{{&s.webhooks, &given.webhooks}, {&s.backlog, &given.backlog}, {&s.big, &given.big}} {
		if *n[1] > 0 {
			*n[0] = *n[1]
		}
	}
}

// choose reads a list of words, each one of allowed; none means all.
func choose(flag, list string, allowed []string) ([]string, error) {
	if list == "" {
		return allowed, nil
	}
	chosen := strings.Split(list, ",")
	for _, word := range chosen {
		if !slices.Contains(allowed, word) {
			return nil, fmt.Errorf("%s: %q is not one of %s", flag, word, strings.Join(allowed, ", "))
		}
	}
	return chosen, nil
}
