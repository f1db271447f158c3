package catalog

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// maxGroup is the number of transactions in one message.
const maxGroup = 128

// retryWait is the pause before the log is asked again what became of a message.
const retryWait = 20 * time.Millisecond

// A committer turns updates into messages of the log, one message at a time. While one is on its way to the disk the
// next updates gather; they become the next message together.
type committer struct {
	replica  *replica
	outage   *outage
	log      matrixLog
	timeout  time.Duration
	requests chan *request // unbuffered: who has sent gets an answer
	closing  <-chan struct{}
}

// A request is one Update on its way.
type request struct {
	ctx  context.Context
	txid string // the same in every attempt, so that the transaction can be recognised in the log
	run  func(*View) ([]Mutation, error)
	done chan outcome // has room for the one outcome: nobody may be waiting any more
	err  error        // what this attempt gave, when it gave nothing to commit
}

// An outcome is what an Update returns.
type outcome struct {
	revision uint64
	err      error
}

func newRequest(ctx context.Context, run func(*View) ([]Mutation, error)) *request {
	return &request{ctx: ctx, txid: rand.Text(), run: run, done: make(chan outcome, 1)}
}

// work commits until closing; what was taken over by then is still answered.
func (c *committer) work(ctx context.Context) {
	var waiting []*request
	for {
		if len(waiting) == 0 {
			select {
			case r := <-c.requests:
				waiting = append(waiting, r)
			case <-c.closing:
				return
			}
		}
		waiting = c.commit(ctx, c.gather(waiting))
	}
}

// gather adds those that are waiting to be taken over.
func (c *committer) gather(waiting []*request) []*request {
	for len(waiting) < maxGroup {
		select {
		case r := <-c.requests:
			waiting = append(waiting, r)
		default:
			return waiting
		}
	}
	return waiting
}

// commit decides on a group and stores it; when another writer was faster, it decides again on what that one made of
// the matrix. It returns those that did not fit into the message.
func (c *committer) commit(ctx context.Context, waiting []*request) []*request {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	start := time.Now()
	for {
		g := decide(c.replica.view(), waiting)
		revision, err := c.store(ctx, g)
		if errors.Is(err, errMoved) {
			if err = c.replica.await(ctx, g.base.revision+1); err == nil {
				continue
			}
		}
		g.answer(revision, unavailable(err))
		c.report(g, err, time.Since(start))
		return g.rest
	}
}

func (c *committer) report(g *group, err error, took time.Duration) {
	if c.replica.events.Committed != nil && err == nil && len(g.encoded) > 0 {
		c.replica.events.Committed(len(g.encoded), took)
	}
}

// unavailable makes every error of the log an [asset.ErrUnavailable].
func unavailable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, asset.ErrUnavailable):
		return fmt.Errorf("catalog commit: %w", err)
	}
	return fmt.Errorf("catalog commit: %w: %w", asset.ErrUnavailable, err)
}

// store appends the group's message and waits until the view has it. A group without one has the revision it was
// decided on.
func (c *committer) store(ctx context.Context, g *group) (uint64, error) {
	if _, err := c.replica.state(); err != nil {
		return 0, err
	}
	if err := g.base.Err(); err != nil {
		return 0, err // what was not found may be there
	}
	if len(g.encoded) == 0 {
		return g.base.revision, nil
	}
	if err := c.outage.err(); err != nil {
		return 0, err
	}
	m, data, err := g.message()
	if err != nil {
		return 0, err
	}
	c.replica.expect(g.base, g.made, m, data)
	if err := c.append(ctx, g.base.revision, data); err != nil {
		return 0, err
	}
	return g.base.revision + 1, c.replica.await(ctx, g.base.revision+1)
}

// append brings data to the sequence behind after, exactly once. When an attempt leaves open whether it arrived (a
// timeout, a lost connection), the log knows: data can be at that one sequence only, as every attempt expects the same
// last one. If it is free the same bytes are sent again; should the earlier attempt be merely late, one of the two is
// refused.
//
// A log that has failed to write is neither waited for nor believed: it may count, and even have, what is not on the disk.
// It is asked whether it has failed after what it says was read, as the failed write may have been under way before.
func (c *committer) append(ctx context.Context, after uint64, data []byte) error {
	for {
		_, err := c.log.append(ctx, after, data)
		if err == nil {
			return nil
		}
		found, settled := c.settle(ctx, after, data)
		if broken := c.outage.check(); broken != nil {
			return broken
		}
		if found || settled != nil {
			return c.frozen(settled)
		}
		if errors.Is(err, errRefused) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("whether it was stored is not known: %w", err)
		case <-time.After(retryWait):
		}
	}
}

// settle looks what is behind after: data (true), nothing (false), or another writer's message (errMoved).
func (c *committer) settle(ctx context.Context, after uint64, data []byte) (bool, error) {
	_, last, err := c.log.bounds(ctx)
	switch {
	case err != nil:
		return false, nil // ask again
	case last < after:
		return false, lost(last + 1)
	case last == after:
		return false, nil
	}
	switch stored, err := c.log.read(ctx, after+1); {
	case errors.Is(err, errNothing):
		return false, lost(after + 1)
	case err != nil:
		return false, nil // ask again
	case !bytes.Equal(stored, data):
		return false, errMoved
	}
	return true, nil
}

// lost says that the log has forgotten a message.
func lost(seq uint64) error {
	return &FrozenError{seq, fmt.Errorf("%w: sequence %d is missing", errChain, seq)}
}

