package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// hitSize is how much the hit scenario does.
type hitSize struct {
	bytes       []int // of the files that are hit, about
	rounds      int
	lasts       time.Duration // of a subject's turn
	connections int
}

func hitScenario(ctx context.Context, r *run) error {
	size := hitSize{bytes: []int{2 << 10, 37 << 10, 1 << 20}, rounds: 10, lasts: 2 * time.Second, connections: 32}
	if r.Quick {
		size.rounds, size.lasts = minRounds, 300*time.Millisecond
	}
	return hits(ctx, r, size)
}

// A hitMode is a way in which a file that is in hand is asked for.
type hitMode struct {
	name string
	tier string // that must answer, when the program does
	shot func(a *firstAnswer) (*shot, error)
}

var hitModes = []hitMode{
	{"memory", "memory", (*firstAnswer).again},
	{"disk", "disk", (*firstAnswer).again},
	{"not_modified", "metadata", (*firstAnswer).notModified},
	{"range", "memory", (*firstAnswer).half},
}

// A firstAnswer is what a subject answered when it was asked for the first time.
type firstAnswer struct {
	url    string
	header http.Header
	length int
}

// again asks for the same.
func (a *firstAnswer) again() (*shot, error) {
	return &shot{url: a.url, status: http.StatusOK, length: a.length}, nil
}

// notModified asks as a browser does that has the file (RFC 9110 §13.1).
func (a *firstAnswer) notModified() (*shot, error) {
	s := &shot{url: a.url, status: http.StatusNotModified}
	switch etag, modified := a.header.Get("ETag"), a.header.Get("Last-Modified"); {
	case etag != "":
		s.header = [2]string{"If-None-Match", etag}
	case modified != "":
		s.header = [2]string{"If-Modified-Since", modified}
	default:
		return nil, errNotOffered
	}
	return s, nil
}

// half asks for the half in the middle (RFC 9110 §14.2).
func (a *firstAnswer) half() (*shot, error) {
	from := a.length / 4
	to := from + a.length/2 - 1
	return &shot{
		url: a.url, header: [2]string{"Range", fmt.Sprintf("bytes=%d-%d", from, to)}, status: http.StatusPartialContent, length: to - from + 1,
	}, nil
}

// hitBench is the scenario at work.
type hitBench struct {
	*field
	size      hitSize
	own, disk *subject // the program, and again with a memory cache into which nothing fits
	peers     []*subject
	table     Table
	latency   Table
	first     *shot // of the smallest file, and what the generator itself can do with it
	limit     ceiling
}

// hits measures answers whose bytes are in hand.
func hits(ctx context.Context, r *run, size hitSize) (err error) {
	f, err := openField(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	files, err := r.hitFiles(ctx, size.bytes)
	if err != nil {
		return err
	}
	b := &hitBench{field: f, size: size, own: f.subjects[0], peers: f.subjects[1:]}
	if f.Target == "" {
		if b.disk, err = f.boot(ctx, ownName+" (disk)", "ASSETMATRIX_CACHE_MEMORY_MAX_OBJECT_BYTES=1"); err != nil {
			return err
		}
		f.subjects = append(slices.Clone(f.subjects), b.disk)
	}
	b.table = Table{Title: "The most that there is, closed loop", Head: comparisonHead("", b.peers)}
	b.latency = Table{Title: "Latency at a rate that all can bear, open loop", Head: distributionHead("")}
	for _, file := range files {
		if err := b.measure(ctx, file); err != nil {
			return err
		}
	}
	if len(b.peers) > 0 {
		r.report.table(b.table)
	}
	r.report.table(b.latency)
	f.reportSubjects()
	return b.honesty(ctx)
}

// hitFiles are files of about the wanted sizes: drawn ones, or of the directory those that come nearest.
func (r *run) hitFiles(ctx context.Context, wanted []int) (files []corpus.File, err error) {
	if r.Corpus != "" {
		return r.nearest(ctx, wanted)
	}
	for i, bytes := range wanted {
		r.progress("drawing pictures", i, len(wanted))
		data, err := corpus.Sized(uint64(i+1), bytes)
		if err != nil {
			return nil, err
		}
		files = append(files, corpus.File{Name: "hit-" + sizeName(bytes) + ".jpg", Type: "image/jpeg", Data: data})
	}
	return files, nil
}

func (r *run) nearest(ctx context.Context, wanted []int) (files []corpus.File, err error) {
	all, err := r.pictures(ctx)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{} // the parts of figures' names
	for _, bytes := range wanted {
		f := slices.MinFunc(all, func(a, b corpus.File) int {
			return cmp.Compare(factor(len(a.Data), bytes), factor(len(b.Data), bytes))
		})
		if name := sizeName(len(f.Data)); !taken[name] {
			files, taken[name] = append(files, f), true
		}
	}
	return files, nil
}

// factor is by how much two sizes differ, 1 or more.
func factor(a, b int) float64 { return float64(max(a, b)) / float64(max(1, min(a, b))) }

// sizeName spells a number of bytes, as a part of a figure's name.
func sizeName(bytes int) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%dm", (bytes+1<<19)>>20)
	case bytes >= 1<<10:
		return fmt.Sprintf("%dk", (bytes+1<<9)>>10)
	}
	return fmt.Sprint(bytes)
}

