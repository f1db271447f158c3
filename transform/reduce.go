package transform

import (
	"context"
	"sync"
	"time"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The graph. Most of what a rendition of a large picture takes is the decoding, and its decoder shrinks most pictures on the way:
// what comes out of it is a picture of its own, from which every rendition of about that size can be made. So it is kept, in the
// disk cache like a rendition, and the original is decoded once for all sizes, formats and products that come after.
//
// A reduction is the original, shrunk by 2, 4 or 8, otherwise as it is: not turned, in its own colours. It is the one that the
// decoder would have shrunk to anyway, so that a rendition of a JPEG is the same byte for byte, whichever way it is made.

// minReduced is the smallest original, in px, that is worth it: smaller ones are decoded as fast as a reduction is read.
const minReduced = 1_000_000

// reduction returns by how much the original is shrunk on the way to v, 2, 4 or 8; 1 when v is made of the original itself.
func reduction(h Head, v asset.Variant) int {
	first := v
	first.Then = ""
	still := h.Frames == 1 && !h.Animated && v.Page == 0
	if !still || h.scalable() || first.Trim > 0 || v.Metadata != asset.MetadataNone || v.Format == asset.Reduced || int64(h.Width)*int64(h.Height) < minReduced {
		return 1
	}
	shrink := 8
	for _, size := range [...]asset.Size{{Width: h.Width, Height: h.Height}, {Width: h.Height, Height: h.Width}} { // EXIF may turn it
		cut := first.Cut(size)
		if cut.Size().Pixels() == 0 {
			continue
		}
		l := first.LayoutOf(cut.Size())
		most := min(float64(l.Source.Width)/float64(l.Resize.Width), float64(l.Source.Height)/float64(l.Resize.Height))
		shrink = min(shrink, jpegShrink(most))
	}
	return shrink
}

// scalable reports whether the picture has no pixels of its own.
func (h Head) scalable() bool { return h.MediaType == pdfType }

// reducedKey names a reduction.
func reducedKey(original asset.Digest, h Head, shrink int) asset.Key {
	return asset.Key{Original: original, Variant: asset.Variant{Format: asset.Reduced, Width: (h.Width + shrink - 1) / shrink}}
}

// The demands are the reductions that renditions wait for or have had lately, so that the finest is decoded and the others are
// made of it.
type demands struct {
	mu sync.Mutex // guards the rest
	of map[asset.Digest]*demand
}

type demand struct {
	waiting [4]int // renditions that wait for a reduction by 1 << i
	kept    int    // the least shrink of those that were made, 0 for none
	used    time.Time
}

// maxDemands is how many originals are remembered, about 100 bytes each.
const maxDemands = 10_000

// want counts a rendition in that waits for a reduction, until done is called; made says that there is one.
func (d *demands) want(original asset.Digest, shrink int) (done func(made bool)) {
	i := log2(shrink)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[asset.Digest]*demand{}
	}
	w := d.of[original]
	if w == nil {
		d.forget()
		w = new(demand)
		d.of[original] = w
	}
	w.waiting[i]++
	w.used = time.Now()
	return func(made bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		w.waiting[i]--
		if made && (w.kept == 0 || shrink < w.kept) {
			w.kept = shrink
		}
	}
}

// forget makes room: it drops the one that was used longest ago of some that nobody waits for.
func (d *demands) forget() {
	if len(d.of) < maxDemands {
		return
	}
	var oldest asset.Digest
	var at time.Time
	looked := 0
	for k, w := range d.of {
		if w.waiting != [4]int{} {
			continue
		}
		if at.IsZero() || w.used.Before(at) {
			oldest, at = k, w.used
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(d.of, oldest)
}

// finest returns the least shrink below this one that is waited for or kept; 0 when there is none.
func (d *demands) finest(original asset.Digest, below int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.of[original]
	if w == nil {
		return 0
	}
	for i := 1; 1<<i < below; i++ {
		if w.waiting[i] > 0 {
			return 1 << i
		}
	}
	if w.kept < below {
		return w.kept
	}
	return 0
}

// lost notes that a reduction that was kept is not any more.
func (d *demands) lost(original asset.Digest, shrink int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.of[original]; w != nil && w.kept == shrink {
		w.kept = 0
	}
}

func log2(n int) (i int) {
	for ; n > 1; n >>= 1 {
		i++
	}
	return i
}

// gather is how long a decoding waits for siblings that want a finer one: the requests of one page arrive together.
const gather = 3 * time.Millisecond

// reduced returns the reduction of an original that v is made of, nil when it is made of the original itself.
func (p *Pool) reduced(ctx context.Context, k asset.Key, h Head) (*asset.Object, error) {
	shrink := reduction(h, k.Variant)
	if shrink == 1 {
		return nil, nil
	}
	done := p.demands.want(k.Original, shrink)
	o, err := p.originals.Load(ctx, reducedKey(k.Original, h, shrink))
	done(err == nil)
	return o, err
}

// finer returns a reduction of which another can be made, nil when there is none.
func (p *Pool) finer(ctx context.Context, k asset.Key, h Head) *asset.Object {
	shrink := (h.Width + k.Variant.Width - 1) / k.Variant.Width
	select {
	case <-time.After(gather):
	case <-ctx.Done():
	}
	finest := p.demands.finest(k.Original, shrink)
	if finest == 0 {
		return nil
	}
	o, err := p.originals.Load(ctx, reducedKey(k.Original, h, finest))
	if err != nil {
		p.demands.lost(k.Original, finest)
		return nil
	}
	return o
}

// shrink loads the picture as small as a reduction is to be, in its own colours, as it is stored.
func shrink(x *rendering) error {
	width := x.Variant.Width
	by := float64(x.source.Width) / float64(width)
	params := x.params(0)
	switch x.MediaType {
	case jpegType:
		params.JpegShrinkFactor.Set(int(by + 0.5))
	case webpType:
		params.WebpScaleFactor.Set(1 / by)
	}
	p, err := x.loadWith(params)
	if err != nil {
		return err
	}
	x.frames = []*frame{{ref: p}}
	if p.Width() > width {
		height := (x.source.Height*width + x.source.Width - 1) / x.source.Width
		if err := p.ResizeWithVScale(float64(width)/float64(p.Width()), float64(height)/float64(p.Height()), vips.KernelLinear); err != nil {
			return err
		}
	}
	if x.oriented() {
		err = p.RemoveOrientation()
	}
	x.result = asset.Size{Width: p.Width(), Height: p.Height()}
	return err
}

// save writes the pixels as they are, with the profile and the orientation that say what they mean.
func save(x *rendering) error {
	p := x.frames[0].ref
	if err := p.RemoveMetadata(); err != nil {
		return err
	}
	var err error
	x.encoded, _, err = p.ExportTiff(&vips.TiffExportParams{Compression: vips.TiffCompressionNone, Predictor: vips.TiffPredictorNone})
	return err
}
