// Package origin holds the originals: buckets that keep them by digest, each behind a breaker of its own, and the
// loader that asks one after another.
//
// Its one invariant: an object that leaves this package has the SHA-256 that it was asked for by. Bytes that are
// stored wrongly are an error ([asset.ErrCorrupt]), never a body.
//
//	providers, err := origin.Open(ctx, []origin.Config{{Name: "local", URL: "file:///srv/originals"}}, origin.Events{})
//	if err != nil { … }
//	defer providers.Close()
//	o, err := providers.Load(ctx, asset.Key{Original: version.Digest})
package origin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Providers are the places where originals are, in the order in which they are asked. It is safe for concurrent use.
type Providers struct {
	list   []provider
	events Events
}

// A provider is a store of originals and the breaker before it.
type provider struct {
	name    string
	bucket  *Bucket // nil for a control plane, which can only be read
	remote  *remote // nil for a bucket
	breaker *Breaker
}

// open opens the provider that cfg describes, without its breaker.
func open(ctx context.Context, cfg Config) (p provider, store asset.Store, err error) {
	p.name = cfg.Name
	if cfg.isControl() {
		p.remote, err = openRemote(cfg)
		return p, p.remote, err
	}
	p.bucket, err = OpenBucket(ctx, cfg)
	return p, p.bucket, err
}

func (p *provider) close() error {
	if p.bucket == nil {
		p.remote.client.CloseIdleConnections()
		return nil
	}
	return p.bucket.Close()
}

// Events are told of what happens to providers; any of them may be nil. They run on the path of a request, and
// BreakerChanged under the breaker's lock: they must be quick and must not call back.
type Events struct {
	// Read: a provider was asked for an original. outcome is one of the Outcome constants. What was refused without
	// asking, or given up by its caller, is no read.
	Read func(provider, outcome string, took time.Duration)
	// BreakerChanged: the provider's breaker went into that state.
	BreakerChanged func(provider string, state State)
	// Corrupt: the provider holds bytes under k that do not have k's digest.
	Corrupt func(provider string, k asset.Key)
}

// The outcomes of a read.
const (
	OutcomeHit     = "hit"
	OutcomeMissing = "missing"
	OutcomeError   = "error"
	OutcomeCorrupt = "corrupt"
)

var _ asset.Loader = (*Providers)(nil)

// Open opens every provider, creating the directory of a file:// one. The first failure closes what was opened.
func Open(ctx context.Context, cfgs []Config, ev Events) (*Providers, error) {
	if err := Validate(cfgs); err != nil {
		return nil, err
	}
	p := &Providers{events: ev}
	for _, cfg := range cfgs {
		each, store, err := open(ctx, cfg)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		each.breaker = NewBreaker(cfg, store, func(s State) { p.changed(cfg.Name, s) })
		p.list = append(p.list, each)
	}
	return p, nil
}

// Load asks the providers in order until one has the original. One that has not, and one that fails, are passed over.
//
// It returns [asset.ErrInvalid] for a rendition's key, [asset.ErrNotFound] when every provider answered that it has no
// such object, and [asset.ErrUnavailable] when none had it and at least one could not say; the causes are wrapped too,
// so that a corrupt object is still an [asset.ErrCorrupt].
func (p *Providers) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	trace, start := asset.TraceOf(ctx), time.Now()
	defer func() { trace.Spent[asset.Providing] += time.Since(start) }()
	var failures []error
	for _, from := range p.list {
		o, err := p.read(ctx, from, k)
		switch {
		case err == nil:
			trace.Source = asset.Providing
			return o, nil
		case ctx.Err() != nil, errors.Is(err, asset.ErrInvalid):
			return nil, err
		case !errors.Is(err, asset.ErrNotFound):
			failures = append(failures, err)
		}
	}
	if len(failures) > 0 {
		return nil, fmt.Errorf("load %s: %w: %w", k, asset.ErrUnavailable, errors.Join(failures...))
	}
	return nil, fmt.Errorf("load %s: no provider has it: %w", k, asset.ErrNotFound)
}

// read asks one provider and tells the events.
func (p *Providers) read(ctx context.Context, from provider, k asset.Key) (*asset.Object, error) {
	start := time.Now()
	o, err := from.breaker.Load(ctx, k)
	outcome := outcomeOf(err)
	if outcome != "" && p.events.Read != nil {
		p.events.Read(from.name, outcome, time.Since(start))
	}
	if outcome == OutcomeCorrupt && p.events.Corrupt != nil {
		p.events.Corrupt(from.name, k)
	}
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", from.name, err)
	}
	return o, nil
}

// outcomeOf names what came of a read, "" when the provider was not asked or not let answer.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return OutcomeHit
	case errors.Is(err, errRefused), errors.Is(err, errGivenUp), errors.Is(err, errBusy), errors.Is(err, asset.ErrInvalid):
		return ""
	case errors.Is(err, asset.ErrNotFound):
		return OutcomeMissing
	case errors.Is(err, asset.ErrCorrupt):
		return OutcomeCorrupt
	}
	return OutcomeError
}

// Put stores o, an original, and returns the names of the providers that have it: the first one of the list that can be
// written. When Put returns nil the object is there, verified, and survives a power loss if the provider can promise
// that. An object that was there already counts as modified now.
//
// It returns [asset.ErrInvalid] for a rendition, [asset.ErrCorrupt] when o's bytes do not have o's digest, and
// [asset.ErrUnavailable] when the provider fails, or none can be written.
func (p *Providers) Put(ctx context.Context, o *asset.Object) (names []string, err error) {
	for _, to := range p.list {
		if to.bucket == nil {
			continue
		}
		if err := to.breaker.Put(ctx, o); err != nil {
			return nil, fmt.Errorf("provider %s: %w", to.name, err)
		}
		return []string{to.name}, nil
	}
	return nil, fmt.Errorf("put %s: %w", o.Key, errReadOnly)
}

// Delete forgets the original at the named providers. It tries them all and returns what went wrong, joined.
func (p *Providers) Delete(ctx context.Context, k asset.Key, names []string) error {
	var failures []error
	for _, name := range names {
		err := errNoProvider
		if from := p.named(name); from != nil {
			err = from.breaker.Delete(ctx, k)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("delete %s: provider %s: %w", k, name, err))
		}
	}
	return errors.Join(failures...)
}

var errNoProvider = fmt.Errorf("%w: there is no such provider", asset.ErrUnavailable)

// named returns the provider with that name, nil when there is none.
func (p *Providers) named(name string) *provider {
	for i := range p.list {
		if p.list[i].name == name {
			return &p.list[i]
		}
	}
	return nil
}

// States returns the state of each provider's breaker by the provider's name.
func (p *Providers) States() map[string]State {
	states := make(map[string]State, len(p.list))
	for _, each := range p.list {
		states[each.name] = each.breaker.State()
	}
	return states
}

// Close closes the buckets. Objects that were loaded stay valid.
func (p *Providers) Close() error {
	var failures []error
	for _, each := range p.list {
		failures = append(failures, each.close())
	}
	return errors.Join(failures...)
}

func (p *Providers) changed(name string, s State) {
	if p.events.BreakerChanged != nil {
		p.events.BreakerChanged(name, s)
	}
}
