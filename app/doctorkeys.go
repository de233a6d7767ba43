package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations"
)

// checkKeys reads the key ring and opens everything that is sealed with it. The ring is
// nil when there is none, or the store cannot be read.
func (d *doctor) checkKeys(ctx context.Context) *tocsin.KeyRing {
	const mend = "set TOCSIN_SECRET_KEY to what serve and the workers have; tocsin keys ring makes one for a new installation"
	text := d.Getenv("TOCSIN_SECRET_KEY")
	switch {
	case text == "" && d.store == nil:
		d.add("keys", "TOCSIN_SECRET_KEY", CheckSkipped, "", "it is not set; only serve, the workers and commands that open the store need it")
		return nil
	case text == "":
		d.add("keys", "TOCSIN_SECRET_KEY", CheckFail, mend, "it is not set")
		return nil
	}
	ring, err := tocsin.ParseKeyRing(text)
	if err != nil {
		d.add("keys", "TOCSIN_SECRET_KEY", CheckFail, mend, "%v", err)
		return nil
	}
	d.add("keys", "TOCSIN_SECRET_KEY", CheckOK, "", "it parses; the key %q seals", ring.First())
	if d.store != nil {
		d.checkSealed(ctx, ring)
	}
	return ring
}

func (d *doctor) checkSealed(ctx context.Context, ring *tocsin.KeyRing) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	webhooks, err := d.store.SealedWebhooks(ctx)
	keys, errKeys := d.store.SigningKeys(ctx)
	if err = errors.Join(err, errKeys); err != nil {
		d.add("keys", "sealed", CheckFail, "see the store's checks", "%v", err)
		return
	}
	sealed := make(map[string][]byte, len(webhooks)+len(keys))
	for id, secret := range webhooks {
		sealed[id] = secret
	}
	for _, k := range keys {
		sealed[k.ID] = k.Sealed
	}
	var closed, older int
	missing := map[string]bool{}
	for id, secret := range sealed {
		if _, err := ring.Open(secret, id); err != nil {
			closed++
			missing[firstText(ring.SealedBy(secret), "?")] = true
		} else if ring.SealedBy(secret) != ring.First() {
			older++
		}
	}
	switch {
	case closed > 0:
		var ids []string
		for id := range missing {
			ids = append(ids, fmt.Sprintf("%q", id))
		}
		d.add("keys", "sealed", CheckFail, "put the key they were sealed with onto the ring (behind a comma); the first key seals, all open",
			"%d of %d secrets do not open; they were sealed by %s", closed, len(sealed), strings.Join(ids, ", "))
	case older > 0:
		d.add("keys", "sealed", CheckWarn, "run tocsin secrets reseal before an older key leaves the ring", "all %d secrets open; %d are sealed by an older key", len(sealed), older)
	default:
		d.add("keys", "sealed", CheckOK, "", "all %d secrets open", len(sealed))
	}
}

// checkEgress asks of each webhook whether its host resolves here and may be sent to.
// Nothing is sent.
func (d *doctor) checkEgress(ctx context.Context, ring *tocsin.KeyRing, allow []netip.Prefix) {
	ctx, cancel := context.WithTimeout(ctx, 6*checkTimeout)
	defer cancel()
	_, all, err := d.store.ListWebhooks(ctx)
	if err != nil {
		d.add("egress", "webhooks", CheckFail, "see the store's checks", "%v", err)
		return
	}
	names := &resolver{}
	channels := map[string]tocsin.Channel{}
	for _, ch := range integrations.Channels(integrations.Options{AllowCIDRs: allow, Resolver: names}) {
		channels[ch.Name()] = ch
	}
	good := 0
	for _, w := range all {
		names.reset()
		config, err := ring.Open(w.Sealed, w.ID)
		ch := channels[w.Channel]
		if err != nil || ch == nil {
			continue // the keys' checks say so
		}
		err = ch.Validate(ctx, json.RawMessage(config))
		switch lost := names.unknown(); {
		case err != nil:
			d.add("egress", w.Name, CheckFail, "correct it with tocsin webhooks apply, or allow the network in TOCSIN_EGRESS_ALLOW of serve and the workers", "%v", err)
		case len(lost) > 0:
			d.add("egress", w.Name, CheckWarn, "see that the name is right, and that DNS answers where the workers run", "does not resolve from here: %s", strings.Join(lost, ", "))
		default:
			good++
		}
	}
	d.add("egress", "webhooks", CheckOK, "", "%d of %d resolve and may be sent to", good, len(all))
}

// resolver is the system's, and remembers what it did not find.
type resolver struct {
	mu   sync.Mutex
	lost []string
}

// LookupNetIP looks a host up as net.Resolver does.
func (r *resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lost = append(r.lost, host)
	}
	return addrs, err
}

func (r *resolver) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = nil
}

func (r *resolver) unknown() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}
