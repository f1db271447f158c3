package catalog

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A followed is a small file that remembers when the view last was known to show all that was committed, so that a replica
// that is started again does not say that it is younger than it is. It is written in place, once a second, and not
// flushed: what is behind after a power loss is older, never younger. A revision stands beside the time because the view
// may come back older than it was; then the time proves nothing.
//
// A goroutine of its own writes it: a disk that hangs keeps nobody from hearing of the matrix, or from asking how old it is.
type followed struct {
	file *os.File
	next chan []byte // has room for one, the newest
	done chan struct{}
}

const followedFormat = "%020d %020d %s\n" // revision, microseconds since 1970, hash

// openFollowed opens the file in dir and returns since when v, the view that was found there, may miss something.
func openFollowed(dir string, v *View) (*followed, time.Time, error) {
	file, err := os.OpenFile(filepath.Join(dir, "followed"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, time.Time{}, err
	}
	text, err := io.ReadAll(io.LimitReader(file, 256))
	if err != nil {
		_ = file.Close()
		return nil, time.Time{}, err
	}
	f := &followed{file, make(chan []byte, 1), make(chan struct{})}
	go f.write()
	return f, f.since(string(text), v), nil
}

func (f *followed) write() {
	defer close(f.done)
	for text := range f.next {
		_, _ = f.file.WriteAt(text, 0) // one that is behind is older, that is all
	}
}

// since returns the time in text if v is no older. Otherwise it is when v's last message was committed: nothing came
// between that and the ones before it.
func (f *followed) since(text string, v *View) time.Time {
	var (
		revision uint64
		micros   int64
		hash     string
	)
	_, err := fmt.Sscanf(text, followedFormat, &revision, &micros, &hash)
	at := time.UnixMicro(micros)
	proves := err == nil && (v.revision > revision || v.revision == revision && hash == v.hash.String())
	if !proves || at.Before(v.committing) || at.After(time.Now()) {
		return v.committing
	}
	return at
}

// set does not wait for the disk. It must not be called by two at once.
func (f *followed) set(v *View, at time.Time) {
	select {
	case <-f.next: // what was not written yet
	default:
	}
	f.next <- fmt.Appendf(nil, followedFormat, v.revision, at.UnixMicro(), v.hash)
}

func (f *followed) close() {
	close(f.next)
	<-f.done
	_ = f.file.Close()
}
