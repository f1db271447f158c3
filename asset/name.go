package asset

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameBytes is the longest name that a product can give to an asset, in bytes of UTF-8.
const MaxNameBytes = 512

// CheckName decides whether a product can give an asset this name: path segments of UTF-8 joined by "/", none of them
// empty, "." or "..", without control characters and U+FFFD (to which JSON makes half a surrogate pair), and without what
// a URL could not carry in one meaning only: a backslash, or a percent-encoding that is still there after decoding. The
// error is a [Fault] of kind [ErrInvalid].
func CheckName(name string) error {
	switch {
	case name == "":
		return nameFault("is empty")
	case len(name) > MaxNameBytes:
		return nameFault("is too long")
	case !utf8.ValidString(name):
		return nameFault("is not UTF-8")
	case strings.ContainsFunc(name, isNoText):
		return nameFault("has a control character, or U+FFFD, which stands for what was no Unicode")
	case strings.IndexByte(name, '\\') >= 0:
		return nameFault("has a backslash")
	case hasDotSegment(name):
		return nameFault("has a segment that is empty, . or ..")
	case hasEscape(name):
		return nameFault("is encoded twice")
	}
	return nil
}

func isNoText(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }

func nameFault(flaw string) error {
	return &Fault{
		Kind: ErrInvalid, Part: "name", Detail: "the name " + flaw,
		Allowed: "1–512 bytes of UTF-8 in segments joined by /, none of them empty, . or .., without control characters, U+FFFD, backslashes or a percent sign before two hexadecimal digits",
	}
}

// hasDotSegment reports whether a segment is empty, "." or "..".
func hasDotSegment(name string) bool {
	for more := true; more; {
		var segment string
		segment, name, more = strings.Cut(name, "/")
		if segment == "" || segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// hasEscape reports whether there is a "%" with two hexadecimal digits behind it.
func hasEscape(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0 && i+2 < len(s); {
		if isHex(s[i+1]) && isHex(s[i+2]) {
			return true
		}
		next := strings.IndexByte(s[i+1:], '%')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// CheckProductName decides whether a product can be called so, see [ValidProductName]. The error is a [Fault] of kind
// [ErrInvalid] about that part.
func CheckProductName(part, name string) error {
	if ValidProductName(name) {
		return nil
	}
	return invalidPart(part, fmt.Sprintf("the product's name %q cannot be used", name), "1–63 of a-z, 0-9 and -, not beginning with -")
}

// ValidProductName reports whether name is [a-z0-9][a-z0-9-]{0,62}.
func ValidProductName(name string) bool {
	if name == "" || len(name) > 63 || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
