package postgres_test

import (
	"testing"

	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

func BenchmarkConfiguration(b *testing.B) {
	storetest.BenchmarkConfiguration(b, open(b, pgtest.URL(b)))
}
