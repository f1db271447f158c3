package transform

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"codeberg.org/go-fonts/liberation/liberationmonobold"
	"codeberg.org/go-fonts/liberation/liberationmonobolditalic"
	"codeberg.org/go-fonts/liberation/liberationmonoitalic"
	"codeberg.org/go-fonts/liberation/liberationmonoregular"
	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansbolditalic"
	"codeberg.org/go-fonts/liberation/liberationsansitalic"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"codeberg.org/go-fonts/liberation/liberationserifbold"
	"codeberg.org/go-fonts/liberation/liberationserifbolditalic"
	"codeberg.org/go-fonts/liberation/liberationserifitalic"
	"codeberg.org/go-fonts/liberation/liberationserifregular"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/font/opentype/tables"

	"github.com/assetmatrix/assetmatrix/asset"
)

// builtIn has the fonts that are part of the program, so that a text looks the same on every machine: Liberation, with Latin,
// Greek, Cyrillic and Hebrew.
var builtIn = map[string][]byte{
	"sans":              liberationsansregular.TTF,
	"sans-bold":         liberationsansbold.TTF,
	"sans-italic":       liberationsansitalic.TTF,
	"sans-bold-italic":  liberationsansbolditalic.TTF,
	"serif":             liberationserifregular.TTF,
	"serif-bold":        liberationserifbold.TTF,
	"serif-italic":      liberationserifitalic.TTF,
	"serif-bold-italic": liberationserifbolditalic.TTF,
	"mono":              liberationmonoregular.TTF,
	"mono-bold":         liberationmonobold.TTF,
	"mono-italic":       liberationmonoitalic.TTF,
	"mono-bold-italic":  liberationmonobolditalic.TTF,
}

// defaultFont is built in, and the last that a character is looked for in.
const defaultFont = "sans"

// A library has the fonts that texts are drawn in: those of a directory under the names of their files, and the built-in ones
// under what names these leave. A file is read when a text needs it.
type library struct {
	dir string // "" for none

	mu       sync.Mutex // guards the rest: faces cannot be used by two at once
	own      map[string]fontFile
	faces    map[string]*font.Face // that texts were drawn in
	coverage map[string]font.Cmap  // of those that were asked for a character; nil of one that cannot be read
}

// A fontFile is a font of a file; a collection has several.
type fontFile struct {
	path  string
	index int
}

// look lists the directory once.
func (l *library) look() (err error) {
	if l.own == nil {
		l.own, err = listFonts(l.dir)
		l.faces, l.coverage = map[string]*font.Face{}, map[string]font.Cmap{}
	}
	return err
}

// choose returns the names of the fonts that characters are looked for in, the one that was asked for first.
func (l *library) choose(name string) (chain []string, err error) {
	if err := l.look(); err != nil {
		return nil, err
	}
	if name = strings.ToLower(name); name == "" {
		name = defaultFont
	}
	if _, err := l.face(name); err != nil {
		return nil, err
	}
	chain = []string{name}
	for _, other := range append(slices.Sorted(maps.Keys(l.own)), defaultFont) {
		if !slices.Contains(chain, other) {
			chain = append(chain, other)
		}
	}
	return chain, nil
}

// face returns the font of that name, and keeps it.
func (l *library) face(name string) (face *font.Face, err error) {
	if face = l.faces[name]; face == nil {
		if face, err = l.load(name); err == nil {
			l.faces[name] = face
		}
	}
	return face, err
}

// drawing returns the font of that name if it has all of these characters.
func (l *library) drawing(name string, characters ...rune) (*font.Face, bool) {
	cmap := l.covers(name)
	for _, r := range characters {
		if cmap == nil {
			return nil, false
		}
		if _, ok := cmap.Lookup(r); !ok {
			return nil, false
		}
	}
	face, err := l.face(name)
	return face, err == nil
}

// covers returns what characters a font has. The font itself is not kept for that: of many, few are drawn.
func (l *library) covers(name string) font.Cmap {
	if cmap, ok := l.coverage[name]; ok {
		return cmap
	}
	face, err := l.faces[name], error(nil)
	if face == nil {
		face, err = l.load(name)
	}
	l.coverage[name] = nil
	if err == nil {
		l.coverage[name] = face.Cmap
	}
	return l.coverage[name]
}

func (l *library) load(name string) (*font.Face, error) {
	if file, ok := l.own[name]; ok {
		face, err := file.load()
		if err != nil { // it could be read when the server was started
			fault := &asset.Fault{Kind: asset.ErrInvalid, Part: "text-font", Detail: fmt.Sprintf("the font %q cannot be read now", name)}
			return nil, fmt.Errorf("%w: %w", fault, err)
		}
		return face, nil
	}
	if b, ok := builtIn[name]; ok {
		return font.ParseTTF(bytes.NewReader(b))
	}
	return nil, &asset.Fault{Kind: asset.ErrInvalid, Part: "text-font", Detail: fmt.Sprintf("there is no font %q", name), Allowed: l.names()}
}

