package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// A Problem is an answer that refuses (RFC 9457).
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

// problemOf reads a refusal. One that is no problem document comes from something between us and the server.
func problemOf(resp *http.Response, text []byte) *Problem {
	p := &Problem{}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType != "application/problem+json" || json.Unmarshal(text, p) != nil || p.Title == "" {
		return &Problem{Type: "about:blank", Title: http.StatusText(resp.StatusCode), Status: resp.StatusCode}
	}
	p.Status = resp.StatusCode
	return p
}
