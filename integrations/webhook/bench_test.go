package webhook

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"
)

// BenchmarkSign signs a body of 2 KB with a secret (v1), a key (v1a), and both.
func BenchmarkSign(b *testing.B) {
	secrets := [][]byte{bytes.Repeat([]byte("s"), 32)}
	keys := []ed25519.PrivateKey{ed25519.NewKeyFromSeed(bytes.Repeat([]byte("k"), ed25519.SeedSize))}
	body := bytes.Repeat([]byte("x"), 2048)
	for _, row := range []struct {
		name    string
		secrets [][]byte
		keys    []ed25519.PrivateKey
	}{{"v1", secrets, nil}, {"v1a", nil, keys}, {"both", secrets, keys}} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				signature("dlv_01JBENCH0000000000000000", time.Unix(1772441100, 0), body, row.secrets, row.keys)
			}
		})
	}
}
