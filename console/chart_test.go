package console

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func sample() Chart {
	start := time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC)
	return Chart{
		ID: "hour", Title: "Last <hour>", Unit: "events", Every: time.Minute,
		Times: []time.Time{start, start.Add(time.Minute), start.Add(2 * time.Minute)},
		Series: []Series{
			{Name: "accepted", Tone: "busy", Values: []float64{0, 30, 10}},
			{Name: "dead", Tone: "bad", Values: []float64{0, 0, 2}},
		},
	}
}

func TestAChartIsDrawnAndSaid(t *testing.T) {
	c := sample()
	if got := c.Top(); got != 40 {
		t.Errorf("got a scale to %v, want 40", got)
	}
	if got, want := c.Description(), "Last <hour>: in all 40 accepted, 2 dead, at most 30 events in 1 min."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	svg := string(c.SVG())
	for _, want := range []string{`points="0.0,120.0 300.0,30.0 600.0,90.0"`, "Last &lt;hour&gt;", `aria-labelledby="hour-t hour-d"`, `y1="60.0" y2="60.0"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("got no %s in %s", want, svg)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFigureHasLegendAndTable(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := parsePages(a)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := pages["overview"].ExecuteTemplate(&b, "figure", sample()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<figcaption>Last &lt;hour&gt;</figcaption>", `dead <b class="num">2</b>`, "2026-11-22 17:02:00 UTC", `<td class="num">30</td>`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got no %s in %s", want, b.String())
		}
	}
}

func TestAChartsTableLeavesOutWhatWasQuiet(t *testing.T) {
	rows := sample().Rows()
	if len(rows) != 2 || rows[0].Values[1] != 2 || rows[1].Values[0] != 30 {
		t.Errorf("got %v", rows)
	}
}

func TestNothingHappenedIsEmpty(t *testing.T) {
	if c := (Chart{Series: []Series{{Values: []float64{0, 0}}}}); !c.Empty() || c.Top() != 1 {
		t.Errorf("got %v, top %v", c.Empty(), c.Top())
	}
	if sample().Empty() {
		t.Error("got empty")
	}
}
