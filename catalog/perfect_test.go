package catalog

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func BenchmarkPilots(b *testing.B) {
	for _, load := range []float64{0.97, 0.98, 0.985, 0.99, 0.995} {
		rnd := rand.New(rand.NewPCG(1, 2))
		keys := make([]uint64, partKeys)
		p := perfectFor(1, partKeys-1)
		for i := range keys {
			keys[i] = rnd.Uint64()
		}
		slices.Sort(keys)
		p.cells = uint64(float64(len(keys)) / load)
		out := make([]byte, p.groups)
		ok := 0
		b.Run("", func(b *testing.B) {
			for b.Loop() {
				if p.findPilots(out, keys) {
					ok++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/partKeys, "ns/key")
			b.ReportMetric(load, "load")
			if ok == 0 {
				b.Log("not found")
			}
		})
	}
}
