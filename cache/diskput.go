package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Put writes o to the directory. An object that is larger than the cap, or for which there is no room beside those
// being written, is not kept, and what was there before it is forgotten; that is no error. The errors are
// [asset.ErrUnavailable] when the directory cannot be written, o's own when it cannot be read, and ctx's.
func (d *Disk) Put(ctx context.Context, o *asset.Object) error {
	if err := d.put(ctx, o); err != nil {
		return fmt.Errorf("disk put %s: %w", o.Key, err)
	}
	return nil
}

func (d *Disk) put(ctx context.Context, o *asset.Object) error {
	d.open.RLock()
	defer d.open.RUnlock()
	if err := d.writable(); err != nil {
		return err
	}
	e := newEntry(o, d.epoch(o.Key))
	units := e.units()
	if ok, err := d.reserve(units + growthUnits); err != nil {
		return err
	} else if !ok {
		return d.remove(o.Key.Hash())
	}
	temporary, err := d.write(ctx, o, e)
	if err == nil {
		err = d.publish(temporary, o.Key.Hash(), units)
	}
	if err != nil {
		d.unreserve(units + growthUnits)
	}
	return err
}

func (d *Disk) writable() error {
	if d.closed.Load() {
		return fmt.Errorf("%w: closed", asset.ErrUnavailable)
	}
	select {
	case <-d.counted:
		return nil
	default:
		return fmt.Errorf("%w: files are still being counted", asset.ErrUnavailable)
	}
}

// Delete removes the entry, and with it one whose key has the same hash.
func (d *Disk) Delete(_ context.Context, k asset.Key) error {
	d.open.RLock()
	defer d.open.RUnlock()
	if d.closed.Load() {
		return nil
	}
	if err := d.remove(k.Hash()); err != nil {
		return fmt.Errorf("disk delete %s: %w", k, err)
	}
	return nil
}

func (d *Disk) remove(hash uint64) error {
	d.names.Lock()
	defer d.names.Unlock()
	if err := d.unlink(hash); err != nil {
		return unavailable(err)
	}
	return nil
}

// reserve evicts until there is room for so many units more, and takes it. It returns false when there cannot be: the
// cap is lower, or everything that is left is being written.
func (d *Disk) reserve(units int64) (bool, error) {
	d.names.Lock()
	defer d.names.Unlock()
	for {
		victim, fits := d.take(units)
		if fits || victim == nil {
			return fits, nil
		}
		if err := d.unlink(victim.hash); err != nil {
			return false, unavailable(err)
		}
		d.events.evicted(victim.units * unitBytes)
	}
}

// take takes the units if they fit, else it names who has to go, if that helps.
func (d *Disk) take(units int64) (victim *node, fits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.index.used+units <= d.units {
		d.index.used += units
		return nil, true
	}
	if units > 0 && d.fixed+units > d.units {
		return nil, false
	}
	return d.index.victim(), false
}

func (d *Disk) unreserve(units int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index.used -= units
}

// write writes o into a temporary file and returns its path. On an error nothing is left.
func (d *Disk) write(ctx context.Context, o *asset.Object, e *entry) (string, error) {
	f, err := d.create()
	if err != nil {
		return "", unavailable(err)
	}
	err = writeBody(ctx, f, o, e)
	if err == nil {
		err = writeAll(f, e.trailer())
	}
	if closing := f.Close(); err == nil && closing != nil { // where quotas and network file systems say that it did not fit
		err = unavailable(closing)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// writeBody writes o's bytes, unless they are kept elsewhere, and sums each block into e.
func writeBody(ctx context.Context, f io.Writer, o *asset.Object, e *entry) error {
	if e.kept != "" {
		f = io.Discard
	}
	if b, ok := o.Bytes(); ok {
		for i := range e.blocks() {
			e.addSum(b[i*blockBytes : min(e.size, (i+1)*blockBytes)])
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return writeAll(f, b)
	}
	buf := blockBuffers.Get().(*[blockBytes]byte)
	defer blockBuffers.Put(buf)
	for i := range e.blocks() {
		block := e.block(buf, i)
		if err := ctx.Err(); err != nil {
			return err
		}
		if n, err := o.ReadAt(block, i*blockBytes); n < len(block) {
			return short(err)
		}
		e.addSum(block)
		if err := writeAll(f, block); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// short is the error of an object that has fewer bytes than its size.
func short(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the object has fewer bytes than its size", asset.ErrCorrupt)
	}
	return err
}

func writeAll(f io.Writer, b []byte) error {
	if _, err := f.Write(b); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", asset.ErrUnavailable, err) }

// publish gives the temporary file its name, with that replacing what had it before, makes the reserved units its own
// and gives back those for growth. On an error nothing is left, and all stays reserved.
func (d *Disk) publish(temporary string, hash uint64, units int64) error {
	d.names.Lock()
	defer d.names.Unlock()
	path := d.path(hash)
	err := os.Rename(temporary, path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.arrange(); err == nil {
			err = os.Rename(temporary, path)
		}
	}
	if err != nil {
		_ = os.Remove(temporary)
		return unavailable(err)
	}
	d.mu.Lock()
	d.index.add(hash, units)
	d.mu.Unlock()
	d.unreserve(growthUnits) // to the directories; nobody reserves before they are measured
	d.measure(directoryOf(hash))
	d.measure(temporaryDir)
	return nil
}

// create opens a new temporary file, in a directory made again if it was deleted.
func (d *Disk) create() (*os.File, error) {
	f, err := d.createTemporary()
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.settle(); err == nil {
			f, err = d.createTemporary()
		}
	}
	return f, err
}

func (d *Disk) createTemporary() (*os.File, error) {
	return os.CreateTemp(d.dirs[temporaryDir].path, temporaryPrefix)
}
