package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/origin"
)

// GarbageConfig says when originals that no version uses are deleted.
type GarbageConfig struct {
	// Grace is how long they are kept: from when the last version that used them went, or from when they were stored if
	// none ever did. It must be longer than any upload takes from storing its bytes to recording them, wherever several
	// processes take uploads.
	Grace time.Duration `yaml:"grace"`
	// Interval is the time between two collections; 0: only when asked for.
	Interval time.Duration `yaml:"interval"`
}

func defaultGarbage() GarbageConfig { return GarbageConfig{Grace: 24 * time.Hour, Interval: time.Hour} }

func (c GarbageConfig) validate() error {
	switch {
	case c.Grace < 0:
		return asset.BadKey("garbage.grace", c.Grace, "0 or more")
	case c.Interval != 0 && c.Interval < time.Second:
		return asset.BadKey("garbage.interval", c.Interval, "1s or more, or 0s for never")
	}
	return nil
}

// An Inventory lists what the providers have; *origin.Providers has it.
type Inventory interface {
	List(ctx context.Context, take func(origin.Stored) error) error
	RemoveStray(ctx context.Context, s origin.Stored) error
}

// GarbageEvents are told of what [Collector.Run] does; a nil func is not called.
type GarbageEvents struct {
	// Swept: a collection has ended, with what it deleted and what went wrong.
	Swept func(deleted []asset.Garbage, took time.Duration, err error)
}

// A Collector deletes originals that no version uses: those that once were used, those that a process stored and did not
// live to record, and what is left of files that were being written. It is safe for concurrent use.
//
// An original is condemned in the matrix, from which moment no version can begin to use it, deleted from every provider,
// and forgotten. Whatever breaks off in between is taken up by the next collection, in any process.
type Collector struct {
	ingester  *Ingester
	inventory Inventory
	events    GarbageEvents
}

// NewCollector returns a collector of what in has stored.
func NewCollector(in *Ingester, inventory Inventory, ev GarbageEvents) *Collector {
	return &Collector{in, inventory, ev}
}

// tidyInterval is how often [Collector.Run] looks for deletions that broke off: uploads of the same bytes wait for them.
const tidyInterval = time.Minute

// Run ends deletions that broke off, at once and every minute, and collects at every interval, until ctx ends. What fails
// is tried again the next time.
func (c *Collector) Run(ctx context.Context) {
	cfg := c.ingester.cfg.Garbage
	if cfg.Interval == 0 {
		return
	}
	ticks := time.NewTicker(min(cfg.Interval, tidyInterval))
	defer ticks.Stop()
	for swept := time.Now(); ctx.Err() == nil; {
		r := c.newRound(cfg.Grace, false)
		if time.Since(swept) < cfg.Interval {
			c.tell(ctx, r, r.run(ctx, r.finish))
		} else {
			swept = time.Now()
			c.tell(ctx, r, r.run(ctx, r.finish, r.orphans, r.unknown))
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
		}
	}
}

// tell tells the events of a round that did or missed something.
func (c *Collector) tell(ctx context.Context, r *round, err error) {
	if c.events.Swept != nil && ctx.Err() == nil && (len(r.found) > 0 || err != nil) {
		c.events.Swept(r.found, time.Since(r.began), err)
	}
}

// Grace is how long an original must have been without use, as configured.
func (c *Collector) Grace() time.Duration { return c.ingester.cfg.Garbage.Grace }

// Collect deletes the originals that no version has used for the grace period, and returns them; in a dry run it only
// returns them. It goes on after an original that cannot be deleted now, and returns what went wrong, joined:
// [asset.ErrUnavailable] for a provider or a catalog that failed, [asset.ErrInvalid] for a negative grace, ctx's error.
func (c *Collector) Collect(ctx context.Context, grace time.Duration, dryRun bool) ([]asset.Garbage, error) {
	if grace < 0 {
		return nil, &asset.Fault{Kind: asset.ErrInvalid, Part: "grace", Detail: fmt.Sprintf("the grace period cannot be %s", grace), Allowed: "0s or more"}
	}
	r := c.newRound(grace, dryRun)
	err := r.run(ctx, r.finish, r.orphans, r.unknown)
	return r.found, err
}

// A round is one collection.
type round struct {
	*Ingester
	inventory Inventory
	began     time.Time
	before    time.Time // what was used, or stored, after that is left alone
	dryRun    bool

	found    []asset.Garbage
	failures []error
	inRow    int // failures since the last success
}

func (c *Collector) newRound(grace time.Duration, dryRun bool) *round {
	now := time.Now()
	return &round{Ingester: c.ingester, inventory: c.inventory, began: now, before: now.Add(-grace), dryRun: dryRun}
}

// maxFailures is how many failures in a row end a round: then it is not the originals.
const maxFailures = 10

var errGivenUp = errors.New("collection given up")

// run runs the steps and returns all that went wrong.
func (r *round) run(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			r.failures = append(r.failures, err)
			break
		}
	}
	if len(r.failures) == 0 {
		return nil
	}
	return fmt.Errorf("collect garbage: %w", errors.Join(r.failures...))
}

