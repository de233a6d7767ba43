//go:build !failpoints

// Package failpoint marks the places between two steps where a process may die. Built
// with the tag failpoints, for tests, TOCSIN_FAILPOINT=name or name:n ends the process
// there, as kill -9 would, at the first or the nth time it comes by. Without the tag,
// Hit does nothing and costs nothing.
package failpoint

// Hit is a place where the process may die.
func Hit(string) {}
