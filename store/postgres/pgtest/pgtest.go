// Package pgtest gives tests a real PostgreSQL: a private cluster made from the
// binaries that are installed, or the server that TOCSIN_TEST_DATABASE_URL names.
//
//	db, err := postgres.Open(ctx, pgtest.URL(t), postgres.Options{})
//
// [URL] makes a fresh database in a cluster that all tests of the process share.
// [Start] makes a cluster of the test's own, to be stopped and broken. No cluster
// outlives its test process, however that ends.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Env names the variable with the URL of a server to use instead of a private cluster.
// Its user must be allowed to create databases.
const Env = "TOCSIN_TEST_DATABASE_URL"

// shared is the process's cluster, started when first asked for. It is stopped by the
// cluster's reaper when the process ends, since no test knows that it is the last.
var shared = sync.OnceValues(func() (*Cluster, error) { return newCluster(Options{}) })

// URL returns the URL of a fresh, empty database, which is dropped when the test ends.
// Without PostgreSQL's binaries the test is skipped, or fails when CI is "true".
func URL(t testing.TB) string {
	t.Helper()
	if admin := os.Getenv(Env); admin != "" {
		return createDatabase(t, admin)
	}
	c, err := shared()
	if err != nil {
		missing(t, err)
	}
	return createDatabase(t, c.URL())
}

// missing ends a test that needs what is not installed.
func missing(t testing.TB, err error) {
	t.Helper()
	if _, notInstalled := err.(notInstalledError); notInstalled && os.Getenv("CI") != "true" {
		t.Skipf("skipped: %v", err)
	}
	t.Fatalf("starting PostgreSQL: %v", err)
}

// createDatabase makes a database on the server that admin names.
func createDatabase(t testing.TB, admin string) string {
	t.Helper()
	databaseURL, drop, err := Create(admin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A test that stopped its server has nothing to drop.
		if err := drop(); err != nil {
			t.Logf("dropping a database: %v", err)
		}
	})
	return databaseURL
}

// execute runs one statement on a connection of its own.
func execute(databaseURL, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}
