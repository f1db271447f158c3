package resolve

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Mode is what a URL asks for.
type Mode uint8

// A rendition; the original's bytes; a description.
const (
	ModeDeliver Mode = iota
	ModeOriginal
	ModeInfo
)

// A Target is a delivery URL, read but not looked up.
type Target struct {
	Product, Name string
	Mode          Mode
	// Preset is the name of a preset of the product, "" for none.
	Preset string
	// Options are those of the URL itself, without the preset's, in ModeDeliver.
	Options asset.Variant
	// Version is the pinned version, 0 for the current one.
	Version int
	// Download is the file name of an attachment (dl), "" for an answer that is shown in place.
	Download string
	// MinRevision is the revision that the answer must have seen.
	MinRevision uint64

	overrides string // the options beside the preset, which go over it
}

const form = "/{product}/{options}/{name}"

// Parse reads a URL: path exactly as it was sent, percent-encoded, and query without "?". It is pure. The target holds
// parts of both strings.
//
//	/{product}/{options}/{name}[?exp=…&kid=…&sig=…&dl=…&min_revision=…]
//
// The options are one segment: "original", "info", a preset's name, "key=value" pairs in the grammar of
// [asset.ParseVariant], or a preset followed by pairs; "v=N" may stand beside each of them. The error is an
// [asset.Fault] of kind [asset.ErrInvalid].
func Parse(path, query string) (Target, error) {
	var t Target
	product, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	options, name, okName := strings.Cut(rest, "/")
	switch {
	case path == "" || path[0] != '/':
		return Target{}, invalid("path", form, "the path does not begin with /")
	case !asset.ValidProductName(product):
		return Target{}, invalid("product", "1–63 of a-z, 0-9 and -, not beginning with -", "%q cannot be a product's name", clip(product))
	case !ok || options == "":
		return Target{}, invalid("options", form, "the path has no options")
	case !okName || name == "":
		return Target{}, invalid("name", form, "the path has no name")
	}
	if err := t.takeSegment(options); err != nil {
		return Target{}, err
	}
	t.Product = product
	if err := t.takeName(name); err != nil {
		return Target{}, err
	}
	if err := t.takeQuery(query); err != nil {
		return Target{}, err
	}
	return t, nil
}

// segments are option segments that were read lately: targets with nothing else in them.
var segments memo[Target]

// takeSegment sets t to what the options segment says.
func (t *Target) takeSegment(segment string) error {
	known, err := segments.get(segment, func(segment string) (*Target, error) {
		t := new(Target)
		return t, t.takeOptions(segment)
	})
	if err == nil {
		*t = *known
	}
	return err
}

// takeOptions reads the options segment.
func (t *Target) takeOptions(segment string) error {
	options, version, err := cutVersion(segment)
	if err != nil {
		return err
	}
	t.Version = version
	word := options[:indexAny(options, ',', ';')]
	switch {
	case word == "original":
		t.Mode = ModeOriginal
		return alone(word, options)
	case word == "info":
		t.Mode = ModeInfo
		return alone(word, options)
	case asset.ValidPresetName(word):
		return t.takePreset(word, options[len(word):])
	case version == 0:
		t.Options, err = asset.ParseVariant(options)
	default: // nothing may be left beside the version
		t.Options, err = asset.Variant{}.Overlay(options)
	}
	return err
}

// takePreset keeps a preset's name, and what goes over it for when the preset is known.
func (t *Target) takePreset(name, overrides string) error {
	if overrides != "" && overrides[0] == ',' {
		overrides = overrides[1:]
		if overrides == "" || overrides[0] == ';' {
			return emptyOption()
		}
	}
	t.Preset, t.overrides = name, overrides
	var err error
	t.Options, err = asset.Variant{}.Overlay(overrides)
	return err
}

func alone(word, options string) error {
	if options == word {
		return nil
	}
	return invalid("options", word+" or "+word+",v=1", "%s does not go with other options", word)
}

// cutVersion takes the version out of the first group of options; it is part of the URL and not of a variant.
func cutVersion(options string) (rest string, version int, err error) {
	for start := 0; ; {
		end := start + indexAny(options[start:], ',', ';')
		value, found := versionValue(options[start:end])
		switch {
		case found:
			return takeVersion(options, value, start, end)
		case end == len(options) || options[end] == ';':
			return options, 0, nil
		}
		start = end + 1
	}
}

