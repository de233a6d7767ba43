// Package chaos kills Tocsin's processes with kill -9, at random moments and at named
// places, while events are under way, and counts what was lost: nothing may be. `make
// chaos` runs it at length, `make test` one round of each kind. docs/reliability.md has
// the results.
package chaos
