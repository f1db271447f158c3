package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/transform"
)

// daySize is how large a day is.
type daySize struct {
	products, originals int
	pixels              int           // of an original, about
	rate                float64       // of visits, 1/s
	uploads, purges     time.Duration // between two
}

// A day is what goes on at a server with several products: visitors ask for what is popular in all sizes, while others
// upload new versions and purge.
type day struct {
	*field
	on       *subject
	size     daySize
	products []string
	versions [][]byte // contents to upload
	writes   int      // uploads and purges

	mu      sync.Mutex // guards the rest
	random  *rand.Rand
	popular [3]*rand.Zipf // products, names, variants
	cold    int
	renewed map[int]time.Time // when a name's second picture was acknowledged
	shows   []state           // of each name
	marks   map[uint64]shown  // what bodies show, by their sums
}

// A state is what was acknowledged of a name, and what was not since then, though it may have been done.
type state struct {
	acknowledged asset.Digest
	maybe        []asset.Digest
}

// visitAccept is what a browser sends that knows WebP.
var visitAccept = [2]string{"Accept", "image/webp,image/*,*/*;q=0.8"}

// newDay draws the pictures, makes the products, and shares what the first of them owns with all others.
func newDay(ctx context.Context, f *field, size daySize) (*day, error) {
	drawn, err := drawAll(ctx, 2*size.originals, size.pixels, func(done, total int) { f.progress("drawing pictures", done, total) })
	if err != nil {
		return nil, err
	}
	d := &day{
		field: f, on: f.subjects[0], size: size, versions: drawn[size.originals:], random: rand.New(rand.NewPCG(4, 4)),
		renewed: map[int]time.Time{}, marks: map[uint64]shown{},
	}
	d.popular = [3]*rand.Zipf{
		rand.NewZipf(d.random, 1.3, 2, uint64(size.products-1)), rand.NewZipf(d.random, 1.1, 4, uint64(size.originals-1)),
		rand.NewZipf(d.random, 1.5, 1, uint64(len(variants)-1)),
	}
	for p := range size.products {
		name := fmt.Sprintf("%s-%d", f.product, p)
		if err := f.defineAs(ctx, d.on, name); err != nil {
			return nil, err
		}
		d.products = append(d.products, name)
	}
	for i, content := range drawn[:size.originals] {
		f.progress("storing pictures", i, size.originals)
		if err := d.share(ctx, i, content); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// variants are what visitors ask for, the most popular first: the presets, and then widths.
var variants = func() (all []string) {
	all = []string{"card", "thumb", "tile", "large"}
	for width := 120; width <= 1600; width += 40 {
		all = append(all, fmt.Sprintf("w=%d", width))
	}
	return all
}()

// share stores a picture and links it to every product.
func (d *day) share(ctx context.Context, i int, content []byte) error {
	owner := d.products[0]
	if err := d.upload(ctx, i, content); err != nil {
		return err
	}
	for _, p := range d.products[1:] {
		if _, err := d.on.api.PutLink(ctx, p, assetName(i), client.LinkSpec{Product: owner, Name: assetName(i)}); err != nil {
			return err
		}
	}
	return nil
}

// upload stores a content under a name, and remembers what that means for it.
func (d *day) upload(ctx context.Context, i int, content []byte) error {
	digest := asset.Digest(sha256.Sum256(content))
	d.mu.Lock()
	d.shows = slices.Grow(d.shows, 1)[:max(len(d.shows), i+1)]
	d.shows[i].maybe = append(d.shows[i].maybe, digest)
	d.mu.Unlock()
	if _, err := put(ctx, d.on.api, d.products[0], assetName(i), content); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shows[i] = state{acknowledged: digest}
	return nil
}

// visit is what the next visitor asks for.
func (d *day) visit() *shot {
	d.mu.Lock()
	defer d.mu.Unlock()
	product, n, variant := d.products[d.popular[0].Uint64()], int(d.popular[1].Uint64()), variants[d.popular[2].Uint64()]
	s := d.shot(product, variant, assetName(n))
	wants := []int{n, n + d.size.originals}
	if at := d.renewed[n]; !at.IsZero() && time.Since(at) > staleFor {
		wants = wants[1:]
	}
	s.body = func(_ string, body []byte) error { return d.check(variant, body, wants) }
	return s
}

// staleFor is how long after an upload was acknowledged what was before it may still be shown to who demands no revision.
const staleFor = time.Second

// check holds a body to be a rendition of one of the pictures.
func (d *day) check(variant string, body []byte, wants []int) error {
	sum := xxhash.Sum64(body)
	d.mu.Lock()
	s, ok := d.marks[sum]
	d.mu.Unlock()
	if !ok { // others go on meanwhile
		head, err := transform.Header(bytes.NewReader(body), int64(len(body)))
		if err == nil && head.MediaType != "image/webp" {
			err = fmt.Errorf("it is %s, not image/webp", head.MediaType)
		}
		if err == nil {
			s, err = markOf(body)
		}
		if err != nil {
			return err
		}
		d.mu.Lock()
		d.marks[sum] = s
		d.mu.Unlock()
	}
	if !slices.Contains(wants, s.number) {
		return fmt.Errorf("it shows picture %d, not %v", s.number, wants)
	}
	original, _ := sizeOf(s.number, d.size.pixels)
	if want := widthOf(variant, original); s.width != want {
		return fmt.Errorf("it is %d px wide, not %d", s.width, want)
	}
	return nil
}

// checkSize holds a body to be as wide as a rendition of one of the pictures: that is cheap, where there are many that differ.
func (d *day) checkSize(variant string, body []byte, wants ...int) error {
	head, err := transform.Header(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	for _, n := range wants {
		original, _ := sizeOf(n, d.size.pixels)
		if head.MediaType == "image/webp" && head.Width == widthOf(variant, original) {
			return nil
		}
	}
	return fmt.Errorf("it is %s of %d px, not image/webp as wide as it has to be", head.MediaType, head.Width)
}

func (d *day) shot(product, variant, name string) *shot {
	return &shot{
		url: d.on.base + "/" + product + "/" + variant + "/" + name, header: visitAccept, status: http.StatusOK, length: anyLength,
	}
}

// rare is a rendition that nobody has asked for, of one of 28,000 for each original. Any few hundred of them are as much work as
// any others.
func (d *day) rare() *shot {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cold++
	width, turn := d.cold%400, d.cold/400
	name, quality := (width+turn)%d.size.originals, turn/d.size.originals%70
	variant := fmt.Sprintf("q=%d,w=%d", 20+quality, 100+width)
	s := d.shot(d.products[0], variant, assetName(name))
	s.body = func(_ string, body []byte) error { return d.checkSize(variant, body, name, name+d.size.originals) }
	return s
}

// live uploads and purges until ctx ends. What fails is given to failed.
func (d *day) live(ctx context.Context, failed func(error)) {
	uploads, purges := time.NewTicker(d.size.uploads), time.NewTicker(d.size.purges)
	defer uploads.Stop()
	defer purges.Stop()
	for ; ; d.writes++ {
		n := d.writes // goes on where the last part of the day has ended: each content is new
		var err error
		select {
		case <-ctx.Done():
			return
		case <-uploads.C:
			i := n * 7 % d.size.originals
			content := append(bytes.Clone(d.versions[i]), fmt.Sprintf("%08x", n)...) // the same picture, another file
			if err = d.upload(ctx, i, content); err == nil {
				d.renew(i)
			}
		case <-purges.C:
			_, err = d.on.api.Purge(ctx, d.purge(n))
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

// renew notes that a name shows its second picture from now on.
func (d *day) renew(name int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.renewed[name].IsZero() {
		d.renewed[name] = time.Now()
	}
}

// purge takes a product, an asset by a product's name, or a page by its URL, in turn.
func (d *day) purge(n int) client.PurgeSpec {
	product, name := d.products[n%len(d.products)], assetName(n%d.size.originals)
	switch n % 3 {
	case 0:
		return client.PurgeSpec{Product: product}
	case 1:
		return client.PurgeSpec{URL: "/" + product + "/card/" + name}
	}
	return client.PurgeSpec{URL: "/" + product + "/original/" + name}
}

// lost looks whether every name shows what was acknowledged last, with the bytes that were uploaded.
func (d *day) lost(ctx context.Context) (lost []error, err error) {
	for i, s := range d.shows {
		a, err := askPatiently(ctx, d.shot(d.products[0], "original", assetName(i)))
		switch shown := asset.Digest(sha256.Sum256(a.body)); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			lost = append(lost, err)
		case shown != s.acknowledged && !slices.Contains(s.maybe, shown):
			lost = append(lost, fmt.Errorf("%s shows %s, not %s", assetName(i), shown, s.acknowledged))
		}
	}
	return lost, nil
}

// askPatiently asks until the answer is what the shot says, for half a minute.
func askPatiently(ctx context.Context, s *shot) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	for {
		if a, err = askOnce(ctx, s); err == nil || sleepUntil(ctx, time.Now().Add(100*time.Millisecond)) != nil {
			return a, err
		}
	}
}
