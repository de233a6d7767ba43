package temporalserver

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// serverLogger passes the server's warnings and errors on to slog, until muted.
type serverLogger struct {
	to    *slog.Logger
	muted *atomic.Bool
}

var (
	_ log.Logger     = (*serverLogger)(nil)
	_ log.WithLogger = (*serverLogger)(nil)
)

func newServerLogger(to *slog.Logger) *serverLogger {
	return &serverLogger{to: to, muted: new(atomic.Bool)}
}

// mute drops everything below Fatal from now on, also of loggers made by With.
func (l *serverLogger) mute() { l.muted.Store(true) }

func (l *serverLogger) log(level slog.Level, msg string, tags []tag.Tag) {
	if l.muted.Load() || !l.to.Enabled(context.Background(), level) {
		return
	}
	l.to.LogAttrs(context.Background(), level, "temporal: "+msg, attrs(tags)...)
}

func attrs(tags []tag.Tag) []slog.Attr {
	out := make([]slog.Attr, len(tags))
	for i, t := range tags {
		out[i] = slog.Any(t.Key(), t.Value())
	}
	return out
}

// Debug implements log.Logger; the server's debug and info lines are dropped.
func (l *serverLogger) Debug(string, ...tag.Tag) {}

// Info implements log.Logger.
func (l *serverLogger) Info(string, ...tag.Tag) {}

// Warn implements log.Logger.
func (l *serverLogger) Warn(msg string, tags ...tag.Tag) { l.log(slog.LevelWarn, msg, tags) }

// Error implements log.Logger.
func (l *serverLogger) Error(msg string, tags ...tag.Tag) { l.log(slog.LevelError, msg, tags) }

// DPanic implements log.Logger.
func (l *serverLogger) DPanic(msg string, tags ...tag.Tag) { l.log(slog.LevelError, msg, tags) }

// Panic implements log.Logger.
func (l *serverLogger) Panic(msg string, tags ...tag.Tag) {
	l.log(slog.LevelError, msg, tags)
	panic(msg)
}

// Fatal implements log.Logger. The server's code does not expect it to return.
func (l *serverLogger) Fatal(msg string, tags ...tag.Tag) {
	l.to.LogAttrs(context.Background(), slog.LevelError, "temporal: "+msg, attrs(tags)...)
	os.Exit(1)
}

// With implements log.WithLogger.
func (l *serverLogger) With(tags ...tag.Tag) log.Logger {
	handler := l.to.Handler().WithAttrs(attrs(tags))
	return &serverLogger{to: slog.New(handler), muted: l.muted}
}

// quiet is a logger for SDK clients that are only there for a moment.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
