package proxy

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A request is what of a request's headers matters here, as views into the connection's buffer: none of it may be
// kept past the handler. A list header that came in several lines is joined with commas (RFC 9110 §5.3).
type request struct {
	accept, cacheControl, origin                             []byte
	ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince []byte
	ifRange, ranges, minRevision                             []byte
	hints                                                    resolve.HintHeaders
	close                                                    bool // the client asked for Connection: close
	body                                                     bool // the client announced a body
}

// readRequest walks the raw header block once. It refuses what fasthttp lets through and RFC 9112 does not: bare CR or
// LF, folded lines, names with spaces, any Transfer-Encoding.
func readRequest(raw []byte, r *request) error {
	*r = request{}
	for len(raw) > 0 {
		line, rest, ok := bytes.Cut(raw, []byte{'\n'})
		if !ok || len(line) == 0 || line[len(line)-1] != '\r' {
			return malformed("a line that does not end in CR LF")
		}
		line, raw = line[:len(line)-1], rest
		if len(line) == 0 {
			break
		}
		if err := r.take(line); err != nil {
			return err
		}
	}
	return nil
}

// take checks one header line and keeps its value when it matters.
func (r *request) take(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte{':'})
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return malformed("a folded header line")
	case !ok || len(name) == 0 || bytes.IndexByte(name, ' ') >= 0:
		return malformed("a header line that is not 'Name: value'")
	case bytes.IndexByte(value, '\r') >= 0:
		return malformed("a bare CR")
	}
	return r.keep(name, bytes.Trim(value, " \t"))
}

// keep files the value of the headers that the front door reads. The length of a name narrows it to one comparison.
// A header that has one value and came twice becomes a list, which is neither a date nor a range, and is ignored so.
func (r *request) keep(name, value []byte) error {
	switch len(name) {
	case len("DPR"):
		join(&r.hints.DPR, name, "DPR", value)
	case len("Range"): // and Width
		join(&r.ranges, name, "Range", value)
		join(&r.hints.Width, name, "Width", value)
	case len("Accept"):
		join(&r.accept, name, "Accept", value)
		join(&r.origin, name, "Origin", value)
	case len("If-Match"):
		join(&r.ifMatch, name, "If-Match", value)
		join(&r.ifRange, name, "If-Range", value)
	case len("Save-Data"):
		join(&r.hints.SaveData, name, "Save-Data", value)
	case len("Connection"): // and Sec-CH-DPR
		if is(name, "Connection") && hasToken(value, "close") {
			r.close = true
		}
		join(&r.hints.SecDPR, name, "Sec-CH-DPR", value)
	case len("Sec-CH-Width"):
		join(&r.hints.SecWidth, name, "Sec-CH-Width", value)
	case len("If-None-Match"):
		join(&r.ifNoneMatch, name, "If-None-Match", value)
		join(&r.cacheControl, name, "Cache-Control", value)
	case len("Content-Length"):
		if is(name, "Content-Length") && string(value) != "0" {
			r.body = true
		}
	case len("Transfer-Encoding"): // and If-Modified-Since
		if is(name, "Transfer-Encoding") {
			return malformed("Transfer-Encoding")
		}
		join(&r.ifModifiedSince, name, "If-Modified-Since", value)
	case len("If-Unmodified-Since"):
		join(&r.ifUnmodifiedSince, name, "If-Unmodified-Since", value)
	case len(minRevision):
		join(&r.minRevision, name, minRevision, value)
	}
	return nil
}

// join appends the value to what earlier lines of the same header brought.
func join(to *[]byte, name []byte, want string, value []byte) {
	if !is(name, want) {
		return
	}
	if *to == nil {
		*to = value[:len(value):len(value)]
		return
	}
	*to = append(append(*to, ", "...), value...)
}

// is reports whether a header's name is want, in any case.
func is(name []byte, want string) bool {
	return len(name) == len(want) && strings.EqualFold(string(name), want)
}

// hasToken reports whether a comma-separated list has the token, in any case and whatever its parameters are.
func hasToken(list []byte, want string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte{','})
		item, _, _ = bytes.Cut(item, []byte{'='})
		if is(bytes.Trim(item, " \t"), want) {
			return true
		}
	}
	return false
}

func malformed(what string) error {
	return &asset.Fault{
		Kind:    asset.ErrMalformed,
		Detail:  fmt.Sprintf("The request has %s.", what),
		Part:    "headers",
		Allowed: "lines of the form 'Name: value' ended by CR LF, exactly one Host, no Transfer-Encoding, no body on GET, HEAD and OPTIONS",
	}
}

// splitTarget returns path and query of a request target in origin form or absolute form (RFC 9112 §3.2), exactly as
// they were sent.
func splitTarget(target string) (path, query string) {
	if !strings.HasPrefix(target, "/") {
		if _, rest, ok := strings.Cut(target, "://"); ok {
			target = rest[min(len(rest), strings.IndexByte(rest+"/", '/')):]
		}
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query
}
