package transform

import (
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/harfbuzz"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"

	"github.com/assetmatrix/assetmatrix/asset"
)

// lettering has the fonts of this process: a worker's are set when it begins.
var lettering = &library{}

// drawText draws a text in its colour on nothing, with a margin, as [asset.Text] says: a picture of at most width × height px,
// which are at least 1. Lines that do not fit are left out.
func drawText(t asset.Text, width, height int) (*image.NRGBA, error) {
	return lettering.draw(t, width, height)
}

func (l *library) draw(t asset.Text, width, height int) (*image.NRGBA, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.Size == 0 {
		t.Size = asset.TextSize
	}
	if !t.Color.Set {
		t.Color = asset.Color{A: 255, Set: true}
	}
	side := min(t.Size/2, width/10)
	s := setting{library: l, size: t.Size, width: width - 2*side}
	if err := s.set(t); err != nil {
		return nil, err
	}
	return s.print(t, side, height), nil
}

// A setting is a text on its way to lines.
type setting struct {
	*library
	size, width int // px
	chain       []string
	chosen      *font.Face
	missing     []rune // that no font has
	lines       []line
}

// A line has its letters from left to right.
type line struct {
	letters []letter
	width   float32        // px
	bounds  shaping.Bounds // of its fonts
}

// A letter is a glyph, or several letters in one.
type letter struct {
	face *font.Face
	id   font.GID
	x, y float32 // from the beginning of the line and its baseline, to the right and down, px
}

// set makes the lines. The Unicode normal form is composed first: fonts rather have é than what puts an accent on e.
func (s *setting) set(t asset.Text) (err error) {
	if s.chain, err = s.choose(t.Font); err != nil {
		return err
	}
	if s.chosen, err = s.face(s.chain[0]); err != nil {
		return err
	}
	for _, paragraph := range paragraphs(norm.NFC.String(t.Text)) {
		s.paragraph([]rune(paragraph))
	}
	if len(s.missing) > 0 {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "text", Detail: "no font has " + spellOut(s.missing),
			Allowed: "what the fonts have (" + s.names() + "); the server gets more with render.fonts",
		}
	}
	return nil
}

// paragraphs splits a text where a new line must begin: at U+2028 and at what ends a paragraph in the bidirectional algorithm.
func paragraphs(text string) []string {
	return strings.Split(strings.Map(func(r rune) rune {
		if p, _ := bidi.LookupRune(r); r == '\u2028' || p.Class() == bidi.B {
			return '\n'
		}
		return r
	}, text), "\n")
}

// paragraph appends the lines of one paragraph.
func (s *setting) paragraph(text []rune) {
	direction := directionOf(text)
	whole := shaping.Input{Text: text, RunEnd: len(text), Direction: direction, Face: s.chosen, Size: fixed.I(s.size)}
	if len(text) == 0 {
		whole.Text, whole.RunEnd = []rune{' '}, 1 // its height counts
	}
	parts, levels := s.split(whole)
	var shaper shaping.HarfbuzzShaper
	var runs []shaping.Output
	for _, part := range parts {
		out := shaper.Shape(part)
		s.miss(out, whole.Text)
		runs = append(runs, out)
	}
	if len(s.missing) > 0 {
		return
	}
	lines, _ := new(shaping.LineWrapper).WrapParagraph(shaping.WrapConfig{Direction: direction}, s.width, whole.Text, shaping.NewSliceIterator(runs))
	for _, l := range lines {
		s.lines = append(s.lines, s.line(l, levels))
	}
}

// directionOf is that of the first letter that has one, outside of isolates (Unicode Bidirectional Algorithm, P2 and P3).
func directionOf(text []rune) di.Direction {
	isolates := 0
	for _, r := range text {
		switch p, _ := bidi.LookupRune(r); p.Class() {
		case bidi.LRI, bidi.RLI, bidi.FSI:
			isolates++
		case bidi.PDI:
			isolates = max(0, isolates-1)
		case bidi.L:
			if isolates == 0 {
				return di.DirectionLTR
			}
		case bidi.R, bidi.AL:
			if isolates == 0 {
				return di.DirectionRTL
			}
		}
	}
	return di.DirectionLTR
}

