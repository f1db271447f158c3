package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Replica is what is known of a process that follows the matrix.
type Replica struct {
	// ID is the replica's own name for itself, unique among those that live.
	ID   string `json:"id"`
	Role string `json:"role"` // all, control or edge
	// Revision and Hash are what its view shows.
	Revision uint64       `json:"revision"`
	Hash     asset.Digest `json:"hash"`
	// Lag is how many revisions it is behind, LagSeconds for how long it has been behind; 0 when it is not. One that
	// has not been heard of since Seen is taken to show what it showed then. One that hears of no writer does not know how many it lacks; its LagSeconds is [Catalog.Age] then.
	Lag        uint64  `json:"lag"`
	LagSeconds float64 `json:"lag_seconds"`
	// Seen is when it was last heard of.
	Seen time.Time `json:"seen"`
	// Frozen says why it does not follow any more, "" when it does.
	Frozen string `json:"frozen,omitempty"`
	// Version is the program's.
	Version string `json:"version,omitempty"`
}

// Replicas returns the replicas that were heard of in the last ten seconds, this one included, by id. An edge hears of
// writers alone.
func (c *Catalog) Replicas() []Replica { return c.fleet.replicas() }

// AwaitReplicas returns when every replica that is known to live shows the revision, or ctx ends; then behind has the
// ids of those that do not show it yet, and err is ctx's. A replica that is not heard of for ten seconds is not waited
// for any more. When this process has just found the log, it first gives all of them the time to be heard of.
func (c *Catalog) AwaitReplicas(ctx context.Context, revision uint64) (behind []string, err error) {
	return c.fleet.await(ctx, revision)
}

// Await returns when the view shows the revision. It fails when ctx ends before, or when the view is frozen
// ([FrozenError]).
func (c *Catalog) Await(ctx context.Context, revision uint64) error {
	return c.replica.await(ctx, revision)
}

// Age returns how long ago the view was last known to show all that was committed; 0 while nothing can be missing, as
// when the log is in this process. While a control plane is heard of it stays within about a second. It goes on growing
// over restarts. It is what assetmatrix_catalog_lag_seconds says.
func (c *Catalog) Age() time.Duration { return c.fleet.age() }

// The subjects on which replicas tell of themselves: writers, edges, and writers that ask who shows a revision.
const (
	writerSubject = "assetmatrix.fleet.writer"
	edgeSubject   = "assetmatrix.fleet.edge"
	askSubject    = "assetmatrix.fleet.ask"
)

const (
	beatInterval = time.Second
	// forgetAfter is how long a replica counts as alive without being heard.
	forgetAfter = 10 * time.Second
	// stallAfter is how long a view may stand still before a head that it does not reach; then it is read from elsewhere.
	stallAfter = 3 * time.Second
	// deafAfter is how old a view may be without knowing of anything that it lacks before it says so.
	deafAfter = 3 * time.Second
	// Limits of what is believed of strangers.
	maxReplicas  = 10_000
	maxBeatBytes = 4096
	maxAsked     = 1024
)

// A beat is what a replica tells of itself every second, and as soon as it shows a revision that was asked for.
type beat struct {
	ID       string       `json:"id"`
	Role     string       `json:"role"`
	Version  string       `json:"version,omitempty"`
	Epoch    string       `json:"epoch"`
	Revision uint64       `json:"revision"`
	Hash     asset.Digest `json:"hash"`
	Frozen   string       `json:"frozen,omitempty"`
	// Head is the log's last revision, as its server has just told a writer; nil when it did not.
	Head *uint64 `json:"head,omitempty"`
	// Leaving: the replica ends, and is not to be waited for.
	Leaving bool `json:"leaving,omitempty"`
}

// An ask makes every replica beat as soon as it shows the revision, so that nobody has to tell of every one.
type ask struct {
	Revision *uint64 `json:"revision"` // 0 is answered in any case
}

// A heard is a replica that was heard of.
type heard struct {
	beat  beat
	seen  time.Time
	lag   uint64
	since time.Time // of the lag
	left  bool      // it has said that it ends
}

