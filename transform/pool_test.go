package transform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "image/jpeg"
	_ "image/png"

	"golang.org/x/sync/singleflight"

	"github.com/assetmatrix/assetmatrix/asset"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestMain runs the test binary as a worker, the way the command does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "render-worker" {
		if err := Work(os.NewFile(3, "socket")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A shelf has originals in memory and, where said so, in files.
type shelf struct {
	mu      sync.Mutex // guards the rest
	bytes   map[asset.Digest][]byte
	kept    map[asset.Key]*asset.Object // reductions
	make    asset.Loader
	flights singleflight.Group
	loads   int
	gate    chan struct{}
}

func (s *shelf) put(b []byte) asset.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := asset.Digest(sha256.Sum256(b))
	s.bytes[d] = b
	return d
}

func (s *shelf) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if k.Variant.Format == asset.Reduced {
		return s.reduced(ctx, k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	b, ok := s.bytes[k.Original]
	if !ok || !k.IsOriginal() {
		return nil, fmt.Errorf("shelf %s: %w", k, asset.ErrNotFound)
	}
	return asset.NewObject(k, "application/octet-stream", b), nil
}

// reduced has the pool make a reduction, and keeps it, as a disk cache does.
func (s *shelf) reduced(ctx context.Context, k asset.Key) (*asset.Object, error) {
	s.mu.Lock()
	o := s.kept[k]
	s.mu.Unlock()
	if o != nil {
		return o.Retain(), nil
	}
	made, err, _ := s.flights.Do(k.String(), func() (any, error) {
		o, err := s.make.Load(context.WithoutCancel(ctx), k)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kept[k] = o
		return o, nil
	})
	if err != nil {
		return nil, err
	}
	return made.(*asset.Object).Retain(), nil
}

// A bench is a pool under test.
type bench struct {
	*Pool
	shelf *shelf
	log   *journal
}

// A journal keeps a pool's events.
type journal struct {
	mu       sync.Mutex // guards the rest
	rendered []string
	lost     []string
	shed     []string
	library  []string
	pids     []int
	reduced  atomic.Int64
}

func (j *journal) events() Events {
	add := func(list *[]string, s string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		*list = append(*list, s)
	}
	return Events{
		Rendered:      func(format, outcome string, _ time.Duration) { add(&j.rendered, format+" "+outcome) },
		Diagnosed:     func(_, _, library string) { add(&j.library, library) },
		WorkerLost:    func(reason, _ string) { add(&j.lost, reason) },
		Reduced:       func() { j.reduced.Add(1) },
		Shed:          func(reason string) { add(&j.shed, reason) },
		WorkerStarted: func(pid int) { j.mu.Lock(); defer j.mu.Unlock(); j.pids = append(j.pids, pid) },
	}
}

func (j *journal) count(list *[]string, s string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, have := range *list {
		if have == s {
			n++
		}
	}
	return n
}

func (j *journal) lastPID() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pids[len(j.pids)-1]
}

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Command, cfg.Workers = []string{"/proc/self/exe", "render-worker"}, 2
	return cfg
}

func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	b := &bench{shelf: &shelf{bytes: map[asset.Digest][]byte{}, kept: map[asset.Key]*asset.Object{}}, log: &journal{}}
	var err error
	if b.Pool, err = NewPool(cfg, b.shelf, b.log.events()); err != nil {
		t.Fatal(err)
	}
	b.shelf.make = b.Pool
	t.Cleanup(func() { _ = b.Close() })
	if err := b.Ready(); err != nil {
		t.Fatal(err)
	}
	return b
}

// render loads one rendition of an original and releases it.
func (b *bench) render(t testing.TB, original []byte, v asset.Variant) ([]byte, error) {
	t.Helper()
	o, err := b.Load(t.Context(), asset.Key{Original: b.shelf.put(original), Variant: v})
	if err != nil {
		return nil, err
	}
	defer o.Release()
	out := make([]byte, o.Size)
	if _, err := o.ReadAt(out, 0); err != nil {
		t.Fatal(err)
	}
	return out, nil
}

