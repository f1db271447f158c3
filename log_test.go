package assetmatrix

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBufferedLogWritesAfterTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newBufferedLog(&out, time.Second)
		written := func() string {
			log.mu.Lock() // the timer writes on a goroutine of its own
			defer log.mu.Unlock()
			return out.String()
		}
		for range 3 {
			if _, err := log.Write([]byte("line\n")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second - time.Nanosecond)
		if got := written(); got != "" {
			t.Errorf("%q was written before the interval", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := written(); got != "line\nline\nline\n" {
			t.Errorf("after the interval: %q", got)
		}
		if _, err := log.Write([]byte("again\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !strings.HasSuffix(written(), "again\n") {
			t.Error("the timer is not set again")
		}
	})
}

// pieces notes what each Write gets.
type pieces struct{ got []string }

func (p *pieces) Write(b []byte) (int, error) {
	p.got = append(p.got, string(b))
	return len(b), nil
}

func TestBufferedLogNeverCutsALine(t *testing.T) {
	var out pieces
	log := newBufferedLog(&out, time.Hour)
	logger := slog.New(slog.NewTextHandler(log, nil))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				logger.Info("request", "path", strings.Repeat("x", 100))
			}
		})
	}
	all.Wait()
	if err := log.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, piece := range out.got {
		if !strings.HasSuffix(piece, "\n") {
			t.Errorf("a write ends within a line: …%q", piece[len(piece)-20:])
		}
		lines += strings.Count(piece, "\n")
	}
	if lines != 4000 || len(out.got) > 40 {
		t.Errorf("%d lines in %d writes, want 4000 in a few", lines, len(out.got))
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestBufferedLogPassesErrorsOn(t *testing.T) {
	log := newBufferedLog(broken{}, time.Hour)
	if _, err := log.Write([]byte("line\n")); err != nil {
		t.Errorf("a kept line failed: %v", err)
	}
	if err := log.Flush(); err == nil {
		t.Error("a flush that failed was said to be good")
	}
}
