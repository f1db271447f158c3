package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A world is what a Deriver sees: a small matrix, a resolver that reads it, and a loader that notes what is made.
type world struct {
	mu        sync.Mutex // guards the rest
	products  map[string]*asset.Product
	links     map[string][]*asset.Link // by asset
	originals map[string]asset.Digest  // of assets
	kept      map[asset.Key]bool
	made      []asset.Key
	outcomes  map[string]int
	fail      func(asset.Key) error
	unkept    bool

	idle, room atomic.Bool
	running    atomic.Int64
	most       atomic.Int64
}

func newWorld() *world {
	w := &world{
		products: map[string]*asset.Product{}, links: map[string][]*asset.Link{}, originals: map[string]asset.Digest{},
		kept: map[asset.Key]bool{}, outcomes: map[string]int{}, fail: func(asset.Key) error { return nil },
	}
	w.idle.Store(true)
	w.room.Store(true)
	return w
}

// LinksOf and Product make it a view.
func (w *world) LinksOf(id string) []*asset.Link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.links[id]
}

func (w *world) Product(name string) (*asset.Product, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.products[name]
	return p, ok
}

// resolver resolves with the real one.
func (w *world) resolver(t *testing.T) *resolve.Resolver {
	t.Helper()
	r, err := resolve.New(resolve.DefaultConfig(), func() resolve.View { return resolvable{w} })
	must(t, err)
	return r
}

type resolvable struct{ *world }

func (resolvable) Revision() uint64 { return 1 }
func (resolvable) Err() error       { return nil }

func (w resolvable) Find(product, name string, number int) (asset.Entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, links := range w.links {
		for _, l := range links {
			if l.Product == product && l.Name == name {
				v := asset.Version{Number: 1, Digest: w.originals[id], MediaType: "image/jpeg", Picture: &asset.Picture{Width: 800, Height: 600, Pages: 1}}
				return asset.NewEntry(l, &asset.Asset{ID: id, Status: asset.Active, Current: 1, Versions: []asset.Version{v}}, number), true
			}
		}
	}
	return asset.Entry{}, false
}

// Load makes it a loader.
func (w *world) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	w.most.Store(max(w.most.Load(), w.running.Add(1)))
	defer w.running.Add(-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	trace := asset.TraceOf(ctx)
	if w.kept[k] {
		trace.Source = asset.DiskTier
		return asset.NewObject(k, "image/x", nil), nil
	}
	w.made = append(w.made, k)
	if err := w.fail(k); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	w.mu.Unlock()
	time.Sleep(time.Second) // a render
	w.mu.Lock()
	trace.Source, trace.Stored, w.kept[k] = asset.Transforming, !w.unkept, !w.unkept
	return asset.NewObject(k, "image/x", nil), nil
}

// add puts an asset with links, each product/name.
func (w *world) add(id string, links ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.originals[id] = digestOf(id)
	for _, l := range links {
		product, name, _ := strings.Cut(l, "/")
		w.links[id] = append(w.links[id], &asset.Link{Product: product, Name: name, Asset: id})
	}
}

func (w *world) product(name string, presets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &asset.Product{Name: name, Presets: map[string]string{}}
	for i, options := range presets {
		p.Presets[fmt.Sprintf("p%02d", i)] = options
	}
	w.products[name] = p
}

// derive runs a Deriver in a bubble; f ends before it does.
func (w *world) derive(t *testing.T, atOnce int, f func(d *Deriver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := w.resolver(t)
		d := NewDeriver(DeriveDeps{
			View: func() DeriveView { return w }, Resolve: func(t resolve.Target, accept string) (resolve.Resolution, error) {
				return r.Resolve(t, resolve.Client{Accept: accept})
			}, Renditions: w, Idle: w.idle.Load, Room: w.room.Load,
			Wanted: func(product string) bool { return product != "unwanted" },
		}, DeriveEvents{
			Derived: func(outcome string, _ asset.Key, err error) {
				if (err != nil) != (outcome == DeriveFailed) {
					t.Errorf("%s: %v", outcome, err)
				}
				w.count(outcome)
			},
			Dropped: func(string) { w.count("dropped") },
			Paused:  func(time.Duration) { w.count("paused") },
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx, atOnce); close(ended) }()
		f(d)
		stop()
		<-ended
	})
}

func (w *world) count(outcome string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[outcome]++
}

func (w *world) want(t *testing.T, outcomes map[string]int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !maps.Equal(w.outcomes, outcomes) {
		t.Errorf("outcomes %v, want %v", w.outcomes, outcomes)
	}
}

func changed(ids ...string) (m []catalog.Mutation) {
	for _, id := range ids {
		m = append(m, catalog.Mutation{AddVersion: &catalog.AddedVersion{Asset: id}})
	}
	return m
}

// long is more than all that any test here makes takes.
const long = time.Hour

