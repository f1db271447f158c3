package catalog

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A directory is where a replica keeps its copy of the matrix: base files by their revision, of which the newest counts,
// and the journal behind it.
type directory string

const baseFormat = "base-%020d"

// base returns the path of the base at a revision.
func (d directory) base(revision uint64) string {
	return filepath.Join(string(d), fmt.Sprintf(baseFormat, revision))
}

// download is the path of a snapshot while it is received.
func (d directory) download() string { return filepath.Join(string(d), "snapshot.tmp") }

// bases returns the revisions that there are bases of, the newest first.
func (d directory) bases() (revisions []uint64, err error) {
	entries, err := os.ReadDir(string(d))
	for _, e := range entries {
		var revision uint64
		if _, err := fmt.Sscanf(e.Name(), baseFormat, &revision); err == nil && e.Name() == filepath.Base(d.base(revision)) {
			revisions = append(revisions, revision)
		}
	}
	slices.SortFunc(revisions, func(a, b uint64) int { return cmp.Compare(b, a) })
	return revisions, err
}

// drop removes the bases that unwanted is true of. One that stays is removed the next time.
func (d directory) drop(unwanted func(revision uint64) bool) {
	revisions, _ := d.bases()
	for _, revision := range revisions {
		if unwanted(revision) {
			_ = os.Remove(d.base(revision))
		}
	}
}

// sweep removes what an end in the middle has left half done.
func (d directory) sweep() error {
	left, err := filepath.Glob(filepath.Join(string(d), "*.tmp"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// sync flushes the names in the directory to the disk.
func (d directory) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
