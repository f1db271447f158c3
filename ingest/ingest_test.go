package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/origin"
	"github.com/assetmatrix/assetmatrix/transform"
)

var pool *transform.Pool

// TestMain runs the test binary as a render worker too, the way the command does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "render-worker" {
		if err := transform.Work(os.NewFile(3, "socket")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	cfg := transform.DefaultConfig()
	cfg.Command = []string{"/proc/self/exe", "render-worker"}
	cfg.Workers, cfg.MaxPixels = 2, 1_000_000
	var err error
	if pool, err = transform.NewPool(cfg, asset.LoaderFunc(nil), transform.Events{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = pool.Close()
	os.Exit(code)
}

// A house is an ingester with a real catalog, a real provider and real workers. It has the products shop and blog.
type house struct {
	*Ingester
	catalog   *catalog.Catalog
	providers *origin.Providers
	dir       string // has catalog, originals and spool
}

const testMaxBytes = 1 << 20

func newHouse(t *testing.T) *house {
	t.Helper()
	h := openHouse(t, t.TempDir())
	h.define(t, "shop")
	h.define(t, "blog")
	return h
}

func openHouse(t *testing.T, dir string) *house {
	t.Helper()
	h := &house{dir: dir}
	cfg := catalog.DefaultConfig()
	cfg.Dir = filepath.Join(dir, "catalog")
	var err error
	h.catalog, err = catalog.Open(t.Context(), cfg, catalog.Events{})
	must(t, err)
	t.Cleanup(func() { must(t, h.catalog.Close()) })
	h.providers, err = origin.Open(t.Context(), []origin.Config{{Name: "local", URL: "file://" + filepath.Join(dir, "originals")}}, origin.Events{})
	must(t, err)
	t.Cleanup(func() { must(t, h.providers.Close()) })
	h.Ingester = h.ingester(t, h.catalog)
	return h
}

func (h *house) ingester(t *testing.T, m Matrix) *Ingester {
	t.Helper()
	in, err := New(Config{SpoolDir: filepath.Join(h.dir, "spool"), MaxBytes: testMaxBytes}, m, h.providers, pool.Probe)
	must(t, err)
	return in
}

func (h *house) define(t *testing.T, product string) {
	t.Helper()
	h.update(t, catalog.Mutation{PutProduct: &asset.Product{Name: product}})
}

func (h *house) update(t *testing.T, mutations ...catalog.Mutation) {
	t.Helper()
	_, err := h.catalog.Update(t.Context(), func(*catalog.View) ([]catalog.Mutation, error) { return mutations, nil })
	must(t, err)
}

func (h *house) put(t *testing.T, u asset.Upload) asset.Receipt {
	t.Helper()
	r, err := h.Put(t.Context(), u)
	must(t, err)
	return r
}

func (h *house) asset(t *testing.T, product, name string) *asset.Asset {
	t.Helper()
	_, a, ok := h.catalog.View().Lookup(product, name)
	if !ok {
		t.Fatalf("there is no %s/%s", product, name)
	}
	return a
}

// originals lists the stored files.
func (h *house) originals(t *testing.T) []string { return files(t, filepath.Join(h.dir, "originals")) }

// traces lists what an upload can leave: stored files, spooled ones, open ones, and the catalog's revision.
func (h *house) traces(t *testing.T) string {
	t.Helper()
	spool := filepath.Join(h.dir, "spool")
	left := append(h.originals(t), files(t, spool)...)
	fds, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, spool) {
			left = append(left, name)
		}
	}
	return fmt.Sprint(h.catalog.View().Revision(), left)
}

// refused uploads u and checks that it is refused with that sentinel, with these words for the client, and without a
// trace.
func (h *house) refused(t *testing.T, u asset.Upload, kind error, words ...string) {
	t.Helper()
	before := h.traces(t)
	_, err := h.Put(t.Context(), u)
	wantFault(t, err, kind, words...)
	if after := h.traces(t); after != before {
		t.Errorf("%v: left behind: %s, was %s", err, after, before)
	}
}

