package assetmatrix

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// accepts are those of a client that shows AVIF, of one that shows WebP, and of one that shows neither.
var accepts = []string{"image/avif,image/webp,image/png,*/*;q=0.8", "image/webp,*/*", "*/*"}

func (s *site) presets(product string, presets map[string]string) {
	s.t.Helper()
	if _, err := s.PutProduct(s.t.Context(), product, client.ProductSpec{Presets: presets}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) link(product, name, id string) {
	s.t.Helper()
	if _, err := s.PutLink(s.t.Context(), product, name, client.LinkSpec{Asset: id}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) derived(outcome string) int {
	s.t.Helper()
	return int(s.metric("assetmatrix_derived_total", strconv.Quote(outcome)))
}

// hits wants a preset to be in the disk cache for every kind of client, and returns the bytes.
func (s *site) hits(path string) (bodies [][]byte) {
	s.t.Helper()
	types := map[string]bool{}
	for _, accept := range accepts {
		a := s.get(path, "Accept", accept).is(s.t, 200)
		if status := a.Header.Get("Cache-Status"); !strings.Contains(status, "hit; detail=") {
			s.t.Errorf("%s for %s: %s", path, accept, status)
		}
		types[a.Header.Get("Content-Type")] = true
		bodies = append(bodies, a.body)
	}
	if len(types) != 3 {
		s.t.Errorf("%s came as %v", path, types)
	}
	return bodies
}

// What a version or a link brings is in the cache before anybody has asked for it, what two products have in common is made once,
// and a new version is made anew.
func TestPresetsAreDerived(t *testing.T) {
	s := boot(t, nil)
	s.presets("shop", map[string]string{"thumb": "w=80", "card": "w=120,f=webp"})
	s.presets("blog", map[string]string{"small": "width=80"})
	first := s.put("shop", "a.jpg", picture(t, 1, 640, 480))
	s.put("shop", "notes.txt", []byte("no picture"))
	eventually(t, "the presets are made", func() bool { return s.derived("made") == 4 })
	old := s.hits("/shop/thumb/a.jpg")
	if a := s.get("/shop/card/a.jpg"); !strings.Contains(a.Header.Get("Cache-Status"), "hit") {
		t.Errorf("the preset with a format of its own: %s", a.Header.Get("Cache-Status"))
	}
	renders := s.metric("assetmatrix_renders_total")
	if renders != 4 {
		t.Errorf("%v renders for 4 renditions", renders)
	}

	s.link("blog", "shared.jpg", first.ID)
	eventually(t, "the other product's are found", func() bool { return s.derived("had") == 4 })
	s.hits("/blog/small/shared.jpg")
	if now := s.metric("assetmatrix_renders_total"); now != renders {
		t.Errorf("%v renders more for the same pixels of another product", now-renders)
	}

	s.put("shop", "a.jpg", picture(t, 2, 640, 480))
	eventually(t, "the new version's are made", func() bool { return s.derived("made") == 8 })
	for i, body := range s.hits("/blog/small/shared.jpg") {
		if bytes.Equal(body, old[i]) {
			t.Errorf("%s is still that of the old version", accepts[i])
		}
	}
	if now := s.metric("assetmatrix_renders_total"); now != 2*renders || s.derived("failed")+s.derived("dropped") != 0 {
		t.Errorf("%v renders, %d failed, %d dropped", now, s.derived("failed"), s.derived("dropped"))
	}
	eventually(t, "nothing waits", func() bool { return s.metric("assetmatrix_derive_queue_depth") == 0 })
}

// The sizes of a large picture share a reduction, which the metrics tell.
func TestDerivedFromAReduction(t *testing.T) {
	s := boot(t, nil)
	s.presets("shop", map[string]string{"thumb": "w=100,f=jpeg", "card": "w=110,f=jpeg"})
	s.put("shop", "large.jpg", photo())
	eventually(t, "the presets are made", func() bool { return s.derived("made") == 2 })
	made := s.metric("assetmatrix_renders_total", `format="reduced"`)
	if from := s.metric("assetmatrix_renders_from_reduction_total"); from != 2 || made != 1 {
		t.Errorf("%v renders from %v reductions, want 2 from 1", from, made)
	}
}

// While clients wait for renders, nothing is derived.
func TestNothingIsDerivedUnderLoad(t *testing.T) {
	s := boot(t, func(c *Config) { c.Render.Workers = 1 })
	s.product("app")
	s.presets("app", map[string]string{"thumb": "w=50,f=jpeg"})
	live := s.put("shop", "live.jpg", picture(t, 1, 1600, 1200))
	var width atomic.Int64
	var clients sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				if a := s.get(fmt.Sprintf("/shop/w=%d,f=jpeg/live.jpg", 400+width.Add(1))); a.StatusCode != 200 {
					t.Error(a.Status)
					return
				}
			}
		})
	}
	rendered := func() float64 { return s.metric("assetmatrix_renders_total", `outcome="ok"`) }
	eventually(t, "the worker is busy", func() bool { return rendered() >= 4 })
	s.link("app", "live.jpg", live.ID)
	linked := rendered()
	eventually(t, "many more are rendered", func() bool { return rendered() >= linked+20 })
	if n := s.derived("made"); n != 0 {
		t.Errorf("%d derived beside four clients who wait", n)
	}
	stop.Store(true)
	clients.Wait()
	eventually(t, "it is made when they have left", func() bool { return s.derived("made") == 1 })
}

