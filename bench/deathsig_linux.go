package main

import "syscall"

// ownGroup puts a process in a group of its own, so that Ctrl-C reaches this program alone,
// which then stops the others in order. When this program is killed they are killed too.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
