package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
)

// soakSize is how much the soak scenario does.
type soakSize struct {
	daySize
	lasts time.Duration
	part  time.Duration // by turns calm, and with a fault
}

func soakScenario(ctx context.Context, r *run) error {
	size := soakSize{daySize{4, 100, 500_000, 80, time.Second, 3 * time.Second}, time.Hour, 10 * time.Second}
	if r.Quick {
		size.originals, size.pixels, size.lasts, size.part = 20, 200_000, 32*time.Second, 2*time.Second
		size.uploads, size.purges = 300*time.Millisecond, 700*time.Millisecond
	}
	size.lasts = cmp.Or(r.Lasts, size.lasts)
	return soak(ctx, r, size)
}

// A fault is something that happens to a server in the middle of a part of its day.
type fault struct {
	name string
	// outage: what is asked for meanwhile may be refused. Otherwise it may not, or only as many answers as tolerated.
	outage    bool
	tolerated int
	strike    func(s *soaking) (mend func() error, err error) // mend may be nil
}

// faults take turns. The first of them happens once, after a third of the time, so that what grows can be seen in the rest.
var faults = []fault{
	{"the program is killed and started again", true, 0, (*soaking).killProgram},
	{"a render worker is killed", false, workersAnswers, (*soaking).killWorker},
	{"the disk cache is deleted", false, 0, (*soaking).deleteCache},
	{"cached files are damaged", false, 0, (*soaking).damageCache},
	{"the originals cannot be reached", true, 0, (*soaking).hideOriginals},
}

// workersAnswers is how many answers a killed worker may take with it: what it was making, to whoever waited for it.
const workersAnswers = 8

// soaking is the scenario at work.
type soaking struct {
	*day
	size     soakSize
	server   *server
	started  time.Time
	requests int
	calm     int // failures where nothing was broken
	parts    []soakPart
	failures []error

	mu   sync.Mutex // guards the rest
	seen map[string]uint64
	torn []error
}

// A soakPart is what was seen in one part.
type soakPart struct {
	fault              string // "" of a calm one
	at                 time.Duration
	failed, shed, sent int
	mended             time.Duration // how long until it rendered again
	rss                int64
	goroutines, files  float64
	sinceStart         int // parts since the program's start
}

// soak lets a day go on for long while things break.
func soak(ctx context.Context, r *run, size soakSize) (err error) {
	f, err := openField(ctx, r, fmt.Sprint("ASSETMATRIX_CACHE_MEMORY_MAX_BYTES=", 32<<20))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	d, err := newDay(ctx, f, size.daySize)
	if err != nil {
		return err
	}
	s := &soaking{day: d, size: size, server: f.booted[0], started: time.Now(), seen: map[string]uint64{}}
	n := max(2*len(faults), int(size.lasts/size.part))
	for i := range n {
		s.progress("soaking", i, n)
		if err := s.step(ctx, i, n); err != nil {
			return err
		}
	}
	lost, err := d.lost(ctx)
	if err != nil {
		return err
	}
	s.reportTo(r.report, lost)
	if len(lost) > 0 || len(s.torn) > 0 {
		return errors.Join(append(append([]error{errors.New("what was measured did not hold")}, lost...), s.torn...)...)
	}
	return nil
}

// step is one part of n: every other one has a fault.
func (s *soaking) step(ctx context.Context, i, n int) error {
	var f *fault
	switch k := i / 2; {
	case i%2 == 0:
	case k == n/6:
		f = &faults[0]
	default:
		if k > n/6 {
			k-- // so that none misses its turn
		}
		f = &faults[1+k%(len(faults)-1)]
	}
	part, err := s.part(ctx, f)
	if err != nil {
		return err
	}
	if len(s.parts) > 0 && (f == nil || f != &faults[0]) {
		part.sinceStart = s.parts[len(s.parts)-1].sinceStart + 1
	}
	s.parts = append(s.parts, part)
	return nil
}

