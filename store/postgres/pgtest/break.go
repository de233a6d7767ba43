package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Freeze stops the server and all its processes where they are, as a machine or a disk
// that hangs does: connections stay open, new ones are accepted by the kernel, and
// nothing answers. thaw lets them go on, and may be called again. It needs /proc.
func (c *Cluster) Freeze() (thaw func(), err error) {
	if c.server == nil {
		return nil, errors.New("freezing the server: it does not run")
	}
	parent := c.server.Process.Pid
	// The parent first, so that it begets no more.
	if err := syscall.Kill(parent, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("freezing the server: %w", err)
	}
	pids, err := children(parent)
	pids = append(pids, parent)
	signal := func(s syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, s) // one that has ended needs none
		}
	}
	if err != nil {
		signal(syscall.SIGCONT)
		return nil, fmt.Errorf("freezing the server: %w", err)
	}
	signal(syscall.SIGSTOP)
	return func() { signal(syscall.SIGCONT) }, nil
}

// children finds the processes whose parent is pid.
func children(pid int) (all []int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// "pid (name) state parent …"; the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		all = append(all, child)
	}
	if len(all) == 0 { // PostgreSQL always has some
		return nil, errors.New("no child processes in /proc")
	}
	return all, nil
}

// Ended reports whether the server has ended by itself, as it does when it cannot even
// recover from a crash. Restart starts it again.
func (c *Cluster) Ended() bool {
	if c.server == nil {
		return false
	}
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Execute runs one statement in the cluster's own database, as a superuser.
func (c *Cluster) Execute(sql string) error { return execute(c.URL(), sql) }
