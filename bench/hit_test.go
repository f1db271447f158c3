package bench

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

var tinyHit = hitSize{bytes: []int{2 << 10}, rounds: 1, lasts: 50 * time.Millisecond, ceiling: 50 * time.Millisecond, connections: 2}

// once fails the test unless every figure is there once and is a number that is not negative.
func (r *Report) once(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range r.Figures {
		if seen[f.Name] || math.IsNaN(f.Value) || math.IsInf(f.Value, 0) || f.Value < 0 && !strings.Contains(f.Name, "growth") {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
	}
	if len(seen) == 0 {
		t.Error("nothing was measured")
	}
}

// late reports whether the generator was the limit of a load before the last table, which is about that: on a busy machine it
// may be, and then has no latency to report.
func (r *Report) late() bool {
	return strings.Contains(fmt.Sprint(r.Tables[:len(r.Tables)-1]), "the generator (")
}

// An answer from another tier than the mode's is none.
func TestHitSettles(t *testing.T) {
	var asked atomic.Int64
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		tier := "fwd=miss; stored"
		if asked.Add(1) > 2 {
			tier = "hit; detail=memory"
		}
		w.Header().Set("Cache-Status", "assetmatrix; "+tier)
		_, _ = w.Write([]byte("x"))
	})
	b := &hitBench{field: &field{run: testRun(t), origin: &origin{files: map[string]corpusFile{"a": {}}}}}
	own, aimed := &subject{api: adminOf(t, url)}, &shot{url: url, status: http.StatusOK, length: 1}
	if err := b.settle(t.Context(), own, aimed, hitModes[0]); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d", err, asked.Load())
	}
	if err := b.settle(t.Context(), own, aimed, hitModes[1]); err == nil || !strings.Contains(err.Error(), `is answered from "memory", not from disk`) {
		t.Error(err)
	}
	if err := b.settle(t.Context(), &subject{}, aimed, hitModes[1]); err != nil {
		t.Errorf("of a peer nobody knows the tier: %v", err)
	}
	proxying := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		b.origin.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/a", nil))
		_, _ = w.Write([]byte("x"))
	})
	if err := b.settle(t.Context(), &subject{}, &shot{url: proxying, status: http.StatusOK, length: 1}, hitModes[0]); err == nil || !strings.Contains(err.Error(), "fetches the file from the origin for each answer") {
		t.Errorf("a peer that fetches each time: %v", err)
	}
}

