package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A maker makes records of all shapes, absent and empty parts included.
type maker struct{ *rand.Rand }

func newMaker(seed uint64) *maker { return &maker{rand.New(rand.NewPCG(seed, 1))} }

func (r *maker) half() bool { return r.IntN(2) == 0 }

func (r *maker) text() string {
	b := make([]byte, 1+r.IntN(40))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func (r *maker) texts() []string {
	if r.half() {
		return nil
	}
	list := make([]string, r.IntN(4))
	for i := range list {
		list[i] = r.text()
	}
	return list
}

func (r *maker) number() int { return int(r.Int64N(1<<uint(1+r.IntN(40)))) - 3 }

func (r *maker) time() time.Time {
	if r.half() {
		return time.Time{}
	}
	return time.Unix(r.Int64N(1<<36)-1<<35, r.Int64N(1e9)).UTC()
}

func (r *maker) digest() (d asset.Digest) {
	for i := range d {
		d[i] = byte(r.Uint32())
	}
	return d
}

func (r *maker) status() asset.Status {
	return append(statuses[:], "FORGOTTEN")[r.IntN(len(statuses)+1)]
}

func (r *maker) point() *asset.Point {
	if r.half() {
		return nil
	}
	return &asset.Point{X: r.Float64(), Y: -r.Float64()}
}

func (r *maker) version() asset.Version {
	v := asset.Version{Number: r.number(), Digest: r.digest(), Size: int64(r.number()), MediaType: r.text(), Providers: r.texts(), Created: r.time()}
	if r.half() {
		v.Picture = &asset.Picture{
			Width: r.number(), Height: r.number(), Pages: r.number(), Orientation: r.number(),
			Animated: r.half(), Alpha: r.half(), Drawn: r.half(), ThumbHash: r.text(), Dominant: r.text(),
		}
	}
	return v
}

func (r *maker) product() *asset.Product {
	p := &asset.Product{Name: r.text(), Origins: r.texts(), Generation: r.Uint64(), Created: r.time(), Updated: r.time(), ClientHints: r.half()}
	p.Lifetimes = asset.Lifetimes{MaxAge: r.number(), SharedMaxAge: r.number(), StaleWhileRevalidate: r.number(), StaleIfError: r.number()}
	if r.half() {
		p.Presets = map[string]string{}
		for range r.IntN(4) {
			p.Presets[r.text()] = r.text()
		}
	}
	return p
}

func (r *maker) asset() *asset.Asset {
	a := &asset.Asset{
		ID: r.text(), Owner: r.text(), Status: r.status(), Current: r.number(), Tags: r.texts(), Focal: r.point(),
		Generation: r.Uint64(), Created: r.time(), Updated: r.time(), ArchivedAt: r.time(),
	}
	if r.half() {
		a.Versions = make([]asset.Version, r.IntN(4))
		for i := range a.Versions {
			a.Versions[i] = r.version()
		}
	}
	return a
}

// mutation returns one of any kind.
func (r *maker) mutation() Mutation {
	digest := r.digest()
	c := &AssetChange{Asset: r.text(), Status: r.status(), Current: r.number(), Focal: r.point(), NoFocal: r.half(), At: r.time()}
	if r.half() {
		tags := r.texts()
		c.Tags = &tags
	}
	return []Mutation{
		{PutProduct: r.product()},
		{DeleteProduct: r.text()},
		{PutAsset: r.asset()},
		{AddVersion: &AddedVersion{Asset: r.text(), Version: r.version()}},
		{DeleteAsset: r.text()},
		{PutLink: &asset.Link{Product: r.text(), Name: r.text(), Asset: r.text(), Pin: r.number(), Generation: r.Uint64(), Created: r.time(), Updated: r.time()}},
		{DeleteLink: &LinkRef{Product: r.text(), Name: r.text()}},
		{ChangeAsset: c},
		{Purge: &Purge{Product: r.text(), Name: r.text(), Tag: r.text(), Asset: r.text()}},
		{CondemnOriginal: &digest},
		{ForgetOriginal: &digest},
	}[r.IntN(11)]
}

func TestCodec(t *testing.T) {
	r := newMaker(1)
	for range 20_000 {
		m := r.mutation()
		encoded := appendMutation(nil, &m)
		d := decoder{rest: string(encoded)}
		if got := d.mutation(); d.end() != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("got %+v, %v; want %+v", got, d.err, m)
		}
		cut := decoder{rest: string(encoded[:r.IntN(len(encoded))])}
		if cut.mutation(); !errors.Is(cut.end(), asset.ErrCorrupt) {
			t.Fatalf("cut off at %d of %d: %v", len(cut.rest), len(encoded), cut.err)
		}
		more := decoder{rest: string(append(encoded, 0))}
		if more.mutation(); !errors.Is(more.end(), asset.ErrCorrupt) {
			t.Fatal("a byte is left, and that is no fault")
		}
	}
}

