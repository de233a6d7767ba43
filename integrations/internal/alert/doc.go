// Package alert puts events into words, the same in every channel: what an event is
// called, its facts in the order a person on call asks for them, the headline of a batch.
//
// What comes from an event is hostile and stays so: [Clean] takes out what deceives the
// eye in any format; escaping is each channel's own.
package alert
