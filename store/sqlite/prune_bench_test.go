package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

func BenchmarkPrune(b *testing.B) {
	storetest.BenchmarkPrune(b, func() tocsin.Store {
		return open(b, filepath.Join(b.TempDir(), "tocsin.db"), sqlite.Options{})
	})
}
