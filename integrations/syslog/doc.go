// Package syslog is the channel for syslog receivers: RFC 5424 messages over TLS (RFC
// 5425), TCP (RFC 6587) or UDP (RFC 5426), one message per event, as JSON, CEF, LEEF,
// OCSF or CloudEvents.
//
// Syslog has no answer. What a send can know: over TLS and TCP, that the receiver's system
// took the bytes and had not closed the connection; over UDP, that they left. A receiver
// that dies with bytes unread loses them, and nobody is told. The channel does what can be
// done about it: it looks for the end of the connection before it writes and for a reset
// after it has written, and after an error all messages of the delivery are sent again.
// Each carries the event's uid, so that a receiver can drop the second one.
//
// Event text is hostile. It stands in values that are escaped (structured data, CEF,
// JSON), lines have no breaks in them, and frames are counted, so that no event can end its
// message and begin another.
package syslog
