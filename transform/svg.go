package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	svgSpace = "http://www.w3.org/2000/svg"
	bom      = "\xef\xbb\xbf"
)

// Bounds on what is drawn. librsvg 2.54 keeps up to 90 bytes for each byte of a document of small elements, and about 8 for each
// pixel of a picture inside it.
const (
	maxSVGBytes    = 8 << 20
	maxSVGDepth    = 256
	maxSVGEmbedded = 16_000_000 // px of all pictures inside
	perSVGByte     = 96
	perEmbedded    = 8
	maxSVGSide     = 32767 // px that librsvg draws (RSVG_MAX_WIDTH in libvips/foreign/svgload.c)
)

// An svgRoot is the start tag of a document's root element.
type svgRoot struct {
	element    xml.StartElement
	start, end int64 // of the tag, in bytes of the document
	encoding   string
	entities   bool // the document type declares some
}

// isSVG reports whether head begins an XML document whose root is svg in the namespace of SVG. HTML is none, even when it has
// such an element.
func isSVG(head []byte) bool {
	_, err := readSVGRoot(head)
	return err == nil
}

// doctype is the document type of SVG, and not that of HTML: it names the root element.
var doctype = regexp.MustCompile(`^DOCTYPE\s+(\w+:)?svg(\s|\[|$)`)

var errNoSVG = errors.New("it has no svg element at its beginning")

// readSVGRoot reads what is before the root element and its start tag, of which b has all.
func readSVGRoot(b []byte) (root svgRoot, err error) {
	skipped := 0
	if bytes.HasPrefix(b, []byte(bom)) {
		skipped = len(bom)
	}
	b = b[:min(len(b), sniffLen)]
	if t := bytes.TrimLeft(b[skipped:], " \t\r\n"); len(t) == 0 || t[0] != '<' {
		return root, errNoSVG
	}
	d := xml.NewDecoder(bytes.NewReader(b[skipped:]))
	d.CharsetReader = sameLength
	for {
		root.start = int64(skipped) + d.InputOffset()
		t, err := d.Token()
		if err != nil {
			return root, errNoSVG
		}
		switch t := t.(type) {
		case xml.ProcInst:
			if t.Target == "xml" {
				root.encoding = encodingOf(t.Inst)
			}
		case xml.Directive:
			if !doctype.Match(t) {
				return root, errNoSVG
			}
			root.entities = root.entities || bytes.IndexByte(t, '[') >= 0
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return root, errNoSVG
			}
		case xml.StartElement:
			if t.Name.Local != "svg" || t.Name.Space != svgSpace {
				return root, errNoSVG
			}
			root.element, root.end = t.Copy(), int64(skipped)+d.InputOffset()
			return root, nil
		}
	}
}

// encodingOf returns the encoding that an XML declaration names, "" when that is none.
func encodingOf(declaration []byte) string {
	_, after, ok := strings.Cut(string(declaration), "encoding")
	after = strings.TrimLeft(after, " \t\r\n=")
	if !ok || after == "" {
		return ""
	}
	name, _, _ := strings.Cut(after[1:], after[:1])
	return name
}

// sameLength reads any encoding that has ASCII in it as ASCII, so that offsets stay those of the document. Nothing but ASCII
// means anything where it is used.
func sameLength(_ string, r io.Reader) (io.Reader, error) { return &asciiReader{r}, nil }

type asciiReader struct{ r io.Reader }

// Read makes question marks of what is not ASCII.
func (a *asciiReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	for i, c := range p[:n] {
		if c >= 0x80 {
			p[i] = '?'
		}
	}
	return n, err
}

// svgEncodings are those whose ASCII is ASCII and nothing else is: what [inspectSVG] reads is what librsvg reads.
var svgEncodings = regexp.MustCompile(`^(?i:utf-?8|us-ascii|ascii|iso-8859-\d{1,2}|latin1|windows-125\d)?$`)

// svgHeader reads the size that the root element gives.
func svgHeader(in *scanner, h *Head) error {
	root, err := readSVGRoot(in.upTo(0, sniffLen))
	if err != nil {
		return err
	}
	if root.entities {
		return &asset.Fault{
			Kind: asset.ErrUndecodable, Detail: "the " + svgType + " declares entities in its document type, which are not expanded",
			Allowed: "a document type without an internal subset, or none",
		}
	}
	if !svgEncodings.MatchString(root.encoding) {
		return &asset.Fault{
			Kind: asset.ErrUndecodable, Detail: "the " + svgType + " is in an encoding that is not read", Allowed: "UTF-8, US-ASCII, ISO-8859 or Windows-125x",
		}
	}
	if in.size > maxSVGBytes {
		return &asset.Fault{
			Kind: asset.ErrTooLarge, Detail: fmt.Sprintf("the %s has %d bytes", svgType, in.size), Allowed: fmt.Sprintf("at most %d bytes", maxSVGBytes),
		}
	}
	w, height := root.size()
	if w > maxSVGSide || height > maxSVGSide {
		return &asset.Fault{
			Kind: asset.ErrTooLarge, Detail: fmt.Sprintf("the %s is %.0f × %.0f px", svgType, w, height), Allowed: fmt.Sprintf("sides of at most %d px", maxSVGSide),
		}
	}
	h.Width, h.Height = nominal(w), nominal(height)
	h.kept = in.size*perSVGByte + maxSVGEmbedded*perEmbedded
	return nil
}

