// Package format turns one event into the bytes that the products behind several channels
// read: Tocsin's own JSON, an OCSF Detection Finding, a CloudEvent, a line of CEF or LEEF. The output depends on
// the event alone, so the same event gives the same bytes on every attempt and in every
// channel.
//
// Event text is hostile; it is put in by encoders alone.
package format
