package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// restore makes the index agree with the directory, and the directory with the cap. Entries rank by their mtime.
func (d *Disk) restore() {
	defer close(d.ready)
	files := d.list()
	d.adopt(files)
	if _, err := d.reserve(0); err != nil {
		d.fail("restore", err)
	}
	if err := d.renew(); err != nil {
		d.fail("restore", err)
	}
	close(d.counted)
	for _, f := range files {
		if d.closed.Load() {
			return
		}
		d.check(f.hash)
	}
}

// A counted is a file with the name of an entry.
type counted struct {
	hash     uint64
	units    int64
	modified time.Time
}

// list returns the entries' files, the newest first.
func (d *Disk) list() []counted {
	var files []counted
	for i := range temporaryDir {
		for _, path := range d.entries(d.dirs[i].path) {
			files = d.count(files, path)
		}
	}
	slices.SortFunc(files, func(a, b counted) int { return b.modified.Compare(a.modified) })
	return files
}

// entries returns the paths in dir whose names are 16 hexadecimal digits: all that is the cache's own.
func (d *Disk) entries(dir string) []string {
	if d.closed.Load() {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.fail("restore", err)
	}
	var paths []string
	for _, e := range entries {
		if name := e.Name(); len(name) == 16 && strings.Trim(name, "0123456789abcdef") == "" {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

// count appends the file, if it is one and stands where an entry would.
func (d *Disk) count(files []counted, path string) []counted {
	hash, err := strconv.ParseUint(filepath.Base(path), 16, 64)
	if err != nil || d.path(hash) != filepath.Clean(path) {
		return files
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return files
	}
	return append(files, counted{hash, unitsOf(info.Size()), info.ModTime()})
}

// adopt fills the index, except with what was dropped since the files were listed.
func (d *Disk) adopt(files []counted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range files {
		if _, gone := d.gone[f.hash]; !gone {
			d.index.adopt(f.hash, f.units)
		}
	}
	d.gone = nil
}

// check removes the entry's file if its footer is bad: half written at the time of a power cut, most likely.
func (d *Disk) check(hash uint64) {
	f, err := os.Open(d.path(hash))
	if err != nil {
		return // evicted since
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return
	}
	footer := make([]byte, min(footerBytes, info.Size()))
	if err = readFull(f, footer, info.Size()-int64(len(footer))); err == nil {
		_, err = footerOf(footer, info.Size())
	}
	if errors.Is(err, asset.ErrCorrupt) {
		d.discard(info, hash, err)
	}
}

// sweepTemporary removes what writers left behind that were killed. The lock is held, so none is alive.
func (d *Disk) sweepTemporary() {
	dir := d.dirs[temporaryDir].path
	entries, err := os.ReadDir(dir)
	if err != nil {
		d.fail("restore", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), temporaryPrefix) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			d.fail("restore", err)
		}
	}
}
