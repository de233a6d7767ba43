package e2e_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// axe is the accessibility checker axe-core 4.14.1, for tests only; its licence is beside
// it.
//
//go:embed testdata/axe/axe.min.js
var axe string

// violation is what axe found wrong, and where.
type violation struct {
	ID, Impact, Help, HelpURL string
	Nodes                     []struct {
		Target         []any
		FailureSummary string
	}
}

func (v violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s, %s", v.ID, v.Impact, v.Help, v.HelpURL)
	for _, n := range v.Nodes {
		fmt.Fprintf(&b, "\n\t%v: %s", n.Target, strings.Join(strings.Fields(n.FailureSummary), " "))
	}
	return b.String()
}

// The rules of WCAG 2.2 at level AA, and what axe holds for good practice. Those about
// colours are all that another theme can change.
const (
	everyRule  = `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`
	colourRule = `{type: "rule", values: ["color-contrast", "link-in-text-block"]}`
)

// violations runs axe in a world of its own: the page's policy keeps what it is, and none
// of the page's scripts meets it.
func (b *tab) violations(rules string) ([]violation, error) {
	frames, err := try(b, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return nil, err
	}
	world, err := try(b, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frames.FrameTree.Frame.ID, WorldName: "axe"})
	if err != nil {
		return nil, err
	}
	run := axe + `;
axe.run(document, {runOnly: ` + rules + `, resultTypes: ["violations"], iframes: false, preload: false}).then((r) =>
	r.violations.map((v) => ({id: v.id, impact: v.impact, help: v.help, helpURL: v.helpUrl, nodes: v.nodes.map((n) => ({target: n.target, failureSummary: n.failureSummary}))})))`
	answer, err := try(b, runtime.Evaluate, runtime.EvaluateParams{Expression: run, ContextID: world.ExecutionContextID, AwaitPromise: new(true), ReturnByValue: new(true)})
	if err != nil {
		return nil, err
	}
	if e := answer.ExceptionDetails; e != nil {
		text, _ := json.Marshal(e) // it came as JSON
		return nil, errors.New(string(text))
	}
	var found []violation
	if err := json.Unmarshal(answer.Result.Value, &found); err != nil {
		return nil, fmt.Errorf("reading what axe says: %w", err)
	}
	return found, nil
}

// mustBeAccessible fails the test for everything that axe finds.
func (b *tab) mustBeAccessible(where, rules string) {
	b.t.Helper()
	var found []violation
	devtest.Until(b.t, "axe to check "+where, func() (err error) {
		found, err = b.violations(rules) // a live part may change beneath it
		return err
	})
	for _, v := range found {
		b.t.Errorf("%s: %s", where, v)
	}
}

// theme makes the system's colours light or dark.
func (b *tab) theme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// tooWide lists what stands out of the window on the right, though it does not scroll by
// itself.
const tooWide = `(() => {
	const wide = %d, root = document.documentElement;
	if (Math.max(root.scrollWidth, document.body.scrollWidth) <= wide) return [];
	return [...document.body.querySelectorAll("*")].filter((e) => {
		if (e.getBoundingClientRect().right <= wide + 1) return false;
		for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
			if (getComputedStyle(p).overflowX !== "visible") return false;
		return true;
	}).slice(0, 8).map((e) => e.outerHTML.slice(0, 160)).concat("the page is " + root.scrollWidth + " px wide");
})()`

// mustFit fails the test when the page scrolls sideways.
func (b *tab) mustFit(where string, width int64) {
	b.t.Helper()
	wide, err := eval[[]string](b, fmt.Sprintf(tooWide, width))
	if err != nil {
		b.t.Fatalf("measuring %s: %v", where, err)
	}
	if len(wide) > 0 {
		b.t.Errorf("%s scrolls sideways at %d px: %s", where, width, strings.Join(wide, "\n\t"))
	}
}

// loose lists what a page promises and does not hold: forms that change something and
// carry no token, ids that are there twice, links to places of the page that are not.
const loose = `(() => {
	const cut = (e) => e.outerHTML.slice(0, 160), ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
	return [
		...[...document.forms].filter((f) => f.method === "post" && !f.querySelector("[name=csrf]") && !f.action.endsWith("/sign-in")).map((f) => "a form without a token: " + cut(f)),
		...ids.filter((id, n) => ids.indexOf(id) !== n).map((id) => "an id there is twice: " + id),
		...[...document.querySelectorAll("a[href^='#']")].filter((a) => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map((a) => "a link to nowhere: " + cut(a)),
	];
})()`

func (b *tab) mustHoldTogether(where string) {
	b.t.Helper()
	found, err := eval[[]string](b, loose)
	if err != nil {
		b.t.Fatalf("reading %s: %v", where, err)
	}
	for _, f := range found {
		b.t.Errorf("%s has %s", where, f)
	}
}
