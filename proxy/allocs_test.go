//go:build !race

package proxy

import (
	"bufio"
	"io"
	"testing"

	"github.com/assetmatrix/assetmatrix/resolve"
)

// A memory hit allocates the copies of the path and of Accept; the rest is Parse and Resolve. (Under -race a sync.Pool
// forgets on purpose.)
func TestMemoryHitAllocatesLittle(t *testing.T) {
	s, ctx, w := stillServer(t), prepared("/shop/w=10/pic.jpg"), bufio.NewWriter(io.Discard)
	parse := testing.AllocsPerRun(100, func() { _, _ = resolve.Parse("/shop/w=10/pic.jpg", "") })
	total := testing.AllocsPerRun(1000, func() { run(s, ctx, w) })
	if own := total - parse; own > 2 {
		t.Errorf("%v allocations of the front door's own", own)
	}
}
