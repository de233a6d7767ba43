package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// maxKeyName bounds the name of an API key, in bytes.
const maxKeyName = 100

// CreateKey makes an API key, stores its hash, and returns its text, which is to be
// shown once. Without expires it works until it is deleted. Errors: CodeInvalid about
// name, scopes or expires; CodeConflict when the name is taken; the store's own.
func CreateKey(ctx context.Context, store tocsin.Keys, name string, scopes []string, expires *time.Time) (key tocsin.Key, text string, err error) {
	checked, err := api.ParseScopes(scopes)
	if err != nil {
		return key, "", err
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxKeyName {
		return key, "", tocsin.Invalid("name", "want 1 to %d bytes", maxKeyName)
	}
	if expires != nil && !expires.After(time.Now()) {
		return key, "", tocsin.Invalid("expires", "%s is not in the future", expires.Format(time.RFC3339))
	}
	text, hash := api.NewKey()
	key = tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: name, Scopes: checked, ExpiresAt: expires}
	if key, err = store.CreateKey(ctx, key, hash); err != nil {
		return key, "", fmt.Errorf("creating key %q: %w", name, err)
	}
	return key, text, nil
}
