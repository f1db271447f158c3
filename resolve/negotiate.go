package resolve

import (
	"slices"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
)

// negotiate chooses the format of f=auto by Accept (RFC 9110 §12.5.1) among AVIF and WebP, which the client must have
// named, and the baseline, which every client shows; the client's order counts first, then this one. An animation is WebP or
// GIF.
func (r *Resolver) negotiate(accept string, v *asset.Variant, pic *asset.Picture, canvas asset.Size) asset.Format {
	moves := pic.Animated && !v.Still && v.Page == 0
	avif := !moves && canvas.Pixels() <= r.cfg.AVIFMaxPixels && holds(asset.AVIF, canvas) && !r.lacks(asset.AVIF)
	webp := holds(asset.WebP, canvas) && !r.lacks(asset.WebP)
	if moves {
		return choose(*acceptanceOf(accept), asset.GIF, avif, webp)
	}
	return choose(*acceptanceOf(accept), baseline(v, pic, canvas), avif, webp)
}

func (r *Resolver) lacks(f asset.Format) bool { return r.cfg.Lacks != nil && r.cfg.Lacks(f) }

// baseline is PNG for what JPEG would spoil: transparency, and drawings.
func baseline(v *asset.Variant, pic *asset.Picture, canvas asset.Size) asset.Format {
	if pic.Alpha || pic.Drawn || clears(v) || !holds(asset.JPEG, canvas) {
		return asset.PNG
	}
	return asset.JPEG
}

// clears reports whether the options can make something transparent.
func clears(v *asset.Variant) bool {
	if v.Then == "" {
		return v.Clears()
	}
	return slices.ContainsFunc(v.Groups(), func(group asset.Variant) bool { return group.Clears() })
}

// choose returns the acceptable format with the highest q. avif and webp say whether those can be made.
func choose(a acceptance, base asset.Format, avif, webp bool) asset.Format {
	best, q := base, int16(0)
	if avif && a.names(asset.AVIF) && a.q(asset.AVIF) > q {
		best, q = asset.AVIF, a.q(asset.AVIF)
	}
	if webp && a.names(asset.WebP) && a.q(asset.WebP) > q {
		best, q = asset.WebP, a.q(asset.WebP)
	}
	if a.q(base) > q {
		best, q = base, a.q(base)
	}
	if q > 0 {
		return best
	}
	return substitute(a, base, webp)
}

// substitute is for a client that does not take the baseline: the other one, then WebP, then the other one if the
// baseline alone was excluded by name, then the baseline all the same rather than an error.
func substitute(a acceptance, base asset.Format, webp bool) asset.Format {
	other := asset.JPEG
	if base == asset.JPEG {
		other = asset.PNG
	}
	if base == asset.GIF {
		other = asset.GIF
	}
	switch {
	case a.q(other) > 0:
		return other
	case webp && a.q(asset.WebP) > 0:
		return asset.WebP
	case a.names(base) && !a.names(other):
		return other
	default:
		return base
	}
}

// maxAcceptBytes is as much of an Accept header as is read. Browsers send under 200.
const maxAcceptBytes = 4096

// An acceptance is what an Accept header says about the formats that are negotiated, as q in thousandths; unsaid where
// it says nothing. A more specific range beats a wider one.
type acceptance struct {
	plain  [asset.GIF + 1]int16 // image/webp
	params [asset.GIF + 1]int16 // image/webp;level=1, which a client that names it can show
	images int16                // image/*
	all    int16                // */*
}

const unsaid int16 = -1

// names reports whether the header names the format itself.
func (a *acceptance) names(f asset.Format) bool { return a.plain[f] != unsaid || a.params[f] != unsaid }

// q returns the format's weight, 0 when it is not acceptable.
func (a *acceptance) q(f asset.Format) int16 {
	for _, q := range [...]int16{a.plain[f], a.params[f], a.images, a.all} {
		if q != unsaid {
			return q
		}
	}
	return 0
}

// headers are Accept headers that were read lately.
var headers memo[acceptance]

// acceptanceOf returns what the header says, from memory when it can.
func acceptanceOf(header string) *acceptance {
	a, _ := headers.get(header, func(header string) (*acceptance, error) {
		a := parseAccept(header)
		return &a, nil
	})
	return a
}

// parseAccept reads the header. Members that are malformed are as if they were not there; no header takes all.
func parseAccept(header string) acceptance {
	a := acceptance{images: unsaid, all: unsaid}
	for f := range a.plain {
		a.plain[f], a.params[f] = unsaid, unsaid
	}
	header = trim(header[:min(len(header), maxAcceptBytes)])
	if header == "" {
		a.all = 1000
	}
	for header != "" {
		var member string
		member, header = cut(header, ",")
		a.take(member)
	}
	return a
}

// take reads one member. The first of two for the same range counts.
func (a *acceptance) take(member string) {
	mediaRange, params := cut(member, ";")
	plain, withParams := a.slots(trim(mediaRange))
	if plain == nil {
		return
	}
	q, bare, ok := weight(params)
	slot := withParams
	if bare {
		slot = plain
	}
	if ok && *slot == unsaid {
		*slot = q
	}
}

// slots returns where the weight of a media range belongs, without and with parameters; nil when it is none of ours.
func (a *acceptance) slots(mediaRange string) (plain, withParams *int16) {
	const kind = "image/"
	if mediaRange == "*/*" {
		return &a.all, &a.all
	}
	if len(mediaRange) < len(kind) || !strings.EqualFold(mediaRange[:len(kind)], kind) {
		return nil, nil
	}
	subtype := mediaRange[len(kind):]
	if subtype == "*" {
		return &a.images, &a.images
	}
	for _, f := range [...]asset.Format{asset.AVIF, asset.WebP, asset.PNG, asset.JPEG, asset.GIF} {
		if strings.EqualFold(subtype, f.String()) {
			return &a.plain[f], &a.params[f]
		}
	}
	return nil, nil
}

// weight finds q among a range's parameters. bare says that there is no other parameter before it.
func weight(params string) (q int16, bare, ok bool) {
	bare = true
	for params != "" {
		var p string
		p, params = cut(params, ";")
		name, value, _ := strings.Cut(trim(p), "=")
		switch {
		case strings.EqualFold(trim(name), "q"):
			q, ok = parseWeight(trim(value))
			return q, bare, ok
		case name != "":
			bare = false
		}
	}
	return 1000, bare, true
}

// parseWeight reads a qvalue (RFC 9110 §12.4.2) in thousandths.
func parseWeight(s string) (int16, bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	q := int16(whole[0] - '0')
	for i := range 3 {
		digit := byte(0)
		if i < len(decimals) {
			digit = decimals[i] - '0'
		}
		if digit > 9 {
			return 0, false
		}
		q = q*10 + int16(digit)
	}
	return q, q <= 1000
}

// cut splits s at the first sep that is not in a quoted string.
func cut(s, sep string) (before, after string) {
	if before, after, _ = strings.Cut(s, sep); strings.IndexByte(before, '"') < 0 {
		return before, after
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep[0] && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// trim removes optional whitespace (RFC 9110 §5.6.3).
func trim(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