// picture renders and decodes. Go cannot decode AVIF, and takes WebP's narrow YCbCr for a wide one: those go through
// the pool once more.
func (b *bench) picture(t testing.TB, original []byte, v asset.Variant) image.Image {
	t.Helper()
	out, err := b.render(t, original, v)
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	if v.Format == asset.WebP || v.Format == asset.AVIF {
		return b.picture(t, out, asset.Variant{Format: asset.PNG})
	}
	m, _, err := image.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	return m
}

// probe probes bytes in a file that has lost its name.
func (b *bench) probe(t testing.TB, original []byte) (string, *asset.Picture, error) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "original")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(os.Remove(f.Name()), writeAll(f, original)); err != nil {
		t.Fatal(err)
	}
	return b.Probe(t.Context(), f, int64(len(original)))
}

func writeAll(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// slow is a render that takes seconds, of an original that is small.
var slow = asset.Variant{Width: 6000, Height: 6000, Fit: asset.Squeeze, Format: asset.AVIF}

// ticks returns the CPU time that a process has used, in clock ticks (proc(5), stat).
func ticks(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// midRender starts the slow render, waits until the worker is at it, does something to it and returns the answer.
func midRender(t *testing.T, b *bench, ctx context.Context, do func(pid int)) error {
	t.Helper()
	pid := b.log.lastPID()
	before := ticks(pid)
	key := asset.Key{Original: b.shelf.put(jpegOf(t, photo(64, 64))), Variant: slow}
	done := make(chan error, 1)
	go func() {
		o, err := b.Load(ctx, key)
		if err == nil {
			o.Release()
		}
		done <- err
	}()
	eventually(t, "the worker is rendering", func() bool { return ticks(pid) > before+15 })
	do(pid)
	return <-done
}

func (b *bench) mustRender(t *testing.T) {
	t.Helper()
	if _, err := b.render(t, jpegOf(t, photo(64, 64)), asset.Variant{Width: 32, Format: asset.WebP}); err != nil {
		t.Errorf("the next render: %v", err)
	}
}

func one(c *Config) { c.Workers = 1 }

// TestKilled: SIGKILL in the middle of a render costs that answer, which is worth a retry, and no other.
func TestKilled(t *testing.T) {
	b := newBench(t, one)
	err := midRender(t, b, t.Context(), func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("killed: %v", err)
	}
	b.mustRender(t)
	if b.log.count(&b.log.lost, reasonCrashed) != 1 || b.log.count(&b.log.rendered, "avif crashed") != 1 {
		t.Error(b.log.lost, b.log.rendered)
	}
}

// TestSegfault: so does a crash of the library, and what it wrote goes to the event.
func TestSegfault(t *testing.T) {
	b := newBench(t, one)
	err := midRender(t, b, t.Context(), func(pid int) { _ = syscall.Kill(pid, syscall.SIGSEGV) })
	if !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("crashed: %v", err)
	}
	b.mustRender(t)
}

// TestStopped: a stopped worker is killed at the deadline.
func TestStopped(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Workers, c.Timeout = 1, 2*time.Second })
	err := midRender(t, b, t.Context(), func(pid int) { _ = syscall.Kill(pid, syscall.SIGSTOP) })
	if !errors.Is(err, asset.ErrTimeout) {
		t.Errorf("stopped: %v", err)
	}
	b.mustRender(t)
	if b.log.count(&b.log.lost, reasonTimeout) != 1 || b.log.count(&b.log.rendered, "avif timeout") != 1 {
		t.Error(b.log.lost, b.log.rendered)
	}
}

