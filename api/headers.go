package api

import "net/http"

// SecurityHeaders sets what every answer has: browsers may do nothing with it but show
// it. A handler that serves pages sets a policy of its own. There are no headers for
// CORS, ever: no page of another site has business here.
func SecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff") // event text is hostile
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
