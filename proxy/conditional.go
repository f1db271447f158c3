package proxy

import (
	"bytes"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A verdict is what the preconditions of a request say.
type verdict uint8

const (
	proceed verdict = iota
	notModified
	failed
)

// conditional reports whether the request has any precondition, so that a plain one need not know its ETag.
func (r *request) conditional() bool {
	return r.ifMatch != nil || r.ifNoneMatch != nil || r.ifModifiedSince != nil || r.ifUnmodifiedSince != nil
}

// judge evaluates the preconditions of a GET or HEAD in the order of RFC 9110 §13.2.2 against what exists.
// modified is in whole seconds. The second result names the header that failed.
func (r *request) judge(etag string, modified time.Time) (verdict, string) {
	if r.ifMatch != nil {
		if !matches(r.ifMatch, etag, false) {
			return failed, "If-Match"
		}
	} else if since, ok := parseDate(r.ifUnmodifiedSince); ok && modified.After(since) {
		return failed, "If-Unmodified-Since"
	}
	if r.ifNoneMatch != nil {
		if matches(r.ifNoneMatch, etag, true) {
			return notModified, ""
		}
		return proceed, ""
	}
	if since, ok := parseDate(r.ifModifiedSince); ok && !modified.After(since) {
		return notModified, ""
	}
	return proceed, ""
}

// matches reports whether a list of entity tags has etag, or is "*". Weak comparison (RFC 9110 §8.8.3.2) ignores "W/";
// strong comparison never matches a weak tag.
func matches(list []byte, etag string, weak bool) bool {
	if string(bytes.TrimSpace(list)) == "*" {
		return true
	}
	for {
		list = bytes.TrimLeft(list, ", \t")
		isWeak := bytes.HasPrefix(list, []byte("W/"))
		tag := bytes.TrimPrefix(list, []byte("W/"))
		if len(tag) == 0 || tag[0] != '"' {
			return false // the end, or no entity tag: what follows cannot be trusted
		}
		end := bytes.IndexByte(tag[1:], '"')
		if end < 0 {
			return false
		}
		if string(tag[:end+2]) == etag && (weak || !isWeak) {
			return true
		}
		list = tag[end+2:]
	}
}

// rangeHolds reports whether If-Range, when there is one, lets the Range through: a strong entity tag that is equal, or
// a date that is exactly Last-Modified (RFC 9110 §13.1.5) and a second old, before which a date is no strong validator
// (§8.8.2.2): what it means may have changed twice within it.
func (r *request) rangeHolds(etag string, modified, now time.Time) bool {
	if r.ifRange == nil {
		return true
	}
	if at, ok := parseDate(r.ifRange); ok {
		return at.Equal(modified) && now.Sub(modified) >= time.Second
	}
	return string(r.ifRange) == etag
}

// The three spellings of a date (RFC 9110 §5.6.7).
var dateLayouts = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// parseDate parses a header's date; what is no date does not exist.
func parseDate(value []byte) (time.Time, bool) {
	if len(value) == 0 || strings.IndexByte("MTWFS", value[0]) < 0 {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func preconditionFailed(header string) error {
	return &asset.Fault{
		Kind:    asset.ErrPrecondition,
		Detail:  "The precondition " + header + " does not hold.",
		Part:    header,
		Allowed: "a validator of the current representation, as HEAD shows it",
	}
}
