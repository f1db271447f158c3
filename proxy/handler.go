package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A step does one thing for an exchange. done says that the answer is complete.
type step func(x *exchange) (done bool, err error)

// An exchange is one request on its way to its answer. Exchanges are used again, so that a hit allocates little.
type exchange struct {
	ctx     *fasthttp.RequestCtx
	trace   asset.Trace // the context of the loads; its parent is the server's life and never changes
	began   time.Time
	request request
	target  resolve.Target
	found   resolve.Resolution
	object  *asset.Object // held until it is given to the response
	span    span
	cut     cut
	bytes   int64 // of the body that is to be sent
	block   []byte
}

// serve is fasthttp's handler.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	s.exchange(ctx, func(x *exchange) error { return x.run(s.steps) })
}

// serveUnparsed answers what fasthttp could not read.
func (s *Server) serveUnparsed(ctx *fasthttp.RequestCtx, err error) {
	s.exchange(ctx, func(x *exchange) error { return s.unparsed(x, err) })
}

// serveExpect says whether a request with Expect: 100-continue may go on. What the guard refuses is refused before its
// body is sent.
func (s *Server) serveExpect(ctx *fasthttp.RequestCtx) int {
	var r request
	if readRequest(ctx.Request.Header.RawHeaders(), &r) == nil && !r.body {
		return fasthttp.StatusContinue
	}
	s.exchange(ctx, func(x *exchange) error { return s.refuseBody(x) })
	return ctx.Response.StatusCode()
}

// exchange runs answer and makes a problem document of its error or its panic: fasthttp recovers nothing.
func (s *Server) exchange(ctx *fasthttp.RequestCtx, answer func(*exchange) error) {
	x := s.exchanges.Get().(*exchange)
	x.begin(ctx)
	defer func() {
		if v := recover(); v != nil {
			s.events.panicked(v, debug.Stack())
			s.fail(x, errPanic)
		}
		s.observe(x)
		x.release()
		s.exchanges.Put(x)
	}()
	if err := answer(x); err != nil {
		s.fail(x, err)
	}
}

var errPanic = errors.New("panic")

// begin takes up a request.
func (x *exchange) begin(ctx *fasthttp.RequestCtx) {
	x.ctx, x.began = ctx, time.Now()
}

// release lets go of everything and readies the exchange for the next request. The trace's parent is not even written
// to, because a background fill may still look through it.
func (x *exchange) release() {
	if x.object != nil {
		x.object.Release()
	}
	x.ctx, x.object = nil, nil
	x.request, x.target, x.found = request{}, resolve.Target{}, resolve.Resolution{}
	x.span, x.cut, x.bytes, x.block = span{}, whole, 0, x.block[:0]
	t := &x.trace
	t.Source, t.Collapsed, t.Stored, t.Spent = 0, false, false, [asset.Rooms]time.Duration{}
}

func (x *exchange) run(steps []step) error {
	for _, do := range steps {
		if done, err := do(x); done || err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) isHead() bool { return x.ctx.IsHead() }

// guard refuses what is no request for us: version, framing, limits, method. It answers OPTIONS.
func (s *Server) guard(x *exchange) (bool, error) {
	h := &x.ctx.Request.Header
	if !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0" {
		return false, &asset.Fault{Kind: asset.ErrHTTPVersion, Detail: "This server speaks HTTP/1.1.", Part: "version", Allowed: "HTTP/1.1, HTTP/1.0"}
	}
	if err := readRequest(h.RawHeaders(), &x.request); err != nil {
		return false, err
	}
	if x.request.close {
		x.ctx.SetConnectionClose()
	}
	if n := len(h.RawHeaders()); n > s.config.MaxHeaderBytes {
		return false, s.headersLong()
	}
	if len(h.RequestURI()) > s.config.MaxPathBytes {
		return false, s.pathLong()
	}
	if x.request.body {
		return false, s.refuseBody(x)
	}
	return s.method(x)
}

// method passes GET and HEAD, answers OPTIONS, and refuses the rest.
func (s *Server) method(x *exchange) (bool, error) {
	switch method := string(x.ctx.Method()); method {
	case "GET", "HEAD":
		return false, nil
	case "OPTIONS":
		s.preflight(x)
		return true, nil
	default:
		return false, refuseMethod(method)
	}
}

const allowedMethods = "GET, HEAD, OPTIONS"

