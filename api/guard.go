package api

import (
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// caller is who sent a request, as the audit log names them.
type caller struct {
	// key is the key they hold; zero where none is asked for, or none was good.
	key tocsin.Key
	// user is the name of a person whom this process vouches for, who holds no key; see As.
	user string
	// scopes is what they may do.
	scopes []string
	// actor is "key NAME", "user NAME" or "anonymous".
	actor string
	// address is where from, without the port.
	address string
}

// name is what a mute or a replay says about who made it.
func (c caller) name() string {
	if c.key.Name != "" {
		return c.key.Name
	}
	return c.actor
}

// quoted is the actor as errors name them.
func (c caller) quoted() string {
	kind, name, _ := strings.Cut(c.actor, " ")
	return kind + " " + strconv.Quote(name)
}

// authorize finds out who sent a request and checks their key against the scope a route
// needs. The caller is of use after an error, too.
func (s *server) authorize(r *http.Request, scope string) (caller, error) {
	c := caller{actor: "anonymous", address: hostOf(r.RemoteAddr)}
	if s.Open || scope == scopePublic {
		return c, nil
	}
	if u, ok := userOf(r.Context()); ok {
		c.user, c.scopes, c.actor = u.name, u.scopes, "user "+u.name
	} else {
		key, err := s.authenticate(r, c.address, time.Now())
		if err != nil {
			return c, err
		}
		c.key, c.scopes, c.actor = key, key.Scopes, "key "+key.Name
	}
	if scope != scopeAny && !slices.Contains(c.scopes, scope) && !slices.Contains(c.scopes, ScopeAdmin) {
		return c, tocsin.Errorf(tocsin.CodeForbidden, "%s has the scopes %s; this needs %s", c.quoted(), strings.Join(c.scopes, ", "), scope)
	}
	return c, nil
}

// authenticate finds the key a request carries. Who fails too often is refused with
// tooManyTries; a key that is good works from there all the same.
func (s *server) authenticate(r *http.Request, address string, now time.Time) (tocsin.Key, error) {
	text, err := bearer(r)
	if err != nil {
		return tocsin.Key{}, s.tries.failed(address, now, err)
	}
	// Looked up by its hash: how long that takes says nothing about the key.
	hash := [sha256.Size]byte(HashKey(text))
	cached, known := s.keys.cached(hash)
	if known && now.Before(cached.until) {
		return cached.key, nil
	}
	if !known {
		if err := s.tries.mayLookUp(address, now); err != nil {
			return tocsin.Key{}, err
		}
	}
	ctx, cancel := patient(r.Context(), patience)
	defer cancel()
	key, err := s.keys.ask(ctx, s.Store, hash, now)
	if errors.Is(err, tocsin.ErrNotFound) {
		return key, s.tries.failed(address, now, tocsin.Errorf(tocsin.CodeUnauthorized, "the API key is not known, or has expired"))
	}
	return key, err
}

// bearer returns the text of the key in a request's header.
func bearer(r *http.Request) (string, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", tocsin.Errorf(tocsin.CodeUnauthorized, `no API key; send "Authorization: Bearer tk_…"`)
	}
	kind, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") || text == "" {
		return "", tocsin.Errorf(tocsin.CodeUnauthorized, `the Authorization header is not of the form "Bearer tk_…"`)
	}
	return strings.TrimSpace(text), nil
}

// hostOf returns an address without its port. Forwarding headers are not asked: anyone
// can write them.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	return addr.Unmap().WithZone("").String()
}

// network is what one client can be taken for: an IPv4 address, or an IPv6 /64, of
// which everybody has as many addresses as they like.
func network(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is4() {
		return host
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}
