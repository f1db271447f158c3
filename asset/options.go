package asset

import (
	"fmt"
	"strings"
	"sync"
)

// options is the grammar of a variant, in the order of canonical spelling. Parsing, spelling and the words of faults
// all come from here.
var options = [...]option{
	define("animated", "anim", func(v *Variant) *bool { return &v.Still }, stillness).once(),
	define("aspect", "ar", func(v *Variant) *Ratio { return &v.Aspect }, ratios),
	define("background", "bg", func(v *Variant) *Color { return &v.Background }, colors),
	define("blur", "blur", func(v *Variant) *Decimal { return &v.Blur }, decimals(0, 250_000, "px").or("faces", BlurFaces)),
	define("brightness", "brightness", func(v *Variant) *Factor { return &v.Brightness }, factors(0, 4000)),
	define("contrast", "contrast", func(v *Variant) *Factor { return &v.Contrast }, factors(0, 4000)),
	define("dpr", "dpr", func(v *Variant) *Factor { return &v.DPR }, factors(100, 4000)),
	define("format", "f", func(v *Variant) *Format { return &v.Format }, formatNames).once(),
	define("fit", "fit", func(v *Variant) *Fit { return &v.Fit }, fits),
	define("flip", "flip", func(v *Variant) *Flip { return &v.Flip }, flips),
	define("gravity", "g", func(v *Variant) *Gravity { return &v.Gravity }, gravities(anchorNames[:])),
	define("gamma", "gamma", func(v *Variant) *Factor { return &v.Gamma }, factors(0, 4000)),
	define("height", "h", func(v *Variant) *int { return &v.Height }, integers(1, MaxSide, "px")),
	define("max-bytes", "mb", func(v *Variant) *int { return &v.MaxBytes }, integers(1, 1_000_000_000, "bytes")).once(),
	define("metadata", "metadata", func(v *Variant) *Metadata { return &v.Metadata }, metadatas).once(),
	define("pad", "pad", func(v *Variant) *Box { return &v.Padding }, boxes),
	define("page", "pg", func(v *Variant) *int { return &v.Page }, integers(1, 1_000_000, "")).once(),
	define("pixelate", "pixelate", func(v *Variant) *int { return &v.Pixelate }, integers(0, 1000, "px")),
	define("quality", "q", func(v *Variant) *int { return &v.Quality }, integers(1, 100, "").or("auto", QualityAuto)).once(),
	define("radius", "radius", func(v *Variant) *int { return &v.Radius }, integers(0, MaxSide, "px").or("max", RadiusMax)),
	define("rect", "rect", func(v *Variant) *Rect { return &v.Rect }, rects),
	define("rotate", "rotate", func(v *Variant) *int { return &v.Rotate }, rotations),
	define("saturation", "saturation", func(v *Variant) *Factor { return &v.Saturation }, factors(0, 4000)),
	define("sharpen", "sharpen", func(v *Variant) *Decimal { return &v.Sharpen }, decimals(0, 10_000, "px")),
	define("text", "text", func(v *Variant) *string { return &v.Text.Text }, texts(256)),
	define("text-color", "text-color", func(v *Variant) *Color { return &v.Text.Color }, colors),
	define("text-font", "text-font", func(v *Variant) *string { return &v.Text.Font }, texts(64)),
	define("text-g", "text-g", func(v *Variant) *Gravity { return &v.Text.Gravity }, gravities(compass)),
	define("text-size", "text-size", func(v *Variant) *int { return &v.Text.Size }, integers(1, 1000, "px")),
	define("trim", "trim", func(v *Variant) *int { return &v.Trim }, integers(1, 100, "")),
	// The version is part of a URL and not of a variant, whose key has the version's digest: resolve takes it out.
	{name: "version", short: "v", allowed: "1 and up, once, in the first group of a URL's options", set: never, append: nothing},
	define("width", "w", func(v *Variant) *int { return &v.Width }, integers(1, MaxSide, "px")),
	define("watermark", "wm", func(v *Variant) *string { return &v.Watermark.Name }, assetNames),
	define("wm-g", "wm-g", func(v *Variant) *Gravity { return &v.Watermark.Gravity }, gravities(compass)),
	define("wm-opacity", "wm-opacity", func(v *Variant) *Factor { return &v.Watermark.Opacity }, factors(0, 1000)),
	define("wm-scale", "wm-scale", func(v *Variant) *Decimal { return &v.Watermark.Scale }, decimals(1, 1000, "of the picture's width")),
	define("wm-tile", "wm-tile", func(v *Variant) *bool { return &v.Watermark.Tiled }, tiling),
	define("wm-x", "wm-x", func(v *Variant) *int { return &v.Watermark.X }, integers(0, MaxSide, "px")),
	define("wm-y", "wm-y", func(v *Variant) *int { return &v.Watermark.Y }, integers(0, MaxSide, "px")),
}

