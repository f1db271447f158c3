package transform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/webp"

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
	mu    sync.Mutex // guards bytes
	bytes map[asset.Digest][]byte
	loads int
	gate  chan struct{}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	b, ok := s.bytes[k.Original]
	if !ok || !k.IsOriginal() {
		return nil, fmt.Errorf("shelf %s: %w", k, asset.ErrNotFound)
	}
	return asset.NewObject(k, "application/octet-stream", b), nil
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
	b := &bench{shelf: &shelf{bytes: map[asset.Digest][]byte{}}, log: &journal{}}
	var err error
	if b.Pool, err = NewPool(cfg, b.shelf, b.log.events()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
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

// picture renders and decodes; what Go cannot decode is rendered as PNG by the caller.
func (b *bench) picture(t testing.TB, original []byte, v asset.Variant) image.Image {
	t.Helper()
	out, err := b.render(t, original, v)
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
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

func TestSmoke(t *testing.T) {
	b := newBench(t, nil)
	for _, f := range []asset.Format{asset.JPEG, asset.PNG, asset.WebP, asset.AVIF} {
		out, err := b.render(t, jpegOf(t, scene(900, 600)), asset.Variant{Width: 400, Height: 300, Fit: asset.Cover, Format: f})
		t.Log(f, len(out), err, Sniff(out))
		if err != nil || Sniff(out) != f.MediaType() {
			t.Error(f)
		}
	}
	mt, pic, err := b.probe(t, jpegOf(t, scene(900, 600)))
	t.Logf("%s %+v %v", mt, pic, err)
	mt, pic, err = b.probe(t, pngOf(t, quarters(900, 600)))
	t.Logf("%s %+v %v", mt, pic, err)
	t.Log(b.log.library)
}
