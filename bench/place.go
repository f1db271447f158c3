package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// placePrefix begins the names of the directories that runs make.
const placePrefix = ".assetmatrix-bench-"

// A place is a directory for a run's data. It is locked as long as the run lasts (flock(2)), so that what a killed run has left
// is known as that.
type place struct {
	path string
	lock *os.File
}

// newPlace makes a place below dir, and takes away those of runs that were killed.
func newPlace(dir string) (*place, error) {
	dir, err := filepath.Abs(dir) // the working directory for ""
	if err != nil {
		return nil, err
	}
	sweep(dir)
	path, err := os.MkdirTemp(dir, placePrefix)
	if err != nil {
		return nil, askedWrongly("--dir: the data finds no place there: %w; give a directory on a disk, in which files can be made", err)
	}
	lock, err := os.Open(path)
	if err == nil {
		_ = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) // nobody else knows it; some file systems have no locks
	}
	return &place{path, lock}, err
}

// remove takes the place away with all that is in it.
func (p *place) remove() error {
	if err := errors.Join(os.RemoveAll(p.path), p.lock.Close()); err != nil {
		return leftover{fmt.Errorf("the data stays: %w", err)}
	}
	return nil
}

// sweepAge is how old an unlocked place is that is nobody's: a younger one may be about to be locked.
const sweepAge = time.Minute

// sweep takes away the places of runs that were killed, as far as that can be done: they are no fault of the run that begins.
func sweep(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), placePrefix) || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		path := filepath.Join(dir, e.Name())
		lock, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}
