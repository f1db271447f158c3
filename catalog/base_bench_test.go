package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A large matrix has pictures with one link each, of so many products.
const largeProducts = 20

func largeName(n, i int) (product, name string) {
	return fmt.Sprintf("product-%02d", i/(n/largeProducts)), fmt.Sprintf("banners/2026/summer-%08d.jpg", i)
}

func largeAsset(n, i int) (*asset.Asset, *asset.Link) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	product, name := largeName(n, i)
	a := &asset.Asset{
		ID: fmt.Sprintf("0190c5a8-%04x-7000-8000-%012x", i%7919, i), Owner: product, Status: asset.Active, Current: 1, Created: at, Updated: at,
		Versions: []asset.Version{{
			Number: 1, Digest: sha256.Sum256([]byte(name)), Size: int64(200_000 + i), MediaType: "image/jpeg", Created: at, Providers: []string{"local"},
			Picture: &asset.Picture{Width: 3000, Height: 2000, Pages: 1, Orientation: 1, ThumbHash: "1QcSHQRnh493V4dIh4eXh1h4kJUI", Dominant: "#a0b1c2"},
		}},
	}
	return a, &asset.Link{Product: product, Name: name, Asset: a.ID, Created: at}
}

func largeRecords(n int) iter.Seq[Mutation] {
	return func(yield func(Mutation) bool) {
		for i := range largeProducts {
			if !yield(Mutation{PutProduct: &asset.Product{Name: fmt.Sprintf("product-%02d", i)}}) {
				return
			}
		}
		for i := range n {
			a, l := largeAsset(n, i)
			if !yield(Mutation{PutAsset: a}) || !yield(Mutation{PutLink: l}) {
				return
			}
		}
	}
}

// asked is a name to ask for.
type asked struct{ product, name string }

// questions returns random names, which stand beside each other in memory: what is measured is not how they are found.
func questions(n int) []asked {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := make([]asked, 1<<20)
	var text strings.Builder
	text.Grow(len(all) * 40)
	for i := range all {
		product, name := largeName(n, rnd.IntN(n))
		all[i].product = product
		text.WriteString(name)
		all[i].name = text.String()[text.Len()-len(name):]
	}
	return all
}

// cpuTime is what the process has used of the processors, which a machine that is busy with other things does not change.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBase is what a million assets in a base cost: bytes, opening, finding random ones, and folding.
func BenchmarkBase(b *testing.B) { benchBase(b, 1_000_000) }

func benchBase(b *testing.B, n int) {
	dir := directory(b.TempDir())
	start := time.Now()
	if err := Import(context.Background(), string(dir), Manifest{Revision: 1}, largeRecords(n)); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(dir.base(1))
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d assets in %v, %d bytes each", n, time.Since(start), info.Size()/int64(n))
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			newView(opened1(b, dir.base(1)))
		}
	})
	v, names := newView(opened1(b, dir.base(1))), questions(n)
	if err := v.base.verify(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("find", func(b *testing.B) { benchFind(b, func() *View { return v }, names) })
	changed := changedView(n, v)
	b.Run("find among 200,000 changes", func(b *testing.B) { benchFind(b, func() *View { return changed }, names) })
	b.Run("find beside a writer", func(b *testing.B) { benchFindBesideAWriter(b, n, changed, names) })
	b.Run("fold", func(b *testing.B) {
		for b.Loop() {
			if err := writeBase(b.Context(), dir.base(2), changed, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// changedView returns v with 100,000 assets purged and 100,000 new ones.
func changedView(n int, v *View) *View {
	v = v.fork()
	for i := range 100_000 {
		a, _ := largeAsset(n, i*(n/100_000))
		v.apply(&Mutation{Purge: &Purge{Asset: a.ID}})
		a, l := largeAsset(n, n-1)
		a.ID, l.Name = fmt.Sprint("new-", i), fmt.Sprint("new/", i)
		l.Asset = a.ID
		v.apply(&Mutation{PutAsset: a})
		v.apply(&Mutation{PutLink: l})
	}
	return v
}

func benchFind(b *testing.B, view func() *View, names []asked) {
	b.ReportAllocs()
	i, before := 0, cpuTime()
	for b.Loop() {
		q := &names[i&(len(names)-1)]
		if _, ok := view().Find(q.product, q.name, 0); !ok {
			b.Fatal(q)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/(cpuTime()-before).Seconds(), "lookups/cpu-s")
}

// benchFindBesideAWriter also has a goroutine that forks and changes the view 1,000 times a second.
func benchFindBesideAWriter(b *testing.B, n int, v *View, names []asked) {
	var current atomic.Pointer[View]
	current.Store(v)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			next := current.Load().fork()
			a, _ := largeAsset(n, i*7919%n)
			next.apply(&Mutation{Purge: &Purge{Asset: a.ID}})
			current.Store(next)
			time.Sleep(time.Millisecond)
		}
	}()
	benchFind(b, current.Load, names)
	stop()
	<-ended
}

// BenchmarkFork is what a transaction costs that purges one asset of a large base.
func BenchmarkFork(b *testing.B) {
	const n = 100_000
	dir := directory(b.TempDir())
	if err := Import(context.Background(), string(dir), Manifest{Revision: 1}, largeRecords(n)); err != nil {
		b.Fatal(err)
	}
	v := newView(opened1(b, dir.base(1)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a := fmt.Sprintf("0190c5a8-%04x-7000-8000-%012x", i%7919, i)
		v = v.fork()
		v.apply(&Mutation{Purge: &Purge{Asset: a}})
		i = (i + 1) % n
	}
}