// Every field of every record goes through the codec: one that is added and forgotten there would be lost by a restart.
func TestCodecHasEveryField(t *testing.T) {
	for record, fields := range map[reflect.Type]int{
		reflect.TypeFor[Mutation](): 11, reflect.TypeFor[AssetChange](): 7, reflect.TypeFor[AddedVersion](): 2, reflect.TypeFor[LinkRef](): 2,
		reflect.TypeFor[Purge](): 4, reflect.TypeFor[asset.Product](): 8, reflect.TypeFor[asset.Lifetimes](): 4, reflect.TypeFor[asset.Asset](): 11,
		reflect.TypeFor[asset.Version](): 7, reflect.TypeFor[asset.Picture](): 9, reflect.TypeFor[asset.Link](): 7, reflect.TypeFor[asset.Point](): 2,
	} {
		has := 0
		for f := range record.Fields() {
			if f.IsExported() { // what is not, is nothing that a log or a journal says
				has++
			}
		}
		if has != fields {
			t.Errorf("%v has %d fields, the codec knows %d: append the others to its layout and raise that", record, has, fields)
		}
	}
}

// What is said of a product as it always was is read by older programs.
func TestLayoutOfProducts(t *testing.T) {
	for hints, want := range map[bool]byte{false: 1, true: 2} {
		if got := appendProduct(nil, &asset.Product{Name: "shop", ClientHints: hints})[0]; got != want {
			t.Errorf("client hints %v: layout %d, want %d", hints, got, want)
		}
	}
}

// Whoever comes back to an older program is told so.
func TestCodecOfNewerPrograms(t *testing.T) {
	link := appendMutation(nil, &Mutation{PutLink: &asset.Link{Product: "p", Name: "n", Asset: "a"}})
	link[1] = layoutLink + 1
	for name, encoded := range map[string][]byte{"kind": {kindForgetOriginal + 1, 0}, "layout": link} {
		d := decoder{rest: string(encoded)}
		if d.mutation(); !errors.Is(d.end(), errNewer) {
			t.Errorf("%s: %v", name, d.err)
		}
	}
	zero := append([]byte{}, link...)
	zero[1] = 0
	for name, encoded := range map[string][]byte{
		"layout": zero, "no name": {kindDeleteProduct, 0}, "status": {kindChangeAsset, layoutChange, 1, 'a', 9},
		"endless number": {kindDeleteProduct, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
		"endless list":   {kindChangeAsset, layoutChange, 1, 'a', 0, 0, 1, 255, 255, 255, 255, 15, 0},
	} {
		d := decoder{rest: string(encoded)}
		if d.mutation(); !errors.Is(d.end(), asset.ErrCorrupt) {
			t.Errorf("%s: %v", name, d.err)
		}
	}
}

// upload returns the mutations of the ith upload: an asset with its link, or for every fourth a version more of another.
func upload(i int) []Mutation {
	at := time.Unix(1_700_000_000+int64(i), 123456789).UTC()
	version := asset.Version{
		Number: 1, Digest: newMaker(uint64(i)).digest(), Size: int64(200_000 + i), MediaType: "image/jpeg", Providers: []string{"local"}, Created: at,
		Picture: &asset.Picture{Width: 4000, Height: 3000, Pages: 1, Orientation: 1, ThumbHash: "3OcRJYB4d3h/iIeHeEh3eIhw+j2w", Dominant: "#7f6a55"},
	}
	id := func(i int) string { return fmt.Sprintf("0190c5a8-%04x-7000-8000-%012x", i>>8&0xffff, i) }
	if i%4 == 3 {
		version.Number = 2
		return []Mutation{{AddVersion: &AddedVersion{Asset: id(i - 1), Version: version}}}
	}
	return []Mutation{
		{PutAsset: &asset.Asset{ID: id(i), Owner: "shop", Status: asset.Active, Current: 1, Versions: []asset.Version{version}, Created: at, Updated: at}},
		{PutLink: &asset.Link{Product: "shop", Name: fmt.Sprintf("banners/2026/summer-%06d.jpg", i), Asset: id(i), Created: at}},
	}
}

func BenchmarkCodec(b *testing.B) {
	var encoded []byte
	for _, m := range upload(0) {
		encoded = appendMutation(encoded, &m)
	}
	text := string(encoded)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		d := decoder{rest: text}
		d.mutation()
		d.mutation()
		if d.end() != nil {
			b.Fatal(d.err)
		}
	}
}
