package control

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
)

// serve answers every request: what no guard refuses goes to its route, and a panic becomes a problem too.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	a := newAnswer(w, s.config.StallTimeout)
	defer s.recovered(a)
	r = s.identify(r.WithContext(r.Context())) // a copy: package http looks at the body of its own, to know what is left of it
	r.Body = newBody(r.Body, a.conn, s.config.StallTimeout)
	setAlways(a.Header())
	for _, guard := range s.guards {
		if err := guard(r); err != nil {
			s.problem(r, err).write(a)
			return
		}
	}
	s.mux.ServeHTTP(a, r)
}

// recovered answers for a handler that panicked. When a part of its answer is out, the client must see it broken off.
func (s *Server) recovered(a *answer) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	if s.deps.Events.Panicked != nil {
		s.deps.Events.Panicked(v, debug.Stack())
	}
	if a.begun {
		panic(http.ErrAbortHandler)
	}
	problemOf(errPanic).write(a)
}

// guardHost refuses requests that are for another host. A page whose name was made to lead here (DNS rebinding) is of
// the same origin as this server to a browser, but it cannot change the name. Where there are tokens it has none.
func (s *Server) guardHost(r *http.Request) error {
	if len(s.grants) > 0 {
		return nil
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if !isLoopback(host) {
		return fault(asset.ErrForbidden, "Host", "the request is for another host", "localhost, or a loopback address")
	}
	return nil
}

// crossOrigin tells by Sec-Fetch-Site and Origin which requests a browser sends for a page of another origin.
var crossOrigin = http.NewCrossOriginProtection()

// guardOrigin refuses writes that a page of another origin makes a browser send.
func guardOrigin(r *http.Request) error {
	if crossOrigin.Check(r) == nil {
		return nil
	}
	part := "Origin"
	if r.Header.Get("Sec-Fetch-Site") != "" {
		part = "Sec-Fetch-Site"
	}
	return fault(asset.ErrForbidden, part, "a page of another origin may not write here", "requests of no page, or of one of this server's own")
}

// unclean is a path with an empty segment in its middle, or with a segment that is relative, however that is spelled.
var unclean = regexp.MustCompile(`(?i)//|/(\.|%2e){1,2}(/|$)`)

// guardPath refuses paths that the mux would redirect to what it takes them for.
func guardPath(r *http.Request) error {
	if path := r.URL.EscapedPath(); !strings.HasPrefix(path, "/") || unclean.MatchString(path) {
		return fault(asset.ErrInvalid, "path", "the path has an empty or a relative segment", "segments parted by single slashes, none of them . or ..")
	}
	return nil
}

// guardRoute refuses what there is no route for.
func (s *Server) guardRoute(r *http.Request) error {
	if s.routed(r, r.Method) {
		return nil
	}
	var allowed []string
	for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		if s.routed(r, method) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		return fault(asset.ErrMethod, "method", fmt.Sprintf("%s is not allowed at this path", r.Method), strings.Join(allowed, ", "))
	}
	if s.deps.Edge && strings.HasPrefix(r.URL.Path, "/v1/") {
		return fault(errEdge, "path", "an edge answers from its replica of the matrix, and manages nothing", "the same at "+cmp.Or(s.deps.ControlURL, "the control plane"))
	}
	return fault(asset.ErrNotFound, "path", "there is nothing at this path", "the paths of /openapi.json")
}

// routed reports whether the mux has a route for the request, were it of that method. A redirect of the mux's own, to
// the same path with a slash at its end, is none.
func (s *Server) routed(r *http.Request, method string) bool {
	asked := *r
	asked.Method = method
	h, pattern := s.mux.Handler(&asked)
	_, ours := h.(http.HandlerFunc)
	return pattern != "" && ours
}
