package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// familySize is how much the family scenario does.
type familySize struct {
	widths []int  // px, of the srcset
	pixels [2]int // that the original may have
	rounds int
}

// browserConnections is how many connections a browser opens to one host (HTTP/1.1).
const browserConnections = 6

func familyScenario(ctx context.Context, r *run) error {
	size := familySize{widths: []int{320, 480, 640, 800, 1024, 1280, 1600, 1920}, pixels: [2]int{12_000_000, 15_600_000}, rounds: 8}
	if r.Quick {
		size.widths = []int{160, 240, 320, 400, 480, 560, 640, 800}
	}
	return family(ctx, r, size)
}

// familyOriginal is the largest JPEG of the corpus that is within the bounds.
func (r *run) familyOriginal(ctx context.Context, size familySize) (f corpus.File, err error) {
	if r.Corpus == "" {
		r.progress("drawing a picture", 0, 1)
		data, err := corpus.JPEG(corpus.Landscape(4, 4800, 3200), 88)
		return corpus.File{Name: "family.jpg", Type: "image/jpeg", Width: 4800, Height: 3200, Data: data}, err
	}
	files, err := r.pictures(ctx)
	if err != nil {
		return f, err
	}
	files = slices.DeleteFunc(slices.Clone(files), func(f corpus.File) bool {
		pixels := f.Width * f.Height
		return f.Type != "image/jpeg" || pixels < size.pixels[0] || pixels > size.pixels[1]
	})
	if len(files) == 0 {
		return f, askedWrongly("%s has no JPEG of 12 to 15 megapixels, of which a family is made; put one there, or leave --corpus out", r.Corpus)
	}
	return slices.MaxFunc(files, func(a, b corpus.File) int { return cmp.Compare(a.Width*a.Height, b.Width*b.Height) }), nil
}

// family measures what a srcset costs as a whole: all its files, asked for at once by one browser that nobody was before.
func family(ctx context.Context, r *run, size familySize) (err error) {
	b, err := openStudio(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	original, err := r.familyOriginal(ctx, size)
	if err != nil {
		return err
	}
	if err := b.warmUp(ctx, original); err != nil {
		return err
	}
	for round := range size.rounds {
		unseen, err := b.freshen(ctx, []corpus.File{original}, fmt.Sprint("r", round))
		if err != nil {
			return err
		}
		if err := b.familyRound(ctx, size, round, familyOf(unseen[0].Name, size.widths)); err != nil {
			return err
		}
	}
	b.reportTo(r.report, fmt.Sprintf("%d widths × 3 formats of one picture of %.1f megapixels, quality %d, cold, over %d connections",
		len(size.widths), float64(original.Width*original.Height)/1e6, renderQuality, browserConnections))
	return nil
}

// familyOf are the files of a srcset with a picture element: each width in each format.
func familyOf(file string, widths []int) (wants []want) {
	for _, width := range widths {
		for _, format := range []asset.Format{asset.AVIF, asset.WebP, asset.JPEG} {
			wants = append(wants, want{file: file, width: width, format: format, quality: renderQuality})
		}
	}
	return wants
}

func (b *studio) familyRound(ctx context.Context, size familySize, round int, wants []want) error {
	return b.round(ctx, "family", round, size.rounds, b.subjects, func(t turn) error {
		before, err := t.counters(ctx)
		if err != nil {
			return err
		}
		made, used, err := b.make(ctx, t.subject, wants, browserConnections)
		if err != nil {
			return err
		}
		after, err := t.counters(ctx)
		if err != nil {
			return err
		}
		b.note("family_wall_ms", "ms", t, ms(made.took))
		b.noteUsage("family", t, used, 1)
		if t.own() {
			b.note("family_reductions_mb", "MB", t, (after.reduced-before.reduced)/1e6)
		}
		return nil
	})
}