// f=auto is made for clients that show AVIF, WebP and neither, an explicit format once, and what several links, products and presets
// agree on once.
func TestDeriveMakesEachKeyOnce(t *testing.T) {
	w := newWorld()
	w.product("shop", "w=100", "w=200,f=webp", "width=100,format=auto")
	w.product("blog", "w=100")
	w.product("unwanted", "w=300")
	w.add("a", "shop/a.jpg", "shop/again.jpg", "blog/a.jpg", "unwanted/a.jpg", "gone/a.jpg")
	w.derive(t, 1, func(d *Deriver) {
		d.Changed(changed("a", "nothing"))
		time.Sleep(long)
		w.want(t, map[string]int{DeriveMade: 4})
		d.Changed(changed("a"))
		time.Sleep(long)
		w.want(t, map[string]int{DeriveMade: 4, DeriveHad: 4})
	})
	var made []string
	for _, k := range w.made {
		made = append(made, k.Variant.String())
	}
	slices.Sort(made)
	if want := []string{"f=avif,w=100", "f=jpeg,w=100", "f=webp,w=100", "f=webp,w=200"}; !slices.Equal(made, want) {
		t.Errorf("made %q, want %q", made, want)
	}
}

// Nothing is begun while others wait or the cache is full, and never more at once than is allowed.
func TestDeriveGivesWay(t *testing.T) {
	w := newWorld()
	w.product("shop", "w=1", "w=2", "w=3")
	w.add("a", "shop/a.jpg")
	w.add("b", "shop/b.jpg")
	w.derive(t, 2, func(d *Deriver) {
		for _, flag := range []*atomic.Bool{&w.idle, &w.room} {
			flag.Store(false)
			synctest.Wait() // both have nothing to do
			d.Changed(changed("a", "b"))
			time.Sleep(long)
			w.want(t, map[string]int{})
			flag.Store(true)
			time.Sleep(2500 * time.Millisecond) // some of it
			w.idle.Store(false)
			time.Sleep(long)
			if n := len(w.made); n == 0 || n == 18 {
				t.Errorf("%d made", n)
			}
			w.idle.Store(true)
			time.Sleep(long)
			w.want(t, map[string]int{DeriveMade: 18})
			w.outcomes, w.made, w.kept = map[string]int{}, nil, map[asset.Key]bool{}
		}
	})
	if most := w.most.Load(); most != 2 {
		t.Errorf("%d at once, want 2", most)
	}
}

// What changes again while it waits is made once; what does so while it is made is begun anew, and the rest of the old left.
func TestDeriveCoalesces(t *testing.T) {
	w := newWorld()
	w.product("shop", "f=webp,w=1", "f=webp,w=2", "f=webp,w=3")
	w.add("a", "shop/a.jpg")
	w.derive(t, 1, func(d *Deriver) {
		w.idle.Store(false)
		for range 100 {
			d.Changed(changed("a"))
		}
		synctest.Wait()
		w.idle.Store(true)
		time.Sleep(500 * time.Millisecond) // in the midst of the first
		w.mu.Lock()
		w.originals["a"] = digestOf("new")
		w.mu.Unlock()
		d.Changed(changed("a"))
		time.Sleep(long)
		w.want(t, map[string]int{DeriveMade: 4})
	})
	old := 0
	for _, k := range w.made {
		if k.Original == digestOf("a") {
			old++
		}
	}
	if old != 1 || len(w.made) != 4 {
		t.Errorf("%d made, %d of them of the old version; want 4 and 1", len(w.made), old)
	}
}

