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

// A provider is a bucket and the breaker before it.
type provider struct {
	name    string
	bucket  *Bucket
	breaker *Breaker
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
		bucket, err := OpenBucket(ctx, cfg)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		breaker := NewBreaker(cfg, bucket, func(s State) { p.changed(cfg.Name, s) })
		p.list = append(p.list, provider{cfg.Name, bucket, breaker})
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

// Put stores o, an original, and returns the names of the providers that have it: the first one of the list. When Put
// returns nil the object is there, verified, and survives a power loss if the provider can promise that.
//
// It returns [asset.ErrInvalid] for a rendition, [asset.ErrCorrupt] when o's bytes do not have o's digest, and
// [asset.ErrUnavailable] when the provider fails.
func (p *Providers) Put(ctx context.Context, o *asset.Object) (names []string, err error) {
	to := p.list[0]
	if err := to.breaker.Put(ctx, o); err != nil {
		return nil, fmt.Errorf("provider %s: %w", to.name, err)
	}
	return []string{to.name}, nil
}

// Delete forgets the original at the named providers. It tries them all and returns what went wrong, joined.
func (p *Providers) Delete(ctx context.Context, k asset.Key, names []string) error {
	var failures []error
	for _, name := range names {
		if err := p.deleteFrom(ctx, name, k); err != nil {
			failures = append(failures, fmt.Errorf("provider %s: %w", name, err))
		}
	}
	return errors.Join(failures...)
}

func (p *Providers) deleteFrom(ctx context.Context, name string, k asset.Key) error {
	for _, from := range p.list {
		if from.name == name {
			return from.breaker.Delete(ctx, k)
		}
	}
	return fmt.Errorf("delete %s: there is no such provider: %w", k, asset.ErrUnavailable)
}

// Health returns nil when no provider is known to be down, else an [asset.ErrUnavailable] that names those that are.
// It reads the breakers and asks nobody.
func (p *Providers) Health() error {
	var down []error
	for _, each := range p.list {
		if each.breaker.State() == StateOpen {
			down = append(down, fmt.Errorf("provider %s: %w: its breaker is open", each.name, asset.ErrUnavailable))
		}
	}
	return errors.Join(down...)
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
		failures = append(failures, each.bucket.Close())
	}
	return errors.Join(failures...)
}

func (p *Providers) changed(name string, s State) {
	if p.events.BreakerChanged != nil {
		p.events.BreakerChanged(name, s)
	}
}
