package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// startBrowser starts a headless Chromium with an empty profile that ends with the test.
// The test is skipped where there is none.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("there is no Chromium: make deps installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en-US"))
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		cancel()
		release()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

// tab is a page of a browser, used as people use it: things are found by the role and the
// name that assistive technology is told, and acted on by mouse and keyboard. It keeps
// what went wrong beneath: see faults.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // of Tocsin, without a final slash

	mu    sync.Mutex
	wrong []string
}

// openTab opens a tab for the Tocsin at base.
func openTab(t *testing.T, browser context.Context, base string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: base}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	call(b, audits.Enable, cdp.Empty{})
	b.size(1600, 1000)
	return b
}

// try runs a command of the DevTools protocol.
func try[P, R any](b *tab, command cdp.Command[P, R], params P) (R, error) {
	return chromedp.Call(b.ctx, command, params)
}

// call runs one that has to succeed.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	answer, err := try(b, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return answer
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// listen keeps what a person would not see, and what must not happen.
func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if slices.Contains([]string{"error", "warning", "assert"}, string(e.Type)) {
			var words []string
			for _, a := range e.Args {
				words = append(words, cmp.Or(string(a.Value), a.Description))
			}
			b.fault("console.%s: %s", e.Type, strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.fault("exception: %s", text)
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			b.fault("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		text, _ := json.Marshal(e.Issue.Details) // it came as JSON
		// A field called name is one that Chromium would rather call otherwise.
		if !strings.Contains(string(text), "FormInputAssignedAutocompleteValue") {
			b.fault("issue %s: %s", e.Issue.Code, text)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled { // as requests are that are under way when the page is left
			b.fault("request failed: %s %s", e.ErrorText, e.BlockedReason)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			b.fault("answer %d: %s", e.Response.Status, e.Response.URL)
		}
	}
}

func (b *tab) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// faults returns what went wrong since it was last asked: errors and warnings of the
// console, violations of the content security policy, requests that failed.
func (b *tab) faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := b.wrong
	b.wrong = nil
	return wrong
}

// mustBeClean fails the test for what went wrong, but for what contains one of these.
func (b *tab) mustBeClean(where string, but ...string) {
	b.t.Helper()
	for _, fault := range b.faults() {
		if !slices.ContainsFunc(but, func(part string) bool { return strings.Contains(fault, part) }) {
			b.t.Errorf("%s: %s", where, fault)
		}
	}
}

// open loads a page by its path, and waits until it is there.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do("opening "+path, chromedp.Navigate(b.base+path))
}

// size makes the window as large as a phone's or a desk's.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	var how []chromedp.EmulateViewportOption
	if width < 600 {
		how = append(how, chromedp.EmulateMobile, chromedp.EmulatePortrait)
	}
	b.do("sizing the window", chromedp.EmulateViewport(width, height, how...))
}

// eval returns what an expression is in the page.
func eval[T any](b *tab, expression string) (T, error) {
	return chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
}

// path is where the browser is.
func (b *tab) path() string {
	b.t.Helper()
	at, err := eval[string](b, "location.pathname + location.search")
	if err != nil {
		b.t.Fatalf("asking where we are: %v", err)
	}
	return at
}

// text is what is to be seen of the page.
func (b *tab) text() (string, error) {
	text, err := eval[string](b, "document.body.innerText")
	return strings.Join(strings.Fields(text), " "), err
}

// see waits until all of these are on the page.
func (b *tab) see(all ...string) {
	b.t.Helper()
	var last string
	devtest.Until(b.t, fmt.Sprintf("%q on the page", all), func() error {
		text, err := b.text()
		if err != nil {
			return err // between two pages
		}
		last = text
		for _, want := range all {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				return fmt.Errorf("got no %q in %s", want, last)
			}
		}
		return nil
	})
}

// lacks fails the test where one of these is on the page.
func (b *tab) lacks(all ...string) {
	b.t.Helper()
	text, err := b.text()
	if err != nil {
		b.t.Fatalf("reading the page: %v", err)
	}
	for _, unwanted := range all {
		if strings.Contains(strings.ToLower(text), strings.ToLower(unwanted)) {
			b.t.Errorf("%s shows %q", b.path(), unwanted)
		}
	}
}

// thing is something on the page as assistive technology knows it.
type thing struct {
	role, name string
	node       cdp.BackendNodeID
}

