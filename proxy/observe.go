package proxy

import (
	"log/slog"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Events are told what happens at the front door. Any of them may be nil. They are called on the request's goroutine
// and must not block.
type Events struct {
	// Request: an answer was decided. product is "" when the request named none that exists. bytes is the body's length.
	// took ends where the writing begins.
	Request func(product string, status int, took time.Duration, bytes int64)
	// Panicked: a handler panicked and was answered with 500.
	Panicked func(value any, stack []byte)
	// Broken: the bytes of an object could not be read while it was being sent, so its connection was cut.
	Broken func(k asset.Key, err error)
	// Shed: a client was refused before any work for it. reason is "connections", or "revision" when too many waited for
	// a revision.
	Shed func(reason string)
}

func (e Events) panicked(value any, stack []byte) {
	if e.Panicked != nil {
		e.Panicked(value, stack)
	}
}

func (e Events) broken(k asset.Key, err error) {
	if e.Broken != nil {
		e.Broken(k, err)
	}
}

func (e Events) shed(reason string) {
	if e.Shed != nil {
		e.Shed(reason)
	}
}

// maxLoggedPath is how many bytes of a path the access log shows; behind them stands an ellipsis, which no path that was sent
// as URLs are has.
const maxLoggedPath = 512

// observe reports the exchange to the events and the access log.
func (s *Server) observe(x *exchange) {
	if s.events.Request == nil && s.access == nil {
		return
	}
	took, status, product := time.Since(x.began), x.ctx.Response.StatusCode(), x.product()
	if s.events.Request != nil {
		s.events.Request(product, status, took, x.bytes)
	}
	if s.access != nil && s.access.Enabled(s.life, slog.LevelInfo) {
		s.access.LogAttrs(s.life, slog.LevelInfo, "request",
			slog.String("method", string(x.ctx.Method())),
			slog.String("path", x.loggedPath()),
			slog.String("product", product),
			slog.Int("status", status),
			slog.Int64("bytes", x.bytes),
			slog.Duration("took", took),
			slog.String("source", x.source()),
			slog.Uint64("revision", x.found.Revision),
			slog.String("client", x.ctx.RemoteAddr().String()),
		)
	}
}

// product is the name of the product that was asked for, "" when there is none such.
func (x *exchange) product() string {
	if x.found.Product == nil {
		return ""
	}
	return x.found.Product.Name
}

// loggedPath is the request target as sent, bounded. It is copied: a log handler may keep it.
func (x *exchange) loggedPath() string {
	raw := x.ctx.RequestURI()
	if len(raw) > maxLoggedPath {
		return string(raw[:maxLoggedPath]) + "…"
	}
	return string(raw)
}

// source is the room that had the object, "" when none was loaded.
func (x *exchange) source() string {
	if x.trace.Source == asset.Resolving {
		return ""
	}
	return x.trace.Source.String()
}