func TestDerivingCanBeOff(t *testing.T) {
	s := boot(t, func(c *Config) { c.Render.Derive = 0 })
	s.presets("shop", map[string]string{"thumb": "w=80"})
	s.put("shop", "a.jpg", picture(t, 1, 640, 480))
	if a := s.get("/shop/thumb/a.jpg").is(t, 200); !strings.Contains(a.Header.Get("Cache-Status"), "fwd=miss") {
		t.Errorf("somebody has made it before: %s", a.Header.Get("Cache-Status"))
	}
	if n := s.metric("assetmatrix_derived_total") + s.metric("assetmatrix_derive_queue_depth"); n != 0 {
		t.Errorf("%v derived or waiting", n)
	}
}

// An original that was damaged at its provider costs one try, however many presets there are.
func TestDamagedOriginalIsDerivedOnce(t *testing.T) {
	s := boot(t, nil)
	s.presets("app", map[string]string{"a": "w=50", "b": "w=60", "c": "w=70"})
	damaged := s.put("shop", "damaged.jpg", picture(t, 1, 640, 480))
	sound := s.put("shop", "sound.jpg", picture(t, 2, 640, 480))
	flip(t, filepath.Join(s.dir, "originals", "sha256", damaged.Digest.String()[:2], damaged.Digest.String()))
	s.link("app", "damaged.jpg", damaged.ID)
	s.link("app", "sound.jpg", sound.ID)
	eventually(t, "the sound one's presets are made", func() bool { return s.derived("made") == 9 })
	if n := s.derived("failed"); n != 1 {
		t.Errorf("%d failed, want 1", n)
	}
	if n := s.metric("assetmatrix_provider_reads_total", `outcome="corrupt"`); n != 1 {
		t.Errorf("the damaged original was read %v times, want once", n)
	}
}

// What is there when a server starts was derived before, or not: only what changes while it runs is.
func TestRestartDerivesNothing(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "ASSETMATRIX_RENDER_DERIVE=off")
	s.presets("shop", map[string]string{"thumb": "w=80,f=jpeg"})
	s.put("shop", "old.jpg", picture(t, 1, 640, 480))
	s.kill()
	s = start(t, dir, "ASSETMATRIX_RENDER_DERIVE=on")
	s.put("shop", "new.jpg", picture(t, 2, 640, 480))
	eventually(t, "what is new is made", func() bool { return s.derived("made") == 1 })
	eventually(t, "nothing waits", func() bool { return s.metric("assetmatrix_derive_queue_depth") == 0 })
	if a := s.get("/shop/thumb/old.jpg").is(t, 200); !strings.Contains(a.Header.Get("Cache-Status"), "fwd=miss") {
		t.Errorf("the old one: %s", a.Header.Get("Cache-Status"))
	}
}

// An edge makes the presets of the products that it serves, and the control plane, which serves nobody, makes none.
func TestEdgesDeriveWhatTheyServe(t *testing.T) {
	f := newFleet(t)
	for _, product := range []string{"shop", "app"} {
		f.control.presets(product, map[string]string{"thumb": "w=80,f=jpeg"})
	}
	first := f.control.put("shop", "seen.txt", []byte("no picture: it may have been noticed when the visitor has"))
	serving, unvisited := f.edge(t.TempDir()), f.edge(t.TempDir())
	serving.get("/shop/info/seen.txt?min_revision="+strconv.FormatUint(first.Revision, 10)).is(t, 200)
	f.control.put("app", "elsewhere.jpg", picture(t, 2, 640, 480))
	last := f.control.put("shop", "new.jpg", picture(t, 3, 640, 480))
	eventually(t, "the edge has made it", func() bool { return serving.derived("made") == 1 })
	if a := serving.get("/app/thumb/elsewhere.jpg").is(t, 200); !strings.Contains(a.Header.Get("Cache-Status"), "fwd=miss") {
		t.Errorf("a product that nobody has asked for here: %s", a.Header.Get("Cache-Status"))
	}
	if a := serving.get("/shop/thumb/new.jpg").is(t, 200); !strings.Contains(a.Header.Get("Cache-Status"), "hit") {
		t.Errorf("%s", a.Header.Get("Cache-Status"))
	}
	unvisited.get("/shop/info/new.jpg?min_revision="+strconv.FormatUint(last.Revision, 10)).is(t, 200)
	for name, s := range map[string]*site{"the control plane": f.control, "an edge without visitors": unvisited} {
		if n := s.metric("assetmatrix_derived_total") + s.metric("assetmatrix_derive_queue_depth"); n != 0 {
			t.Errorf("%s has %v derived or waiting", name, n)
		}
	}
}

// A product counts as served for an hour, and noting that allocates nothing.
func TestServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s served
		if s.anything() || s.lately("shop") {
			t.Error("nobody was served yet")
		}
		s.note("shop")
		time.Sleep(30 * time.Minute)
		s.note("blog")
		time.Sleep(31 * time.Minute)
		if s.lately("shop") || !s.lately("blog") || s.lately("app") || !s.anything() {
			t.Error("after an hour")
		}
		time.Sleep(time.Hour)
		if s.anything() || s.lately("blog") {
			t.Error("after two hours")
		}
		if n := testing.AllocsPerRun(100, func() { s.note("shop") }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
