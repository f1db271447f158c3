package transform

// #include <malloc.h>
import "C"

import (
	"bytes"
	"os"
	"strconv"
)

// dear is how many bytes a request is reckoned to take, from which on the heap is given back behind it. What a small picture takes
// stays at hand, as pages that were given back are zeroed when they are taken again.
const dear = 64 << 20

// releaseHeap gives free pages of C's heap back to the system (malloc_trim(3)): a decoder's working memory is of another size for each
// picture, and glibc would keep all of it, in pieces.
func releaseHeap() { C.malloc_trim(0) }

// memoryOf reads /proc/pid/statm (proc(5)): how many bytes of a process are resident, and how many of these are in no file; 0 when it
// cannot be read.
func memoryOf(pid int) (resident, own int64) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 3 {
		return 0, 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	shared, _ := strconv.ParseInt(string(fields[2]), 10, 64)
	size := int64(os.Getpagesize())
	return pages * size, (pages - shared) * size
}