// part lets the day go on for one part of it, and the fault happen in its midst.
func (s *soaking) part(ctx context.Context, f *fault) (p soakPart, err error) {
	living, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var unwritten []error
	beside.Go(func() { s.live(living, func(err error) { unwritten = append(unwritten, err) }) })
	var o *offer
	var openErr error
	beside.Go(func() { o, openErr = open(ctx, steady(s.size.rate, s.size.part), s.any); stop() })
	if f != nil { // here, as a process dies with the thread that started it
		p.fault = f.name
		err = s.suffer(ctx, f)
	}
	beside.Wait()
	stop()
	if err := errors.Join(err, openErr); err != nil {
		return p, err
	}
	failure := errors.Join(append(unwritten, o.failures()...)...)
	wrong := o.failed + o.unanswered
	p.failed, p.shed, p.sent = wrong+len(unwritten), o.shed, wrong+o.shed+len(o.latencies)
	s.requests += p.sent
	if bad := p.failed + p.shed; bad > 0 && (f == nil || !f.outage && bad > f.tolerated) {
		s.calm += bad
		s.failures = append(s.failures, fmt.Errorf("%s: %w", cmp.Or(p.fault, "nothing was broken"), failure))
	}
	if f != nil {
		if p.mended, err = s.recovered(ctx); err != nil {
			return p, fmt.Errorf("after %s: %w", f.name, err)
		}
	}
	return p, s.look(ctx, &p)
}

// suffer lets a fault happen, and mends it.
func (s *soaking) suffer(ctx context.Context, f *fault) error {
	if err := sleepUntil(ctx, time.Now().Add(s.size.part/4)); err != nil {
		return err
	}
	mend, err := f.strike(s)
	if err != nil || mend == nil {
		return err
	}
	sleepErr := sleepUntil(ctx, time.Now().Add(s.size.part/4))
	return errors.Join(sleepErr, mend())
}

// any is what the next visitor asks for, one in eight of them what nobody has asked for. Whatever has the same ETag must be
// the same bytes, however often it was made and wherever it has been kept.
func (s *soaking) any() *shot {
	next := s.visit
	if rand.IntN(8) == 0 {
		next = s.rare
	}
	shot := next()
	shows := shot.body
	shot.body = func(etag string, body []byte) error {
		if err := shows(etag, body); err != nil { // which no fault excuses
			s.mu.Lock()
			defer s.mu.Unlock()
			s.torn = append(s.torn, err)
			return err
		}
		sum := xxhash.Sum64(body)
		s.mu.Lock()
		defer s.mu.Unlock()
		if before, ok := s.seen[etag]; ok && before != sum {
			err := fmt.Errorf("%s with ETag %s has other bytes than before", shot.url, etag)
			s.torn = append(s.torn, err)
			return err
		}
		s.seen[etag] = sum
		return nil
	}
	return shot
}

// recoverTimeout is how long a server may take until it renders again.
const recoverTimeout = 30 * time.Second

// recovered returns how long it takes until the program renders again, and does so ten times in a row.
func (s *soaking) recovered(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	start := time.Now()
	last := start
	for good := 0; good < 10; {
		if _, err := askOnce(ctx, s.rare()); err == nil {
			good++
			continue
		} else if ctx.Err() != nil {
			return 0, err
		}
		good, last = 0, time.Now()
		_ = sleepUntil(ctx, last.Add(50*time.Millisecond)) // the next request says that ctx has ended
	}
	return last.Sub(start), nil
}

// look notes what the program has at the end of a part.
func (s *soaking) look(ctx context.Context, p *soakPart) error {
	c, err := s.on.counters(ctx)
	if err != nil {
		return err
	}
	files, err := s.on.tree.descriptors()
	if err != nil {
		return err
	}
	p.at, p.goroutines, p.files = time.Since(s.started), c.goroutines, float64(files)
	p.rss, err = s.on.tree.rss()
	return err
}

func (s *soaking) killProgram() (func() error, error) {
	if err := s.server.kill(); err != nil {
		return nil, err
	}
	return func() error {
		ctx := context.Background() // of its end the field takes care
		if err := s.server.start(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, serverTimeout)
		defer cancel()
		_, err := s.server.ready(ctx)
		s.on.tree = treeOf(s.server.command.Process.Pid)
		return err
	}, nil
}

func (s *soaking) killWorker() (func() error, error) {
	members, err := s.on.tree.members()
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.PID != s.server.command.Process.Pid {
			return nil, syscall.Kill(m.PID, syscall.SIGKILL)
		}
	}
	return nil, errors.New("the program has no render worker")
}

func (s *soaking) deleteCache() (func() error, error) {
	entries, err := os.ReadDir(filepath.Join(s.server.dir, "cache"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.server.dir, "cache", e.Name())); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return nil, err // a directory into which something is written at the moment is another matter
		}
	}
	return nil, nil
}

// damaged is of how many files of the disk cache a byte is changed.
const damaged = 20

func (s *soaking) damageCache() (func() error, error) {
	n := 0
	err := filepath.WalkDir(filepath.Join(s.server.dir, "cache"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || n >= damaged {
			return nil // it went meanwhile
		}
		n++
		return damage(path)
	})
	return nil, err
}

