package resolve

import (
	"bytes"
	"slices"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Client is what of a request's headers has a say in what is served.
type Client struct {
	// Accept is the Accept header, "" when there is none.
	Accept string
	// Hints are what the client says of its device. They count for products with [asset.Product.ClientHints] alone.
	Hints Hints
}

// Hints are client hints (RFC 8942) in steps, so that the renditions of a picture are few, whatever clients send. The zero
// Hints say nothing. What they decide is what the URL, its preset included, leaves open, and nothing that they ask for is
// refused:
//
//   - Width is the width of a URL with neither width, height, aspect nor dpr, and with one group of options. The picture keeps
//     its aspect and is never enlarged by it. DPR has no say then: the width is in physical px.
//   - DPR is the dpr of a URL without one (dpr=1 is as none), in all groups of options. It is lowered to what may be asked for.
//   - SaveData lowers the default of the quality: 60 in JPEG, WebP and JPEG XL, 40 in AVIF.
type Hints struct {
	// Width is how wide the picture will be shown, in physical px: a multiple of [WidthStep] up to [asset.MaxSide], 0 unknown.
	Width int
	// DPR is how many physical px a CSS px has: a multiple of [DPRStep] up to 4.
	DPR asset.Factor
	// SaveData says that data is dear to the client. DPR is at most 1 then, and Width as if it were.
	SaveData bool
}

// The steps of hints: widths are rounded up to the next, in px, and densities to the nearest.
const (
	WidthStep = 64
	DPRStep   = 0.25
)

// HintHeaders are the headers of client hints as they were sent; nil where there is none.
type HintHeaders struct {
	// SecDPR and SecWidth are Sec-CH-DPR and Sec-CH-Width (WICG, Responsive Image Client Hints §3); DPR and Width their names
	// before, which count when those are not there.
	SecDPR, SecWidth, DPR, Width []byte
	// SaveData is Save-Data (draft-grigorik-http-client-hints-03 §3.5, WICG Save-Data).
	SaveData []byte
}

// AcceptCH is what a product with client hints says in Accept-CH (RFC 8942 §3.1).
const AcceptCH = "Sec-CH-DPR, Sec-CH-Width, Save-Data"

// Hints reads the headers. What is malformed is as if it had not been sent.
func (h *HintHeaders) Hints() Hints {
	dpr, width := h.SecDPR, h.SecWidth
	if dpr == nil {
		dpr = h.DPR
	}
	if width == nil {
		width = h.Width
	}
	hints := Hints{DPR: densityOf(dpr), SaveData: saves(h.SaveData)}
	px := parseNumber(width)
	if hints.SaveData && hints.DPR > 0 {
		px, hints.DPR = int(float64(px)/hints.DPR.Float()), 0
	}
	hints.Width = widthOf(px)
	return hints
}

// widthOf rounds a width in thousandths of a px up to a step in px.
func widthOf(thousandths int) int {
	const step = WidthStep * 1000
	return min(asset.MaxSide, (thousandths+step-1)/step*WidthStep)
}

// densityOf reads a density and rounds it to a step.
func densityOf(header []byte) asset.Factor {
	const step = 1000 * DPRStep
	n := parseNumber(header)
	if n == 0 {
		return 0
	}
	return asset.Factor(max(step, (min(n, 4000)+step/2)/step*step) - 1000)
}

// parseNumber reads an sf-decimal or sf-integer (RFC 9651 §3.3.1, §3.3.2) above 0 in thousandths; 0 when it is none. There may
// be more decimals than three, because browsers send them at odd zooms, and parameters, which say nothing.
func parseNumber(header []byte) int {
	text, _, _ := bytes.Cut(header, []byte{';'})
	whole, decimals, dotted := bytes.Cut(bytes.TrimRight(text, " \t"), []byte{'.'})
	if len(whole) == 0 || len(whole) > 12 || dotted && len(decimals) == 0 || len(decimals) > 20 {
		return 0
	}
	n := 0
	for _, digit := range whole {
		if digit < '0' || digit > '9' {
			return 0
		}
		n = 10*n + int(digit-'0')
	}
	for i := range max(3, len(decimals)) {
		digit := byte('0')
		if i < len(decimals) {
			digit = decimals[i]
		}
		if digit < '0' || digit > '9' {
			return 0
		}
		if i < 3 {
			n = 10*n + int(digit-'0')
		}
	}
	return n
}

// saves reports whether one of the tokens is "on".
func saves(header []byte) bool {
	for len(header) > 0 {
		i := bytes.IndexAny(header, ";,")
		token := header
		if header = nil; i >= 0 {
			token, header = token[:i], token[i+1:]
		}
		if bytes.EqualFold(bytes.Trim(token, " \t"), []byte("on")) {
			return true
		}
	}
	return false
}

// A Heed says which hints can change what a URL means: each of those before it, too.
type Heed uint8

// What a URL leaves open: nothing; the quality; the density; the width.
const (
	HeedNone Heed = iota
	HeedSaveData
	HeedDPR
	HeedWidth
)

// heeded returns what v leaves open. It depends on nothing but the URL and its preset, so that Vary is the same on all its
// answers. (Save-Data has a say wherever a density has: see [Hints.SaveData].)
func heeded(v *asset.Variant) Heed {
	switch {
	case v.Then == "" && v.Width == 0 && v.Height == 0 && v.Aspect == asset.Ratio{} && v.DPR == 0:
		return HeedWidth
	case denses(v):
		return HeedDPR
	case v.Quality == 0 && (v.Format == asset.Auto || frugal(v.Format) > 0):
		return HeedSaveData
	default:
		return HeedNone
	}
}

// denses reports whether a dpr would change something, and there is none.
func denses(v *asset.Variant) bool {
	if v.Then == "" {
		return v.DPR == 0 && hasLengths(v)
	}
	lengths := false
	for _, group := range v.Groups() {
		if group.DPR != 0 {
			return false
		}
		lengths = lengths || hasLengths(&group)
	}
	return lengths
}

// hasLengths reports whether the group has something that its dpr multiplies.
func hasLengths(v *asset.Variant) bool {
	return v.Width > 0 || v.Height > 0 || v.Radius > 0 || v.Padding != asset.Box{}
}

// hint takes from the hints what v leaves open on a picture of that size.
func (r *Resolver) hint(v *asset.Variant, size asset.Size, open Heed, h *Hints) {
	switch {
	case open == HeedWidth && h.Width > 0:
		if h.Width < v.Layout(size).Source.Width {
			v.Width = h.Width
		}
	case open >= HeedDPR && h.DPR != 0:
		r.densen(v, size, h.DPR)
	}
}

// densen multiplies by the density, or by the next lower one that may be asked for.
func (r *Resolver) densen(v *asset.Variant, size asset.Size, dpr asset.Factor) {
	for ; dpr != 0; dpr -= 1000 * DPRStep {
		denser := *v
		setDPR(&denser, dpr)
		if dpr < 0 || r.allows(&denser, size) {
			*v = denser
			return
		}
	}
}

// setDPR sets the dpr of all groups.
func setDPR(v *asset.Variant, dpr asset.Factor) {
	if v.Then == "" {
		v.DPR = dpr
		return
	}
	groups := v.Groups()
	for i := range groups {
		groups[i].DPR = dpr
	}
	*v = asset.Chain(groups)
}

// allows reports whether v would be no error of size.
func (r *Resolver) allows(v *asset.Variant, size asset.Size) bool {
	if !checks(v) {
		return false
	}
	canvas, err := r.bound(v, size)
	return err == nil && (v.Format == asset.Auto || holds(v.Format, canvas))
}

// checks reports whether all groups are within the bounds of the grammar.
func checks(v *asset.Variant) bool {
	if v.Then == "" {
		return v.Check() == nil
	}
	return !slices.ContainsFunc(v.Groups(), func(group asset.Variant) bool { return group.Check() != nil })
}

// frugal is the default quality for who saves data: what is still good to look at on a phone. It is 0 for formats that have
// none.
func frugal(f asset.Format) int {
	switch f {
	case asset.JPEG, asset.WebP, asset.JXL:
		return 60
	case asset.AVIF:
		return 40
	default:
		return 0
	}
}
