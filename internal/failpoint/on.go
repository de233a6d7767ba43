//go:build failpoints

// Package failpoint ends the process at places that TOCSIN_FAILPOINT names.
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	name, at = parse(os.Getenv("TOCSIN_FAILPOINT"))
	hits     atomic.Int64
)

func parse(text string) (name string, at int64) {
	name, count, found := strings.Cut(text, ":")
	if !found {
		return name, 1
	}
	at, err := strconv.ParseInt(count, 10, 64)
	if err != nil || at < 1 {
		panic("TOCSIN_FAILPOINT: want name or name:n, with n at least 1")
	}
	return name, at
}

// Hit ends the process if it is asked to die here.
func Hit(point string) {
	if point == name && hits.Add(1) == at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // never returns for long
		select {}
	}
}
