package bench

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// An origin serves files by HTTP to peers that have no store of their own.
type origin struct {
	server  *http.Server
	address string
	serving sync.WaitGroup
	reads   atomic.Int64 // of files

	mu    sync.Mutex // guards files
	files map[string]corpusFile
}

// corpusFile is what an origin says of a file.
type corpusFile struct {
	kind string // media type
	data []byte
}

func startOrigin(address string) (*origin, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	o := &origin{address: ln.Addr().String(), files: map[string]corpusFile{}}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: answerTimeout}
	o.serving.Go(func() { _ = o.server.Serve(ln) })
	return o, nil
}

// source is the URL of a file.
func (o *origin) source(name string) string {
	return "http://" + o.address + "/" + client.EscapeName(name)
}

func (o *origin) add(name, kind string, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[name] = corpusFile{kind, data}
}

// clear takes all files away.
func (o *origin) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.files)
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	f, ok := o.files[r.URL.Path[1:]]
	o.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	o.reads.Add(1)
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000")
	w.Header().Set("ETag", strconv.Quote(strconv.FormatUint(xxhash.Sum64(f.data), 16)))
	http.ServeContent(w, r, "", corpusDate, bytes.NewReader(f.data))
}

// corpusDate is when the files were last modified, as far as anybody is told.
var corpusDate = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (o *origin) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := o.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = o.server.Close()
	}
	o.serving.Wait()
	return err
}

// withIdleServer calls use with the URL of a server in this process that answers so many bytes and does nothing else.
func withIdleServer(size int, use func(url string) error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	body := make([]byte, size)
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBody(body) }, NoDefaultServerHeader: true}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	err = use("http://" + ln.Addr().String() + "/")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = errors.Join(err, server.ShutdownWithContext(ctx))
	serving.Wait()
	return err
}
