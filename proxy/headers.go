package proxy

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// The first header of every answer. Its value carries the rest of the block: see setBlock.
const (
	firstName  = "X-Content-Type-Options"
	firstValue = "nosniff"
)

// setBlock puts a block of headers into h as it is: the value of firstName, CR LF, and further "Name: value" lines
// without a last CR LF.
//
// fasthttp keeps headers as a list that it searches, normalises and copies twice, which for our seventeen costs more
// than all else in the handler. It also turns CR LF in a value to spaces; so a blank of the block's length goes in, and
// the block is written over h's copy of it, which Peek hands out. appendLine keeps CR and LF out of the values.
func setBlock(h *fasthttp.ResponseHeader, block []byte) {
	placeholder := block
	if len(block) <= len(blank) {
		placeholder = blank[:len(block)] // cheaper to search for CR LF
	}
	h.SetBytesV(firstName, placeholder)
	copy(h.Peek(firstName), block)
}

var blank = bytes.Repeat([]byte{' '}, 4096)

// appendLine appends one header line, CR LF before it. Bytes that a value must not have become spaces.
func appendLine(b []byte, name, value string) []byte {
	b = append(b, "\r\n"...)
	b = append(b, name...)
	b = append(b, ": "...)
	return appendValue(b, value)
}

// appendValue appends value with every control character turned to a space.
func appendValue(b []byte, value string) []byte {
	start := len(b)
	b = append(b, value...)
	for i := start; i < len(b); i++ {
		if b[i] < ' ' || b[i] == 0x7f {
			b[i] = ' '
		}
	}
	return b
}

// sandbox is the policy of what can hold script or markup.
const sandbox = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

// A memo is the part of the headers that depends on an object alone. It is rendered once and kept with the object.
type memo struct {
	mediaType string // as the caller knows it; another caller's other type is not served from here
	etag      string
	lines     []byte
}

// memoOf returns the object's memo. etag is asked for only when there is none yet.
func memoOf(o *asset.Object, mediaType string, etag func() string) *memo {
	m, _ := o.Memo(func(o *asset.Object) any { return newMemo(o, mediaType, etag()) }).(*memo)
	if m.mediaType != mediaType {
		m = newMemo(o, mediaType, etag())
	}
	return m
}

func newMemo(o *asset.Object, mediaType, etag string) *memo {
	shown := mediaType
	if shown == "" {
		shown = "application/octet-stream"
	}
	b := append(make([]byte, 0, 256), firstValue...)
	b = appendLine(b, "Content-Type", shown)
	b = appendLine(b, "ETag", etag)
	b = append(b, "\r\nAccept-Ranges: bytes\r\nCross-Origin-Resource-Policy: cross-origin"...)
	if active(shown) {
		b = appendLine(b, "Content-Security-Policy", sandbox)
	}
	if o.Quality > 0 {
		b = appendNumber(b, "Asset-Quality", uint64(o.Quality))
	}
	if o.Key.IsOriginal() {
		b = append(b, "\r\nRepr-Digest: sha-256=:"...)
		b = base64.StdEncoding.AppendEncode(b, o.Key.Original[:])
		b = append(b, ':')
	}
	return &memo{mediaType: mediaType, etag: etag, lines: b}
}

// immutable is the lifetime of a pinned URL (RFC 8246).
const immutable = "\r\nCache-Control: public, max-age=31536000, immutable"

// appendLifetime appends Cache-Control for a product's unpinned URL; what the product does not say, l does.
func appendLifetime(b []byte, of, fallback asset.Lifetimes) []byte {
	if of == (asset.Lifetimes{}) {
		of = fallback
	}
	b = append(b, "\r\nCache-Control: public, max-age="...)
	b = strconv.AppendInt(b, int64(of.MaxAge), 10)
	b = appendSeconds(b, ", s-maxage=", of.SharedMaxAge)
	b = appendSeconds(b, ", stale-while-revalidate=", of.StaleWhileRevalidate)
	return appendSeconds(b, ", stale-if-error=", of.StaleIfError)
}

func appendSeconds(b []byte, directive string, seconds int) []byte {
	if seconds == 0 {
		return b
	}
	return strconv.AppendInt(append(b, directive...), int64(seconds), 10)
}

