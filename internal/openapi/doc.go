// Package openapi holds what a server is asked and answers against its OpenAPI 3.1
// document. It is for tests: [Document.Handler] wraps a handler, [Document.Transport] a
// client, and either reports what the document does not say.
//
// It is strict where OpenAPI is not. An answer with a status or content type that is not
// documented is wrong, and so is a property that no schema names, unless the schema says
// additionalProperties. A request that was accepted must be one that is documented; what is
// wrong with one that was refused is for the server to say.
//
// Two conventions of Tocsin's API are known here: in a request, a member that is null and a
// query parameter that is empty count as left out; and operations that ask for no key ignore
// parameters they do not know.
package openapi
