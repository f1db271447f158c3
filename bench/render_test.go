package bench

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// imgproxyURL is what imgproxyPath spells.
var imgproxyURL = regexp.MustCompile(`^/insecure/rs:fit:(\d+):0/q:(\d+)/plain/(.+)@(jpg|webp|avif)$`)

// imgproxy plays the rival, with libvips in this process; spoil changes what it is asked for.
func imgproxy(t *testing.T, spoil func(w want) want) (url string) {
	t.Helper()
	if err := corpus.StartVips(); err != nil {
		t.Fatal(err)
	}
	return answering(t, playImgproxy(t, spoil))
}

func playImgproxy(t *testing.T, spoil func(w want) want) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "imgproxy")
		if parts := imgproxyURL.FindStringSubmatch(r.URL.EscapedPath()); parts != nil {
			_, _ = w.Write(renditionOf(t, parts, spoil))
		}
	}
}

func renditionOf(t *testing.T, parts []string, spoil func(w want) want) []byte {
	source, err := url.PathUnescape(parts[3])
	if err != nil {
		t.Error(err)
	}
	original, err := askOnce(t.Context(), &shot{url: source, status: http.StatusOK, length: anyLength})
	if err != nil {
		t.Error(err)
	}
	formats := map[string]asset.Format{"jpg": asset.JPEG, "webp": asset.WebP, "avif": asset.AVIF}
	asked := want{format: formats[parts[4]]}
	asked.width, _ = strconv.Atoi(parts[1]) // digits
	asked.quality, _ = strconv.Atoi(parts[2])
	body, err := thumbnail(original.body, spoil(asked))
	if err != nil {
		t.Error(err)
	}
	return body
}

// A rival that renders well is compared; one that answers something else is left out, and the others stand.
func TestRenders(t *testing.T) {
	r := testRun(t)
	r.Corpus = smallPictures(t, 1)
	page := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	refuses := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("the source is not allowed"))
	})
	peers := map[string]struct{ url, says string }{
		"imgproxy":         {imgproxy(t, func(w want) want { return w }), "yes"},
		"imgproxy-page":    {page, `are no picture of a known type: "<html>"`},
		"imgproxy-refuses": {refuses, `is answered with 403, not 200: "the source is not allowed"`},
		"imgproxy-size":    {imgproxy(t, func(w want) want { w.width--; return w }), "at 60 px as jpeg is image/jpeg of 59 × 44, not image/jpeg of 60 × 45"},
		"imgproxy-format":  {imgproxy(t, func(w want) want { w.format = asset.JPEG; return w }), "as webp is image/jpeg of"},
		"weserv":           {page, `are no picture of a known type: "<html>"`},
	}
	for name, p := range peers {
		r.Peers = append(r.Peers, Peer{name, p.url})
	}
	if err := renders(t.Context(), r, renderSize{widths: []int{64, 32}, rounds: minRounds}); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	for _, batch := range []string{"first", "jpeg", "webp", "avif"} {
		for _, of := range []string{"", "_libvips", "_imgproxy", "_ratio_libvips", "_ratio_imgproxy"} {
			if v := r.report.value(t, "render_"+batch+"_per_second"+of); v <= 0 {
				t.Errorf("%s%s: %v", batch, of, v)
			}
		}
		r.report.value(t, "render_"+batch+"_cpu_ms")
		if rss := r.report.value(t, "render_"+batch+"_peak_rss_mb"); rss < 1 {
			t.Errorf("%s: %v MB", batch, rss)
		}
	}
	for name, p := range peers {
		said := r.report.counted(t, name)
		if p.says != "yes" && (!strings.HasPrefix(said, "no: ") || !strings.Contains(said, p.says)) || p.says == "yes" && said != "yes" {
			t.Errorf("%s: %.300s, want %s", name, said, p.says)
		}
		if has := r.report.figuresOf(name); (len(has) > 0) != (p.says == "yes") {
			t.Errorf("%s has %v", name, has)
		}
	}
	if said := r.report.counted(t, "libvips"); said != "yes" {
		t.Error(said)
	}
	ended(t)
}

func TestBatchesOf(t *testing.T) {
	batches := batchesOf([]corpus.File{{Name: "a"}, {Name: "b"}}, []int{512, 256})
	for i, want := range []struct {
		name string
		n    int
	}{{"first", 2}, {"jpeg", 2}, {"webp", 4}, {"avif", 4}} {
		if b := batches[i]; b.name != want.name || len(b.wants) != want.n {
			t.Errorf("%+v, want %+v", b, want)
		}
	}
	if first := batches[0].wants; first[1] != (want{"b", 512, asset.JPEG, renderQuality}) {
		t.Errorf("%+v", first)
	}
}

