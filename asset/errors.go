package asset

import (
	"errors"
	"fmt"
)

// Sentinels. Lower floors wrap them with their verb and key; [Classify] maps them to what a client is told. Compare
// with [errors.Is].
var (
	// ErrInvalid: the request is malformed or out of range (400).
	ErrInvalid = errors.New("invalid request")
	// ErrForbidden: the caller may not have this (403).
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: there is no such product, name, version or object (404).
	ErrNotFound = errors.New("not found")
	// ErrConflict: the write collides with what is there (409).
	ErrConflict = errors.New("conflict")
	// ErrGone: the asset was archived (410).
	ErrGone = errors.New("gone")
	// ErrPrecondition: an If-Match or If-None-Match of a write did not hold (412).
	ErrPrecondition = errors.New("precondition failed")
	// ErrTooLarge: the upload or the picture is over a limit (413).
	ErrTooLarge = errors.New("too large")
	// ErrMediaType: the bytes are of a type that cannot be used so, or are not what they are said to be (415).
	ErrMediaType = errors.New("unsupported media type")
	// ErrUndecodable: the bytes are of a known type but damaged (422).
	ErrUndecodable = errors.New("undecodable")
	// ErrUnavailable: a provider, a worker or the catalog cannot answer now (503, retry).
	ErrUnavailable = errors.New("unavailable")
	// ErrOverloaded: refused before work was started, because the queue is full (503, retry).
	ErrOverloaded = errors.New("overloaded")
	// ErrTimeout: the work was stopped at its deadline (504).
	ErrTimeout = errors.New("deadline exceeded")
	// ErrCorrupt: stored bytes do not match their checksum or digest. It never reaches a client as bytes.
	ErrCorrupt = errors.New("corrupt")
)

// Sentinels of what both doors, and no lower floor, refuse of a request as such.
var (
	// ErrMalformed: what arrived is no well-formed HTTP (400).
	ErrMalformed = errors.New("malformed request")
	// ErrMethod: the method is not for this path (405). The [Fault]'s Allowed is the list for the header Allow.
	ErrMethod = errors.New("method not allowed")
	// ErrSlow: the request, or its body, did not arrive in time (408).
	ErrSlow = errors.New("request too slow")
	// ErrHeadersTooLarge: the head of the request is over the limit (431).
	ErrHeadersTooLarge = errors.New("headers too large")
	// ErrHTTPVersion: the request is of a version of HTTP that is not spoken (505).
	ErrHTTPVersion = errors.New("HTTP version not supported")
)

// A Fault is an error whose words may be shown to a client: they name the offending part and what would be right, and
// hold no path, address or stack. Everything that is not a Fault is shown by its sentinel's title alone.
type Fault struct {
	// Kind is the sentinel that decides the status.
	Kind error
	// Detail says what was wrong, in one sentence.
	Detail string
	// Part names the offending part: an option ("width"), a header ("If-Match"), a JSON pointer ("/presets/thumb").
	Part string
	// Allowed says what would be right.
	Allowed string
}

// Error returns the detail and what is allowed.
func (f *Fault) Error() string {
	if f.Allowed == "" {
		return f.Detail
	}
	return f.Detail + "; allowed: " + f.Allowed
}

// Unwrap returns the sentinel.
func (f *Fault) Unwrap() error { return f.Kind }

// BadKey returns the [Fault] of kind [ErrInvalid] for a key of the configuration: "listen: is nonsense; allowed: …".
// Whoever holds the room's configuration puts the way to it in front.
func BadKey(key string, given any, allowed string) error {
	return &Fault{Kind: ErrInvalid, Part: key, Detail: fmt.Sprintf("%s: is %v", key, given), Allowed: allowed}
}
