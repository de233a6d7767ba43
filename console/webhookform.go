package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

func webhooksRoutes() []route {
	return []route{
		{pattern: "GET webhooks", do: listWebhooks},
		{pattern: "GET webhooks/new", do: newWebhook},
		{pattern: "POST webhooks/new", do: postNewWebhook},
		{pattern: "GET webhooks/{id}", do: showWebhook},
		{pattern: "POST webhooks/{id}", do: actOnWebhook},
		{pattern: "GET webhooks/{id}/edit", do: editWebhook},
		{pattern: "POST webhooks/{id}/edit", do: postWebhook},
	}
}

// formData is what the page with a webhook's form is made of.
type formData struct {
	// ID is the stored webhook's, "" for a new one; Name its name as it is stored.
	ID, Name string
	Version  int64
	Base     string
	Channel  string
	Channels []channelInfo
	About    *schema
	Fields   map[string]*node
	// Config are the channel's own fields, MoreConfig those that stand folded.
	Config, MoreConfig []*node
	Events             eventsView
	Active, WasActive  bool
	// Conflict says what somebody else changed meanwhile.
	Conflict *conflict
	// What was tried beside the form.
	Match   *matchTrial
	Preview *previewTrial
	Test    *testTrial
}

// conflict is a change by somebody else while the form was open.
type conflict struct {
	By      string
	At      *time.Time
	Changes []fieldChange
	// History is where the audit log says more.
	History string
}

// To is where the form goes.
func (d formData) To() string {
	if d.ID == "" {
		return to("webhooks", "new")
	}
	return to("webhooks", d.ID, "edit")
}

// Has reports whether one of the named fields says something: what holds them stands open.
func (d formData) Has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return d.Fields[name] != nil && d.Fields[name].Told() })
}

// MoreOpen reports whether a folded field says something.
func (d formData) MoreOpen() bool {
	return slices.ContainsFunc(d.MoreConfig, (*node).Told)
}

// Alternatives are sets of settings of which one is enough, by their titles.
func (d formData) Alternatives() string {
	if d.About == nil {
		return ""
	}
	var sets []string
	for _, set := range d.About.alternatives() {
		var titles []string
		for _, name := range set {
			if s := d.About.Properties.find(name); s != nil {
				titles = append(titles, cmp.Or(s.Title, name))
			}
		}
		sets = append(sets, strings.Join(titles, " and "))
	}
	return strings.Join(sets, ", or ")
}

// mayEdit refuses visitors whose key may only look.
func (p *request) mayEdit() error {
	if p.me.Can(admin) {
		return nil
	}
	return forbidden("To configure webhooks takes a key of scope admin.")
}

func newWebhook(p *request) error {
	if err := p.mayEdit(); err != nil {
		return err
	}
	d := newDraft(cmp.Or(p.URL.Query().Get("channel"), "webhook"))
	if err := p.prepare(d); err != nil {
		return err
	}
	return p.showDraft(d, nil, formData{})
}

// stored asks for a webhook and returns it as the API answers it.
func (p *request) stored(id string) (raw json.RawMessage, err error) {
	err = p.get(at(nil, "v1", "webhooks", id), &raw)
	return raw, err
}

func editWebhook(p *request) error {
	if err := p.mayEdit(); err != nil {
		return err
	}
	raw, err := p.stored(p.PathValue("id"))
	if err != nil {
		return err
	}
	d, err := draftOf(raw)
	if err != nil {
		return err
	}
	if err := p.prepare(d); err != nil {
		return err
	}
	return p.showDraft(d, nil, formData{})
}

// showDraft answers with the form; more has what was tried, or a conflict.
func (p *request) showDraft(d *draft, problem *Problem, more formData) error {
	names, err := p.webhookNames()
	if err != nil {
		return err
	}
	problem = d.join(problem)
	if more.Fields, err = d.fields(problem, names); err != nil {
		return err
	}
	more.ID, more.Name, more.Version, more.Channel, more.Channels = d.id, d.name, d.version, d.channel, d.channels
	more.Base, more.Active, more.WasActive = encode(d.base, ""), d.active, d.wasActive
	more.About = channelOf(d.channels, d.channel)
	more.Events = d.viewEvents(d.build.errors)
	more.fold()
	title, status := "New webhook", http.StatusOK
	if d.id != "" {
		title = "Edit " + d.name
	}
	if problem != nil {
		status = problem.Status
	}
	return p.showStatus(status, "webhooks", "webhookform", title, more, problem)
}

