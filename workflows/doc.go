// Package workflows holds the workflows, and is the only home of task queue, workflow
// ids and the names of signals, updates and queries.
//
// [Webhook] is one configured webhook for as long as it lives, id webhook/<webhook id>.
// It holds ids and timers only: what is owed, and what is configured, is in the store,
// and the activity Deliver reads it there. Its loop is: drain the doorbell, deliver,
// wait. The order matters (see [Webhook]).
//
// [Replay] moves one replay on, id replay/<replay id>. [Sweep] runs every 30 s from a
// Temporal Schedule and rings webhooks that somebody left unattended; [Housekeeping]
// every 5 minutes, and removes what is old. [NewConductor] is how everybody else talks to the workflows.
package workflows
