package storetest

import (
	"fmt"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

// BenchmarkConfiguration reads what ingest works by, as after a change to one of very many
// webhooks: all of it, and what was changed alone.
func BenchmarkConfiguration(b *testing.B, s tocsin.Store) {
	const webhooks = 10_000
	for i := range webhooks {
		MustCreate(b, s, fmt.Sprintf("webhook %05d", i))
	}
	read := func(b *testing.B, known tocsin.Configuration) tocsin.Configuration {
		c, err := s.Configuration(b.Context(), known)
		if err != nil {
			b.Fatal(err)
		}
		if len(c.Webhooks) < webhooks {
			b.Fatalf("got %d webhooks", len(c.Webhooks))
		}
		return c
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, tocsin.Configuration{})
		}
	})
	b.Run("changed", func(b *testing.B) {
		known := read(b, tocsin.Configuration{})
		changed := known.Webhooks[webhooks/2]
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if changed, err = s.UpdateWebhook(b.Context(), changed); err != nil {
				b.Fatal(err)
			}
			known = read(b, known)
		}
	})
}
