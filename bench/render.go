package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/transform"
)

// renderQuality is what everybody is asked for. It means the same for JPEG and WebP everywhere, and for AVIF with everybody
// who encodes it with libvips.
const renderQuality = 80

// renderSize is how much the render scenario does.
type renderSize struct {
	widths []int // px; the first is that of each picture's first rendition
	rounds int
}

func renderScenario(ctx context.Context, r *run) error {
	size := renderSize{widths: []int{512, 1024, 256}, rounds: 8}
	if r.Quick {
		size.widths = []int{512}
	}
	return renders(ctx, r, size)
}

// stills are the pictures that every subject is expected to render: no pages, nothing that moves.
func (r *run) stills(ctx context.Context) (stills []corpus.File, err error) {
	files, err := r.pictures(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		head, err := transform.Header(bytes.NewReader(f.Data), int64(len(f.Data)))
		if err == nil && head.Frames == 1 && f.Width > 0 {
			stills = append(stills, f)
		}
	}
	if len(stills) == 0 {
		return nil, askedWrongly("%s has no picture that everybody renders; give a directory with JPEG, PNG, WebP, AVIF or GIF files, not all of them animated", r.Corpus)
	}
	return stills, nil
}

// A batch is renditions that are measured together.
type batch struct {
	name  string
	wants []want
}

// batchesOf are the first rendition of each picture, and all others by format.
func batchesOf(files []corpus.File, widths []int) []batch {
	batches := []batch{{name: "first"}, {name: "jpeg"}, {name: "webp"}, {name: "avif"}}
	for _, f := range files {
		for b, format := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF} {
			for i, width := range widths {
				w := want{file: f.Name, width: width, format: format, quality: renderQuality}
				to := b + 1
				if b == 0 && i == 0 {
					to = 0
				}
				batches[to].wants = append(batches[to].wants, w)
			}
		}
	}
	return batches
}

// renders measures cold renditions of pictures that nobody has seen before.
func renders(ctx context.Context, r *run, size renderSize) (err error) {
	b, err := openStudio(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	files, err := r.stills(ctx)
	if err != nil {
		return err
	}
	if err := b.warmUp(ctx, files[0]); err != nil {
		return err
	}
	for round := range size.rounds {
		unseen, err := b.freshen(ctx, files, fmt.Sprint("r", round))
		if err != nil {
			return err
		}
		for _, batch := range batchesOf(unseen, size.widths) {
			if len(batch.wants) == 0 {
				continue
			}
			if err := b.measure(ctx, "render_"+batch.name, round, size.rounds, batch.wants, runtime.GOMAXPROCS(0)); err != nil {
				return err
			}
		}
	}
	b.reportTo(r.report, fmt.Sprintf("%d pictures at %s px, quality %d, cold, %d at a time", len(files), spelledNumbers(size.widths), renderQuality, runtime.GOMAXPROCS(0)))
	return nil
}

func spelledNumbers(numbers []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(numbers)), ", "), "[]")
}

// A studio is a field whose subjects render, with libvips in this process among them.
type studio struct {
	*field
	pictures    map[string]corpus.File
	loop        *subject
	comparisons []*comparison
	byName      map[string]*comparison
}

func openStudio(ctx context.Context, r *run) (*studio, error) {
	if err := corpus.StartVips(); err != nil {
		return nil, err
	}
	f, err := openField(ctx, r)
	if err != nil {
		return nil, err
	}
	s := newStudio(f)
	s.loop = &subject{name: "libvips", base: "in this process", version: vipsVersion(), tree: nil}
	f.subjects = append(f.subjects, s.loop)
	return s, nil
}

func newStudio(f *field) *studio {
	return &studio{field: f, pictures: map[string]corpus.File{}, byName: map[string]*comparison{}}
}

// freshen stores the pictures anew, in a folder that is new in this run, with names and bytes that nobody has seen in this run or
// another, and returns them. Those before are gone.
func (b *studio) freshen(ctx context.Context, files []corpus.File, folder string) (unseen []corpus.File, err error) {
	clear(b.pictures)
	b.origin.clear()
	for i, f := range files {
		b.progress("storing pictures", i, len(files))
		f.Name = b.product + "/" + folder + "/" + f.Name
		f.Data = fresh(f)
		b.pictures[f.Name] = f
		if err := b.store(ctx, f); err != nil {
			return nil, err
		}
		unseen = append(unseen, f)
	}
	return unseen, nil
}

// warmUp lets every subject render something, so that what it does for the first time is in no figure: starting workers,
// meeting the origin.
func (b *studio) warmUp(ctx context.Context, file corpus.File) error {
	unseen, err := b.freshen(ctx, []corpus.File{file}, "warm")
	if err != nil {
		return err
	}
	var wants []want
	for less := range 4 {
		wants = append(wants, want{file: unseen[0].Name, width: 60, format: asset.JPEG, quality: renderQuality - less})
	}
	return b.round(ctx, "warming up", 0, 1, b.subjects, func(t turn) error {
		_, _, err := b.make(ctx, t.subject, wants, runtime.GOMAXPROCS(0))
		return err
	})
}

// fresh is the same picture in other bytes, which have the file's name: in a box that nobody reads in AVIF (ISO/IEC 14496-12 §8.1.2), behind the
// end in the others.
func fresh(f corpus.File) []byte {
	tail := f.Name
	if f.Type == "image/avif" {
		tail = string(binary.BigEndian.AppendUint32(nil, uint32(8+len(tail)))) + "free" + tail
	}
	return append(bytes.Clone(f.Data), tail...)
}

