package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The directories that the disk cache makes: one for each first digit of an entry's name, the one of temporary files,
// and the one that they are all in. Temporary files are in there too so that a rename does not leave the file system.
const (
	temporaryDir = 16
	rootDir      = 17
	directories  = 18
)

const (
	dirMode         = 0o755
	lockName        = "lock"
	temporaryPrefix = "put-"
	// growthUnits is set aside for every write: what its two names may make the directories grow by. ext4 splits a leaf
	// and at most two levels of its index.
	growthUnits = 4
)

// A directory is one of them, and what it was seen to take, which the index counts as used. Directories are measured and
// not estimated: how much a name takes differs between file systems, and on most a directory never shrinks.
type directory struct {
	path  string
	units int64
}

func directoriesIn(root string) (all [directories]directory) {
	for i := range temporaryDir {
		all[i].path = filepath.Join(root, fmt.Sprintf("%x", i))
	}
	all[temporaryDir].path = filepath.Join(root, "tmp")
	all[rootDir].path = root
	return all
}

// directoryOf returns the number of the directory that the entry with that hash is in.
func directoryOf(hash uint64) int { return int(hash >> 60) }

// path is where the entry with that hash is.
func (d *Disk) path(hash uint64) string {
	return filepath.Join(d.dirs[directoryOf(hash)].path, fmt.Sprintf("%016x", hash))
}

// settle makes what is missing of the directory and takes its lock, unless it is held.
func (d *Disk) settle() error {
	d.names.Lock()
	defer d.names.Unlock()
	return d.arrange()
}

// arrange is settle with names held.
func (d *Disk) arrange() error {
	d.measureAll() // while it shows what is missing
	defer d.measureAll()
	for i := range d.dirs {
		if err := os.MkdirAll(d.dirs[i].path, dirMode); err != nil {
			return err
		}
	}
	path := filepath.Join(d.cfg.Dir, lockName)
	if d.lock != nil && isNamed(d.lock, path) {
		return nil
	}
	lock, err := lockFile(path)
	if err != nil {
		return err
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
	d.lock = lock
	return nil
}

// renew makes grown directories without entries again: that is how they shrink. Without it a cache whose cap was lowered
// could have no room beside its directories.
func (d *Disk) renew() error {
	d.names.Lock()
	defer d.names.Unlock()
	for i := range rootDir {
		if d.dirs[i].units > 1 {
			_ = unix.Rmdir(d.dirs[i].path) // fails when there is something in it
		}
	}
	return d.arrange()
}

// measureAll measures every directory. names is held.
func (d *Disk) measureAll() {
	for i := range d.dirs {
		d.measure(i)
	}
}

// measure counts what the directory takes now. If it is gone, so are its entries. names is held.
func (d *Disk) measure(i int) {
	var units int64
	info, err := os.Stat(d.dirs[i].path)
	switch {
	case err == nil:
		units = unitsOf(info.Sys().(*syscall.Stat_t).Blocks * 512)
	case errors.Is(err, fs.ErrNotExist):
		d.forget(i)
	default:
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index.used += units - d.dirs[i].units
	d.fixed += units - d.dirs[i].units
	d.dirs[i].units = units
}

// forget drops the entries of a directory.
func (d *Disk) forget(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for hash := range d.index.nodes {
		if directoryOf(hash) == i {
			d.dropLocked(hash)
		}
	}
}

// lockFile opens the file and locks it until it is closed or the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644) // not for writing: the file system may turn read-only
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s is locked, another process uses the directory: %w", asset.ErrConflict, path, err)
	}
	return f, nil
}
