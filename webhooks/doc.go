// Package webhooks is the configuration service: it decodes what users write,
// fills in defaults, says everything that is wrong at once, seals secrets, and keeps
// the order "store first, workflow second" for every change.
//
// The store is the truth about configuration and state. A change is committed there
// and answered even while Temporal is away; telling the workflow is best effort, since
// the sweeper makes up for what was missed.
//
// Beside webhooks it keeps what else people configure: mutes, replays, and the keys that
// secrets are sealed and deliveries signed with.
package webhooks