// refuseMethod tells the methods that HTTP has from those it has not.
func refuseMethod(method string) error {
	kind := errUnknown
	switch method {
	case "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT":
		kind = asset.ErrMethod
	}
	return &asset.Fault{Kind: kind, Detail: "The front door only reads.", Part: "method", Allowed: allowedMethods}
}

// refuseBody refuses a request that announced a body. The body is not read, so the connection ends.
func (s *Server) refuseBody(x *exchange) error {
	x.endAndLinger()
	switch method := string(x.ctx.Method()); method {
	case "GET", "HEAD", "OPTIONS":
		return malformed("a body or a length that is no number")
	default:
		return refuseMethod(method)
	}
}

// endAndLinger closes the connection after the answer, and reads on for a moment so that the answer arrives.
func (x *exchange) endAndLinger() {
	x.ctx.SetConnectionClose()
	if c, ok := x.ctx.Conn().(*conn); ok {
		c.linger = true
	}
}

func (s *Server) pathLong() error {
	return &asset.Fault{Kind: errPathLong, Detail: "The path and query are too long.", Part: "path", Allowed: "at most " + strconv.Itoa(s.config.MaxPathBytes) + " bytes"}
}

func (s *Server) headersLong() error {
	return &asset.Fault{Kind: asset.ErrHeadersTooLarge, Detail: "The headers are too large.", Part: "headers", Allowed: "at most " + strconv.Itoa(s.config.MaxHeaderBytes) + " bytes"}
}

