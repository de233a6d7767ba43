package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

func BenchmarkConfiguration(b *testing.B) {
	storetest.BenchmarkConfiguration(b, open(b, filepath.Join(b.TempDir(), "tocsin.db"), sqlite.Options{}))
}
