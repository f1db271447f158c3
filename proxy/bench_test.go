package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// still is a world of one answer that allocates nothing, so that what is measured is the front door.
type still struct {
	found  resolve.Resolution
	object *asset.Object
}

func (s *still) Resolve(resolve.Target, resolve.Client) (resolve.Resolution, error) {
	return s.found, nil
}

func (s *still) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	t := asset.TraceOf(ctx)
	t.Source, t.Spent[asset.MemoryTier] = asset.MemoryTier, 1000
	return s.object, nil
}

func stillServer(tb testing.TB) *Server {
	w := newWorld()
	found, err := w.Resolve(resolve.Target{Product: "shop", Name: "pic.jpg"}, resolve.Client{})
	if err != nil {
		tb.Fatal(err)
	}
	world := &still{found: found, object: w.files["pic.jpg"].object(found.Key)}
	s, err := New(DefaultConfig(), world, nil, world, Events{}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// direct runs the handler on a request without a connection, and writes the response nowhere.
func direct(s *Server, path string) {
	run(s, prepared(path), bufio.NewWriter(io.Discard))
}

// prepared is a parsed request.
func prepared(path string, lines ...string) *fasthttp.RequestCtx {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
	raw := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept: image/avif,image/webp,*/*\r\nUser-Agent: bench\r\n" + strings.Join(lines, "") + "\r\n"
	if err := ctx.Request.Header.Read(bufio.NewReaderSize(strings.NewReader(raw), 16<<10)); err != nil {
		panic(err)
	}
	return &ctx
}

func run(s *Server, ctx *fasthttp.RequestCtx, w *bufio.Writer) {
	s.serve(ctx)
	_ = ctx.Response.Write(w)
	ctx.Response.Reset()
}

func BenchmarkHandlerMemoryHit(b *testing.B) {
	s, ctx, w := stillServer(b), prepared("/shop/w=10/pic.jpg"), bufio.NewWriter(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		run(s, ctx, w)
	}
}

// One request and its answer over a loopback connection, kept alive.
func BenchmarkMemoryHitOverTCP(b *testing.B) {
	s := stillServer(b)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	c := dial(b, ln.Addr().String())
	r := bufio.NewReader(c)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = io.WriteString(c, "GET /shop/w=10/pic.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
		var h fasthttp.ResponseHeader
		if err := h.Read(r); err != nil {
			b.Fatal(err)
		}
		_, _ = r.Discard(h.ContentLength())
	}
}

// The seventeen headers of a hit, set as fasthttp means it and as setBlock does it.
func BenchmarkHeaders(b *testing.B) {
	s, ctx := stillServer(b), prepared("/shop/w=10/pic.jpg")
	s.serve(ctx)
	block := append([]byte(nil), ctx.Response.Header.Peek(firstName)...)
	lines := splitBlock(block)
	b.Run("list", func(b *testing.B) {
		var h fasthttp.ResponseHeader
		var out []byte
		for b.Loop() {
			h.Reset()
			for _, l := range lines {
				h.SetBytesKV(l[0], l[1])
			}
			out = h.AppendBytes(out[:0])
		}
	})
	b.Run("block", func(b *testing.B) {
		var h fasthttp.ResponseHeader
		var out []byte
		for b.Loop() {
			h.Reset()
			setBlock(&h, block)
			out = h.AppendBytes(out[:0])
		}
	})
}

func splitBlock(block []byte) (lines [][2][]byte) {
	for l := range bytes.SplitSeq(append([]byte(firstName+": "), block...), []byte("\r\n")) {
		name, value, _ := bytes.Cut(l, []byte(": "))
		lines = append(lines, [2][]byte{name, value})
	}
	return lines
}
