// Package console is Tocsin's web pages: what flows, what is wrong and why, and the forms
// that configure it. It is a client of the public API in the same process: each page
// asks the API's handler with the visitor's own key and address, so that scopes, the audit
// log, limits and validation are the API's, and nothing is done twice. It knows neither a
// store nor Temporal.
//
// Pages are rendered here and work without scripts; htmx (static/htmx.min.js, version
// 2.0.11, with its licence beside it) keeps their live parts fresh. There is no build step
// and nothing comes from elsewhere.
//
// # How to add a page
//
// A page is one Go file, one template, and one line in [allSections]:
//
//	func mutesRoutes() []route {
//		return []route{{pattern: "GET mutes", do: mutes}, {pattern: "POST mutes/{id}/end", do: endMute}}
//	}
//
//	func mutes(p *request) error {
//		var page list[mute] // what openapi.yaml promises, with types of the root package where they fit
//		if err := p.get(at(p.filters("50", "ended"), "v1", "mutes"), &page); err != nil {
//			return err // refusals become their own pages: 404, 503, signed out
//		}
//		return p.show("mutes", "mutes", "Mutes", mutesData{page.Items, p.pager(page.Next)})
//	}
//
//	func endMute(p *request) error {
//		if err := p.send("DELETE", at(nil, "v1", "mutes", p.PathValue("id")), nil, nil); err != nil {
//			return err // or, for a form: return p.refused(err, "mutes", "mute-form", "New mute", data)
//		}
//		return p.done(to("mutes"), "The mute is over.") // redirects, and shows the notice once
//	}
//
// templates/mutes.html defines "main", which gets a [View]; the page's own data is .Data.
// Forms are <form method="post"> with {{.CSRF}} inside. Buttons that a key cannot use stand
// in {{if .Me.Can "admin"}}. A part that keeps itself fresh is {{define "part:list"}}, used
// as <div {{.Live "list" 5}}>{{template "part:list" .}}</div>; data-announce on an element
// in it is said to screen readers when it changes. templates/pieces.html has what pages
// share (problem; field, choose, area, suggest and moment for forms; pager, empty, figure,
// exchange), format.go what templates call (ago, when, number, pill, json, to). A part that
// people read for long is only sent when it changed: see [showDelivery]. Tables have class
// "cards", a th for each row and data-label on each cell (class "full" for what is long), and become cards
// on small screens. A test of each page is in the package's kit: kit_test.go.
package console
