// Package transform renders variants of originals, in worker processes.
//
// Its one invariant: what a hostile or damaged original can cost is one worker and one answer. libvips never runs in
// the server's process; the type is decided by magic bytes ([Sniff]) and the pixel size read from the header in plain
// Go ([Header]) before a worker sees anything; bytes travel by file descriptor, so that the server's memory does not
// grow with the picture; a deadline kills.
//
//	cfg := transform.DefaultConfig()
//	cfg.Command = []string{"/proc/self/exe", "render-worker"}
//	pool, err := transform.NewPool(cfg, originals, transform.Events{})
//	o, err := pool.Load(ctx, asset.Key{Original: digest, Variant: asset.Variant{Width: 400, Format: asset.WebP}})
//
// The command must call [Work] with its descriptor 3 and nothing else.
package transform

import (
	"fmt"
	"runtime"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Epoch is part of every rendition's ETag. Raise it when the same key gives other pixels.
const Epoch = 2

// A Config sizes a [Pool].
type Config struct {
	// Command is the argv of a worker process, run with a socket on descriptor 3.
	Command []string `yaml:"-"`
	// Workers is the number of worker processes; 0 means as many as there are cores.
	Workers int `yaml:"workers"`
	// Queue is how many renders may wait for their original, memory or a worker; one more is refused with
	// [asset.ErrOverloaded]. What waits holds neither bytes nor descriptors, but for two renders of each worker.
	// Clients for one key are collapsed into one render before they come here, so this counts distinct keys.
	Queue int `yaml:"queue"`
	// QueueTimeout is how long a render may wait for memory and a worker before it is refused; at once, when as many
	// are waiting that it would, by what renders took lately.
	QueueTimeout time.Duration `yaml:"queue_timeout"`
	// Timeout is how long one render may take in a worker; then the worker is killed.
	Timeout time.Duration `yaml:"timeout"`
	// MaxPixels is the largest picture, in px of one page, that is looked at or made.
	MaxPixels int64 `yaml:"max_pixels"`
	// MaxFramePixels is the largest animation or document: width × height × frames.
	MaxFramePixels int64 `yaml:"max_frame_pixels"`
	// MaxMemoryBytes is shared by all renders that run at once, each charged its estimated decoded size.
	MaxMemoryBytes int64 `yaml:"max_memory_bytes"`
	// MaxRenders is how many renders a worker does before it is replaced.
	MaxRenders int `yaml:"max_renders"`
	// MaxWorkerBytes is the resident size over which an idle worker is replaced, so that memory goes back.
	MaxWorkerBytes int64 `yaml:"max_worker_bytes"`
	// Fonts is a directory with fonts for texts; "" for none but the built-in ones. Its .ttf, .otf and .ttc files are offered
	// under their names in lower case without the extension, in place of a built-in font of that name. They are what
	// characters are looked for in, by name, that the chosen font lacks. Workers read them when they need them: a change
	// takes a restart, and makes nothing anew that has been rendered.
	Fonts string `yaml:"fonts"`
	// Derive is how many renditions that nobody has asked for yet may be made at once, of presets, when a version arrives; 0: none.
	// The pool itself makes what it is asked for: see [Pool.Idle].
	Derive Derivations `yaml:"derive"`
}

// Derivations is a number of renditions. In YAML it may be spelled on (1) and off (0) as well.
type Derivations int

// UnmarshalYAML reads a number, on or off.
func (d *Derivations) UnmarshalYAML(decode func(any) error) error {
	var n int
	err := decode(&n)
	if on := false; err != nil && decode(&on) == nil {
		n, err = 0, nil
		if on {
			n = 1
		}
	}
	*d = Derivations(n)
	return err
}

// maxWorkers is the most that can be configured.
const maxWorkers = 1024

// DefaultConfig returns the documented defaults; Command is the caller's to set.
func DefaultConfig() Config {
	return Config{
		Queue:          1024,
		QueueTimeout:   30 * time.Second,
		Timeout:        20 * time.Second,
		MaxPixels:      100_000_000,
		MaxFramePixels: 1_000_000_000,
		MaxMemoryBytes: 2 << 30,
		MaxRenders:     1000,
		MaxWorkerBytes: 256 << 20,
		Derive:         1,
	}
}

// Validate returns an error wrapping [asset.ErrInvalid] that names the first key whose value cannot be used.
func (c Config) Validate() error {
	if len(c.Command) == 0 {
		return asset.BadKey("command", "empty", "the argv of a worker")
	}
	if c.Workers < 0 || c.Workers > maxWorkers {
		return asset.BadKey("workers", c.Workers, fmt.Sprintf("0 (one for each core) to %d", maxWorkers))
	}
	if c.Derive < 0 || c.Derive > maxWorkers {
		return asset.BadKey("derive", int(c.Derive), fmt.Sprintf("off, on, or 0 to %d", maxWorkers))
	}
	for _, f := range []struct {
		key  string
		have int64
	}{
		{"queue", int64(c.Queue)},
		{"queue_timeout", int64(c.QueueTimeout)},
		{"timeout", int64(c.Timeout)},
		{"max_pixels", c.MaxPixels},
		{"max_frame_pixels", c.MaxFramePixels},
		{"max_memory_bytes", c.MaxMemoryBytes},
		{"max_renders", int64(c.MaxRenders)},
		{"max_worker_bytes", c.MaxWorkerBytes},
	} {
		if f.have <= 0 {
			return asset.BadKey(f.key, f.have, "more than 0")
		}
	}
	if err := checkFonts(c.Fonts); err != nil {
		return asset.BadKey("fonts", fmt.Sprintf("%q: %v", c.Fonts, err), "a directory with fonts that can be read, each under its own name")
	}
	return nil
}

// workers returns the number of worker processes.
func (c Config) workers() int {
	if c.Workers == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return c.Workers
}

// staged is how many renders may hold their original and a file for the result: on each worker one, and one at hand for
// when that is done.
func (c Config) staged() int { return 2 * c.workers() }

// Events are told about what happens in a pool. Any of them may be nil. They are called on the pool's goroutines and
// must not block.
type Events struct {
	// Rendered: one attempt that reached a worker ended. format is "webp", …, or "probe"; outcome is "ok" or one of
	// "invalid", "too_large", "undecodable", "timeout", "crashed", "cancelled", "failed".
	Rendered func(format, outcome string, took time.Duration)
	// Diagnosed: a worker refused a picture, and this is what the library said. It is for the log, never for a client.
	Diagnosed func(what, outcome, library string)
	// WorkerStarted: a worker said hello.
	WorkerStarted func(pid int)
	// WorkerLost: a worker ended. reason is "start", "idle", "crashed", "timeout", "cancelled", "malformed", "recycled"
	// or "closed"; stderr is the tail of what it wrote.
	WorkerLost func(reason, stderr string)
	// Reduction: a reduction of so many bytes was made.
	Reduction func(bytes int64)
	// Reduced: a render begins with a reduction in the place of the original. How many were made is Rendered with the format "reduced".
	Reduced func()
	// Shed: work was refused before it was started. reason is "queue" or "wait".
	Shed func(reason string)
}

func (e Events) rendered(format, outcome string, took time.Duration) {
	if e.Rendered != nil {
		e.Rendered(format, outcome, took)
	}
}

func (e Events) diagnosed(what, outcome, library string) {
	if e.Diagnosed != nil && library != "" {
		e.Diagnosed(what, outcome, library)
	}
}

func (e Events) workerStarted(pid int) {
	if e.WorkerStarted != nil {
		e.WorkerStarted(pid)
	}
}

func (e Events) workerLost(reason, stderr string) {
	if e.WorkerLost != nil {
		e.WorkerLost(reason, stderr)
	}
}

func (e Events) reduction(bytes int64) {
	if e.Reduction != nil {
		e.Reduction(bytes)
	}
}

func (e Events) reduced() {
	if e.Reduced != nil {
		e.Reduced()
	}
}

func (e Events) shed(reason string) {
	if e.Shed != nil {
		e.Shed(reason)
	}
}
