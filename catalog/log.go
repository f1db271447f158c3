package catalog

import (
	"context"
	"errors"
	"fmt"
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
	// tail calls take with every message behind sequence after, in order, until take fails or ctx ends.
	tail(ctx context.Context, after uint64, take func(seq uint64, data []byte) error) error
}

var (
	errMoved   = errors.New("the log's last sequence is another one")
	errRefused = errors.New("the log refuses the message")
	errNothing = errors.New("nothing is stored there")
)

// appendTimeout is how long one attempt to append waits for its acknowledgement; it then looks in the log.
const appendTimeout = 2 * time.Second

// A stream is the log in JetStream.
type stream struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

var _ matrixLog = (*stream)(nil)

// openStream returns the stream, made when it is not there yet.
func openStream(ctx context.Context, nc *nats.Conn) (*stream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	s, err := js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, streamConfig())
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", streamName, err)
	}
	if err := checkStream(&s.CachedInfo().Config); err != nil {
		return nil, fmt.Errorf("stream %s: %w", streamName, err)
	}
	return &stream{js, s}, nil
}

// streamConfig keeps everything for ever. Messages carry no Nats-Msg-Id, so the server's window for duplicates stays
// empty: compare-and-swap on the sequence admits a message at most once, however late it arrives.
func streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        streamName,
		Description: "assetmatrix: the transaction log of the matrix",
		Subjects:    []string{subject},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
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
		return 0, appendError(err)
	}
	return ack.Sequence, nil
}

func appendError(err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

func (s *stream) read(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	m, err := s.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, errNothing
	}
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (s *stream) bounds(ctx context.Context) (first, last uint64, err error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, 0, err
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}

func (s *stream) tail(ctx context.Context, after uint64, take func(seq uint64, data []byte) error) error {
	consumer, err := s.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   after + 1,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if err := take(meta.Sequence.Stream, msg.Data()); err != nil {
			return err
		}
	}
}