// TestCancelled: a render that nobody waits for is stopped.
func TestCancelled(t *testing.T) {
	b := newBench(t, one)
	ctx, cancel := context.WithCancel(t.Context())
	if err := midRender(t, b, ctx, func(int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	b.mustRender(t)
	if b.log.count(&b.log.lost, reasonCancelled) != 1 {
		t.Error(b.log.lost)
	}
}

// TestIdleKilled: a worker that dies idle costs no answer, however soon the next render comes.
func TestIdleKilled(t *testing.T) {
	b := newBench(t, one)
	for range 20 {
		_ = syscall.Kill(b.log.lastPID(), syscall.SIGKILL)
		b.mustRender(t)
	}
	if n := b.log.count(&b.log.lost, reasonCrashed); n != 0 {
		t.Errorf("%d renders were lost", n)
	}
	_ = syscall.Kill(b.log.lastPID(), syscall.SIGKILL) // and is replaced without being asked
	before := b.log.lastPID()
	eventually(t, "a new worker", func() bool { return b.log.lastPID() != before })
}

// TestOrphans: workers die with the server, whichever of its threads ends.
func TestOrphans(t *testing.T) {
	if os.Getenv("TRANSFORM_ORPHANS") != "" {
		b := newBench(t, one)
		fmt.Println("pid", b.log.lastPID())
		select {}
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOrphans$")
	cmd.Env = append(os.Environ(), "TRANSFORM_ORPHANS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "pid %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "the worker is gone", func() bool { return ticks(pid) == 0 || state(pid) == 'Z' })
}

func state(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 'X'
	}
	return b[bytes.LastIndexByte(b, ')')+2]
}

// TestThreads: the parent-death signal of a worker does not fire when threads of the server end.
func TestThreads(t *testing.T) {
	b := newBench(t, nil)
	var threads sync.WaitGroup
	for range 50 {
		threads.Go(func() { runtime.LockOSThread() }) // ends with its thread
	}
	threads.Wait()
	b.mustRender(t)
	if len(b.log.lost) != 0 {
		t.Error(b.log.lost)
	}
}

// TestRecycled: a worn worker is replaced between renders.
func TestRecycled(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Workers, c.MaxRenders = 1, 3 })
	for range 10 {
		b.mustRender(t)
	}
	eventually(t, "three were recycled", func() bool { return b.log.count(&b.log.lost, reasonRecycled) == 3 })
	fat := newBench(t, func(c *Config) { c.Workers, c.MaxWorkerBytes = 1, 1 })
	fat.mustRender(t)
	fat.mustRender(t)
	eventually(t, "both were recycled", func() bool { return fat.log.count(&fat.log.lost, reasonRecycled) == 2 })
}

// TestOverload: a full queue refuses at once, before the original is asked for; one that moves too slowly refuses later.
func TestOverload(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Queue = 2 })
	b.shelf.gate = make(chan struct{})
	key := asset.Key{Original: b.shelf.put(jpegOf(t, photo(64, 64))), Variant: asset.Variant{Format: asset.JPEG}}
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			o, err := b.Load(t.Context(), key)
			if err != nil {
				t.Error(err)
				return
			}
			o.Release()
		})
	}
	eventually(t, "two wait", func() bool { return b.Queued() == 2 })
	if _, err := b.Load(t.Context(), key); !errors.Is(err, asset.ErrOverloaded) {
		t.Errorf("third: %v", err)
	}
	close(b.shelf.gate)
	waiting.Wait()
	if b.Queued() != 0 || b.log.count(&b.log.shed, "queue") != 1 || b.shelf.loads != 2 {
		t.Error(b.Queued(), b.log.shed, b.shelf.loads)
	}
}

