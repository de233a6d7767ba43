package app

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger of this level ("debug", "info", "warn", "error"; "" is
// info) and format ("text", "json"; "" is text). Other words are errors that list what
// is allowed.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var options slog.HandlerOptions
	switch level {
	case "", "info":
	case "debug":
		options.Level = slog.LevelDebug
	case "warn":
		options.Level = slog.LevelWarn
	case "error":
		options.Level = slog.LevelError
	default:
		return nil, fmt.Errorf("TOCSIN_LOG_LEVEL: %q is not a level; allowed: debug, info, warn, error", level)
	}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, &options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &options)), nil
	default:
		return nil, fmt.Errorf("TOCSIN_LOG_FORMAT: %q is not a format; allowed: text, json", format)
	}
}
