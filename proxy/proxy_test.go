package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A world is the resolver and the loader of these tests: names are resolved to files it was given.
type world struct {
	mu       sync.Mutex
	files    map[string]file
	product  asset.Product
	load     func(ctx context.Context, k asset.Key) (*asset.Object, error) // instead of the files when set
	loads    int
	resolved func(resolve.Target)
	client   resolve.Client // that was last resolved for, when nothing is asked at the same time
	revision uint64         // guarded by mu
	arrived  chan struct{}  // guarded by mu; closed with every revision
	waiting  atomic.Int32   // in Await
	gone     chan error     // how Await ended, when there is room
}

// arrive shows the revision.
func (w *world) arrive(revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision = revision
	close(w.arrived)
	w.arrived = make(chan struct{})
}

func (w *world) at() (uint64, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.revision, w.arrived
}

func (w *world) Await(ctx context.Context, revision uint64) (err error) {
	w.waiting.Add(1)
	defer func() {
		w.waiting.Add(-1)
		select {
		case w.gone <- err:
		default:
		}
	}()
	for {
		have, arrived := w.at()
		if have >= revision {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type file struct {
	mediaType  string
	text       []byte
	rendition  bool // negotiated
	heeds      resolve.Heed
	pinned     bool
	quality    int   // that was chosen
	unreadable int64 // from this offset on, when above 0
}

var created = time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)

const createdHTTP = "Wed, 04 Mar 2026 05:06:07 GMT"

func newWorld() *world {
	return &world{
		product:  asset.Product{Name: "shop"},
		revision: 42, arrived: make(chan struct{}), gone: make(chan error, 1),
		files: map[string]file{
			"ten.txt":     {mediaType: "text/plain", text: []byte("0123456789")},
			"empty.txt":   {mediaType: "text/plain"},
			"pic.jpg":     {mediaType: "image/webp", text: bytes.Repeat([]byte("p"), 2048), rendition: true},
			"auto.jpg":    {mediaType: "image/webp", text: []byte("auto"), rendition: true, quality: 63},
			"pinned.jpg":  {mediaType: "image/webp", text: []byte("pinned"), rendition: true, pinned: true},
			"page.html":   {mediaType: "text/html", text: []byte("<script>")},
			"draw.svg":    {mediaType: "image/svg+xml", text: []byte("<svg/>")},
			"paper.pdf":   {mediaType: "application/pdf", text: []byte("%PDF")},
			"a/what.bin":  {text: []byte("?")},
			"broken.bin":  {mediaType: "video/mp4", text: bytes.Repeat([]byte("b"), 1<<20), unreadable: 300 << 10},
			"film.mp4":    {mediaType: "video/mp4", text: bytes.Repeat([]byte("film"), 1<<18), unreadable: 1 << 40},
			"archive.zip": {mediaType: "application/zip", text: []byte("PK")},
		},
	}
}

func (w *world) Resolve(t resolve.Target, c resolve.Client) (resolve.Resolution, error) {
	w.mu.Lock()
	w.client = c
	w.mu.Unlock()
	if w.resolved != nil {
		w.resolved(t)
	}
	revision, _ := w.at()
	if revision < t.MinRevision {
		return resolve.Resolution{Revision: revision}, &asset.Fault{Kind: resolve.ErrBehind, Part: "min_revision", Detail: "Not here yet."}
	}
	if t.Product != w.product.Name {
		return resolve.Resolution{Revision: revision}, &asset.Fault{Kind: asset.ErrNotFound, Detail: "No such product.", Part: "product"}
	}
	f, ok := w.files[t.Name]
	if t.Name == "panic" {
		panic("resolver broke")
	}
	if !ok {
		return resolve.Resolution{Revision: revision, Product: &w.product}, fmt.Errorf("lookup: %w", asset.ErrNotFound)
	}
	k := asset.Key{Original: digestOf(t.Name)}
	if f.rendition {
		k.Variant = asset.Variant{Width: 10, Format: asset.WebP}
	}
	version := asset.Version{Number: 3, Digest: k.Original, Size: int64(len(f.text)), MediaType: f.mediaType, Created: created}
	link := &asset.Link{Product: "shop", Name: t.Name, Pin: 3}
	return resolve.Resolution{
		Key: k, Product: &w.product, Name: t.Name, Negotiated: f.rendition, Heeds: f.heeds, Pinned: f.pinned, Revision: revision,
		Entry: asset.NewEntry(link, &asset.Asset{ID: "id-1", Tags: []string{"summer_sale"}, Current: 3, Versions: []asset.Version{{}, {}, version}}, 0),
	}, nil
}

func (w *world) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	w.mu.Lock()
	w.loads++
	w.mu.Unlock()
	if w.load != nil {
		return w.load(ctx, k)
	}
	t := asset.TraceOf(ctx)
	t.Source, t.Spent[asset.MemoryTier] = asset.MemoryTier, 3*time.Microsecond
	for name, f := range w.files {
		if digestOf(name) == k.Original {
			return f.object(k), nil
		}
	}
	return nil, asset.ErrNotFound
}

func (f file) object(k asset.Key) *asset.Object {
	mediaType := f.mediaType
	if !f.rendition {
		mediaType = "" // an original's type is the version's
	}
	if f.unreadable > 0 {
		return asset.NewBodyObject(k, mediaType, int64(len(f.text)), &flawed{f})
	}
	o := asset.NewObject(k, mediaType, f.text)
	o.Quality = f.quality
	return o
}

// flawed is a body that fails from an offset on.
type flawed struct{ file }

func (b *flawed) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.unreadable {
		return 0, asset.ErrCorrupt
	}
	return bytes.NewReader(b.text).ReadAt(p, off)
}
func (b *flawed) File() (*os.File, error) { return nil, errors.New("no file") }
func (b *flawed) Close() error            { return nil }

