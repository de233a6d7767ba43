package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// keyPrefix marks our keys, for people and for scanners of leaked secrets.
const keyPrefix = "tk_"

// NewKey returns a new API key of 256 random bits, and the hash it is stored under.
// The text is to be shown once and kept nowhere.
func NewKey() (text string, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	text = keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, HashKey(text)
}

// HashKey returns what a key is stored under. A key has 256 random bits, so a plain
// SHA-256 keeps it: there is nothing to guess.
func HashKey(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// ParseScopes checks the scopes of a new key: at least one of ingest, read and admin.
// The error is CodeInvalid about the field "scopes".
func ParseScopes(scopes []string) ([]string, error) {
	all := []string{ScopeIngest, ScopeRead, ScopeAdmin}
	if len(scopes) == 0 {
		return nil, tocsin.Invalid("scopes", "want at least one of %s", strings.Join(all, ", "))
	}
	var given []string
	for _, scope := range scopes {
		if !slices.Contains(all, scope) {
			hint := ""
			if near := catalog.Suggest(scope, all); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return nil, tocsin.Invalid("scopes", "%q is not a scope%s; allowed: %s", scope, hint, strings.Join(all, ", "))
		}
		if !slices.Contains(given, scope) {
			given = append(given, scope)
		}
	}
	return given, nil
}

const (
	// maxKeyName bounds the name of a key, in bytes.
	maxKeyName = 100
	// maxKeys bounds how many there are. A key is for a program or a person, and lists of
	// them are read whole.
	maxKeys = 1000
	// maxOverlap is how long a rotated key's old text works at most.
	maxOverlap = 30 * 24 * time.Hour
)

// CreateKey makes an API key, stores its hash, and returns its text, which is to be
// shown once. Without expires it works until it is deleted. Errors: CodeInvalid about
// name, scopes or expires; CodeConflict when the name is taken or there are too many;
// the store's own.
func CreateKey(ctx context.Context, store tocsin.Keys, name string, scopes []string, expires *time.Time) (key tocsin.Key, text string, err error) {
	checked, err := ParseScopes(scopes)
	if err != nil {
		return key, "", err
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxKeyName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return key, "", tocsin.Invalid("name", "want 1 to %d bytes of printable characters", maxKeyName)
	}
	if err := checkExpires(expires); err != nil {
		return key, "", err
	}
	all, err := store.ListKeys(ctx)
	if err != nil {
		return key, "", fmt.Errorf("counting keys: %w", err)
	}
	if len(all) >= maxKeys {
		return key, "", tocsin.Errorf(tocsin.CodeConflict, "there are %d keys, and no more are allowed; delete those that nobody uses", len(all))
	}
	text, hash := NewKey()
	key = tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: name, Scopes: checked, ExpiresAt: expires}
	if key, err = store.CreateKey(ctx, key, hash); err != nil {
		return key, "", fmt.Errorf("creating key %q: %w", name, err)
	}
	return key, text, nil
}

// RotateKey gives a key another text and returns it, to be shown once; the text it had
// works for overlap longer. expires, when not nil, is when it expires from now on.
// Errors: CodeInvalid about overlap or expires; ErrNotFound; the store's own.
func RotateKey(ctx context.Context, store tocsin.Keys, idOrName string, overlap time.Duration, expires *time.Time) (key tocsin.Key, text string, err error) {
	if overlap < 0 || overlap > maxOverlap {
		return key, "", tocsin.Invalid("overlap", "%s is not allowed; want 0s to %s", tocsin.Duration(overlap), tocsin.Duration(maxOverlap))
	}
	if err := checkExpires(expires); err != nil {
		return key, "", err
	}
	text, hash := NewKey()
	if key, err = store.RotateKey(ctx, idOrName, hash, overlap, expires); err != nil {
		return key, "", fmt.Errorf("rotating key %q: %w", idOrName, err)
	}
	return key, text, nil
}

// FindKey returns the key with a name or an id; an error with CodeNotFound that says
// what was looked for.
func FindKey(ctx context.Context, store tocsin.Keys, idOrName string) (tocsin.Key, error) {
	all, err := store.ListKeys(ctx)
	if err != nil {
		return tocsin.Key{}, fmt.Errorf("listing keys: %w", err)
	}
	for _, key := range all {
		if key.ID == idOrName || key.Name == idOrName {
			return key, nil
		}
	}
	return tocsin.Key{}, &tocsin.Error{
		Code: tocsin.CodeNotFound, Message: fmt.Sprintf("no key has the id or name %q", cut(idOrName)), Err: tocsin.ErrNotFound,
	}
}

func checkExpires(expires *time.Time) error {
	if expires != nil && !expires.After(time.Now()) {
		return tocsin.Invalid("expires", "%s is not in the future", expires.Format(time.RFC3339))
	}
	return nil
}

// ParseExpiry reads when a key expires: a duration from now on ("90d") or an RFC 3339
// time; "" is never, nil. The error is CodeInvalid about the field "expires".
func ParseExpiry(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if d, derr := tocsin.ParseDuration(text); derr == nil {
		at, err = now.Add(d.Std()), nil
	}
	if err != nil {
		return nil, tocsin.Invalid("expires", "%q is neither a duration nor an RFC 3339 time; write for example 90d or 2027-01-01T00:00:00Z", text)
	}
	return &at, nil
}
