package proxy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// baseType returns a media type without its parameters, in lower case.
func baseType(mediaType string) string {
	base, _, _ := strings.Cut(mediaType, ";")
	return strings.ToLower(strings.TrimSpace(base))
}

// inline reports whether a browser may show the type itself: pictures, video, audio, PDF and plain text.
func inline(mediaType string) bool {
	base := baseType(mediaType)
	kind, _, _ := strings.Cut(base, "/")
	switch kind {
	case "image", "video", "audio":
		return true
	}
	return base == "application/pdf" || base == "text/plain"
}

// active reports whether the type can hold script or markup: it gets the sandboxing policy.
func active(mediaType string) bool {
	base := baseType(mediaType)
	switch base {
	case "text/html", "text/xml", "application/xml", "application/pdf":
		return true
	}
	return strings.HasSuffix(base, "+xml")
}

// appendDisposition appends the value of Content-Disposition for an attachment: an ASCII fallback, and filename* when
// that does not say it all (RFC 6266 §4.3, RFC 8187). No control character, quote or slash of name gets through.
func appendDisposition(b []byte, name string) []byte {
	name = cleanFilename(name)
	b = append(b, `attachment; filename="`...)
	exact := true
	for _, r := range name {
		if c := byte(r); r < utf8.RuneSelf && c != '"' && c != '%' {
			b = append(b, c)
			continue
		}
		b, exact = append(b, '_'), false
	}
	b = append(b, '"')
	if exact {
		return b
	}
	b = append(b, "; filename*=UTF-8''"...)
	return appendExtValue(b, name)
}

// cleanFilename replaces what no file name should hold, whatever a client does with it: separators, control and
// format characters (bidirectional overrides among them), broken UTF-8.
func cleanFilename(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '/', r == '\\', r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return '_'
		}
		return r
	}, name)
	if strings.Trim(name, ". ") == "" {
		return "download"
	}
	return name
}

// appendExtValue appends the percent-encoding of RFC 8187 §3.2.
func appendExtValue(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; isAttrChar(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// isAttrChar is attr-char of RFC 8187.
func isAttrChar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}

// lastSegment returns what follows the last slash of a name.
func lastSegment(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
