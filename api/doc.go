// Package api is the HTTP API: it turns requests into calls of ingest, webhooks and
// the store, and their errors into problem documents (RFC 9457).
//
// routes.go lists every route with the scope its key needs; openapi.yaml describes
// them, is served at /openapi.yaml, and a test holds the two to each other.
// problem.go is the one place where a [tocsin.Code] becomes an HTTP status.
package api