func TestPutMakesAssetsAndVersions(t *testing.T) {
	h := newHouse(t)
	first := h.put(t, upload("banners/hero.jpg", photo(40, 30)))
	want := asset.Receipt{
		ID: first.ID, Product: "shop", Name: "banners/hero.jpg", Version: 1, Digest: sha256.Sum256(photo(40, 30)),
		Size: int64(len(photo(40, 30))), MediaType: "image/jpeg", Width: 40, Height: 30, Revision: 3, Created: true,
	}
	if first != want || len(first.ID) != 36 || first.ID[14] != '7' {
		t.Errorf("receipt is %+v, want %+v", first, want)
	}
	a := h.asset(t, "shop", "banners/hero.jpg")
	v := a.Version(0)
	if a.ID != first.ID || a.Owner != "shop" || a.Status != asset.Active || a.Current != 1 || a.Created.IsZero() ||
		v.Digest != want.Digest || v.Picture.Width != 40 || !slices.Equal(v.Providers, []string{"local"}) {
		t.Errorf("asset is %+v, its version %+v", a, v)
	}
	o, err := h.providers.Load(t.Context(), asset.Key{Original: v.Digest})
	must(t, err)
	if got, _ := o.Bytes(); !bytes.Equal(got, photo(40, 30)) {
		t.Error("the provider has other bytes")
	}

	second := h.put(t, upload("banners/hero.jpg", drawing(20, 10)))
	if second.ID != first.ID || second.Version != 2 || second.Created || second.Unchanged || second.Revision != 4 || second.MediaType != "image/png" {
		t.Errorf("second receipt is %+v", second)
	}
	if a := h.asset(t, "shop", "banners/hero.jpg"); a.Current != 2 || len(a.Versions) != 2 || !a.Updated.After(a.Created) {
		t.Errorf("asset is %+v", a)
	}

	again := h.put(t, upload("banners/hero.jpg", drawing(20, 10)))
	second.Unchanged = true
	if again != second {
		t.Errorf("repeated, the receipt is %+v, want %+v", again, second)
	}
	if back := h.put(t, upload("banners/hero.jpg", photo(40, 30))); back.Version != 3 {
		t.Errorf("going back made version %d", back.Version)
	}
	if n := len(h.originals(t)); n != 2 {
		t.Errorf("%d originals are stored", n)
	}
}

func TestPutOfAnotherTypeIsAVersion(t *testing.T) {
	h := newHouse(t)
	u := upload("style", []byte("a { color: red }\n"))
	h.put(t, u)
	u = upload("style", []byte("a { color: red }\n"))
	u.MediaType = "text/css"
	if r := h.put(t, u); r.Version != 2 || r.MediaType != "text/css" {
		t.Errorf("receipt is %+v", r)
	}
}

func TestPutStoresOnce(t *testing.T) {
	h := newHouse(t)
	one := h.put(t, upload("one.jpg", photo(40, 30)))
	u := upload("two.jpg", photo(40, 30))
	u.Product = "blog"
	two := h.put(t, u)
	if one.ID == two.ID || one.Digest != two.Digest || two.Version != 1 {
		t.Errorf("receipts are %+v and %+v", one, two)
	}
	if stored := h.originals(t); len(stored) != 1 {
		t.Errorf("stored are %q", stored)
	}
	if n := h.catalog.View().References(one.Digest); n != 2 {
		t.Errorf("%d references", n)
	}
}

func TestPutBringsBackALostOriginal(t *testing.T) {
	h := newHouse(t)
	h.put(t, upload("hero.jpg", photo(40, 30)))
	lost := filepath.Join(h.dir, "originals", h.originals(t)[0])
	for _, damage := range []func() error{
		func() error { return os.Remove(lost) },
		func() error { return os.WriteFile(lost, make([]byte, len(photo(40, 30))), 0o644) },
	} {
		must(t, damage())
		if r := h.put(t, upload("hero.jpg", photo(40, 30))); !r.Unchanged {
			t.Errorf("receipt is %+v", r)
		}
		if got, err := os.ReadFile(lost); err != nil || !bytes.Equal(got, photo(40, 30)) {
			t.Error("the original is not there again")
		}
	}
}

