package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Condition is what a write may demand of what is there; when that does not hold the server answers 412 and says what
// is current. The zero value demands nothing.
type Condition struct {
	// Version demands that this is the current version of the asset that the name leads to. A product has none.
	Version int
	// State demands that nothing has changed since the [Entry] or the [Product] with this State was read.
	State string
	// CreateOnly demands that there is nothing.
	CreateOnly bool
}

func (c Condition) apply(h http.Header) {
	switch {
	case c.State != "":
		h.Set("If-Match", strconv.Quote(c.State))
	case c.Version != 0:
		h.Set("If-Match", strconv.Quote(strconv.Itoa(c.Version)))
	}
	if c.CreateOnly {
		h.Set("If-None-Match", "*")
	}
}

// PutProductIf is [Client.PutProduct] with a condition.
func (c *Client) PutProductIf(ctx context.Context, product string, spec ProductSpec, cond Condition) (Product, error) {
	return send[Product](ctx, c, http.MethodPut, productPath(product), spec, cond)
}

// DeleteProduct deletes a product that owns no assets and has no links.
func (c *Client) DeleteProduct(ctx context.Context, product string, cond Condition) (Done, error) {
	return send[Done](ctx, c, http.MethodDelete, productPath(product), nil, cond)
}

// PatchAsset changes an asset by its owner's name for it, and returns it as it is then.
func (c *Client) PatchAsset(ctx context.Context, product, name string, patch AssetPatch, cond Condition) (Entry, error) {
	return send[Entry](ctx, c, http.MethodPatch, assetPath(product, name), patch, cond)
}

// DeleteAsset takes a name from a product; the asset goes with its last name.
func (c *Client) DeleteAsset(ctx context.Context, product, name string, cond Condition) (Deleted, error) {
	return send[Deleted](ctx, c, http.MethodDelete, assetPath(product, name), nil, cond)
}

// PutLinkIf is [Client.PutLink] with a condition.
func (c *Client) PutLinkIf(ctx context.Context, product, name string, spec LinkSpec, cond Condition) (Link, error) {
	return send[Link](ctx, c, http.MethodPut, linkPath(product, name), spec, cond)
}

// DeleteLink does what [Client.DeleteAsset] does, as a link is nothing but a name.
func (c *Client) DeleteLink(ctx context.Context, product, name string, cond Condition) (Deleted, error) {
	return send[Deleted](ctx, c, http.MethodDelete, linkPath(product, name), nil, cond)
}

// Transact does all operations, one after another and at one revision, or none of them. A refusal's Part is the JSON
// pointer to the fault, such as "/operations/3/asset".
func (c *Client) Transact(ctx context.Context, operations []Operation) (Transacted, error) {
	return send[Transacted](ctx, c, http.MethodPost, "/v1/transactions", Transaction{operations}, Condition{})
}

// TransactText is [Client.Transact] of a whole [Transaction] in JSON, which the server judges as it stands.
func (c *Client) TransactText(ctx context.Context, transaction []byte) (Transacted, error) {
	return sendBody[Transacted](ctx, c, http.MethodPost, "/v1/transactions", transaction, Condition{})
}

// Purge makes what was delivered unreachable everywhere, so that it is made anew.
func (c *Client) Purge(ctx context.Context, spec PurgeSpec) (Done, error) {
	return send[Done](ctx, c, http.MethodPost, "/v1/purge", spec, Condition{})
}

// CollectGarbage deletes the originals that no version has used for a while, or says which it would.
func (c *Client) CollectGarbage(ctx context.Context, spec GarbageSpec) (Collected, error) {
	return send[Collected](ctx, c, http.MethodPost, "/v1/garbage", spec, Condition{})
}

func linkPath(product, name string) string {
	return productPath(product) + "/links/" + EscapeName(name)
}

// send sends a write, with a JSON body unless that is nil.
func send[T any](ctx context.Context, c *Client, method, path string, body any, cond Condition) (T, error) {
	if body == nil {
		return sendBody[T](ctx, c, method, path, nil, cond)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return *new(T), err
	}
	return sendBody[T](ctx, c, method, path, text, cond)
}

func sendBody[T any](ctx context.Context, c *Client, method, path string, text []byte, cond Condition) (T, error) {
	req, err := c.request(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return *new(T), err
	}
	if text != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	cond.apply(req.Header)
	return do[T](c, req)
}