// appendCORS appends what a page of another origin may read. A product with origins answers each of them by name, and
// says so to caches.
func appendCORS(b []byte, origins []string, origin []byte) []byte {
	allowed := allowedOrigin(origins, origin)
	if allowed == "" {
		return b
	}
	b = appendLine(b, "Access-Control-Allow-Origin", allowed)
	b = appendLine(b, "Timing-Allow-Origin", allowed)
	return append(b, "\r\nAccess-Control-Expose-Headers: *"...)
}

// allowedOrigin returns "*", the request's origin when the product lists it, or "".
func allowedOrigin(origins []string, origin []byte) string {
	if len(origins) == 0 {
		return "*"
	}
	for _, o := range origins {
		if o == "*" || o == string(origin) {
			return o
		}
	}
	return ""
}

// appendVary appends what else of the request can decide about the answer.
func appendVary(b []byte, negotiated bool, heeds resolve.Heed, origins []string) []byte {
	start := len(b)
	b = append(b, "\r\nVary:"...)
	named := len(b)
	if negotiated {
		b = append(b, " Accept,"...)
	}
	b = append(b, varyByHints[heeds]...)
	if allowedOrigin(origins, nil) != "*" {
		b = append(b, " Origin,"...)
	}
	if len(b) == named {
		return b[:start]
	}
	return b[:len(b)-1] // without the last comma
}

// varyByHints are the headers of the hints that are heeded.
var varyByHints = [...]string{
	resolve.HeedNone:     "",
	resolve.HeedSaveData: " Save-Data,",
	resolve.HeedDPR:      " Sec-CH-DPR, DPR, Save-Data,",
	resolve.HeedWidth:    " Sec-CH-DPR, DPR, Sec-CH-Width, Width, Save-Data,",
}

// appendTags appends the keys by which a CDN can purge: the asset's id, the product, the asset's tags.
func appendTags(b []byte, product string, e *asset.Entry) []byte {
	b = appendTagList(append(b, "\r\nSurrogate-Key: "...), " ", product, e)
	return appendTagList(append(b, "\r\nCache-Tag: "...), ",", product, e)
}

func appendTagList(b []byte, separator, product string, e *asset.Entry) []byte {
	b = e.Record.AppendID(b, e.At)
	b = append(append(b, separator...), product...)
	return e.Record.AppendTags(b, e.At, separator)
}

// appendCacheStatus appends Cache-Status (RFC 9211).
func appendCacheStatus(b []byte, t *asset.Trace) []byte {
	b = append(b, "\r\nCache-Status: assetmatrix; "...)
	if tier, hit := t.Hit(); hit {
		return append(append(b, "hit; detail="...), tier.String()...)
	}
	b = append(b, "fwd=miss"...)
	if t.Collapsed {
		b = append(b, "; collapsed"...)
	}
	if t.Stored {
		b = append(b, "; stored"...)
	}
	return b
}

// appendServerTiming appends one entry per room that the request went through, in milliseconds.
func appendServerTiming(b []byte, spent *[asset.Rooms]time.Duration) []byte {
	first := true
	for r, d := range spent {
		if d == 0 {
			continue
		}
		if first {
			b, first = append(b, "\r\nServer-Timing: "...), false
		} else {
			b = append(b, ", "...)
		}
		b = append(b, asset.Room(r).String()...)
		b = append(b, ";dur="...)
		b = appendMillis(b, d)
	}
	return b
}

// appendMillis appends d in milliseconds with three decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(0, d.Microseconds())
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}

// appendNumber appends a header line with a number.
func appendNumber(b []byte, name string, n uint64) []byte {
	b = append(append(append(b, "\r\n"...), name...), ": "...)
	return strconv.AppendUint(b, n, 10)
}

// appendDate appends a header line with a date.
func appendDate(b []byte, name string, t time.Time) []byte {
	b = append(append(append(b, "\r\n"...), name...), ": "...)
	return fasthttp.AppendHTTPDate(b, t)
}

// appendContentRange appends Content-Range for the span, or for none of it.
func appendContentRange(b []byte, s span, size int64, c cut) []byte {
	b = append(b, "\r\nContent-Range: bytes "...)
	if c == unsatisfiable {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, s.start, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, s.end-1, 10)
	}
	return strconv.AppendInt(append(b, '/'), size, 10)
}

// directive reports whether the client's Cache-Control has the directive.
func (r *request) directive(name string) bool { return hasToken(r.cacheControl, name) }
