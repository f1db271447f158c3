package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/galdor/go-thumbhash"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/resolve"
)

const galleryPage = "../docs/transform.md"

// A gallery makes the pictures of docs/transform.md as the front door does: of URLs.
type gallery struct {
	*bench
	// originals are the versions of the assets of the product shop, the last one current.
	originals map[string][][]byte
}

func newGallery(t *testing.T) *gallery {
	t.Helper()
	drawGallery.Do(func() { drawnGallery = galleryOriginals(t) })
	return &gallery{newBench(t, slowly), drawnGallery}
}

// The originals are drawn once, which takes longer than to render them.
var (
	drawGallery  sync.Once
	drawnGallery map[string][][]byte
)

func galleryOriginals(t *testing.T) map[string][][]byte {
	t.Helper()
	brochure, err := corpus.Brochure(2)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][][]byte{
		"photos/lake.jpg":     {jpegOf(t, lake(2, 900, 600)), revealing(jpegOf(t, lake(13, 1200, 800)))},
		"photos/portrait.jpg": {jpegOf(t, sitter(5, 900, 600))},
		"logo.png":            {pngOf(t, corpus.Badge(300))},
		"scans/stamp.png":     {pngOf(t, stamped(corpus.Badge(240), 90))},
		"clips/balloon.gif":   {flight(t, 160, 107, 8)},
		"files/brochure.pdf":  {brochure},
	}
}

// target reads a URL and finds its original.
func (g *gallery) target(t *testing.T, path string) (resolve.Target, []byte) {
	t.Helper()
	target, err := resolve.Parse(path, "")
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	versions := g.originals[target.Name]
	number := target.Version
	if number == 0 {
		number = len(versions)
	}
	if target.Product != "shop" || number < 1 || number > len(versions) {
		t.Fatalf("%s: there is no such product, name or version", path)
	}
	return target, versions[number-1]
}

// make answers a URL, to a client that names no format, and returns the format, too.
func (g *gallery) make(t *testing.T, path string) ([]byte, asset.Format) {
	t.Helper()
	target, original := g.target(t, path)
	v := target.Options
	_, pic, err := g.probe(t, original)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if v.Format == asset.ThumbHash {
		return thumbHashPNG(t, pic), asset.PNG
	}
	if v.Format == asset.Auto {
		v.Format = plainFormat(v, pic)
	}
	groups := v.Groups()
	for i := range groups {
		if w := &groups[i].Watermark; w.Name != "" {
			w.Name = g.shelf.put(g.originals[w.Name][0]).String()
		}
	}
	out, err := g.render(t, original, asset.Chain(groups).Canonical(pic))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out, v.Format
}

// plainFormat is what package resolve negotiates to without an Accept header.
func plainFormat(v asset.Variant, pic *asset.Picture) asset.Format {
	switch {
	case pic.Animated && !v.Still && v.Page == 0:
		return asset.GIF
	case pic.Alpha, pic.Drawn, slices.ContainsFunc(v.Groups(), asset.Variant.Clears):
		return asset.PNG
	}
	return asset.JPEG
}

func thumbHashPNG(t *testing.T, pic *asset.Picture) []byte {
	t.Helper()
	hash, err := base64.StdEncoding.DecodeString(pic.ThumbHash)
	if err != nil {
		t.Fatal(err)
	}
	m, err := thumbhash.DecodeImage(hash)
	if err != nil {
		t.Fatal(err)
	}
	return pngOf(t, m)
}

// decoded returns a picture and how many frames it has.
func (g *gallery) decoded(t *testing.T, file string, b []byte) (*image.NRGBA, int) {
	t.Helper()
	switch filepath.Ext(file) {
	case ".gif":
		all, err := gif.DecodeAll(bytes.NewReader(b))
		if err != nil {
			t.Fatal(file, err)
		}
		return nrgba(all.Image[0]), len(all.Image)
	case ".webp":
		return nrgba(g.picture(t, b, asset.Variant{Format: asset.PNG})), 1
	}
	m, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(file, err)
	}
	return nrgba(m), 1
}