func TestReceiptJSON(t *testing.T) {
	h := newHouse(t)
	text, err := json.Marshal(h.put(t, upload("notes", []byte("hello\n"))))
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(text, &got))
	digest := sha256.Sum256([]byte("hello\n"))
	for key, want := range map[string]any{
		"product": "shop", "name": "notes", "version": 1.0, "digest": asset.Digest(digest).String(), "size": 6.0,
		"type": "text/plain; charset=utf-8", "revision": 3.0, "created": true, "unchanged": false, "width": nil, "height": nil,
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

func TestPutRefusesBeforeTheBody(t *testing.T) {
	h := newHouse(t)
	h.put(t, upload("taken", []byte("hello")))
	one := func(edit func(*asset.Upload)) asset.Upload {
		u := asset.Upload{Product: "shop", Name: "taken", Body: iotest.ErrReader(errors.New("the body was read")), Size: 10}
		edit(&u)
		return u
	}
	h.refused(t, one(func(u *asset.Upload) { u.Product = "nobody" }), asset.ErrNotFound, "nobody")
	for _, name := range []string{"", "a//b", "../a", "a/", "a\nb", "a\\b", "%2e", "\xff", strings.Repeat("a", 513)} {
		h.refused(t, one(func(u *asset.Upload) { u.Name = name }), asset.ErrInvalid, "512 bytes")
	}
	h.refused(t, one(func(u *asset.Upload) { u.Size = 0 }), asset.ErrInvalid, "empty")
	h.refused(t, one(func(u *asset.Upload) { u.Size = testMaxBytes + 1 }), asset.ErrTooLarge, "1048576")
	h.refused(t, one(func(u *asset.Upload) { u.CreateOnly = true }), asset.ErrPrecondition, "version is 1")
	h.refused(t, one(func(u *asset.Upload) { u.IfVersion = new(2) }), asset.ErrPrecondition, "version is 1, not 2")
	h.refused(t, one(func(u *asset.Upload) { u.Name, u.IfVersion = "free", new(2) }), asset.ErrPrecondition, "no version 2")
}

func TestPutRefusesBodies(t *testing.T) {
	h := newHouse(t)
	u := upload("a", nil)
	h.refused(t, u, asset.ErrInvalid, "empty")

	u = upload("a", []byte("hello"))
	u.Size = 6
	h.refused(t, u, asset.ErrInvalid, "truncated", "5 of 6")
	u = upload("a", []byte("hello"))
	u.Size = 4
	h.refused(t, u, asset.ErrInvalid, "longer than the 4")
	for _, size := range []int64{-1, 10} {
		u = upload("a", nil)
		u.Body, u.Size = io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(io.ErrUnexpectedEOF)), size
		h.refused(t, u, asset.ErrInvalid, "truncated", "after 5")
	}

	h.refused(t, upload("a", make([]byte, testMaxBytes+1)), asset.ErrTooLarge, "1048576")
	h.put(t, upload("fits", make([]byte, testMaxBytes)))

	u = upload("a", []byte("hello"))
	u.Digest = &asset.Digest{1}
	h.refused(t, u, asset.ErrInvalid, u.Digest.String(), asset.Digest(sha256.Sum256([]byte("hello"))).String())
	u = upload("a", []byte("hello"))
	digest := asset.Digest(sha256.Sum256([]byte("hello")))
	u.Digest = &digest
	h.put(t, u)
}

