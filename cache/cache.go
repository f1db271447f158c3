// Package cache keeps bytes and fills each key once: a memory store, a disk store, and the tier that puts either in
// front of a slower loader.
//
// Its one invariant: what a cache returns for a key is exactly what was put under it, or nothing. A cache may forget at
// any time, and an entry that does not match its checksums is a miss.
//
//	disk, err := cache.NewDisk(cfg.Disk, events)
//	memory, err := cache.NewMemory(cfg.Memory)
//	back := cache.NewTier(asset.DiskTier, disk, maker, events)
//	front := cache.NewTier(asset.MemoryTier, memory, back, events)
//	o, err := front.Load(ctx, key) // memory → disk → maker, each key filled once
package cache

import (
	"fmt"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Config is the configuration of both caches.
type Config struct {
	Memory MemoryConfig `yaml:"memory"`
	Disk   DiskConfig   `yaml:"disk"`
}

// MemoryConfig is the configuration of a [Memory].
type MemoryConfig struct {
	// MaxBytes caps the objects kept, with about 1 KiB of bookkeeping for each.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxObjectBytes is the largest object that is kept.
	MaxObjectBytes int64 `yaml:"max_object_bytes"`
}

// DiskConfig is the configuration of a [Disk].
type DiskConfig struct {
	// Dir is the cache's directory; it is created when missing. One process at a time may use it.
	Dir string `yaml:"dir"`
	// MaxBytes caps what `du` says of Dir: the cache's files and its 18 directories, each counted in whole units of 4096
	// bytes. At least 1,000,000.
	MaxBytes int64 `yaml:"max_bytes"`
	// InlineBytes is the largest object that is loaded into memory; larger ones are read from their file.
	InlineBytes int64 `yaml:"inline_bytes"`
	// VerifyBytes is the largest object that is verified as a whole when it is loaded. A larger one is verified block
	// by block as it is read, and as a whole when its file is asked for.
	VerifyBytes int64 `yaml:"verify_bytes"`
	// Epoch is the renderer's (transform.Epoch). A rendition that was put under another is a miss, and is removed.
	Epoch int `yaml:"-"`
}

// DefaultConfig returns 256 MiB of memory for objects up to 1 MiB, and 10 GiB of disk. Disk.Dir is empty.
func DefaultConfig() Config {
	return Config{
		Memory: MemoryConfig{MaxBytes: 256 << 20, MaxObjectBytes: 1 << 20},
		Disk:   DiskConfig{MaxBytes: 10 << 30, InlineBytes: 1 << 20, VerifyBytes: 64 << 20},
	}
}

// Validate checks what a user may set. Errors are [asset.ErrInvalid] and name the key.
func (c Config) Validate() error {
	if err := c.Memory.Validate(); err != nil {
		return err
	}
	return c.Disk.Validate()
}

// Validate checks the configuration. Errors are [asset.ErrInvalid] and name the key.
func (c MemoryConfig) Validate() error {
	if err := atLeast("memory.max_bytes", c.MaxBytes, 1); err != nil {
		return err
	}
	return atLeast("memory.max_object_bytes", c.MaxObjectBytes, 1)
}

// Validate checks the configuration, except that Dir is given: it has no default here. Errors are [asset.ErrInvalid]
// and name the key.
func (c DiskConfig) Validate() error {
	if err := atLeast("disk.max_bytes", c.MaxBytes, minDiskBytes); err != nil {
		return err
	}
	if err := atLeast("disk.inline_bytes", c.InlineBytes, 0); err != nil {
		return err
	}
	return atLeast("disk.verify_bytes", c.VerifyBytes, 0)
}

// minDiskBytes: the directories and what is set aside for their growth take 88 KiB of it.
const minDiskBytes = 1_000_000

func atLeast(key string, given, least int64) error {
	if given < least {
		return asset.BadKey(key, given, fmt.Sprintf("at least %d", least))
	}
	return nil
}

// Events are told what happens. Any of them may be nil; they are called from many goroutines and must be quick.
// For every [Tier.Load] exactly one of Hit, Miss and Joined is called, unless it ends before that is known.
type Events struct {
	// Hit: the tier's store had the object.
	Hit func(asset.Room)
	// Miss: the tier's store did not have it, and a fill asks the next loader.
	Miss func(asset.Room)
	// Joined: the caller waits for a fill that another caller started.
	Joined func(asset.Room)
	// Failed: a store could not read, keep or drop an object. The answer was not affected.
	Failed func(asset.Room, error)
	// Corrupt: a file of the disk store did not match its checksums. It was removed and not served.
	Corrupt func(error)
	// Evicted: the disk store removed an entry of so many bytes to make room.
	Evicted func(bytes int64)
	// Panicked: a fill panicked with that value. Its callers got an error.
	Panicked func(room asset.Room, k asset.Key, value any, stack []byte)
}

func (e *Events) hit(r asset.Room)    { call(e.Hit, r) }
func (e *Events) miss(r asset.Room)   { call(e.Miss, r) }
func (e *Events) joined(r asset.Room) { call(e.Joined, r) }
func (e *Events) corrupt(err error)   { call(e.Corrupt, err) }
func (e *Events) evicted(bytes int64) { call(e.Evicted, bytes) }

func (e *Events) failed(r asset.Room, err error) {
	if e.Failed != nil {
		e.Failed(r, err)
	}
}

func (e *Events) panicked(r asset.Room, k asset.Key, value any, stack []byte) {
	if e.Panicked != nil {
		e.Panicked(r, k, value, stack)
	}
}

func call[T any](f func(T), v T) {
	if f != nil {
		f(v)
	}
}
