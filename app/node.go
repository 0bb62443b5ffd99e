package app

import (
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"strings"
)

// nodeName is the configured name, or the host's with a random end: a name is
// never that of a process before, whose late answers would be taken for ours.
func nodeName(c *Config, p Process) string {
	if c.Node != "" {
		return c.Node
	}
	host, err := os.Hostname()
	if err != nil {
		host = "local"
	}
	host, _, _ = strings.Cut(host, ".")
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, host)
	return string(p) + "-" + clean[:min(len(clean), 32)] + "-" + strings.ToLower(rand.Text()[:6])
}

func newLogger(c *Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
