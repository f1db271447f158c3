package bench

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// A population is a matrix of made-up assets such as shops have: products with as many assets each, of which every
// hundredth is also linked by the next product. Everything follows from a number, so that nothing has to be remembered.
type population struct {
	products, each int
}

// sharedEvery is how many assets there are to one with a second link.
const sharedEvery = 100

// born is when the first asset was made.
var born = time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC)

func (p population) assets() int { return p.products * p.each }

func (p population) product(i int) string { return fmt.Sprintf("shop-%02d", i) }

// records returns what [catalog.Import] takes: the products, then the assets with their links in the order of names.
func (p population) records() iter.Seq[catalog.Mutation] {
	return func(yield func(catalog.Mutation) bool) {
		for i := range p.products {
			if !yield(catalog.Mutation{PutProduct: newProduct(p.product(i), born)}) {
				return
			}
		}
		for i := range p.products {
			if !p.recordsOf(i, yield) {
				return
			}
		}
	}
}

// recordsOf yields the assets of product i with their links, and its links to assets of the product before.
func (p population) recordsOf(i int, yield func(catalog.Mutation) bool) bool {
	product := p.product(i)
	for k := range p.each {
		a := p.asset(i, k)
		link := &asset.Link{Product: product, Name: nameOf(k), Asset: a.ID, Created: a.Created}
		if !yield(catalog.Mutation{PutAsset: a}) || !yield(catalog.Mutation{PutLink: link}) {
			return false
		}
		if i > 0 && k%sharedEvery == 0 {
			shared := &asset.Link{Product: product, Name: sharedName(k), Asset: p.id(i-1, k), Created: a.Created}
			if !yield(catalog.Mutation{PutLink: shared}) {
				return false
			}
		}
	}
	return true
}

// asset makes asset k of product i: a picture in 97 of 100, with tags in 30, with two versions in 5.
func (p population) asset(i, k int) *asset.Asset {
	n := i*p.each + k
	at := born.Add(time.Duration(n) * time.Millisecond)
	a := newAsset(p.id(i, k), p.product(i), newVersion(kindOf(uint64(n)), 1, uint64(n), 1, at))
	if n%20 == 7 {
		a.Versions = append(a.Versions, newVersion(kindOf(uint64(n)), 2, uint64(n), 2, at.Add(time.Hour)))
		a.Current, a.Updated = 2, at.Add(time.Hour)
	}
	for t := range max(0, n%10-6) {
		a.Tags = append(a.Tags, tags[(n/10+t)%len(tags)])
	}
	return a
}

// id is that of asset k of product i.
func (p population) id(i, k int) string {
	n := i*p.each + k
	return idOf(born.Add(time.Duration(n)*time.Millisecond), 1, uint64(n))
}

// nameOf is the name of an owner's asset k, about 34 bytes; names are in the order of k, and sharedName is behind its
// own.
func nameOf(k int) string {
	return fmt.Sprintf("catalog/%09d-%s-%s.jpg", 10*k, words[k%len(words)], words[k/7%len(words)])
}

func sharedName(k int) string { return fmt.Sprintf("catalog/%09d-shared-picture.jpg", 10*k+5) }

// isPicture reports whether asset k of product i is a picture.
func (p population) isPicture(i, k int) bool { return kindOf(uint64(i*p.each + k)).picture }

var (
	words = []string{"oak", "table", "lamp", "linen", "winter", "chair", "marble", "copper", "shelf", "velvet", "front", "side", "detail"}
	tags  = []string{"hero", "sale", "season:winter", "season:summer", "brand:oakley", "press", "print", "reviewed", "rights:own"}
)

// A kind is a media type as corpora have them.
type kind struct {
	mediaType string
	picture   bool
	least     int // of 100
}

var kinds = []kind{{"image/jpeg", true, 20}, {"image/png", true, 8}, {"image/webp", true, 3}, {"application/pdf", false, 0}}

func kindOf(n uint64) kind {
	for _, k := range kinds {
		if int(n%100) >= k.least {
			return k
		}
	}
	return kinds[len(kinds)-1]
}

func newProduct(name string, at time.Time) *asset.Product {
	return &asset.Product{
		Name: name, Presets: map[string]string{"thumb": "w=240,h=240,fit=cover", "hero": "w=1600"},
		Lifetimes: asset.Lifetimes{MaxAge: 300, StaleWhileRevalidate: 3600}, Created: at,
	}
}

func newAsset(id, owner string, v asset.Version) *asset.Asset {
	return &asset.Asset{
		ID: id, Owner: owner, Status: asset.Active, Current: v.Number, Versions: []asset.Version{v}, Created: v.Created, Updated: v.Created,
	}
}

// newVersion makes a version; its original follows from seed and n.
func newVersion(k kind, seed, n uint64, number int, at time.Time) asset.Version {
	var source rand.PCG
	source.Seed(seed, n)
	var random [56]byte
	for i := 0; i < len(random); i += 8 {
		binary.LittleEndian.PutUint64(random[i:], source.Uint64())
	}
	v := asset.Version{
		Number: number, Digest: asset.Digest(random[:32]), Size: 40_000 + int64(random[40])*9_973, MediaType: k.mediaType,
		Providers: []string{"local"}, Created: at,
	}
	if k.picture {
		v.Picture = &asset.Picture{
			Width: 800 + int(random[41])*16, Height: 600 + int(random[42])*12, Pages: 1, Orientation: 1,
			Alpha: k.mediaType == "image/png", ThumbHash: base64.StdEncoding.EncodeToString(random[32:53]),
			Dominant: "#" + hex.EncodeToString(random[53:56]),
		}
	}
	return v
}

// idOf spells a UUID version 7 (RFC 9562 §5.7) of a time, whose random part follows from seed and n.
func idOf(at time.Time, seed, n uint64) string {
	var source rand.PCG
	source.Seed(seed, n)
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000|source.Uint64()&0xfff)
	binary.BigEndian.PutUint64(id[8:], 1<<63|source.Uint64()>>2)
	var text [36]byte
	b := text[:0]
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return string(b)
}