// keep compares with the picture that was committed, or writes it. Beside its look, colours and sharpness must be as they were.
func (g *gallery) keep(t *testing.T, file string, got []byte) {
	t.Helper()
	want := committed(t, filepath.Join(filepath.Dir(galleryPage), file), got)
	a, frames := g.decoded(t, file, got)
	b, wantFrames := g.decoded(t, file, want)
	if sameLook(t, file, a, b); frames != wantFrames {
		t.Errorf("%s has %d frames, the golden %d", file, frames, wantFrames)
	}
	if d := difference(a, b); d > 1.5 {
		t.Errorf("%s is %.1f of 255 away from its golden", file, d)
	}
}

// difference is the mean difference of all channels of two pictures, 0–255, as far as they are seen.
func difference(a, b *image.NRGBA) float64 {
	if a.Rect != b.Rect {
		return 255
	}
	sum := 0.
	for i := 0; i < len(a.Pix); i += 4 {
		p, q := weighed(a.Pix[i:]), weighed(b.Pix[i:])
		for c := range p {
			sum += math.Abs(float64(p[c] - q[c]))
		}
	}
	return sum / float64(len(a.Pix))
}

// example finds a URL of the page with the picture below it.
var example = regexp.MustCompile("`(/[^`]+)`<br>(?:!\\[[^\\]]*\\]\\(|<img src=\")(transform/[a-z0-9-]+\\.(?:jpg|png|gif|webp))[)\"]")