// try notes what came of one original, and fails when there is no use in going on.
func (r *round) try(ctx context.Context, err error) error {
	if err == nil {
		r.inRow = 0
		return nil
	}
	r.failures = append(r.failures, err)
	if r.inRow++; ctx.Err() != nil || r.inRow >= maxFailures {
		return errGivenUp
	}
	return nil
}

// finish ends deletions that broke off.
func (r *round) finish(ctx context.Context) error {
	for o := range r.matrix.View().Orphans() {
		if !o.Condemned {
			continue
		}
		if err := r.try(ctx, r.collect(ctx, o.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// orphans deletes what versions used once.
func (r *round) orphans(ctx context.Context) error {
	for o := range r.matrix.View().Orphans() {
		if o.Condemned || o.Since.After(r.before) {
			continue
		}
		if err := r.try(ctx, r.collect(ctx, o.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// unknown deletes what no version ever used: a process was killed between storing and recording, or while it wrote.
func (r *round) unknown(ctx context.Context) error {
	err := r.inventory.List(ctx, func(s origin.Stored) error {
		v := r.matrix.View()
		_, orphan := v.Orphan(s.Digest)
		switch {
		case s.Modified.After(r.before):
			return nil
		case s.Stray:
			return r.try(ctx, r.removeStray(ctx, s))
		case orphan, v.References(s.Digest) > 0:
			return nil
		}
		return r.try(ctx, r.collect(ctx, s.Digest))
	})
	if errors.Is(err, errGivenUp) {
		return err
	}
	return r.try(ctx, err)
}

func (r *round) removeStray(ctx context.Context, s origin.Stored) error {
	r.digests.lock(s.Digest)
	defer r.digests.unlock(s.Digest)
	if !r.dryRun {
		if err := r.inventory.RemoveStray(ctx, s); err != nil {
			return err
		}
	}
	r.found = append(r.found, asset.Garbage{Digest: s.Digest, Size: s.Size, Since: s.Modified, Providers: []string{s.Provider}, Deleted: !r.dryRun})
	return nil
}

// collect deletes one original, if it still is garbage. Holding its lock, no upload of this process is between storing
// and recording it; one of another process has modified it, which the grace period is for.
func (r *round) collect(ctx context.Context, d asset.Digest) error {
	r.digests.lock(d)
	defer r.digests.unlock(d)
	k := asset.Key{Original: d}
	copies, err := r.originals.Stat(ctx, k)
	if err != nil {
		return err
	}
	v := r.matrix.View()
	orphan, known := v.Orphan(d)
	used := v.References(d) > 0
	if err := v.Err(); err != nil { // it may not have found who uses it
		return err
	}
	if used || !known && len(copies) == 0 || !orphan.Condemned && r.young(orphan, copies) {
		return nil
	}
	g := garbageOf(d, orphan, copies)
	if !r.dryRun {
		if g.Deleted, err = r.delete(ctx, k, orphan.Condemned, g.Providers); err != nil || !g.Deleted {
			return err
		}
	}
	r.found = append(r.found, g)
	return nil
}

func (r *round) young(o catalog.Orphan, copies []origin.Stored) bool {
	for _, c := range copies {
		if c.Modified.After(r.before) {
			return true
		}
	}
	return o.Since.After(r.before)
}

// garbageOf says what is known: the matrix knows since when, the providers know where and how much.
func garbageOf(d asset.Digest, o catalog.Orphan, copies []origin.Stored) asset.Garbage {
	g := asset.Garbage{Digest: d, Size: o.Size, Since: o.Since}
	for _, c := range copies {
		g.Providers, g.Size = append(g.Providers, c.Provider), c.Size
		if o.Since.IsZero() {
			g.Since = c.Modified
		}
	}
	return g
}

// delete takes the three steps. It reports false when the original came into use, or another process has begun to delete
// it.
func (r *round) delete(ctx context.Context, k asset.Key, condemned bool, names []string) (deleted bool, err error) {
	if !condemned {
		if condemned, err = r.condemn(ctx, k.Original); err != nil || !condemned {
			return false, err
		}
	}
	if err := r.originals.Delete(ctx, k, names); err != nil {
		return false, err
	}
	return true, r.forget(ctx, k.Original)
}

func (r *round) condemn(ctx context.Context, d asset.Digest) (condemned bool, err error) {
	_, err = r.matrix.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		o, _ := v.Orphan(d)
		condemned = v.References(d) == 0 && !o.Condemned && !o.Since.After(r.before)
		if !condemned {
			return nil, nil
		}
		return []catalog.Mutation{{CondemnOriginal: &d}}, v.Err()
	})
	if err != nil {
		return false, fmt.Errorf("condemn %s: %w", d, err)
	}
	return condemned, nil
}

func (r *round) forget(ctx context.Context, d asset.Digest) error {
	_, err := r.matrix.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		if o, ok := v.Orphan(d); !ok || !o.Condemned { // another process was faster
			return nil, nil
		}
		return []catalog.Mutation{{ForgetOriginal: &d}}, nil
	})
	if err != nil {
		return fmt.Errorf("forget %s: %w", d, err)
	}
	return nil
}
