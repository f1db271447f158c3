package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	minRevisionQuery  = "min_revision"
	minRevisionHeader = "Asset-Min-Revision"
	revisionHeader    = "Asset-Revision"
)

// demandable documents that a revision can be demanded of an operation.
func demandable(op *huma.Operation) {
	zero := 0.0
	revision := &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &zero}
	const doc = "the revision that the answer must have seen: it is waited for a little, then the answer is 503"
	op.Parameters = append(op.Parameters,
		&huma.Param{Name: minRevisionQuery, In: "query", Schema: revision, Description: doc},
		&huma.Param{Name: minRevisionHeader, In: "header", Schema: revision, Description: "the same; the greater of the two counts"})
}

// revealing documents that an answer says from which revision it is.
func revealing(r *huma.Response) {
	if r.Headers == nil {
		r.Headers = map[string]*huma.Param{}
	}
	r.Headers[revisionHeader] = &huma.Param{
		Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64"}, Description: "the revision of the matrix that the answer shows",
	}
}

// read waits for the revision that the request demands, and takes the view that it is answered from.
func (s *Server) read(ctx context.Context, c *call) error {
	want, err := minRevision(c.request)
	if err != nil {
		return err
	}
	if err := s.await(ctx, want, minRevisionQuery); err != nil {
		return err
	}
	c.view = s.deps.Matrix.View()
	c.shows(c.view.Revision())
	return nil
}

// minRevision returns the revision that a request demands, 0 when it demands none.
func minRevision(r *http.Request) (want uint64, err error) {
	for name, value := range map[string]string{minRevisionQuery: r.URL.Query().Get(minRevisionQuery), minRevisionHeader: header(r, minRevisionHeader)} {
		if value == "" {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return 0, fault(asset.ErrInvalid, name, "this is no revision", "a whole number, at least 0")
		}
		want = max(want, n)
	}
	return want, nil
}

// await waits until the view has the revision that a part of the request demands, or for as long as the configuration says.
func (s *Server) await(ctx context.Context, revision uint64, part string) error {
	if s.deps.Matrix.View().Revision() >= revision {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.config.RevisionWait)
	defer cancel()
	err := s.deps.Matrix.Await(waiting, revision)
	if err == nil || ctx.Err() != nil {
		return err
	}
	detail, allowed := fmt.Sprintf("revision %d has not arrived here yet", revision), fmt.Sprintf("up to %d now", s.deps.Matrix.View().Revision())
	return errors.Join(fault(asset.ErrUnavailable, part, detail, allowed), err)
}
