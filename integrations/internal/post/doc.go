// Package post is the one HTTP client of every channel, and the place where the rules
// of the road for outbound requests are kept:
//
//   - a host is resolved, every address it has is checked (egress.go), and the checked
//     address is the one that is dialled, so that a name cannot change its mind between
//     check and use;
//   - redirects are not followed, proxies of the environment are not used, TLS is
//     verified and at least 1.2;
//   - time and bytes are bounded in both directions;
//   - what is recorded of a request ([tocsin.Exchange]) and every error text is free of
//     secrets (redact.go);
//   - an answer is sorted into whose fault it is in one place (classify.go).
package post