// TestWaitsTooLong: with the only worker stopped, a render that is not taken in time is refused.
func TestWaitsTooLong(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Workers, c.QueueTimeout = 1, 50*time.Millisecond })
	_ = midRender(t, b, t.Context(), func(pid int) {
		_, err := b.render(t, jpegOf(t, photo(32, 32)), asset.Variant{Format: asset.JPEG})
		if !errors.Is(err, asset.ErrOverloaded) {
			t.Errorf("waited: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = b.Load(ctx, asset.Key{Original: b.shelf.put(jpegOf(t, photo(32, 32))), Variant: asset.Variant{Format: asset.JPEG}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while waiting: %v", err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
	if b.log.count(&b.log.shed, "wait") != 1 {
		t.Error(b.log.shed)
	}
}

// TestMemory: what one render would need is held against the whole, and several share it.
func TestMemory(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxMemoryBytes = perRender + 8<<20 })
	fault := (*asset.Fault)(nil)
	_, err := b.render(t, jpegOf(t, photo(64, 64)), slow)
	if !errors.As(err, &fault) || !errors.Is(err, asset.ErrTooLarge) || fault.Allowed != "at most 32 MiB" {
		t.Errorf("over the whole: %v", err)
	}
	var all sync.WaitGroup
	for i := range 8 { // one at a time, since two are over it
		all.Go(func() {
			if _, err := b.render(t, jpegOf(t, photo(64+i, 64)), asset.Variant{Width: 32, Format: asset.JPEG}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestLimits: a picture over a limit is refused by its header, without a worker, with the size found and the limit.
func TestLimits(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxPixels, c.MaxFramePixels = 10_000, 30_000 })
	f := func(detail, allowed string, original []byte) {
		t.Helper()
		_, _, err := b.probe(t, original)
		_, err2 := b.render(t, original, asset.Variant{Width: 1, Format: asset.JPEG})
		for _, err := range []error{err, err2} {
			fault := (*asset.Fault)(nil)
			if !errors.As(err, &fault) || !errors.Is(err, asset.ErrTooLarge) || !strings.Contains(fault.Detail, detail) || fault.Allowed != allowed {
				t.Errorf("%s: %v", detail, err)
			}
		}
	}
	f("30000 × 30000", "at most 10000 pixels", pngClaiming(30000, 30000))
	f("2147483647 × 2147483647", "at most 10000 pixels", pngClaiming(1<<31-1, 1<<31-1))
	f("101 × 100 = 10100", "at most 10000 pixels", jpegOf(t, photo(101, 100)))
	f("100 × 100 × 4 frames", "at most 30000 pixels in all frames", gifOf(t, 100, 100, 4))
	if len(b.log.rendered) != 0 {
		t.Error(b.log.rendered)
	}
	if _, err := b.render(t, jpegOf(t, photo(50, 50)), asset.Variant{Width: 200, Fit: asset.Contain, Format: asset.JPEG}); !errors.Is(err, asset.ErrTooLarge) {
		t.Errorf("a rendition over the limit: %v", err)
	}
	if _, _, err := b.probe(t, pdfOf(200, 200, 1)); !errors.Is(err, asset.ErrTooLarge) {
		t.Errorf("a page over the limit: %v", err)
	}
}

// TestPoison: whatever bytes come, each gets a picture or a clean fault, no worker is lost and nothing of the library's
// words gets out.
func TestPoison(t *testing.T) {
	b := newBench(t, nil)
	good := [][]byte{
		pngOf(t, photo(40, 30)), jpegOf(t, photo(40, 30)), gifOf(t, 30, 20, 3), tiffOf(t, photo(40, 30)), pdfOf(50, 50, 1),
		[]byte("RIFF\x40\x00\x00\x00WEBPVP8 \x10\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x10\x00\x10\x00"),
		[]byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1avifmiaf"),
		svgOf(`width="40" height="30"`), b.jxl(t, photo(40, 30)), boxed(b.jxl(t, photo(40, 30)), 2), heifOf(b.heifItem(t, quarters(40, 30), false), b.heifItem(t, quarters(20, 15), false)),
		bmpLibrary(t, photo(40, 30)), bmpOf(info(22, 14, 4, 2, 4), quarterColors[:], runs(22, 14, 4)), icoOf(iconOf(16, 16, 4), iconOf(8, 8, 32), pngOf(t, photo(9, 9))),
	}
	r := rand.New(rand.NewPCG(7, 7))
	for _, g := range good {
		for n := range 65 {
			b.survives(t, g[:min(n, len(g))])
		}
		for range 25 {
			bad := bytes.Clone(g)
			for range 1 + r.IntN(8) {
				bad[r.IntN(len(bad))] = byte(r.Uint32())
			}
			b.survives(t, bad)
		}
	}
	for n := range 65 {
		b.survives(t, make([]byte, n))
	}
	if len(b.log.lost) != 0 {
		t.Error(b.log.lost)
	}
}

func (b *bench) survives(t *testing.T, original []byte) {
	t.Helper()
	_, _, err := b.probe(t, original)
	_, err2 := b.render(t, original, asset.Variant{Width: 10, Format: asset.JPEG})
	for _, err := range []error{err, err2} {
		said := func(f *asset.Fault) string { return strings.Replace(f.Error(), strings.Join(b.types, ", "), "", 1) }
		if fault := (*asset.Fault)(nil); err != nil && !errors.As(err, &fault) {
			t.Errorf("%q: %v", original[:min(len(original), 64)], err)
		} else if err != nil && strings.ContainsAny(said(fault), "\n/{") && !strings.Contains(fault.Error(), "the image/") && !strings.Contains(fault.Error(), "the application/") {
			t.Errorf("shown to clients: %s", fault.Error())
		}
	}
}

// TestUnknown: what is no picture has no media type, and cannot be rendered.
func TestUnknown(t *testing.T) {
	b := newBench(t, nil)
	for _, original := range []string{"", "hello", "<svg/>", "<html><svg xmlns='http://www.w3.org/2000/svg'/></html>", "BM123456789012345678"} {
		if mt, pic, err := b.probe(t, []byte(original)); mt != "" || pic != nil || err != nil {
			t.Errorf("%q: %s %v %v", original, mt, pic, err)
		}
		if _, err := b.render(t, []byte(original), asset.Variant{Format: asset.JPEG}); !errors.Is(err, asset.ErrMediaType) {
			t.Errorf("%q: %v", original, err)
		}
	}
	b.types = []string{jpegType} // as if this libvips had but one loader
	if mt, pic, err := b.probe(t, pngOf(t, photo(4, 4))); mt != pngType || pic != nil || err != nil {
		t.Errorf("no loader: %s %v %v", mt, pic, err)
	}
	if _, err := b.render(t, pngOf(t, photo(4, 4)), asset.Variant{Format: asset.JPEG}); !errors.Is(err, asset.ErrMediaType) {
		t.Errorf("no loader: %v", err)
	}
	for _, f := range []asset.Format{asset.AsIs, asset.Auto, asset.ThumbHash} {
		if _, err := b.render(t, jpegOf(t, photo(4, 4)), asset.Variant{Width: 1, Format: f}); !errors.Is(err, asset.ErrMediaType) {
			t.Errorf("%q: %v", f, err)
		}
	}
	b.formats = []string{"jpeg"} // as if it had but one saver
	if _, err := b.render(t, jpegOf(t, photo(4, 4)), asset.Variant{Width: 1, Format: asset.JXL}); !errors.Is(err, asset.ErrMediaType) || !strings.Contains(err.Error(), "allowed: jpeg") {
		t.Errorf("no saver: %v", err)
	}
	if _, err := b.Load(t.Context(), asset.Key{Variant: asset.Variant{Format: asset.JPEG}}); !errors.Is(err, asset.ErrNotFound) {
		t.Errorf("no original: %v", err)
	}
}

// A fileBody is an original in a file.
type fileBody struct{ f *os.File }

func (b fileBody) ReadAt(p []byte, off int64) (int, error) { return b.f.ReadAt(p, off) }
func (b fileBody) File() (*os.File, error)                 { return b.f, nil }
func (b fileBody) Close() error                            { return b.f.Close() }

// TestLarge: a rendition over 1 MiB is a file nobody can change, and the server's memory grows with neither picture.
func TestLarge(t *testing.T) {
	b := newBench(t, one)
	v := asset.Variant{Width: 6000, Height: 4000, Fit: asset.Squeeze, Format: asset.JPEG, Quality: 100}
	big, err := b.render(t, pngOf(t, photo(300, 200)), v)
	if err != nil || len(big) <= inMemory {
		t.Fatal(len(big), err)
	}
	f, err := os.CreateTemp(t.TempDir(), "big")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAll(f, big); err != nil {
		t.Fatal(err)
	}
	size := int64(len(big))
	b.shelf, big = nil, nil
	b.originals = asset.LoaderFunc(func(_ context.Context, k asset.Key) (*asset.Object, error) {
		return asset.NewBodyObject(k, jpegType, size, fileBody{f}), nil
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	trace := &asset.Trace{Context: t.Context()}
	o, err := b.Load(trace, asset.Key{Variant: v})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<10 {
		t.Errorf("%d bytes were allocated for a picture of 24 MP and %d bytes", grown, size)
	}
	if trace.Source != asset.Transforming || trace.Spent[asset.Transforming] <= 0 {
		t.Errorf("%+v", trace)
	}
	file, err := o.File()
	if err != nil || o.Width != 6000 || o.Height != 4000 || o.MediaType != jpegType {
		t.Fatal(o, err)
	}
	if _, err := file.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the rendition can be changed")
	}
	if got := make([]byte, 3); o.Size < inMemory {
		t.Error(o.Size)
	} else if _, err := o.ReadAt(got, 0); err != nil || string(got) != "\xff\xd8\xff" {
		t.Errorf("%x %v", got, err)
	}
	o.Release()
	if _, err := file.Stat(); err == nil {
		t.Error("the memory was not given back")
	}
}

// TestClose: a closed pool refuses, and no process is left.
func TestClose(t *testing.T) {
	b := newBench(t, nil)
	pids := b.log.pids
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("worker %d is alive", pid)
		}
	}
	if _, err := b.render(t, jpegOf(t, photo(4, 4)), asset.Variant{Format: asset.JPEG}); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
}

// TestConfig: what cannot work is refused by name, and a command that is no worker at the start.
func TestConfig(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"command":          func(c *Config) { c.Command = nil },
		"workers":          func(c *Config) { c.Workers = -1 },
		"queue":            func(c *Config) { c.Queue = 0 },
		"queue_timeout":    func(c *Config) { c.QueueTimeout = 0 },
		"timeout":          func(c *Config) { c.Timeout = -1 },
		"max_pixels":       func(c *Config) { c.MaxPixels = 0 },
		"max_frame_pixels": func(c *Config) { c.MaxFramePixels = 0 },
		"max_memory_bytes": func(c *Config) { c.MaxMemoryBytes = 0 },
		"max_renders":      func(c *Config) { c.MaxRenders = 0 },
		"max_worker_bytes": func(c *Config) { c.MaxWorkerBytes = 0 },
		"derive":           func(c *Config) { c.Derive = -1 },
	} {
		cfg := testConfig()
		change(&cfg)
		if _, err := NewPool(cfg, nil, Events{}); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, command := range [][]string{{"/bin/false"}, {"/does/not/exist"}, {"/bin/echo", "hello"}} {
		cfg := testConfig()
		cfg.Command = command
		start := time.Now()
		p, err := NewPool(cfg, nil, Events{})
		if err != nil {
			t.Fatal(err)
		}
		if p.Ready() == nil {
			t.Errorf("%v is a worker", command)
		}
		if took := time.Since(start); took > startTimeout/2 {
			t.Errorf("the end of %v was seen after %s", command, took)
		}
		_ = p.Close()
	}
	if cfg := testConfig(); cfg.Validate() != nil {
		t.Error(cfg.Validate())
	}
	cfg := DefaultConfig()
	if cfg.workers() < 1 {
		t.Error(cfg.workers())
	}
}

// TestEnvironment: a worker sees none of our variables.
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET", "hunter2")
	b := newBench(t, one)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.log.lastPID()))
	if err != nil || bytes.Contains(env, []byte("hunter2")) || !bytes.Contains(env, []byte("MALLOC_ARENA_MAX=1")) {
		t.Errorf("%q %v", env, err)
	}
}
