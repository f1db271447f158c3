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
	ceiling     time.Duration // of a measurement of the generator
	connections int
}

func hitScenario(ctx context.Context, r *run) error {
	size := hitSize{bytes: []int{2 << 10, 37 << 10, 1 << 20}, rounds: 20, lasts: time.Second, ceiling: 2 * time.Second, connections: 32}
	if r.Quick {
		size.rounds, size.lasts, size.ceiling = 12, 150*time.Millisecond, 300*time.Millisecond
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

// A hitCase is a file that is asked for in a mode.
type hitCase struct {
	name  string
	mode  hitMode
	own   *subject // the program, with the memory cache that the mode needs
	among []*subject
	shots map[*subject]*shot
	limit ceiling // of the generator, for answers of this size

	rate, cpu, p50, p99 *comparison
	offered             float64                   // requests a second, for the latencies
	all                 map[*subject]distribution // latencies
	behind              map[*subject]string       // who was the limit, when nobody was to be
	late                map[*subject]int          // in how many rounds
}

// hitBench is the scenario at work.
type hitBench struct {
	*field
	size      hitSize
	own, disk *subject // the program, and again with a memory cache into which nothing fits
	peers     []*subject
	cases     []*hitCase
	memory    *comparison
}

// hits measures answers whose bytes are in hand. Each round has all cases, so that a figure is of the whole run, and not of the
// seconds in which the machine was as it was.
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
	b := &hitBench{field: f, size: size, own: f.subjects[0], peers: f.subjects[1:], memory: newComparison("hit_peak_rss_mb", "MB")}
	if f.Target == "" {
		if b.disk, err = f.boot(ctx, ownName+" (disk)", "ASSETMATRIX_CACHE_MEMORY_MAX_OBJECT_BYTES=1"); err != nil {
			return err
		}
		f.subjects = append(slices.Clone(f.subjects), b.disk)
	}
	for _, file := range files {
		if err := b.prepare(ctx, file); err != nil {
			return err
		}
	}
	if err := b.closedLoops(ctx); err != nil {
		return err
	}
	if err := b.openLoops(ctx); err != nil {
		return err
	}
	b.reportTo(r.report)
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

// prepare stores a file, and asks for it in all modes until it is where it is to be.
func (b *hitBench) prepare(ctx context.Context, file corpus.File) error {
	if err := b.store(ctx, file); err != nil {
		return err
	}
	b.progress("measuring the generator", 0, 1)
	limit, err := generatorCeiling(ctx, len(file.Data), b.size.ceiling)
	if err != nil {
		return err
	}
	for _, mode := range hitModes {
		own := b.own
		if mode.tier == "disk" {
			own = b.disk
		}
		if own == nil {
			continue // a target has the memory cache that it has
		}
		name := "hit_" + mode.name + "_" + sizeName(len(file.Data))
		c := &hitCase{
			name: name, mode: mode, own: own, shots: map[*subject]*shot{}, limit: limit,
			rate: newComparison(name+"_per_second", "req/s"), cpu: newComparison(name+"_cpu_us", "µs"),
			p50: newComparison(name+"_p50_ms", "ms"), p99: newComparison(name+"_p99_ms", "ms"),
			all: map[*subject]distribution{}, behind: map[*subject]string{}, late: map[*subject]int{},
		}
		for _, s := range append([]*subject{own}, b.peers...) {
			err := b.turn(ctx, s, func() (err error) { c.shots[s], err = b.aim(ctx, s, file, mode); return err })
			if err != nil {
				return err
			}
			if c.shots[s] != nil {
				c.among = append(c.among, s)
			}
		}
		b.cases = append(b.cases, c)
	}
	return nil
}

// closedLoops measures the most that there is.
func (b *hitBench) closedLoops(ctx context.Context) error {
	return b.allRounds(ctx, "closed loop", b.cases, func(c *hitCase, t turn) error {
		fired, used, err := b.fire(ctx, t.subject, c.shots[t.subject])
		if err != nil {
			return err
		}
		c.rate.add(t, fired.perSecond())
		if used.known {
			c.cpu.add(t, used.cpu.Seconds()*1e6/float64(len(fired.latencies)))
			b.memory.most(t, float64(used.peakRSS)/1e6)
		}
		return nil
	})
}

// allRounds lets everybody have a turn in each case, and then again.
func (b *hitBench) allRounds(ctx context.Context, step string, cases []*hitCase, measure func(c *hitCase, t turn) error) error {
	for i := range b.size.rounds {
		for _, c := range cases {
			if err := b.round(ctx, step, i, b.size.rounds, c.among, func(t turn) error { return measure(c, t) }); err != nil {
				return err
			}
		}
	}
	return nil
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
	if err := b.settle(ctx, s, aimed, mode); err != nil {
		return nil, err
	}
	settled, err := askOnce(ctx, aimed)
	if err == nil && mode.name == "range" && !bytes.Equal(settled.body, file.Data[len(file.Data)/4:][:aimed.length]) {
		err = fmt.Errorf("%s is answered with another part of the file than that which was asked for", url)
	}
	return aimed, err
}

// settleAsks is how often a file is asked for until it is in the tier where it is to be.
const settleAsks = 100

// settle waits until the program answers from the mode's tier.
func (b *hitBench) settle(ctx context.Context, s *subject, aimed *shot, mode hitMode) error {
	if !s.own() {
		kept, err := b.keeps(ctx, s, aimed)
		if err == nil && !kept {
			err = errors.New("it fetches the file from the origin for each answer, which is no hit")
		}
		return err
	}
	tier := ""
	for range settleAsks {
		again, err := askOnce(ctx, aimed)
		if err != nil {
			return err
		}
		if tier = tierOf(again.header.Get("Cache-Status")); tier == mode.tier {
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

// openLoops measures what an answer from memory takes at a rate that every subject and the generator bear easily, or at the
// rate that was asked for.
func (b *hitBench) openLoops(ctx context.Context) error {
	cases := b.inMemory()
	for _, c := range cases {
		c.offered = c.limit.open / 2 // the server has the other half of the cores
		for _, s := range c.among {
			if s.out == nil {
				c.offered = min(c.offered, c.rate.of(s).median())
			}
		}
		c.offered = cmp.Or(b.Rate, c.offered/2)
	}
	return b.allRounds(ctx, "open loop", cases, func(c *hitCase, t turn) error {
		if c.offered > c.limit.beyond { // which --rate may ask for
			c.late[t.subject]++
			c.behind[t.subject] = fmt.Sprintf("%s/s are more than the generator keeps up with for answers of this size (%s/s): it, not the server, would be the limit",
				number(c.offered), number(c.limit.open))
			return nil
		}
		o, err := open(ctx, steady(c.offered, b.size.lasts), func() *shot { return c.shots[t.subject] })
		if err != nil {
			return err
		}
		if err := o.whole(); err != nil {
			return err
		}
		if !o.keptUp() || o.unanswered > 0 { // what it took is the generator's fault, or the rate's
			c.late[t.subject]++
			c.behind[t.subject] = o.verdict(c.limit)
			return nil
		}
		c.all[t.subject] = append(c.all[t.subject], o.latencies...)
		c.p50.add(t, ms(o.latencies.at(0.5)))
		c.p99.add(t, ms(o.latencies.at(0.99)))
		return nil
	})
}

func (b *hitBench) inMemory() (cases []*hitCase) {
	for _, c := range b.cases {
		if c.mode.name == "memory" {
			cases = append(cases, c)
		}
	}
	return cases
}

func (b *hitBench) reportTo(r *Report) {
	most := Table{Title: "The most that there is, closed loop", Head: comparisonHead("", b.peers)}
	latency := Table{Title: "Latency at a rate that all can bear, open loop", Head: distributionHead("")}
	for _, c := range b.inMemory() {
		rows, plot := c.latencies(r)
		latency.Rows = append(latency.Rows, rows...)
		r.plot(plot)
	}
	for _, c := range b.cases {
		for _, figures := range []*comparison{c.rate, c.cpu, c.p50, c.p99} {
			figures.report(r, c.own, b.peers)
		}
		for _, figures := range []*comparison{c.rate, c.cpu} {
			most.Rows = append(most.Rows, append([]string{figures.name}, figures.cells(c.own, b.peers)...))
		}
	}
	b.memory.report(r, b.own, b.peers)
	most.Rows = append(most.Rows, append([]string{b.memory.name}, b.memory.cells(b.own, b.peers)...))
	if len(b.peers) > 0 {
		r.table(most)
	}
	r.table(latency)
	b.reportSubjects()
}

// latencies are a row and a line for each subject, and a row for each that had no latency because the rate was not kept.
func (c *hitCase) latencies(r *Report) (rows [][]string, plot Plot) {
	var series []Series
	for _, s := range c.among {
		if s.out != nil {
			continue
		}
		if c.behind[s] != "" {
			said := fmt.Sprintf("%s of %s, %d of %d rounds: %s", c.name, s.name, c.late[s], c.late[s]+len(c.p50.of(s)), c.behind[s])
			rows = append(rows, []string{said})
			r.note(said)
		}
		if len(c.all[s]) > 0 {
			d := newDistribution(c.all[s])
			c.p50.whole[s], c.p99.whole[s] = ms(d.at(0.5)), ms(d.at(0.99))
			rows = append(rows, d.row(fmt.Sprintf("%s at %s/s: %s", c.name, number(c.offered), s.name)))
			series = append(series, d.series(s.name))
		}
	}
	return rows, latencyPlot(fmt.Sprintf("%s at %s requests a second", c.name, number(c.offered)), series...)
}

// honesty offers the program twice what the generator can send, where the harness has to say that it is itself the limit.
func (b *hitBench) honesty(ctx context.Context) error {
	smallest := b.inMemory()[0]
	limit, rate := smallest.limit, cmp.Or(b.Rate, 2*smallest.limit.open)
	o, err := open(ctx, steady(rate, b.size.ceiling), func() *shot { return smallest.shots[b.own] })
	if err != nil {
		return err
	}
	if !o.keptUp() && b.Rate > 0 {
		b.report.note(o.verdict(limit))
	}
	b.report.median("generator_closed_per_second", limit.closed, "req/s")
	b.report.figure("generator_open_per_second", limit.open, "req/s").spread(samples{limit.open, limit.beyond})
	b.report.table(Table{Title: "Who is the limit", Head: []string{"LOAD", ""}, Rows: [][]string{
		{"the generator, closed loop", number(limit.closed.median()) + "/s from a server that does nothing: no figure can be above it"},
		{"the generator, open loop", number(limit.open) + "/s"},
		{"offered " + number(rate/limit.open) + " × that", o.verdict(limit)},
	}})
	return nil
}
