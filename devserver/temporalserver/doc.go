// Package temporalserver embeds a whole Temporal server, and its Web UI, on SQLite.
//
// It is made from the public packages of go.temporal.io/server and
// github.com/temporalio/ui-server. One process serves one database file: the file is
// locked, set up in one transaction, and stamped with the version of the server that
// made it, since there is no supported way to bring a SQLite database of another version
// up to date. The journal is a write-ahead log with synchronous = FULL, so what the server
// has acknowledged survives kill -9 and loss of power.
//
// It is meant for development and for small installations on one machine: SQLite has one
// writer, and there is neither authentication nor encryption, so it listens on loopback
// unless told otherwise.
package temporalserver
