package tocsin

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// crockford is the alphabet of ULIDs (https://github.com/ulid/spec): no I, L, O, U,
// and above all no '.', which would break the signed content of Standard Webhooks.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewID returns prefix + "_" + 26 characters: 48 bits of milliseconds, so that ids
// sort by time, and 80 random bits. It contains no '.'.
func NewID(prefix string) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand ends the process instead
	return prefix + "_" + crockford.EncodeToString(b[:])
}

// The prefixes of ids, one for each noun.
const (
	PrefixWebhook  = "wh"
	PrefixDelivery = "dlv"
	PrefixKey      = "key"
	PrefixMute     = "mute"
	PrefixReplay   = "replay"
	PrefixAudit    = "audit"
	PrefixSigning  = "sig"
	PrefixIncident = "inc"
)