// split makes parts of a paragraph that have one direction, script, level and font each, and returns the level of each character.
func (s *setting) split(whole shaping.Input) (parts []shaping.Input, levels []int) {
	faces := s.facesOf(whole.Text)
	runs := new(shaping.Segmenter).Split(whole, single{s.chosen})
	levels = levelsOf(whole, runs)
	for _, run := range runs {
		for i := run.RunStart; i < run.RunEnd; i++ {
			if i > run.RunStart && faces[i] == faces[i-1] && levels[i] == levels[i-1] {
				parts[len(parts)-1].RunEnd = i + 1
				continue
			}
			part := run
			part.RunStart, part.RunEnd, part.Face = i, i+1, faces[i]
			parts = append(parts, part)
		}
	}
	return parts, levels
}

// levelsOf returns the embedding level of each character. Of those golang.org/x/text/unicode/bidi only tells the directions, so
// that what is embedded deeper than a quotation with numbers is taken for that.
func levelsOf(whole shaping.Input, runs []shaping.Input) []int {
	levels := make([]int, len(whole.Text))
	for _, run := range runs {
		level := 0
		switch {
		case run.Direction == di.DirectionRTL:
			level = 1
		case whole.Direction == di.DirectionRTL:
			level = 2
		}
		for i := run.RunStart; i < run.RunEnd; i++ {
			levels[i] = level
		}
	}
	for i := 1; i < len(levels); i++ {
		if levels[i] == 0 && levels[i-1] == 1 { // a number belongs to the words before it (N1, I1)
			for j := range number(whole.Text[i:]) {
				levels[i+j] = 2
			}
		}
	}
	return levels
}

// number returns how many characters a number at the beginning has, with its signs.
func number(text []rune) (n int) {
	for i, r := range text {
		switch p, _ := bidi.LookupRune(r); p.Class() {
		case bidi.EN, bidi.AN:
			n = i + 1
		case bidi.ET:
			if n == i {
				n = i + 1
			}
		case bidi.ES, bidi.CS, bidi.NSM, bidi.BN:
		default:
			return n
		}
	}
	return n
}

// single leaves the choice of fonts to facesOf.
type single struct{ face *font.Face }

// ResolveFace implements [shaping.Fontmap].
func (s single) ResolveFace(rune) *font.Face { return s.face }

// facesOf returns the font of each character: the first that has all of a grapheme, so that an accent stands on its letter.
func (s *setting) facesOf(text []rune) []*font.Face {
	var faces []*font.Face
	var graphemes segmenter.Segmenter
	graphemes.Init(text)
	for it := graphemes.GraphemeIterator(); it.Next(); {
		g := it.Grapheme().Text
		face, ok := s.first(g...)
		for _, r := range g {
			if !ok {
				face, _ = s.first(r)
			}
			faces = append(faces, face)
		}
	}
	return faces
}

// first returns the first font that has all of these characters, but for those that need no glyph; without one, the chosen.
func (s *setting) first(characters ...rune) (*font.Face, bool) {
	seen := slices.DeleteFunc(slices.Clone(characters), unseen)
	for _, name := range s.chain {
		if face, ok := s.drawing(name, seen...); ok {
			return face, true
		}
	}
	return s.chosen, false
}

// unseen reports whether HarfBuzz shows a character without a glyph of its own: spaces, joiners, variation selectors, marks of
// direction.
func unseen(r rune) bool {
	return unicode.Is(unicode.Zs, r) && r != '\u1680' || harfbuzz.IsDefaultIgnorable(r)
}

