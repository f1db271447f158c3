package transform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Pool renders in worker processes. It is safe for concurrent use.
type Pool struct {
	cfg       Config
	originals asset.Loader
	events    Events
	first     chan struct{} // closed when the first worker has said hello, or could not
	types     []string      // the media types that the workers' libvips loads; set before first is closed, like formats and broken
	formats   []string      // what it writes
	broken    error         // why the first worker could not be started
	looks     *semaphore.Weighted
	places    *semaphore.Weighted
	memory    *semaphore.Weighted
	queued    atomic.Int64
	free      atomic.Int64 // workers that wait for a job
	mean      atomic.Int64 // nanoseconds that a render took lately
	heads     headMemory
	jobs      chan *job
	forks     chan fork
	quit      chan struct{}
	closing   sync.Once
	slots     sync.WaitGroup
}

var _ asset.Loader = (*Pool)(nil)

// NewPool begins to start the workers, and fails when cfg is invalid ([asset.ErrInvalid]); see [Pool.Ready]. originals is
// where Load gets the originals from.
func NewPool(cfg Config, originals asset.Loader, ev Events) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Pool{
		cfg: cfg, originals: originals, events: ev,
		looks:  semaphore.NewWeighted(maxLooks),
		places: semaphore.NewWeighted(int64(cfg.staged())),
		memory: semaphore.NewWeighted(cfg.MaxMemoryBytes),
		jobs:   make(chan *job), forks: make(chan fork), quit: make(chan struct{}), first: make(chan struct{}),
	}
	p.slots.Add(cfg.workers())
	go p.forker()
	go p.begin()
	return p, nil
}

// begin starts the first worker, and then the others: a machine that has just begun has other things to do as well.
func (p *Pool) begin() {
	first, err := p.start()
	if err == nil {
		p.types, p.formats = first.types, first.formats
	}
	p.broken = err
	close(p.first)
	go p.slot(first)
	for range p.cfg.workers() - 1 {
		go p.slot(nil)
	}
}

// Ready returns when the first worker has said hello, and fails when it could not be started: then the pool is of no
// use. Renders wait for it by themselves.
func (p *Pool) Ready() error {
	<-p.first
	return p.broken
}

// Close waits for the renders that are running and ends the workers. What is asked for afterwards gets
// [asset.ErrUnavailable]. It may be called more than once.
func (p *Pool) Close() error {
	p.closing.Do(func() { close(p.quit) })
	p.slots.Wait()
	return nil
}

// Queued returns how many renders wait for their original, for memory or for a worker.
func (p *Pool) Queued() int { return int(p.queued.Load()) }

// Idle reports whether nothing waits and a worker has nothing to do, so that what nobody waits for may be rendered. What comes in
// behind the answer waits for that at most.
func (p *Pool) Idle() bool { return p.queued.Load() == 0 && p.free.Load() > 0 }

// Load renders k, which is no original. The object is in memory up to 1 MiB and in a sealed memory file above.
//
// A request that cannot be rendered is an *asset.Fault wrapping [asset.ErrInvalid], [asset.ErrMediaType],
// [asset.ErrTooLarge] or [asset.ErrUndecodable]. A worker that was lost makes [asset.ErrUnavailable], its deadline [asset.ErrTimeout], a full queue [asset.ErrOverloaded]. Errors of the originals'
// loader are passed on. ctx ends the waiting, and kills a render that nobody waits for.
func (p *Pool) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	t := asset.TraceOf(ctx)
	defer func(start time.Time) { t.Spent[asset.Transforming] += time.Since(start) }(time.Now())
	o, err := p.load(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("transform %s: %w", k, err)
	}
	t.Source = asset.Transforming
	return o, nil
}

func (p *Pool) load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	if err := p.writes(k.Variant.Format); err != nil {
		return nil, err
	}
	leave, err := func() {}, error(nil)
	if k.Variant.Format != asset.Reduced { // whose rendition is counted, and waits for it
		leave, err = p.enter()
	}
	if err != nil {
		return nil, err
	}
	defer leave()
	over, overlays, bytes, err := p.overlays(ctx, k.Variant)
	if err != nil {
		return nil, err
	}
	original := p.original(k.OriginalKey())
	defer original.putDown()
	h, err := p.look(ctx, original)
	if err != nil {
		return nil, err
	}
	r := request{MediaType: h.MediaType, Size: h.size, MaxPixels: p.cfg.MaxPixels, Variant: k.Variant, Overlays: overlays}
	source, err := p.source(ctx, k, h.Head, original)
	if err != nil {
		return nil, err
	}
	if source != nil {
		r.MediaType, r.Size, r.Whole = tiffType, source.Size, asset.Size{Width: h.Width, Height: h.Height}
		h.held, h.MediaType = 0, tiffType
		p.events.reduced()
	}
	return p.render(ctx, k, original, over, &job{request: r, bytes: bytes + estimate(h.Head, k.Variant), leave: leave})
}

