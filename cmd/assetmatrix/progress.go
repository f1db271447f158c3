package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how much was written to it.
type progress struct{ bar *progressbar.ProgressBar }

// patience is how long a transfer may take before anybody wants to see how far it is.
const patience = time.Second

// newProgress returns a bar for total bytes (-1: nobody knows) on errs, when that is a terminal, once patience is over.
func newProgress(label string, total int64, errs io.Writer) progress {
	return newProgressFrom(label, total, errs, time.Now().Add(patience))
}

func newProgressFrom(label string, total int64, errs io.Writer, from time.Time) progress {
	screen, ok := errs.(*os.File)
	return progress{progressbar.NewOptions64(total,
		progressbar.OptionSetVisibility(ok && term.IsTerminal(int(screen.Fd()))),
		progressbar.OptionSetWriter(&late{errs, from}),
		progressbar.OptionSetDescription(label),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // it moves when bytes do
		progressbar.OptionClearOnFinish(),
	)}
}

// Write never fails: a file may be longer than it was, and a terminal go away.
func (p progress) Write(b []byte) (int, error) {
	_ = p.bar.Add(len(b))
	return len(b), nil
}

// end takes the bar off the screen.
func (p progress) end() { _ = p.bar.Finish() }

// A late writer writes nothing before a time.
type late struct {
	inner io.Writer
	from  time.Time
}

// Write writes b, or drops it when it is too early.
func (l *late) Write(b []byte) (int, error) {
	if time.Now().Before(l.from) {
		return len(b), nil
	}
	return l.inner.Write(b)
}
