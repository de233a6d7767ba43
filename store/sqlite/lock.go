package sqlite

import (
	"errors"
	"os"
	"syscall"

	"github.com/tocsin-alerts/tocsin"
)

// lockFile takes the lock on path+".lock" until the file that it returns is closed,
// or the process ends in whatever way. The file itself stays: removing it would let
// two processes hold two locks.
func lockFile(path string) (*os.File, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator's own file
	if err != nil {
		return nil, tocsin.Errorf(tocsin.CodeUnavailable, "opening store %s: %w", path, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // #nosec G115 -- a file descriptor is an int
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, tocsin.Errorf(tocsin.CodeUnavailable, "opening store %s: another process has it open and holds %s", path, name)
	}
	return nil, tocsin.Errorf(tocsin.CodeUnavailable, "opening store %s: locking %s: %w", path, name, err)
}
