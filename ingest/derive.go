package ingest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A Deriver makes the renditions of presets before anybody asks for them: those of every product that shows an asset, as soon as
// that shows something new. It is the last step of the write path, in the background, and does not ask whose write it was.
//
// What it does costs whoever waits for something at most the end of one render: it begins one only while no other is waiting.
// What fails is not tried again until the asset changes again. It is safe for concurrent use.
//
//	d := ingest.NewDeriver(deps, events)
//	go d.Run(ctx, 1)
//	d.Changed(mutations) // of each message of the log
type Deriver struct {
	deps   DeriveDeps
	events DeriveEvents

	mu      sync.Mutex          // guards the rest
	queue   []string            // ids of assets, the oldest first, each once
	waiting map[string]struct{} // those in queue
	wake    chan struct{}       // has room for one: there is something in queue
}

// DeriveDeps is what a [Deriver] needs of the other rooms.
type DeriveDeps struct {
	// View is the newest view of the matrix.
	View func() DeriveView
	// Resolve says which key a URL has; it is [resolve.Resolver.Resolve].
	Resolve func(t resolve.Target, accept string) (resolve.Resolution, error)
	// Renditions makes what is not there, and keeps it.
	Renditions asset.Loader
	// Idle reports whether something may be rendered that nobody waits for.
	Idle func() bool
	// Room reports whether something may be kept that nobody has asked for.
	Room func() bool
	// Wanted reports whether this process makes presets of a product.
	Wanted func(product string) bool
}

// A DeriveView is the part of a view of the matrix that a [Deriver] needs; *catalog.View has it.
type DeriveView interface {
	LinksOf(assetID string) []*asset.Link
	Product(name string) (*asset.Product, bool)
}

var _ DeriveView = (*catalog.View)(nil)

// What became of a rendition that was to be made.
const (
	DeriveMade   = "made"
	DeriveHad    = "had"    // it was there, or a client was just being served with it
	DeriveFailed = "failed" // and with it, where the original is to blame, all others of that original
)

// DeriveEvents are told of what a [Deriver] does; a nil func is not called. They must not block.
type DeriveEvents struct {
	// Derived: what was to be made has an outcome; err is why it failed.
	Derived func(outcome string, k asset.Key, err error)
	// Dropped: so many assets were waiting that the oldest gave way.
	Dropped func(id string)
	// Paused: what was made could not be kept, so nothing is made for that long.
	Paused func(pause time.Duration)
}

// Bounds on what is made ahead.
const (
	// maxWaiting is how many assets may wait.
	maxWaiting = 4096
	// maxPresets is how many presets of a product are made, the first by name.
	maxPresets = 32
	// maxLinks is how many links of an asset are looked at, the first by product and name.
	maxLinks = 256
)

// How a Deriver waits.
const (
	lookAgain   = 50 * time.Millisecond // for a worker that is free, or for room
	onceMore    = time.Second           // for what passes
	afterUnkept = time.Minute           // when nothing is kept, as the disk is full, say
)

// NewDeriver returns a Deriver that has nothing to do yet.
func NewDeriver(deps DeriveDeps, ev DeriveEvents) *Deriver {
	return &Deriver{deps: deps, events: ev, waiting: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

// Waiting returns how many assets wait.
func (d *Deriver) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue)
}

// Changed notes the assets that show something else, or in another place. It returns at once.
//
// A preset that was changed, a purge and a new version of a watermark concern any number of assets, and are left to those who ask.
func (d *Deriver) Changed(mutations []catalog.Mutation) {
	var dropped []string
	d.mu.Lock() // for all of them: an upload is an asset and a link, and one matter
	for i := range mutations {
		if id := shownAnew(&mutations[i]); id != "" {
			dropped = d.add(id, dropped)
		}
	}
	d.mu.Unlock()
	d.rouse()
	for _, id := range dropped {
		if d.events.Dropped != nil {
			d.events.Dropped(id)
		}
	}
}

// shownAnew returns the id of the asset of which m may have made other keys than before; "" when there is none.
func shownAnew(m *catalog.Mutation) string {
	switch {
	case m.PutAsset != nil:
		return m.PutAsset.ID
	case m.AddVersion != nil:
		return m.AddVersion.Asset
	case m.PutLink != nil:
		return m.PutLink.Asset
	case m.ChangeAsset != nil:
		if c := m.ChangeAsset; c.Current != 0 || c.Status == asset.Active || c.Focal != nil || c.NoFocal {
			return c.Asset
		}
	}
	return ""
}

// add puts an asset at the end of the queue, unless it waits already, and appends to dropped what gives way; d.mu is held.
func (d *Deriver) add(id string, dropped []string) []string {
	if _, waits := d.waiting[id]; waits {
		return dropped
	}
	if len(d.queue) == maxWaiting {
		dropped = append(dropped, d.pop())
	}
	d.queue, d.waiting[id] = append(d.queue, id), struct{}{}
	return dropped
}

// pop takes the oldest; d.mu is held.
func (d *Deriver) pop() (id string) {
	id, d.queue = d.queue[0], d.queue[1:]
	delete(d.waiting, id)
	return id
}

func (d *Deriver) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// next waits for an asset; "" when ctx ends.
func (d *Deriver) next(ctx context.Context) string {
	for ctx.Err() == nil {
		if id := d.taken(); id != "" {
			return id
		}
		select {
		case <-ctx.Done():
		case <-d.wake:
		}
	}
	return ""
}

