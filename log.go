package assetmatrix

import (
	"bufio"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// logger returns the logger that c describes, writing to w.
func (c LogConfig) logger(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}

func (c LogConfig) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return 0, asset.BadKey("level", strconv.Quote(c.Level), "debug, info, warn, error")
	}
	return level, nil
}

// A bufferedLog gathers lines and writes them together, at the latest after an interval: a system call for each line
// would halve the hits that a core can answer. It is the writer of the access log, whose last lines may be lost in a
// crash, and of nothing else.
type bufferedLog struct {
	mu     sync.Mutex // guards the fields below
	buffer *bufio.Writer
	flush  *time.Timer // pending while the buffer holds something
	every  time.Duration
}

const (
	accessLogEvery = 200 * time.Millisecond
	// logBufferBytes holds a few hundred lines.
	logBufferBytes = 64 << 10
)

// newBufferedLog returns a bufferedLog in front of w, whose lines wait at most for the interval every.
func newBufferedLog(w io.Writer, every time.Duration) *bufferedLog {
	return &bufferedLog{buffer: bufio.NewWriterSize(w, logBufferBytes), every: every}
}

// Write keeps the line, which reaches the inner writer in one piece with its neighbours.
func (b *bufferedLog) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(line) > b.buffer.Available() {
		if err := b.buffer.Flush(); err != nil {
			return 0, err
		}
	}
	if b.flush == nil {
		b.flush = time.AfterFunc(b.every, func() { _ = b.Flush() })
	}
	return b.buffer.Write(line)
}

// Flush writes what is kept.
func (b *bufferedLog) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flush != nil {
		b.flush.Stop()
		b.flush = nil
	}
	return b.buffer.Flush()
}