// source returns the reduction to make k of, which original then is; nil when k is made of the original. While it waits for that it
// holds nothing.
func (p *Pool) source(ctx context.Context, k asset.Key, h Head, original *original) (*asset.Object, error) {
	shrink := reduction(h, k.Variant)
	if shrink == 1 {
		return nil, nil
	}
	original.putDown()
	original.key = reducedKey(k.Original, h, shrink)
	return original.load(ctx)
}

func (p *Pool) original(k asset.Key) *original {
	return &original{from: p.originals, key: k, free: func() {}}
}

// writes returns an *asset.Fault wrapping [asset.ErrMediaType] for a format that this libvips does not write.
func (p *Pool) writes(f asset.Format) error {
	if err := p.Ready(); err != nil {
		return fmt.Errorf("%w: %w", asset.ErrUnavailable, err)
	}
	if f == asset.Reduced || slices.Contains(p.formats, f.String()) {
		return nil
	}
	return &asset.Fault{
		Kind: asset.ErrMediaType, Part: "format", Detail: fmt.Sprintf("this libvips does not write %q", f),
		Allowed: strings.Join(p.formats, ", "),
	}
}

// Formats returns the names of the formats that are written, and the media types of the originals that are read. It waits as
// [Pool.Ready] does.
func (p *Pool) Formats() (written, read []string, err error) {
	if err := p.Ready(); err != nil {
		return nil, nil, err
	}
	return p.formats, p.types, nil
}

// Missing returns what a libvips with everything would write and read more than this one does, in the terms of [Pool.Formats].
func (p *Pool) Missing() (written, read []string, err error) {
	if err := p.Ready(); err != nil {
		return nil, nil, err
	}
	for _, f := range slices.Sorted(maps.Keys(encoders)) {
		if !slices.Contains(p.formats, f.String()) {
			written = append(written, f.String())
		}
	}
	for _, t := range slices.Sorted(maps.Keys(headers)) {
		if !slices.Contains(p.types, t) {
			read = append(read, t)
		}
	}
	return written, read, nil
}

// overlays looks at the originals of the watermarks of v, whose names are digests by now, and returns how many bytes they add.
func (p *Pool) overlays(ctx context.Context, v asset.Variant) (over []*original, heads []overlay, bytes int64, err error) {
	if v.Watermark.Name == "" && v.Then == "" {
		return nil, nil, 0, nil
	}
	for _, group := range v.Groups() {
		if group.Watermark.Name == "" {
			continue
		}
		var digest asset.Digest
		if err := digest.UnmarshalText([]byte(group.Watermark.Name)); err != nil {
			return nil, nil, 0, err
		}
		o := p.original(asset.Key{Original: digest})
		h, err := p.look(ctx, o)
		if err != nil {
			o.putDown()
			return nil, nil, 0, overlayFault(err)
		}
		over, heads = append(over, o), append(heads, overlay{h.MediaType, h.size})
		bytes += estimate(h.Head, asset.Variant{}) - perRender + int64(h.Width)*int64(h.Height)*perMadePixel
		o.putDown()
	}
	return over, heads, bytes, nil
}

// overlayFault says of a fault that the watermark has it, and not the picture.
func overlayFault(err error) error {
	if f, ok := errors.AsType[*asset.Fault](err); ok {
		return &asset.Fault{Kind: f.Kind, Part: "watermark", Detail: "the watermark: " + f.Detail, Allowed: f.Allowed}
	}
	return err
}

// Bounds on the originals that are held for a look at their heads.
const (
	maxLooks = 8
	// slowLook: a load that takes longer waits for a provider, and others may look meanwhile.
	slowLook = 20 * time.Millisecond
)

// look returns what is known of an original; the first time it loads it for that. Until the original is put down it counts as one of
// maxLooks then.
func (p *Pool) look(ctx context.Context, original *original) (known, error) {
	if h, ok := p.heads.get(original.key.Original); ok {
		return h, nil
	}
	if p.looks.Acquire(ctx, 1) != nil {
		return known{}, context.Cause(ctx)
	}
	original.free = sync.OnceFunc(func() { p.looks.Release(1) })
	defer time.AfterFunc(slowLook, original.free).Stop()
	o, err := original.load(ctx)
	if err != nil {
		return known{}, err
	}
	h, err := p.head(o, o.Size)
	if err == nil {
		p.heads.put(original.key.Original, known{h, o.Size})
	}
	return known{h, o.Size}, err
}