func TestHitModes(t *testing.T) {
	a := &firstAnswer{url: "http://x/", header: http.Header{"Etag": {`"1"`}, "Last-Modified": {"then"}}, length: 1000}
	aims := func(make func(*firstAnswer) (*shot, error), want shot) {
		t.Helper()
		got, err := make(a)
		if err != nil || got.url != a.url || got.header != want.header || got.status != want.status || got.length != want.length {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	aims((*firstAnswer).again, shot{status: 200, length: 1000})
	aims((*firstAnswer).half, shot{header: [2]string{"Range", "bytes=250-749"}, status: 206, length: 500})
	aims((*firstAnswer).notModified, shot{header: [2]string{"If-None-Match", `"1"`}, status: 304})
	a.header.Del("Etag")
	aims((*firstAnswer).notModified, shot{header: [2]string{"If-Modified-Since", "then"}, status: 304})
	a.header.Del("Last-Modified")
	if _, err := a.notModified(); err == nil {
		t.Error("one asks for what nobody said")
	}
}

// Of two pictures of about the same size one is taken: a figure has the size in its name.
func TestHitNearest(t *testing.T) {
	files := map[string][]byte{}
	for i, bytes := range []int{3000, 3100, 40_000} {
		data, err := corpus.Sized(uint64(i+1), bytes)
		if err != nil {
			t.Fatal(err)
		}
		files[strconv.Itoa(bytes)+".jpg"] = data
	}
	takes := func(wanted []int, want ...string) {
		t.Helper()
		r := testRun(t)
		r.Corpus = album(t, files)
		got, err := r.hitFiles(t.Context(), wanted)
		var names []string
		for _, f := range got {
			names = append(names, f.Name)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("of %v %v, %v, want %v", wanted, names, err, want)
		}
	}
	takes([]int{2 << 10, 37 << 10, 1 << 20}, "3000.jpg", "40000.jpg")
	takes([]int{2 << 10, 3100}, "3000.jpg")
	takes([]int{1 << 20, 1, 1 << 19}, "40000.jpg", "3000.jpg")
}

func TestSizeName(t *testing.T) {
	for bytes, want := range map[int]string{900: "900", 2 << 10: "2k", 37_800: "37k", 1 << 20: "1m", 3 << 19: "2m"} {
		if got := sizeName(bytes); got != want {
			t.Errorf("%d is %s, want %s", bytes, got, want)
		}
	}
}

// A peer that does not answer what was asked for is left out, whatever it does instead; the others stand.
func TestHitPeers(t *testing.T) {
	r := testRun(t)
	r.Origin = nobody(t)
	fetch := func(path string) []byte { // from the bench's origin, as a cache does
		a, err := askOnce(t.Context(), &shot{url: "http://" + r.Origin + path, status: http.StatusOK, length: anyLength})
		if err != nil {
			t.Error(err)
		}
		return a.body
	}
	plays := func(answer func(w http.ResponseWriter, body []byte)) (url string) {
		return answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				answer(w, fetch(r.URL.Path))
			}
		})
	}
	var cache sync.Map
	cached := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			return
		}
		body, ok := cache.Load(r.URL.Path)
		if !ok {
			body = fetch(r.URL.Path)
			cache.Store(r.URL.Path, body)
		}
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", corpusDate, bytes.NewReader(body.([]byte)))
	})
	var answers atomic.Int64
	var tired []byte
	for name, p := range map[string]struct{ url, says string }{
		"nginx-cache":  {cached, "yes"},
		"nginx-origin": {"http://" + r.Origin, "fetches the file from the origin for each answer, which is no hit"},
		"nginx-error": {plays(func(w http.ResponseWriter, _ []byte) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<html>"))
		}), `is answered with 502, not 200: "<html>"`},
		"nginx-page":  {plays(func(w http.ResponseWriter, _ []byte) { _, _ = w.Write([]byte("<html>")) }), "is answered with 6 bytes, not 2048"},
		"nginx-empty": {plays(func(http.ResponseWriter, []byte) {}), "is answered with 0 bytes, not 2048"},
		"nginx-bytes": {plays(func(w http.ResponseWriter, body []byte) { _, _ = w.Write(slices.Repeat([]byte("x"), len(body))) }), "is answered with other bytes than the file has"},
		"nginx-tired": {answering(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case answers.Add(1) > 40:
				w.WriteHeader(http.StatusServiceUnavailable)
			case r.URL.Path != "/":
				if tired == nil {
					tired = fetch(r.URL.Path)
				}
				http.ServeContent(w, r, "", corpusDate, bytes.NewReader(tired))
			}
		}), "is answered with 503, not 20"},
	} {
		r.Peers = append(r.Peers, Peer{name, p.url})
		defer func() {
			if said := r.report.counted(t, name); said != p.says && !(strings.HasPrefix(said, "no: ") && strings.Contains(said, p.says)) {
				t.Errorf("%s: %.300s, want %s", name, said, p.says)
			}
			if has := r.report.figuresOf(name); (len(has) > 0) != (p.says == "yes") {
				t.Errorf("%s has %v", name, has)
			}
		}()
	}
	size := tinyHit
	size.rounds, size.lasts = minRounds, 20*time.Millisecond
	if err := hits(t.Context(), r, size); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if own, peer := r.report.value(t, "hit_peak_rss_mb"), r.report.value(t, "hit_peak_rss_mb_nginx_cache"); own < 10 || peer < 10 {
		t.Errorf("%v MB, of a peer %v", own, peer)
	}
	for _, mode := range hitModes {
		name := "hit_" + mode.name + "_2k_per_second"
		i := slices.IndexFunc(r.report.Figures, func(f *Figure) bool { return f.Name == name+"_ratio_nginx_cache" })
		if i < 0 {
			t.Errorf("no ratio of %s", name)
			continue
		}
		if f := r.report.Figures[i]; f.Low == nil || *f.Low > f.Value || *f.High < f.Value || f.Unit != "×" {
			t.Errorf("%+v", f)
		}
		r.report.value(t, "hit_"+mode.name+"_2k_cpu_us")
		own, peer := r.report.value(t, name), r.report.value(t, name+"_nginx_cache")
		if own <= 0 || peer <= 0 {
			t.Errorf("%s: %v, of a peer %v", name, own, peer)
		}
	}
	if !r.report.late() {
		r.report.value(t, "hit_memory_2k_p50_ms_ratio_nginx_cache")
	}
	if closed, open := r.report.value(t, "generator_closed_per_second"), r.report.value(t, "generator_open_per_second"); closed <= 0 || open <= 0 {
		t.Errorf("the generator: %v, %v", closed, open)
	}
	for _, name := range []string{ownName, ownName + " (disk)"} {
		if said := r.report.counted(t, name); said != "yes" {
			t.Errorf("%s: %s", name, said)
		}
	}
	if last := r.report.Tables[len(r.report.Tables)-1]; last.Title != "Who is the limit" || len(last.Rows) != 3 {
		t.Errorf("%+v", last)
	}
	ended(t)
}

// A target has the memory cache that it has, so that nothing is said of its disk.
func TestHitTarget(t *testing.T) {
	r := testRun(t)
	api := targetServer(t, r)
	r.Rate = 200
	if err := hits(t.Context(), r, tinyHit); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if i := slices.IndexFunc(r.report.Figures, func(f *Figure) bool { return strings.Contains(f.Name, "disk") }); i >= 0 {
		t.Errorf("%+v", r.report.Figures[i])
	}
	if r.report.value(t, "hit_memory_2k_per_second") <= 0 || len(products(t, api)) > 0 {
		t.Errorf("left behind: %v", products(t, api))
	}
	if text := fmt.Sprint(r.report.Tables); !strings.Contains(text, "at 200/s") {
		t.Errorf("no latency at the rate that was asked for: %s", text)
	}
}
