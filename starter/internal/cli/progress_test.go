package cli_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
)

func TestProgressIsABarOnATerminal(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	g := cli.NewProgress(&out, true, func() time.Time { return now })
	g.At(0, 8, "none yet")
	g.At(1, 8, "too soon to be seen")
	now = now.Add(time.Second)
	g.At(2, 8, "2 of 8")
	now = now.Add(time.Second)
	g.At(3, 0, "3 of many")
	g.End()
	g.End()
	want := "\rworking [........................]   0%  none yet\x1b[K" +
		"\rworking [######..................]  25%  2 of 8\x1b[K" +
		"\rworking … 3 of many\x1b[K\r\x1b[K"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestProgressIsALineNowAndThenElsewhere(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	g := cli.NewProgress(&out, false, func() time.Time { return now })
	for second := range 15 {
		now = time.Unix(int64(second), 0)
		g.At(int64(second), 20, fmt.Sprintf("%d of 20", second))
	}
	g.Line("over: evil\x1b[2Jtext")
	g.End()
	want := "working:  10%  2 of 20\nworking:  35%  7 of 20\nworking:  60%  12 of 20\nover: evil\\x1b[2Jtext\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}