// A fleet is what this replica knows of the others and tells them. It also knows the age of the view, as that comes of
// the same messages.
type fleet struct {
	id       string
	role     string
	version  string
	server   *natsServer
	replica  *replica
	log      matrixLog
	followed *followed
	messages chan *nats.Msg
	forget   time.Duration
	began    time.Time

	mu     sync.Mutex // guards the rest
	others map[string]*heard
	news   chan struct{} // closed when others change
	shown  shown
	asked  []uint64 // revisions that others wait for and the view does not show yet
	told   uint64   // the revision of the last beat
	fresh  time.Time
	head   head
	ahead  head      // the oldest head that was not reached yet
	moved  time.Time // when the view last moved, or it was last read from elsewhere
	moving uint64    // the view's revision then
	silent bool      // the server did not answer a writer's last question for the head
}

// A head is the log's last revision, and when it was that.
type head struct {
	revision uint64
	at       time.Time
}

func newFleet(cfg Config, s *natsServer, r *replica) (*fleet, error) {
	id, err := replicaID(cfg.Dir)
	if err != nil {
		return nil, err
	}
	f := &fleet{
		id: id, role: cfg.Role, version: cfg.Version, server: s, replica: r, log: r.log, forget: forgetAfter,
		messages: make(chan *nats.Msg, 8192), others: map[string]*heard{}, news: make(chan struct{}), moved: time.Now(), began: time.Now(),
	}
	if f.followed, f.fresh, err = openFollowed(cfg.Dir, r.view()); err != nil {
		return nil, err
	}
	if err := f.subscribe(); err != nil {
		f.followed.close()
		return nil, err
	}
	return f, nil
}

