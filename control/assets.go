package control

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type nameInput struct {
	call
	Product string `path:"product" doc:"the product's name"`
	Name    string `path:"name" doc:"the product's name for the asset: all that is left of the path, slashes included"`
}

type uploadInput struct {
	call
	Writing
	Product       string `path:"product" doc:"the product's name"`
	Name          string `path:"name" doc:"the product's name for the asset: all that is left of the path, slashes included"`
	IfMatch       string `header:"If-Match" doc:"the current version in quotes, such as \"3\": the upload is refused with 412 when another version is current"`
	Status        string `query:"status" enum:"PENDING,ACTIVE" doc:"what the asset is to be; PENDING is not delivered before it is made ACTIVE. Left out: a new asset is ACTIVE, and another stays what it is"`
	IfNoneMatch   string `header:"If-None-Match" doc:"*: the upload is refused with 412 when the name is taken"`
	ReprDigest    string `header:"Repr-Digest" doc:"the SHA-256 that the bytes must have, as sha-256=:base64: (RFC 9530)"`
	ContentDigest string `header:"Content-Digest" doc:"the same"`
	Digest        string `header:"Digest" doc:"the same, as sha-256=base64 (RFC 3230)"`
}

type uploadOutput struct {
	Status int
	Written
	ETag     string `header:"ETag" doc:"the version, for If-Match"`
	Location string `header:"Location" doc:"where the front door delivers the original"`
	Body     client.Receipt
}

type entryOutput struct {
	ETag string `header:"ETag" doc:"the current version, for If-Match"`
	Body client.Entry
}

type listInput struct {
	call
	Product string `path:"product" doc:"the product's name"`
	Prefix  string `query:"prefix" doc:"what the names begin with"`
	Limit   int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"the number of names on a page"`
	Cursor  string `query:"cursor" doc:"the next of the page before"`
}

type listOutput struct{ Body client.Page }

func (s *Server) routeAssets(api huma.API) {
	const all, one = "/v1/products/{product}/assets", "/v1/products/{product}/assets/{name}"
	register(s, api, huma.Operation{OperationID: "listAssets", Method: http.MethodGet, Path: all, Summary: "A product's assets, in the order of their names"}, s.listAssets)
	register(s, api, huma.Operation{OperationID: "getAsset", Method: http.MethodGet, Path: one, Summary: "An asset with its versions and links"}, s.getAsset)
	register(s, api, huma.Operation{
		OperationID: "putAsset", Method: http.MethodPut, Path: one, Summary: "Upload an asset, or a new version of one",
		Description: "The first upload to a name makes the asset, the next ones make versions. Answers 201 for a new asset or version, " +
			"and 200 when the bytes are those of the current version already. Send Expect: 100-continue to learn of a refusal before the bytes are sent.",
	}, s.putAsset)
	answersToo(api, http.MethodPut, one, http.StatusCreated)
	document(api, http.MethodPut, one, "*/*", "the file's bytes", &huma.Schema{Type: huma.TypeString, Format: "binary"})
	s.routePatch(api, one)
	register(s, api, huma.Operation{
		OperationID: "deleteAsset", Method: http.MethodDelete, Path: one, Summary: "Take a name from a product",
		Description: "The asset goes with its last name, in whatever product, and its originals when nothing has used them for a while.",
	}, s.deleteName(client.OpDeleteAsset))
}

// putAsset hands the body on as it comes in.
func (s *Server) putAsset(ctx context.Context, in *uploadInput) (*uploadOutput, error) {
	u, err := uploadOf(in)
	if err != nil {
		return nil, err
	}
	receipt, err := s.deps.Ingester.Put(ctx, u)
	if err != nil {
		return nil, bodyOf(in.request).explain(err)
	}
	w, err := s.written(ctx, in.Writing, receipt.Revision)
	if err != nil {
		return nil, err
	}
	path := deliveryPath(u.Product, u.Name)
	out := &uploadOutput{
		Status: http.StatusCreated, Written: w, ETag: etagOf(receipt.Version), Location: path, Body: client.Receipt{Receipt: receipt, Path: path, Edges: w.edges},
	}
	if receipt.Unchanged {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (s *Server) getAsset(ctx context.Context, in *nameInput) (*entryOutput, error) {
	name, err := nameOf(in.request)
	if err != nil {
		return nil, err
	}
	v := in.view
	if _, err := productIn(v, in.Product); err != nil {
		return nil, err
	}
	l, a, ok := v.Lookup(in.Product, name)
	if !ok {
		return nil, fault(asset.ErrNotFound, "name", fmt.Sprintf("product %q has no %q", in.Product, name), "the names of "+assetsPath(in.Product))
	}
	return &entryOutput{etagOf(a.Current), s.entryOf(ctx, v, l, a)}, nil
}

// entryOf shows the links that the caller may read.
func (s *Server) entryOf(ctx context.Context, v *catalog.View, l *asset.Link, a *asset.Asset) client.Entry {
	e := client.Entry{
		Product: l.Product, Name: l.Name, ID: a.ID, Owner: a.Owner, Status: a.Status, Version: versionOf(l, a), Current: a.Current,
		State: stateOf(l, a), Tags: a.Tags, Versions: a.Versions, Links: []client.Link{}, Created: a.Created, Updated: a.Updated, Archived: a.ArchivedAt,
		Path: deliveryPath(l.Product, l.Name), Revision: v.Revision(),
	}
	if f := a.Focal; f != nil {
		e.Focal = &client.Point{X: f.X, Y: f.Y}
	}
	for _, l := range v.LinksOf(a.ID) {
		if s.sees(ctx, l.Product) {
			e.Links = append(e.Links, linkOf(l))
		}
	}
	return e
}

// versionOf returns the number of the version that the product's unpinned URLs get.
func versionOf(l *asset.Link, a *asset.Asset) int {
	if l.Pin != 0 {
		return l.Pin
	}
	return a.Current
}

// listAssets reads one more than a page, to know whether there is another.
func (s *Server) listAssets(_ context.Context, in *listInput) (*listOutput, error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return nil, fault(asset.ErrInvalid, "cursor", "this is no cursor", "the next of a page before")
	}
	v := in.view
	if _, err := productIn(v, in.Product); err != nil {
		return nil, err
	}
	links := v.Links(in.Product, in.Prefix, string(after), in.Limit+1)
	out := &listOutput{client.Page{Assets: []client.Item{}, Revision: v.Revision()}}
	if len(links) > in.Limit {
		links = links[:in.Limit]
		out.Body.Next = base64.RawURLEncoding.EncodeToString([]byte(links[in.Limit-1].Name))
	}
	for _, l := range links {
		if a, ok := v.Asset(l.Asset); ok {
			out.Body.Assets = append(out.Body.Assets, itemOf(l, a))
		}
	}
	return out, nil
}

func itemOf(l *asset.Link, a *asset.Asset) client.Item {
	item := client.Item{Name: l.Name, ID: a.ID, Status: a.Status, Updated: a.Updated}
	if v := a.Version(l.Pin); v != nil {
		item.Version, item.Digest, item.Size, item.MediaType = v.Number, v.Digest, v.Size, v.MediaType
		if v.Picture != nil {
			item.Width, item.Height = v.Picture.Width, v.Picture.Height
		}
	}
	return item
}

func etagOf(version int) string { return strconv.Quote(strconv.Itoa(version)) }

func deliveryPath(product, name string) string {
	return "/" + product + "/original/" + client.EscapeName(name)
}

func assetsPath(product string) string { return "/v1/products/" + product + "/assets" }
