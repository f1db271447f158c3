//go:build !race

package proxy

import (
	"bufio"
	"io"
	"testing"

	"github.com/valyala/fasthttp"

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

// A revision that is here already is free, however it is demanded.
func TestRevisionAllocatesNothing(t *testing.T) {
	s, w := stillServer(t), bufio.NewWriter(io.Discard)
	allocs := func(ctx *fasthttp.RequestCtx) float64 { return testing.AllocsPerRun(1000, func() { run(s, ctx, w) }) }
	plain := allocs(prepared("/shop/w=10/pic.jpg"))
	if n := allocs(prepared("/shop/w=10/pic.jpg?min_revision=42")); n > plain {
		t.Errorf("%v allocations, %v without min_revision", n, plain)
	}
	if n := allocs(prepared("/shop/w=10/pic.jpg", "Asset-Min-Revision: 42\r\n")); n > plain {
		t.Errorf("%v allocations, %v without Asset-Min-Revision", n, plain)
	}
}

// Client hints are read where they lie.
func TestClientHintsAllocateNothing(t *testing.T) {
	s, w := stillServer(t), bufio.NewWriter(io.Discard)
	allocs := func(ctx *fasthttp.RequestCtx) float64 { return testing.AllocsPerRun(1000, func() { run(s, ctx, w) }) }
	plain := allocs(prepared("/shop/w=10/pic.jpg"))
	if n := allocs(prepared("/shop/w=10/pic.jpg", "Sec-CH-DPR: 2.625\r\n", "Sec-CH-Width: 600\r\n", "Save-Data: on\r\n")); n > plain {
		t.Errorf("%v allocations, %v without hints", n, plain)
	}
}