// measure lets every subject make renditions, and notes what they took.
func (b *studio) measure(ctx context.Context, name string, round, rounds int, wants []want, connections int) error {
	return b.round(ctx, name, round, rounds, b.subjects, func(t turn) error {
		made, used, err := b.make(ctx, t.subject, wants, connections)
		if errors.Is(err, errNotOffered) {
			return nil // it has other figures
		}
		if err != nil {
			return err
		}
		b.note(name+"_per_second", "img/s", t, made.perSecond())
		b.noteUsage(name, t, used, float64(len(wants)))
		return nil
	})
}

// noteUsage notes the CPU time for one of n, and the memory.
func (b *studio) noteUsage(name string, t turn, used usage, n float64) {
	if used.known {
		b.note(name+"_cpu_ms", "ms", t, ms(used.cpu)/n)
	}
	if used.peakRSS > 0 {
		b.note(name+"_peak_rss_mb", "MB", t, float64(used.peakRSS)/1e6)
	}
}

// noteQuantile notes a quantile of what was taken in a turn; the figure is that of all until now.
func (b *studio) noteQuantile(name string, t turn, taken distribution, q float64, all distribution) {
	b.note(name, "ms", t, ms(taken.at(q)))
	b.byName[name].whole[t.subject] = ms(newDistribution(slices.Clone(all)).at(q))
}

func (b *studio) note(name, unit string, t turn, v float64) {
	c := b.byName[name]
	if c == nil {
		c = newComparison(name, unit)
		b.byName[name] = c
		b.comparisons = append(b.comparisons, c)
	}
	c.add(t, v)
}

// make lets a subject make renditions; one that is not what was wanted is an error.
func (b *studio) make(ctx context.Context, s *subject, wants []want, connections int) (t *tally, used usage, err error) {
	if s == b.loop {
		t, used, err = b.inProcess(ctx, wants, connections)
	} else {
		t, used, err = b.request(ctx, s, wants, connections)
	}
	if err == nil {
		err = t.whole()
	}
	return t, used, err
}

// request asks a subject for renditions.
func (b *studio) request(ctx context.Context, s *subject, wants []want, connections int) (t *tally, used usage, err error) {
	shots := make([]shot, len(wants))
	for i, w := range wants {
		url, err := b.url(s, w)
		if err != nil {
			return nil, used, err
		}
		shots[i] = shot{url: url, status: http.StatusOK, length: anyLength, body: b.verifier(w)}
	}
	used, err = s.tree.use(ctx, func() error {
		t, err = each(ctx, connections, shots)
		return err
	})
	return t, used, err
}

// verifier says whether a body is the rendition that was wanted: in its format, and as large as it has to be.
func (b *studio) verifier(w want) func(etag string, body []byte) error {
	f := b.pictures[w.file]
	width := min(w.width, f.Width)
	height := float64(f.Height) * float64(width) / float64(f.Width)
	return func(_ string, body []byte) error {
		head, err := transform.Header(bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
		if head.MediaType != w.format.MediaType() || head.Width != width || math.Abs(float64(head.Height)-height) > 1 {
			return fmt.Errorf("%s is %s of %d × %d, not %s of %d × %.0f", w, head.MediaType, head.Width, head.Height, w.format.MediaType(), width, height)
		}
		return nil
	}
}

func (b *studio) reportTo(r *Report, title string) {
	own, peers := b.subjects[0], b.subjects[1:]
	t := Table{Title: title, Head: comparisonHead("", peers)}
	for _, c := range b.comparisons {
		c.report(r, own, peers)
		if len(peers) > 0 {
			t.Rows = append(t.Rows, append([]string{c.name}, c.cells(own, peers)...))
		}
		if strings.HasSuffix(c.name, "_cpu_ms") {
			r.plot(c.plot(b.subjects))
		}
	}
	if len(t.Rows) > 0 {
		r.table(t)
	}
	b.reportSubjects()
}

// inProcess makes renditions with libvips in this process, so many at a time: what no server can be cheaper than that makes
// each from its original.
func (b *studio) inProcess(ctx context.Context, wants []want, connections int) (t *tally, used usage, err error) {
	next := make(chan want)
	tallies := make([]tally, connections)
	before, start := selfCPU(), time.Now()
	stop := b.distribute(ctx, wants, next)
	defer stop()
	done := make(chan struct{})
	for i := range tallies {
		go func() {
			defer func() { done <- struct{}{} }()
			for w := range next {
				began := time.Now()
				body, err := thumbnail(b.pictures[w.file].Data, w)
				if err == nil {
					err = b.verifier(w)("", body)
				}
				tallies[i].add(time.Since(began), err)
			}
		}()
	}
	for range tallies {
		<-done
	}
	t = &tally{took: time.Since(start)}
	used = usage{cpu: selfCPU() - before, known: true}
	for i := range tallies {
		t.merge(&tallies[i])
	}
	t.latencies = newDistribution(t.latencies)
	return t, used, ctx.Err()
}

// distribute hands wants out until all are, or ctx ends.
func (b *studio) distribute(ctx context.Context, wants []want, to chan<- want) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		defer close(to)
		for _, w := range wants {
			select {
			case to <- w:
			case <-ctx.Done():
				return
			}
		}
	}()
	return stop
}