// measure measures one file in all modes.
func (b *hitBench) measure(ctx context.Context, file corpus.File) error {
	if err := b.store(ctx, file); err != nil {
		return err
	}
	most, err := generatorCeiling(ctx, len(file.Data), b.size.lasts)
	if err != nil {
		return err
	}
	for _, mode := range hitModes {
		if err := b.mode(ctx, file, mode, most); err != nil {
			return err
		}
	}
	return nil
}

// mode measures one file in one mode.
func (b *hitBench) mode(ctx context.Context, file corpus.File, mode hitMode, most ceiling) error {
	own := b.own
	if mode.tier == "disk" {
		own = b.disk
	}
	if own == nil {
		return nil // a target has the memory cache that it has
	}
	name := "hit_" + mode.name + "_" + sizeName(len(file.Data))
	shots := map[*subject]*shot{}
	var among []*subject
	for _, s := range append([]*subject{own}, b.peers...) {
		err := b.turn(ctx, s, func() (err error) { shots[s], err = b.aim(ctx, s, file, mode); return err })
		if err != nil {
			return err
		}
		if shots[s] != nil {
			among = append(among, s)
		}
	}
	rate, cpu := newComparison(name+"_per_second", "req/s"), newComparison(name+"_cpu_us", "µs")
	err := b.rounds(ctx, name, b.size.rounds, among, func(t turn) error {
		fired, used, err := b.fire(ctx, t.subject, shots[t.subject])
		if err != nil {
			return err
		}
		rate.add(t, fired.perSecond())
		if used.known {
			cpu.add(t, used.cpu.Seconds()*1e6/float64(len(fired.latencies)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range []*comparison{rate, cpu} {
		c.report(b.report, own, b.peers)
		b.table.Rows = append(b.table.Rows, append([]string{c.name}, c.cells(own, b.peers)...))
	}
	if mode.name != "memory" {
		return nil
	}
	if b.first == nil {
		b.first, b.limit = shots[own], most
	}
	return b.latencies(ctx, name, among, shots, rate, most)
}

// aim asks a subject for a file until it is a hit, and returns how to ask on; nil when the subject does not offer the mode.
func (b *hitBench) aim(ctx context.Context, s *subject, file corpus.File, mode hitMode) (*shot, error) {
	url, err := b.url(s, want{file: file.Name})
	if err != nil {
		return nil, err
	}
	first, err := askOnce(ctx, &shot{url: url, status: http.StatusOK, length: len(file.Data)})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first.body, file.Data) {
		return nil, fmt.Errorf("%s is answered with other bytes than the file has", url)
	}
	aimed, err := mode.shot(&firstAnswer{url, first.header, len(file.Data)})
	if errors.Is(err, errNotOffered) && !s.own() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return aimed, b.settle(ctx, s, aimed, mode)
}

// settleAsks is how often a file is asked for until it is in the tier where it is to be.
const settleAsks = 100

// settle waits until the program answers from the mode's tier.
func (b *hitBench) settle(ctx context.Context, s *subject, aimed *shot, mode hitMode) error {
	tier := ""
	for range settleAsks {
		again, err := askOnce(ctx, aimed)
		if err != nil {
			return err
		}
		if tier = tierOf(again.header.Get("Cache-Status")); !s.own() || tier == mode.tier {
			return nil
		}
		if err := sleepUntil(ctx, time.Now().Add(10*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is answered from %q, not from %s", aimed.url, tier, mode.tier)
}

// fire lets a subject answer as fast as it can for one turn.
func (b *hitBench) fire(ctx context.Context, s *subject, aimed *shot) (t *tally, used usage, err error) {
	used, err = s.tree.use(ctx, func() error {
		t, err = closed(ctx, b.size.connections, b.size.lasts, func() *shot { return aimed })
		return err
	})
	if err == nil {
		err = t.whole()
	}
	return t, used, err
}

// latencies measures what an answer takes at a rate that every subject and the generator bear easily, or at the rate that
// was asked for.
func (b *hitBench) latencies(ctx context.Context, name string, among []*subject, shots map[*subject]*shot, most *comparison, limit ceiling) error {
	rate := limit.open / 2 // the server has the other half of the cores
	for _, s := range among {
		if s.out == nil {
			rate = min(rate, most.of(s).median())
		}
	}
	rate = cmp.Or(b.Rate, rate/2)
	p50, p99 := newComparison(name+"_p50_ms", "ms"), newComparison(name+"_p99_ms", "ms")
	all := map[*subject]distribution{}
	behind := map[*subject]string{} // who was the limit, when it was not to be one
	err := b.rounds(ctx, name+", latency", b.size.rounds, among, func(t turn) error {
		o, err := open(ctx, steady(rate, b.size.lasts), func() *shot { return shots[t.subject] })
		if err != nil {
			return err
		}
		if !o.keptUp() || o.unanswered > 0 { // whatever went wrong is the generator's, or the rate's
			behind[t.subject] = o.verdict(limit)
			return nil
		}
		if err := o.whole(); err != nil {
			return err
		}
		p50.add(t, ms(o.latencies.at(0.5)))
		p99.add(t, ms(o.latencies.at(0.99)))
		all[t.subject] = append(all[t.subject], o.latencies...)
		return nil
	})
	if err != nil {
		return err
	}
	p50.report(b.report, b.own, b.peers)
	p99.report(b.report, b.own, b.peers)
	var series []Series
	for _, s := range among {
		if behind[s] != "" && s.out == nil {
			said := fmt.Sprintf("%s: %s: %s", name, s.name, behind[s])
			b.latency.Rows = append(b.latency.Rows, []string{said})
			b.report.note(said)
		}
		if s.out == nil && len(all[s]) > 0 {
			d := newDistribution(all[s])
			b.latency.Rows = append(b.latency.Rows, d.row(fmt.Sprintf("%s at %s/s: %s", name, number(rate), s.name)))
			series = append(series, d.series(s.name))
		}
	}
	b.report.plot(latencyPlot(fmt.Sprintf("%s at %s requests a second", name, number(rate)), series...))
	return nil
}

// honesty offers the program twice what the generator can send, where the harness has to say that it is itself the limit.
func (b *hitBench) honesty(ctx context.Context) error {
	rate := cmp.Or(b.Rate, 2*b.limit.open)
	o, err := open(ctx, steady(rate, b.size.lasts), func() *shot { return b.first })
	if err != nil {
		return err
	}
	if !o.keptUp() && b.Rate > 0 {
		b.report.note(o.verdict(b.limit))
	}
	b.report.figure("generator_closed_per_second", b.limit.closed, "req/s")
	b.report.figure("generator_open_per_second", b.limit.open, "req/s")
	b.report.table(Table{Title: "Who is the limit", Head: []string{"LOAD", ""}, Rows: [][]string{
		{"the generator, closed loop", number(b.limit.closed) + "/s from a server that does nothing: no figure can be above it"},
		{"the generator, open loop", number(b.limit.open) + "/s"},
		{"offered " + number(rate/b.limit.open) + " × that", o.verdict(b.limit)},
	}})
	return nil
}