// join adds what the form itself finds wrong to what the API did.
func (d *draft) join(problem *Problem) *Problem {
	own := d.unreadable()
	switch {
	case problem == nil:
		return own
	case own == nil || own == problem:
		return problem
	}
	both := *problem
	both.Errors = slices.Concat(problem.Errors, own.Errors)
	return &both
}

// Few fields of a channel are all shown; of many, those up to the last that matters.
const (
	fewFields  = 3
	manyFields = 8
)

// fold divides the channel's fields: authors of schemas begin with what matters, so that
// what stands after the last needed or secret one, or table, is folded.
func (d *formData) fold() {
	config := d.Fields["config"]
	if config == nil {
		return
	}
	needed := map[string]bool{}
	for _, set := range d.About.alternatives() {
		for _, name := range set {
			needed[name] = true
		}
	}
	last := fewFields - 1
	for i, n := range config.Children {
		matters := i < manyFields && (n.Kind == kindSecret || n.Kind == kindMap)
		if n.Required || needed[d.About.Properties[i].Name] || matters {
			last = max(last, i)
		}
	}
	d.Config, d.MoreConfig = config.Children, nil
	if last+1 < len(config.Children) {
		d.Config, d.MoreConfig = slices.Clone(config.Children[:last+1]), config.Children[last+1:]
	}
	if config.Rest != nil {
		d.Config = append(d.Config, config.Rest)
	}
}

// webhookNames are the names that fallback and escalate may have.
func (p *request) webhookNames() ([]string, error) {
	hooks, _, err := all[struct {
		Name string `json:"name"`
	}](p.client, nil, "v1", "webhooks")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, h := range hooks {
		names = append(names, h.Name)
	}
	return names, nil
}

func postNewWebhook(p *request) error { return p.posted("", p.create) }

func postWebhook(p *request) error {
	return p.posted(p.PathValue("id"), func(d *draft) error { return p.change(d) })
}

// posted reads a form and does what its button says; save stores it.
func (p *request) posted(id string, save func(*draft) error) error {
	if err := p.mayEdit(); err != nil {
		return err
	}
	d, err := p.readDraft(id)
	if err != nil {
		return err
	}
	do := p.PostForm.Get("do")
	if part := p.URL.Query().Get("part"); part != "" && part != "fields" {
		do = part
	}
	switch {
	case do == "match" || do == "preview" || do == "test" || do == "check":
		return p.try(d, do)
	case strings.HasPrefix(do, "add:") || strings.HasPrefix(do, "remove:") || do == "channel":
		d.problems = nil // nobody asked yet
		return p.showDraft(d, nil, formData{})
	case len(d.problems) > 0:
		return p.showDraft(d, nil, formData{})
	}
	return save(d)
}

// refusedDraft shows the form with what the API refused of it.
func (p *request) refusedDraft(err error, d *draft) error {
	var problem *Problem
	if !errors.As(err, &problem) || !problem.OfForm() {
		return err
	}
	return p.showDraft(d, problem, formData{})
}

// secretsData is the page that shows fresh secrets, once.
type secretsData struct {
	Hook     webhook
	Notice   string
	Secrets  []secretLine
	OldUntil *time.Time
}

type secretLine struct{ Path, Value string }

func (p *request) showSecrets(hook webhook, generated map[string]string, oldUntil *time.Time, notice string) error {
	data := secretsData{Hook: hook, Notice: notice, OldUntil: oldUntil}
	for path, value := range generated {
		data.Secrets = append(data.Secrets, secretLine{path, value})
	}
	slices.SortFunc(data.Secrets, func(a, b secretLine) int { return strings.Compare(a.Path, b.Path) })
	return p.show("webhooks", "webhooksecret", "Secret of "+hook.Name, data)
}
