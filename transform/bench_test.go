package transform

import (
	"fmt"
	"sync"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// twelve is a drawn photograph of 12 MP, as a camera's JPEG.
var twelve = sync.OnceValue(func() []byte {
	var t testing.B
	return jpegOf(&t, photo(4000, 3000))
})

// BenchmarkRender makes a 400 × 300 of a 12 MP JPEG through the pool, one after the other.
func BenchmarkRender(b *testing.B) {
	pool := newBench(b, one)
	k := asset.Key{Original: pool.shelf.put(twelve()), Variant: asset.Variant{Width: 400, Height: 300, Fit: asset.Cover}}
	for _, f := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF, asset.PNG} {
		b.Run(f.String(), func(b *testing.B) {
			b.ReportAllocs()
			k.Variant.Format = f
			before := ticks(pool.log.lastPID())
			for b.Loop() {
				o, err := pool.Load(b.Context(), k)
				if err != nil {
					b.Fatal(err)
				}
				o.Release()
			}
			b.ReportMetric(float64(ticks(pool.log.lastPID())-before)*10/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkEncode makes renditions of several sizes, to see the encoders beside each other.
func BenchmarkEncode(b *testing.B) {
	pool := newBench(b, one)
	for _, side := range []int{400, 1000, 2000} {
		for _, f := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF} {
			k := asset.Key{Original: pool.shelf.put(twelve()), Variant: asset.Variant{Width: side, Format: f}}
			b.Run(fmt.Sprintf("%s/%d", f, side), func(b *testing.B) {
				for b.Loop() {
					o, err := pool.Load(b.Context(), k)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(o.Size), "bytes")
					o.Release()
				}
			})
		}
	}
}

// BenchmarkHeader reads the head of a 12 MP JPEG.
func BenchmarkHeader(b *testing.B) {
	o := asset.NewObject(asset.Key{}, jpegType, twelve())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Header(o, o.Size); err != nil {
			b.Fatal(err)
		}
	}
}