// names says what fonts there are: the built-in ones, and of others as many as a message between worker and server holds.
func (l *library) names() string {
	const most = 20
	own := slices.Sorted(maps.Keys(l.own))
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(builtIn)), func(name string) bool { return slices.Contains(own, name) })
	names = append(names, own[:min(most, len(own))]...)
	if more := len(own) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// listFonts finds the fonts of a directory: under its file's name in lower case, without the extension. The second font of a
// collection is called name-2, and so on. Hidden files, directories and what has another extension are left out.
func listFonts(dir string) (map[string]fontFile, error) {
	fonts := map[string]fontFile{}
	if dir == "" {
		return fonts, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := fontName(e.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		n, err := countFonts(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for i := range n {
			numbered := name
			if i > 0 {
				numbered = fmt.Sprintf("%s-%d", name, i+1)
			}
			if err := addFont(fonts, numbered, fontFile{path, i}); err != nil {
				return nil, err
			}
		}
	}
	return fonts, nil
}

// fontName returns the name of the font in a file of that name; false when it is none.
func fontName(file string) (name string, ok bool) {
	ext := strings.ToLower(filepath.Ext(file))
	ok = ext == ".ttf" || ext == ".otf" || ext == ".ttc"
	return strings.ToLower(file[:len(file)-len(ext)]), ok && file[0] != '.'
}

// addFont refuses a name that no URL can have (see text-font in asset's grammar), and one that another file has.
func addFont(fonts map[string]fontFile, name string, f fontFile) error {
	if other, ok := fonts[name]; ok {
		return fmt.Errorf("%s: has the name of %s, %q", f.path, other.path, name)
	}
	if len(name) > maxFontName || strings.ContainsRune(name, utf8.RuneError) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%s: the name %q is longer than %d bytes, or no text", f.path, name, maxFontName)
	}
	fonts[name] = f
	return nil
}

// maxFontName is the longest name in bytes that text-font takes.
const maxFontName = 64

func countFonts(path string) (int, error) {
	loaders, err := openFonts(path, func([]*opentype.Loader) error { return nil })
	return len(loaders), err
}

// openFonts reads the directory of a font file and does something while it is open.
func openFonts(path string, do func([]*opentype.Loader) error) (loaders []*opentype.Loader, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("is damaged: %v", p)
		}
	}()
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if loaders, err = opentype.NewLoaders(file); err != nil {
		return nil, fmt.Errorf("is no font: %w", err)
	}
	return loaders, do(loaders)
}

// load reads a font that has something to draw.
func (f fontFile) load() (face *font.Face, err error) {
	_, err = openFonts(f.path, func(loaders []*opentype.Loader) error {
		if f.index >= len(loaders) {
			return errors.New("has fewer fonts than it had")
		}
		parsed, err := font.NewFont(loaders[f.index])
		if err != nil {
			return fmt.Errorf("cannot be read: %w", err)
		}
		if face = font.NewFace(parsed); !outlined(face) {
			return errors.New("has no outlines; fonts of bitmaps, SVG and colour layers alone are not drawn")
		}
		return nil
	})
	return face, err
}

// outlineOf returns the outline of a glyph in units of the font, y going up; it may be empty. A glyph whose picture is something
// else has none.
func outlineOf(face *font.Face, id font.GID) (outline []font.Segment, ok bool) {
	if id == font.EmptyGlyph { // that of a hidden character
		return nil, true
	}
	glyph := tables.GlyphID(id) // fonts have at most 65,536
	o, ok := face.GlyphDataOutline(glyph)
	if !ok || len(o.Segments) > 0 {
		return o.Segments, ok
	}
	_, layers := face.GlyphDataColor(glyph)
	_, bitmap := face.GlyphDataBitmap(glyph)
	_, svg := face.GlyphDataSVG(glyph)
	return nil, !layers && !bitmap && !svg
}

// outlined reports whether a font has an outline for any character.
func outlined(face *font.Face) bool {
	if face.Cmap == nil {
		return false
	}
	for it := face.Cmap.Iter(); it.Next(); {
		_, glyph := it.Char()
		if o, _ := outlineOf(face, glyph); len(o) > 0 {
			return true
		}
	}
	return false
}

// checkFonts reads all fonts of a directory, "" for none. Its error names the file.
func checkFonts(dir string) error {
	fonts, err := listFonts(dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(fonts)) {
		if _, err := fonts[name].load(); err != nil {
			return fmt.Errorf("%s: %w", fonts[name].path, err)
		}
	}
	return nil
}
