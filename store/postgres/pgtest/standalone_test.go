package pgtest_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// A program's own cluster answers, and is gone after Remove.
func TestStandalone(t *testing.T) {
	if os.Getenv(pgtest.Env) != "" {
		t.Skip("a server is given, and PostgreSQL may not be installed here")
	}
	c, err := pgtest.New(pgtest.Options{NoFsync: true})
	if err != nil {
		pgtest.Start(t, pgtest.Options{}) // skips or fails as other tests do
		t.Fatal(err)
	}
	pid := c.PID()
	url, drop, err := pgtest.Create(c.URL())
	if err != nil {
		t.Error(err)
	} else if name, err := query(t, url, `SELECT current_database()::text`); err != nil || name == "postgres" {
		t.Errorf("connected to %q (%v), want a database of its own", name, err)
	}
	if drop != nil {
		if err := drop(); err != nil {
			t.Error(err)
		}
		if _, err := query(t, url, `SELECT 'x'`); err == nil {
			t.Error("a dropped database still answers")
		}
	}
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d is still there", pid)
	}
}