func versionValue(pair string) (value string, found bool) {
	if value, found = strings.CutPrefix(pair, "v="); !found {
		value, found = strings.CutPrefix(pair, "version=")
	}
	return value, found
}

// takeVersion reads the value and returns the options without the pair at start:end.
func takeVersion(options, value string, start, end int) (rest string, version int, err error) {
	version, err = strconv.Atoi(value)
	if err != nil || version < 1 || version > maxVersion || value[0] < '1' || value[0] > '9' {
		return "", 0, invalid("version", "1 and up", "version cannot be %q", clip(value))
	}
	switch {
	case start > 0:
		rest = options[:start-1] + options[end:]
	case end == len(options) || options[end] == ';':
		return options[end:], version, nil
	default:
		rest = options[end+1:]
	}
	if rest == "" || rest[0] == ';' {
		return "", 0, emptyOption()
	}
	if _, again, err := cutVersion(rest); again != 0 || err != nil {
		return "", 0, invalid("version", "once", "version is given twice")
	}
	return rest, version, nil
}

const maxVersion = 1_000_000_000

func emptyOption() error {
	return invalid("options", "key=value pairs joined by commas, in groups joined by semicolons", "an option is empty")
}

// takeName percent-decodes the name once.
func (t *Target) takeName(raw string) error {
	const allowed = "percent-encoded UTF-8, encoded once, slashes as they are"
	if hasEncodedSlash(raw) {
		return invalid("name", allowed, "the name has an encoded slash or backslash")
	}
	name := raw
	if strings.IndexByte(raw, '%') >= 0 {
		var err error
		if name, err = url.PathUnescape(raw); err != nil {
			return invalid("name", allowed, "the name has a malformed percent-encoding")
		}
	}
	t.Name = name
	return asset.CheckName(name)
}

func hasEncodedSlash(raw string) bool {
	for i := strings.IndexByte(raw, '%'); i >= 0 && i+3 <= len(raw); {
		switch raw[i+1 : i+3] {
		case "2f", "2F", "5c", "5C":
			return true
		}
		next := strings.IndexByte(raw[i+1:], '%')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// takeQuery reads the parameters that are known; all others are ignored.
func (t *Target) takeQuery(query string) error {
	var seen uint8
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, raw, _ := strings.Cut(pair, "=")
		bit, allowed := parameter(key)
		if bit == 0 {
			continue
		}
		if seen&bit != 0 {
			return invalid(key, "once", "%s is given twice", key)
		}
		seen |= bit
		value, err := url.QueryUnescape(raw)
		if err != nil || !t.setParameter(key, value) {
			return invalid(key, allowed, "%s cannot be %q", key, clip(raw))
		}
	}
	return nil
}

// parameter returns a known parameter's bit and what its value may be; 0 for one that is not known.
func parameter(key string) (bit uint8, allowed string) {
	switch key {
	case "exp":
		return 1, "a time in seconds since 1970"
	case "kid":
		return 2, "the id of a key: 1–64 of A-Z, a-z, 0-9, dot, _ and -"
	case "sig":
		return 4, "an HMAC-SHA256 in base64url without padding (43 characters)"
	case "dl":
		return 8, "a file name of 1–255 bytes of percent-encoded UTF-8 without control characters"
	case "min_revision":
		return 16, "a revision: a decimal number"
	}
	return 0, ""
}

// setParameter reads a known parameter. A signature needs no place in the target while no product can demand one: it
// has to be well-formed and changes nothing.
func (t *Target) setParameter(key, value string) (ok bool) {
	switch key {
	case "exp":
		_, err := strconv.ParseUint(value, 10, 63)
		return err == nil
	case "kid":
		return value != "" && len(value) <= 64 && !strings.ContainsFunc(value, notOfKeyID)
	case "sig":
		mac, err := base64.RawURLEncoding.Strict().DecodeString(value)
		return err == nil && len(mac) == 32
	case "dl":
		t.Download = value
		return value != "" && len(value) <= 255 && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
	default: // min_revision
		n, err := strconv.ParseUint(value, 10, 64)
		t.MinRevision = n
		return err == nil
	}
}

func notOfKeyID(r rune) bool {
	return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '_' && r != '-'
}

// indexAny returns the index of the first a or b in s, or len(s).
func indexAny(s string, a, b byte) int {
	for i := range len(s) {
		if s[i] == a || s[i] == b {
			return i
		}
	}
	return len(s)
}

// clip bounds what is repeated of a request.
func clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "…"
	}
	return s
}
