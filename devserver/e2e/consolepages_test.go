package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var screenshots = flag.String("screenshots", "", "`folder` for pictures of the console's pages; none by default")

// The windows that pages are looked at in: a phone's, and a desk's.
const (
	narrow, narrowHeight = 380, 800
	wide, wideHeight     = 1600, 1000
)

// consolePage is a page that is looked at. Pictures are taken of those with a picture's name,
// also in the dark for those that say so.
type consolePage struct {
	path, picture string
	dark          bool
	// open says to open first what is folded.
	open bool
	// but is what may go wrong: "404" for a page that is not there.
	but []string
}

// consolePages is every page of the navigation, and one of each kind below them.
func (f *furnished) consolePages() []consolePage {
	webhook := func(name string) string { return "webhooks/" + f.webhooks[name] }
	return []consolePage{
		{path: "", picture: "overview", dark: true},
		{path: "incidents", picture: "incidents"},
		{path: "incidents?state=resolved"},
		{path: "incidents/" + f.first("/v1/incidents"), picture: "incident"},
		{path: "dead-letters", open: true},
		{path: "dead-letters?webhook=" + f.webhooks["legacy-siem"], picture: "dead-letters"},
		{path: "dead-letters?webhook=" + f.webhooks["demo-instant"]},
		{path: "webhooks", picture: "webhooks"},
		{path: "webhooks?state=failing"},
		{path: "webhooks?q=nothing-is-called-so"},
		{path: "webhooks/new", picture: "webhook-new"},
		{path: "webhooks/new?channel=jira", open: true},
		{path: "webhooks/new?channel=email"},
		{path: webhook("on-call"), picture: "webhook", dark: true},
		{path: webhook("demo-periodic"), open: true},
		{path: webhook("former-tool")},
		{path: webhook("demo-periodic") + "/edit", open: true},
		{path: "alert-types", picture: "alert-types"},
		{path: "alert-types", open: true},
		{path: "mutes", picture: "mutes"},
		{path: "mutes?ended=true", open: true},
		{path: "mutes/" + f.first("/v1/mutes"), open: true},
		{path: "mutes/new", open: true},
		{path: "events"},
		{path: "events?min_severity=medium", picture: "events"},
		{path: "events?q=nothing-says-so"},
		{path: f.event("type=threat.detected"), picture: "event"},
		{path: f.event("q=unbroken"), open: true},
		{path: f.event("q=" + url.QueryEscape("<script>"))},
		{path: "deliveries", picture: "deliveries"},
		{path: "deliveries?state=dead"},
		{path: "deliveries/" + f.first("/v1/deliveries?webhook=on-call"), picture: "delivery", dark: true},
		{path: "deliveries/" + f.first("/v1/deliveries?webhook=strange-texts"), open: true},
		{path: "deliveries/" + f.first("/v1/deliveries?webhook=demo-instant"), open: true},
		{path: "replays", picture: "replays"},
		{path: "replays/" + f.first("/v1/replays"), open: true},
		{path: "replays/new?webhook=" + f.webhooks["legacy-siem"]},
		{path: "ledger", picture: "ledger"},
		{path: "ledger?webhook=" + f.webhooks["legacy-siem"], open: true},
		{path: "keys", picture: "keys"},
		{path: "keys/" + f.first("/v1/keys"), open: true},
		{path: "keys/new"},
		{path: "audit", picture: "audit"},
		{path: "audit?object=" + f.webhooks["weekend"], open: true},
		{path: "webhooks/wh_nothing", but: []string{"404"}},
	}
}

// Every page, with data on it, at a desk and on a phone, light and dark: axe finds nothing,
// nothing scrolls sideways, nothing fails, and nothing is reported to the console.
func TestConsolePages(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of a browser")
	}
	browser := startBrowser(t)
	f := furnish(t)
	t.Run("links", func(t *testing.T) { crawl(t, f.URL, f.UIAddr) })
	t.Run("pages", func(t *testing.T) {
		for n, p := range f.consolePages() {
			t.Run(fmt.Sprintf("%02d %s", n, p.path), func(t *testing.T) {
				t.Parallel()
				look(t, browser, f.URL, p)
			})
		}
	})
}

// look looks at one page in every way.
func look(t *testing.T, browser context.Context, base string, p consolePage) {
	b := openTab(t, browser, base)
	b.theme("light")
	b.size(wide, wideHeight)
	b.open("/console/" + p.path)
	if p.open {
		b.openAll()
	}
	b.mustHoldTogether(p.path)
	for _, w := range []struct {
		width, height int64
	}{{wide, wideHeight}, {narrow, narrowHeight}} {
		b.theme("light")
		b.size(w.width, w.height)
		b.mustFit(p.path, w.width)
		b.shoot(t, p, p.picture, w.width)
		b.mustBeAccessible(fmt.Sprintf("%s, light, %d px", p.path, w.width), everyRule)
		b.theme("dark")
		if p.dark {
			b.shoot(t, p, p.picture+"-dark", w.width)
		}
		b.mustBeAccessible(fmt.Sprintf("%s, dark, %d px", p.path, w.width), colourRule)
	}
	b.mustBeClean(p.path, p.but...)
}

// shoot takes a picture where pictures are wanted.
func (b *tab) shoot(t *testing.T, p consolePage, name string, width int64) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	if p.picture == "" { // of use for looking, not for documents
		name = "more-" + strings.Trim(regexp.MustCompile(`[^a-z]+`).ReplaceAllString(p.path, "-"), "-")
	}
	b.picture(t, *screenshots, fmt.Sprintf("console-%s-%d", name, width), width)
}

// openAll opens whatever is folded in the page's own part.
func (b *tab) openAll() {
	b.t.Helper()
	if _, err := eval[int](b, `[...document.querySelectorAll("main details")].map((d) => { d.open = true; }).length`); err != nil {
		b.t.Fatalf("opening what is folded: %v", err)
	}
}

var hrefs = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

// crawl follows every link of every page, within the console and one step out of it to
// others on this machine; all have to answer 200.
func crawl(t *testing.T, base string, also ...string) {
	const most = 600
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	start, err := url.Parse(base + "/console/")
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]bool{start.Host: true}
	for _, host := range also {
		hosts[host] = true
	}
	from, queue := map[string]string{start.String(): "the start"}, []*url.URL{start}
	for n := 0; n < len(queue) && n < most; n++ {
		at := queue[n]
		for _, next := range follow(t, client, at, from[at.String()]) {
			if next.Fragment = ""; hosts[next.Host] && from[next.String()] == "" {
				from[next.String()] = at.String()
				queue = append(queue, next)
			}
		}
	}
	if len(queue) < 40 {
		t.Errorf("only %d pages were found", len(queue))
	}
	t.Logf("%d addresses", len(queue))
}

// follow loads a page and returns where its links lead; nothing for what is none of the
// console's.
func follow(t *testing.T, client *http.Client, at *url.URL, from string) []*url.URL {
	t.Helper()
	resp, err := client.Get(at.String())
	if err != nil {
		t.Errorf("%s, linked from %s: %v", at, from, err)
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s, linked from %s, answers %d (%v)", at, from, resp.StatusCode, err)
		return nil
	}
	if !strings.HasPrefix(at.Path, "/console/") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	var all []*url.URL
	for _, match := range hrefs.FindAllSubmatch(body, -1) {
		to, err := at.Parse(html.UnescapeString(string(match[1])))
		if err != nil {
			t.Errorf("%s has the link %q: %v", at, match[1], err)
			continue
		}
		all = append(all, to)
	}
	return all
}
