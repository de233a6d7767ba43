package pgtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Dump writes a database of the cluster into a file, by `pg_dump`: one consistent
// snapshot, while others go on writing.
func (c *Cluster) Dump(databaseURL, file string) error {
	return c.client("pg_dump", "--format=custom", "--file="+file, "--dbname="+databaseURL)
}

// Restore fills an empty database of the cluster with what Dump wrote, by `pg_restore`.
func (c *Cluster) Restore(databaseURL, file string) error {
	return c.client("pg_restore", "--exit-on-error", "--no-owner", "--dbname="+databaseURL, file)
}

// client runs one of PostgreSQL's client programs, of the server's own version.
func (c *Cluster) client(name string, args ...string) error {
	out, err := exec.Command(filepath.Join(c.binaries, name), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w\n%s", name, err, out)
	}
	return nil
}
