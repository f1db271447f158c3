package asset

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/colornames"
)

// A grammar is how values of one kind are read and spelled. What parse accepts, append spells so that parse gives the
// same value again.
type grammar[T comparable] struct {
	// allowed says in a fault what the value may be.
	allowed string
	parse   func(string) (T, bool)
	append  func([]byte, T) []byte
	// silent is a value besides T's zero that is not spelled.
	silent T
}

// integers are lo–hi.
func integers(lo, hi int, unit string) grammar[int] {
	return grammar[int]{
		allowed: strings.TrimSpace(fmt.Sprintf("%d–%d %s", lo, hi, unit)),
		parse:   func(s string) (int, bool) { return parseInteger(s, lo, hi) },
		append:  func(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) },
	}
}

// decimals are lo–hi thousandths.
func decimals(lo, hi int, unit string) grammar[Decimal] {
	return grammar[Decimal]{
		allowed: strings.TrimSpace(fmt.Sprintf("%s–%s %s", appendDecimal(nil, lo), appendDecimal(nil, hi), unit)),
		parse: func(s string) (Decimal, bool) {
			n, ok := parseDecimal(s, lo, hi)
			return Decimal(n), ok
		},
		append: func(b []byte, d Decimal) []byte { return appendDecimal(b, int(d)) },
	}
}

// or adds a word for one special value to a grammar.
func (g grammar[T]) or(word string, special T) grammar[T] {
	parse, spell := g.parse, g.append
	g.allowed += " or " + word
	g.parse = func(s string) (T, bool) {
		if s == word {
			return special, true
		}
		return parse(s)
	}
	g.append = func(b []byte, x T) []byte {
		if x == special {
			return append(b, word...)
		}
		return spell(b, x)
	}
	return g
}

// factors are lo–hi thousandths, held as their distance from 1.
func factors(lo, hi int) grammar[Factor] {
	return grammar[Factor]{
		allowed: decimals(lo, hi, "").allowed,
		parse: func(s string) (Factor, bool) {
			n, ok := parseDecimal(s, lo, hi)
			return Factor(n - 1000), ok
		},
		append: func(b []byte, f Factor) []byte { return appendDecimal(b, int(f)+1000) },
	}
}

// words are names of the values 0, 1, 2 …; a value without a name cannot be given.
func words[T ~uint8](names ...string) grammar[T] {
	return grammar[T]{
		allowed: strings.Join(names, ", "),
		parse: func(s string) (T, bool) {
			for i, name := range names {
				if name == s {
					return T(i), true
				}
			}
			return 0, false
		},
		append: func(b []byte, x T) []byte { return append(b, names[x]...) },
	}
}

var (
	fits      = words[Fit]("scale-down", "contain", "cover", "crop", "pad", "squeeze")
	metadatas = words[Metadata]("none", "copyright", "keep")
)

var flips = grammar[Flip]{
	allowed: "h, v, hv",
	parse:   words[Flip]("", "h", "v", "hv").parse,
	append:  words[Flip]("", "h", "v", "hv").append,
}

var rotations = grammar[int]{
	allowed: "0, 90, 180, 270",
	parse: func(s string) (int, bool) {
		n, ok := parseInteger(s, 0, 270)
		return n, ok && n%90 == 0
	},
	append: integers(0, 270, "").append,
}

// stillness is animated=0; the field says the opposite of the option.
var stillness = grammar[bool]{
	allowed: "1 or 0",
	parse:   func(s string) (bool, bool) { return s == "0", s == "0" || s == "1" },
	append:  func(b []byte, _ bool) []byte { return append(b, '0') },
}

// tiling is wm-tile=1.
var tiling = grammar[bool]{
	allowed: stillness.allowed,
	parse:   func(s string) (bool, bool) { return s == "1", s == "0" || s == "1" },
	append:  func(b []byte, _ bool) []byte { return append(b, '1') },
}

var formatNames = grammar[Format]{
	allowed: "auto, jpeg, png, webp, avif, jxl, gif, tiff, thumbhash",
	parse:   ParseFormat,
	append:  func(b []byte, f Format) []byte { return append(b, f.String()...) },
	silent:  Auto,
}