// frozen returns err, and freezes the view if that is what it says.
func (c *committer) frozen(err error) error {
	var frozen *FrozenError
	if errors.As(err, &frozen) {
		c.replica.freeze(frozen)
	}
	return err
}

// A group is the transactions that go into one message.
type group struct {
	base    *View // what they were decided on
	made    *View // what they make of it, base itself when that is nothing; nobody else has it yet
	header  header
	decided []*request
	encoded [][]byte      // the transactions of those that have something to commit
	taken   []transaction // the same, as whoever reads the log gets them
	rest    []*request    // those that did not fit
	refused bool          // a transaction was refused after it had been begun
}

// decide runs the requests one after another, each on what those before it made of base.
func decide(base *View, waiting []*request) *group {
	g := &group{base: base, made: base}
	g.header = header{Epoch: base.epoch, PrevHash: base.hash, Schema: schema, MinReader: reader, CommitTS: time.Now().UTC()}
	if g.header.Epoch == "" {
		g.header.Epoch = rand.Text()
	}
	size := 0
	for i, r := range waiting {
		tx, encoded, err := r.decide(g.made)
		if size += len(encoded) + 1; size > maxTransactionBytes && err == nil && len(g.encoded) > 0 {
			g.rest = waiting[i:]
			return g
		}
		if err == nil && encoded != nil {
			err = g.take(tx, encoded)
		}
		r.err = err
		g.decided = append(g.decided, r)
	}
	return g
}

// take makes the transaction a part of the group when it is allowed. The group's view is forked once, not for each
// transaction, as most are allowed: it is made anew when one turns out not to be after it was begun.
func (g *group) take(tx *transaction, encoded []byte) error {
	v := g.made
	if v == g.base || g.refused && len(tx.Mutations) > 1 {
		v = g.forked(v)
	}
	if begun, err := v.run(tx.Mutations); err != nil {
		if begun && v == g.made {
			g.refused, g.made = true, g.again()
		}
		return err
	}
	g.made, g.encoded, g.taken = v, append(g.encoded, encoded), append(g.taken, *tx)
	return nil
}

func (g *group) forked(v *View) *View {
	v = v.fork()
	v.committing = g.header.CommitTS
	return v
}

// again returns what the transactions that were taken make of base.
func (g *group) again() *View {
	v := g.forked(g.base)
	for i := range g.taken {
		for j := range g.taken[i].Mutations {
			v.apply(&g.taken[i].Mutations[j])
		}
	}
	return v
}

// message returns the group as a message that continues the history of g.base. From then on g.made is the view that has
// it.
func (g *group) message() (*message, []byte, error) {
	data, err := encodeMessage(g.header, g.encoded)
	if err != nil {
		return nil, nil, err
	}
	m := &message{header: g.header, Transactions: g.taken}
	end := len(data) - len(hashEnd)
	if err := m.hash.UnmarshalText(data[end-hex.EncodedLen(len(m.hash)) : end]); err != nil {
		return nil, nil, err
	}
	g.made.revision, g.made.epoch, g.made.hash = g.base.revision+1, m.Epoch, m.hash
	return m, data, nil
}

// answer tells every caller of the group. An error of the group is everybody's: what a request decided by itself, it
// may have decided on transactions that were not stored.
func (g *group) answer(revision uint64, err error) {
	for _, r := range g.decided {
		switch {
		case err != nil:
			r.done <- outcome{err: err}
		case r.err != nil:
			r.done <- outcome{err: r.err}
		default:
			r.done <- outcome{revision: revision}
		}
	}
}

// decide runs r on v. It returns the transaction as a reader of the log gets it, so that what we make of it is what
// everybody does, and encoded; nil when there is nothing to commit.
func (r *request) decide(v *View) (*transaction, []byte, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, nil, err
	}
	mutations, err := r.call(v)
	if err != nil || len(mutations) == 0 {
		return nil, nil, err
	}
	encoded, err := json.Marshal(transaction{r.txid, mutations})
	if err == nil && len(encoded) > maxTransactionBytes {
		err = tooLarge(len(encoded))
	}
	if err != nil {
		if _, refusal := v.with(mutations); refusal != nil {
			err = refusal // which says more
		}
		return nil, nil, err
	}
	tx := new(transaction)
	if err := json.Unmarshal(encoded, tx); err != nil {
		return nil, nil, err
	}
	for i := range tx.Mutations {
		tx.Mutations[i].clip()
	}
	return tx, encoded, nil
}

func tooLarge(size int) error {
	return &asset.Fault{
		Kind:    asset.ErrTooLarge,
		Detail:  fmt.Sprintf("the transaction takes %d bytes in the log", size),
		Allowed: fmt.Sprintf("up to %d bytes", maxTransactionBytes),
	}
}

// call runs the closure; its panic is its caller's error.
func (r *request) call(v *View) (mutations []Mutation, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in an update: %v\n%s", p, debug.Stack())
		}
	}()
	return r.run(v)
}

// with returns what the mutations make of v, when they are allowed.
func (v *View) with(mutations []Mutation) (*View, error) {
	made := v.fork()
	made.committing = time.Now()
	_, err := made.run(mutations)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// run applies the mutations to v, which must not be published yet, until one is not allowed. begun says that v has
// changed by then.
func (v *View) run(mutations []Mutation) (begun bool, err error) {
	for i := range mutations {
		if err := v.check(&mutations[i]); err != nil {
			return i > 0, err
		}
		v.apply(&mutations[i])
	}
	return true, nil
}
