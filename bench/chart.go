package main

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// drawChart draws the cost of a capture from the first run: a bar for each SDK
// and each way to the server.
func drawChart(name string, runs []*run) error {
	p := plot.New()
	p.Title.Text = "Time of one capture call, compared with code by hand (" + shortVersion(runs[0].Go) + ")"
	p.Y.Label.Text = "time, by hand = 1"
	p.Y.Min = 0
	p.Legend.Top = true
	p.Legend.Left = true
	p.Add(plotter.NewGrid())

	clients := captures()
	names := make([]string, len(clients))
	for i, c := range clients {
		names[i] = c.name
	}
	ways := []string{inMemory, overH1, overH2}
	colours := []color.Color{
		color.RGBA{R: 0x1f, G: 0x5f, B: 0x8b, A: 0xff},
		color.RGBA{R: 0xe0, G: 0x8e, B: 0x1b, A: 0xff},
		color.RGBA{R: 0x5b, G: 0x8c, B: 0x5a, A: 0xff},
	}
	width := vg.Points(18)
	for i, way := range ways {
		s := runs[0].suite(callTitle("Capture", way, 0))
		values := make(plotter.Values, len(names))
		for j, n := range names {
			values[j] = s.medianRatio(n)
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return err
		}
		bars.LineStyle.Width = 0
		bars.Color = colours[i]
		bars.Offset = width * vg.Length(i-1)
		p.Add(bars)
		p.Legend.Add(way, bars)
		p.Y.Max = max(p.Y.Max, 1.15*slices.Max(values))
	}
	p.NominalX(names...)
	return p.Save(9*vg.Inch, 4*vg.Inch, name)
}