func TestPutRefusesPictures(t *testing.T) {
	h := newHouse(t)
	h.refused(t, upload("a.jpg", photo(40, 30)[:500]), asset.ErrUndecodable, "damaged")
	h.refused(t, upload("a.png", drawing(1001, 1000)), asset.ErrTooLarge, "pixels")
	h.refused(t, upload("a.jpg", []byte("no picture\n")), asset.ErrMediaType, ".jpg", "text/plain")
	u := upload("a", photo(40, 30))
	u.MediaType = "image/png"
	h.refused(t, u, asset.ErrMediaType, "image/png", "image/jpeg")
	u = upload("a", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"))
	u.MediaType = "text/html"
	h.refused(t, u, asset.ErrMediaType, "text/html", "application/gzip")
}

func TestPutRefusesOthersAssets(t *testing.T) {
	h := newHouse(t)
	r := h.put(t, upload("hero", []byte("hello")))
	h.update(t, catalog.Mutation{PutLink: &asset.Link{Product: "blog", Name: "shared", Asset: r.ID}})
	u := upload("shared", []byte("other"))
	u.Product = "blog"
	h.refused(t, u, asset.ErrConflict, `"shop"`, "owner")

	archived := *h.asset(t, "shop", "hero")
	archived.Status = asset.Archived
	h.update(t, catalog.Mutation{PutAsset: &archived})
	h.refused(t, upload("hero", []byte("other")), asset.ErrConflict, "archived")
}

func TestPutGivesAPendingAssetItsFirstVersion(t *testing.T) {
	h := newHouse(t)
	h.update(t,
		catalog.Mutation{PutAsset: &asset.Asset{ID: "pending", Owner: "shop", Status: asset.Pending}},
		catalog.Mutation{PutLink: &asset.Link{Product: "shop", Name: "hero", Asset: "pending"}})
	if r := h.put(t, upload("hero", []byte("hello"))); r.ID != "pending" || r.Version != 1 || r.Created {
		t.Errorf("receipt is %+v", r)
	}
	if a := h.asset(t, "shop", "hero"); a.Status != asset.Active {
		t.Errorf("asset is %+v", a)
	}
}

// TestPutRefusedAtTheEnd: what held when the body began does not any more when the version is to be recorded.
func TestPutRefusedAtTheEnd(t *testing.T) {
	h := newHouse(t)
	h.put(t, upload("hero", []byte("first")))
	h.put(t, upload("other", []byte("in use elsewhere")))
	between := func(name, body string, do func()) asset.Upload {
		u := upload(name, nil)
		u.Body = io.MultiReader(strings.NewReader(body), readerFunc(func([]byte) (int, error) { do(); return 0, io.EOF }))
		return u
	}
	rival := func() { h.put(t, upload("hero", fmt.Append(nil, "rival ", h.catalog.View().Revision()))) }

	u := between("hero", "mine", rival)
	u.IfVersion = new(1)
	_, err := h.Put(t.Context(), u)
	wantFault(t, err, asset.ErrPrecondition, "version is 2, not 1")
	if n := len(h.originals(t)); n != 3 { // first, in use elsewhere, rival
		t.Errorf("%d originals are stored", n)
	}

	u = between("hero", "in use elsewhere", rival)
	u.IfVersion = new(2)
	_, err = h.Put(t.Context(), u)
	wantFault(t, err, asset.ErrPrecondition)
	if n := len(h.originals(t)); n != 4 { // another version's bytes stay
		t.Errorf("%d originals are stored", n)
	}

	u = between("new", "mine", func() { h.put(t, upload("new", []byte("rival"))) })
	u.CreateOnly = true
	_, err = h.Put(t.Context(), u)
	wantFault(t, err, asset.ErrPrecondition, "taken")

	u = between("hero", "mine", func() { h.update(t, catalog.Mutation{DeleteProduct: "blog"}) })
	u.Product = "blog"
	_, err = h.Put(t.Context(), u)
	wantFault(t, err, asset.ErrNotFound, "blog")
	if n := len(h.originals(t)); n != 5 {
		t.Errorf("%d originals are stored", n)
	}
}

func TestPutGivenUp(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	u := upload("hero", nil)
	u.Body = io.MultiReader(strings.NewReader("hello"), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.ErrUnexpectedEOF }))
	before := h.traces(t)
	if _, err := h.Put(ctx, u); err == nil {
		t.Error("an upload that was given up was taken in")
	}
	if after := h.traces(t); after != before {
		t.Errorf("left behind: %s, was %s", after, before)
	}

	ctx, cancel = context.WithCancel(t.Context())
	u = upload("hero", nil)
	u.Body = readerFunc(func(p []byte) (int, error) { cancel(); return copy(p, "more"), nil }) // and never ends
	_, err := h.Put(ctx, u)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if after := h.traces(t); after != before {
		t.Errorf("left behind: %s, was %s", after, before)
	}
}

func TestPutWithoutProvider(t *testing.T) {
	h := newHouse(t)
	originals := filepath.Join(h.dir, "originals")
	must(t, os.Rename(originals, originals+".away"))
	revision := h.catalog.View().Revision()
	_, err := h.Put(t.Context(), upload("hero", []byte("hello")))
	wantUnavailable(t, err)
	must(t, os.Rename(originals+".away", originals))
	if h.catalog.View().Revision() != revision || len(h.originals(t)) > 0 {
		t.Error("something was left behind")
	}
	h.put(t, upload("hero", []byte("hello")))
}