// An option is one row of the grammar.
type option struct {
	name, short string
	// allowed says in a fault what the value may be.
	allowed string
	// head: it is about the whole rendition and stands in the first group alone.
	head bool
	// set reads the value into v; false says that it is not allowed.
	set func(v *Variant, value string) bool
	// append appends ",short=value", or nothing when v has the default.
	append func(b []byte, v *Variant) []byte
}

// define makes the row of an option that is kept in one field of a variant.
func define[T comparable](name, short string, at func(*Variant) *T, g grammar[T]) option {
	key := "," + short + "="
	return option{
		name: name, short: short, allowed: g.allowed,
		set: func(v *Variant, value string) bool {
			x, ok := g.parse(value)
			if ok {
				*at(v) = x
			}
			return ok
		},
		append: func(b []byte, v *Variant) []byte {
			x := *at(v)
			if x == g.silent || x == *new(T) {
				return b
			}
			return g.append(append(b, key...), x)
		},
	}
}

func (o option) once() option {
	o.head = true
	return o
}

func never(*Variant, string) bool { return false }

func nothing(b []byte, _ *Variant) []byte { return b }

// optionIndex finds a row by either name.
var optionIndex = func() map[string]int {
	index := make(map[string]int, 2*len(options))
	for i, o := range options {
		index[o.name], index[o.short] = i, i
	}
	return index
}()

// IsOption reports whether name is an option's name, long or short.
func IsOption(name string) bool {
	_, ok := optionIndex[name]
	return ok
}

// A Rule is what the grammar says of one option.
type Rule struct {
	Name, Short string // Short is Name where there is no shorter one
	// Allowed says what the value may be, in the words of faults.
	Allowed string
	// Head: it is about the whole rendition and stands in the first group alone.
	Head bool
}

// Rules returns the grammar, in the order of canonical spelling, for what documents it.
func Rules() []Rule {
	rules := make([]Rule, len(options))
	for i, o := range options {
		rules[i] = Rule{o.name, o.short, o.allowed, o.head || o.name == "version"}
	}
	return rules
}

// MaxGroups is the largest number of option groups that may be chained with ";".
const MaxGroups = 8

// ParseVariant reads options as they stand in a URL: "key=value" pairs joined by commas, in groups joined by
// semicolons. The text is split first and each value percent-decoded after, once, so that a value may hold any
// character: "text=a%2Cb" is the text "a,b". "original" is the zero Variant. Every other variant that it returns has a
// Format other than AsIs: Auto when none was given.
//
// The error is a [Fault] of kind [ErrInvalid] whose Part is the option's long name.
func ParseVariant(text string) (Variant, error) {
	if text == original {
		return Variant{}, nil
	}
	if text == "" || text[0] == ';' {
		return Variant{}, emptyFault()
	}
	return Variant{}.Overlay(text)
}

// Overlay returns v with the options of text over it, the explicitly spelled defaults too. Groups after the first run
// after those of v. An empty first group changes nothing. The errors are those of [ParseVariant].
func (v Variant) Overlay(text string) (Variant, error) {
	s := scratch.Get().(*work)
	defer scratch.Put(s)
	s.v = v
	if s.v.Format == AsIs {
		s.v.Format = Auto
	}
	first, later, chained := strings.Cut(text, ";")
	if first != "" {
		if err := s.v.take(first, true); err != nil {
			return Variant{}, err
		}
	}
	if chained {
		if err := s.v.chain(later); err != nil {
			return Variant{}, err
		}
		if s.v.Format == ThumbHash {
			return Variant{}, s.v.Check()
		}
	}
	return s.v, nil
}