// unparsed finds the error for what fasthttp could not read. Its own words hold the request and stay here.
func (s *Server) unparsed(x *exchange, err error) error {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch c, _ := x.ctx.Conn().(*conn); {
	case errors.As(err, &small) && c != nil && c.unended >= s.config.MaxPathBytes+s.config.MaxHeaderBytes:
		return s.pathLong() // the buffer is full and the first line has not ended
	case errors.As(err, &small):
		return s.headersLong()
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return s.refuseBody(x)
	case errors.As(err, &network) && network.Timeout():
		return &asset.Fault{Kind: asset.ErrSlow, Detail: "The request did not arrive in time.", Part: "request", Allowed: "at most " + s.config.ReadTimeout.String()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("an end before it was complete")
	default:
		return malformed("a request line or a header that cannot be read")
	}
}

// preflight answers OPTIONS, CORS or not, whether or not there is anything at the path.
func (s *Server) preflight(x *exchange) {
	if _, err := s.parse(x); err == nil {
		x.target.MinRevision = 0 // the request that follows waits
		_, _ = s.resolve(x)
	}
	b := append(x.block, firstValue...)
	b = append(b, "\r\nAllow: "+allowedMethods+
		"\r\nAccess-Control-Allow-Methods: "+allowedMethods+
		"\r\nAccess-Control-Allow-Headers: Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Cache-Control, "+minRevision+
		"\r\nAccess-Control-Max-Age: 86400"...)
	b = appendCORS(b, x.origins(), x.request.origin)
	b = appendVary(b, false, resolve.HeedNone, x.origins())
	b = x.appendRevision(b)
	x.send(fasthttp.StatusNoContent, b)
}

// parse copies the request target, once, and reads the grammar.
func (s *Server) parse(x *exchange) (bool, error) {
	path, query := splitTarget(string(x.ctx.RequestURI()))
	if path == "/" || path == "" {
		return false, errRoot
	}
	var err error
	if x.target, err = resolve.Parse(path, query); err != nil {
		return false, err
	}
	return false, x.demand()
}

// errRoot tells somebody who looks at the door where to go on.
var errRoot error = &asset.Fault{
	Kind: asset.ErrNotFound, Part: "path", Detail: "There is nothing to see at the root.",
	Allowed: "/{product}/{options}/{name}",
}

// resolve finds what the target means, at the revision that it demands or a later one.
func (s *Server) resolve(x *exchange) (bool, error) {
	var err error
	client := resolve.Client{Accept: string(x.request.accept), Hints: x.request.hints.Hints()}
	x.found, err = s.resolver.Resolve(x.target, client)
	if x.found.Revision < x.target.MinRevision && s.await(x) {
		x.found, err = s.resolver.Resolve(x.target, client)
	}
	x.trace.Spent[asset.Resolving] = max(1, time.Since(x.began))
	return false, err
}

// condition answers 304 and 412. No cache, disk, provider or renderer is touched for them.
func (s *Server) condition(x *exchange) (bool, error) {
	if !x.request.conditional() {
		return false, nil
	}
	etag := x.found.ETag()
	switch v, header := x.request.judge(etag, x.found.LastModified()); v {
	case failed:
		return false, preconditionFailed(header)
	case notModified:
		s.notModified(x, etag)
		return true, nil
	default:
		return false, nil
	}
}

func (s *Server) notModified(x *exchange, etag string) {
	b := append(x.block, firstValue...)
	b = appendLine(b, "ETag", etag)
	b = s.appendCommon(b, x)
	b = append(b, "\r\nCache-Status: assetmatrix; hit; detail=metadata"...)
	x.send(fasthttp.StatusNotModified, appendServerTiming(b, &x.trace.Spent))
}

// load gets the object. A client that wants only what is cached is told when it was not.
func (s *Server) load(x *exchange) (bool, error) {
	if x.found.Key.Variant.Format == asset.ThumbHash { // it is in the matrix
		var err error
		x.object, err = placeholder(x.found)
		return false, err
	}
	o, err := s.loader.Load(&x.trace, x.found.Key)
	if err != nil {
		return false, fmt.Errorf("proxy: %w", err)
	}
	x.object = o
	if _, hit := x.trace.Hit(); !hit && x.request.directive("only-if-cached") {
		return false, errNotCached
	}
	return false, nil
}

// slice decides which bytes of the object are sent. HEAD has no range.
func (s *Server) slice(x *exchange) (bool, error) {
	x.span = span{0, x.object.Size}
	if x.request.ranges == nil || x.isHead() {
		return false, nil
	}
	if x.request.ifRange != nil && !x.request.rangeHolds(x.found.ETag(), x.found.LastModified(), x.began) {
		return false, nil
	}
	x.span, x.cut = parseRange(x.request.ranges, x.object.Size)
	if x.cut == unsatisfiable {
		return false, &asset.Fault{Kind: errRange, Detail: "The range begins after the end.", Part: "Range", Allowed: "0–" + strconv.FormatInt(x.object.Size-1, 10)}
	}
	return false, nil
}

// respond writes the headers of a 200 or 206 and hands the bytes over.
func (s *Server) respond(x *exchange) (bool, error) {
	mediaType := x.mediaType()
	b := append(x.block, memoOf(x.object, mediaType, x.found.ETag).lines...)
	b = s.appendCommon(b, x)
	b = appendCacheStatus(b, &x.trace)
	b = appendServerTiming(b, &x.trace.Spent)
	if name := x.attachment(mediaType); name != "" {
		b = appendDisposition(append(b, "\r\nContent-Disposition: "...), name)
	}
	status := fasthttp.StatusOK
	if x.cut == partial {
		status, b = fasthttp.StatusPartialContent, appendContentRange(b, x.span, x.object.Size, partial)
	}
	x.send(status, b)
	s.giveBody(x)
	return true, nil
}

// mediaType is the version's for an original, the object's for a rendition.
func (x *exchange) mediaType() string {
	if x.found.Key.IsOriginal() {
		return x.found.Entry.MediaType
	}
	return x.object.MediaType
}

// attachment is the name to save under, "" for what is shown in place.
func (x *exchange) attachment(mediaType string) string {
	switch {
	case x.target.Download != "":
		return x.target.Download
	case inline(mediaType):
		return ""
	default:
		return lastSegment(x.found.Name)
	}
}

// giveBody hands the span to fasthttp. Bytes in memory need no release; a stream releases its object when fasthttp
// closes it; HEAD needs the length alone.
func (s *Server) giveBody(x *exchange) {
	out := &x.ctx.Response
	if x.isHead() {
		out.Header.SetContentLength(int(x.span.length()))
		return
	}
	x.bytes = x.span.length()
	if p, ok := x.object.Bytes(); ok {
		x.giveMemory(p[x.span.start:x.span.end])
		return
	}
	out.SetBodyStream(&body{object: x.object, span: x.span, broken: s.events.broken}, int(x.span.length()))
	x.object = nil
}

// copied is the longest body that is cheaper to copy behind its headers in fasthttp's buffer of 4 KiB.
const copied = 3 << 10

func (x *exchange) giveMemory(p []byte) {
	if c, ok := x.ctx.Conn().(*conn); ok && len(p) > copied {
		x.ctx.Response.SetBodyStream(c.hold(p), len(p))
		return
	}
	x.ctx.Response.SetBodyRaw(p)
}

// appendCommon appends what 200, 206 and 304 have alike.
func (s *Server) appendCommon(b []byte, x *exchange) []byte {
	f := &x.found
	if f.Pinned {
		b = append(b, immutable...)
	} else {
		b = appendLifetime(b, f.Product.Lifetimes, s.fallback)
	}
	b = appendVary(b, f.Negotiated, f.Heeds, f.Product.Origins)
	if f.Product.ClientHints && !f.Key.IsOriginal() {
		b = append(b, "\r\nAccept-CH: "+resolve.AcceptCH...)
	}
	b = appendDate(b, "Last-Modified", f.LastModified())
	b = appendNumber(b, "Asset-Version", uint64(f.Entry.Number))
	b = x.appendRevision(b)
	b = appendCORS(b, f.Product.Origins, x.request.origin)
	return appendTags(b, f.Product.Name, &f.Entry)
}

// describe answers info: what is known about the asset, from the catalog alone.
func (s *Server) describe(x *exchange) (bool, error) {
	if x.target.Mode != resolve.ModeInfo {
		return false, nil
	}
	text, err := resolve.Info(x.found)
	if err != nil {
		return false, fmt.Errorf("proxy: %w", err)
	}
	etag := `"` + strconv.FormatUint(xxhash.Sum64(text), 16) + `"`
	switch v, header := x.request.judge(etag, x.found.LastModified()); v {
	case failed:
		return false, preconditionFailed(header)
	case notModified:
		s.notModified(x, etag)
		return true, nil
	}
	b := append(x.block, firstValue+"\r\nContent-Type: application/json\r\nCross-Origin-Resource-Policy: cross-origin"...)
	b = appendLine(b, "ETag", etag)
	b = s.appendCommon(b, x)
	x.send(fasthttp.StatusOK, appendServerTiming(b, &x.trace.Spent))
	x.giveText(text)
	return true, nil
}

// fail answers with the problem document for err.
func (s *Server) fail(x *exchange, err error) {
	c, text := problemOf(err)
	if closes(c.Kind) {
		x.endAndLinger()
	}
	b := append(x.block[:0], firstValue+"\r\nContent-Type: "+asset.ProblemMediaType+"\r\nCross-Origin-Resource-Policy: cross-origin"...)
	b = appendLine(b, "Cache-Control", cacheControl(c.Kind, err))
	b = appendCORS(b, x.origins(), x.request.origin)
	b = appendVary(b, x.found.Negotiated, x.found.Heeds, x.origins())
	b = x.appendRevision(b)
	if seconds := c.RetryAfter(); seconds > 0 {
		b = appendNumber(b, "Retry-After", uint64(seconds))
	}
	switch c.Kind {
	case resolve.ErrBehind:
		b = append(b, "\r\nRetry-After: 1"...) // they come back at different times, having waited from different times on
	case asset.ErrMethod:
		b = appendLine(b, "Allow", allowedMethods)
	case errRange:
		b = appendContentRange(b, x.span, x.object.Size, unsatisfiable)
	}
	x.send(c.Status, b)
	x.giveText(text)
}

// appendRevision says which revision of the matrix was read, when it was.
func (x *exchange) appendRevision(b []byte) []byte {
	if x.trace.Spent[asset.Resolving] == 0 {
		return b
	}
	return appendNumber(b, "Asset-Revision", x.found.Revision)
}

// giveText hands over a body that is no object's. fasthttp leaves it out of the answer to HEAD.
func (x *exchange) giveText(text []byte) {
	if !x.isHead() {
		x.bytes = int64(len(text))
	}
	x.ctx.Response.SetBodyRaw(text)
}

// origins are the product's CORS origins; what belongs to no product may be read by all.
func (x *exchange) origins() []string {
	if x.found.Product == nil {
		return nil
	}
	return x.found.Product.Origins
}

// send puts status and headers into the response and keeps the block's memory for the next exchange. Once the drain has
// begun, every answer ends its connection.
func (x *exchange) send(status int, block []byte) {
	x.block = block
	if draining(x.ctx) {
		x.ctx.SetConnectionClose()
	}
	x.ctx.Response.SetStatusCode(status)
	setBlock(&x.ctx.Response.Header, block)
}
