package e2e_test

import (
	"database/sql"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// smallDisk mounts a file system of its own, of so many MiB, until the test ends.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("skipped: only root may mount the small disk that this test fills, on Linux")
	}
	parent := t.TempDir()
	// PostgreSQL, which does not run as root, has to come through.
	if err := os.Chmod(filepath.Dir(parent), 0o755); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(parent, "disk")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=1777,size="+size); err != nil {
		t.Skipf("skipped: a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			usage, err := exec.Command("du", "-ak", folder).CombinedOutput()
			t.Logf("on the disk of %s, in KiB (%v):\n%s", size, err, usage)
		}
		if syscall.Unmount(folder, 0) == nil {
			return
		}
		// Somebody still has a file open there: take it away all the same.
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", folder, err)
		}
	})
	return folder
}

// fill leaves so many bytes free on a disk, and returns what gives the rest back.
func fill(t *testing.T, folder string, leave int64) (empty func()) {
	t.Helper()
	ballast, err := os.CreateTemp(folder, "ballast-")
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for took := int64(0); ; {
		var disk syscall.Statfs_t
		if err := syscall.Statfs(folder, &disk); err != nil {
			t.Fatal(err)
		}
		size := int64(disk.Bavail)*disk.Bsize - leave
		if size <= 0 {
			break
		}
		// Others write at the same time and may have taken some of it: it is all or nothing.
		err := syscall.Fallocate(int(ballast.Fd()), 0, took, size)
		if err == nil {
			took += size
		} else if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINTR) {
			t.Fatalf("filling the disk: %v", err)
		}
	}
	return func() {
		if err := os.Remove(ballast.Name()); err != nil {
			t.Errorf("emptying the disk: %v", err)
		}
	}
}

// The disk of tocsin-dev, with its store, Temporal's database and its log, becomes full
// under load: events are refused cleanly, what is stored can be read, and everything goes
// on by itself once there is room. The file is sound afterwards.
func TestDiskFullSQLite(t *testing.T) {
	folder := smallDisk(t, "96m")
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{DataDir: filepath.Join(folder, "data")})
	d.MustCreate(map[string]any{
		"name": "steady", "channel": "webhook", "frequency": "instant", "batch_size": 10,
		"config": map[string]any{"url": receiver.URL("steady")},
	})
	l := startLoad(t, d.Client, 4, 10)
	l.mustGrow(200)
	receiver.MustCount(5)

	empty := fill(t, folder, 256<<10)
	l.mustRefuseMore(20)
	empty2 := fill(t, folder, 0) // and not a byte for anything else
	l.mustRefuseMore(20)
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/steady", "/v1/ledger", "/v1/events", "/v1/deliveries", "/-/healthy"} {
		if got, err := request(http.MethodGet, d.Client, path, nil); err != nil || got.status != http.StatusOK {
			t.Errorf("GET %s with a full disk answers %d %s (%v), want 200", path, got.status, got.body, err)
		}
	}
	// A change may still find room within the file; if not it is refused as cleanly.
	change, err := request(http.MethodPatch, d.Client, "/v1/webhooks/steady", []byte(`{"labels": {"team": "soc"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if change.status != http.StatusOK {
		change.mustRefuse(t)
	}
	empty()
	empty2()

	l.mustGrow(200)
	ids := l.end()
	receiver.MustGet(ids...)
	receiver.MustKeepIDs()
	if b := d.MustSettle("steady"); b.Accepted != int64(len(ids)) || b.Delivered != b.Accepted {
		t.Errorf("the ledger says %+v, want %d accepted and delivered", b, len(ids))
	}
	d.Stop()
	mustBeSound(t, filepath.Join(d.DataDir, "tocsin.db"))
	mustBeSound(t, filepath.Join(d.DataDir, "temporal.db"))
	mustRecount(t, filepath.Join(d.DataDir, "tocsin.db"))
	t.Logf("%d events acknowledged and delivered; %d requests refused, the slowest answer took %s", len(ids), l.refused, l.slowest.Round(time.Millisecond))
}

// mustBeSound has SQLite check a file.
func mustBeSound(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var says string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&says); err != nil || says != "ok" {
		t.Errorf("%s: SQLite says %q (%v)", filepath.Base(path), says, err)
	}
}

// mustRecount holds the ledger of a store that nobody uses against its rows.
func mustRecount(t *testing.T, path string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counted, recounted, err := db.Recount(t.Context())
	if err != nil || len(counted) != 1 || counted[0] != recounted[0] || counted[0].Difference() != 0 {
		t.Errorf("ledger %+v, recounted %+v (%v)", counted, recounted, err)
	}
}

// PostgreSQL's disk becomes full under load. Where its tables cannot grow it refuses;
// where its log cannot, it crashes, and may not come up again until there is room.
func TestDiskFullPostgres(t *testing.T) {
	for name, push := range map[string]func(*testing.T, *rig){
		"tables": func(*testing.T, *rig) {}, "log": switchLog,
	} {
		t.Run(name, func(t *testing.T) {
			folder := smallDisk(t, "256m")
			r := newRig(t, clusterIn(t, folder))
			empty := fill(t, folder, 64<<10)
			push(t, r)
			r.load.mustRefuseMore(20)
			alive, err := request(http.MethodGet, r.serve.Client, "/-/healthy", nil)
			if err != nil || alive.status != http.StatusOK {
				t.Errorf("healthy answers %d %s (%v)", alive.status, alive.body, err)
			}
			empty()
			if r.cluster.Ended() { // its administrator's part
				if err := r.cluster.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			r.mustRecover()
		})
	}
}

// clusterIn starts a cluster with its data in folder.
func clusterIn(t *testing.T, folder string) *pgtest.Cluster {
	t.Helper()
	before := os.Getenv("TMPDIR")
	t.Setenv("TMPDIR", folder)
	defer t.Setenv("TMPDIR", before)
	return pgtest.Start(t, pgtest.Options{NoFsync: true, Settings: map[string]string{"max_wal_size": "48MB", "min_wal_size": "32MB"}})
}

// switchLog makes PostgreSQL need new segments of its log until it crashes.
func switchLog(t *testing.T, r *rig) {
	t.Helper()
	devtest.Until(t, "PostgreSQL to crash", func() error {
		// Its own log is on the full disk, and may have had no room for saying so.
		if r.cluster.Ended() || strings.Contains(r.cluster.Log(), "PANIC") {
			return nil
		}
		if err := r.cluster.Execute(`SELECT pg_switch_wal()`); err != nil {
			return err
		}
		return errNotYet
	})
}
