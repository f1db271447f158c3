package control

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// A Conditional is a write of something that may have changed meanwhile.
type Conditional struct {
	Writing
	IfMatch     string `header:"If-Match" doc:"the state, or for a name also the current version, in quotes, such as \"3\": the write is refused with 412 when it is another one"`
	IfNoneMatch string `header:"If-None-Match" doc:"*: the write is refused with 412 when there is something already"`
}

// A write is one operation on its way into a transaction. What it refuses names its fields by JSON pointers into the
// operation.
type write struct {
	*catalog.Draft
	server *Server
	ctx    context.Context
	op     *client.Operation
	now    time.Time
	result client.Result
}

// one does one operation. It calls seen with what that makes of the matrix, perhaps several times.
func (s *Server) one(ctx context.Context, op client.Operation, seen func(*catalog.View, client.Result)) (revision uint64, err error) {
	now := instant()
	return s.update(ctx, func(d *catalog.Draft) error {
		w := write{Draft: d, server: s, ctx: ctx, op: &op, now: now}
		if err := w.do(); err != nil {
			return ofCall(op.Op, err)
		}
		seen(w.View(), w.result)
		return nil
	})
}

// update commits what plan adds to a draft of the newest state, and may run it more than once.
func (s *Server) update(ctx context.Context, plan func(*catalog.Draft) error) (revision uint64, err error) {
	return s.deps.Matrix.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		d := v.Draft()
		err := plan(d)
		if errors.Is(err, asset.ErrNotFound) && v.Err() != nil {
			return nil, v.Err() // which may be why it was not found
		}
		return d.Mutations(), err
	})
}

// instant returns the time of a write, as precise as its record.
func instant() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// do adds the operation to the draft.
func (w *write) do() error {
	k := kindOf(w.op.Op)
	w.result = client.Result{Op: w.op.Op, Product: w.op.Product, Name: w.op.Name}
	if k.over == named {
		if err := w.server.allow(w.ctx, k.verb, w.op.Product); err != nil {
			return err
		}
	}
	return k.do(w)
}

// callParts are the parts of the operations that a call has in its path and its head, or by another name in its body.
var callParts = map[string]string{
	"/product": "product", "/name": "name", "/if_version": "If-Match", "/if_state": "If-Match", "/create_only": "If-None-Match",
	"/target/product": "/product", "/target/name": "/name",
}

// ofCall names the part of a refused operation as the call has it that does nothing else.
func ofCall(op string, err error) error {
	f, ok := errors.AsType[*asset.Fault](err)
	if !ok {
		return err
	}
	if part, ok := callParts[f.Part]; ok && kindOf(op).over == named {
		return fault(f.Kind, part, f.Detail, f.Allowed)
	}
	return fault(f.Kind, pointer(f.Part), f.Detail, f.Allowed)
}

// named returns what the operation's name leads to, when that is there and meets the operation's conditions.
func (w *write) named() (*asset.Link, *asset.Asset, error) {
	v, op := w.View(), w.op
	if _, err := w.product(); err != nil {
		return nil, nil, err
	}
	l, a, ok := v.Lookup(op.Product, op.Name)
	if !ok {
		return nil, nil, fault(asset.ErrNotFound, "/name", fmt.Sprintf("product %q has no %q", op.Product, op.Name), "the names of "+assetsPath(op.Product))
	}
	w.result.Asset, w.result.Version = a.ID, versionOf(l, a)
	return l, a, nil
}

// product returns the operation's product.
func (w *write) product() (*asset.Product, error) {
	if p, ok := w.View().Product(w.op.Product); ok {
		return p, nil
	}
	return nil, noProduct("/product", w.op.Product)
}

func noProduct(part, name string) error {
	return fault(asset.ErrNotFound, part, fmt.Sprintf("there is no product %q", name), "the products of /v1/products")
}

// meets holds what a name leads to, nil for a name that is free, against the operation's conditions.
func (w *write) meets(l *asset.Link, a *asset.Asset) error {
	op := w.op
	switch {
	case a == nil && (op.IfVersion != 0 || op.IfState != ""):
		return fault(asset.ErrPrecondition, w.condition(), "the name is free", "no condition, or that it is free")
	case a == nil:
		return nil
	case op.CreateOnly:
		return fault(asset.ErrPrecondition, "/create_only", fmt.Sprintf("the name is taken, its current version is %d", a.Current), "a name that is free")
	case op.IfVersion != 0 && op.IfVersion != a.Current:
		return fault(asset.ErrPrecondition, "/if_version", fmt.Sprintf("the current version is %d, not %d", a.Current, op.IfVersion), etagOf(a.Current))
	case op.IfState != "" && op.IfState != stateOf(l, a):
		return fault(asset.ErrPrecondition, "/if_state", fmt.Sprintf("the current version is %d, and the state %q", a.Current, stateOf(l, a)), strconv.Quote(stateOf(l, a)))
	}
	return nil
}

// condition names the condition that demands something to be there.
func (w *write) condition() string {
	if w.op.IfState != "" {
		return "/if_state"
	}
	return "/if_version"
}

// readConditions reads the conditions in a request's head.
func readConditions(r *http.Request, op *client.Operation) error {
	if header(r, "If-Unmodified-Since") != "" {
		return fault(asset.ErrInvalid, "If-Unmodified-Since", "writes are not compared by time", "If-Match")
	}
	switch value := header(r, "If-None-Match"); value {
	case "":
	case "*":
		op.CreateOnly = true
	default:
		return fault(asset.ErrInvalid, "If-None-Match", "only whether there is nothing yet can be demanded so", "*")
	}
	value := header(r, "If-Match")
	if value != "" && op.CreateOnly {
		return fault(asset.ErrInvalid, "If-None-Match", "what is not there cannot have a version", "If-Match or If-None-Match, not both")
	}
	if value == "" {
		return nil
	}
	return readState(value, op)
}

const (
	productState = `[0-9a-f]{16}`
	entryState   = `[1-9][0-9]*-[0-9a-f]{16}`
)

var (
	quotedProductState = regexp.MustCompile(`^"` + productState + `"$`)
	quotedEntryState   = regexp.MustCompile(`^"` + entryState + `"$`)
)

// readState reads the value of If-Match: a product's state, or the version or the state of what a name leads to.
func readState(value string, op *client.Operation) error {
	pattern, allowed := quotedEntryState, `the number of one version in quotes, such as "3", or the state of an entry, such as "3-0123456789abcdef"`
	if op.Name == "" {
		pattern, allowed = quotedProductState, `the state of the product in quotes, such as "0123456789abcdef"`
	}
	if pattern.MatchString(value) {
		op.IfState = strings.Trim(value, `"`)
		return nil
	}
	if n, ok := versionIn(value); ok && op.Name != "" {
		op.IfVersion = n
		return nil
	}
	return fault(asset.ErrInvalid, "If-Match", "this is no version and no state", allowed)
}

// stateOf returns what is different whenever the link, or what a patch or an upload changes of the asset, is. The same
// again is the same state: whoever has seen it has seen everything.
func stateOf(l *asset.Link, a *asset.Asset) string {
	return fmt.Sprintf("%d-%s", a.Current, digestOf(a.ID, l.Pin, a.Status, len(a.Versions), a.Tags, a.Focal))
}

func stateOfProduct(p *asset.Product) string {
	return digestOf(p.Created, p.Presets, p.Lifetimes, p.Origins, p.ClientHints)
}

func digestOf(parts ...any) string {
	text, _ := json.Marshal(parts) // texts, numbers and times of this era: it cannot fail
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x", sum[:8])
}
