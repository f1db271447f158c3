package resolve

import (
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A snapshot is a View of maps.
type snapshot struct {
	revision uint64
	products map[string]*asset.Product
	links    map[[2]string]*asset.Link
	assets   map[string]*asset.Asset
	broken   error
}

var _ View = (*snapshot)(nil)

func (s *snapshot) Revision() uint64 { return s.revision }

func (s *snapshot) Product(name string) (*asset.Product, bool) {
	p, ok := s.products[name]
	return p, ok
}

func (s *snapshot) Find(product, name string, number int) (asset.Entry, bool) {
	l, ok := s.links[[2]string{product, name}]
	if !ok {
		return asset.Entry{}, false
	}
	a, ok := s.assets[l.Asset]
	if !ok {
		return asset.Entry{}, false
	}
	return asset.NewEntry(l, a, number), true
}

func (s *snapshot) Err() error { return s.broken }

var created = time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)

// add links an active asset with one version per picture; nil is a PDF.
func (s *snapshot) add(name string, pictures ...*asset.Picture) *asset.Asset {
	a := &asset.Asset{ID: "id-" + name, Owner: "shop", Status: asset.Active, Current: len(pictures), Updated: created, Generation: 7}
	for i, p := range pictures {
		v := asset.Version{Number: i + 1, Size: 1234, MediaType: "image/jpeg", Picture: p, Created: created}
		if p == nil {
			v.MediaType = "application/pdf"
		}
		copy(v.Digest[:], name)
		v.Digest[31] = byte(i + 1)
		a.Versions = append(a.Versions, v)
	}
	s.assets[a.ID] = a
	s.links[[2]string{"shop", name}] = &asset.Link{Product: "shop", Name: name, Asset: a.ID}
	return a
}

func newSnapshot() *snapshot {
	s := &snapshot{
		revision: 42,
		products: map[string]*asset.Product{
			"shop": {Name: "shop", Presets: map[string]string{
				"thumb": "w=200,h=200,fit=cover,q=80,f=webp", "card": "w=600", "broken": "w=0", "deep": "w=100;blur=2", "wide": "w=4000",
			}},
			"bare": {Name: "bare"},
			"keen": {Name: "keen", ClientHints: true, Presets: map[string]string{"thumb": "w=200,h=200,fit=cover,f=webp", "whole": "q=70"}},
		},
		links:  map[[2]string]*asset.Link{},
		assets: map[string]*asset.Asset{},
	}
	photo := func() *asset.Picture { return &asset.Picture{Width: 4000, Height: 3000, Pages: 1, Orientation: 6} }
	s.add("photo.jpg", photo(), photo(), photo())
	s.add("banners/ünder über.jpg", photo())
	s.add("logo.png", &asset.Picture{Width: 400, Height: 300, Pages: 1, Orientation: 1, Alpha: true})
	s.add("chart.png", &asset.Picture{Width: 400, Height: 300, Pages: 1, Orientation: 1, Drawn: true})
	s.add("film.gif", &asset.Picture{Width: 400, Height: 300, Pages: 12, Orientation: 1, Animated: true})
	s.add("scan.tiff", &asset.Picture{Width: 400, Height: 300, Pages: 3, Orientation: 1})
	s.add("strip.png", &asset.Picture{Width: 20000, Height: 40, Pages: 1, Orientation: 1})
	s.add("huge.tiff", &asset.Picture{Width: 10000, Height: 9000, Pages: 1, Orientation: 1})
	s.add("paper.pdf", (*asset.Picture)(nil))
	gone := s.add("gone.jpg", photo())
	gone.Status, gone.ArchivedAt = asset.Archived, created
	s.add("soon.jpg", photo()).Status = asset.Pending
	s.add("pinned.jpg", photo(), photo(), photo())
	s.links[[2]string{"shop", "pinned.jpg"}].Pin = 2
	s.links[[2]string{"bare", "photo.jpg"}] = &asset.Link{Product: "bare", Name: "photo.jpg", Asset: "id-photo.jpg"}
	for name, a := range s.assets {
		name = strings.TrimPrefix(name, "id-")
		s.links[[2]string{"keen", name}] = &asset.Link{Product: "keen", Name: name, Asset: a.ID}
	}
	return s
}

func newResolver(tb testing.TB, s View) *Resolver {
	tb.Helper()
	cfg := DefaultConfig()
	cfg.Epoch = 3
	r, err := New(cfg, func() View { return s })
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
