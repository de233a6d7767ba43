package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/tocsin-alerts/tocsin"
)

// wrap says what was being done. The domain's errors stay as they are; those of the
// store itself (disk full, file away, locked by another) get CodeUnavailable.
func wrap(doing string, err error) error {
	var domain *tocsin.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tocsin.ErrFenced), errors.Is(err, tocsin.ErrStaleRevision), errors.As(err, &domain):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case unavailable(err):
		return tocsin.Errorf(tocsin.CodeUnavailable, "%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// unavailable tells troubles of the store from errors in what it was asked.
// The codes are described at https://www.sqlite.org/rescode.html.
func unavailable(err error) bool {
	if errors.Is(err, errClosed) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // without the extension
	case lib.SQLITE_FULL, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY,
		lib.SQLITE_NOMEM, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_PERM, lib.SQLITE_PROTOCOL:
		return true
	}
	return false
}