// nominal is a size in whole px. Nothing is drawn of what has none.
func nominal(side float64) int {
	if side <= 0 {
		return 0
	}
	return max(1, int(math.Round(side)))
}

// Size of what says nothing about it (CSS 2.2 §10.3.2, as browsers have it).
const (
	svgWidth  = 300
	svgHeight = 150
)

// size returns the size in CSS px: width and height, of which one that is missing or in percent follows from the other and the
// viewBox (SVG 2 §7.2, §8.2; CSS Images 3 §5.1).
func (r *svgRoot) size() (width, height float64) {
	width, hasWidth := length(r.attribute("width"))
	height, hasHeight := length(r.attribute("height"))
	boxWidth, boxHeight := viewBox(r.attribute("viewBox"))
	boxed := boxWidth > 0 && boxHeight > 0
	switch {
	case hasWidth && hasHeight:
	case hasWidth && boxed:
		height = width * boxHeight / boxWidth
	case hasHeight && boxed:
		width = height * boxWidth / boxHeight
	case hasWidth:
		height = svgHeight
	case hasHeight:
		width = svgWidth
	case boxed:
		width, height = boxWidth, boxHeight
	default:
		width, height = svgWidth, svgHeight
	}
	return width, height
}

func (r *svgRoot) attribute(name string) string {
	for _, a := range r.element.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// units are lengths in CSS px (CSS Values 4 §6). The size of letters is what browsers begin with.
var units = map[string]float64{
	"": 1, "px": 1, "pt": 96. / 72, "pc": 16, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4, "q": 96 / 101.6, "em": 16, "rem": 16, "ex": 8,
}

// length reads a length; not ok is one that is missing, in percent, negative or none at all.
func length(s string) (px float64, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz%")
	unit, known := units[s[len(number):]]
	v, err := strconv.ParseFloat(number, 64)
	if !known || err != nil || !(v >= 0) || math.IsInf(v, 0) || strings.ContainsAny(number, "xp_") {
		return 0, false
	}
	return v * unit, true
}

func viewBox(s string) (width, height float64) {
	f := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
	if len(f) != 4 {
		return 0, 0
	}
	width, _ = length(f[2])
	height, _ = length(f[3])
	return width, height
}

// svgDocument returns what librsvg is given of b: the same document with a beginning of ours. There is no document type in it, and
// the root element says its size in px. libvips looks for "<svg" behind 24 bytes of ASCII, so a comment has it.
//
// librsvg loads nothing but what is in data URLs, because it is not told where the document lies, and runs no scripts. Pictures
// in data URLs are decoded by gdk-pixbuf; those that are too large, or of other kinds than browsers show there, are refused.
func svgDocument(b []byte) ([]byte, error) {
	root, err := readSVGRoot(b)
	if err != nil || !svgEncodings.MatchString(root.encoding) {
		return nil, errNoSVG
	}
	if err := inspectSVG(b[root.start:]); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(b) + 256)
	out.WriteString(`<?xml version="1.0"`)
	if root.encoding != "" {
		out.WriteString(` encoding="` + root.encoding + `"`)
	}
	out.WriteString(`?><!-- <svg -->`)
	w, h := root.size()
	tag := b[root.start:root.end]
	name, rest := cutName(tag)
	out.Write(name)
	fmt.Fprintf(&out, ` width="%s" height="%s"`, decimal(w), decimal(h))
	for {
		attribute, key, after := cutAttribute(rest)
		if attribute == nil {
			break
		}
		if key != "width" && key != "height" {
			out.Write(attribute)
		}
		rest = after
	}
	out.Write(rest)
	out.Write(b[root.end:])
	return out.Bytes(), nil
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

const xmlSpace = " \t\r\n"

// cutName cuts a well-formed start tag behind its name.
func cutName(tag []byte) (name, rest []byte) {
	n := bytes.IndexAny(tag, xmlSpace+"/>")
	return tag[:n], tag[n:]
}

// cutAttribute cuts the first attribute off what is left of a well-formed start tag; nil when there is none.
func cutAttribute(tag []byte) (attribute []byte, key string, rest []byte) {
	equals := bytes.IndexByte(tag, '=')
	if equals < 0 {
		return nil, "", tag
	}
	key = strings.Trim(string(tag[:equals]), xmlSpace)
	quote := equals + 1 + bytes.IndexAny(tag[equals+1:], `"'`)
	end := quote + 1 + bytes.IndexByte(tag[quote+1:], tag[quote]) + 1
	return tag[:end], key, tag[end:]
}

// inspectSVG walks all of a document, which must be well-formed and not nested too deep, and adds up the pictures inside.
func inspectSVG(b []byte) error {
	d := xml.NewDecoder(&asciiReader{bytes.NewReader(b)})
	depth, pixels := 0, int64(0)
	for {
		t, err := d.RawToken() // names and their ends are librsvg's to compare
		if err == io.EOF && depth == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
		case xml.Directive:
			return errors.New("a document type stands within it")
		case xml.StartElement:
			if depth++; depth > maxSVGDepth {
				return &asset.Fault{Kind: asset.ErrUndecodable, Detail: "the elements of the " + svgType + " are nested too deep", Allowed: fmt.Sprintf("%d levels", maxSVGDepth)}
			}
			for _, a := range t.Attr {
				if t.Name.Local == "a" { // a link is followed by nobody
					break
				}
				n, err := embedded(a)
				if err != nil {
					return err
				}
				pixels += n
			}
		}
		if pixels > maxSVGEmbedded {
			return &asset.Fault{
				Kind: asset.ErrTooLarge, Detail: "the pictures inside the " + svgType + " are too large", Allowed: fmt.Sprintf("at most %d pixels together", maxSVGEmbedded),
			}
		}
	}
}

