// Command bench measures Tocsin from ingest to delivery, durably: the real processes over
// loopback, with PostgreSQL's default durability, and SQLite beside it. `make bench` builds
// what it runs.
//
// One part is one row of the table in docs/performance.md. A part starts a system of its
// own ([rig]): a database, a Temporal server, `tocsin serve`, tocsin-worker, and the
// receiver that webhooks deliver to. It puts load on it ([load]), waits until everything
// that was acknowledged has arrived, and says what it measured. A part that loses an event,
// or gets an answer other than it should, makes the whole program fail.
//
// What the machine itself can do is measured in the same run: rows into the same tables
// without the pipeline, and bare HTTP POSTs from the generator to the receiver.
package main
