package pgtest

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// New makes and starts a cluster for a program that is no test, such as the benchmark.
// The caller removes it; when the program is killed, the cluster goes all the same.
func New(o Options) (*Cluster, error) { return newCluster(o) }

// Remove ends the server at once and removes everything.
func (c *Cluster) Remove() error { return c.remove() }

// PID is the process id of the server, whose children serve the connections; 0 while it
// is stopped.
func (c *Cluster) PID() int {
	if c.server == nil {
		return 0
	}
	return c.server.Process.Pid
}

// Create makes a fresh, empty database on the server that admin names, and returns its
// URL and what drops it again.
func Create(admin string) (databaseURL string, drop func() error, err error) {
	u, err := url.Parse(admin)
	if err != nil {
		return "", nil, fmt.Errorf("reading the server's URL: %w", err)
	}
	name := strings.ToLower(tocsin.NewID("tocsin"))
	if err := execute(admin, "CREATE DATABASE "+name); err != nil {
		return "", nil, fmt.Errorf("creating a database: %w", err)
	}
	u.Path = "/" + name
	drop = func() error { return execute(admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") }
	return u.String(), drop, nil
}
