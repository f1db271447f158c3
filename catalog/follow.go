package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// How a tail reads. A consumer that is silent for two heartbeats is gone, and another one is made.
const (
	tailHeartbeat = time.Second
	tailExpiry    = 30 * time.Second
	tailMessages  = 512
	tailBytes     = 8 << 20
	// consumerIdle is how long a server keeps a consumer that nobody asks.
	consumerIdle = 30 * time.Second
	// maxElsewhere is how many consumers are made to find one that is not on the server to avoid; each is on a random one.
	maxElsewhere = 8
)

// tail reads by an ephemeral pull consumer, which is in the memory of one server, and starts anew when anything is odd.
// That the consumer has lost nothing on the way to us is checked by its own sequence, which is dense even where the
// server's store has a hole; whether the stream's is, is take's to check.
func (s *stream) tail(ctx context.Context, after uint64, take func(seq uint64, data []byte) error) error {
	if _, err := s.open(ctx); err != nil {
		return err
	}
	running, end := s.tails.begin(ctx)
	defer end()
	c, err := s.consumer(running, after)
	if err == nil {
		defer s.drop(c)
		err = s.deliver(running, c, take)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return errElsewhere
	}
	return err
}

func (s *stream) deliver(ctx context.Context, c jetstream.Consumer, take func(seq uint64, data []byte) error) error {
	messages, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(tailMessages, tailBytes), jetstream.PullExpiry(tailExpiry),
		jetstream.PullHeartbeat(tailHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for delivered := uint64(1); ; delivered++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != delivered {
			return fmt.Errorf("the consumer's message %d is missing", delivered)
		}
		s.saw(meta.Sequence.Stream)
		if err := take(meta.Sequence.Stream, msg.Data()); err != nil {
			return err
		}
	}
}

// consumer makes one that begins behind after, on another server than the one to avoid.
func (s *stream) consumer(ctx context.Context, after uint64) (jetstream.Consumer, error) {
	for range maxElsewhere {
		c, err := s.newConsumer(ctx, after)
		if err != nil {
			return nil, err
		}
		if s.serves(c) {
			return c, nil
		}
		s.drop(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.avoid = "" // rather that one than none, should it be the only one left
	return nil, errAlone
}

func (s *stream) newConsumer(ctx context.Context, after uint64) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return s.js.CreateConsumer(ctx, streamName, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: consumerIdle,
		Replicas:          1,
		MemoryStorage:     true,
	})
}

// serves remembers which server c is on; false is on the one to avoid.
func (s *stream) serves(c jetstream.Consumer) bool {
	name := ""
	if in := c.CachedInfo().Cluster; in != nil {
		name = in.Leader
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" && name == s.avoid {
		return false
	}
	s.serving = name
	return true
}

// drop deletes a consumer and does not wait for it. Should that fail, its server does it after a while.
func (s *stream) drop(c jetstream.Consumer) {
	_ = s.nc.PublishRequest("$JS.API.CONSUMER.DELETE."+streamName+"."+c.CachedInfo().Name, s.nc.NewInbox(), nil)
}

// elsewhere also goes to the next server of the list, if there are several: what lies may be the one that we talk to.
func (s *stream) elsewhere(ctx context.Context) error {
	h, err := s.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	info, err := h.Info(ctx)
	if err != nil {
		return err
	}
	if info.Cluster == nil || len(info.Cluster.Replicas) == 0 {
		return errAlone
	}
	s.mu.Lock()
	s.avoid = s.serving
	s.mu.Unlock()
	s.tails.end()
	if len(s.nc.Servers()) > 1 {
		return s.nc.ForceReconnect()
	}
	return nil
}

// tails ends the tails that run. The zero value has none.
type tails struct {
	mu      sync.Mutex // guards the rest
	next    int
	running map[int]context.CancelFunc
}

// begin returns the context of a tail, and what to call when that has ended.
func (t *tails) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == nil {
		t.running = map[int]context.CancelFunc{}
	}
	id := t.next
	t.next++
	t.running[id] = cancel
	return ctx, func() {
		cancel()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.running, id)
	}
}

func (t *tails) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, cancel := range t.running {
		cancel()
	}
}
