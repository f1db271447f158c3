package transform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// fuzzCorpus is a module of files that fuzzers found in years. It is not in go.mod, since no code is used of it: make corpora
// puts it into the module cache, where this test looks for it.
const fuzzCorpus = "github.com/dvyukov/go-fuzz-corpus@v0.0.0-20190920191254-c42c1b2914c7"

// corpora returns the files to try: the pictures that Go's own decoders are tested with, good and bad, and the corpus.
func corpora(t *testing.T) (files []string) {
	t.Helper()
	env, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		t.Skip("there is no go command to ask where the files are:", err)
	}
	at := strings.Fields(string(env))
	var dirs []string
	for _, dir := range []string{"testdata", "png/testdata", "jpeg/testdata", "gif/testdata", "draw/testdata"} {
		dirs = append(dirs, filepath.Join(at[0], "src/image", dir))
	}
	for _, kind := range []string{"png", "jpeg", "gif", "tiff", "webp", "bmp"} {
		dirs = append(dirs, filepath.Join(at[1], fuzzCorpus, kind))
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && filepath.Ext(path) != ".go" {
				files = append(files, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(at[1], fuzzCorpus)); err != nil && os.Getenv("ASSETMATRIX_CORPORA") != "" {
		t.Error("run make corpora first:", err)
	}
	return files
}

// TestCorpora: every hostile file is a picture or a clean fault, for a probe and for a render, within its deadline. A worker that
// is lost is reported, and the pool works afterwards.
func TestCorpora(t *testing.T) {
	files := corpora(t)
	if len(files) == 0 {
		t.Skip("there are no files")
	}
	b := newBench(t, nil)
	tally := &tally{n: map[string]int{}}
	var all sync.WaitGroup
	next := make(chan string)
	for range 2 {
		all.Go(func() {
			for path := range next {
				original, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
					continue
				}
				tally.add("files")
				tally.note(t, path, "probe", b.tryProbe(t, original))
				_, err = b.try(t, original)
				tally.note(t, path, "render", err)
			}
		})
	}
	for _, path := range files {
		next <- path
	}
	close(next)
	all.Wait()
	b.log.mu.Lock()
	lost := slices.Clone(b.log.lost)
	b.log.mu.Unlock()
	if reported := tally.n["probe: lost"] + tally.n["render: lost"]; reported > len(lost) {
		t.Errorf("%d answers say that a worker was lost, but %d were reported: %v", reported, len(lost), lost)
	}
	if _, err := b.render(t, jpegOf(t, photo(64, 64)), asset.Variant{Width: 32, Format: asset.WebP}); err != nil {
		t.Errorf("the pool does not work afterwards: %v", err)
	}
	for _, what := range slices.Sorted(maps.Keys(tally.n)) {
		t.Logf("%5d %s", tally.n[what], what)
	}
	t.Logf("%5d workers lost: %v", len(lost), lost)
}

// TestNothingOnDisk: libvips keeps in memory what it has to read twice. It crashed on this animation of two frames without
// pixels, which is one of the corpus, when it kept it in a file.
func TestNothingOnDisk(t *testing.T) {
	b := newBench(t, nil)
	frame := "\x2c\x00\x00\x00\x00\x00\x00\x03\x00\x80\x76\x00\x00\x00\x00\x00\x02\x08\x0d\x18\x75\xb9\xfd\x61\x6c\x0e\x00"
	_, err := b.render(t, []byte("GIF89a\x0a\x00\x0a\x00\x00\x00\x00"+frame+frame+"\x3b"), asset.Variant{Width: 64, Format: asset.WebP})
	if _, fault := errors.AsType[*asset.Fault](err); err != nil && !fault {
		t.Error(err)
	}
}

// hostileDeadline is how long an answer may take: the render's own deadline, and the wait for another's.
const hostileDeadline = 60 * time.Second

func (b *bench) try(t *testing.T, original []byte) (size int64, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), hostileDeadline)
	defer cancel()
	o, err := b.Load(ctx, asset.Key{Original: b.shelf.put(original), Variant: asset.Variant{Width: 64, Format: asset.WebP}})
	if err != nil {
		return 0, err
	}
	defer o.Release()
	out := make([]byte, o.Size)
	if _, err := o.ReadAt(out, 0); err != nil {
		return 0, err
	}
	if Sniff(out) != webpType {
		return 0, fmt.Errorf("the rendition is no WebP: %q", out[:min(16, len(out))])
	}
	return o.Size, nil
}

// tryProbe makes an error of what is no picture.
func (b *bench) tryProbe(t *testing.T, original []byte) error {
	f, err := newMemory("original")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeAll(f, original); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), hostileDeadline)
	defer cancel()
	_, pic, err := b.Probe(ctx, f, int64(len(original)))
	if err == nil && pic == nil {
		return &asset.Fault{Kind: asset.ErrMediaType, Detail: "no picture"}
	}
	return err
}

// A tally counts answers.
type tally struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[what]++
}

// note counts an answer, which must be a picture, a fault that says what was wrong, or the loss of a worker.
func (c *tally) note(t *testing.T, path, how string, err error) {
	fault, clean := errors.AsType[*asset.Fault](err)
	switch {
	case err == nil:
		c.add(how + ": pictures")
	case clean && fault.Detail != "":
		c.add(fmt.Sprintf("%s: %v", how, fault.Kind))
	case errors.Is(err, asset.ErrTimeout), errors.Is(err, asset.ErrUnavailable):
		c.add(how + ": lost")
		t.Logf("%s: %s: %v", path, how, err)
	default:
		c.add(how + ": unclean")
		t.Errorf("%s: %s: %v", path, how, err)
	}
}