// taken returns the oldest; "" when there is none.
func (d *Deriver) taken() (id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return ""
	}
	if id = d.pop(); len(d.queue) > 0 {
		d.rouse() // another who waits for one
	}
	return id
}

// again reports whether the asset has changed since it was taken.
func (d *Deriver) again(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, waits := d.waiting[id]
	return waits
}

// Run makes what is to be made, at most so many renditions at once, until ctx ends.
func (d *Deriver) Run(ctx context.Context, atOnce int) {
	var working sync.WaitGroup
	for range atOnce {
		working.Go(func() {
			for id := d.next(ctx); id != ""; id = d.next(ctx) {
				d.derive(ctx, id)
			}
		})
	}
	working.Wait()
}

// derive makes the renditions of an asset. The keys are looked up when there is time for them: what has changed until then is in.
func (d *Deriver) derive(ctx context.Context, id string) {
	if !d.leisure(ctx) {
		return
	}
	spoiled := map[asset.Digest]bool{} // originals of which nothing can be made
	for _, k := range d.keys(id) {
		if spoiled[k.Original] {
			continue
		}
		if !d.leisure(ctx) || d.again(id) {
			return
		}
		spoiled[k.Original] = d.make(ctx, k)
	}
}

// acceptances are what clients say that show AVIF, that show WebP, and that show neither.
var acceptances = [...]string{"image/avif,image/webp,*/*;q=0.8", "image/webp,*/*;q=0.8", "*/*"}

// keys returns the renditions that clients get who ask for the asset by the presets of the products that show it, each once
// however many links, products and presets lead to it.
func (d *Deriver) keys(id string) (keys []asset.Key) {
	v, seen := d.deps.View(), map[asset.Key]bool{}
	links := v.LinksOf(id)
	for _, l := range links[:min(maxLinks, len(links))] {
		p, ok := v.Product(l.Product)
		if !ok || !d.deps.Wanted(p.Name) {
			continue
		}
		for _, preset := range presetsOf(p) {
			for _, accept := range acceptances {
				k, ok := d.key(resolve.Target{Product: p.Name, Name: l.Name, Preset: preset}, accept)
				if ok && !seen[k] {
					seen[k] = true
					keys = append(keys, k)
				}
			}
		}
	}
	return keys
}

func presetsOf(p *asset.Product) []string {
	names := slices.Sorted(maps.Keys(p.Presets))
	return names[:min(maxPresets, len(names))]
}

// key returns the key of what is rendered for a client; false when that gets something else, or an error: a file that is no picture,
// an asset that is not published.
func (d *Deriver) key(t resolve.Target, accept string) (asset.Key, bool) {
	found, err := d.deps.Resolve(t, accept)
	k := found.Key
	return k, err == nil && !k.IsOriginal() && k.Variant.Format != asset.ThumbHash
}

// leisure waits until nobody would have to wait for what is made, and there is room for it; false when ctx ends.
func (d *Deriver) leisure(ctx context.Context) bool {
	for ctx.Err() == nil {
		if d.deps.Room() && d.deps.Idle() {
			return true
		}
		pause(ctx, lookAgain)
	}
	return false
}

func pause(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// make makes one rendition, and reports whether nothing can be made of its original. What passes is waited for, once.
func (d *Deriver) make(ctx context.Context, k asset.Key) (spoiled bool) {
	trace, err := d.load(ctx, k)
	if passes(err) {
		if pause(ctx, onceMore); !d.leisure(ctx) {
			return false
		}
		trace, err = d.load(ctx, k)
	}
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		d.derived(DeriveFailed, k, err)
		return !ofTheVariant(err)
	case trace.Source != asset.Transforming || trace.Collapsed:
		d.derived(DeriveHad, k, nil)
	default:
		d.derived(DeriveMade, k, nil)
		d.kept(ctx, trace)
	}
	return false
}

func (d *Deriver) load(ctx context.Context, k asset.Key) (*asset.Trace, error) {
	trace := &asset.Trace{Context: ctx}
	o, err := d.deps.Renditions.Load(trace, k)
	if err == nil {
		o.Release()
	}
	return trace, err
}

func (d *Deriver) derived(outcome string, k asset.Key, err error) {
	if d.events.Derived != nil {
		d.events.Derived(outcome, k, err)
	}
}

// kept waits when what was made was not kept: nothing else would be.
func (d *Deriver) kept(ctx context.Context, trace *asset.Trace) {
	if trace.Stored {
		return
	}
	if d.events.Paused != nil {
		d.events.Paused(afterUnkept)
	}
	pause(ctx, afterUnkept)
}

// passes reports whether a failure is one of the moment: clients ask for too much, or no provider has the original yet. An edge may hear of a
// version before the control plane, from which it gets the original, has heard of it.
func passes(err error) bool {
	return errors.Is(err, asset.ErrOverloaded) || errors.Is(err, asset.ErrNotFound)
}

// ofTheVariant reports whether a render failed for what was asked for, so that another one of the same original may be made. Anything
// else costs its time again: a damaged original, a provider that is away, a worker that was lost or took too long. What
// was to pass and did not is no reason to go on.
func ofTheVariant(err error) bool {
	for _, kind := range []error{asset.ErrInvalid, asset.ErrTooLarge, asset.ErrMediaType} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
