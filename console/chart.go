package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Chart is what happened over time, as lines. It is drawn as SVG here, with a title and a
// description for those who do not see it, and has a table of the same numbers.
type Chart struct {
	// ID is unique in a page.
	ID string
	// Title says what is shown, Unit what is counted ("events").
	Title, Unit string
	// Times are the beginnings of the buckets; Every is how long one is.
	Times []time.Time
	Every time.Duration
	// Series have a value for each time.
	Series []Series
}

// Series is one line of a chart. The first has the strongest colour; each has a pattern
// of its own, for who does not tell colours.
type Series struct {
	Name   string
	Values []float64
	// Tone is a word of [tones]: ok, busy, warn, bad or idle.
	Tone string
}

// Total is the sum of the series' values.
func (s Series) Total() float64 {
	var sum float64
	for _, v := range s.Values {
		sum += v
	}
	return sum
}

// Top is the upper end of the scale: a round number not below any value.
func (c Chart) Top() float64 {
	top := 1.0
	for _, s := range c.Series {
		for _, v := range s.Values {
			top = max(top, v)
		}
	}
	return roundUp(top)
}

// roundUp returns 1, 2, 4, 5 or 8 times a power of ten, which halves well.
func roundUp(v float64) float64 {
	for scale := 1.0; ; scale *= 10 {
		for _, step := range []float64{1, 2, 4, 5, 8} {
			if step*scale >= v {
				return step * scale
			}
		}
	}
}

// Empty reports whether nothing happened.
func (c Chart) Empty() bool {
	for _, s := range c.Series {
		if s.Total() > 0 {
			return false
		}
	}
	return true
}

// Description says in a sentence what the picture shows.
func (c Chart) Description() string {
	parts := make([]string, len(c.Series))
	for i, s := range c.Series {
		parts[i] = fmt.Sprintf("%s %s", compact(s.Total()), s.Name)
	}
	return fmt.Sprintf("%s: in all %s, at most %s %s in %s.", c.Title, strings.Join(parts, ", "), compact(c.peak()), c.Unit, coarse(c.Every))
}

func (c Chart) peak() float64 {
	top := 0.0
	for _, s := range c.Series {
		for _, v := range s.Values {
			top = max(top, v)
		}
	}
	return top
}

// The drawing's own units; it is stretched to the room there is, lines are not.
const (
	chartWide = 600
	chartHigh = 120
)

// SVG is the drawing without its labels, which stand around it as text.
func (c Chart) SVG() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-labelledby="%[3]s-t %[3]s-d">`, chartWide, chartHigh, template.HTMLEscapeString(c.ID))
	fmt.Fprintf(&b, `<title id="%[1]s-t">%[2]s</title><desc id="%[1]s-d">%[3]s</desc>`,
		template.HTMLEscapeString(c.ID), template.HTMLEscapeString(c.Title), template.HTMLEscapeString(c.Description()))
	for _, share := range []float64{0, 0.5, 1} {
		fmt.Fprintf(&b, `<line class="grid" x1="0" x2="%d" y1="%.1f" y2="%.1[2]f"/>`, chartWide, chartHigh*share)
	}
	top := c.Top()
	// The first series lies on top of the others.
	for i := len(c.Series) - 1; i >= 0; i-- {
		s := c.Series[i]
		if len(s.Values) == 0 {
			continue
		}
		if i == 0 {
			fmt.Fprintf(&b, `<polygon class="area %s" points="0,%d %s %d,%d"/>`, template.HTMLEscapeString(s.Tone), chartHigh, line(s.Values, top), chartWide, chartHigh)
		}
		fmt.Fprintf(&b, `<polyline class="line s%d %s" points="%s"/>`, i+1, template.HTMLEscapeString(s.Tone), line(s.Values, top))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // #nosec G203 -- every text was escaped
}

// line is the points of one series.
func line(values []float64, top float64) string {
	points := make([]string, len(values))
	for i, v := range values {
		x := float64(chartWide) / 2
		if len(values) > 1 {
			x = float64(chartWide) * float64(i) / float64(len(values)-1)
		}
		points[i] = fmt.Sprintf("%.1f,%.1f", x, chartHigh-chartHigh*v/top)
	}
	return strings.Join(points, " ")
}

// Rows are the buckets as a table has them, the newest first, without those in which
// nothing happened.
func (c Chart) Rows() []ChartRow {
	var rows []ChartRow
	for i := len(c.Times) - 1; i >= 0; i-- {
		row, some := ChartRow{At: c.Times[i]}, false
		for _, s := range c.Series {
			row.Values = append(row.Values, s.Values[i])
			some = some || s.Values[i] != 0
		}
		if some {
			rows = append(rows, row)
		}
	}
	return rows
}

// ChartRow is one bucket.
type ChartRow struct {
	At     time.Time
	Values []float64
}