func TestPutWithoutSpool(t *testing.T) {
	h := newHouse(t)
	must(t, os.RemoveAll(filepath.Join(h.dir, "spool")))
	_, err := h.Put(t.Context(), upload("hero", []byte("hello")))
	wantUnavailable(t, err)
}

func TestPutWithoutProbe(t *testing.T) {
	h := newHouse(t)
	h.probe = func(context.Context, *os.File, int64) (string, *asset.Picture, error) {
		return "", nil, asset.ErrUnavailable
	}
	before := h.traces(t)
	_, err := h.Put(t.Context(), upload("hero", []byte("hello")))
	wantUnavailable(t, err)
	if after := h.traces(t); after != before {
		t.Errorf("left behind: %s, was %s", after, before)
	}
}

// A doubtful catalog commits, or not, and does not say which.
type doubtful struct {
	Matrix
	commits bool
}

func (d doubtful) Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	if d.commits {
		if _, err := d.Matrix.Update(ctx, f); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: whether it was stored is not known", asset.ErrUnavailable)
}

func TestPutInDoubtKeepsTheBytes(t *testing.T) {
	for _, commits := range []bool{true, false} {
		h := newHouse(t)
		_, err := h.ingester(t, doubtful{h.catalog, commits}).Put(t.Context(), upload("hero.jpg", photo(40, 30)))
		wantUnavailable(t, err)
		stored := h.originals(t)
		if len(stored) != 1 {
			t.Fatalf("stored are %q", stored)
		}
		before, err := os.Stat(filepath.Join(h.dir, "originals", stored[0]))
		must(t, err)
		if r := h.put(t, upload("hero.jpg", photo(40, 30))); r.Version != 1 || r.Unchanged != commits {
			t.Errorf("repeated, the receipt is %+v", r)
		}
		if after, err := os.Stat(filepath.Join(h.dir, "originals", stored[0])); err != nil || !os.SameFile(before, after) {
			t.Error("the orphan was not adopted")
		}
	}
}

// A deadly catalog kills the process instead of recording.
type deadly struct{ Matrix }

func (deadly) Update(context.Context, func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// TestPutKilled kills a process between storing and recording. Run with KILLED set it is that process.
func TestPutKilled(t *testing.T) {
	if dir := os.Getenv("KILLED"); dir != "" {
		h := openHouse(t, dir)
		_, _ = h.ingester(t, deadly{h.catalog}).Put(t.Context(), upload("hero.jpg", photo(40, 30)))
		t.Fatal("not killed")
	}
	dir := t.TempDir()
	func() {
		h := openHouse(t, dir)
		h.define(t, "shop")
		must(t, h.catalog.Close())
	}()
	child := exec.Command(os.Args[0], "-test.run=^TestPutKilled$")
	child.Env = append(os.Environ(), "KILLED="+dir)
	out, err := child.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}

	h := openHouse(t, dir)
	if _, _, ok := h.catalog.View().Lookup("shop", "hero.jpg"); ok || len(files(t, filepath.Join(dir, "spool"))) > 0 {
		t.Error("there is more than an orphan")
	}
	stored := h.originals(t)
	if len(stored) != 1 {
		t.Fatalf("stored are %q", stored)
	}
	if r := h.put(t, upload("hero.jpg", photo(40, 30))); r.Version != 1 || !r.Created {
		t.Errorf("receipt is %+v", r)
	}
	if now := h.originals(t); !slices.Equal(now, stored) {
		t.Errorf("stored are %q, were %q", now, stored)
	}
}

// A moody catalog refuses every second update, and takes its time over the others: whoever cleans up does so before.
type moody struct {
	Matrix
	n atomic.Int32
}

func (m *moody) Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	if m.n.Add(1)%2 == 0 {
		return 0, fault(asset.ErrConflict, "name", "not today")
	}
	time.Sleep(5 * time.Millisecond)
	return m.Matrix.Update(ctx, f)
}

