package bench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// A trace is what happens to some products that share a corpus: which asset each of them needs, what their visitors ask for,
// and what is published meanwhile. Everything in it follows from its sizes, so that it happens twice in the same way.
type trace struct {
	products int
	pixels   int // of a picture, about
	originals
	needs    [][]int // of each product: the assets that it uses, its own among them
	visits   []visit
	releases []release
}

// A visit is a request for an asset of a product with a preset.
type visit struct {
	product, asset int
	preset         string
}

// A release is new content of one asset, or of several that belong together.
type release []change

// A change is new content of an asset, and the number that it shows.
type change struct {
	asset   int
	content []byte
	number  int
}

// presets are what all products show pictures with, as they share a design system.
var presets = map[string]string{
	"thumb": "w=160,h=160,fit=cover", "card": "w=320", "tile": "w=480,h=320,fit=cover", "large": "w=800",
}

// newTrace draws the pictures and decides what happens.
func newTrace(ctx context.Context, s matrixSize, drawn func(done, total int)) (*trace, error) {
	random := rand.New(rand.NewPCG(2, uint64(s.products)))
	t := &trace{products: s.products, pixels: s.pixels}
	seeds := s.originals
	for i := range s.releases {
		r := release{{asset: random.IntN(s.originals)}}
		if i%s.campaignEvery == s.campaignEvery-1 {
			r = nil
			for _, a := range random.Perm(s.originals)[:min(s.campaign, s.originals)] {
				r = append(r, change{asset: a})
			}
		}
		seeds += len(r)
		t.releases = append(t.releases, r)
	}
	pictures, err := drawAll(ctx, seeds, s.pixels, drawn)
	if err != nil {
		return nil, err
	}
	t.originals, pictures = pictures[:s.originals], pictures[s.originals:]
	number := s.originals // those before are of the originals
	for _, r := range t.releases {
		for i := range r {
			r[i].content, r[i].number, pictures = pictures[0], number, pictures[1:]
			number++
		}
	}
	for p := range s.products {
		var needs []int
		for a := range t.originals {
			if t.owner(a) == p || random.Float64() < s.share {
				needs = append(needs, a)
			}
		}
		t.needs = append(t.needs, needs)
		t.visits = append(t.visits, visitsOf(random, p, needs, s.repeats)...)
	}
	random.Shuffle(len(t.visits), func(i, k int) { t.visits[i], t.visits[k] = t.visits[k], t.visits[i] })
	return t, nil
}

// originals are the first content of each asset.
type originals [][]byte

// visitsOf asks for each asset with each preset once, and repeats times as much again by Zipf's law.
func visitsOf(random *rand.Rand, product int, needs []int, repeats int) (visits []visit) {
	names := slices.Sorted(maps.Keys(presets))
	for _, a := range needs {
		for _, preset := range names {
			visits = append(visits, visit{product, a, preset})
		}
	}
	popular := rand.NewZipf(random, 1.1, 1, uint64(len(needs)-1))
	for range repeats * len(visits) {
		visits = append(visits, visit{product, needs[popular.Uint64()], names[random.IntN(len(names))]})
	}
	return visits
}

// owner is the product that gives an asset its content.
func (t *trace) owner(asset int) int { return asset % t.products }

// users are the products that use an asset.
func (t *trace) users(asset int) (users []int) {
	for p, needs := range t.needs {
		if _, ok := slices.BinarySearch(needs, asset); ok {
			users = append(users, p)
		}
	}
	return users
}

// affected are the visits that a release makes anew: each user of each changed asset asks for each preset.
func (t *trace) affected(r release) (visits []visit) {
	for _, c := range r {
		for _, p := range t.users(c.asset) {
			for _, preset := range slices.Sorted(maps.Keys(presets)) {
				visits = append(visits, visit{p, c.asset, preset})
			}
		}
	}
	return visits
}

func assetName(asset int) string { return fmt.Sprintf("catalog/%04d.jpg", asset) }

func productName(product int) string { return fmt.Sprintf("shop-%02d", product) }

// drawAll returns n pictures of about so many pixels, from half as many to twice as many, as JPEGs. Each shows its number, from 0 on.
func drawAll(ctx context.Context, n, pixels int, drawn func(done, total int)) ([][]byte, error) {
	pictures, errs := make([][]byte, n), make([]error, n)
	next, done := make(chan int), 0
	var mu sync.Mutex // guards done
	var drawing sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		drawing.Go(func() {
			for i := range next {
				width, height := sizeOf(i, pixels)
				drawing := corpus.Landscape(uint64(i+1), width, height)
				mark(drawing, i)
				pictures[i], errs[i] = corpus.JPEG(drawing, 88)
				mu.Lock()
				done++
				drawn(done, n)
				mu.Unlock()
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	drawing.Wait()
	return pictures, cmp.Or(ctx.Err(), firstOf(errs))
}

// sizeOf is how large drawAll makes a picture of about so many pixels, by its number.
func sizeOf(number, pixels int) (width, height int) {
	return sides(rand.New(rand.NewPCG(3, uint64(number))), pixels)
}

var widthOption = regexp.MustCompile(`(?:^|,)w=(\d+)`)

// widthOf is how wide a rendition with a preset or an option has to be: as wide as the box that it covers, and otherwise not wider
// than the original is.
func widthOf(options string, original int) int {
	if preset, ok := presets[options]; ok {
		options = preset
	}
	width, err := strconv.Atoi(widthOption.FindStringSubmatch(options)[1])
	if err != nil || strings.Contains(options, "fit=cover") {
		return width
	}
	return min(width, original)
}

// sides are those of a picture in landscape or portrait format.
func sides(random *rand.Rand, pixels int) (width, height int) {
	area := float64(pixels) * (0.5 + 1.5*random.Float64())
	short := int(math.Sqrt(area / 1.5))
	if random.IntN(4) == 0 {
		return short, short * 3 / 2
	}
	return short * 3 / 2, short
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
