package proxy

import (
	"bytes"
	"math"
)

// A span is the bytes [start, end) of an object.
type span struct{ start, end int64 }

func (s span) length() int64 { return s.end - s.start }

// A cut says what a Range header does to an answer.
type cut uint8

const (
	whole         cut = iota // 200: no range, or one that RFC 9110 §14.2 lets us ignore
	partial                  // 206
	unsatisfiable            // 416
)

// parseRange reads a Range header against an object of size bytes. Unknown units, malformed sets, and sets of several
// ranges are answered with the whole.
func parseRange(header []byte, size int64) (span, cut) {
	all := span{0, size}
	unit, set, ok := bytes.Cut(header, []byte{'='})
	if !ok || !is(unit, "bytes") || size == 0 {
		return all, whole
	}
	spec, ok := onlyElement(set)
	if !ok {
		return all, whole
	}
	first, last, ok := bytes.Cut(spec, []byte{'-'})
	if !ok {
		return all, whole
	}
	if len(first) == 0 {
		return suffix(last, size)
	}
	return between(first, last, size)
}

// suffix is the range "-n": the last n bytes.
func suffix(digits []byte, size int64) (span, cut) {
	switch n, ok := parseDigits(digits); {
	case !ok:
		return span{0, size}, whole
	case n == 0:
		return span{}, unsatisfiable
	default:
		return span{max(0, size-n), size}, partial
	}
}

// between is the range "a-b" or "a-".
func between(first, last []byte, size int64) (span, cut) {
	start, ok := parseDigits(first)
	end := int64(math.MaxInt64)
	if ok && len(last) > 0 {
		end, ok = parseDigits(last)
	}
	switch {
	case !ok || end < start:
		return span{0, size}, whole
	case start >= size:
		return span{}, unsatisfiable
	default:
		return span{start, min(end, size-1) + 1}, partial
	}
}

// onlyElement returns the one element of a list that may have empty ones (RFC 9110 §5.6.1.2).
func onlyElement(list []byte) ([]byte, bool) {
	var only []byte
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte{','})
		item = bytes.Trim(item, " \t")
		if len(item) == 0 {
			continue
		}
		if only != nil {
			return nil, false
		}
		only = item
	}
	return only, only != nil
}

// parseDigits parses a decimal number of any length; what does not fit is the largest there is.
func parseDigits(digits []byte) (int64, bool) {
	var n int64
	for _, c := range digits {
		switch {
		case c < '0' || c > '9':
			return 0, false
		case n > (math.MaxInt64-9)/10:
			n = math.MaxInt64
		default:
			n = n*10 + int64(c-'0')
		}
	}
	return n, len(digits) > 0
}
