package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"runtime"
	"strconv"
	"time"
)

// What the page is made of. Everything goes into one file, which needs no network.
var (
	//go:embed page/report.html
	pageHTML string
	//go:embed page/report.css
	pageCSS string
	//go:embed page/report.js
	pageJS string
	//go:embed page/uplot/uPlot.iife.min.js
	plotJS string
	//go:embed page/uplot/uPlot.min.css
	plotCSS string
	//go:embed page/uplot/LICENSE
	plotLicence string
)

// maxPageRooms bounds the rooms that the page lists.
const maxPageRooms = 50

// page is what the template shows.
type page struct {
	Report      *Report
	Tiles       []tile
	Rooms       []RoomReport
	MoreRooms   int
	Go          string
	Data        pageData
	CSS         template.CSS
	PlotCSS     template.CSS
	JS          template.JS
	PlotJS      template.JS
	PlotLicence template.JS
}

// tile is a figure that is seen first.
type tile struct{ Name, Value string }

// pageData is what the charts need.
type pageData struct {
	Latencies []Latency `json:"latencies"`
	Series    []Point   `json:"series"`
}

// WriteHTML writes the report as a page for people: the verdict, tables, and charts
// of the course of the run. It needs no network, and no JavaScript but for the charts.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"millis": millis, "whole": whole,
		"seconds": func(d time.Duration) string { return d.Round(100 * time.Millisecond).String() },
	}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("parse the page: %w", err)
	}
	p := page{
		Report: r, Tiles: r.tiles(), Rooms: r.Rooms[:min(len(r.Rooms), maxPageRooms)], Go: runtime.Version(),
		Data: pageData{Latencies: r.Latencies, Series: r.Series},
		// All of these are files of this package.
		CSS: template.CSS(pageCSS), PlotCSS: template.CSS(plotCSS), JS: template.JS(pageJS), PlotJS: template.JS(plotJS),
		PlotLicence: template.JS("/*\n" + plotLicence + "*/\n"),
	}
	p.MoreRooms = len(r.Rooms) - len(p.Rooms)
	return t.Execute(w, p)
}

// tiles are the figures of the run that are seen first.
func (r *Report) tiles() []tile {
	var most float64
	var connected int64
	for _, p := range r.Series {
		most, connected = max(most, p.Messages), max(connected, p.Connected)
	}
	passed := 0
	for _, c := range r.Checks {
		if c.Passed {
			passed++
		}
	}
	out := []tile{
		{"checks passed", fmt.Sprintf("%d of %d", passed, len(r.Checks))},
		{"connected at most", whole(connected)},
		{"messages received", whole(r.Totals.Messages)},
		{"messages in the busiest second", whole(uint64(most))},
		{"MB received", fmt.Sprintf("%.1f", float64(r.Totals.Bytes)/1e6)},
		{"commands answered", whole(r.Totals.Answers) + " of " + whole(r.Totals.Commands)},
	}
	for _, l := range r.Latencies {
		switch {
		case l.Count == 0:
		case l.Name == latencyDelivery:
			out = append(out, tile{"delivery, 99 %", millis(l.P99)})
		case l.Name == latencySpread:
			out = append(out, tile{"spread between players, 99 %", millis(l.P99)})
		}
	}
	return out
}

// whole is a number with its thousands apart.
func whole(n any) string {
	s := fmt.Sprint(n)
	if _, err := strconv.ParseUint(s, 10, 64); err != nil {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