// miss notes the characters of glyph 0, which says that the font has none, and of what the font has in another way than as an outline.
func (s *setting) miss(run shaping.Output, text []rune) {
	for _, g := range run.Glyphs {
		if _, ok := outlineOf(run.Face, g.GlyphID); ok && g.GlyphID != 0 {
			continue
		}
		for _, r := range text[g.TextIndex():][:g.RunesCount()] {
			if !unseen(r) && !slices.Contains(s.missing, r) {
				s.missing = append(s.missing, r)
			}
		}
	}
}

// spellOut names the first few characters.
func spellOut(characters []rune) string {
	const most = 4
	var words []string
	for _, r := range characters[:min(most, len(characters))] {
		if unicode.IsPrint(r) && !unicode.Is(unicode.M, r) {
			words = append(words, fmt.Sprintf("%c (%U)", r, r))
		} else {
			words = append(words, fmt.Sprintf("%U", r))
		}
	}
	if more := len(characters) - most; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

// line puts the runs of a line beside each other, from left to right. Spaces at its ends take no place.
func (s *setting) line(runs shaping.Line, levels []int) line {
	l := line{bounds: s.strut()}
	trimLine(runs)
	reorder(runs, levels)
	var x fixed.Int26_6
	for _, run := range runs {
		b := run.LineBounds
		l.bounds = shaping.Bounds{Ascent: max(l.bounds.Ascent, b.Ascent), Descent: min(l.bounds.Descent, b.Descent), Gap: max(l.bounds.Gap, b.Gap)}
		for _, g := range run.Glyphs {
			l.letters = append(l.letters, letter{face: run.Face, id: g.GlyphID, x: float(x + g.XOffset), y: -float(g.YOffset)})
			x += g.Advance
		}
	}
	l.width = float(x)
	return l
}

// strut is what a line of the chosen font takes.
func (s *setting) strut() shaping.Bounds {
	extents, _ := s.chosen.FontHExtents()
	px := func(v float32) fixed.Int26_6 {
		return fixed.Int26_6(v * float32(s.size) * 64 / float32(s.chosen.Upem()))
	}
	return shaping.Bounds{Ascent: px(extents.Ascender), Descent: px(extents.Descender), Gap: px(extents.LineGap)}
}

// trimLine takes the spaces at both ends of a line away, whose runs are in the order of the text.
func trimLine(runs shaping.Line) {
	for i := range runs {
		if !trimRun(&runs[i], runs[i].Direction != di.DirectionRTL) {
			break
		}
	}
	for i := range slices.Backward(runs) {
		if !trimRun(&runs[i], runs[i].Direction == di.DirectionRTL) {
			break
		}
	}
}

// trimRun takes blank glyphs away from the left or the right of a run, and reports whether none is left.
func trimRun(run *shaping.Output, left bool) bool {
	for len(run.Glyphs) > 0 {
		rest, end := run.Glyphs[1:], run.Glyphs[0]
		if last := len(run.Glyphs) - 1; !left {
			rest, end = run.Glyphs[:last], run.Glyphs[last]
		}
		if end.Width != 0 {
			return false
		}
		run.Glyphs = rest
	}
	return true
}

// reorder puts the runs of a line from left to right (Unicode Bidirectional Algorithm, L2).
func reorder(runs shaping.Line, levels []int) {
	for level := 2; level > 0; level-- {
		for i := 0; i < len(runs); i++ {
			n := 0
			for i+n < len(runs) && levels[runs[i+n].Runes.Offset] >= level {
				n++
			}
			slices.Reverse(runs[i : i+n])
			i += n
		}
	}
}

func float(v fixed.Int26_6) float32 { return float32(v) / 64 }

func (l *line) height() float32 { return float(l.bounds.LineThickness()) }

// print draws the lines in a picture that is no higher than height, with a margin of side px to the left and right, and as much
// above and below as there is room for.
func (s *setting) print(t asset.Text, side, height int) *image.NRGBA {
	lines, width, high := s.fitting(height)
	edge := min(t.Size/2, (height-high)/2) // less than 0 for a line that is too high: its middle is what is seen
	mask := image.NewAlpha(image.Rect(0, 0, min(max(width, 1), s.width)+2*side, min(high+2*edge, height)))
	y := float32(edge)
	for i := range lines {
		l := &lines[i]
		left := float32(side) + share(t.Gravity)*(float32(mask.Rect.Dx()-2*side)-l.width)
		baseline := float32(math.Round(float64(y + float(l.bounds.Ascent)))) // so that all lines are equally sharp
		for _, at := range l.letters {
			stamp(mask, at.face, at.id, left+at.x, baseline+at.y, float32(t.Size)/float32(at.face.Upem()))
		}
		y += l.height()
	}
	return tint(mask, t.Color)
}

// fitting returns the lines that are no higher than height together, or the first, and what they take in px.
func (s *setting) fitting(height int) (lines []line, width, high int) {
	var widest, sum float32
	for i := range s.lines {
		l := &s.lines[i]
		if i > 0 && sum+l.height() > float32(height) {
			break
		}
		widest, sum = max(widest, l.width), sum+l.height()
		lines = append(lines, *l)
	}
	return lines, ceil(widest), max(1, ceil(sum))
}

func ceil(v float32) int { return int(math.Ceil(float64(v))) }

// share is how much of the free place of a line lies to the left of it.
func share(g asset.Gravity) float32 {
	switch g.Anchor {
	case asset.AnchorNorthWest, asset.AnchorWest, asset.AnchorSouthWest:
		return 0
	case asset.AnchorNorthEast, asset.AnchorEast, asset.AnchorSouthEast:
		return 1
	}
	return 0.5
}

// stamp adds the outline of a glyph to what is covered, with its origin at x, y.
func stamp(mask *image.Alpha, face *font.Face, id font.GID, x, y, scale float32) {
	outline, _ := outlineOf(face, id)
	at := func(p opentype.SegmentPoint) (float32, float32) { return x + p.X*scale, y - p.Y*scale }
	r := extent(outline, at).Intersect(mask.Rect)
	if r.Empty() {
		return
	}
	in := func(p opentype.SegmentPoint) (float32, float32) {
		x, y := at(p)
		return x - float32(r.Min.X), y - float32(r.Min.Y)
	}
	pen := vector.NewRasterizer(r.Dx(), r.Dy())
	for _, s := range outline {
		ax, ay := in(s.Args[0])
		bx, by := in(s.Args[1])
		cx, cy := in(s.Args[2])
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			pen.ClosePath()
			pen.MoveTo(ax, ay)
		case opentype.SegmentOpLineTo:
			pen.LineTo(ax, ay)
		case opentype.SegmentOpQuadTo:
			pen.QuadTo(ax, ay, bx, by)
		case opentype.SegmentOpCubeTo:
			pen.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	pen.ClosePath()
	pen.Draw(mask, r, image.Opaque, image.Point{})
}

// extent returns the pixels that an outline's points span.
func extent(outline []opentype.Segment, at func(opentype.SegmentPoint) (float32, float32)) image.Rectangle {
	if len(outline) == 0 {
		return image.Rectangle{}
	}
	inf := float32(math.Inf(1))
	left, top, right, bottom := inf, inf, -inf, -inf
	for _, s := range outline {
		for _, p := range s.ArgsSlice() {
			x, y := at(p)
			left, top, right, bottom = min(left, x), min(top, y), max(right, x), max(bottom, y)
		}
	}
	return image.Rect(floor(left), floor(top), ceil(right), ceil(bottom))
}

func floor(v float32) int { return int(math.Floor(float64(v))) }

// tint gives a colour to what is covered.
func tint(mask *image.Alpha, c asset.Color) *image.NRGBA {
	m, ink := image.NewNRGBA(mask.Rect), nrgbaOf(c)
	for i, covered := range mask.Pix {
		p := m.Pix[4*i:][:4]
		p[0], p[1], p[2], p[3] = ink.R, ink.G, ink.B, uint8((int(covered)*int(ink.A)+127)/255)
	}
	return m
}
