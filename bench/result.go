package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Result is what one part measured on one store. Its JSON form is what -json writes:
// names may be added, and are never changed.
type Result struct {
	Part    string              `json:"part"`
	Store   string              `json:"store"`
	Seconds float64             `json:"seconds"` // all of it, with starting and cleaning up
	Figures []Figure            `json:"figures"`
	Used    []Used              `json:"used"`
	Series  map[string][]Sample `json:"series,omitempty"` // for plots

	costs []Figure // what it cost, which comes after what it achieved
}

// Figure is one number.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`            // "/s", "ms", "MB", "×", "%", ""
	Reach string  `json:"reach,omitempty"` // what is asked for: "≥ 6000"
	Met   bool    `json:"met,omitempty"`
}

// Used is what the processes used during one measurement.
type Used struct {
	During    string    `json:"during"`
	Seconds   float64   `json:"seconds"`
	Processes []Process `json:"processes"`
	// Actions are Temporal's, by what they were.
	Actions map[string]float64 `json:"temporal_actions,omitempty"`
}

// Process is what one process used; "postgres" is all processes of that server.
type Process struct {
	Name   string  `json:"name"`
	CPU    float64 `json:"cpu_seconds"`
	PeakMB float64 `json:"peak_mb"`
	EndMB  float64 `json:"end_mb"`
}

// Sample is a point of a series.
type Sample struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

func (r *Result) add(name string, value float64, unit string) *Figure {
	r.Figures = append(r.Figures, Figure{Name: name, Value: value, Unit: unit})
	return &r.Figures[len(r.Figures)-1]
}

// cost is add for what comes after all others.
func (r *Result) cost(name string, value float64, unit string) *Figure {
	r.costs = append(r.costs, Figure{Name: name, Value: value, Unit: unit})
	return &r.costs[len(r.costs)-1]
}

func (r *Result) addMS(name string, d time.Duration) *Figure {
	return r.add(name, float64(d.Microseconds())/1000, "ms")
}

func (r *Result) sample(series string, x, y float64) {
	if r.Series == nil {
		r.Series = map[string][]Sample{}
	}
	r.Series[series] = append(r.Series[series], Sample{x, y})
}

// atLeast and atMost say what is asked for.
func (f *Figure) atLeast(n float64) {
	f.Reach, f.Met = "≥ "+number(n), f.Value >= n
}

func (f *Figure) atMost(n float64) {
	f.Reach, f.Met = "≤ "+number(n), f.Value <= n
}

// find returns the value of a figure; not ok when there is none.
func (r *Result) find(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// number writes a value with three digits that mean something, and thousands apart.
func number(n float64) string {
	switch a := math.Abs(n); {
	case a >= 1000:
		return thousands(fmt.Sprintf("%.0f", n))
	case a >= 100 || n == math.Trunc(n):
		return fmt.Sprintf("%.0f", n)
	case a >= 10:
		return fmt.Sprintf("%.1f", n)
	case a >= 0.095:
		return fmt.Sprintf("%.2f", n)
	}
	return fmt.Sprintf("%.3f", n)
}

func thousands(digits string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