func pageText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(galleryPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGallery: each picture of docs/transform.md is what its URL answers; -update makes them. They are small, and all that are there
// are shown.
func TestGallery(t *testing.T) {
	g, total, shown := newGallery(t), 0, map[string]string{}
	for _, m := range example.FindAllStringSubmatch(pageText(t), -1) {
		path, file := m[1], m[2]
		if before, twice := shown[file]; twice && before != path {
			t.Errorf("%s is of %s and of %s", file, before, path)
		}
		shown[file] = path
		b, format := g.make(t, path)
		if named, _ := asset.ParseFormat(strings.TrimPrefix(filepath.Ext(file), ".")); named != format {
			t.Errorf("%s is a %s, not %s", path, format, file)
		}
		g.keep(t, file, b)
		size, _ := g.decoded(t, file, b)
		if total += len(b); len(b) > 12<<10 || size.Rect.Dx() > 320 {
			t.Errorf("%s has %d bytes and is %d px wide", file, len(b), size.Rect.Dx())
		}
	}
	for file, b := range map[string][]byte{"transform/gravities.jpg": g.gravities(t), "transform/grid.jpg": g.grid(t)} {
		shown[file] = ""
		g.keep(t, file, b)
		total += len(b)
	}
	if total > 700<<10 {
		t.Errorf("the pictures have %d bytes", total)
	}
	there, err := filepath.Glob("../docs/transform/*")
	if err != nil || len(there) != len(shown) {
		for _, path := range there {
			if _, ok := shown["transform/"+filepath.Base(path)]; !ok {
				t.Errorf("%s is not shown", path)
			}
		}
	}
}

// rows are the lines of the page's tables about options, by long name: what stands in each cell.
func rows(page string) map[string][]string {
	found := map[string][]string{}
	line := regexp.MustCompile(`(?m)^\| \*\*([a-z-]+)\*\*.*\|$`)
	for _, m := range line.FindAllStringSubmatch(page, -1) {
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(m[0], "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		found[m[1]] = cells
	}
	return found
}

// TestTransformPage: docs/transform.md has a line for each option, with its names, what the parser allows, a default that is one, and
// an example in which the option does something.
func TestTransformPage(t *testing.T) {
	g, lines := newGallery(t), rows(pageText(t))
	rules := asset.Rules()
	if names := slices.Sorted(maps.Keys(lines)); len(names) != len(rules) {
		t.Errorf("%d lines for %d options: %v", len(names), len(rules), names)
	}
	for _, r := range rules {
		cells := lines[r.Name]
		if len(cells) != 5 {
			t.Errorf("%s has no line, or one of %d cells", r.Name, len(cells))
			continue
		}
		names := "**" + r.Name + "**"
		if r.Short != r.Name {
			names += " `" + r.Short + "`"
		}
		if cells[0] != names || cells[1] != r.Allowed {
			t.Errorf("%s is said to be %s, %s; it is %s, %s", r.Name, cells[0], cells[1], names, r.Allowed)
		}
		if value, ok := strings.CutPrefix(cells[2], "`"); ok {
			v, err := asset.ParseVariant(r.Short + "=" + strings.TrimSuffix(value, "`"))
			if err != nil || v.String() != "f=auto" {
				t.Errorf("the default of %s is not %s: it makes %s, %v", r.Name, value, v, err)
			}
		}
		m := example.FindStringSubmatch(cells[4])
		if m == nil {
			t.Errorf("%s has no example", r.Name)
			continue
		}
		without := withoutOption(m[1], r)
		if without == m[1] {
			t.Errorf("%s is not in its example %s", r.Name, m[1])
			continue
		}
		b, _ := g.make(t, m[1])
		if same, _ := g.make(t, without); bytes.Equal(b, same) {
			t.Errorf("%s does nothing in its example", r.Name)
		}
	}
}

// withoutOption takes an option out of a URL.
func withoutOption(path string, r asset.Rule) string {
	parts := strings.SplitN(path, "/", 4)
	pairs := strings.Split(parts[2], ",")
	pairs = slices.DeleteFunc(pairs, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == r.Name || name == r.Short
	})
	if parts[2] = strings.Join(pairs, ","); parts[2] == "" {
		parts[2] = "f=auto"
	}
	return strings.Join(parts, "/")
}

// TestTransformPageURLs: what the page says besides options is true: its URLs can be read, its pictures are there, and the types,
// qualities and the description are what they are.
func TestTransformPageURLs(t *testing.T) {
	page := pageText(t)
	for _, m := range regexp.MustCompile("`(/shop/[^`]+)`").FindAllStringSubmatch(page, -1) {
		if _, err := resolve.Parse(m[1], ""); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	for _, m := range regexp.MustCompile(`(?:\]\(|src=")([^)"#:]+)[)"#]`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(galleryPage), m[1])); err != nil {
			t.Error(err)
		}
	}
	for mediaType := range headers {
		if !strings.Contains(page, "`"+mediaType+"`") {
			t.Errorf("%s is not among what can be read", mediaType)
		}
	}
	for f, e := range encoders {
		if want := f.String() + " " + itoa(e.quality); e.quality > 0 && !strings.Contains(page, want) {
			t.Errorf("does not say that the quality is %s", want)
		}
	}
}

