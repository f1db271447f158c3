// Package catalog is the matrix: the transactional system of record of products, assets and links, and the snapshot of
// it that every request reads.
//
// The record is a log in an embedded NATS JetStream server: a message is a group of transactions, appended by
// compare-and-swap on the log's last sequence, on the disk before it is acknowledged, and chained to the one before by
// hash. The snapshot is a [View] behind one atomic pointer.
//
// Its one invariant: a view is the log's messages 1 to its revision, all of them, each whole, in order, and verified;
// nothing else ever changes it, our own writes included. So two readers of one revision see the same matrix, and nobody
// sees half a transaction. A message that is missing, damaged or of another history stops the view where it is.
//
//	c, err := catalog.Open(ctx, cfg, catalog.Events{})
//	if err != nil { … }
//	defer c.Close()
//	revision, err := c.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
//		if _, ok := v.Product("shop"); ok {
//			return nil, nil
//		}
//		return []catalog.Mutation{{PutProduct: &asset.Product{Name: "shop"}}}, nil
//	})
//	link, asset, ok := c.View().Lookup("shop", "banners/hero.jpg")
package catalog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Config configures a catalog.
type Config struct {
	// Dir is the directory of the log, made when missing. One process at a time can have it open.
	Dir string `yaml:"-"`
	// CommitTimeout is how long a write may take to be stored and applied before its caller is told that it could not
	// be. At least a second; a change of leaders in a cluster takes five to seven.
	CommitTimeout time.Duration `yaml:"commit_timeout"`
	// NATS is where the log is. Its keys stand under "nats" at the top of the configuration.
	NATS NATSConfig `yaml:"-"`
	// Role is all, control or edge. An edge follows the log and cannot write.
	Role string `yaml:"-"`
	// Version is the program's, for the list of replicas.
	Version string `yaml:"-"`
	// Source is where a replica that has nothing gets a snapshot from; nil: it reads the whole log.
	Source Source `yaml:"-"`

	foldLimit foldLimit // zero: the default
}

