package pgtest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// child is set in the process that TestNothingOutlivesTheProcess kills.
const child = "PGTEST_CHILD"

func query(t *testing.T, url, sql string) (answer string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql).Scan(&answer)
	return answer, err
}

func TestURLsAreFresh(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		url := pgtest.URL(t)
		name, err := query(t, url, `SELECT current_database()::text`)
		if err != nil {
			t.Fatal(err)
		}
		if seen[name] {
			t.Fatalf("database %s was handed out twice", name)
		}
		seen[name] = true
	}
}

func TestClusterStopsAndStarts(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{NoFsync: true, Settings: map[string]string{"work_mem": "5MB"}})
	url := c.Database(t)
	for _, stop := range []func() error{c.Stop, c.StopImmediate} {
		if got, err := query(t, url, `SHOW work_mem`); err != nil || got != "5MB" {
			t.Fatalf("work_mem: got %q, %v", got, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := query(t, url, `SHOW fsync`); err == nil {
			t.Fatal("a stopped server answered")
		}
		if err := c.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := query(t, url, `SHOW fsync`); err != nil || got != "off" {
		t.Fatalf("fsync: got %q, %v", got, err)
	}
}

// TestNothingOutlivesTheProcess kills a test process and waits until its server is
// gone.
func TestNothingOutlivesTheProcess(t *testing.T) {
	if os.Getenv(child) != "" {
		c := pgtest.Start(t, pgtest.Options{NoFsync: true})
		fmt.Println("cluster " + c.URL())
		select {} // until it is killed
	}
	if os.Getenv(pgtest.Env) == "" {
		pgtest.URL(t) // skips when PostgreSQL is not installed
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesTheProcess$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		url, _ = strings.CutPrefix(lines.Text(), "cluster ")
		if !strings.HasPrefix(url, "postgres://") {
			url = ""
		}
	}
	dir, err := query(t, url, `SELECT current_setting('unix_socket_directories')`)
	if err != nil {
		t.Fatalf("asking the child's server: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there", dir)
		}
	}
	if _, err := query(t, url, `SHOW fsync`); err == nil {
		t.Error("the server still answers")
	}
}