// things returns everything of a role, in the order of the page; "" is everything.
func (b *tab) things(role string) ([]thing, error) {
	root, err := try(b, runtime.Evaluate, runtime.EvaluateParams{Expression: "document"})
	if err != nil {
		return nil, err
	}
	found, err := try(b, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{ObjectID: root.Result.ObjectID, Role: role})
	if err != nil {
		return nil, err
	}
	var all []thing
	for _, n := range found.Nodes {
		if !n.Ignored {
			all = append(all, thing{said(n.Role), said(n.Name), n.BackendDOMNodeID})
		}
	}
	return all, nil
}

func said(v *accessibility.Value) string {
	var text string
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // anything but a text is ""
	}
	return strings.Join(strings.Fields(text), " ")
}

// find waits for something of a role with this name, or the first whose name begins so.
func (b *tab) find(role, name string) thing {
	b.t.Helper()
	var got thing
	devtest.Until(b.t, fmt.Sprintf("a %s %q", role, name), func() error {
		all, err := b.things(role)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(x thing) bool { return x.name == name })
		if at < 0 {
			at = slices.IndexFunc(all, func(x thing) bool { return strings.HasPrefix(x.name, name) })
		}
		if at < 0 {
			return fmt.Errorf("%s has only %v", b.path(), names(all))
		}
		got = all[at]
		return nil
	})
	return got
}

// has reports whether something of a role with this name is on the page now.
func (b *tab) has(role, name string) bool {
	b.t.Helper()
	all, err := b.things(role)
	if err != nil {
		b.t.Fatalf("reading the page: %v", err)
	}
	return slices.ContainsFunc(all, func(x thing) bool { return x.name == name })
}

func names(all []thing) []string {
	var out []string
	for _, x := range all {
		out = append(out, x.name)
	}
	return out
}

// click clicks on the middle of something with the mouse.
func (b *tab) click(role, name string) {
	b.t.Helper()
	devtest.Until(b.t, fmt.Sprintf("clicking on the %s %q", role, name), func() error {
		x := b.find(role, name)
		if _, err := try(b, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: x.node}); err != nil {
			return err // it was replaced by a newer one
		}
		quads, err := try(b, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: x.node})
		if err != nil {
			return err
		}
		if len(quads.Quads) == 0 {
			return fmt.Errorf("it is nowhere on the screen")
		}
		q := quads.Quads[0]
		return chromedp.Do(b.ctx, chromedp.MouseClickXY((q[0]+q[4])/2, (q[1]+q[5])/2))
	})
}

// fill types into a field with this label, in place of what is there.
func (b *tab) fill(label, text string) {
	b.t.Helper()
	b.click("textbox", label)
	b.replace(text)
}

// replace types in place of what the field with the focus holds.
func (b *tab) replace(text string) {
	b.t.Helper()
	b.do("typing", chromedp.KeyEvent("a", chromedp.KeyModifiers(kb.ModifierCtrl)), chromedp.KeyEvent(text))
}

// press presses keys, of package kb.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do("pressing keys", chromedp.KeyEvent(keys))
}

// focused is what has the focus; nothing between two pages.
func (b *tab) focused() thing {
	active, err := try(b, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.activeElement"})
	if err != nil || active.Result.ObjectID == "" {
		return thing{}
	}
	found, err := try(b, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: active.Result.ObjectID, FetchRelatives: new(false)})
	if err != nil || len(found.Nodes) == 0 {
		return thing{}
	}
	n := found.Nodes[0]
	return thing{said(n.Role), said(n.Name), n.BackendDOMNodeID}
}

// tabTo presses Tab until something of this role and name has the focus, and fails the
// test when nothing of the kind is reached, or what has the focus does not show it.
func (b *tab) tabTo(role, name string) {
	b.t.Helper()
	const most = 200
	var seen []string
	for range most {
		b.press(kb.Tab)
		x := b.focused()
		if x.role == role && (x.name == name || strings.HasPrefix(x.name, name)) {
			ring, err := eval[bool](b, `(() => { const s = getComputedStyle(document.activeElement); return document.activeElement.matches(":focus-visible") && (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== "none"); })()`)
			if err != nil || !ring {
				b.t.Errorf("%s: the %s %q has the focus and does not show it (%v)", b.path(), role, name, err)
			}
			return
		}
		seen = append(seen, x.role+" "+x.name)
	}
	b.t.Fatalf("%s: %d presses of Tab do not reach the %s %q, but %q", b.path(), most, role, name, seen)
}
