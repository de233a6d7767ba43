package e2e_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// The whole of it as somebody sees it who has just started tocsin-dev: a webhook by the
// form, an event by a button and by the API, deliveries that appear without reloading, a
// receiver that breaks, why, and what helps.
func TestConsoleStory(t *testing.T) {
	browser := startBrowser(t)
	dev := devtest.StartDev(t, devtest.DevOptions{})
	receiver := devtest.NewReceiver(t)
	b := openTab(t, browser, dev.URL)

	b.open("/console/")
	b.see("First steps", "Say where alerts go")
	b.click("link", "Create a webhook")
	b.createByForm(receiver.URL("orders"))
	b.sendExample()
	receiver.MustCount(1)
	b.watch(dev, receiver)
	b.outage(dev, receiver)
	b.deadLetter(dev, receiver)

	b.click("link", "Ledger")
	b.see("It adds up", "4 accepted", "4 delivered", "0 dead")
	dev.MustSettle("orders")
	b.mustBeClean("the story", "answer 422", "status of 422") // the form that was refused
}

// createByForm creates the webhook "orders", wrongly at first.
func (b *tab) createByForm(address string) {
	b.t.Helper()
	b.see("New webhook")
	b.fill("Name", "orders")
	b.fill("URL", "ftp://nowhere")
	b.click("radio", "Instant")
	b.click("button", "Create webhook")
	b.see("The input is not valid", "config.url", "https")
	b.mustBeAccessible("a form that was refused", everyRule)
	if x := b.field("Name"); x != "orders" {
		b.t.Errorf("what was typed is %q now", x)
	}
	b.fill("URL", address)
	b.click("button", "Create webhook")
	b.see("The webhook is created")
}

// field is what a field holds.
func (b *tab) field(label string) string {
	b.t.Helper()
	b.click("textbox", label)
	value, err := eval[string](b, "document.activeElement.value")
	if err != nil {
		b.t.Fatalf("reading the field %s: %v", label, err)
	}
	return value
}

// sendExample sends an example from the page of alert types.
func (b *tab) sendExample() {
	b.t.Helper()
	b.click("link", "Alert types")
	b.click("DisclosureTriangle", "Critical Findings")
	b.click("button", "Send this example")
	b.see("The example is accepted", "orders", "It is not sent again unless somebody redelivers it")
}

// stay marks the page, and stayed fails the test when it was loaded again since.
func (b *tab) stay() {
	b.t.Helper()
	if _, err := eval[int](b, "window.stayed = 1"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) stayed() {
	b.t.Helper()
	if was, err := eval[bool](b, "window.stayed === 1"); err != nil || !was {
		b.t.Errorf("%s was loaded again (%v)", b.path(), err)
	}
}

// watch sees an event from the API being delivered, on the webhook's page.
func (b *tab) watch(dev *devtest.DevProcess, receiver *devtest.Receiver) {
	b.t.Helper()
	b.click("link", "Webhooks")
	b.click("link", "orders")
	b.see("orders", "Of 1 accepted: 1 delivered")
	b.stay()
	dev.MustSend(devtest.Events("custom.test", 1)...)
	receiver.MustCount(2)
	b.see("Of 2 accepted: 2 delivered")
	b.stayed()
}

// outage sees the webhook fail, why, and recover when told that the receiver is back.
func (b *tab) outage(dev *devtest.DevProcess, receiver *devtest.Receiver) {
	b.t.Helper()
	receiver.Fail(http.StatusServiceUnavailable)
	b.stay()
	dev.MustSend(devtest.Events("custom.test", 1)...)
	b.see("503 Service Unavailable", "Of 3 accepted: 2 delivered")
	b.stayed()
	receiver.Recover()
	b.click("button", "Run now")
	b.see("Of 3 accepted: 3 delivered", "active")
}

var deliveryID = regexp.MustCompile(`^dlv_`)

// deadLetter sees an event refused for good, why, and sends it again.
func (b *tab) deadLetter(dev *devtest.DevProcess, receiver *devtest.Receiver) {
	b.t.Helper()
	receiver.Fail(http.StatusBadRequest)
	dev.MustSend(devtest.Events("custom.test", 1)...)
	b.see("1 dead")
	b.click("link", "Dead letters")
	b.see("Deliveries with dead events", "400")
	b.click("link", b.firstLink(deliveryID))
	b.see("dead", "400 Bad Request", "Attempt 1")
	receiver.Recover()
	b.click("DisclosureTriangle", "Redeliver")
	b.click("button", "Send it again")
	b.see("Attempt 2, the latest", "200 OK", "delivered")
}

// firstLink is the name of the first link that is like that.
func (b *tab) firstLink(like *regexp.Regexp) string {
	b.t.Helper()
	all, err := b.things("link")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, x := range all {
		if like.MatchString(x.name) {
			return x.name
		}
	}
	b.t.Fatalf("no link of %s is like %s", b.path(), like)
	return ""
}

// A webhook is created by the keyboard alone.
func TestConsoleByKeyboard(t *testing.T) {
	browser := startBrowser(t)
	dev := devtest.StartDev(t, devtest.DevOptions{})
	receiver := devtest.NewReceiver(t)
	b := openTab(t, browser, dev.URL)

	b.open("/console/")
	b.see("First steps")
	b.press(kb.Tab)
	if x := b.focused(); x.name != "Skip to the content" {
		t.Errorf("the first press of Tab leads to %+v", x)
	}
	b.press(kb.Enter)
	b.tabTo("link", "Create a webhook")
	b.press(kb.Enter)
	b.see("New webhook")
	b.tabTo("textbox", "Name")
	b.press("by-hand")
	b.tabTo("textbox", "URL")
	b.press(receiver.URL("by-hand"))
	b.tabTo("radio", "Periodic")
	b.press(kb.ArrowDown)
	b.tabTo("button", "Create webhook")
	b.press(kb.Enter)
	b.see("The webhook is created")
	dev.MustSend(devtest.Events("custom.test", 1)...)
	receiver.MustCount(1)
	b.mustBeClean("the keyboard")

	// On a phone, the menu opens and closes by keys.
	b.size(narrow, narrowHeight)
	b.open("/console/")
	b.tabTo("DisclosureTriangle", "Menu")
	b.press(" ")
	b.tabTo("link", "Mutes")
	b.press(kb.Escape)
	if x := b.focused(); x.name != "Menu" || b.has("link", "Mutes") {
		t.Errorf("Escape leads to %+v, and the menu is open: %t", x, b.has("link", "Mutes"))
	}
}
