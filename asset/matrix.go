package asset

import "time"

// The records of the matrix. They are values: whoever holds one from a snapshot must not change it. Their JSON form is
// the form in the transaction log and additive: a field is never renamed or given a new meaning.

// A Product is a tenant.
type Product struct {
	Name string `json:"name" yaml:"name"`
	// Presets maps a preset's name to options in the grammar of the URL ("w=200,h=200,fit=cover").
	Presets map[string]string `json:"presets,omitempty" yaml:"presets"`
	// Lifetimes are what answers for unpinned URLs carry in Cache-Control.
	Lifetimes Lifetimes `json:"lifetimes,omitzero" yaml:"lifetimes"`
	// Origins are the CORS origins allowed to read; empty or "*" means any.
	Origins []string `json:"origins,omitempty" yaml:"origins"`
	// ClientHints lets what a client says of its device (Sec-CH-DPR, Sec-CH-Width, Save-Data) decide what a URL leaves open. See
	// package resolve.
	ClientHints bool `json:"client_hints,omitempty" yaml:"client_hints"`
	// Generation is the revision of the product's last purge, 0 when there was none. What is put does not change it.
	Generation uint64    `json:"generation,omitempty" yaml:"-"`
	Created    time.Time `json:"created,omitzero" yaml:"-"`
	// Updated is when the product was last given another shape; zero when it never was.
	Updated time.Time `json:"updated,omitzero" yaml:"-"`
}

// Lifetimes are cache lifetimes in seconds (RFC 9111 §5.2.2, RFC 5861).
type Lifetimes struct {
	MaxAge               int `json:"max_age" yaml:"max_age"`
	SharedMaxAge         int `json:"s_maxage,omitempty" yaml:"s_maxage"`
	StaleWhileRevalidate int `json:"stale_while_revalidate,omitempty" yaml:"stale_while_revalidate"`
	StaleIfError         int `json:"stale_if_error,omitempty" yaml:"stale_if_error"`
}

// Status is where an asset is in its life. Only Active is delivered.
type Status string

// PENDING → ACTIVE → ARCHIVED.
const (
	Pending  Status = "PENDING"
	Active   Status = "ACTIVE"
	Archived Status = "ARCHIVED"
)

// An Asset is a thing with versions.
type Asset struct {
	// ID is a UUID version 7.
	ID     string `json:"id"`
	Owner  string `json:"owner"` // product name
	Status Status `json:"status"`
	// Current is the number of the version that unpinned URLs get.
	Current  int       `json:"current"`
	Versions []Version `json:"versions"` // ascending by Number
	Tags     []string  `json:"tags,omitempty"`
	// Focal is what crops keep when they are asked for gravity "auto"; nil when nobody has said.
	Focal *Point `json:"focal,omitempty"`
	// Generation is the revision of the asset's last purge, 0 when there was none. It is part of every rendition's key.
	Generation uint64    `json:"generation,omitempty"`
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
	// ArchivedAt is when the asset became ARCHIVED.
	ArchivedAt time.Time `json:"archived_at,omitzero"`
}

// A Point is a place in a picture: fractions of its width and height from the upper left corner, 0–1.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Version returns version number n, or the current one when n is 0; nil when there is none.
func (a *Asset) Version(n int) *Version {
	if n == 0 {
		n = a.Current
	}
	for i := range a.Versions {
		if a.Versions[i].Number == n {
			return &a.Versions[i]
		}
	}
	return nil
}

// A Version is an immutable original and what is known about it without reading it.
type Version struct {
	Number    int    `json:"version"`
	Digest    Digest `json:"digest"`
	Size      int64  `json:"size"`
	MediaType string `json:"type"`
	// Picture is nil for files that are no pictures.
	Picture *Picture `json:"picture,omitempty"`
	// Providers names where the original is stored.
	Providers []string  `json:"providers,omitempty"`
	Created   time.Time `json:"created"`
}

// A Picture is what the probe at ingest found in an original.
type Picture struct {
	// Width and Height are in px as a viewer sees the picture: after EXIF orientation, of one page.
	Width  int `json:"width"`
	Height int `json:"height"`
	// Pages counts pages of a document or frames of an animation, at least 1.
	Pages int `json:"pages"`
	// Orientation is the EXIF orientation 1–8 (1 when absent).
	Orientation int  `json:"orientation"`
	Animated    bool `json:"animated,omitempty"`
	// Alpha is true only when some pixel is not opaque.
	Alpha bool `json:"alpha,omitempty"`
	// Drawn is true when the picture has few colours: a drawing, a screenshot, a logo. It negotiates to PNG, not JPEG.
	Drawn bool `json:"drawn,omitempty"`
	// ThumbHash is the base64 placeholder (github.com/evanw/thumbhash).
	ThumbHash string `json:"thumbhash,omitempty"`
	// Dominant is the dominant colour as "#rrggbb".
	Dominant string `json:"dominant,omitempty"`
}

// Size returns the picture's size in px.
func (p *Picture) Size() Size { return Size{p.Width, p.Height} }

// A Link is an edge of the matrix: (product, name) → asset.
type Link struct {
	Product string `json:"product"`
	Name    string `json:"name"`
	Asset   string `json:"asset"` // asset id
	// Pin fixes the version this product sees; 0 follows the asset.
	Pin int `json:"pin,omitempty"`
	// Generation is the revision of the link's last purge, 0 when there was none.
	Generation uint64    `json:"generation,omitempty"`
	Created    time.Time `json:"created"`
	// Updated is when the link was last given another pin; zero when it never was.
	Updated time.Time `json:"updated,omitzero"`
}