// embeddedTypes are the kinds of pictures that may stand in a data URL (SVG 2 §12.4).
var embeddedTypes = map[string]bool{jpegType: true, pngType: true, gifType: true, webpType: true}

// embedded returns how many pixels the picture has that an attribute refers to with a data URL (RFC 2397).
func embedded(a xml.Attr) (pixels int64, err error) {
	value := strings.TrimLeft(a.Value, xmlSpace+"\x00")
	if a.Name.Local != "href" || len(value) < 5 || !strings.EqualFold(value[:5], "data:") {
		return 0, nil
	}
	b, err := dataOf(value[5:])
	if err != nil {
		return 0, err
	}
	h, err := Header(bytes.NewReader(b), int64(len(b)))
	if err == nil && !embeddedTypes[h.MediaType] {
		err = &asset.Fault{Kind: asset.ErrUndecodable, Detail: "the picture in a data URL of the " + svgType + " is " + h.MediaType, Allowed: "JPEG, PNG, GIF or WebP"}
	}
	if err != nil && errors.Is(err, asset.ErrMediaType) {
		err = &asset.Fault{Kind: asset.ErrUndecodable, Detail: "a data URL of the " + svgType + " has no picture", Allowed: "JPEG, PNG, GIF or WebP"}
	}
	return int64(h.Width) * int64(h.Height) * int64(h.Frames), err
}

// dataOf decodes what a data URL has behind its scheme.
func dataOf(s string) ([]byte, error) {
	kind, data, ok := strings.Cut(s, ",")
	if !ok {
		return nil, errors.New("a data URL has no data")
	}
	data, err := url.PathUnescape(data)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(strings.ToLower(strings.TrimSpace(kind)), ";base64") {
		return []byte(data), nil
	}
	data = strings.Map(func(r rune) rune {
		if strings.ContainsRune(xmlSpace+"=", r) {
			return -1
		}
		return r
	}, data)
	return base64.RawStdEncoding.DecodeString(data)
}

// drawSVG draws all of an SVG so that what is used of it has the size target. It is drawn at that size, not enlarged from another,
// as far as librsvg goes (vips_thumbnail_buffer with svgload's scale). Lengths inside the document that are in inches, say, have
// the 72 px of an inch that svgload of libvips 8.14 tells librsvg.
func (x *rendering) drawSVG(target, used asset.Size) (*vips.ImageRef, error) {
	h, v := float64(target.Width)/float64(used.Width), float64(target.Height)/float64(used.Height)
	width, height := float64(x.source.Width)*h, float64(x.source.Height)*v
	if over := max(width/maxSVGSide, height/maxSVGSide, math.Sqrt(width*height/float64(x.MaxPixels))); over > 1 {
		width, height = width/over, height/over
	}
	return vips.LoadThumbnailFromBuffer(x.bytes, max(1, int(math.Round(width))), max(1, int(math.Round(height))), vips.InterestingNone, vips.SizeForce, vips.NewImportParams())
}
