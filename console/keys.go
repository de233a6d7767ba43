package console

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func keysRoutes() []route {
	return []route{
		{pattern: "GET keys", do: keys},
		{pattern: "POST keys", do: createKey},
		{pattern: "GET keys/new", do: newKey},
		{pattern: "GET keys/{id}", do: showKey},
		{pattern: "GET keys/{id}/rotate", do: backToKey},
		{pattern: "POST keys/{id}/rotate", do: rotateKey},
		{pattern: "POST keys/{id}/delete", do: deleteKey},
	}
}

// keyView is a key as pages show it.
type keyView struct {
	tocsin.Key
	// Own says that it is the visitor's.
	Own bool
	// Expired says that it works no more; Soon that it will not in a week.
	Expired, Soon bool
}

// expiresSoon is when somebody should think of a key's end.
const expiresSoon = 7 * 24 * time.Hour

func (p *request) keyView(k tocsin.Key) keyView {
	v := keyView{Key: k, Own: p.ownKey(k)}
	if k.ExpiresAt != nil {
		v.Expired = !k.ExpiresAt.After(p.now)
		v.Soon = !v.Expired && k.ExpiresAt.Before(p.now.Add(expiresSoon))
	}
	return v
}

// ownKey reports whether a key is the one that the visitor signed in with. Names are
// unique, and the API says no more about who asks.
func (p *request) ownKey(k tocsin.Key) bool { return p.session.Key != "" && k.Name == p.me.Name }

// allKeys reads the keys, the newest first.
func (p *request) allKeys() ([]keyView, error) {
	var page list[tocsin.Key]
	if err := p.get("/v1/keys", &page); err != nil {
		return nil, err
	}
	slices.SortStableFunc(page.Items, func(a, b tocsin.Key) int { return b.CreatedAt.Compare(a.CreatedAt) })
	views := make([]keyView, len(page.Items))
	for i, k := range page.Items {
		views[i] = p.keyView(k)
	}
	return views, nil
}

func keys(p *request) error {
	all, err := p.allKeys()
	if err != nil {
		return err
	}
	return p.show("keys", "keys", "API keys", all)
}

// scopeChoice is a scope as the form offers it.
type scopeChoice struct {
	Name, Text string
	On         bool
}

// keyForm is what was filled in for a new key.
type keyForm struct {
	Name, Expires string
	Scopes        []scopeChoice
	Lives         []string
}

// keyLives are how long keys usually live.
var keyLives = []string{"30d", "90d", "365d"}

func keyFormOf(name, expires string, on []string) keyForm {
	f := keyForm{Name: name, Expires: expires, Lives: keyLives, Scopes: []scopeChoice{
		{Name: "ingest", Text: "report events: for producers"},
		{Name: read, Text: "look at everything but keys and the audit log"},
		{Name: admin, Text: "look at and change everything; includes the other two"},
	}}
	for i := range f.Scopes {
		f.Scopes[i].On = slices.Contains(on, f.Scopes[i].Name)
	}
	return f
}

func newKey(p *request) error {
	if !p.me.Can(admin) {
		return forbidden("Making keys needs the scope admin.")
	}
	return p.show("keys", "key-new", "New API key", keyFormOf("", "90d", nil))
}

// shownKey is a key with its text, on the one page that shows it.
type shownKey struct {
	tocsin.Key
	Text string `json:"key"`
	// Rotated says that the key had another text before; Own that it is the visitor's.
	Rotated, Own bool
}

func createKey(p *request) error {
	if err := p.ParseForm(); err != nil {
		return badForm(err)
	}
	name, expires, scopes := p.PostForm.Get("name"), p.PostForm.Get("expires"), p.PostForm["scopes"]
	var made shownKey
	err := p.send(http.MethodPost, "/v1/keys", map[string]any{"name": name, "scopes": slices.Concat([]string{}, scopes), "expires": expires}, &made)
	if err != nil {
		return p.refused(aboutName(err), "keys", "key-new", "New API key", keyFormOf(name, expires, scopes))
	}
	return p.show("keys", "key-made", "API key "+made.Name, made)
}

// aboutName puts a conflict beside the field that it is about: the name is taken.
func aboutName(err error) error {
	var problem *Problem
	if errors.As(err, &problem) && problem.Code == tocsin.CodeConflict && len(problem.Errors) == 0 {
		problem.Errors = []tocsin.FieldError{{Field: "name", Message: problem.Detail}}
	}
	return err
}

// badForm is a form that cannot be read.
func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Problem{Title: "This form is too large", Status: http.StatusRequestEntityTooLarge, Code: tocsin.CodeTooLarge, Detail: "A form may hold 4 MiB."}
	}
	return &Problem{Title: "This form cannot be read", Status: http.StatusBadRequest, Code: tocsin.CodeMalformed, Detail: "Go back, and try again."}
}

// keyPage is one key and the forms about it.
type keyPage struct {
	Key keyView
	// Overlap and Expires are what was filled in for a rotation.
	Overlap, Expires string
	Overlaps, Lives  []string
	// Rotating opens the form again that was refused.
	Rotating bool
}

// overlaps are how long the old text of a key usually goes on working.
var overlaps = []string{"0s", "1h", "24h", "7d"}

// findKey finds the key that the page is about.
func (p *request) findKey() (keyPage, error) {
	all, err := p.allKeys()
	if err != nil {
		return keyPage{}, err
	}
	for _, k := range all {
		if k.ID == p.PathValue("id") {
			return keyPage{Key: k, Overlap: "24h", Overlaps: overlaps, Lives: keyLives}, nil
		}
	}
	return keyPage{}, &Problem{Title: "There is no such key", Status: http.StatusNotFound, Code: tocsin.CodeNotFound, Detail: "It was deleted, or never was."}
}

func showKey(p *request) error {
	data, err := p.findKey()
	if err != nil {
		return err
	}
	return p.show("keys", "key", "API key "+data.Key.Name, data)
}

// backToKey is what the address of a rotation shows when it is loaded again.
func backToKey(p *request) error {
	p.redirect(to("keys", p.PathValue("id")))
	return nil
}

// rotateKey gives a key another text. A visitor whose own it is goes on with the new one:
// the old one may be over at once.
func rotateKey(p *request) error {
	data, err := p.findKey()
	if err != nil {
		return err
	}
	data.Overlap, data.Expires, data.Rotating = p.PostFormValue("overlap"), p.PostFormValue("expires"), true
	made := shownKey{Rotated: true, Own: data.Key.Own}
	body := map[string]string{"overlap": data.Overlap, "expires": data.Expires}
	if err := p.send(http.MethodPost, at(nil, "v1", "keys", data.Key.ID, "rotate"), body, &made); err != nil {
		return p.refused(err, "keys", "key", "API key "+data.Key.Name, data)
	}
	if data.Key.Own {
		p.session = p.console.sessions.begin(p.w, made.Text, p.now)
	}
	return p.show("keys", "key-made", "API key "+made.Name, made)
}

func deleteKey(p *request) error {
	data, err := p.findKey()
	if err != nil {
		return err
	}
	if err := p.send(http.MethodDelete, at(nil, "v1", "keys", data.Key.ID), nil, nil); err != nil {
		return err
	}
	if data.Key.Own {
		p.console.sessions.end(p.w)
		p.redirect(Base + "sign-in?over=1")
		return nil
	}
	return p.done(to("keys"), "The key "+data.Key.Name+" is deleted. It stops working everywhere within seconds.")
}
