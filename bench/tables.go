package main

import (
	"fmt"
	"strings"
)

func (r Report) machineTable() string {
	m := r.Machine
	text := fmt.Sprintf("Measured on %s: %s, %d cores, %.0f GB of memory; %s, Tocsin %s", m.When.Format("2006-01-02"), m.CPU, m.Cores, m.MemoryGB, m.Go, m.Tocsin)
	if m.Postgres != "" {
		text += ", PostgreSQL " + m.Postgres
	}
	return text + ".\n"
}

// figuresTable has the figures with something to reach, the stores side by side.
func (r Report) figuresTable() string {
	var b strings.Builder
	b.WriteString("| part | figure | PostgreSQL | SQLite | asked for, of PostgreSQL |\n|---|---|---|---|---|\n")
	for _, p := range parts() {
		for _, f := range r.names(p.name) {
			postgres, sqlite := r.figure(p.name, postgresStore, f), r.figure(p.name, sqliteStore, f)
			asked := postgres
			if asked == nil {
				asked = sqlite
			}
			if asked.Reach == "" {
				continue
			}
			said := ": reached"
			if !asked.Met {
				said = ": **not reached**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.name, f.Name, cell(postgres), cell(sqlite), strings.TrimSpace(asked.Reach+" "+asked.Unit)+said)
		}
	}
	return b.String()
}

// detailsTable has all others.
func (r Report) detailsTable() string {
	var b strings.Builder
	b.WriteString("| part | figure | PostgreSQL | SQLite |\n|---|---|---|---|\n")
	for _, p := range parts() {
		for _, f := range r.names(p.name) {
			postgres, sqlite := r.figure(p.name, postgresStore, f), r.figure(p.name, sqliteStore, f)
			if (postgres == nil || postgres.Reach == "") && (sqlite == nil || sqlite.Reach == "") {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.name, f.Name, cell(postgres), cell(sqlite))
			}
		}
	}
	return b.String()
}

func (r Report) processesTable() string {
	var b strings.Builder
	b.WriteString("| part | store | during | seconds | CPU seconds; MB resident, peak and end |\n|---|---|---|---|---|\n")
	for _, p := range r.Results {
		for _, u := range p.Used {
			var all []string
			for _, x := range u.Processes {
				all = append(all, fmt.Sprintf("%s %.1f; %.0f, %.0f", x.Name, x.CPU, x.PeakMB, x.EndMB))
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %s |\n", p.Part, p.Store, u.During, u.Seconds, strings.Join(all, " · "))
		}
	}
	return b.String()
}

// names are the figures of a part on either store, each once.
func (r Report) names(part string) (all []Figure) {
	seen := map[string]bool{}
	for _, p := range r.Results {
		for _, f := range p.Figures {
			if p.Part == part && !seen[f.Name+f.Unit] {
				seen[f.Name+f.Unit] = true
				all = append(all, f)
			}
		}
	}
	return all
}

func (r Report) figure(part, store string, like Figure) *Figure {
	p := r.find(part, store)
	if p == nil {
		return nil
	}
	for i, f := range p.Figures {
		if f.Name == like.Name && f.Unit == like.Unit {
			return &p.Figures[i]
		}
	}
	return nil
}

func cell(f *Figure) string {
	if f == nil {
		return "–"
	}
	return strings.TrimSpace(number(f.Value) + " " + f.Unit)
}
