package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

func TestAWebhookIsChangedOnlyAsItWasRead(t *testing.T) {
	k := newKit(t)
	soc := k.create("soc", "")
	tag := k.want(http.StatusOK, nil, "GET", "/v1/webhooks/soc", "").Header.Get("ETag")
	if tag == "" || tag != soc.Tag() {
		t.Fatalf("got ETag %q, want %q", tag, soc.Tag())
	}
	next := k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/soc", `{"batch_size": 7}`, "If-Match", tag).Header.Get("ETag")
	if next == "" || next == tag {
		t.Errorf("after a change: got ETag %q, before %q", next, tag)
	}
	p := k.refused(http.StatusPreconditionFailed, tocsin.CodePrecondition, "PATCH", "/v1/webhooks/soc", `{"batch_size": 8}`, "If-Match", tag)
	for _, part := range []string{"key root", "batch_size", next, tag} {
		if !strings.Contains(p.Detail, part) {
			t.Errorf("got %q, want it to say %q", p.Detail, part)
		}
	}
	k.refused(http.StatusPreconditionFailed, tocsin.CodePrecondition, "PATCH", "/v1/webhooks/soc?dry_run=true", `{"batch_size": 8}`, "If-Match", tag)
	k.refused(http.StatusPreconditionFailed, tocsin.CodePrecondition, "DELETE", "/v1/webhooks/soc", "", "If-Match", tag)

	var got webhook
	now := k.want(http.StatusOK, &got, "GET", "/v1/webhooks/soc", "").Header.Get("ETag")
	if got.BatchSize != 7 || now != next {
		t.Errorf("got batch_size %d, ETag %s, want 7, %s", got.BatchSize, now, next)
	}
	k.want(http.StatusNoContent, nil, "DELETE", "/v1/webhooks/soc", "", "If-Match", `"another", `+next)
	again := k.create("soc", "")
	if again.Tag() == tag {
		t.Errorf("another webhook of the name has the tag %s too", tag)
	}
}

func TestAPauseIsAChange(t *testing.T) {
	k := newKit(t)
	soc := k.create("soc", "")
	before := soc.Tag()
	paused := k.want(http.StatusOK, nil, "POST", "/v1/webhooks/soc/pause", "").Header.Get("ETag")
	p := k.refused(http.StatusPreconditionFailed, tocsin.CodePrecondition, "PATCH", "/v1/webhooks/soc", `{"batch_size": 8}`, "If-Match", before)
	if !strings.Contains(p.Detail, "changed state") {
		t.Errorf("got %q", p.Detail)
	}
	k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/soc", `{"batch_size": 8}`, "If-Match", paused)
}

// What If-Match may be, by RFC 9110, section 13.1.1.
func TestIfMatch(t *testing.T) {
	k := newKit(t)
	soc := k.create("soc", "")
	own := soc.Tag()
	k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/soc", `{"batch_size": 20}`, "If-Match", own) // nothing differs
	for _, given := range []string{"*", " * ", own, `"a", ` + own, own + ` , "b"`, `"a",,` + own, `W/"a", ` + own} {
		k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/soc?dry_run=true", `{"batch_size": 9}`, "If-Match", given)
	}
	for _, given := range []string{`""`, `"a"`, "W/" + own, strings.Trim(own, `"`) + `"`, `"a, b"`} {
		if r := k.do("PATCH", "/v1/webhooks/soc", `{"batch_size": 9}`, "If-Match", given); r.StatusCode/100 != 4 {
			t.Errorf("If-Match: %s: got %d %s", given, r.StatusCode, r.body)
		}
	}
	for _, given := range []string{"", "a", `"a`, `*, "a"`, `"a" "b"`, `w/"a"`, ","} {
		k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "PATCH", "/v1/webhooks/soc", `{"batch_size": 9}`, "If-Match", given)
	}
	// What is refused for another reason is so whatever the precondition.
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "PATCH", "/v1/webhooks/nobody", `{}`, "If-Match", "*")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "PATCH", "/v1/webhooks/soc", `{"batch_size": -1}`, "If-Match", `"a"`)
}

// The condition holds for the very version that is written over.
func TestOfChangesWithOnePreconditionOneIsMade(t *testing.T) {
	k := newKit(t)
	soc := k.create("soc", "")
	statuses := make(chan int, 8)
	for i := range cap(statuses) {
		go func() {
			method, body := "PATCH", `{"batch_size": `+string(rune('1'+i))+`}`
			if i%4 == 3 {
				method, body = "DELETE", ""
			}
			statuses <- k.do(method, "/v1/webhooks/"+soc.ID, body, "If-Match", soc.Tag()).StatusCode
		}()
	}
	made := 0
	for range cap(statuses) {
		switch got := <-statuses; got {
		case http.StatusOK, http.StatusNoContent:
			made++
		case http.StatusPreconditionFailed, http.StatusNotFound: // deleted
		default:
			t.Errorf("got %d", got)
		}
	}
	if made != 1 {
		t.Errorf("%d changes were made", made)
	}
}