func digestOf(name string) (d asset.Digest) {
	copy(d[:], name)
	return d
}

// open starts a server on a loopback listener and stops it when the test ends.
func open(t testing.TB, w *world, ev Events, change ...func(*Config)) (*Server, string) {
	t.Helper()
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg, w, w, w, ev, nil)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Error("Serve:", err)
		}
	})
	return s, ln.Addr().String()
}

// An answer is a response as it was on the wire.
type answer struct {
	status int
	header map[string][]string // by lower-case name
	body   string
	closed bool // the server ended the connection afterwards
}

func (a answer) get(name string) string { return strings.Join(a.header[strings.ToLower(name)], " | ") }

// dial opens a raw connection with a deadline for the whole test.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// readAnswer reads one response strictly: it has a Content-Length or no body.
func readAnswer(r *bufio.Reader, noBody bool) (answer, error) {
	a := answer{header: map[string][]string{}}
	line, err := r.ReadString('\n')
	if err != nil {
		return a, err
	}
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d ", &a.status); err != nil {
		return a, fmt.Errorf("status line %q: %w", line, err)
	}
	for {
		line, err = r.ReadString('\n')
		if err != nil {
			return a, err
		}
		if line == "\r\n" {
			break
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		if !ok || strings.ContainsAny(value, "\r\n") {
			return a, fmt.Errorf("header line %q", line)
		}
		name = strings.ToLower(name)
		a.header[name] = append(a.header[name], value)
	}
	if noBody || a.status == 304 || a.status == 204 {
		return a, nil
	}
	n, err := strconv.Atoi(a.get("content-length"))
	if err != nil {
		return a, err
	}
	p := make([]byte, n)
	m, err := io.ReadFull(r, p)
	a.body = string(p[:m])
	return a, err
}

// send sends raw bytes on a new connection and returns the first answer, and whether the connection ended after it.
func send(t testing.TB, addr, raw string) answer {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	a, err := readAnswer(r, strings.HasPrefix(raw, "HEAD "))
	if err != nil {
		t.Fatalf("%.60q: %v", raw, err)
	}
	if a.get("connection") == "close" {
		_, err := r.ReadByte()
		a.closed = err == io.EOF
	}
	return a
}

// get asks for a path with header lines.
func get(t testing.TB, addr, path string, headers ...string) answer {
	t.Helper()
	return ask(t, addr, "GET", path, headers...)
}

func ask(t testing.TB, addr, method, path string, headers ...string) answer {
	t.Helper()
	return send(t, addr, method+" "+path+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
}

func wantStatus(t testing.TB, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %s", a.status, status, a.body)
	}
}

func wantHeader(t testing.TB, a answer, name, value string) {
	t.Helper()
	if got := a.get(name); got != value {
		t.Errorf("%s: %q, want %q", name, got, value)
	}
}