// damage changes a byte in the middle of a file, in place.
func damage(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was evicted
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, info.Size()/2); err != nil {
		return err
	}
	b[0] ^= 0xff
	_, err = f.WriteAt(b, info.Size()/2)
	return err
}

func (s *soaking) hideOriginals() (func() error, error) {
	originals := filepath.Join(s.server.dir, "originals")
	if err := os.Rename(originals, originals+".away"); err != nil {
		return nil, err
	}
	return func() error {
		// What was uploaded meanwhile was stored in a directory of its own, unless that was refused.
		if err := mergeDir(originals, originals+".away"); err != nil {
			return err
		}
		return os.Rename(originals+".away", originals)
	}, nil
}

// mergeDir moves all files of one directory into another, and removes it.
func mergeDir(from, to string) error {
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.Rename(path, target)
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(from))
}

func (s *soaking) reportTo(r *Report, lost []error) {
	first, last := s.ends()
	// What is counted may be one more or less at any moment.
	grown := func(name string, of func(soakPart) float64, one float64) {
		before, after := parts(first, of), parts(last, of)
		growth := func(before, after float64) float64 { return 100 * (after/before - 1) }
		r.figure(name, growth(before.median(), after.median()), "%").
			spread(samples{growth(slices.Max(before)+one, slices.Min(after)-one), growth(slices.Min(before)-one, slices.Max(after)+one)})
	}
	counted := func(name string, of func(soakPart) float64) {
		all := parts(slices.Concat(first, last), of)
		r.figure(name, parts(last, of).median(), "").spread(samples{slices.Min(all) - 1, slices.Max(all) + 1})
	}
	rss := func(p soakPart) float64 { return float64(p.rss) / 1e6 }
	goroutines := func(p soakPart) float64 { return p.goroutines }
	files := func(p soakPart) float64 { return p.files }
	r.figure("soak_requests", float64(s.requests), "requests")
	r.figure("soak_writes", float64(s.writes), "writes")
	r.atMost("soak_failures", float64(s.calm), "", 0)
	r.atMost("soak_torn", float64(len(s.torn)), "", 0)
	r.atMost("soak_lost", float64(len(lost)), "", 0)
	r.figure("soak_rss_mb", parts(last, rss).median(), "MB").spread(parts(slices.Concat(first, last), rss))
	counted("soak_goroutines", goroutines)
	counted("soak_descriptors", files)
	grown("soak_rss_growth_percent", rss, 0)
	grown("soak_goroutines_growth_percent", goroutines, 1)
	grown("soak_descriptors_growth_percent", files, 1)
	r.table(s.faultTable())
	s.reportWho(ceiling{}, nil, s.failures)
	r.plot(s.line("Memory of the program and its workers", "MB", rss))
	r.plot(s.line("Goroutines", "goroutines", goroutines))
	r.plot(s.line("Open files", "files", files))
}

// ends are the first and the last third of what came behind the program's last start, without the part that followed it.
func (s *soaking) ends() (first, last []soakPart) {
	life := s.parts
	for i, p := range s.parts {
		if p.sinceStart == 0 {
			life = s.parts[min(i+1, len(s.parts)-1):]
		}
	}
	third := max(1, len(life)/3)
	return life[:third], life[len(life)-third:]
}

func parts(of []soakPart, value func(soakPart) float64) (s samples) {
	for _, p := range of {
		s = append(s, value(p))
	}
	return s
}

// line draws a value over the time.
func (s *soaking) line(title, unit string, value func(soakPart) float64) Plot {
	line := Series{Name: ownName}
	for _, p := range s.parts {
		line.Points = append(line.Points, Point{p.at.Minutes(), value(p)})
	}
	return Plot{Title: title, X: Axis{Label: "minutes"}, Y: Axis{Label: unit}, Series: []Series{line}}
}

// faultTable says what each fault has cost.
func (s *soaking) faultTable() Table {
	t := Table{Title: "What was broken, and what that cost", Head: []string{"", "TIMES", "REQUESTS", "FAILED", "SHED", "RENDERS AGAIN AFTER ms (MOST)"}}
	for _, f := range append([]fault{{name: ""}}, faults...) {
		n, sent, failed, shed, mended := 0, 0, 0, 0, time.Duration(0)
		for _, p := range s.parts {
			if p.fault == f.name {
				n, sent, failed, shed, mended = n+1, sent+p.sent, failed+p.failed, shed+p.shed, max(mended, p.mended)
			}
		}
		t.Rows = append(t.Rows, []string{
			cmp.Or(f.name, "nothing"), grouped(int64(n)), grouped(int64(sent)), grouped(int64(failed)), grouped(int64(shed)), number(ms(mended)),
		})
	}
	return t
}
