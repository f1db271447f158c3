package asset

// A Variant is what to do to an original. It is comparable; every zero field means the option's default; the zero
// Variant is the original itself. [ParseVariant] and [Variant.String] are inverses.
type Variant struct {
	// Width and Height are in CSS px, 1–8192; they refer to the axes after EXIF orientation and Rotate.
	Width, Height int
	// DPR multiplies Width, Height, Padding and Radius, 0.1–4. [Variant.Canonical] folds it into them.
	DPR     Factor
	Fit     Fit
	Aspect  Ratio
	Gravity Gravity
	// Rect is cut from the original before anything else.
	Rect Rect
	// Trim is the tolerance 1–100 for a uniform border; 0 does not trim.
	Trim int
	// Quality is 1–100, or QualityAuto; 0 is the format's default.
	Quality int
	// MaxBytes asks for the best quality that fits; 0 is no limit.
	MaxBytes   int
	Format     Format
	Background Color
	Padding    Box
	// Radius of the corners in CSS px, or RadiusMax for a circle.
	Radius int
	// Rotate is 0, 90, 180 or 270 degrees clockwise, applied after EXIF orientation and before the resize.
	Rotate int
	Flip   Flip
	// Blur and Sharpen are a sigma in px of the result; BlurFaces blurs faces beyond recognition and nothing else. Pixelate is
	// a block's side in px of the result.
	Blur, Sharpen Decimal
	Pixelate      int
	// Brightness, Contrast, Saturation and Gamma are 0–4, 1 as is.
	Brightness, Contrast, Saturation, Gamma Factor
	Watermark                               Watermark
	Text                                    Text
	// Still drops animation (animated=0).
	Still bool
	// Page is the page of a document or the frame of an animation, from 1; 0 is the first.
	Page     int
	Metadata Metadata
	// Then is the canonical spelling of the option groups that run after this one, "" when there are none.
	// Output options (quality, max-bytes, format, metadata) stand in the first group alone.
	Then string
}

// QualityAuto aims at a perceptual target per format instead of a number; RadiusMax makes a circle or an ellipse; BlurFaces
// blurs faces alone.
const (
	QualityAuto = -1
	RadiusMax   = -1
	BlurFaces   = Decimal(-1)
)

// MaxSide is the largest width or height that may be asked for, DPR included, in px.
const MaxSide = 8192

// A Decimal is a number in thousandths, so that variants compare and spell exactly.
type Decimal int32

// Float returns the number.
func (d Decimal) Float() float64 { return float64(d) / 1000 }

// A Factor is a multiplier held as thousandths away from 1, so that its zero value changes nothing.
type Factor int32

// Float returns the multiplier.
func (f Factor) Float() float64 { return 1 + float64(f)/1000 }

// A Fit says how a picture is brought to Width × Height. The meanings are those of Cloudflare Images.
type Fit uint8

// The six fits. See [Variant.Layout] for their geometry.
const (
	ScaleDown Fit = iota // inside the box, never enlarged (default)
	Contain              // inside the box
	Cover                // fills the box; what stands over is cut
	Crop                 // like Cover, never enlarged
	Pad                  // inside the box, the rest is background
	Squeeze              // exactly the box, distorted
)

// A Ratio is an aspect ratio W:H; zero when unset.
type Ratio struct{ W, H int }

// Gravity says what a crop keeps.
type Gravity struct {
	Anchor Anchor
	// X and Y are the kept point in thousandths of the picture, 0–1000, when Anchor is AnchorPoint.
	X, Y int
}

// An Anchor is the named part of a Gravity.
type Anchor uint8

// Compass points, content-aware anchors, and the free point. The zero Anchor is the centre.
const (
	AnchorCenter Anchor = iota
	AnchorNorth
	AnchorNorthEast
	AnchorEast
	AnchorSouthEast
	AnchorSouth
	AnchorSouthWest
	AnchorWest
	AnchorNorthWest
	AnchorAuto      // the asset's focal point, else attention
	AnchorAttention // libvips smartcrop VIPS_INTERESTING_ATTENTION
	AnchorEntropy   // libvips smartcrop VIPS_INTERESTING_ENTROPY
	AnchorFace
	AnchorPoint // Gravity.X, Gravity.Y
)

// A Length is a number of px, or with Percent a share of the original's side in percent.
type Length struct {
	Value   Decimal
	Percent bool
}

// A Rect is a rectangle of the original; zero when unset.
type Rect struct{ X, Y, W, H Length }

// A Color is sRGB with alpha; unset when Set is false.
type Color struct {
	R, G, B, A uint8
	Set        bool
}

// A Box is padding in CSS px.
type Box struct{ Top, Right, Bottom, Left int }

// Flip is a set of axes.
type Flip uint8

// FlipH mirrors left and right, FlipV top and bottom; "hv" is both.
const (
	FlipH Flip = 1 << iota
	FlipV
)

// A Watermark is an overlaid asset of the same product.
type Watermark struct {
	// Name is the asset's name in the product; "" for no watermark.
	Name    string
	Gravity Gravity
	// Scale is the overlay's width as a share of the picture's, in thousandths; 0 is the overlay's own size.
	Scale Decimal
	// Opacity is 0–1; the zero Factor is opaque.
	Opacity Factor
	// X and Y move the overlay away from the edges it lies at, in px of the result; between the copies of a tiled one they are
	// the distance.
	X, Y int
	// Tiled repeats the overlay over the whole picture.
	Tiled bool
}

// A Text is an overlaid text. It is broken into lines where Unicode allows it (UAX #14: at spaces, after hyphens, between
// ideographs), so that none is wider than the picture, and a word that is wider still, anywhere. There is a margin of half the
// size between it and the edges of the picture, or less where it does not fit. Lines that do not fit are left out. U+2028 begins a new line.
type Text struct {
	// Text is what to draw; "" for none.
	Text string
	// Size is the height of the font (its em) in px of the rendition, which dpr does not change; 0 is [TextSize].
	Size int
	// Color is black unless set, as with imgix, Cloudinary and ImageKit.
	Color Color
	// Font is sans, serif or mono, each also with -bold, -italic or -bold-italic, or the name of one of the server's own fonts, in
	// whatever case; "" is sans. What the font lacks is taken from the server's own, by name, and from sans.
	Font string
	// Gravity is where in the picture the text lies. Its lines are aligned to the left with west, northwest and southwest, to the
	// right with east, northeast and southeast, and centred with all others.
	Gravity Gravity
}

// TextSize is the size of a text in px that has none of its own.
const TextSize = 32

// Metadata says what of the original's metadata is kept.
type Metadata uint8

// None is the default; colour profiles are handled apart.
const (
	MetadataNone Metadata = iota
	MetadataCopyright
	MetadataKeep
)