// subscribe listens to writers, and to their questions; a writer listens to edges as well.
func (f *fleet) subscribe() error {
	subjects := []string{writerSubject, askSubject}
	if !f.edge() {
		subjects = append(subjects, edgeSubject)
	}
	for _, s := range subjects {
		if _, err := f.server.nc.ChanSubscribe(s, f.messages); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) edge() bool { return f.role == roleEdge }

// work listens until ctx ends; it then says goodbye.
func (f *fleet) work(ctx context.Context) {
	var beating sync.WaitGroup
	beating.Go(func() { f.beats(ctx) })
	for ctx.Err() == nil {
		changed, _ := f.replica.state()
		f.viewChanged()
		select {
		case <-ctx.Done():
		case <-changed:
		case m := <-f.messages:
			f.hear(ctx, m)
		}
	}
	beating.Wait()
	b := f.beat()
	b.Leaving = true
	f.tell(b)
	f.followed.close()
}

// beats tells of this replica every second until ctx ends. The first beat asks all others for theirs.
func (f *fleet) beats(ctx context.Context) {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	if !f.edge() {
		f.ask(0)
	}
	for {
		if said := f.server.said; said != nil {
			said.watch(f.server.nc)
		}
		b := f.beat()
		if !f.edge() {
			b.Head = f.askHead(ctx)
		}
		f.tell(b)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// beat returns what there is to tell now.
func (f *fleet) beat() beat {
	v := f.replica.view()
	b := beat{ID: f.id, Role: f.role, Version: f.version, Epoch: v.epoch, Revision: v.revision, Hash: v.hash}
	if _, err := f.replica.state(); err != nil {
		b.Frozen = frozenWords(err)
	}
	return b
}

// frozenWords say what clients may know of a view that is frozen: the sequence, not the server's words.
func frozenWords(err error) string {
	if frozen, ok := errors.AsType[*FrozenError](err); ok {
		return fmt.Sprintf("message %d of the log cannot be applied", frozen.Sequence)
	}
	return "the matrix is damaged here"
}

func (f *fleet) tell(b beat) {
	subject := writerSubject
	if f.edge() {
		subject = edgeSubject
	}
	f.mu.Lock()
	f.told = b.Revision
	f.mu.Unlock()
	f.publish(subject, b)
}

func (f *fleet) ask(revision uint64) { f.publish(askSubject, ask{&revision}) }

// publish drops what cannot be sent now: another beat follows in a second.
func (f *fleet) publish(subject string, what any) {
	if !f.server.nc.IsConnected() {
		return
	}
	text, _ := json.Marshal(what) // strings and numbers: it cannot fail
	_ = f.server.nc.Publish(subject, text)
}

// askHead returns the log's last revision in its server's words; nil when it does not answer.
func (f *fleet) askHead(ctx context.Context) *uint64 {
	asked := time.Now()
	_, last, err := f.log.bounds(ctx)
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.silent = true
		return nil
	}
	f.learn(head{last, asked})
	return &last
}

// learn takes over what the head was at a time: the view is as fresh as that if it shows it, or will be when it does.
func (f *fleet) learn(h head) {
	_, broken := f.replica.state()
	v := f.replica.view()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head, f.silent = h, false
	switch {
	case broken == nil && v.revision >= h.revision:
		f.freshen(h.at, v)
	case f.ahead.at.IsZero():
		f.ahead = h
	}
}

// freshen says that v shows all that there was at a time; mu is held.
func (f *fleet) freshen(at time.Time, v *View) {
	if at.After(f.fresh) {
		f.fresh = at
		f.followed.set(v, at)
	}
}

// viewChanged answers who has asked for what the view shows now.
func (f *fleet) viewChanged() {
	v := f.replica.view()
	f.mu.Lock()
	f.shown.add(v.revision)
	if v.revision != f.moving {
		f.moving, f.moved = v.revision, time.Now()
	}
	if !f.ahead.at.IsZero() && v.revision >= f.ahead.revision {
		f.freshen(f.ahead.at, v)
		f.ahead = head{}
	}
	before := len(f.asked)
	f.asked = slices.DeleteFunc(f.asked, func(revision uint64) bool { return revision <= v.revision })
	answer := len(f.asked) < before && f.told < v.revision
	f.wake()
	f.mu.Unlock()
	if answer {
		f.tell(f.beat())
	}
}

// wake wakes those that await; mu is held.
func (f *fleet) wake() {
	close(f.news)
	f.news = make(chan struct{})
}

// hear takes what another replica says. Only a writer is believed about the log: the server lets nobody else speak there.
func (f *fleet) hear(ctx context.Context, m *nats.Msg) {
	if len(m.Data) > maxBeatBytes {
		return
	}
	if m.Subject == askSubject {
		f.hearAsk(m.Data)
		return
	}
	var b beat
	if json.Unmarshal(m.Data, &b) != nil || b.ID == "" || b.ID == f.id {
		return
	}
	f.register(b)
	if m.Subject == writerSubject && b.Head != nil && b.Frozen == "" {
		f.hearHead(ctx, b)
	}
}

func (f *fleet) hearAsk(data []byte) {
	var a ask
	if json.Unmarshal(data, &a) != nil || a.Revision == nil {
		return
	}
	b, revision := f.beat(), *a.Revision
	f.mu.Lock()
	waits := revision > b.Revision
	if waits && len(f.asked) < maxAsked {
		f.asked = append(f.asked, revision)
	}
	answer := !waits && (revision == 0 || f.told < b.Revision)
	f.mu.Unlock()
	if answer {
		f.tell(b)
	}
}

// hearHead learns the head of a writer's log. When the view stands still before it, the log is read from elsewhere. When
// the writer's history is another one, or shorter, it is read anew, which finds out.
func (f *fleet) hearHead(ctx context.Context, b beat) {
	v := f.replica.view()
	foreign := v.epoch != "" && b.Epoch != v.epoch
	other := foreign || *b.Head < v.revision && v.epoch != ""
	if !other {
		f.learn(head{*b.Head, time.Now()})
	}
	if !f.stalled(other, foreign) {
		return
	}
	if other || f.log.elsewhere(ctx) != nil {
		f.server.tails.end()
	}
}

// stalled returns true, and then not again for a while, when the view has been standing still where it should not; and at
// once when the writer's history is foreign.
func (f *fleet) stalled(other, foreign bool) bool {
	_, broken := f.replica.state()
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := f.replica.view().revision < f.head.revision
	if broken != nil || !behind && !other || !foreign && time.Since(f.moved) < stallAfter {
		return false
	}
	f.moved = time.Now()
	return true
}

func (f *fleet) register(b beat) {
	revision, now := f.replica.view().revision, time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.wake()
	old := f.others[b.ID]
	switch {
	case b.Leaving:
		if old != nil {
			old.left = true
		}
		delete(f.others, b.ID)
		return
	case old == nil && len(f.others) >= maxReplicas:
		return
	}
	h := &heard{beat: b, seen: now}
	if h.lag, h.since = f.lagOf(&b, revision, now); h.lag > 0 {
		if old != nil && old.lag > 0 && old.beat.Revision == b.Revision {
			h.since = old.since
		}
	}
	f.others[b.ID] = h
}

// lagOf returns how far what b says is behind this view, which is at a revision, or the log's head, and since when; mu is
// held.
func (f *fleet) lagOf(b *beat, revision uint64, now time.Time) (lag uint64, since time.Time) {
	last, shows := max(revision, f.head.revision), b.Revision
	if f.astray(b) {
		shows = 0
	}
	if shows >= last {
		return 0, now
	}
	return last - shows, f.shown.since(shows, now)
}

// alive forgets those that were not heard of for too long; mu is held.
func (f *fleet) alive() map[string]*heard {
	maps.DeleteFunc(f.others, func(_ string, h *heard) bool { return time.Since(h.seen) > f.forget })
	return f.others
}

func (f *fleet) replicas() []Replica {
	list := []Replica{f.self()}
	revision, now := f.replica.view().revision, time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.alive() {
		r := h.beat.replica()
		r.Seen = h.seen
		lag, since := f.lagOf(&h.beat, revision, now)
		if h.lag > 0 {
			since = h.since
		}
		if r.Lag = lag; lag > 0 {
			r.LagSeconds = now.Sub(since).Seconds()
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Replica) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (b *beat) replica() Replica {
	return Replica{ID: b.ID, Role: b.Role, Revision: b.Revision, Hash: b.Hash, Frozen: b.Frozen, Version: b.Version}
}

func (f *fleet) self() Replica {
	b, age := f.beat(), f.age()
	r := b.replica()
	r.Seen = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head.revision > r.Revision {
		r.Lag = f.head.revision - r.Revision
	}
	if r.Lag > 0 || age > deafAfter {
		r.LagSeconds = age.Seconds()
	}
	return r
}

func (f *fleet) age() time.Duration {
	_, broken := f.replica.state()
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.replica.view()
	if shows := v.revision >= f.head.revision; shows && broken == nil && !f.silent && f.server.srv.Load() != nil {
		return 0
	}
	since := latest(f.fresh, v.committing) // nothing was missing when its last message was committed
	if since.IsZero() {
		since = f.began
	}
	return max(0, time.Since(since))
}

func (f *fleet) await(ctx context.Context, revision uint64) ([]string, error) {
	if err := f.replica.await(ctx, revision); err != nil {
		return []string{f.id}, err
	}
	f.ask(revision)
	var behind map[string]*heard
	for {
		var news <-chan struct{}
		behind, news = f.behind(revision, behind)
		settled := f.settled()
		if len(behind) == 0 && settled <= 0 {
			return nil, nil
		}
		wait := beatInterval / 4 // replicas are forgotten without news
		if settled > 0 {
			wait = min(wait, settled)
		}
		select {
		case <-ctx.Done():
			return slices.Sorted(maps.Keys(behind)), ctx.Err()
		case <-news:
		case <-time.After(wait):
		}
	}
}

// behind returns those that do not show the revision, and what is closed when that may have changed. Who was behind before stays
// so until it is heard of again, or leaves: that nothing is heard of it does not mean that it shows anything else.
func (f *fleet) behind(revision uint64, before map[string]*heard) (behind map[string]*heard, news <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	behind = map[string]*heard{}
	alive := f.alive()
	for id, h := range alive {
		if h.beat.Revision < revision || f.astray(&h.beat) {
			behind[id] = h
		}
	}
	for id, h := range before {
		if alive[id] == nil && !h.left {
			behind[id] = h
		}
	}
	return behind, f.news
}

// astray reports whether a replica shows another history than this writer's, as after a backup was restored: its revisions
// mean nothing here.
func (f *fleet) astray(b *beat) bool {
	epoch := f.replica.view().epoch
	return f.role != roleEdge && epoch != "" && b.Epoch != "" && b.Epoch != epoch
}

// settled returns how long it takes until every replica must have been heard of: two beats from when the connection was
// made, for them to connect as well and beat. In a process that nobody can connect to, there are none.
func (f *fleet) settled() time.Duration {
	if f.server.settings.Listen == "" && f.server.srv.Load() != nil {
		return 0
	}
	return time.Until(f.server.since().Add(2 * beatInterval))
}

// A shown remembers when the last revisions were shown.
type shown struct{ times []head }

const maxShown = 1024

func (s *shown) add(revision uint64) {
	if n := len(s.times); n > 0 && s.times[n-1].revision >= revision {
		return
	}
	if len(s.times) == maxShown {
		s.times = slices.Delete(s.times, 0, maxShown/2)
	}
	s.times = append(s.times, head{revision, time.Now()})
}

// since returns when the first revision behind that one was shown, or the oldest time that is remembered.
func (s *shown) since(revision uint64, now time.Time) time.Time {
	i, _ := slices.BinarySearchFunc(s.times, revision+1, func(h head, r uint64) int { return cmp.Compare(h.revision, r) })
	if i == len(s.times) {
		return now
	}
	return s.times[i].at
}
