package proxy

import (
	"errors"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// What only the front door can refuse.
var (
	errUnknown   = errors.New("method unknown")
	errPathLong  = errors.New("path too long")
	errRange     = errors.New("range not satisfiable")
	errNotCached = errors.New("not in a cache")
)

// errHeader is beside the kind of an error that came of a header which caches do not tell requests apart by.
var errHeader = errors.New("of a header")

// refusals are their classes; those of the sentinels are in package asset.
var refusals = []asset.Class{
	{Kind: errUnknown, Status: 501, Name: "method-unknown", Title: "This method is not known"},
	{Kind: errPathLong, Status: 414, Name: "path-too-long", Title: "The path is too long"},
	{Kind: errRange, Status: 416, Name: "range-not-satisfiable", Title: "The range lies outside"},
	{Kind: resolve.ErrBehind, Status: 503, Name: "behind", Title: "The revision that was demanded has not arrived here"},
	{Kind: errNotCached, Status: 504, Name: "not-cached", Title: "Not in a cache, and only-if-cached was asked for"},
}

// problemOf returns the class of an error and the document that a client gets.
func problemOf(err error) (asset.Class, []byte) {
	c := asset.Classify(err, refusals)
	p := c.Problem(err)
	return c, p.Document()
}

// cacheControl is how long an error may be cached. What a client's next upload would mend is kept so briefly that
// nobody waits for it, and long enough that a crowd on a dead URL is held off by the CDN. What one client's header is to
// blame for is nobody else's answer.
func cacheControl(kind, err error) string {
	if errors.Is(err, errHeader) {
		return "no-store"
	}
	switch kind {
	case asset.ErrInvalid, asset.ErrNotFound, asset.ErrGone:
		return "public, max-age=10"
	case asset.ErrTooLarge, asset.ErrMediaType, asset.ErrUndecodable:
		return "public, max-age=60"
	}
	return "no-store"
}

// closes reports whether an error ends the connection, because what follows on it cannot be trusted to be a request.
func closes(kind error) bool {
	switch kind {
	case asset.ErrMalformed, asset.ErrSlow, asset.ErrHeadersTooLarge, asset.ErrHTTPVersion, errPathLong:
		return true
	}
	return false
}
