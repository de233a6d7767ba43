package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

var auditCases = []testCase{
	{"an audit entry, begun and completed", auditEntry},
	{"an audit entry that is not there", auditMissing},
	{"an audit entry of odd bytes", auditOdd},
	{"AuditEntries, newest first, page by page", auditPages},
	{"AuditEntries by each field", auditFilters},
}

func (k *kit) audit(e tocsin.AuditEntry) tocsin.AuditEntry {
	k.t.Helper()
	stored, err := k.s.BeginAudit(k.ctx, e)
	k.ok(err)
	return stored
}

// audited returns all pages of a query, and checks that none is longer than its limit.
func (k *kit) audited(q tocsin.AuditQuery) []tocsin.AuditEntry {
	k.t.Helper()
	var out []tocsin.AuditEntry
	for {
		page, next, err := k.s.AuditEntries(k.ctx, q)
		k.ok(err)
		if len(page) > q.Limit || (next != "" && len(page) == 0) {
			k.t.Fatalf("a page of %d for limit %d, next %q", len(page), q.Limit, next)
		}
		out = append(out, page...)
		if next == "" {
			return out
		}
		q.Cursor = next
	}
}

var everyEntry = tocsin.AuditQuery{Page: tocsin.Page{Limit: 1000}}

func auditEntry(k *kit) {
	// Forms that do not survive being decoded and encoded again.
	before, after := json.RawMessage("{ \"b\":1,\t\"a\": 1.10, \"a\":\"\\u0000 ü\" }"), json.RawMessage(`[ 2 ]`)
	begun := k.audit(tocsin.AuditEntry{
		Actor: "key ci", Address: "192.0.2.1", Action: "webhook.update", Object: "wh_1", Name: "a", Before: before,
	})
	if !strings.HasPrefix(begun.ID, tocsin.PrefixAudit+"_") || begun.At.IsZero() {
		k.t.Fatalf("got id %q and time %v", begun.ID, begun.At)
	}
	want := tocsin.AuditEntry{
		ID: begun.ID, At: begun.At, Actor: "key ci", Address: "192.0.2.1", Action: "webhook.update", Object: "wh_1", Name: "a", Before: before,
	}
	k.same("begun", begun, want)
	k.same("stored", k.audited(everyEntry), []tocsin.AuditEntry{want})

	// What EndAudit does not say stays.
	k.ok(k.s.EndAudit(k.ctx, tocsin.AuditEntry{ID: begun.ID, Outcome: tocsin.AuditDone, After: after}))
	want.Outcome, want.After = tocsin.AuditDone, after
	k.same("completed", k.audited(everyEntry), []tocsin.AuditEntry{want})
	k.ok(k.s.EndAudit(k.ctx, tocsin.AuditEntry{
		ID: begun.ID, Outcome: tocsin.AuditFailed, Detail: "disk full", Object: "wh_2", Name: "b", Before: after, After: before,
	}))
	want.Outcome, want.Detail, want.Object, want.Name, want.Before, want.After = tocsin.AuditFailed, "disk full", "wh_2", "b", after, before
	k.same("completed otherwise", k.audited(everyEntry), []tocsin.AuditEntry{want})

	// Begun again with its ID, as after an answer that was lost, it is the same entry.
	k.same("begun again", k.audit(tocsin.AuditEntry{ID: begun.ID, Actor: "key ci", Action: "webhook.update"}), want)
}

func auditMissing(k *kit) {
	k.is(k.s.EndAudit(k.ctx, tocsin.AuditEntry{ID: "audit_none", Outcome: tocsin.AuditDone}), tocsin.ErrNotFound)
}

// auditOdd: what a stranger sent must not keep its refusal from being written down.
func auditOdd(k *kit) {
	got := k.audit(tocsin.AuditEntry{Actor: "anonymous", Action: "api.refuse", Name: "a\x00b\xff", Outcome: tocsin.AuditRefused, Detail: "\x00"})
	k.same("entry", got, tocsin.AuditEntry{
		ID: got.ID, At: got.At, Actor: "anonymous", Action: "api.refuse", Name: "a\uFFFDb\uFFFD", Outcome: tocsin.AuditRefused, Detail: "\uFFFD",
	})
	if _, err := k.s.BeginAudit(k.ctx, tocsin.AuditEntry{Actor: "x", Action: "y.z", After: json.RawMessage(`{`)}); err == nil {
		k.t.Fatal("an entry with half a JSON was stored")
	}
}

func auditPages(k *kit) {
	var want []tocsin.AuditEntry
	for i := range 12 {
		want = append(want, k.audit(tocsin.AuditEntry{Actor: fmt.Sprint("key ", i), Action: "webhook.create"}))
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 5, 11, 12, 13, 1000} {
		k.same("entries", k.audited(tocsin.AuditQuery{Page: tocsin.Page{Limit: limit}}), want)
	}
	page, next, err := k.s.AuditEntries(k.ctx, tocsin.AuditQuery{Page: tocsin.Page{Limit: 2}})
	k.ok(err)
	k.audit(tocsin.AuditEntry{Actor: "later", Action: "webhook.create"}) // moves no page
	rest, _, err := k.s.AuditEntries(k.ctx, tocsin.AuditQuery{Page: tocsin.Page{Limit: 2, Cursor: next}})
	k.ok(err)
	k.same("two pages", append(page, rest...), want[:4])
	_, _, err = k.s.AuditEntries(k.ctx, tocsin.AuditQuery{Page: tocsin.Page{Limit: 2, Cursor: "nonsense"}})
	k.code(err, tocsin.CodeInvalid)
}

func auditFilters(k *kit) {
	var all []tocsin.AuditEntry
	for _, e := range []tocsin.AuditEntry{
		{Actor: "key a", Action: "webhook.create", Object: "wh_1"}, {Actor: "key b", Action: "webhook.create", Object: "wh_2"},
		{Actor: "key a", Action: "webhook.delete", Object: "wh_2"}, {Actor: "key b", Action: "key.create", Object: "key_1"},
	} {
		all = append(all, k.audit(e))
		k.laterThan(all[len(all)-1].At)
	}
	for name, c := range map[string]struct {
		q    tocsin.AuditQuery
		want []tocsin.AuditEntry
	}{
		"actor":     {tocsin.AuditQuery{Actor: "key a"}, []tocsin.AuditEntry{all[2], all[0]}},
		"action":    {tocsin.AuditQuery{Action: "webhook.create"}, []tocsin.AuditEntry{all[1], all[0]}},
		"object":    {tocsin.AuditQuery{Object: "wh_2"}, []tocsin.AuditEntry{all[2], all[1]}},
		"two":       {tocsin.AuditQuery{Object: "wh_2", Actor: "key b"}, []tocsin.AuditEntry{all[1]}},
		"since":     {tocsin.AuditQuery{Since: all[2].At}, []tocsin.AuditEntry{all[3], all[2]}},
		"until":     {tocsin.AuditQuery{Until: all[2].At}, []tocsin.AuditEntry{all[1], all[0]}},
		"no such":   {tocsin.AuditQuery{Actor: "key"}, nil},
		"in pieces": {tocsin.AuditQuery{Actor: "key b", Page: tocsin.Page{Limit: 1}}, []tocsin.AuditEntry{all[3], all[1]}},
	} {
		if c.q.Limit == 0 {
			c.q.Limit = 10
		}
		k.same(name, k.audited(c.q), c.want)
	}
}
