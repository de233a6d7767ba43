package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/internal/filelock"
)

// maxLog is the size beyond which the log file is put aside at the start: 16 MiB.
const maxLog = 16 << 20

// dataDir is a locked data directory.
type dataDir struct {
	path string
	lock *filelock.Lock
}

// openDataDir makes the directory when missing and locks it; an error that names the
// other process when there is one.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making data directory: %w", err)
	}
	lock, err := filelock.Acquire(filepath.Join(path, "tocsin-dev.lock"))
	var held *filelock.HeldError
	if errors.As(err, &held) {
		return nil, fmt.Errorf("data directory %s is in use by another tocsin-dev (process %s); stop that one, or choose another -data-dir", path, held.PID)
	}
	if err != nil {
		return nil, fmt.Errorf("opening data directory: %w", err)
	}
	return &dataDir{path: path, lock: lock}, nil
}

func (d *dataDir) close() error { return d.lock.Release() }

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// keyRing reads the key ring, and makes one the first time. A file that others may read
// is an error: it opens every secret in the store.
func (d *dataDir) keyRing() (tocsin.Secret, error) {
	path := d.file("secret-key")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d.newKeyRing(path)
	}
	if err != nil {
		return tocsin.Secret{}, fmt.Errorf("reading key ring: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return tocsin.Secret{}, fmt.Errorf("reading key ring: others may read %s; run chmod 600 on it", path)
	}
	text, err := os.ReadFile(path) // #nosec G304 -- the user's own folder
	if err != nil {
		return tocsin.Secret{}, fmt.Errorf("reading key ring: %w", err)
	}
	ring := strings.TrimSpace(string(text))
	if _, err := tocsin.ParseKeyRing(ring); err != nil {
		return tocsin.Secret{}, fmt.Errorf("reading key ring %s: %w", path, err)
	}
	return tocsin.NewSecret(ring), nil
}

// newKeyRing makes a ring. It is on disk under its name before anything is sealed with
// it, whole or not at all.
func (d *dataDir) newKeyRing(path string) (_ tocsin.Secret, err error) {
	if _, err := os.Stat(d.file("tocsin.db")); err == nil {
		return tocsin.Secret{}, fmt.Errorf("reading key ring: %s is gone, and %s holds secrets sealed by it; put it back, or move the database away", path, d.file("tocsin.db"))
	}
	ring := tocsin.GenerateKey("dev")
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- the user's own folder
	if err != nil {
		return tocsin.Secret{}, fmt.Errorf("making key ring: %w", err)
	}
	_, err = f.WriteString(ring + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return tocsin.Secret{}, fmt.Errorf("making key ring: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return tocsin.Secret{}, fmt.Errorf("making key ring: %w", err)
	}
	return tocsin.NewSecret(ring), nil
}

// logFile opens the log for appending; a big one becomes the one before.
func (d *dataDir) logFile() (*os.File, error) {
	path := d.file("tocsin-dev.log")
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rotating log: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) // #nosec G304 -- the user's own folder
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	return f, nil
}