// A Done says that a write was done.
type Done struct {
	Revision uint64 `json:"revision" doc:"of the matrix in which the write is visible"`
	Edges    *Edges `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// An AssetPatch changes of an asset what is given in it, and nothing else.
type AssetPatch struct {
	// Status is the next step of PENDING → ACTIVE → ARCHIVED; "" leaves it.
	Status asset.Status `json:"status,omitempty" enum:"PENDING,ACTIVE,ARCHIVED" doc:"a step of PENDING → ACTIVE → ARCHIVED"`
	// Current is the version that unpinned URLs get from now on; 0 leaves it.
	Current int `json:"current,omitempty" minimum:"1" doc:"the version that unpinned URLs get from now on"`
	// Tags are all tags from now on; nil leaves them, an empty list takes them off.
	Tags *[]string `json:"tags,omitempty" nullable:"true" doc:"all tags from now on; null takes them off"`
	// Focal is what crops keep from now on; nil leaves it.
	Focal *Point `json:"focal,omitempty" doc:"what crops keep when they are asked for gravity auto; null: nothing is known"`
	// NoFocal takes the focal point off.
	NoFocal bool `json:"-"`
}

// A Point is a place in a picture: fractions of its width and height from the upper left corner.
type Point struct {
	X float64 `json:"x" minimum:"0" maximum:"1" doc:"of the width, from the left"`
	Y float64 `json:"y" minimum:"0" maximum:"1" doc:"of the height, from the top"`
}

// An assetPatch is an AssetPatch as encoding/json would take it.
type assetPatch AssetPatch

// MarshalJSON returns a merge patch (RFC 7396), in which null takes off.
func (p AssetPatch) MarshalJSON() ([]byte, error) {
	if !p.NoFocal {
		return json.Marshal(assetPatch(p))
	}
	return json.Marshal(struct {
		assetPatch
		Focal *Point `json:"focal"` // over the one within
	}{assetPatch: assetPatch(p)})
}

// UnmarshalJSON reads a merge patch.
func (p *AssetPatch) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, (*assetPatch)(p)); err != nil {
		return err
	}
	return takeNulls(text, &p.Tags, &p.NoFocal)
}

// takeNulls reads what null takes off, which encoding/json cannot tell from what is not there.
func takeNulls(text []byte, tags **[]string, noFocal *bool) error {
	var fields struct{ Tags, Focal json.RawMessage }
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	if string(fields.Tags) == "null" {
		*tags = &[]string{}
	}
	*noFocal = string(fields.Focal) == "null"
	return nil
}

// A Deleted says what became of a name that was deleted.
type Deleted struct {
	Asset string `json:"asset" doc:"the id of the asset that the name led to"`
	// AssetDeleted: it was the asset's last name.
	AssetDeleted bool   `json:"asset_deleted" doc:"it was the asset's last name, and the asset is deleted with it"`
	Revision     uint64 `json:"revision" doc:"of the matrix in which the name is free"`
	Edges        *Edges `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// A PurgeSpec names one thing, a tag perhaps together with a product.
type PurgeSpec struct {
	// Product purges all that is delivered as the product's. Together with Tag: the product's own assets that have it.
	Product string `json:"product,omitempty" doc:"all that is delivered as the product's; together with tag: the product's own assets that have the tag"`
	Asset   string `json:"asset,omitempty" doc:"the id of an asset, under all its names"`
	Tag     string `json:"tag,omitempty" doc:"the assets that have the tag, whoever owns them"`
	// URL is a delivery URL or its path; all renditions under its name are purged.
	URL string `json:"url,omitempty" doc:"a delivery URL or its path: all renditions under its name"`
}

// A GarbageSpec is what a collection of garbage is asked for.
type GarbageSpec struct {
	// DryRun only looks.
	DryRun bool `json:"dry_run,omitempty" doc:"only look"`
	// Grace is how long an original must have been without use, as [time.Duration] spells it; "" leaves it to the server.
	Grace string `json:"grace,omitempty" doc:"how long an original must have been without use, such as 24h or 90m; left out: what the server is configured with"`
}

// A Collected is what a collection of garbage found.
type Collected struct {
	DryRun    bool            `json:"dry_run"`
	Originals []asset.Garbage `json:"originals" nullable:"false"`
	// Count and Size are the number and the bytes of the originals.
	Count    int    `json:"count"`
	Size     int64  `json:"size" doc:"bytes"`
	Revision uint64 `json:"revision"`
	Edges    *Edges `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// The operations of a transaction. Each does what the call does that it is named after.
const (
	OpPutProduct    = "put_product"
	OpDeleteProduct = "delete_product"
	OpPutAsset      = "put_asset"
	OpPatchAsset    = "patch_asset"
	OpDeleteAsset   = "delete_asset"
	OpPutLink       = "put_link"
	OpDeleteLink    = "delete_link"
	OpPurge         = "purge"
)

// MaxOperations is the number of operations that a transaction can have.
const MaxOperations = 1000

// A Transaction is the body of POST /v1/transactions.
type Transaction struct {
	Operations []Operation `json:"operations" nullable:"false" minItems:"1" maxItems:"1000" doc:"are done one after another, all or none"`
}

// An Operation is one write of a transaction: Op says which, and each takes the fields that its call takes. OpPutAsset
// has a Digest in the place of bytes.
type Operation struct {
	Op string `json:"op" doc:"which write it is"`
	// Product and Name are those of the call's path; of a purge, the product of [PurgeSpec].
	Product string `json:"product,omitempty" doc:"the product's name"`
	Name    string `json:"name,omitempty" doc:"the product's name for the asset, not percent-encoded"`

	// What the call's conditions demand, see [Condition].
	IfVersion  int    `json:"if_version,omitempty" minimum:"1" doc:"demands that this is the current version of what the name leads to"`
	IfState    string `json:"if_state,omitempty" minLength:"1" doc:"demands that nothing has changed since the entry or product with this state was read"`
	CreateOnly bool   `json:"create_only,omitempty" doc:"demands that there is nothing yet"`

	Presets   map[string]string `json:"presets,omitempty" doc:"a preset's name → options in the grammar of the URL"`
	Lifetimes *Lifetimes        `json:"lifetimes,omitempty" doc:"what answers for unpinned URLs carry in Cache-Control"`
	Origins   []string          `json:"origins,omitempty" nullable:"false" doc:"the CORS origins that may read"`

	ClientHints bool `json:"client_hints,omitempty" doc:"lets client hints decide what a URL leaves open"`

	// Digest is that of an original which a version in the matrix has already.
	Digest *asset.Digest `json:"digest,omitempty" pattern:"^[0-9a-f]{64}$" doc:"the SHA-256, hexadecimal, of an original that a version in the matrix has already"`

	Status  asset.Status `json:"status,omitempty" enum:"PENDING,ACTIVE,ARCHIVED"`
	Current int          `json:"current,omitempty" minimum:"1" doc:"the version that unpinned URLs get from now on"`
	Tags    *[]string    `json:"tags,omitempty" nullable:"true" doc:"all tags from now on; null takes them off"`
	Focal   *Point       `json:"focal,omitempty" doc:"what crops keep when they are asked for gravity auto; null: nothing is known"`
	NoFocal bool         `json:"-"`

	// Asset is an asset's id; Target names it in its place, and may be a name that an operation before made.
	Asset   string   `json:"asset,omitempty" minLength:"1" doc:"the id of an asset"`
	Target  *NameRef `json:"target,omitempty" doc:"what a name leads to, in the place of asset; an operation before may have made it"`
	Version int      `json:"version,omitempty" minimum:"0" doc:"pins the link to this version; left out or 0: follows the asset"`

	Tag string `json:"tag,omitempty" doc:"a tag"`
	URL string `json:"url,omitempty" doc:"a delivery URL or its path"`
}

// An operation is an Operation as encoding/json would take it.
type operation Operation

// MarshalJSON returns the operation, with null for what is taken off.
func (o Operation) MarshalJSON() ([]byte, error) {
	if !o.NoFocal {
		return json.Marshal(operation(o))
	}
	return json.Marshal(struct {
		operation
		Focal *Point `json:"focal"` // over the one within
	}{operation: operation(o)})
}

// UnmarshalJSON reads an operation.
func (o *Operation) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, (*operation)(o)); err != nil {
		return err
	}
	return takeNulls(text, &o.Tags, &o.NoFocal)
}

// A NameRef names an asset by a name of it.
type NameRef struct {
	Product string `json:"product" minLength:"1"`
	Name    string `json:"name" minLength:"1" doc:"not percent-encoded"`
}

// A Transacted says what became of a transaction.
type Transacted struct {
	Revision uint64 `json:"revision" doc:"of the matrix in which all of it is visible"`
	// Results are those of the operations, in their order.
	Results []Result `json:"results" nullable:"false" doc:"of the operations, in their order"`
	Edges   *Edges   `json:"edges,omitempty" doc:"of a write that was asked to wait for them"`
}

// A Result is what one operation of a transaction did.
type Result struct {
	Op      string `json:"op"`
	Product string `json:"product,omitempty"`
	Name    string `json:"name,omitempty"`
	Asset   string `json:"asset,omitempty" doc:"the id of the asset that the name leads or led to"`
	Version int    `json:"version,omitempty" doc:"the one that unpinned URLs of the name get"`
	// Created: the product, the asset or the link was not there before.
	Created bool `json:"created,omitempty" doc:"the product, the asset or the link was not there before"`
	// Unchanged: everything was so already.
	Unchanged    bool `json:"unchanged,omitempty" doc:"everything was so already"`
	AssetDeleted bool `json:"asset_deleted,omitempty" doc:"it was the asset's last name, and the asset is deleted with it"`
}
