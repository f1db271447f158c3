package control

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/resolve"
)

type resolveInput struct {
	call
	Product      string `path:"product" doc:"the product's name"`
	Options      string `path:"options" doc:"as in a delivery URL: original, a preset, or key=value pairs"`
	Name         string `path:"name" doc:"the product's name for the asset: all that is left of the path, slashes included"`
	Accept       string `query:"accept" doc:"the Accept header of whoever will ask for the URL; it goes before the request's own"`
	AcceptHeader string `header:"Accept" doc:"is negotiated with when there is no accept in the query"`
}

type resolveOutput struct {
	Status int
	Body   client.Resolution
}

func (s *Server) routeResolve(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "resolve", Method: http.MethodGet, Path: "/v1/resolve/{product}/{options}/{name}", Summary: "What a delivery URL means",
		Description: "Reads the matrix alone: nothing is rendered. What the front door would refuse is refused here in the same words. " +
			"It is what a client without client hints gets.",
	}, s.resolve)
}

// resolve reads the path as the front door does, behind its own first two segments.
func (s *Server) resolve(_ context.Context, in *resolveInput) (*resolveOutput, error) {
	t, err := resolve.Parse(strings.TrimPrefix(in.request.URL.EscapedPath(), "/v1/resolve"), "")
	if err != nil {
		return nil, err
	}
	if t.Mode == resolve.ModeInfo {
		return nil, fault(asset.ErrInvalid, "options", "info is about the present, and no URL of it lasts", "original, a preset, or key=value pairs")
	}
	accept := in.Accept
	if accept == "" {
		accept = in.AcceptHeader
	}
	res, err := s.deps.Resolver.Resolve(t, resolve.Client{Accept: accept})
	in.shows(res.Revision)
	if err != nil {
		return nil, err
	}
	return resolutionOf(&t, &res)
}

func resolutionOf(t *resolve.Target, res *resolve.Resolution) (*resolveOutput, error) {
	pinned, err := t.SpellPinned(res)
	if err != nil {
		return nil, err
	}
	about, err := resolve.Describe(*res)
	if err != nil {
		return nil, err
	}
	out := client.Resolution{
		ThumbHash: about.ThumbHash, Dominant: about.Dominant,
		URL: frontPath(t.Product, pinned, t.Name), Unpinned: frontPath(t.Product, t.Spell(), t.Name),
		ID: string(res.Entry.Record.AppendID(nil, res.Entry.At)), Version: res.Entry.Number, Digest: res.Entry.Digest,
		MediaType: res.Entry.MediaType, Width: res.Entry.Picture.Width, Height: res.Entry.Picture.Height, Revision: res.Revision,
	}
	if !res.Key.IsOriginal() {
		size := res.Key.Variant.Result(res.Entry.Picture.Size())
		if res.Key.Variant.Trims() { // nobody knows yet
			size = asset.Size{}
		}
		out.MediaType, out.Width, out.Height = res.Key.Variant.Format.MediaType(), size.Width, size.Height
	}
	return &resolveOutput{http.StatusOK, out}, nil
}

func frontPath(product, options, name string) string {
	return "/" + product + "/" + options + "/" + client.EscapeName(name)
}