// anchorNames are the spellings of the anchors that have one, compass those of a place that needs no look at pixels.
var (
	anchorNames = [...]string{
		AnchorCenter: "center",
		AnchorNorth:  "north", AnchorNorthEast: "northeast", AnchorEast: "east", AnchorSouthEast: "southeast",
		AnchorSouth: "south", AnchorSouthWest: "southwest", AnchorWest: "west", AnchorNorthWest: "northwest",
		AnchorAuto: "auto", AnchorAttention: "attention", AnchorEntropy: "entropy", AnchorFace: "face",
	}
	compass = anchorNames[:AnchorAuto]
)

// gravities are named anchors, and points such as 0.3x0.7.
func gravities(names []string) grammar[Gravity] {
	anchors := words[Anchor](names...)
	return grammar[Gravity]{
		allowed: anchors.allowed + ", or a point such as 0.3x0.7 with both in 0–1",
		parse: func(s string) (Gravity, bool) {
			if a, ok := anchors.parse(s); ok {
				return Gravity{Anchor: a}, true
			}
			xs, ys, _ := strings.Cut(s, "x")
			x, okX := parseDecimal(xs, 0, 1000)
			y, okY := parseDecimal(ys, 0, 1000)
			return Gravity{AnchorPoint, x, y}, okX && okY
		},
		append: func(b []byte, g Gravity) []byte {
			if g.Anchor != AnchorPoint {
				return append(b, anchorNames[g.Anchor]...)
			}
			return appendDecimal(append(appendDecimal(b, g.X), 'x'), g.Y)
		},
	}
}

// maxRatio bounds both numbers of a ratio, before it is reduced.
const maxRatio = 10_000

