package ingest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/assetmatrix/assetmatrix/asset"
)

// settleType returns the media type to record: that of the bytes, or the declared one where the bytes leave it open.
// probed is what the probe found, "" for what is no picture that it knows.
//
// Pictures must be what they are said to be, by type and by name. For all else sniffing knows kinds of files rather
// than types (a style sheet is text, a .docx is a ZIP archive), so what is declared is believed within the kind.
func settleType(file io.ReaderAt, size int64, probed string, u asset.Upload) (string, error) {
	declared, err := parseType(u.MediaType)
	if err != nil {
		return "", err
	}
	found, err := sniff(file, size, probed)
	if err != nil {
		return "", err
	}
	if declared.name != "" && !found.agrees(declared) {
		return "", fault(asset.ErrMediaType, "Content-Type", "the body is declared as %s but is %s", declared.given, found.name)
	}
	settled := found.settle(declared)
	if ext := strings.ToLower(path.Ext(u.Name)); slices.Contains(pictureExtensions, ext) && !asset.IsImage(settled) {
		return "", fault(asset.ErrMediaType, "name", "the name ends in %q, which is a picture's, but the body is %s", ext, settled)
	}
	return settled, nil
}

var pictureExtensions = []string{
	".jpg", ".jpeg", ".png", ".apng", ".gif", ".webp", ".avif", ".jxl", ".tif", ".tiff", ".bmp", ".ico", ".heic", ".heif", ".svg",
}

// aliases are names of one type, by the one that is recorded.
var aliases = map[string]string{
	"image/jpg":                    "image/jpeg",
	"image/pjpeg":                  "image/jpeg",
	"image/x-png":                  "image/png",
	"image/apng":                   "image/png",
	"image/svg":                    "image/svg+xml",
	"image/x-icon":                 "image/vnd.microsoft.icon",
	"image/x-ms-bmp":               "image/bmp",
	"application/dxf":              "image/vnd.dxf",
	"text/xml":                     "application/xml", // RFC 7303 §9.2
	"application/javascript":       "text/javascript", // RFC 9239 §6
	"application/x-javascript":     "text/javascript",
	"audio/mp3":                    "audio/mpeg",
	"audio/x-wav":                  "audio/wav",
	"video/matroska":               "video/x-matroska",
	"application/x-pdf":            "application/pdf",
	"application/x-gzip":           "application/gzip",
	"application/x-zip-compressed": "application/zip",
	"application/font-woff":        "font/woff",
	"application/x-font-ttf":       "font/ttf",
}

func unalias(name string) string {
	if n, ok := aliases[name]; ok {
		return n
	}
	return name
}