// What every subject is expected to render is no document, and does not move.
func TestStills(t *testing.T) {
	jpg, err := corpus.JPEG(corpus.Landscape(1, 64, 48), 80)
	if err != nil {
		t.Fatal(err)
	}
	pdf, err := corpus.Brochure(1)
	if err != nil {
		t.Fatal(err)
	}
	r := testRun(t)
	r.Corpus = album(t, map[string][]byte{"a.jpg": jpg, "b.pdf": pdf})
	stills, err := r.stills(t.Context())
	if err != nil || len(stills) != 1 || stills[0].Name != "a.jpg" {
		t.Errorf("%v, %v", stills, err)
	}
	r = testRun(t)
	r.Corpus = album(t, map[string][]byte{"b.pdf": pdf})
	_, err = r.stills(t.Context())
	asked(t, err, r.Corpus, "give a directory with JPEG, PNG, WebP, AVIF or GIF files")
	r = testRun(t)
	r.Corpus = t.TempDir()
	_, err = r.stills(t.Context())
	asked(t, err, "--corpus: there is no picture in")
}

// What is cold has names and bytes of its own in each run and each folder of it, and what was before is not served any more.
func TestFreshen(t *testing.T) {
	o, err := startOrigin("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.end() }()
	names, bodies := map[string]bool{}, map[string]bool{}
	for _, product := range []string{"one", "two"} {
		b := newStudio(&field{run: testRun(t), product: product, origin: o})
		for _, folder := range []string{"r0", "r1"} {
			files, err := b.freshen(t.Context(), []corpus.File{{Name: "a", Data: []byte("x")}, {Name: "b", Data: []byte("x")}}, folder)
			if err != nil || len(files) != 2 || len(b.pictures) != 2 || len(o.files) != 2 {
				t.Fatalf("%d files, %d pictures, %d at the origin, %v", len(files), len(b.pictures), len(o.files), err)
			}
			for _, f := range files {
				names[f.Name], bodies[string(f.Data)] = true, true
			}
		}
	}
	if len(names) != 8 || len(bodies) != 8 {
		t.Errorf("%d names, %d bodies of 8", len(names), len(bodies))
	}
}

// Bytes that nobody has seen show the same picture.
func TestFresh(t *testing.T) {
	original, err := corpus.JPEG(corpus.Landscape(1, 90, 60), 80)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF} {
		data, err := thumbnail(original, want{width: 60, format: format, quality: 80})
		if err != nil {
			t.Fatal(err)
		}
		f := corpus.File{Name: "a", Type: format.MediaType(), Data: data}
		other := f
		other.Name = "other/" + f.Name
		a, b := fresh(f), fresh(other)
		if slices.Equal(a, b) || slices.Equal(a, data) || slices.Equal(b, data) {
			t.Errorf("the %s is the same", format)
		}
		w := want{width: 32, format: asset.JPEG, quality: 80}
		shown, err := thumbnail(a, w)
		before, err2 := thumbnail(data, w)
		if err != nil || err2 != nil || !slices.Equal(shown, before) {
			t.Errorf("the %s shows something else: %v, %v", format, err, err2)
		}
	}
}

func TestVerifier(t *testing.T) {
	original, err := corpus.JPEG(corpus.Landscape(1, 90, 61), 80)
	if err != nil {
		t.Fatal(err)
	}
	b := newStudio(&field{run: testRun(t)})
	b.pictures["a"] = corpus.File{Width: 90, Height: 61, Data: original}
	verifies := func(asked, made want, ok bool) {
		t.Helper()
		asked.file = "a"
		body, err := thumbnail(original, made)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.verifier(asked)("", body); (err == nil) != ok {
			t.Errorf("%v for %v: %v", made, asked, err)
		}
	}
	half := want{width: 45, format: asset.JPEG, quality: 80}
	verifies(half, half, true)
	verifies(want{width: 200, format: asset.JPEG}, want{width: 90, format: asset.JPEG, quality: 80}, true) // never enlarged
	verifies(half, want{width: 44, format: asset.JPEG, quality: 80}, false)
	verifies(half, want{width: 45, format: asset.WebP, quality: 80}, false)
	verifies(want{width: 45, format: asset.WebP}, want{width: 45, format: asset.WebP, quality: 80}, true)
	if err := b.verifier(half)("", []byte("<html>")); err == nil {
		t.Error("a page is no picture")
	}
}
