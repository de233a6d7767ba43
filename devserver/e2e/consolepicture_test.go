package e2e_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/page"
)

// picture writes what the page looks like to a file, as far down as one scrolls at a
// glance.
func (b *tab) picture(t *testing.T, dir, name string, width int64) {
	t.Helper()
	tallest := 1100.0
	if width < 600 {
		tallest = 1500
	}
	height, err := eval[float64](b, "document.documentElement.scrollHeight")
	if err != nil {
		t.Fatal(err)
	}
	shot := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: new(true), Clip: &page.Viewport{Width: float64(width), Height: min(height, tallest), Scale: 1},
	})
	small, err := shrink(shot.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), small, 0o644); err != nil {
		t.Fatal(err)
	}
}

// shrink makes a picture of the 256 colours that are most of it, which of a page leaves
// everything as it was but the softest edges, and is a third of the size.
func shrink(data []byte) ([]byte, error) {
	whole, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	at, times := whole.Bounds(), map[color.Color]int{}
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			times[whole.At(x, y)]++
		}
	}
	var colours color.Palette
	for c := range times {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.Color) int { return times[b] - times[a] })
	colours = colours[:min(len(colours), 256)]
	nearest := map[color.Color]uint8{}
	for c := range times {
		nearest[c] = uint8(colours.Index(c)) // #nosec G115 -- of 256
	}
	small := image.NewPaletted(at, colours)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[whole.At(x, y)])
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&out, small)
	return out.Bytes(), err
}
