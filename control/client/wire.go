package client

import (
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A ProductSpec is what defines a product. A PUT replaces all of it.
type ProductSpec struct {
	// Presets maps a preset's name to options in the grammar of the URL.
	Presets map[string]string `json:"presets,omitempty" doc:"a preset's name → options in the grammar of the URL, such as w=200,h=200,fit=cover"`
	// Lifetimes are what answers for unpinned URLs carry in Cache-Control; nil is the server's defaults.
	Lifetimes *Lifetimes `json:"lifetimes,omitempty" doc:"what answers for unpinned URLs carry in Cache-Control; left out: the server's defaults"`
	// Origins are the CORS origins that may read; none or "*" is any.
	Origins []string `json:"origins,omitempty" doc:"the CORS origins that may read, such as https://shop.example; none or * is any"`
	// ClientHints lets clients say what a URL leaves open: density, width, and that data is dear.
	ClientHints bool `json:"client_hints,omitempty" doc:"lets Sec-CH-DPR, Sec-CH-Width and Save-Data decide what a URL leaves open: density, width and quality; the page has to ask for them (Accept-CH)"`
}

// Lifetimes are cache lifetimes in seconds (RFC 9111 §5.2.2, RFC 5861). They have the fields of [asset.Lifetimes].
type Lifetimes struct {
	MaxAge               int `json:"max_age" minimum:"0" maximum:"31536000" doc:"seconds"`
	SharedMaxAge         int `json:"s_maxage,omitempty" minimum:"0" maximum:"31536000" doc:"seconds"`
	StaleWhileRevalidate int `json:"stale_while_revalidate,omitempty" minimum:"0" maximum:"31536000" doc:"seconds"`
	StaleIfError         int `json:"stale_if_error,omitempty" minimum:"0" maximum:"31536000" doc:"seconds"`
}

// A Product is a product as it stands.
type Product struct {
	Name string `json:"name"`
	ProductSpec
	Created time.Time `json:"created"`
	// State changes whenever the product does: what If-Match is compared with.
	State    string `json:"state" doc:"changes whenever the product does: what If-Match is compared with"`
	Revision uint64 `json:"revision" doc:"of the matrix in which the product stands so"`
	Edges    *Edges `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// Products are all products.
type Products struct {
	Products []Product `json:"products" nullable:"false"`
	Revision uint64    `json:"revision"`
}

// A Receipt says what became of an upload, and where to find it.
type Receipt struct {
	asset.Receipt
	// Path is where the front door delivers the original.
	Path  string `json:"path" doc:"where the front door delivers the original"`
	Edges *Edges `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// An Entry is what a product's name leads to.
type Entry struct {
	Product string       `json:"product"`
	Name    string       `json:"name"`
	ID      string       `json:"id" doc:"of the asset"`
	Owner   string       `json:"owner" doc:"the product that gives the asset versions"`
	Status  asset.Status `json:"status" enum:"PENDING,ACTIVE,ARCHIVED"`
	// Version is the one that unpinned URLs of this product get.
	Version int `json:"version" doc:"the one that unpinned URLs of this product get"`
	// Current is the asset's current version: what If-Match is compared with.
	Current int `json:"current" doc:"the asset's current version: what If-Match is compared with"`
	// State changes whenever the asset or the link does, its tags, status and focal point included: what If-Match may be
	// compared with in the place of Current.
	State string   `json:"state" doc:"changes whenever the asset or the link does, tags, status and focal point included: what If-Match may be compared with in the place of current"`
	Tags  []string `json:"tags,omitempty" nullable:"false"`
	// Focal is what crops keep when they are asked for gravity auto.
	Focal    *Point          `json:"focal,omitempty" doc:"what crops keep when they are asked for gravity auto"`
	Versions []asset.Version `json:"versions" nullable:"false"`
	// Links are all names of the asset, in all products that the caller may read.
	Links   []Link    `json:"links" nullable:"false" doc:"all names of the asset, in all products that the caller may read"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Archived is when the asset became ARCHIVED.
	Archived time.Time `json:"archived,omitzero" doc:"when the asset became ARCHIVED"`
	Path     string    `json:"path" doc:"where the front door delivers the original"`
	Revision uint64    `json:"revision"`
	Edges    *Edges    `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// A Page is a part of a product's assets.
type Page struct {
	Assets []Item `json:"assets" nullable:"false"`
	// Next is the cursor of the next page, "" when this is the last.
	Next     string `json:"next,omitempty" doc:"the cursor of the next page; left out on the last"`
	Revision uint64 `json:"revision"`
}

// An Item is an asset in a list, with the version that unpinned URLs of the product get.
type Item struct {
	Name      string       `json:"name"`
	ID        string       `json:"id"`
	Status    asset.Status `json:"status" enum:"PENDING,ACTIVE,ARCHIVED"`
	Version   int          `json:"version,omitempty"`
	Digest    asset.Digest `json:"digest" doc:"SHA-256, hexadecimal"`
	Size      int64        `json:"size" doc:"bytes"`
	MediaType string       `json:"type"`
	Width     int          `json:"width,omitempty" doc:"px"`
	Height    int          `json:"height,omitempty" doc:"px"`
	Updated   time.Time    `json:"updated"`
}

// A LinkSpec is what defines a link: the asset, by its id or by a name of it, and perhaps the version to stay at.
type LinkSpec struct {
	// Asset is the asset's id.
	Asset string `json:"asset,omitempty" minLength:"1" doc:"the asset's id"`
	// Product and Name name the asset in the place of Asset.
	Product string `json:"product,omitempty" minLength:"1" doc:"together with name, in the place of asset: the product whose name leads to the asset"`
	Name    string `json:"name,omitempty" minLength:"1" doc:"that product's name for the asset, not percent-encoded"`
	// Version pins the link; 0 follows the asset.
	Version int `json:"version,omitempty" minimum:"0" doc:"pins the link to this version; left out or 0: follows the asset"`
}

// A Link is a name of an asset in a product.
type Link struct {
	Product string `json:"product"`
	Name    string `json:"name"`
	Asset   string `json:"asset" doc:"the asset's id"`
	// Version is the one that the link is pinned to, 0 when it follows the asset.
	Version  int       `json:"version,omitempty" doc:"the one that the link is pinned to; left out: it follows the asset"`
	Created  time.Time `json:"created"`
	Revision uint64    `json:"revision,omitempty" doc:"of the matrix in which the link stands so"`
	Edges    *Edges    `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}