// TestTransformPageInfo: the description on the page is what info says of the picture, but for what depends on single bytes.
func TestTransformPageInfo(t *testing.T) {
	g := newGallery(t)
	_, text, _ := strings.Cut(pageText(t), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var said resolve.Description
	in := json.NewDecoder(strings.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&said); err != nil {
		t.Fatal(err)
	}
	_, original := g.target(t, "/shop/info/photos/lake.jpg")
	mediaType, pic, err := g.probe(t, original)
	if err != nil {
		t.Fatal(err)
	}
	is := asset.Picture{Width: said.Width, Height: said.Height, Pages: said.Pages, Orientation: said.Orientation, ThumbHash: pic.ThumbHash, Dominant: pic.Dominant}
	if said.MediaType != mediaType || is != *pic {
		t.Errorf("%+v is not %s %+v", said, mediaType, *pic)
	}
	placeholder := func(hash string) *image.NRGBA {
		m, _ := g.decoded(t, "thumbhash.png", thumbHashPNG(t, &asset.Picture{ThumbHash: hash}))
		return m
	}
	if d := difference(placeholder(said.ThumbHash), placeholder(pic.ThumbHash)); d > 2 || said.Dominant == "" {
		t.Errorf("the thumbhash is %s", pic.ThumbHash)
	}
}

// named returns the words that an option may be, up to ", or".
func named(option string) []string {
	for _, r := range asset.Rules() {
		if r.Name == option {
			words, _, _ := strings.Cut(r.Allowed, ", or ")
			return strings.Split(words, ", ")
		}
	}
	return nil
}

// everyGravity has all that have a name, and a point.
func everyGravity() []string { return append(named("gravity"), "0.75x0.3") }

// A tile is one picture of a sheet, with what is written above it.
type tile struct {
	label, path string
	at          image.Point
}

// sheet draws pictures in boxes of one size, made of URLs.
func (g *gallery) sheet(t *testing.T, size, box image.Point, quality int, tiles []tile) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rectangle{Max: size})
	draw.Draw(m, m.Rect, image.NewUniform(color.NRGBA{250, 250, 251, 255}), image.Point{}, draw.Src)
	made := map[string]image.Image{}
	for _, tile := range tiles {
		label(m, tile.label, tile.at.X, tile.at.Y-4, color.Black)
		if tile.path == "" {
			continue
		}
		if made[tile.path] == nil {
			b, _ := g.make(t, tile.path)
			made[tile.path], _ = g.decoded(t, "sheet.png", b)
		}
		p := made[tile.path]
		if box != (image.Point{}) {
			outline(m, image.Rectangle{Max: box}.Add(tile.at).Inset(-1))
		}
		draw.Draw(m, p.Bounds().Add(tile.at), p, image.Point{}, draw.Over)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// gravities has one photograph cut to a tall box and to a wide one, with every gravity.
func (g *gallery) gravities(t *testing.T) []byte {
	t.Helper()
	const columns, gap, text, wide = 7, 10, 16, 130
	var tiles []tile
	y := gap + text
	for _, box := range []image.Point{{68, wide}, {wide, 48}} {
		for i, name := range everyGravity() {
			if i > 0 && i%columns == 0 {
				y += box.Y + gap + text
			}
			path := "/shop/w=" + itoa(box.X) + ",h=" + itoa(box.Y) + ",fit=cover,f=png,g=" + name + "/photos/portrait.jpg"
			tiles = append(tiles, tile{name, path, image.Pt(gap+i%columns*(wide+gap)+(wide-box.X)/2, y)})
		}
		y += box.Y + gap + text
	}
	return g.sheet(t, image.Pt(columns*(wide+gap)+gap, y-text), image.Point{}, 80, tiles)
}

// grid has the same photograph in the same box with every fit and every gravity.
func (g *gallery) grid(t *testing.T) []byte {
	t.Helper()
	const gap, left, text = 14, 76, 16
	box := image.Pt(64, 104)
	var tiles []tile
	for row, fit := range named("fit") {
		y := gap + text + row*(box.Y+gap)
		tiles = append(tiles, tile{label: fit, at: image.Pt(gap, y+box.Y/2)})
		for column, gravity := range everyGravity() {
			at, name := image.Pt(left+gap+column*(box.X+gap), y), ""
			if row == 0 {
				name = gravity
			}
			path := "/shop/w=" + itoa(box.X) + ",h=" + itoa(box.Y) + ",fit=" + fit + ",bg=ffd778,f=png,g=" + gravity + "/photos/portrait.jpg"
			tiles = append(tiles, tile{name, path, at})
		}
	}
	return g.sheet(t, image.Pt(left+gap+len(everyGravity())*(box.X+gap), gap+text+len(named("fit"))*(box.Y+gap)), box, 80, tiles)
}
