// Package elasticsearch is the channel for Elasticsearch and OpenSearch: every event is a
// document of its own in an index or a data stream, written by the bulk API
// (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk,
// https://docs.opensearch.org/latest/api-reference/document-apis/bulk/).
//
// Documents are created, never replaced, under an id that is a hash of the event's source
// and id: data streams take nothing else, and a document that an earlier attempt has
// stored answers 409, which counts as delivered.
//
// The bulk API answers 200 with a result per document. What is the document's own fault is
// the event's, what is the index's is the webhook's, and the rest is sent again alone
// (answer.go).
package elasticsearch
