package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Plots are SVG on a white ground, readable on any page. Sizes are in its user units.
const (
	plotWidth  = 760
	labelWidth = 310
	rowHeight  = 26
	headHeight = 58
	fontSize   = 13
)

// colours are told apart by those who see few, too (Okabe and Ito's set:
// https://jfly.uni-koeln.de/color/).
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

const grey = "#9a9a9a"

// bar is one bar of a chart; others' are grey.
type bar struct {
	label string
	value float64
	other bool
}

// barChart draws horizontal bars from zero.
func barChart(title, unit string, bars []bar) string {
	var b strings.Builder
	height := headHeight + rowHeight*len(bars) + 14
	begin(&b, title, height)
	most := 0.0
	for _, x := range bars {
		most = math.Max(most, x.value)
	}
	for i, x := range bars {
		y := headHeight + i*rowHeight
		// Room for the number is left behind the longest bar.
		length := x.value / math.Max(most, 1e-9) * (plotWidth - labelWidth - 110)
		colour := colours[0]
		if x.other {
			colour = grey
		}
		text(&b, labelWidth-8, y+17, "end", x.label)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y+3, math.Max(length, 1), rowHeight-7, colour)
		text(&b, labelWidth+int(length)+6, y+17, "start", number(x.value)+unit)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// line is one line of a chart.
type line struct {
	label  string
	points []Sample
}

// The frame of a line chart.
const (
	frameLeft, frameRight = 76, 180
	frameHeight           = 260
)

// lineChart draws lines from zero, with what they are at their right.
func lineChart(title, x, y string, lines []line) string {
	var b strings.Builder
	begin(&b, title, headHeight+frameHeight+52)
	var mostX, mostY float64
	for _, l := range lines {
		for _, p := range l.points {
			mostX, mostY = math.Max(mostX, p.X), math.Max(mostY, p.Y)
		}
	}
	stepX, stepY := step(mostX), step(mostY)
	mostY = math.Ceil(mostY/stepY) * stepY
	right, bottom := float64(plotWidth-frameRight), float64(headHeight+frameHeight)
	atX := func(v float64) float64 { return frameLeft + v/mostX*(right-frameLeft) }
	atY := func(v float64) float64 { return bottom - v/mostY*frameHeight }
	for v := 0.0; v <= mostY*1.001; v += stepY {
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#dddddd"/>`+"\n", frameLeft, atY(v), right, atY(v))
		text(&b, frameLeft-6, int(atY(v))+4, "end", number(v))
	}
	for v := 0.0; v <= mostX*1.001; v += stepX {
		text(&b, int(atX(v)), int(bottom)+18, "middle", number(v))
	}
	text(&b, int(frameLeft+right)/2, int(bottom)+38, "middle", x)
	text(&b, frameLeft-60, headHeight-8, "start", y)
	for i, l := range lines {
		drawLine(&b, l, colours[i%len(colours)], headHeight+10+i*20, atX, atY)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawLine(b *strings.Builder, l line, colour string, legendY int, atX, atY func(float64) float64) {
	points := make([]string, len(l.points))
	for i, p := range l.points {
		points[i] = fmt.Sprintf("%.1f,%.1f", atX(p.X), atY(p.Y))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
	if len(points) <= 10 { // few enough to be told apart
		for _, p := range l.points {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", atX(p.X), atY(p.Y), colour)
		}
	}
	const right = plotWidth - frameRight
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="14" height="4" fill="%s"/>`+"\n", right+14, legendY-6, colour)
	text(b, right+34, legendY, "start", l.label)
}

// step is a round number, of which there are four to ten up to most.
func step(most float64) float64 {
	if most <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	switch n := most / unit; {
	case n >= 4:
		return unit
	case n >= 2:
		return unit / 2
	}
	return unit / 5
}

func begin(b *strings.Builder, title string, height int) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" font-family="Helvetica, Arial, sans-serif" font-size="%[3]d" role="img">`+"\n",
		plotWidth, height, fontSize)
	fmt.Fprintf(b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	fmt.Fprintf(b, `<text x="14" y="25" font-size="15" font-weight="bold" fill="#222222">%s</text>`+"\n", html.EscapeString(title))
}

func text(b *strings.Builder, x, y int, anchor, words string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="#222222">%s</text>`+"\n", x, y, anchor, html.EscapeString(words))
}