// undeclared are the types that clients send when they know none; the form's is curl's.
var undeclared = []string{"application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}

// A declaration is a media type as it was declared; its zero value is none.
type declaration struct{ given, name, charset string }

// parseType reads a Content-Type. Of the parameters only charset has a meaning for us.
func parseType(s string) (declaration, error) {
	if s == "" {
		return declaration{}, nil
	}
	name, params, err := mime.ParseMediaType(s)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || !strings.Contains(name, "/") || len(name) > 255 {
		return declaration{}, &asset.Fault{
			Kind: asset.ErrMediaType, Part: "Content-Type", Detail: "the declared type cannot be read", Allowed: "type/subtype, or none",
		}
	}
	switch {
	case slices.Contains(undeclared, name):
		return declaration{}, nil
	case strings.HasPrefix(name, "multipart/"):
		return declaration{}, &asset.Fault{
			Kind: asset.ErrMediaType, Part: "Content-Type", Detail: "the body is a form, not a file", Allowed: "the file's bytes alone as the body",
		}
	}
	return declaration{name, unalias(name), strings.ToLower(params["charset"])}, nil
}

// A finding is the type that the bytes have.
type finding struct {
	name    string // without parameters
	charset string // "" when it is not known
	kind    *mimetype.MIME
}

// sniff finds the type by magic bytes.
func sniff(file io.ReaderAt, size int64, probed string) (finding, error) {
	kind, err := mimetype.DetectReader(io.NewSectionReader(file, 0, size))
	if err != nil {
		return finding{}, fmt.Errorf("sniff: %w: %w", asset.ErrUnavailable, err)
	}
	if probed != "" { // nobody knows pictures better than the probe
		if known := mimetype.Lookup(probed); known != nil {
			kind = known
		}
		return finding{name: unalias(probed), kind: kind}, nil
	}
	name, params, _ := mime.ParseMediaType(kind.String())
	return finding{unalias(name), params["charset"], kind}, nil
}

// settle returns the type to record of what was found and what was declared in agreement with it.
func (f finding) settle(d declaration) string {
	name, charset := f.name, f.charset
	if d.name != "" && !f.is(d.name) && !asset.IsImage(f.name) {
		name, charset = d.name, ""
	}
	if d.charset != "" && isText(d.name) {
		charset = d.charset
	}
	if charset == "" {
		return name
	}
	return mime.FormatMediaType(name, map[string]string{"charset": charset})
}

// is reports whether the type was found, under whatever name.
func (f finding) is(name string) bool { return f.name == name || f.kind.Is(name) }

// agrees reports whether bytes of the found type may be of the declared one.
func (f finding) agrees(d declaration) bool {
	known := mimetype.Lookup(d.name)
	switch {
	case f.is(d.name):
		return true
	case d.name == "image/svg+xml" && f.descends("text/xml"): // its root element may stand beyond what is looked at
		return true
	case d.name == "image/heif" && f.name == "image/heic": // a kind of it
		return true
	case asset.IsImage(f.name) || asset.IsImage(d.name):
		return false
	case isText(d.name):
		return f.descends("text/plain")
	case f.name == unknownType:
		return known == nil || slices.Contains(unreliable, d.name)
	case known != nil:
		return familyOf(known) == familyOf(f.kind) || major(d.name) == "font" && major(f.name) == "font"
	case strings.HasSuffix(d.name, "+zip"):
		return f.descends("application/zip")
	}
	// Nobody here knows the declared type; it may be a kind of what was found. A sound, a film or a font is none of
	// what is neither.
	return !slices.Contains([]string{"audio", "video", "font"}, major(d.name)) || major(d.name) == major(f.name)
}

// unknownType is the root of all types.
const unknownType = "application/octet-stream"

// unreliable are the types that are known and still not always found: their streams may begin anywhere.
var unreliable = []string{"audio/mpeg", "audio/aac", "video/mpeg"}

// descends reports whether the found type is name or a kind of it.
func (f finding) descends(name string) bool {
	for m := f.kind; m != nil; m = m.Parent() {
		if m.Is(name) {
			return true
		}
	}
	return false
}

// familyOf returns the broadest kind that m is of: text, ZIP archives, OLE containers, MP4 …
func familyOf(m *mimetype.MIME) string {
	for m.Parent() != nil && !m.Parent().Is(unknownType) {
		m = m.Parent()
	}
	name, _, _ := strings.Cut(m.String(), ";")
	return name
}

// textual are the types of text that neither begin with text/ nor are known as kinds of it.
var textual = []string{
	"application/yaml", "application/x-yaml", "application/toml", "application/sql", "application/graphql",
	"application/ecmascript", "application/typescript", "application/x-httpd-php",
}

// isText reports whether files of the type are text.
func isText(name string) bool {
	if major(name) == "text" || strings.HasSuffix(name, "+json") || strings.HasSuffix(name, "+xml") || slices.Contains(textual, name) {
		return true
	}
	known := mimetype.Lookup(name)
	return known != nil && finding{kind: known}.descends("text/plain")
}

// major returns what stands before the slash.
func major(name string) string {
	m, _, _ := strings.Cut(name, "/")
	return m
}
