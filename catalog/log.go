package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The one stream, and its one subject.
const (
	streamName = "META"
	subject    = "assetmatrix.meta"
)

// A matrixLog is the transaction log: messages with dense sequences from 1, appended by compare-and-swap.
type matrixLog interface {
	// append adds data behind sequence after and returns its own sequence. It fails with errMoved, and adds nothing,
	// when after is not the last one, and with errRefused when the server cannot take it. After any other error, data
	// may have been added or may still be.
	append(ctx context.Context, after uint64, data []byte) (uint64, error)
	// read returns what is stored at seq, or errNothing.
	read(ctx context.Context, seq uint64) ([]byte, error)
	// bounds returns the first and the last sequence; (1, 0) or (0, 0) when there are no messages.
	bounds(ctx context.Context) (first, last uint64, err error)
	// whole fails with a [FrozenError] when a message is missing between the bounds.
	whole(ctx context.Context) error
	// tail calls take with every message behind sequence after, in order, until take fails or ctx ends.
	tail(ctx context.Context, after uint64, take func(seq uint64, data []byte) error) error
	// elsewhere ends the tails that run, with errElsewhere, and makes the next one read from another server than theirs. It
	// fails with errAlone when there is no other.
	elsewhere(ctx context.Context) error
}

var (
	errMoved   = errors.New("the log's last sequence is another one")
	errRefused = errors.New("the log refuses the message")
	errNothing = errors.New("nothing is stored there")
	// errElsewhere ends a tail that another server has to go on with.
	errElsewhere = errors.New("the tail goes on at another server")
	errAlone     = errors.New("no other server has the log")
	errStale     = errors.New("the log's leader does not know yet what was stored")
)

// staleAfter is how long a cluster may say that it has less than it had, before it is believed. A leader that was deposed
// and does not know it, or was elected a moment ago, says so in good faith.
const staleAfter = 10 * time.Second

// appendTimeout is how long one attempt to append waits for its acknowledgement; it then looks in the log.
const appendTimeout = 2 * time.Second

// apiTimeout is how long a server may take to answer about the stream, or to make a consumer.
const apiTimeout = 2 * time.Second

// A stream is the log in JetStream.
type stream struct {
	js      jetstream.JetStream
	nc      *nats.Conn
	tails   *tails
	absent  func(ctx context.Context) (jetstream.Stream, error) // makes the stream; nil when that is others' to do
	patient bool                                                // its server may be a cluster between two leaders

	mu      sync.Mutex       // guards the rest
	opened  jetstream.Stream // nil until it was seen
	serving string           // the server that the newest tail reads from; "" when there is one only
	avoid   string           // the server that the next tail must not read from
	seen    uint64           // the last sequence that is known to have been stored
	doubted time.Time        // since when servers count less than that; zero when they do not
}

var _ matrixLog = (*stream)(nil)

// newStream returns the log that cfg leads to. It is looked for when it is first needed; a writer makes it then if it
// is not there.
func newStream(s *natsServer, cfg Config) (*stream, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return nil, err
	}
	l := &stream{js: js, nc: s.nc, tails: &s.tails, patient: cfg.NATS.URL != ""}
	if cfg.Role != roleEdge {
		l.absent = func(ctx context.Context) (jetstream.Stream, error) {
			return js.CreateStream(ctx, streamConfig(cfg.NATS.Replicas))
		}
	}
	return l, nil
}

// open returns the stream.
func (s *stream) open(ctx context.Context) (jetstream.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		return s.opened, nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	h, err := s.js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) && s.absent != nil {
		h, err = s.absent(ctx)
	}
	if err == nil {
		err = checkStream(&h.CachedInfo().Config)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", streamName, err)
	}
	s.opened = h
	return h, nil
}

// streamConfig keeps everything for ever. Messages carry no Nats-Msg-Id, so the server's window for duplicates stays
// empty: compare-and-swap on the sequence admits a message at most once, however late it arrives.
func streamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        streamName,
		Description: "assetmatrix: the transaction log of the matrix",
		Subjects:    []string{subject},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		Discard:     jetstream.DiscardNew,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

// checkStream fails when a stream that was there already could forget what it acknowledged.
func checkStream(c *jetstream.StreamConfig) error {
	switch {
	case c.Storage != jetstream.FileStorage:
		return errors.New("it is not stored in files")
	case c.PersistMode != jetstream.DefaultPersistMode:
		return errors.New("it acknowledges before it has stored")
	case !c.DenyDelete || !c.DenyPurge || c.AllowRollup:
		return errors.New("it allows messages to be deleted")
	case c.MaxMsgs > 0 || c.MaxBytes > 0 || c.MaxAge > 0 || c.MaxMsgsPerSubject > 0 || c.Retention != jetstream.LimitsPolicy:
		return errors.New("it drops old messages")
	case len(c.Subjects) != 1 || c.Subjects[0] != subject:
		return fmt.Errorf("its subjects are %q, not %q", c.Subjects, subject)
	}
	return nil
}

func (s *stream) append(ctx context.Context, after uint64, data []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	ack, err := s.js.Publish(ctx, subject, data, jetstream.WithExpectStream(streamName), jetstream.WithExpectLastSequence(after))
	if err != nil {
		return 0, appendError(err, s.patient)
	}
	s.saw(ack.Sequence)
	return ack.Sequence, nil
}

// appendError says what the server's answer means. From a cluster, that it is unavailable (503) is no refusal: it has no
// leader for the moment.
func appendError(err error, patient bool) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) || patient && api.Code == 503 {
		return err
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

// read asks the stream's leader, as bounds does.
func (s *stream) read(ctx context.Context, seq uint64) ([]byte, error) {
	h, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	seen := s.known()
	m, err := h.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		if s.stale(seq-1, seen) {
			return nil, errStale
		}
		return nil, errNothing
	}
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (s *stream) bounds(ctx context.Context) (first, last uint64, err error) {
	h, err := s.open(ctx)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	seen := s.known()
	info, err := h.Info(ctx)
	if err != nil {
		return 0, 0, err
	}
	if s.stale(info.State.LastSeq, seen) {
		return 0, 0, errStale
	}
	s.saw(info.State.LastSeq)
	return info.State.FirstSeq, info.State.LastSeq, nil
}

func (s *stream) whole(ctx context.Context) error {
	h, err := s.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	info, err := h.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return err
	}
	state, first := &info.State, max(1, info.Config.FirstSeq)
	switch {
	case state.Msgs == 0:
		return nil
	case state.FirstSeq > first:
		return lost(first)
	case len(state.Deleted) > 0:
		return lost(state.Deleted[0])
	}
	return nil
}

// saw remembers that seq was stored.
func (s *stream) saw(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq >= s.seen {
		s.seen, s.doubted = seq, time.Time{}
	}
}

// known returns the last sequence that is known to have been stored.
func (s *stream) known() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// stale returns whether it is too early to believe that last is the last sequence, when seen was known to have been stored
// before the question. Once it is believed, what was seen is forgotten.
func (s *stream) stale(last, seen uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.patient || last >= seen {
		return false
	}
	if s.doubted.IsZero() {
		s.doubted = time.Now()
	}
	if time.Since(s.doubted) < staleAfter {
		return true
	}
	s.seen, s.doubted = last, time.Time{}
	return false
}
