package app

import (
	"context"
	"log/slog"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

const (
	// A process's clock is for little but what people read; deadlines are the database's.
	skewWarns = 2 * time.Second
	skewFails = time.Minute
	// perProcess is how many connections one process may take: its pool and the one that
	// listens.
	perProcess = 17
)

// checkStore opens the store that processes use, and leaves it open if it can be read.
func (d *doctor) checkStore(ctx context.Context) {
	url := d.Getenv("TOCSIN_DATABASE_URL")
	if url == "" {
		d.add("store", "reachable", CheckSkipped, "to look into the store, too, run this where serve and the workers run, with their TOCSIN_DATABASE_URL", "TOCSIN_DATABASE_URL is not set")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*checkTimeout)
	defer cancel()
	store, err := OpenStore(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		d.storeAway(url, err)
		return
	}
	inspector, ok := store.(tocsin.Inspector)
	if !ok { // both stores are
		_ = store.Close()
		return
	}
	// The first connects, which takes longer than to answer.
	_, _ = inspector.Inspect(ctx) // what is wrong is so again
	before := time.Now()
	info, err := inspector.Inspect(ctx)
	took := time.Since(before)
	if err != nil {
		_ = store.Close() // the first error is the one that tells
		d.storeAway(url, err)
		return
	}
	d.add("store", "reachable", CheckOK, "", "%s, answered in %s", info.Product, took.Round(time.Millisecond/10))
	d.checkClock(info.Now.Sub(before.Add(took/2)), took)
	d.checkConnections(info)
	if d.checkSchema(info) {
		d.store = store
		return
	}
	_ = store.Close()
}

func (d *doctor) storeAway(url string, err error) {
	switch {
	case strings.HasPrefix(url, "sqlite:") && tocsin.CodeOf(err) == tocsin.CodeUnavailable:
		d.add("store", "reachable", CheckSkipped, "to look into the store, too, stop tocsin-dev first", "%v", err)
	case tocsin.CodeOf(err) == tocsin.CodeInvalid:
		d.add("store", "reachable", CheckFail, "correct TOCSIN_DATABASE_URL", "%v", err)
	default:
		d.add("store", "reachable", CheckFail, "see that the database runs, that this machine may connect, and that host, port, user, password and database in TOCSIN_DATABASE_URL are right", "%v", err)
	}
}

// checkSchema reports whether the store can be read by this program.
func (d *doctor) checkSchema(info tocsin.StoreInfo) bool {
	switch {
	case info.Schema < info.Wanted:
		d.add("store", "schema", CheckFail, "run tocsin migrate", "version %d, this program needs %d", info.Schema, info.Wanted)
	case info.Schema > info.Wanted:
		d.add("store", "schema", CheckFail, "use the version of tocsin that the other processes have", "version %d, newer than this program's %d", info.Schema, info.Wanted)
	default:
		d.add("store", "schema", CheckOK, "", "version %d", info.Schema)
		return true
	}
	return false
}

// checkClock judges how far the database's clock is ahead of this machine's, known to
// half of what the question took.
func (d *doctor) checkClock(skew, took time.Duration) {
	off := max(skew.Abs()-took/2, 0)
	result, mend := CheckOK, ""
	switch {
	case off > skewFails:
		result = CheckFail
	case off > skewWarns:
		result = CheckWarn
	}
	if result != CheckOK {
		mend = "set both clocks by NTP (chrony, systemd-timesyncd): times of events and signatures come from this machine's, deadlines from the database's"
	}
	words := "ahead of"
	if skew < 0 {
		words = "behind"
	}
	d.add("store", "clock", result, mend, "the database's is %s %s this machine's", skew.Abs().Round(time.Millisecond), words)
}

func (d *doctor) checkConnections(info tocsin.StoreInfo) {
	if info.MaxConnections == 0 {
		return
	}
	free := info.MaxConnections - info.Connections
	result, mend := CheckOK, ""
	switch {
	case free <= 0:
		result = CheckFail
	case free < perProcess:
		result = CheckWarn
	}
	if result != CheckOK {
		mend = "raise max_connections of PostgreSQL, or lower pool_max_conns in TOCSIN_DATABASE_URL: a process takes up to 17"
	}
	d.add("store", "connections", result, mend, "%d of %d are in use", info.Connections, info.MaxConnections)
}
