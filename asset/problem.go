package asset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Problem is the body of an answer that refuses (RFC 9457), at either door. The doc tags are what /openapi.json shows.
// It is an error for those who get it as an answer.
type Problem struct {
	// Type is a URI that names the kind of problem.
	Type string `json:"type" format:"uri" doc:"names the kind of problem"`
	// Title says the same in words.
	Title string `json:"title" doc:"the kind of problem in words"`
	// Status is that of the answer.
	Status int `json:"status" doc:"the answer's status"`
	// Detail says what was wrong in this case.
	Detail string `json:"detail,omitempty" doc:"what was wrong in this case"`
	// Part names the offending part: a JSON pointer into the body ("/presets/thumb"), a header, a parameter.
	Part string `json:"part,omitempty" doc:"the offending part: a JSON pointer into the body, a header, a parameter"`
	// Allowed says what would be right.
	Allowed string `json:"allowed,omitempty" doc:"what would be right"`
}

// ProblemMediaType is the media type of a problem's document (RFC 9457 §3).
const ProblemMediaType = "application/problem+json"

// problemBase is what the problem types have in common.
const problemBase = "https://assetmatrix.dev/problems/"

// Error says all of it, for a terminal: "There is no such thing here (404): there is no product "shpo" [product]".
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", p.Title, p.Status)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	if p.Part != "" {
		b.WriteString(" [" + p.Part + "]")
	}
	if p.Allowed != "" {
		b.WriteString("; allowed: " + p.Allowed)
	}
	return b.String()
}

// Document returns the JSON.
func (p *Problem) Document() []byte {
	text, _ := json.Marshal(p) // strings and a number: it cannot fail
	return append(text, '\n')
}

// A Class is what a client is told of one kind of error.
type Class struct {
	// Kind is the sentinel; nil for the class of every error that nobody foresaw.
	Kind   error
	Status int
	// Name is the last segment of the problem's type.
	Name  string
	Title string
	// Retry is the least number of seconds after which to come back; 0 is never.
	Retry int
}

// classes is the table of the sentinels.
var classes = []Class{
	{Kind: ErrMalformed, Status: 400, Name: "malformed-request", Title: "The request is not well-formed HTTP"},
	{Kind: ErrMethod, Status: 405, Name: "method-not-allowed", Title: "This method is not allowed here"},
	{Kind: ErrSlow, Status: 408, Name: "request-timeout", Title: "The request did not arrive in time"},
	{Kind: ErrHeadersTooLarge, Status: 431, Name: "headers-too-large", Title: "The headers are too large"},
	{Kind: ErrHTTPVersion, Status: 505, Name: "http-version", Title: "This version of HTTP is not spoken here"},
	{Kind: ErrInvalid, Status: 400, Name: "invalid-request", Title: "The request is malformed or out of range"},
	{Kind: ErrForbidden, Status: 403, Name: "forbidden", Title: "This may not be done from here"},
	{Kind: ErrNotFound, Status: 404, Name: "not-found", Title: "There is no such thing here"},
	{Kind: ErrConflict, Status: 409, Name: "conflict", Title: "This collides with what is there"},
	{Kind: ErrGone, Status: 410, Name: "gone", Title: "This was withdrawn"},
	{Kind: ErrPrecondition, Status: 412, Name: "precondition-failed", Title: "A precondition does not hold"},
	{Kind: ErrTooLarge, Status: 413, Name: "too-large", Title: "This is over a limit"},
	{Kind: ErrMediaType, Status: 415, Name: "unsupported-media-type", Title: "This kind of content cannot be used so"},
	{Kind: ErrUndecodable, Status: 422, Name: "undecodable", Title: "The file is damaged"},
	{Kind: ErrOverloaded, Status: 503, Name: "overloaded", Title: "Too much is being asked for", Retry: 2},
	{Kind: ErrUnavailable, Status: 503, Name: "unavailable", Title: "This cannot be answered now", Retry: 2},
	{Kind: ErrCorrupt, Status: 503, Name: "unavailable", Title: "This cannot be answered now", Retry: 5},
	{Kind: ErrTimeout, Status: 504, Name: "timeout", Title: "This took too long", Retry: 5},
	{Kind: context.DeadlineExceeded, Status: 504, Name: "timeout", Title: "This took too long", Retry: 5},
	{Kind: context.Canceled, Status: 503, Name: "unavailable", Title: "This cannot be answered now", Retry: 2},
}

var unforeseen = Class{Status: 500, Name: "internal", Title: "Something went wrong here"}

// Classify returns the first class whose kind err is: of own, which are what a room alone refuses, and then of the
// sentinels. What has none gets a 500.
func Classify(err error, own []Class) Class {
	for _, rows := range [][]Class{own, classes} {
		for _, c := range rows {
			if errors.Is(err, c.Kind) {
				return c
			}
		}
	}
	return unforeseen
}

// Problem returns what a client is shown of err. Only a [Fault] has words of its own to show, and not even that when
// nobody foresaw its kind.
func (c Class) Problem(err error) Problem {
	p := Problem{Type: problemBase + c.Name, Title: c.Title, Status: c.Status}
	if f, ok := errors.AsType[*Fault](err); ok && c.Kind != nil {
		p.Detail, p.Part, p.Allowed = f.Detail, f.Part, f.Allowed
	}
	return p
}

// RetryAfter returns the seconds after which to come back, up to twice the least number and different each time, so
// that those who were refused together do not return together; 0 is never.
func (c Class) RetryAfter() int {
	if c.Retry == 0 {
		return 0
	}
	return c.Retry + rand.IntN(c.Retry+1)
}
