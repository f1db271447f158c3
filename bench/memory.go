package bench

import (
	"fmt"
	"math/bits"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bounds of what memoryLatency reads.
const (
	cacheLine       = 64
	maxLatencyBytes = 512 << 20
	latencyLoads    = 400_000
)

// memoryLatency returns how long this machine, with whoever else is on it at the moment, takes for a load from a random
// place among so many bytes, each of which must wait for the one before: in nanoseconds, in each of several parts of the time.
// It is the unit that a lookup is to be judged in.
func memoryLatency(bytes int64) (took samples, err error) {
	lines := uint64(1) << (bits.Len64(uint64(min(bytes, maxLatencyBytes)/cacheLine)) - 1)
	memory, err := unix.Mmap(-1, 0, int(lines*cacheLine), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for its latency: %w", err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE) // some kernels have none
	at := func(line uint64) *uint64 { return (*uint64)(unsafe.Pointer(&memory[line*cacheLine])) }
	for line := range lines { // a linear congruential generator that comes by every line (Hull and Dobell, 1962)
		*at(line) = (line*0x5851f42d4c957f2d + 0x14057b7ef767814f) % lines
	}
	var line uint64
	for range minRounds {
		start := time.Now()
		for range latencyLoads {
			line = *at(line)
		}
		took = append(took, float64(time.Since(start).Nanoseconds())/latencyLoads)
	}
	if line >= lines {
		return nil, fmt.Errorf("memory: line %d of %d", line, lines)
	}
	return took, nil
}
