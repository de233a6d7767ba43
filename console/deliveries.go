package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

func deliveriesRoutes() []route {
	return []route{
		{pattern: "GET deliveries", do: deliveries},
		{pattern: "GET deliveries/{id}", do: showDelivery},
		{pattern: "POST deliveries/{id}/redeliver", do: redeliver},
	}
}

type deliveriesData struct {
	Items  []deliverySummary
	Pager  Pager
	Filter url.Values
	Period period
	States []option
	// Dead is what can be asked about their events.
	Dead []option
	// Hooks and Types are suggestions.
	Hooks, Types []string
}

// Filtered reports whether anything is asked for.
func (d deliveriesData) Filtered() bool {
	return d.Narrow() || d.Filter.Get("state")+d.Filter.Get("webhook")+d.Period.Within != ""
}

// Narrow reports whether one of the filters is set that are seldom needed.
func (d deliveriesData) Narrow() bool {
	return d.Filter.Get("type")+d.Filter.Get("parent")+d.Filter.Get("with_dead") != "" || d.Period.Exact()
}

func deliveries(p *request) error {
	data := deliveriesData{States: options("Any state", "ready", "sending", "delivered", "dead", "split", "cancelled")}
	data.Filter = p.filters("50", "state", "webhook", "type", "parent", "with_dead")
	data.Dead = []option{{"", "Whatever became of them"}, {"true", "Some are dead"}}
	data.Filter.Set("webhook", p.hookName(data.Filter.Get("webhook")))
	data.Period = p.period(data.Filter)
	var err error
	if !p.isPart() { // forms are not in the parts
		if data.Hooks, err = p.hookNames(); err == nil {
			data.Types, err = p.typeNames()
		}
		if err != nil {
			return err
		}
	}
	var page list[deliverySummary]
	if err := p.get(at(data.Filter, "v1", "deliveries"), &page); err != nil {
		return p.refused(ofFilter(err, "webhook"), "deliveries", "deliveries", "Deliveries", data)
	}
	data.Items, data.Pager = page.Items, p.pager(page.Next)
	return p.show("deliveries", "deliveries", "Deliveries", data)
}

// ofFilter makes "not found" what is wrong with a filter: the name that was typed there.
func ofFilter(err error, field string) error {
	var problem *Problem
	if !errors.As(err, &problem) || problem.Code != tocsin.CodeNotFound {
		return err
	}
	asked := *problem
	asked.Code, asked.Status, asked.Title = tocsin.CodeInvalid, http.StatusUnprocessableEntity, "That is not to be found"
	asked.Errors = []tocsin.FieldError{{Field: field, Message: problem.Detail}}
	return &asked
}

// suggested is how many webhooks a form suggests.
const suggested = "200"

// hookNames are the names of webhooks, as suggestions.
func (p *request) hookNames() ([]string, error) {
	var page list[struct {
		Name string `json:"name"`
	}]
	if err := p.get(at(url.Values{"limit": {suggested}}, "v1", "webhooks"), &page); err != nil {
		return nil, err
	}
	names := make([]string, len(page.Items))
	for i, h := range page.Items {
		names[i] = h.Name
	}
	return names, nil
}

// hookName is the name of a webhook that is named by its id, as links may; what else is typed
// stays as it is.
func (p *request) hookName(typed string) string {
	var hook webhook
	if !strings.HasPrefix(typed, tocsin.PrefixWebhook+"_") || p.get(at(nil, "v1", "webhooks", typed), &hook) != nil {
		return typed
	}
	return hook.Name
}

// typeNames are the alert types of the catalog, as suggestions.
func (p *request) typeNames() ([]string, error) {
	types, err := p.types()
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Type
	}
	slices.Sort(names)
	return names, err
}

// typeBrief is an alert type of the catalog, as forms need it.
type typeBrief struct {
	Type     string `json:"type"`
	Category string `json:"category"`
	Title    string `json:"title"`
}

func (p *request) types() ([]typeBrief, error) {
	var page list[typeBrief]
	err := p.get("/v1/alert-types", &page)
	return page.Items, err
}