// scratch holds what the table's functions are handed: they are called through pointers, so that the compiler would move
// a caller's own variant and buffer to the heap at every call.
var scratch = sync.Pool{New: func() any { return new(work) }}

type work struct {
	v    Variant
	text []byte
}

// take sets the options of one group.
func (v *Variant) take(group string, head bool) error {
	var seen uint64 // the rows that were set
	for pair, rest, more := "", group, true; more; {
		pair, rest, more = strings.Cut(rest, ",")
		i, err := v.set(pair, head)
		if err != nil {
			return err
		}
		if seen&(1<<i) != 0 {
			return options[i].fault("is given twice", "once")
		}
		seen |= 1 << i
	}
	return v.Check()
}

// set sets one "key=value" and returns the row.
func (v *Variant) set(pair string, head bool) (int, error) {
	key, value, paired := strings.Cut(pair, "=")
	i, known := optionIndex[key]
	switch {
	case key == "":
		return 0, emptyFault()
	case !known:
		return 0, unknownFault(key)
	case !paired || value == "":
		return 0, options[i].fault("has no value", options[i].allowed)
	case !head && options[i].head:
		return 0, options[i].fault("stands in a later group", "in the first group, it is about the whole rendition")
	}
	decoded, ok := unescape(value)
	if !ok {
		return 0, options[i].fault(fmt.Sprintf("has a malformed percent-encoding in %q", clip(value)), "%XX of UTF-8")
	}
	if !options[i].set(v, decoded) {
		return 0, options[i].fault(fmt.Sprintf("cannot be %q", clip(decoded)), options[i].allowed)
	}
	return i, nil
}

// chain appends later groups, in canonical spelling, to Then. One that changes nothing is left out.
func (v *Variant) chain(later string) error {
	for group := range strings.SplitSeq(later, ";") {
		if group == "" {
			return emptyFault()
		}
		var g Variant
		if err := g.take(group, false); err != nil {
			return err
		}
		if text := string(g.appendGroup(nil)); v.Then == "" {
			v.Then = text
		} else if text != "" {
			v.Then += ";" + text
		}
		if strings.Count(v.Then, ";")+2 > MaxGroups {
			return &Fault{Kind: ErrInvalid, Part: "options", Detail: "there are too many groups of options", Allowed: fmt.Sprintf("up to %d", MaxGroups)}
		}
	}
	return nil
}

// Check holds the bounds on what the first group asks for, DPR included, and refuses what contradicts itself. What was parsed
// holds them; who has changed it since asks again. The error is a [Fault] of kind [ErrInvalid].
func (v *Variant) Check() error {
	w, h := v.box()
	f := v.frame()
	switch {
	case w > MaxSide:
		return sideFault("width", v.Width, v.DPR, w)
	case h > MaxSide:
		return sideFault("height", v.Height, v.DPR, h)
	case v.Aspect != Ratio{} && w > 0 && h > 0:
		return &Fault{Kind: ErrInvalid, Part: "aspect", Detail: "aspect, width and height are all given", Allowed: "aspect with one of width and height, or with neither"}
	case f.w > MaxSide || f.h > MaxSide:
		return &Fault{
			Kind: ErrInvalid, Part: "aspect", Detail: fmt.Sprintf("with aspect %d:%d the picture would be %d × %d px", v.Aspect.W, v.Aspect.H, f.w, f.h),
			Allowed: fmt.Sprintf("sides of up to %d px", MaxSide),
		}
	case v.Format == ThumbHash && !v.plain():
		return &Fault{Kind: ErrInvalid, Part: "format", Detail: "a thumbhash is of the picture as it is", Allowed: "f=thumbhash without other options"}
	}
	return nil
}

// plain reports whether nothing is asked for but a format.
func (v Variant) plain() bool {
	v.Format = AsIs
	return v == Variant{}
}

