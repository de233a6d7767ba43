package console

// section is one entry of the navigation, and the routes of its pages.
type section struct {
	// path is below Base; it is also what pages name as theirs.
	path, title string
	// group is the heading it stands under.
	group string
	// scope is what a key needs to see it; others do not get the entry.
	scope  string
	routes []route
}

// The API's scopes.
const (
	read  = "read"
	admin = "admin"
)

// The groups of the navigation, in its order.
const (
	groupNow     = "Now"
	groupSetUp   = "Set up"
	groupHistory = "History"
	groupAccess  = "Access"
)

// allSections is the navigation in its order. A new page is one line here, one Go file
// and one template.
func allSections() []section {
	return []section{
		{path: "", title: "Overview", group: groupNow, scope: read, routes: overviewRoutes()},
		{path: "incidents", title: "Incidents", group: groupNow, scope: read, routes: incidentsRoutes()},
		{path: "dead-letters", title: "Dead letters", group: groupNow, scope: read, routes: deadLettersRoutes()},
		{path: "webhooks", title: "Webhooks", group: groupSetUp, scope: read, routes: webhooksRoutes()},
		{path: "alert-types", title: "Alert types", group: groupSetUp, scope: read, routes: alertTypesRoutes()},
		{path: "mutes", title: "Mutes", group: groupSetUp, scope: read, routes: mutesRoutes()},
		{path: "events", title: "Events", group: groupHistory, scope: read, routes: eventsRoutes()},
		{path: "deliveries", title: "Deliveries", group: groupHistory, scope: read, routes: deliveriesRoutes()},
		{path: "replays", title: "Replays", group: groupHistory, scope: read, routes: replaysRoutes()},
		{path: "ledger", title: "Ledger", group: groupHistory, scope: read, routes: ledgerRoutes()},
		{path: "keys", title: "Keys", group: groupAccess, scope: admin, routes: keysRoutes()},
		{path: "audit", title: "Audit log", group: groupAccess, scope: admin, routes: auditRoutes()},
	}
}

// navGroup is a heading of the navigation with its entries.
type navGroup struct {
	Title   string
	Entries []navEntry
}

type navEntry struct {
	Title, URL string
	Current    bool
}

// navigation is what a visitor sees of the sections.
func (c *Console) navigation(me Me, current string) []navGroup {
	var groups []navGroup
	for _, s := range c.sections {
		if !me.Can(s.scope) {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1].Title != s.group {
			groups = append(groups, navGroup{Title: s.group})
		}
		last := &groups[len(groups)-1]
		last.Entries = append(last.Entries, navEntry{s.title, Base + s.path, s.path == current})
	}
	return groups
}