func (p *Pool) render(ctx context.Context, k asset.Key, from *original, over []*original, j *job) (*asset.Object, error) {
	waiting, done, err := p.admit(ctx, j.bytes, from.putDown)
	if err != nil {
		return nil, err
	}
	defer done()
	var ins []*input
	defer func() {
		for _, in := range ins {
			_ = in.Close()
		}
	}()
	for _, o := range append([]*original{from}, over...) {
		in, err := o.file(waiting)
		if err != nil && waiting.Err() != nil {
			return nil, p.waited(waiting)
		}
		if err != nil {
			return nil, err
		}
		ins = append(ins, in)
	}
	out, err := newMemory("rendition")
	if err != nil {
		return nil, err
	}
	files := []*os.File{ins[0].File, out}
	for _, in := range ins[1:] {
		files = append(files, in.File)
	}
	r, err := p.run(ctx, waiting, j, files...)
	for _, in := range ins {
		if err == nil {
			err = in.unchanged()
		}
	}
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	return objectOf(k, r, out)
}

// Probe says what the size bytes of f are. It returns the media type that the bytes prove, "" when they are no known
// picture, and a picture when this libvips can load that type: every pixel of its first page and of all frames of an animation has been decoded, so that a truncated
// or damaged file is an *asset.Fault wrapping [asset.ErrUndecodable], and one over a limit wraps [asset.ErrTooLarge].
// It waits for a worker like Load. A JPEG that lacks nothing but its end marker counts as truncated. A whole PDF whose
// pages cannot be drawn is a file and no picture.
func (p *Pool) Probe(ctx context.Context, f *os.File, size int64) (mediaType string, pic *asset.Picture, err error) {
	h, err := p.head(f, size)
	if errors.Is(err, asset.ErrMediaType) {
		return h.MediaType, nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("probe: %w", err)
	}
	pic, err = p.probe(ctx, h, f, size)
	if h.MediaType == pdfType && errors.Is(err, asset.ErrUndecodable) {
		return h.MediaType, nil, nil // encrypted, say: nothing to draw, and a file like any other
	}
	if err != nil {
		return "", nil, fmt.Errorf("probe: %w", err)
	}
	return h.MediaType, pic, nil
}

func (p *Pool) probe(ctx context.Context, h Head, f *os.File, size int64) (*asset.Picture, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	j := &job{
		request: request{Probe: true, MediaType: h.MediaType, Size: size, MaxPixels: p.cfg.MaxPixels},
		bytes:   estimate(h, asset.Variant{}), leave: leave,
	}
	waiting, done, err := p.admit(ctx, j.bytes, func() {})
	if err != nil {
		return nil, err
	}
	defer done()
	in, err := readOnly(f)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	r, err := p.run(ctx, waiting, j, in)
	if err != nil {
		return nil, err
	}
	r.Picture.Pages, r.Picture.Animated = max(h.Frames, r.Picture.Pages), h.Animated
	return r.Picture, nil
}

// head reads the header and applies the limits, all before a worker sees the picture. When the type is known but
// cannot be loaded here, the error wraps ErrMediaType and the head has the type.
func (p *Pool) head(r io.ReaderAt, size int64) (Head, error) {
	h, err := Header(r, size)
	if err != nil && !errors.Is(err, asset.ErrMediaType) {
		return h, err
	}
	if err := p.Ready(); err != nil {
		return h, fmt.Errorf("%w: %w", asset.ErrUnavailable, err)
	}
	if !slices.Contains(p.types, h.MediaType) {
		detail := h.MediaType + " cannot be rendered here: this libvips has no loader for it"
		if h.MediaType == "" {
			detail = "the bytes are no picture of a known type"
		}
		return h, &asset.Fault{Kind: asset.ErrMediaType, Detail: detail, Allowed: strings.Join(p.types, ", ")}
	}
	return h, p.cfg.check(h)
}

// enter counts a render in, or refuses it when the queue is full or too long to be through in time. leave counts it
// out, once.
func (p *Pool) enter() (leave func(), err error) {
	leave = sync.OnceFunc(func() { p.queued.Add(-1) })
	before := p.queued.Add(1) - 1
	reason := ""
	switch {
	case before >= int64(p.cfg.Queue):
		reason = "queue"
	case p.lasts(before) > p.cfg.QueueTimeout:
		reason = "wait"
	default:
		return leave, nil
	}
	leave()
	p.events.shed(reason)
	return nil, fmt.Errorf("%w: %d renders are waiting", asset.ErrOverloaded, before)
}