// NATSConfig says where the log is.
type NATSConfig struct {
	// URL is an external server's or cluster's ("nats://a:4222,nats://b:4222"; "tls://" demands TLS); empty: a server in
	// this process.
	URL string `yaml:"url"`
	// Listen is where the server in this process accepts edges; empty: nowhere. Edges can only read.
	Listen string `yaml:"listen"`
	// Password is what edges present to the server in this process, as user "edge"; empty: they need none, and Listen
	// must be a loopback address.
	Password string `yaml:"password"`
	// Replicas is on how many servers of a cluster the log is kept when this process makes it: 1, 3 or 5.
	Replicas int `yaml:"replicas"`
	// Credentials is a file of NATS credentials (JWT and seed) for URL.
	Credentials string `yaml:"credentials"`
	// CA, Cert and Key are PEM files: the authority that signs the other side, and what this side presents.
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// DefaultConfig returns the defaults; Dir has none.
func DefaultConfig() Config {
	return Config{CommitTimeout: 15 * time.Second, Role: "all", NATS: NATSConfig{Replicas: 1}}
}

// Validate returns what is wrong with c, naming the key.
func (c Config) Validate() error {
	if c.Dir == "" {
		return asset.BadKey("dir", "empty", "a directory")
	}
	if c.CommitTimeout < time.Second {
		return asset.BadKey("commit_timeout", c.CommitTimeout, "1s or more")
	}
	if !slices.Contains([]string{roleAll, roleControl, roleEdge}, c.Role) {
		return asset.BadKey("role", strconv.Quote(c.Role), "all, control, edge")
	}
	return c.NATS.Validate(c.Role)
}

// Events are rare events. A nil func is not called; the others must return soon.
type Events struct {
	// Frozen: the view does not follow the log any more, and nothing can be written (see [FrozenError]), or it does again
	// (nil).
	Frozen func(err error)
	// Copy: this process's copy of the matrix on the disk is damaged or cannot be written (err says why), or is whole again
	// (nil). The view answers all the same.
	Copy func(err error)
	// Folded: the view of that revision is a base file now, which took that long.
	Folded func(revision uint64, took time.Duration)
	// Verified: the base, which was there at start or is new, has been read as a whole and is sound; reading it took that
	// long. Until then some lookups take longer, as they are the first to touch a block. The next base ends the reading.
	Verified func(revision uint64, took time.Duration)
	// Adopted: the view has left the log, and goes on from a snapshot. Of another history, that may be of an older revision.
	Adopted func(from, to uint64)
	// Connection: the connection to the log broke (err says why) or is there again (nil).
	Connection func(err error)
	// Outage: the log cannot be written (err says why, and once more when that changes), or can again (nil).
	Outage func(err error)
	// Server: a warning or an error of the embedded server, in its own words.
	Server func(line string)
	// Committed: a message with so many transactions was stored and applied, within that time.
	Committed func(transactions int, took time.Duration)
	// Changed: the view shows these mutations of one message, whoever wrote it. It is called in the order of the log and holds up
	// what follows, so it must return at once; the mutations are not its to change or to keep. What came with a snapshot is not told.
	Changed func(mutations []Mutation)
}

// A Catalog is the matrix. It is safe for concurrent use.
type Catalog struct {
	replica   *replica
	server    *natsServer
	outage    *outage
	committer *committer
	fleet     *fleet
	edge      bool // writes go elsewhere

	closeOnce sync.Once
	closing   chan struct{}  // closed: no more updates
	stop      func()         // ends following the log, and ending outages
	committed chan struct{}  // closed when the committer has ended
	following sync.WaitGroup // ends when both have
}

// Open opens the matrix as this process left it, starts the server in cfg.Dir if the log is there, and follows the log.
//
// A writer's view has everything that was in the log when Open returns; it fails with a [FrozenError] that names the
// sequence when the log is damaged, is shorter than what was applied here, or is another one. An edge waits for nobody:
// it shows what it has, and one that never had anything is not [Catalog.Healthy] until it has. ctx bounds the opening, not
// the catalog's life.
func Open(ctx context.Context, cfg Config, ev Events) (*Catalog, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if err := directory(cfg.Dir).unrestored(); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	s, err := startServer(cfg, ev)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c, err := open(ctx, s, cfg, ev)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return c, nil
}

func open(ctx context.Context, s *natsServer, cfg Config, ev Events) (*Catalog, error) {
	log, err := newStream(s, cfg)
	if err != nil {
		return nil, err
	}
	r, err := openReplica(cfg, log, ev)
	if err != nil {
		return nil, err
	}
	if cfg.Role != roleEdge {
		err = r.replay(ctx)
		r.view().reversed() // now rather than in the first write
	}
	var f *fleet
	if err == nil {
		f, err = newFleet(cfg, s, r)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return start(r, s, f, cfg), nil
}

// start sets the goroutines going: one follows the log, one folds, one ends outages, one commits, one speaks with other replicas.
func start(r *replica, s *natsServer, f *fleet, cfg Config) *Catalog {
	closing := make(chan struct{})
	o := newOutage(s, r)
	c := &Catalog{
		replica: r, server: s, outage: o, fleet: f, edge: cfg.Role == roleEdge, closing: closing, committed: make(chan struct{}),
		committer: &committer{replica: r, outage: o, log: r.log, timeout: cfg.CommitTimeout, requests: make(chan *request), closing: closing},
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.following.Go(func() { r.follow(ctx) })
	c.following.Go(func() { r.foldAlways(ctx) })
	c.following.Go(func() { o.work(ctx) })
	c.following.Go(func() { f.work(ctx) })
	go func() {
		defer close(c.committed)
		c.committer.work(ctx)
	}()
	return c
}

// View returns the newest view.
func (c *Catalog) View() *View { return c.replica.view() }

// errEdge is what a process that only follows says to writers.
var errEdge = &asset.Fault{Kind: asset.ErrForbidden, Detail: "an edge cannot write; writes go to the control plane"}

// Update runs f on the newest state of the matrix and commits the mutations it returns, all or none. It returns the
// revision that they are in, once that revision is on the disk and in this catalog's [View]. When f returns no
// mutations nothing is committed, and the revision is the one that f has seen.
//
// f decides on what it sees, and what it decided is only committed if nobody came between: several updates at once
// behave as if one had run after the other. For that f may be run more than once, so it must do nothing but read v and
// return; v and its records are not its to change, nor v its
// to keep: it may hold what is never committed. An error of f, or its panic, is returned as it is and commits
// nothing.
//
// On an edge it is an [asset.Fault] of kind [asset.ErrForbidden].
//
// Mutations that break a rule are an [asset.Fault] and commit nothing: [asset.ErrInvalid] for a record that cannot be,
// [asset.ErrNotFound] for a reference to nothing, [asset.ErrConflict] for what collides with what is there (a name that
// is another asset's, a version written already, a step that the status does not have, a deletion of what is in use),
// [asset.ErrTooLarge] for a transaction that does not fit into a message (about 1 MB).
//
// [asset.ErrUnavailable] says that the log could not be written. While the disk is full or fails it is an [asset.Fault]
// and comes at once; that ends by itself when the disk takes writes again. If an Update met the failure or timed out, or
// if ctx ended while it was waiting, whether the mutations were committed is open: they are either wholly there or not
// at all, and if they are still to come then as a whole. Whoever tries again must look first, which a compare-and-set in
// f does by itself.
func (c *Catalog) Update(ctx context.Context, f func(v *View) ([]Mutation, error)) (revision uint64, err error) {
	if c.edge {
		return 0, errEdge
	}
	r := newRequest(ctx, f)
	select {
	case c.committer.requests <- r:
	case <-c.closing:
		return 0, fmt.Errorf("%w: the catalog is closed", asset.ErrUnavailable)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case o := <-r.done:
		return o.revision, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Healthy fails when the view is damaged or cannot follow the log, or the log cannot be reached or written. The view
// answers all the same.
func (c *Catalog) Healthy() error {
	if _, err := c.replica.state(); err != nil {
		return err
	}
	select {
	case <-c.closing:
		return fmt.Errorf("%w: the catalog is closed", asset.ErrUnavailable)
	default:
	}
	if err := c.View().Err(); err != nil {
		return err
	}
	if err := c.outage.err(); err != nil {
		return err
	}
	return c.server.healthy()
}

// LastApplied returns the revision of the view, and when it was applied here; the zero time before the first.
func (c *Catalog) LastApplied() (revision uint64, at time.Time) {
	v := c.replica.view()
	return v.revision, v.applied
}

// Close answers the updates that were taken over, stops the server, and gives the directory free. The last view goes on
// answering. Closing twice is no error.
func (c *Catalog) Close() error {
	c.closeOnce.Do(func() {
		close(c.closing)
		<-c.committed
		c.stop()
		c.replica.end() // a fold that somebody waits for breaks off
		c.following.Wait()
		c.replica.close()
		c.server.close()
	})
	return nil
}