// TestPutSameBytesAtOnce: refused uploads clean up and never take the bytes from under those that were recorded.
func TestPutSameBytesAtOnce(t *testing.T) {
	h := newHouse(t)
	in := h.ingester(t, &moody{Matrix: h.catalog})
	for round := range 10 {
		body := fmt.Append(nil, "round ", round)
		var uploads sync.WaitGroup
		var recorded atomic.Int32
		for i := range 8 {
			uploads.Go(func() {
				if _, err := in.Put(t.Context(), upload(fmt.Sprint(round, "-", i), body)); err == nil {
					recorded.Add(1)
				}
			})
		}
		uploads.Wait()
		if recorded.Load() != 4 {
			t.Fatalf("%d were recorded", recorded.Load())
		}
		o, err := h.providers.Load(t.Context(), asset.Key{Original: sha256.Sum256(body)})
		must(t, err)
		o.Release()
	}
	if len(in.digests.held) > 0 {
		t.Errorf("%d locks were not given back", len(in.digests.held))
	}
}

func TestPutOneNameAtOnce(t *testing.T) {
	h := newHouse(t)
	var uploads sync.WaitGroup
	var created atomic.Int32
	for i := range 16 {
		uploads.Go(func() {
			if r := h.put(t, upload("hero", fmt.Append(nil, "body ", i))); r.Created {
				created.Add(1)
			}
		})
		uploads.Go(func() {
			u := upload("single", fmt.Append(nil, "single ", i))
			u.CreateOnly = true
			if _, err := h.Put(t.Context(), u); err != nil {
				wantFault(t, err, asset.ErrPrecondition)
			}
		})
	}
	uploads.Wait()
	if a := h.asset(t, "shop", "hero"); len(a.Versions) != 16 || a.Current != 16 || created.Load() != 1 {
		t.Errorf("%d versions, the current one %d, created %d times", len(a.Versions), a.Current, created.Load())
	}
	if a := h.asset(t, "shop", "single"); len(a.Versions) != 1 || len(h.originals(t)) != 17 {
		t.Errorf("%d versions, %d originals", len(a.Versions), len(h.originals(t)))
	}
}

func TestNewEmptiesTheSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "spool")
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, spoolPrefix+"1"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "somebody-else's"), nil, 0o600))
	_, err := New(Config{SpoolDir: dir, MaxBytes: 1}, nil, nil, nil)
	must(t, err)
	if left := files(t, dir); !slices.Equal(left, []string{"somebody-else's"}) {
		t.Errorf("left are %q", left)
	}
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for words, cfg := range map[string]Config{
		"spool_dir": {MaxBytes: 1}, "max_bytes": {SpoolDir: "x"}, "not a directory": {SpoolDir: file, MaxBytes: 1},
	} {
		if _, err := New(cfg, nil, nil, nil); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error is %v, want one that says %q", err, words)
		}
	}
}

func upload(name string, body []byte) asset.Upload {
	return asset.Upload{Product: "shop", Name: name, Body: bytes.NewReader(body), Size: -1}
}

// photo returns a JPEG, drawing a PNG.
func photo(width, height int) []byte {
	var b bytes.Buffer
	_ = jpeg.Encode(&b, gradient(width, height), nil)
	return b.Bytes()
}

func drawing(width, height int) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, gradient(width, height))
	return b.Bytes()
}

func gradient(width, height int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y), 255})
		}
	}
	return m
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// files lists the regular files under dir.
func files(t testing.TB, dir string) (found []string) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantFault wants a Fault of that kind whose words have all of these.
func wantFault(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	f, ok := errors.AsType[*asset.Fault](err)
	if !ok || !errors.Is(err, kind) {
		t.Errorf("error is %v, want a fault that is %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(f.Error(), w) {
			t.Errorf("fault says %q, want it to say %q", f, w)
		}
	}
}

// wantUnavailable wants an error of ours, with no words for the client.
func wantUnavailable(t testing.TB, err error) {
	t.Helper()
	if _, isFault := errors.AsType[*asset.Fault](err); isFault || !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("error is %v, want %v", err, asset.ErrUnavailable)
	}
}

func TestPutDiskFull(t *testing.T) {
	if !assettest.Alone(t) {
		return
	}
	h := newHouse(t)
	before := h.traces(t)
	assettest.LimitFiles(t, 64<<10)
	_, err := h.Put(t.Context(), upload("hero", make([]byte, 256<<10)))
	wantUnavailable(t, err)
	if after := h.traces(t); after != before {
		t.Errorf("left behind: %s, was %s", after, before)
	}
}