// lasts guesses how long n renders will keep the workers busy.
func (p *Pool) lasts(n int64) time.Duration {
	return time.Duration(p.mean.Load() * n / int64(p.cfg.workers()))
}

// learn has the mean follow what a render took. An update lost to another slot's does no harm.
func (p *Pool) learn(d time.Duration) {
	mean := p.mean.Load()
	p.mean.Store(mean + (int64(d)-mean)/8)
}

// A job is one request on its way to a worker. It has files once it was admitted.
type job struct {
	request
	ctx    context.Context
	files  []*os.File
	bytes  int64  // charged to the pool's memory
	leave  func() // called when the job is on a worker
	tries  int
	answer chan answer
}

type answer struct {
	reply
	err error
}

// admit waits until a job may hold what it works on: for a place and for its memory, which done gives back. Before it
// waits it calls putDown: what waits holds nothing. waiting ends when the job has waited enough, a worker included.
func (p *Pool) admit(ctx context.Context, bytes int64, putDown func()) (waiting context.Context, done func(), err error) {
	if bytes > p.cfg.MaxMemoryBytes {
		return nil, nil, &asset.Fault{
			Kind:    asset.ErrTooLarge,
			Detail:  fmt.Sprintf("rendering this needs about %d MiB of memory", bytes>>20),
			Allowed: fmt.Sprintf("at most %d MiB", p.cfg.MaxMemoryBytes>>20),
		}
	}
	waiting, cancel := context.WithTimeoutCause(ctx, p.cfg.QueueTimeout, errWaited)
	if err := p.acquire(waiting, bytes, putDown); err != nil {
		cancel()
		return nil, nil, err
	}
	return waiting, func() {
		p.memory.Release(bytes)
		p.places.Release(1)
		cancel()
	}, nil
}

func (p *Pool) acquire(waiting context.Context, bytes int64, putDown func()) error {
	if !p.places.TryAcquire(1) {
		putDown()
		if p.places.Acquire(waiting, 1) != nil {
			return p.waited(waiting)
		}
	}
	if !p.memory.TryAcquire(bytes) {
		putDown()
		if p.memory.Acquire(waiting, bytes) != nil {
			p.places.Release(1)
			return p.waited(waiting)
		}
	}
	return nil
}

// run waits for a worker, until waiting ends, and then for its answer.
func (p *Pool) run(ctx, waiting context.Context, j *job, files ...*os.File) (reply, error) {
	if waiting.Err() != nil { // or a worker might be started on it only to be killed
		return reply{}, p.waited(waiting)
	}
	j.ctx, j.files, j.answer = ctx, files, make(chan answer, 1)
	select {
	case p.jobs <- j:
		a := <-j.answer
		return a.reply, a.err
	case <-waiting.Done():
		return reply{}, p.waited(waiting)
	case <-p.quit:
		return reply{}, errClosed
	}
}

var (
	errWaited = fmt.Errorf("%w: no worker became free in time", asset.ErrOverloaded)
	errClosed = fmt.Errorf("%w: the renderer is closed", asset.ErrUnavailable)
	errLost   = fmt.Errorf("%w: the worker was lost", asset.ErrUnavailable)
)

func (p *Pool) waited(ctx context.Context) error {
	err := context.Cause(ctx)
	if errors.Is(err, errWaited) {
		p.events.shed("wait")
	}
	return err
}

// slot keeps one worker alive, and gives it jobs, until the pool is closed.
func (p *Pool) slot(w *worker) {
	defer p.slots.Done()
	var j *job
	for {
		if w == nil {
			if w = p.hire(); w == nil {
				if j != nil {
					j.answer <- answer{err: errClosed}
				}
				return
			}
		}
		var reason string
		j, reason = p.serve(w, j)
		w.kill()
		p.events.workerLost(reason, w.stderr.String())
		if reason == reasonClosed {
			return
		}
		w = nil
	}
}

// Why a worker ended.
const (
	reasonStart     = "start"
	reasonIdle      = "idle"
	reasonRecycled  = "recycled"
	reasonMalformed = "malformed"
	reasonCrashed   = "crashed"
	reasonTimeout   = "timeout"
	reasonCancelled = "cancelled"
	reasonClosed    = "closed"
)

// serve gives w jobs, j first, until it cannot be used any more. It returns the reason, and the job that it found the
// worker already gone for.
func (p *Pool) serve(w *worker, j *job) (untaken *job, reason string) {
	for {
		if j == nil {
			var reason string
			if j, reason = p.next(w); j == nil {
				return nil, reason
			}
		}
		switch reason := p.give(w, j); reason {
		case "":
		case reasonIdle:
			return p.again(j), reason
		default:
			return nil, reason
		}
		if j = nil; w.worn(p.cfg) {
			return nil, reasonRecycled
		}
	}
}

