// Package filelock lets one process at a time use something, by an advisory lock on a
// file. The kernel releases the lock when the process ends in whatever way, so a file
// that is left behind locks nobody out.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Lock is a held lock.
type Lock struct{ file *os.File }

// HeldError says that another process holds the lock.
type HeldError struct {
	Path string
	// PID is the holder's process id as it wrote it down, or "" when not known.
	PID string
}

// Error implements error.
func (e *HeldError) Error() string {
	if e.PID == "" {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %s", e.Path, e.PID)
}

// Acquire takes the lock on the file at path, which it creates when missing. It does
// not wait: a *HeldError when somebody else has it, also within this process.
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the user's own folder
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // #nosec G115 -- a file descriptor is an int
	if errors.Is(err, syscall.EWOULDBLOCK) {
		// The content only makes the message better, so that an unreadable one is fine.
		pid, _ := os.ReadFile(path) // #nosec G304 -- the user's own folder
		_ = f.Close()               // the first error is the one that tells
		return nil, &HeldError{Path: path, PID: strings.TrimSpace(string(pid))}
	}
	if err != nil {
		_ = f.Close() // the first error is the one that tells
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return &Lock{file: f}, nil
}

// Release gives the lock up. The file stays: removing it would let two processes lock
// two files of the same name.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