// The queue is bounded, and the oldest gives way.
func TestDeriveDropsTheOldest(t *testing.T) {
	w := newWorld()
	w.product("shop", "f=webp,w=1")
	w.idle.Store(false)
	w.add("first", "shop/first.jpg")
	w.add("oldest", "shop/oldest.jpg")
	w.add("newest", "shop/newest.jpg")
	w.derive(t, 1, func(d *Deriver) {
		d.Changed(changed("first"))
		synctest.Wait() // it is taken
		d.Changed(changed("oldest"))
		for i := range maxWaiting {
			d.Changed(changed(fmt.Sprint("other", i)))
		}
		d.Changed(changed("newest"))
		if n := d.Waiting(); n != maxWaiting {
			t.Errorf("%d wait, want %d", n, maxWaiting)
		}
		w.idle.Store(true)
		time.Sleep(long)
		w.want(t, map[string]int{DeriveMade: 2, "dropped": 2})
		if n := d.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// A failure is not repeated: one of the original ends all of it, one of the variant only that.
func TestDeriveFailsOnce(t *testing.T) {
	for _, c := range []struct {
		err           error
		tried, failed int
	}{
		{asset.ErrUndecodable, 1, 1},
		{asset.ErrUnavailable, 1, 1},
		{asset.ErrTimeout, 1, 1},
		{errors.New("unheard of"), 1, 1},
		{asset.ErrInvalid, 3, 3},
		{asset.ErrTooLarge, 3, 3},
		{asset.ErrOverloaded, 2, 1},
		{asset.ErrNotFound, 2, 1},
	} {
		w := newWorld()
		w.product("shop", "f=webp,w=1", "f=webp,w=2", "f=webp,w=3")
		w.add("bad", "shop/bad.jpg")
		w.add("good", "shop/good.jpg")
		w.fail = func(k asset.Key) error {
			if k.Original == digestOf("bad") {
				return c.err
			}
			return nil
		}
		w.derive(t, 1, func(d *Deriver) {
			d.Changed(changed("bad", "good"))
			time.Sleep(long)
			w.want(t, map[string]int{DeriveFailed: c.failed, DeriveMade: 3})
		})
		if tried := len(w.made) - 3; tried != c.tried {
			t.Errorf("%v: tried %d times, want %d", c.err, tried, c.tried)
		}
	}
}

// What passes is waited for: too many clients, and an original that is still on its way to where it is read.
func TestDeriveWaitsForWhatPasses(t *testing.T) {
	for _, kind := range []error{asset.ErrOverloaded, asset.ErrNotFound} {
		w, refusals := newWorld(), 1
		w.product("shop", "f=webp,w=1")
		w.add("a", "shop/a.jpg")
		w.fail = func(asset.Key) error {
			if refusals--; refusals >= 0 {
				return kind
			}
			return nil
		}
		w.derive(t, 1, func(d *Deriver) {
			d.Changed(changed("a"))
			time.Sleep(long)
			w.want(t, map[string]int{DeriveMade: 1})
		})
	}
}

// While nothing is kept, as the disk is full, it makes one a minute to see whether that has passed.
func TestDeriveWaitsWhileNothingIsKept(t *testing.T) {
	w := newWorld()
	w.unkept = true
	w.product("shop", "w=1", "w=2", "w=3", "w=4")
	w.add("a", "shop/a.jpg")
	w.derive(t, 1, func(d *Deriver) {
		d.Changed(changed("a"))
		time.Sleep(5 * time.Minute)
		w.want(t, map[string]int{DeriveMade: 5, "paused": 5})
		w.mu.Lock()
		w.unkept = false
		w.mu.Unlock()
		time.Sleep(2 * time.Minute)
		w.want(t, map[string]int{DeriveMade: 12, "paused": 5})
	})
}

// Presets and links of any number are looked at up to a bound.
func TestDeriveIsBounded(t *testing.T) {
	w := newWorld()
	var presets, links []string
	for i := range maxPresets + 5 {
		presets = append(presets, fmt.Sprintf("f=webp,w=%d", i+1))
	}
	w.product("a", presets...)
	for i := range maxLinks {
		links = append(links, fmt.Sprintf("a/%d.jpg", i))
	}
	w.product("z", "f=webp,w=500")
	w.add("x", append(links, "z/x.jpg")...)
	w.derive(t, 1, func(d *Deriver) {
		d.Changed(changed("x"))
		time.Sleep(long)
		w.want(t, map[string]int{DeriveMade: maxPresets})
	})
}

// What makes an asset show something else is noted, and nothing else is.
func TestWhatIsShownAnew(t *testing.T) {
	f := func(m catalog.Mutation, want string) {
		t.Helper()
		if got := shownAnew(&m); got != want {
			t.Errorf("%+v: %q, want %q", m, got, want)
		}
	}
	change := func(c catalog.AssetChange) catalog.Mutation {
		c.Asset = "id"
		return catalog.Mutation{ChangeAsset: &c}
	}
	f(catalog.Mutation{PutAsset: &asset.Asset{ID: "id"}}, "id")
	f(catalog.Mutation{AddVersion: &catalog.AddedVersion{Asset: "id"}}, "id")
	f(catalog.Mutation{PutLink: &asset.Link{Asset: "id"}}, "id")
	f(change(catalog.AssetChange{Current: 2}), "id")
	f(change(catalog.AssetChange{Status: asset.Active}), "id")
	f(change(catalog.AssetChange{Focal: new(asset.Point)}), "id")
	f(change(catalog.AssetChange{NoFocal: true}), "id")
	f(change(catalog.AssetChange{Status: asset.Archived}), "")
	f(change(catalog.AssetChange{Tags: &[]string{"x"}}), "")
	f(catalog.Mutation{PutProduct: &asset.Product{Name: "p"}}, "")
	f(catalog.Mutation{DeleteAsset: "id"}, "")
	f(catalog.Mutation{DeleteLink: &catalog.LinkRef{}}, "")
	f(catalog.Mutation{Purge: &catalog.Purge{Asset: "id"}}, "")
}