// next waits for a job for w; nil when there will be none, for that reason. The job is counted out of the queue later than its worker
// out of the free ones: what reads both finds it in one of them.
func (p *Pool) next(w *worker) (j *job, reason string) {
	p.free.Add(1)
	defer p.free.Add(-1)
	select {
	case <-p.quit:
		return nil, reasonClosed
	case <-w.done:
		return nil, reasonIdle
	case j = <-p.jobs:
		return j, ""
	}
}

// again returns a job that a worker did not take for the next one; nil when that has happened too often.
func (p *Pool) again(j *job) *job {
	if j.tries++; j.tries < maxTries {
		return j
	}
	j.answer <- answer{err: errLost}
	return nil
}

// maxTries is how many workers a job may find gone.
const maxTries = 5

// give runs j on w and answers it, unless w was gone before (reasonIdle). It returns why w is lost, "" when it is not.
func (p *Pool) give(w *worker, j *job) (reason string) {
	j.leave()
	start := time.Now()
	r, err := w.do(j.ctx, p.cfg.Timeout, &j.request, j.files...)
	if errors.Is(err, errNotTaken) {
		return reasonIdle
	}
	if err == nil {
		err = r.err()
	}
	if err == nil {
		err = j.accept(r)
	}
	outcome, reason, err := judge(r, err)
	took := time.Since(start)
	p.learn(took)
	p.events.rendered(j.name(), outcome, took)
	if err == nil && j.Variant.Format == asset.Reduced {
		p.events.reduction(r.Size)
	}
	p.events.diagnosed(j.name(), outcome, r.Library)
	j.answer <- answer{r, err}
	return reason
}

// judge says what the metric shows for a render that ended with err, why the worker is lost, and what to answer.
func judge(r reply, err error) (outcome, reason string, answered error) {
	var fault *asset.Fault
	switch {
	case err == nil:
		return "ok", "", nil
	case errors.As(err, &fault):
		return r.Code, "", err
	case errors.Is(err, asset.ErrTimeout):
		return "timeout", reasonTimeout, err
	case errors.Is(err, errMalformed):
		return "failed", reasonMalformed, errLost
	case errors.Is(err, errCrashed):
		return "crashed", reasonCrashed, errLost
	}
	return "cancelled", reasonCancelled, err
}

// accept checks a result before anybody sees it: a worker is not trusted. The file is sealed, so that it stays as it is.
func (j *job) accept(r reply) error {
	if j.Probe {
		if p := r.Picture; p == nil || p.Width <= 0 || p.Height <= 0 {
			return errMalformed
		}
		return nil
	}
	info, err := j.files[1].Stat()
	if err != nil || r.Size <= 0 || info.Size() != r.Size || r.Width <= 0 || r.Height <= 0 {
		return errMalformed
	}
	if seal(j.files[1]) != nil {
		return errMalformed
	}
	return nil
}

// hire starts a worker, waiting longer after each failure; nil when the pool is closed.
func (p *Pool) hire() *worker {
	for wait := time.Duration(0); ; wait = min(2*wait+50*time.Millisecond, 5*time.Second) {
		select {
		case <-p.quit:
			return nil
		case <-time.After(wait):
		}
		if w, err := p.start(); err == nil {
			return w
		}
	}
}

func (p *Pool) start() (*worker, error) {
	w, err := startWorker(p.cfg.Command, p.cfg.Fonts, p.fork)
	if err != nil {
		p.events.workerLost(reasonStart, err.Error())
		return nil, err
	}
	p.events.workerStarted(w.cmd.Process.Pid)
	return w, nil
}

// A fork is a process to start.
type fork struct {
	cmd *exec.Cmd
	err chan error
}

func (p *Pool) fork(cmd *exec.Cmd) error {
	f := fork{cmd, make(chan error, 1)}
	select {
	case p.forks <- f:
		return <-f.err
	case <-p.quit:
		return errClosed
	}
}

// forker starts all workers on one thread. The kernel sends a child its parent-death signal when the *thread* that
// forked it ends (prctl(2), PR_SET_PDEATHSIG), and Go's threads may end before the process does.
func (p *Pool) forker() {
	runtime.LockOSThread()
	defer p.slots.Wait() // the thread ends last: its goroutine never unlocks it
	for {
		select {
		case f := <-p.forks:
			f.err <- f.cmd.Start()
		case <-p.quit:
			return
		}
	}
}