func sideFault(side string, n int, dpr Factor, px int) error {
	return &Fault{
		Kind: ErrInvalid, Part: "dpr",
		Detail:  fmt.Sprintf("%s %d times dpr %s is %d px", side, n, factors(100, 4000).append(nil, dpr), px),
		Allowed: fmt.Sprintf("%s × dpr up to %d px", side, MaxSide),
	}
}

const original = "original"

// String returns the canonical spelling: short names, sorted, defaults left out. It is "original" for the zero
// Variant and "f=auto" when there is nothing else to say. ParseVariant(v.String()) == v for every parsed v.
func (v Variant) String() string {
	var buf [256]byte
	return string(v.append(buf[:0]))
}

// append appends the spelling of [Variant.String]. It does not allocate.
func (v Variant) append(b []byte) []byte {
	if v == (Variant{}) {
		return append(b, original...)
	}
	s := scratch.Get().(*work)
	s.v = v
	s.text = s.v.appendGroup(s.text[:0])
	if len(s.text) == 0 {
		s.text = append(s.text, "f=auto"...)
	}
	b = append(b, s.text...)
	scratch.Put(s)
	if v.Then != "" {
		b = append(append(b, ';'), v.Then...)
	}
	return b
}

// appendGroup appends the options that are not at their defaults.
func (v *Variant) appendGroup(b []byte) []byte {
	start := len(b)
	for i := range options {
		b = options[i].append(b, v)
	}
	if len(b) == start {
		return b
	}
	return append(b[:start], b[start+1:]...) // the first comma parts nothing
}

// Groups returns each group of v as a variant of its own, at least one. What is about the whole rendition stands in the first.
func (v Variant) Groups() []Variant {
	first := v
	first.Then = ""
	groups := []Variant{first}
	if v.Then == "" {
		return groups
	}
	for text := range strings.SplitSeq(v.Then, ";") {
		var g Variant
		_ = g.take(text, false) // it is canonical
		groups = append(groups, g)
	}
	return groups
}

// Chain returns the variant of groups that run one after the other; those that change nothing are left out. It undoes
// [Variant.Groups].
func Chain(groups []Variant) Variant {
	v := groups[0]
	var text []byte
	for _, g := range groups[1:] {
		start := len(text)
		if start > 0 {
			text = append(text, ';')
		}
		before := len(text)
		if text = g.appendGroup(text); len(text) == before {
			text = text[:start]
		}
	}
	v.Then = string(text)
	return v
}

// Options returns the long names of the options of the first group that are not at their defaults.
func (v Variant) Options() []string {
	var names []string
	for i := range options {
		if len(options[i].append(nil, &v)) > 0 {
			names = append(names, options[i].name)
		}
	}
	return names
}

func (o *option) fault(what, allowed string) error {
	return &Fault{Kind: ErrInvalid, Part: o.name, Detail: o.name + " " + what, Allowed: allowed}
}

func emptyFault() error {
	return &Fault{Kind: ErrInvalid, Part: "options", Detail: "an option is empty", Allowed: "key=value pairs joined by commas, in groups joined by semicolons"}
}

func unknownFault(key string) error {
	detail := fmt.Sprintf("there is no option %q", clip(key))
	if near := nearest(key); near != "" {
		detail += ", the nearest is " + near
	}
	return &Fault{Kind: ErrInvalid, Part: clip(key), Detail: detail, Allowed: optionNames()}
}

// optionNames lists the grammar's names for a fault.
func optionNames() string {
	var b strings.Builder
	for _, o := range options {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.name)
		if o.short != o.name {
			b.WriteString(" (" + o.short + ")")
		}
	}
	return b.String()
}

// nearest returns the long name that key is at most two edits away from, and less than half its length; "" for none.
func nearest(key string) string {
	best, name := 3, ""
	if len(key) > 32 {
		return ""
	}
	for _, o := range options {
		if d := distance(strings.ToLower(key), o.name); d < best && 2*d < len(key) {
			best, name = d, o.name
		}
	}
	return name
}

// distance is the number of bytes to insert, delete or replace between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// clip bounds what is repeated of a request.
func clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "…"
	}
	return s
}
