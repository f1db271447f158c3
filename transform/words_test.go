package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"codeberg.org/go-fonts/dejavu/dejavusans"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/gofont/gosmallcaps"

	"github.com/assetmatrix/assetmatrix/asset"
)

var (
	west   = asset.Gravity{Anchor: asset.AnchorWest}
	east   = asset.Gravity{Anchor: asset.AnchorEast}
	paper  = color.NRGBA{255, 235, 180, 255}
	marker = asset.Color{R: 255, A: 128, Set: true}
)

// onPaper lays pictures below each other on a colour, with a gap between them that shows how far each goes.
func onPaper(pictures ...*image.NRGBA) *image.NRGBA {
	var size image.Point
	for _, m := range pictures {
		size = image.Pt(max(size.X, m.Rect.Dx()), size.Y+m.Rect.Dy()+2)
	}
	sheet := image.NewNRGBA(image.Rectangle{Max: size})
	y := 0
	for _, m := range pictures {
		at := m.Rect.Add(image.Pt(0, y))
		draw.Draw(sheet, at, image.NewUniform(paper), image.Point{}, draw.Src)
		draw.Draw(sheet, at, m, image.Point{}, draw.Over)
		y += m.Rect.Dy() + 2
	}
	return sheet
}

// sameInk compares a picture with its golden: it is Go that draws, so that they differ by the rounding of a processor at most.
func sameInk(t *testing.T, name string, got *image.NRGBA) {
	t.Helper()
	path := "testdata/text-" + name + ".png"
	if *update {
		if err := os.WriteFile(path, pngOf(t, got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got.Rect != want.Bounds() {
		t.Errorf("%s is %v, the golden %v", name, got.Rect, want.Bounds())
		return
	}
	differ := 0
	for y := range got.Rect.Dy() {
		for x := range got.Rect.Dx() {
			a, b := got.NRGBAAt(x, y), color.NRGBAModel.Convert(want.At(x, y)).(color.NRGBA)
			if apart(a.R, b.R) > 2 || apart(a.G, b.G) > 2 || apart(a.B, b.B) > 2 || apart(a.A, b.A) > 2 {
				differ++
			}
		}
	}
	if differ > 0 {
		t.Errorf("%s differs from its golden in %d pixels", name, differ)
	}
}

func apart(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

func mustDraw(t testing.TB, l *library, text asset.Text, width, height int) *image.NRGBA {
	t.Helper()
	m, err := l.draw(text, width, height)
	if err != nil {
		t.Fatalf("%+v: %v", text, err)
	}
	return m
}

// TestDrawText: texts look as they did when somebody looked at them.
func TestDrawText(t *testing.T) {
	fonts := &library{dir: fontsDir(t, map[string][]byte{"DejaVu.ttf": dejavusans.TTF})}
	f := func(name string, width int, texts ...asset.Text) {
		t.Helper()
		var pictures []*image.NRGBA
		for _, text := range texts {
			pictures = append(pictures, mustDraw(t, fonts, text, width, 300))
		}
		sameInk(t, name, onPaper(pictures...))
	}
	f("scripts", 400, asset.Text{Text: "Größe: Äpfel & Übermut, AVATAR"}, asset.Text{Text: "Ελληνικά, Ψάρι"}, asset.Text{Text: "Русский, Щи"})
	f("wrapped", 240, asset.Text{Text: "The quick brown fox jumps over the well-known dog", Size: 28},
		asset.Text{Text: "Donaudampfschifffahrtsgesellschaft ist lang", Size: 28}, asset.Text{Text: "one\u2028\u2028three", Size: 20})
	var families []asset.Text
	for _, name := range []string{"sans", "serif", "mono"} {
		for _, style := range []string{"", "-bold", "-italic", "-bold-italic"} {
			families = append(families, asset.Text{Text: name + style + " Rg", Size: 18, Font: name + style})
		}
	}
	f("families", 300, families...)
	f("colors", 200, asset.Text{Text: "AVÅ", Size: 60, Color: marker}, asset.Text{Text: "blue", Color: asset.Color{B: 255, A: 255, Set: true}})
	short := asset.Text{Text: "left right or centred lines", Size: 20}
	l, r := short, short
	l.Gravity, r.Gravity = west, east
	f("aligned", 150, l, short, r)
	f("right-to-left", 330,
		asset.Text{Text: "Hello שלום (עולם) 12% end", Size: 24},        // brackets are mirrored, and the number belongs to the words before it
		asset.Text{Text: "السلام عليكم 123 مرحبا Hello 42 عالم"},       // letters are joined, lam and alef one glyph
		asset.Text{Text: "x السلام 12, 13 عليكم (abc)", Gravity: east}, // a quotation over two lines
	)
}

// TestTextBlock: a picture of a text is no larger than it may be, and its ink keeps away from the edges.
func TestTextBlock(t *testing.T) {
	f := func(text asset.Text, width, height int, want image.Rectangle) {
		t.Helper()
		m := mustDraw(t, &library{}, text, width, height)
		if m.Rect != want {
			t.Errorf("%+v in %d × %d is %v, want %v", text, width, height, m.Rect, want)
		}
	}
	f(asset.Text{Text: "H"}, 1000, 1000, image.Rect(0, 0, 16+24+16, 16+37+16)) // half of 32 px around 24 × 37
	f(asset.Text{Text: "H", Size: 100}, 1000, 1000, image.Rect(0, 0, 50+73+50, 50+115+50))
	f(asset.Text{Text: " \u2003 "}, 1000, 1000, image.Rect(0, 0, 16+1+16, 16+37+16))
	f(asset.Text{Text: "H"}, 60, 40, image.Rect(0, 0, 6+24+6, 39)) // as much of a margin as there is room for
	f(asset.Text{Text: "H"}, 20, 20, image.Rect(0, 0, 20, 20))     // and what stands over is cut off
	f(asset.Text{Text: strings.Repeat("W", 256), Size: 1000}, 1, 1, image.Rect(0, 0, 1, 1))
	f(asset.Text{Text: "H H H"}, 60, 80, image.Rect(0, 0, 6+24+6, 3+74+3)) // the third line does not fit

	m := mustDraw(t, &library{}, asset.Text{Text: "Ég", Gravity: west}, 1000, 1000)
	if ink := inkOf(m); ink.Min.X < 16 || ink.Max.X > m.Rect.Max.X-15 || ink.Min.Y < 16 || ink.Max.Y > m.Rect.Max.Y-16 {
		t.Errorf("the ink is in %v of %v", ink, m.Rect)
	}
	m = mustDraw(t, &library{}, asset.Text{Text: "H", Size: 100}, 20, 20)
	if ink := inkOf(m); ink != m.Rect && m.NRGBAAt(10, 10).A != 255 {
		t.Errorf("of a letter that is too large, the middle is not seen: %v", ink)
	}
	if got := mustDraw(t, &library{}, asset.Text{Text: "AVÅ", Size: 60, Color: marker}, 300, 300); maxAlpha(got) != 128 {
		t.Errorf("where letters touch, alpha is %d", maxAlpha(got))
	}
}

func inkOf(m *image.NRGBA) (ink image.Rectangle) {
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			if m.NRGBAAt(x, y).A > 0 {
				ink = ink.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return ink
}

func maxAlpha(m *image.NRGBA) (a uint8) {
	for i := 3; i < len(m.Pix); i += 4 {
		a = max(a, m.Pix[i])
	}
	return a
}

// TestTextLines: lines are broken at spaces, and end with the word rather than with its space.
func TestTextLines(t *testing.T) {
	f := func(text, want string, width int) {
		t.Helper()
		s := setting{library: &library{}, size: 20, width: width}
		if err := s.set(asset.Text{Text: text}); err != nil {
			t.Fatal(err)
		}
		var counts []string
		for _, l := range s.lines {
			counts = append(counts, itoa(len(l.letters)))
			if l.width > float32(width) {
				t.Errorf("%q: a line has %.1f px, over %d", text, l.width, width)
			}
		}
		if got := strings.Join(counts, " "); got != want {
			t.Errorf("%q has lines of %s letters, want %s", text, got, want)
		}
	}
	f("aaaa bbb cc", "8 2", 100)
	f("aaaa   bbb", "4 3", 60)
	f("  aa  ", "2", 100)
	f("aaaa\u2028b", "4 1", 100)
	f("aaaa\u2029\u2029b", "4 0 1", 100)
	f("aaaaaaaaaa", "5 5", 60)
	f("ab aaaaaaaaaa", "2 5 5", 60)
	f("", "0", 60)
	f("well-known", "5 5", 80)
	f("שלום שלום", "4 4", 60)
}

// TestMissingGlyphs: what no font has is named, and where more comes from; what is never seen needs no glyph.
func TestMissingGlyphs(t *testing.T) {
	f := func(text string, words ...string) {
		t.Helper()
		_, err := drawText(asset.Text{Text: text}, 300, 300)
		var fault *asset.Fault
		if !errors.As(err, &fault) || fault.Kind != asset.ErrInvalid || fault.Part != "text" {
			t.Errorf("%q: %v", text, err)
			return
		}
		for _, word := range append(words, "serif-bold-italic", "render.fonts") {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q: %v does not say %q", text, err, word)
			}
		}
	}
	f("Hi 日本", "日 (U+65E5), 本 (U+672C);")
	f("日日本語一二三", "日 (U+65E5), 本 (U+672C), 語 (U+8A9E), 一 (U+4E00), and 2 more;")
	f("नमस्ते", "न (U+0928)", "U+094D")
	f("\U0001F600", "U+1F600")
	f("\uE000", "no font has U+E000;")
	f("tab\t", "no font has U+0009;")
	f("\u0378", "no font has U+0378;")
	for _, unseen := range []string{"a\ufe0f", "a\u200db", "\u200eab\u200f", "a\u00a0b", "a\u2003\u3000b", "a\u2060b\ufeff", "a\u00adb", "e\u0301 o\u0308", "a\u2011b"} {
		if _, err := drawText(asset.Text{Text: unseen}, 300, 300); err != nil {
			t.Errorf("%+q: %v", unseen, err)
		}
	}
	composed, apart := mustDraw(t, lettering, asset.Text{Text: "é"}, 99, 99), mustDraw(t, lettering, asset.Text{Text: "e\u0301"}, 99, 99)
	if !bytes.Equal(composed.Pix, apart.Pix) {
		t.Error("é is drawn in two ways")
	}
}

// fontsDir makes a directory with files.
func fontsDir(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestOwnFonts: the fonts of a directory have the names of their files, and have characters that the chosen one lacks.
func TestOwnFonts(t *testing.T) {
	own := &library{dir: fontsDir(t, map[string][]byte{
		"Brand Sans.TTF": goregular.TTF, "caps.otf": gosmallcaps.TTF, "dejavu.ttf": dejavusans.TTF, "both.ttc": collection(goregular.TTF, gosmallcaps.TTF),
		"README.txt": []byte("no font"), ".hidden.ttf": []byte("no font"),
	})}
	draws := func(l *library, name, text string) []byte {
		return mustDraw(t, l, asset.Text{Text: text, Font: name}, 300, 300).Pix
	}
	plain := &library{}
	brand, caps := draws(own, "brand sans", "Rag"), draws(own, "caps", "Rag")
	if bytes.Equal(brand, draws(plain, "", "Rag")) || bytes.Equal(brand, caps) {
		t.Error("another font was drawn")
	}
	if !bytes.Equal(draws(own, "Brand SANS", "Rag"), brand) {
		t.Error("case matters")
	}
	if !bytes.Equal(draws(own, "both", "Rag"), brand) || !bytes.Equal(draws(own, "both-2", "Rag"), caps) {
		t.Error("the fonts of a collection are others")
	}
	if !bytes.Equal(draws(own, "", "Rag"), draws(plain, "", "Rag")) {
		t.Error("the default is another with fonts of one's own")
	}
	inked := func(name, text string) []byte {
		m := mustDraw(t, own, asset.Text{Text: text, Font: name}, 300, 300)
		return m.SubImage(inkOf(m)).(*image.NRGBA).Pix[:4*inkOf(m).Dx()] // the topmost row
	}
	if !bytes.Equal(inked("", "عليكم"), inked("dejavu", "عليكم")) {
		t.Error("Arabic, which sans lacks, was not drawn in the first of the own fonts that has it")
	}
	if bytes.Equal(inked("", "Rag"), inked("dejavu", "Rag")) {
		t.Error("Latin was drawn in another font than sans")
	}
	if !bytes.Equal(draws(own, "brand sans", "שלום"), draws(own, "dejavu", "שלום")) {
		t.Error("Hebrew, which Go Regular lacks, was not drawn in the first of the own fonts that has it")
	}
	if !bytes.Equal(draws(own, "brand sans", "é"), draws(own, "brand sans", "e\u0301")) {
		t.Error("é is taken from another font when it is spelt in two characters, of which Go Regular lacks one")
	}
	if bytes.Equal(inked("brand sans", "g\u0323"), draws(own, "brand sans", "g")) || !bytes.Equal(inked("brand sans", "g\u0323"), inked("dejavu", "g\u0323")) {
		t.Error("a letter and what stands under it are of two fonts")
	}
	s := setting{library: own, chain: []string{"sans", "dejavu"}}
	s.chosen, _ = own.face("sans")
	for i, face := range s.facesOf([]rune("a\u2000\u2005\u205f\u3000\ufe0f\u200d\u2066\u2069")) {
		if face != s.chosen {
			t.Errorf("character %d, which shows nothing, is of another font", i)
		}
	}
	instead := &library{dir: fontsDir(t, map[string][]byte{"sans.ttf": goregular.TTF})}
	if !bytes.Equal(draws(instead, "", "Rag"), brand) {
		t.Error("an own font of the name does not stand in for a built-in one")
	}
	_, err := own.draw(asset.Text{Text: "a", Font: "comic"}, 10, 10)
	var fault *asset.Fault
	if !errors.As(err, &fault) || fault.Kind != asset.ErrInvalid || fault.Part != "text-font" {
		t.Fatal(err)
	}
	for _, name := range []string{`"comic"`, "mono, mono-bold", "sans-italic", "serif-italic, both, both-2, brand sans, caps, dejavu"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not say %s", err, name)
		}
	}
	if strings.Contains(err.Error(), "README") || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
}

// collection makes a TrueType collection of fonts (OpenType, "Font Collections"): the offsets of their tables are from the
// beginning of the file.
func collection(fonts ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte("ttcf\x00\x01\x00\x00"), uint32(len(fonts)))
	out = append(out, make([]byte, 4*len(fonts))...)
	for i, f := range fonts {
		at := uint32(len(out))
		binary.BigEndian.PutUint32(out[12+4*i:], at)
		f = slices.Clone(f)
		eachTable(f, func(_ string, offset, _ []byte) {
			binary.BigEndian.PutUint32(offset, binary.BigEndian.Uint32(offset)+at)
		})
		out = append(out, f...)
		out = append(out, make([]byte, -len(out)&3)...)
	}
	return out
}

// eachTable goes through the directory of a font.
func eachTable(f []byte, do func(tag string, offset, table []byte)) {
	for i := range int(binary.BigEndian.Uint16(f[4:])) {
		entry := f[12+16*i:][:16]
		at, size := binary.BigEndian.Uint32(entry[8:]), binary.BigEndian.Uint32(entry[12:])
		do(string(entry[:4]), entry[8:12], f[at:][:size])
	}
}

// hollow makes a font of which all glyphs are empty.
func hollow(f []byte) []byte {
	f = slices.Clone(f)
	eachTable(f, func(tag string, _, table []byte) {
		if tag == "loca" {
			clear(table)
		}
	})
	return f
}

// TestBrokenFonts: a directory that is none, and a file in it that cannot be drawn, end the start, by name.
func TestBrokenFonts(t *testing.T) {
	f := func(dir string, words ...string) {
		t.Helper()
		cfg := testConfig()
		cfg.Fonts = dir
		_, err := NewPool(cfg, nil, Events{})
		if !errors.Is(err, asset.ErrInvalid) {
			t.Errorf("%s: %v", words, err)
			return
		}
		for _, word := range append(words, "fonts: ") {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v does not say %q", err, word)
			}
		}
	}
	file := func(name string, b []byte) string {
		return fontsDir(t, map[string][]byte{"good.ttf": goregular.TTF, name: b})
	}
	f("/does/not/exist", "/does/not/exist")
	f("/dev/null", "/dev/null")
	f(file("text.ttf", []byte("This is no font, but a text of some length.")), "text.ttf", "no font")
	f(file("empty.otf", nil), "empty.otf")
	f(file("half.ttf", goregular.TTF[:len(goregular.TTF)/2]), "half.ttf")
	f(file("hollow.ttf", hollow(goregular.TTF)), "hollow.ttf", "outlines")
	f(file("Good.TTF", goregular.TTF), "Good.TTF", "good.ttf", `"good"`)
	f(file(strings.Repeat("x", 65)+".ttf", goregular.TTF), "xxx.ttf", "64")
	f(file("\xff.ttf", goregular.TTF), "no text")
	cfg := testConfig()
	for _, dir := range []string{"", t.TempDir(), file("also.otf", gosmallcaps.TTF)} {
		if cfg.Fonts = dir; cfg.Validate() != nil {
			t.Errorf("%q: %v", dir, cfg.Validate())
		}
	}
}

// TestText: a text through the pool, with the fonts of the configuration.
func TestText(t *testing.T) {
	dir := fontsDir(t, map[string][]byte{"brand.ttf": goregular.TTF})
	b := newBench(t, func(c *Config) { c.Workers, c.Fonts = 1, dir })
	flat := image.NewNRGBA(image.Rect(0, 0, 240, 120))
	draw.Draw(flat, flat.Rect, image.NewUniform(paper), image.Point{}, draw.Src)
	original := pngOf(t, flat)
	picture := func(options string) *image.NRGBA {
		t.Helper()
		v, err := asset.ParseVariant(options + ",f=png")
		if err != nil {
			t.Fatal(err)
		}
		m := b.picture(t, original, v)
		out := image.NewNRGBA(m.Bounds())
		draw.Draw(out, out.Rect, m, image.Point{}, draw.Src)
		return out
	}
	sameInk(t, "pool", onPaper(
		picture("text=Sale!,text-size=48"), picture("text=Sale!,text-size=48,text-g=southeast,text-color=ff000080,text-font=brand"),
		picture("text=Sale!%20Now,text-size=48,text-g=north"), picture("w=60,text=Sale!"),
	))
	grey := image.NewGray(flat.Rect)
	for _, original := range [][]byte{pngOf(t, grey), jpegOf(t, grey), gifOf(t, 240, 120, 3)} {
		for _, format := range []asset.Format{asset.PNG, asset.JPEG, asset.WebP} {
			v := asset.Variant{Format: format, Text: asset.Text{Text: "I", Size: 100, Color: asset.Color{R: 255, A: 255, Set: true}}}
			if r, g, b, _ := b.picture(t, original, v).At(120, 60).RGBA(); r>>8 < 240 || g>>8 > 20 || b>>8 > 20 {
				t.Errorf("a red I on a picture without colours, or on an animation, is %d %d %d as %s", r>>8, g>>8, b>>8, format)
			}
		}
	}
	for options, part := range map[string]string{"text=日本": "text", "text=a,text-font=comic": "text-font"} {
		v, err := asset.ParseVariant(options + ",f=png")
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.render(t, original, v)
		var fault *asset.Fault
		if !errors.As(err, &fault) || fault.Kind != asset.ErrInvalid || fault.Part != part || !strings.Contains(fault.Allowed, "brand") {
			t.Errorf("%s: %v", options, err)
		}
	}
	if n := b.log.count(&b.log.lost, reasonCrashed); n != 0 {
		t.Error("a worker crashed")
	}
}

// FuzzDrawText: no text that the grammar takes makes more than a picture of the size allowed, or a fault, soon.
func FuzzDrawText(f *testing.F) {
	for _, text := range []string{
		"Sale!", "Größe", "שלום (עולם) 12% end", "السلام", "a\u2028b\u2029c", "e\u0301\u0301\u0301", "\u202eabc\u202c", "\u2067x\u2069 \u2066", "日本", "\u200d\u200d",
		strings.Repeat("\u0301", 128), strings.Repeat("(", 256), strings.Repeat("ש(", 85), "\U000e0001", "  ", "1 2 3", "٣٤",
	} {
		f.Add(text, 32, 200, 100)
		f.Add(text, 1000, 3, 500)
		f.Add(text, 1, 500, 2)
	}
	fonts := &library{dir: fontsDir(f, map[string][]byte{"dejavu.ttf": dejavusans.TTF})}
	f.Fuzz(func(t *testing.T, text string, size, width, height int) {
		if len(text) > 256 || !utf8.ValidString(text) {
			return
		}
		size, width, height = int(uint(size)%1000)+1, int(uint(width)%500)+1, int(uint(height)%500)+1
		late := time.AfterFunc(10*time.Second, func() { panic("it takes for ever") }) // with the stack of what does
		defer late.Stop()
		m, err := fonts.draw(asset.Text{Text: text, Size: size}, width, height)
		var fault *asset.Fault
		switch {
		case err != nil && !errors.As(err, &fault):
			t.Errorf("%q: %v", text, err)
		case err == nil && (m.Rect.Empty() || m.Rect.Dx() > width || m.Rect.Dy() > height):
			t.Errorf("%q: %v in %d × %d", text, m.Rect, width, height)
		}
	})
}
