package control

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type garbageInput struct {
	call
	Writing
}

type garbageOutput struct {
	Written
	Body client.Collected
}

func (s *Server) routeGarbage(api huma.API) {
	const all = "/v1/garbage"
	c := &collector{Server: s}
	register(s, api, huma.Operation{
		OperationID: "collectGarbage", Method: http.MethodPost, Path: all, Summary: "Delete the originals that nothing uses any more",
		Description: "Deletes from their providers the originals that no version has used for the grace period, or in a dry run only says which those are. The " +
			"server does so by itself now and then.",
	}, c.collect)
	c.specs = jsonBody[client.GarbageSpec](api, http.MethodPost, all)
}

// A collector is the operation that collects garbage.
type collector struct {
	*Server
	specs content[client.GarbageSpec]
}

func (c *collector) collect(ctx context.Context, in *garbageInput) (*garbageOutput, error) {
	spec, err := c.specs.read(in.request)
	if err != nil {
		return nil, err
	}
	grace, err := c.graceOf(spec.Grace)
	if err != nil {
		return nil, err
	}
	found, err := c.deps.Garbage.Collect(ctx, grace, spec.DryRun)
	if err != nil {
		return nil, err
	}
	out := &garbageOutput{Body: client.Collected{DryRun: spec.DryRun, Originals: found, Count: len(found), Revision: c.deps.Matrix.View().Revision()}}
	if found == nil {
		out.Body.Originals = []asset.Garbage{}
	}
	for _, g := range found {
		out.Body.Size += g.Size
	}
	out.Written, err = c.written(ctx, in.Writing, out.Body.Revision)
	out.Body.Edges = out.edges
	return out, err
}

func (c *collector) graceOf(text string) (time.Duration, error) {
	if text == "" {
		return c.deps.Garbage.Grace(), nil
	}
	grace, err := time.ParseDuration(text)
	if err != nil || grace < 0 {
		return 0, fault(errContent, "/grace", "this is no duration", "a duration such as 24h, 90m or 0s")
	}
	return grace, nil
}
