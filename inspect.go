package tocsin

import (
	"context"
	"time"
)

// StoreInfo is what a store says of itself.
type StoreInfo struct {
	// Product is the database and its version: "PostgreSQL 15.4".
	Product string `json:"product"`
	// Schema is the version of the schema, 0 for none, and Wanted the one this program
	// knows.
	Schema int `json:"schema"`
	Wanted int `json:"wanted"`
	// Now is the store's clock.
	Now time.Time `json:"now"`
	// Connections is how many clients there are, and MaxConnections how many the database
	// admits from us; 0 and 0 where that is nobody's concern.
	Connections    int `json:"connections"`
	MaxConnections int `json:"max_connections"`
}

// Inspector is what stores offer beside [Store], for those who look after an
// installation. Both stores have it.
type Inspector interface {
	// Inspect works on a store that is not migrated, too. A store that cannot be reached is
	// an error with CodeUnavailable.
	Inspect(ctx context.Context) (StoreInfo, error)
	// MigrateWith is [Store]'s Migrate, which tells progress before each of the migrations
	// it makes: done of the total of this call, and the name of the next. It returns the
	// versions before and after.
	MigrateWith(ctx context.Context, progress func(done, total int, next string)) (from, to int, err error)
}
