package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/tocsin-alerts/tocsin"
)

// isState reports whether err is PostgreSQL's with one of the SQLSTATEs given
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func isState(err error, states ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range states {
		if e.Code == s {
			return true
		}
	}
	return false
}

// isTaken reports whether err is about a unique constraint or index.
func isTaken(err error, name string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505" && e.ConstraintName == name
}

// isRetryable reports whether the transaction was rolled back for another's sake.
func isRetryable(err error) bool { return isState(err, "40001", "40P01") || errors.Is(err, errPruned) }

// wrap says what was being done. Errors with a code of ours stay as they are; what is
// about the store itself becomes CodeUnavailable.
func wrap(doing string, err error) error {
	var ours *tocsin.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours), errors.Is(err, tocsin.ErrFenced), errors.Is(err, tocsin.ErrStaleRevision):
		return err
	case isState(err, "22021", "22P05"): // bytes or \u0000 that text cannot hold
		return tocsin.Errorf(tocsin.CodeInvalid, "%s: %w", doing, err)
	case isUnavailable(err):
		return tocsin.Errorf(tocsin.CodeUnavailable, "%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func isUnavailable(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		switch server.Code {
		case "25006", // read-only: a standby
			"3D000", "42P01", "42703", // no such database, table or column: not set up, or not migrated yet
			"55P03": // lock timeout
			return true
		}
		// Connection, authorization, rollback, resources (disk full), operator (shutdown),
		// system (I/O).
		switch server.Code[:min(2, len(server.Code))] {
		case "08", "28", "40", "53", "57", "58":
			return true
		}
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, puddle.ErrClosedPool) || pgconn.SafeToRetry(err) || errors.Is(err, pgconn.ErrConnClosed)
}
