package api

import "context"

// asUser is the context key of a vouched user; nothing outside of this package can set it
// but through [As], and no header of a request reaches a context.
type asUser struct{}

// user is a person whom the code in this process that sends a request vouches for.
type user struct {
	name   string
	scopes []string
}

// As returns a context for requests that are made in this process on behalf of a person
// whom the caller has identified, such as the console after a sign-in by OpenID Connect.
// They may do what scopes allow, without a key, and the audit log names them "user NAME".
// An empty name vouches for nobody.
func As(ctx context.Context, name string, scopes []string) context.Context {
	if name == "" {
		return ctx
	}
	return context.WithValue(ctx, asUser{}, user{name, scopes})
}

// userOf returns whom a request is made for; false when nobody was vouched for.
func userOf(ctx context.Context) (user, bool) {
	u, ok := ctx.Value(asUser{}).(user)
	return u, ok
}
