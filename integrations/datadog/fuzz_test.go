package datadog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// FuzzLog renders whatever a producer may write: a log is one JSON object, whose message
// is not one, and whose tags are as many as ours.
func FuzzLog(f *testing.F) {
	f.Add("title", "summary", "custom.x", int64(1_772_440_200))
	f.Add(`{"status":"ok","host":"x"}`, "", "a,b:c", int64(0))
	f.Add("", `{"message":"x"}`, "type\n,x:y", int64(-1))
	f.Add("[1]", "\x00\xff", "ТИП", int64(1)<<40)
	client := post.New(post.Options{})
	defer client.Close()
	s := &sender{client: client, conf: config{service: "s", source: "s", format: formatTocsin}}
	f.Fuzz(func(t *testing.T, title, summary, kind string, unix int64) {
		at := time.Unix(1_772_440_200, 0)
		e := tocsin.Event{ID: "1", Source: "/s", Type: kind, Title: title, Summary: summary, Time: time.Unix(unix%(1<<35), 0)}
		b, err := s.render(tocsin.Notification{DeliveryID: "d", At: at, Events: []tocsin.Event{e}})
		if err != nil {
			return // a time that JSON has no form for
		}
		var logs []log
		if err := json.Unmarshal(b.Array(b.Spans[0]), &logs); err != nil || len(logs) != 1 {
			t.Fatalf("%v, %d logs", err, len(logs))
		}
		l := logs[0]
		if json.Valid([]byte(l.Message)) || strings.Count(l.Tags, ",") != 1 {
			t.Errorf("message %.100q, tags %.100q", l.Message, l.Tags)
		}
		if age := at.Sub(time.UnixMilli(l.Timestamp)); age > 18*time.Hour || age < -2*time.Hour {
			t.Errorf("Datadog drops a log of %s", age)
		}
	})
}
