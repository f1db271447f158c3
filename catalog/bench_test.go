package catalog

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkUpdate commits an asset with its link: durable, acknowledged, and applied. One writer waits for the disk
// each time; many writers share the messages.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			c := opened(b, b.TempDir())
			update(b, c, putProduct("shop"))
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(writers) // times GOMAXPROCS
			if writers == 1 {
				for b.Loop() {
					commitOne(b, c, n.Add(1))
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						commitOne(b, c, n.Add(1))
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transactions/s")
		})
	}
}

func commitOne(b *testing.B, c *Catalog, i int64) {
	id := fmt.Sprintf("0190c5a8-0000-7000-8000-%012x", i)
	if err := try(c, putAsset(id, byte(i)), putLink("shop", fmt.Sprintf("banners/%d.jpg", i), id)); err != nil {
		b.Error(err)
	}
}
