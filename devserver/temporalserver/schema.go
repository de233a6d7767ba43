package temporalserver

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/schema"
	_ "modernc.org/sqlite" // the driver for setUpSchema
)

// VersionError says that a database was made by another version of the Temporal server.
type VersionError struct {
	File string
	// Made is the version that made the database, Runs the one built into this program.
	Made, Runs string
}

// Error implements error, and says what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%[1]s was made by Temporal server %[2]s and this program contains %[3]s; SQLite databases cannot be brought to another version. "+
		"Either run the program that contains %[2]s, or move %[1]s, %[1]s-wal and %[1]s-shm away: running workflows are lost then, events and webhooks are not, and workflows start anew", e.File, e.Made, e.Runs)
}

// checkPath refuses characters that mean something else in SQLite's file: URIs, which
// the server's plugin builds without escaping.
func checkPath(path string) error {
	if i := strings.IndexAny(path, "?#%"); i >= 0 {
		return fmt.Errorf("database path %q holds a %q, which SQLite would misread; choose another folder", path, path[i])
	}
	return nil
}

// setUpSchema makes a new database in one transaction, stamp included: when killed
// halfway, the file is as good as new. An existing one it only checks.
func setUpSchema(path string) (err error) {
	dsn := "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(2)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing

	made, err := readStamp(tx, path)
	if err != nil {
		return err
	}
	switch made {
	case headers.ServerVersion:
		return nil
	case "":
	default:
		return &VersionError{File: path, Made: made, Runs: headers.ServerVersion}
	}
	if err := createTables(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("setting up %s: %w", path, err)
	}
	return nil
}

// readStamp returns the version of the server that made the database, "" for an empty
// one.
func readStamp(tx *sql.Tx, path string) (string, error) {
	var tables, stamped int
	err := tx.QueryRow(`SELECT count(*), count(*) FILTER (WHERE name = 'tocsin_stamp') FROM sqlite_schema`).Scan(&tables, &stamped)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	if tables == 0 {
		return "", nil
	}
	if stamped == 0 {
		return "", fmt.Errorf("reading %s: it holds tables that this program did not make; choose another file", path)
	}
	var version string
	if err := tx.QueryRow(`SELECT server_version FROM tocsin_stamp`).Scan(&version); err != nil {
		return "", fmt.Errorf("reading version of %s: %w", path, err)
	}
	return version, nil
}

func createTables(tx *sql.Tx) error {
	for _, name := range []string{"sqlite/v3/temporal/schema.sql", "sqlite/v3/visibility/schema.sql"} {
		text, err := fs.ReadFile(schema.Assets(), name)
		if err != nil {
			return fmt.Errorf("reading schema: %w", err)
		}
		statements, err := persistence.LoadAndSplitQueryFromReaders([]io.Reader{strings.NewReader(string(text))})
		if err != nil {
			return fmt.Errorf("reading schema %s: %w", name, err)
		}
		for _, statement := range statements {
			if _, err := tx.Exec(statement); err != nil {
				return fmt.Errorf("setting up schema %s: %w", name, err)
			}
		}
	}
	if _, err := tx.Exec(`CREATE TABLE tocsin_stamp (server_version TEXT NOT NULL)`); err != nil {
		return fmt.Errorf("stamping schema: %w", err)
	}
	if _, err := tx.Exec(`INSERT INTO tocsin_stamp VALUES (?)`, headers.ServerVersion); err != nil {
		return fmt.Errorf("stamping schema: %w", err)
	}
	return nil
}
