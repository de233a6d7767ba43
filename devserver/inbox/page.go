package inbox

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"sort"
	"strconv"
	"time"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// shown is how many deliveries one page shows; older ones are on the next.
const shown = 30

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.Local().Format("15:04:05.000") },
	"stamp": func(t time.Time) string { return t.Format(time.RFC3339Nano) },
	"good":  func(status int) bool { return status >= 200 && status < 300 },
	"bytes": func(n int) string {
		if n < 1024 {
			return strconv.Itoa(n) + " B"
		}
		return strconv.FormatFloat(float64(n)/1024, 'f', 1, 64) + " KiB"
	},
}).Parse(pageHTML))

// pageData is what the template gets.
type pageData struct {
	Nonce string
	CSS   template.CSS
	JS    template.JS
	Base  string

	Name       string // shown only, or ""
	Names      []nameCount
	Total      int // kept, of all names
	Matching   int // kept, of Name
	Received   int // ever
	Modes      []Mode
	Deliveries []deliveryView
	Before     int // only older ones than this number are shown, 0: the latest
	Older      int // the number before which the next page begins, 0: there is none
	Statuses   []choice
}

type nameCount struct {
	Name  string
	Count int
}

type choice struct{ Value, Label string }

var statuses = []choice{
	{"503", "503 unavailable"}, {"500", "500 error"}, {"429", "429 too many requests"}, {"400", "400 bad request"},
	{"401", "401 unauthorized"}, {"404", "404 not found"}, {"410", "410 gone"}, {"413", "413 too large"},
	{"drop", "no answer at all"}, {"200", "200, as usual"},
}

func (i *Inbox) page(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name == "" {
		name = r.URL.Query().Get("name")
	}
	if name != "" && !nameForm.MatchString(name) {
		http.NotFound(w, r)
		return
	}
	before, _ := strconv.Atoi(r.URL.Query().Get("before")) // what is no number is the latest
	data := i.pageData(name, max(before, 0))
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, data); err != nil {
		http.Error(w, "rendering the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+data.Nonce+"'; script-src 'nonce-"+data.Nonce+
		"'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = w.Write(out.Bytes()) // an error means that the reader went away
}

func (i *Inbox) pageData(name string, before int) pageData {
	all := i.box.list("")
	data := pageData{
		Nonce: rand.Text(), CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Base: i.options.BaseURL, // #nosec G203 -- embedded constants
		Name: name, Total: len(all), Received: i.box.total(), Modes: i.modes.all(), Statuses: statuses,
		Before: before,
	}
	counts := map[string]int{}
	for _, d := range all {
		counts[d.Name]++
		if name != "" && d.Name != name {
			continue
		}
		data.Matching++
		switch n := len(data.Deliveries); {
		case before > 0 && d.Seq >= before:
		case n < shown:
			data.Deliveries = append(data.Deliveries, view(d))
		case data.Older == 0:
			data.Older = data.Deliveries[n-1].Seq
		}
	}
	for n, c := range counts {
		data.Names = append(data.Names, nameCount{n, c})
	}
	sort.Slice(data.Names, func(a, b int) bool { return data.Names[a].Name < data.Names[b].Name })
	return data
}
