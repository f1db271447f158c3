package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Change is one message of the log.
type Change struct {
	Revision    uint64
	CommittedAt time.Time
	Mutations   []Mutation
}

// Changes calls take with every change behind revision after, in order, those to come included, until take fails or ctx
// ends; what take gets, the view shows. A revision that is not there yet is waited for. It fails with an [asset.Fault] of
// kind [asset.ErrGone] when the log does not go back so far, with a [FrozenError] when it cannot be followed, and with
// [asset.ErrUnavailable] when it cannot be reached.
func (c *Catalog) Changes(ctx context.Context, after uint64, take func(Change) error) error {
	if err := c.replica.await(ctx, after); err != nil {
		return err
	}
	r := &changes{replica: c.replica, at: after, take: take}
	if err := r.begin(ctx); err != nil {
		return err
	}
	for {
		err := c.replica.log.tail(ctx, r.at, r.next)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			return refused.err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tailRetryWait):
		}
	}
}

// changes is one reading of the log. It verifies what it reads as the view does.
type changes struct {
	replica *replica
	at      uint64 // what was read last
	epoch   string // "" before the first message
	hash    asset.Digest
	blind   bool // what the first message has to continue is not in the log
	take    func(Change) error
}

// A refusal ends the reading, where other errors of a tail are only a reason to begin another.
type refusal struct{ err error }

// Error is that of what was refused.
func (r *refusal) Error() string { return r.err.Error() }

// begin finds the hash that the first message has to continue.
func (r *changes) begin(ctx context.Context) error {
	if v := r.replica.view(); v.revision == r.at {
		r.epoch, r.hash = v.epoch, v.hash
		return nil
	}
	first, _, err := r.replica.log.bounds(ctx)
	switch {
	case err != nil:
		return unavailable(err)
	case r.at+1 < first:
		return gone(r.at, first)
	case r.at < first:
		r.blind = r.at > 0
		return nil
	}
	data, err := r.replica.log.read(ctx, r.at)
	if errors.Is(err, errNothing) {
		return lost(r.at)
	}
	if err != nil {
		return unavailable(err)
	}
	m, err := decodeMessage(data)
	if err != nil {
		return &FrozenError{r.at, err}
	}
	r.epoch, r.hash = m.Epoch, m.hash
	return nil
}

func gone(after, first uint64) error {
	return &asset.Fault{
		Kind: asset.ErrGone, Detail: fmt.Sprintf("the changes behind revision %d are not kept any more", after),
		Allowed: fmt.Sprintf("%d or later", first-1),
	}
}

// next hands a message on once the view shows it.
func (r *changes) next(seq uint64, data []byte) error {
	m, err := decodeMessage(data)
	if err == nil {
		err = r.check(seq, m)
	}
	if err != nil {
		return &refusal{&FrozenError{seq, err}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stallTimeout)
	defer cancel()
	if err := r.replica.await(ctx, seq); err != nil {
		return err
	}
	change := Change{Revision: seq, CommittedAt: m.CommitTS}
	for _, t := range m.Transactions {
		change.Mutations = append(change.Mutations, t.Mutations...)
	}
	if err := r.take(change); err != nil {
		return &refusal{err}
	}
	r.at, r.epoch, r.hash = seq, m.Epoch, m.hash
	return nil
}

// check fails unless m is the next message.
func (r *changes) check(seq uint64, m *message) error {
	before := View{revision: r.at, epoch: r.epoch, hash: r.hash}
	if r.blind {
		before.hash, r.blind = m.PrevHash, false
	}
	return before.admit(seq, m)
}
