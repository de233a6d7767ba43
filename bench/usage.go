package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used, or PostgreSQL with the backends of all connections.
type usage struct {
	cpu    time.Duration
	memory int64 // resident bytes; memory that processes share is counted once
}

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux
// (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
const tick = 10 * time.Millisecond

// readUsage reads what a program of ours uses.
func readUsage(pid int) (usage, error) {
	cpu, sizes, err := readOne(pid, false)
	return usage{cpu, sizes["VmRSS"]}, err
}

// readPostgres reads what a PostgreSQL server uses, with all its processes.
func readPostgres(pid int) (usage, error) {
	cpu, sizes, err := readOne(pid, true)
	if err != nil {
		return usage{}, err
	}
	// The program's file and the shared buffers are resident once for all of them.
	total, shared := usage{cpu, sizes["RssAnon"]}, sizes["RssShmem"]+sizes["RssFile"]
	for _, child := range children(pid) {
		cpu, sizes, err := readOne(child, true)
		if err != nil {
			continue // it ended: its time is its parent's now
		}
		total.cpu += cpu
		total.memory += sizes["RssAnon"]
		shared = max(shared, sizes["RssShmem"]+sizes["RssFile"])
	}
	total.memory += shared
	return total, nil
}

// readOne reads what one process has used, and if wanted those of its children that ended.
func readOne(pid int, ended bool) (cpu time.Duration, sizes map[string]int64, err error) {
	stat, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return 0, nil, fmt.Errorf("reading CPU time: %w", err)
	}
	if cpu, err = parseStat(stat, ended); err != nil {
		return 0, nil, err
	}
	status, err := os.ReadFile(proc(pid, "status"))
	if err != nil {
		return 0, nil, fmt.Errorf("reading memory: %w", err)
	}
	return cpu, parseStatus(status), nil
}

func proc(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// parseStat adds up utime and stime, and for children that ended cutime and cstime: fields
// 14 to 17. The name before them, in parentheses, may hold anything.
func parseStat(stat []byte, ended bool) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 15 {
		return 0, fmt.Errorf("reading CPU time: %q is no stat file", stat)
	}
	last := 13
	if ended {
		last = 15
	}
	var ticks int64
	for _, field := range fields[11:last] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// parseStatus reads the sizes of a status file, in bytes.
func parseStatus(status []byte) map[string]int64 {
	sizes := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		if kb, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
				sizes[name] = n << 10
			}
		}
	}
	return sizes
}

// readKept returns how much CPU time the hypervisor kept for others so far, and how much
// there was, over all cores. A figure that was measured while much was kept is a figure of a
// smaller machine.
func readKept() (kept, all time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("reading CPU time: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return parseKept(line)
}

// parseKept adds up the first eight times of the line "cpu": user, nice, system, idle,
// iowait, irq, softirq, steal (https://man7.org/linux/man-pages/man5/proc_stat.5.html). The
// others are part of these.
func parseKept(line string) (kept, all time.Duration, err error) {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("reading CPU time: %q is not the line of all cores", line)
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading CPU time: %w", err)
		}
		all += time.Duration(n) * tick
		if i == 7 {
			kept = time.Duration(n) * tick
		}
	}
	return kept, all, nil
}

// children are the processes that a process started and that still run.
func children(pid int) (pids []int) {
	text, err := os.ReadFile(proc(pid, "task/"+strconv.Itoa(pid)+"/children"))
	if err != nil {
		return nil
	}
	for _, field := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
