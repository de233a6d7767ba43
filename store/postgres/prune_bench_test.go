package postgres_test

import (
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

func BenchmarkPrune(b *testing.B) {
	storetest.BenchmarkPrune(b, func() tocsin.Store { return open(b, pgtest.URL(b)) })
}