var ratios = grammar[Ratio]{
	allowed: fmt.Sprintf("W:H with both in 1–%d, such as 16:9", maxRatio),
	parse: func(s string) (Ratio, bool) {
		ws, hs, _ := strings.Cut(s, ":")
		w, okW := parseInteger(ws, 1, maxRatio)
		h, okH := parseInteger(hs, 1, maxRatio)
		if !okW || !okH {
			return Ratio{}, false
		}
		d := gcd(w, h)
		return Ratio{w / d, h / d}, true
	},
	append: func(b []byte, r Ratio) []byte {
		b = strconv.AppendInt(b, int64(r.W), 10)
		return strconv.AppendInt(append(b, ':'), int64(r.H), 10)
	},
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// maxRectPx bounds the px of a rect; no original is larger.
const maxRectPx = 1_000_000

var rects = grammar[Rect]{
	allowed: "x:y:w:h in px, or in percent of the original with a p behind the number (10p:10p:80p:80p); w and h above 0",
	parse: func(s string) (Rect, bool) {
		var r Rect
		sides := [...]*Length{&r.X, &r.Y, &r.W, &r.H}
		ok := parseFour(s, func(i int, s string) (ok bool) {
			*sides[i], ok = parseLength(s)
			return ok
		})
		return r, ok && r.W.Value > 0 && r.H.Value > 0
	},
	append: func(b []byte, r Rect) []byte {
		b = append(appendLength(b, r.X), ':')
		b = append(appendLength(b, r.Y), ':')
		b = append(appendLength(b, r.W), ':')
		return appendLength(b, r.H)
	},
}

func parseLength(s string) (Length, bool) {
	if share, percent := strings.CutSuffix(s, "p"); percent {
		n, ok := parseDecimal(share, 0, 100_000)
		return Length{Decimal(n), true}, ok
	}
	n, ok := parseInteger(s, 0, maxRectPx)
	return Length{Value: Decimal(n * 1000)}, ok
}

func appendLength(b []byte, l Length) []byte {
	b = appendDecimal(b, int(l.Value))
	if l.Percent {
		b = append(b, 'p')
	}
	return b
}

var boxes = grammar[Box]{
	allowed: fmt.Sprintf("one number for all sides, or top:right:bottom:left, each 0–%d px", MaxSide),
	parse: func(s string) (Box, bool) {
		if n, ok := parseInteger(s, 0, MaxSide); ok {
			return Box{n, n, n, n}, true
		}
		var sides [4]int
		ok := parseFour(s, func(i int, s string) (ok bool) {
			sides[i], ok = parseInteger(s, 0, MaxSide)
			return ok
		})
		return Box{sides[0], sides[1], sides[2], sides[3]}, ok
	},
	append: func(b []byte, x Box) []byte {
		b = strconv.AppendInt(b, int64(x.Top), 10)
		if x == (Box{x.Top, x.Top, x.Top, x.Top}) {
			return b
		}
		b = strconv.AppendInt(append(b, ':'), int64(x.Right), 10)
		b = strconv.AppendInt(append(b, ':'), int64(x.Bottom), 10)
		return strconv.AppendInt(append(b, ':'), int64(x.Left), 10)
	},
}

// parseFour hands the four parts of "a:b:c:d" to read.
func parseFour(s string, read func(i int, s string) bool) bool {
	if strings.Count(s, ":") != 3 {
		return false
	}
	for i := range 4 {
		var part string
		if part, s, _ = strings.Cut(s, ":"); !read(i, part) {
			return false
		}
	}
	return true
}

var colors = grammar[Color]{
	allowed: "3, 4, 6 or 8 hexadecimal digits without # (rgb, rgba, rrggbb, rrggbbaa), transparent, or a CSS colour name",
	parse:   parseColor,
	append: func(b []byte, c Color) []byte {
		b = hex.AppendEncode(b, []byte{c.R, c.G, c.B})
		if c.A != 255 {
			b = hex.AppendEncode(b, []byte{c.A})
		}
		return b
	},
}

func parseColor(s string) (Color, bool) {
	name := strings.ToLower(s)
	if c, ok := colornames.Map[name]; ok {
		return Color{c.R, c.G, c.B, c.A, true}, true
	}
	switch name {
	case "transparent":
		return Color{Set: true}, true
	case "rebeccapurple": // CSS Color 4 has it, the package's SVG 1.1 has not
		return Color{0x66, 0x33, 0x99, 255, true}, true
	}
	var long [8]byte
	digits := append(long[:0], s[:min(len(s), 8)]...)
	if len(s) == 3 || len(s) == 4 {
		digits = long[:0]
		for i := range len(s) {
			digits = append(digits, s[i], s[i])
		}
	}
	rgba := [4]byte{3: 255}
	if len(s) > 8 || len(digits) < 6 {
		return Color{}, false
	}
	_, err := hex.Decode(rgba[:], digits)
	return Color{rgba[0], rgba[1], rgba[2], rgba[3], true}, err == nil
}

// texts are any characters but controls, percent-encoded where a URL or the grammar needs it.
func texts(maxBytes int) grammar[string] {
	return grammar[string]{
		allowed: fmt.Sprintf("1–%d bytes of percent-encoded UTF-8 without control characters", maxBytes),
		parse: func(s string) (string, bool) {
			ok := len(s) <= maxBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
			return strings.Clone(s), ok
		},
		append: appendEscaped,
	}
}

// assetNames are the names that a product gives to assets.
var assetNames = grammar[string]{
	allowed: "the name of an asset of the same product, with %2F for its slashes",
	parse:   func(s string) (string, bool) { return strings.Clone(s), CheckName(s) == nil },
	append:  appendEscaped,
}

// parseInteger reads digits alone: no sign, no surplus zero.
func parseInteger(s string, lo, hi int) (int, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = n*10 + int(digit)
	}
	return n, lo <= n && n <= hi
}

// parseDecimal reads a number with at most three decimals as thousandths.
func parseDecimal(s string, lo, hi int) (int, bool) {
	whole, decimals, point := strings.Cut(s, ".")
	n, ok := parseInteger(whole, 0, hi/1000)
	if !ok || point && decimals == "" || len(decimals) > 3 {
		return 0, false
	}
	for i := range 3 {
		digit := byte(0)
		if i < len(decimals) {
			digit = decimals[i] - '0'
		}
		if digit > 9 {
			return 0, false
		}
		n = n*10 + int(digit)
	}
	return n, lo <= n && n <= hi
}

// appendDecimal spells thousandths, at least 0, without surplus zeros.
func appendDecimal(b []byte, n int) []byte {
	b = strconv.AppendInt(b, int64(n/1000), 10)
	if n %= 1000; n == 0 {
		return b
	}
	b = append(b, '.', byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// unescape undoes percent-encoding once.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	s, err := url.PathUnescape(s)
	return s, err == nil
}

// appendEscaped percent-encodes all but the unreserved characters of RFC 3986 §2.3.
func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~", c) >= 0
}
