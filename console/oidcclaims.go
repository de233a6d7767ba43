package console

import (
	"slices"
	"strings"
	"unicode"
)

// claims are what a provider says about somebody.
type claims map[string]any

// at finds a claim: as it is named, else by a path into objects.
func (c claims) at(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	first, rest, nested := strings.Cut(name, ".")
	if inner, ok := c[first].(map[string]any); ok && nested {
		return claims(inner).at(rest)
	}
	return nil
}

// texts are a claim's values: one text, or a list of them.
func (c claims) texts(name string) []string {
	switch v := c.at(name).(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}

// text is a claim of one text that can be shown and logged; "" for any other.
func (c claims) text(name string) string {
	text, _ := c[name].(string)
	if len(text) > 200 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

// verified reports whether the provider has seen that the address is theirs; some say so
// in text.
func (c claims) verified() bool { return c["email_verified"] == true || c["email_verified"] == "true" }

// name is what the audit log calls somebody: their address if it was verified, otherwise
// the subject, which alone is theirs for ever; people may choose and change the others.
func (c claims) name(subject string) string {
	if address := c.text("email"); address != "" && c.verified() {
		return address
	}
	if name := c.text("preferred_username"); name != "" && name != subject {
		return name + " (" + subject + ")"
	}
	return subject
}

// person is who claims are about, or why they are not let in.
func (o *provider) person(subject string, all claims) (person, error) {
	who := person{name: all.name(subject)}
	if o.Claim == "email" && !all.verified() {
		return who, notLetIn{who.name, "The provider has not verified your email address, by which people are let in here."}
	}
	for _, v := range all.texts(o.Claim) {
		if len(o.scopes([]string{v})) > 0 && !slices.Contains(who.values, v) {
			who.values = append(who.values, v)
		}
	}
	if len(who.values) > 0 {
		return who, nil
	}
	why := "Nothing in your claim " + o.Claim + " lets you in here. Whoever runs Tocsin names who may read and who may change in TOCSIN_OIDC_READ and TOCSIN_OIDC_ADMIN."
	switch elsewhere, _ := all["_claim_names"].(map[string]any); {
	case elsewhere[o.Claim] != nil:
		why = "You are in so many groups that Microsoft Entra leaves them out of the token. Whoever runs Tocsin should let it name only the groups assigned to the application, or use app roles with TOCSIN_OIDC_CLAIM=roles."
	case all.at(o.Claim) == nil:
		why = "The provider says nothing about your " + o.Claim + ": it has to put a claim of that name into the ID token (TOCSIN_OIDC_CLAIM)."
	}
	return who, notLetIn{who.name, why}
}

// notLetIn is somebody whom the provider knows and Tocsin does not let in.
type notLetIn struct{ who, why string }

func (e notLetIn) Error() string { return e.why }
