package catalog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// with returns m's asset after change.
func with(m Mutation, change func(*asset.Asset)) Mutation {
	change(m.PutAsset)
	return m
}

func pinned(m Mutation, version int) Mutation {
	m.PutLink.Pin = version
	return m
}

// addVersion gives an asset a version number n of an original.
func addVersion(id string, n int, original byte) Mutation {
	return Mutation{AddVersion: &AddedVersion{Asset: id, Version: asset.Version{Number: n, Digest: asset.Digest{original}, Size: 1, MediaType: "image/png"}}}
}

func TestRules(t *testing.T) {
	base := func() *View {
		return made(t, putProduct("shop"), putProduct("blog"), putProduct("free"),
			putAsset("a", 1, 2), putAsset("b", 3), putLink("shop", "x", "a"), putLink("blog", "x", "a"))
	}
	long := strings.Repeat("é", 256)
	for name, c := range map[string]struct {
		part string // of the fault
		kind error
		m    []Mutation
	}{
		"no mutation":          {"", asset.ErrInvalid, []Mutation{{}}},
		"two at once":          {"", asset.ErrInvalid, []Mutation{{DeleteAsset: "b", DeleteProduct: "free"}}},
		"product's name":       {"/name", asset.ErrInvalid, []Mutation{putProduct("Shop")}},
		"product without name": {"/name", asset.ErrInvalid, []Mutation{putProduct("")}},
		"product with dash":    {"/name", asset.ErrInvalid, []Mutation{putProduct("-x")}},
		"product's long name":  {"/name", asset.ErrInvalid, []Mutation{putProduct(strings.Repeat("x", 64))}},
		"product again":        {"", nil, []Mutation{putProduct("shop")}},
		"longest product":      {"", nil, []Mutation{putProduct(strings.Repeat("x", 63))}},

		"delete product":              {"", nil, []Mutation{{DeleteProduct: "free"}}},
		"delete product with links":   {"/product", asset.ErrConflict, []Mutation{{DeleteProduct: "blog"}}},
		"delete product with assets":  {"/product", asset.ErrConflict, []Mutation{deleteLink("shop", "x"), {DeleteProduct: "shop"}}},
		"delete product that is not":  {"/product", asset.ErrNotFound, []Mutation{{DeleteProduct: "nobody"}}},
		"delete all":                  {"", nil, []Mutation{deleteLink("shop", "x"), deleteLink("blog", "x"), {DeleteAsset: "a"}, {DeleteAsset: "b"}, {DeleteProduct: "shop"}}},
		"delete asset":                {"", nil, []Mutation{{DeleteAsset: "b"}}},
		"delete linked asset":         {"/asset", asset.ErrConflict, []Mutation{{DeleteAsset: "a"}}},
		"delete asset that is not":    {"/asset", asset.ErrNotFound, []Mutation{{DeleteAsset: "c"}}},
		"delete link that is not":     {"/name", asset.ErrNotFound, []Mutation{deleteLink("shop", "y")}},
		"delete the same link twice":  {"/name", asset.ErrNotFound, []Mutation{deleteLink("shop", "x"), deleteLink("shop", "x")}},
		"put after delete in one":     {"", nil, []Mutation{deleteLink("shop", "x"), putLink("shop", "x", "b")}},
		"another asset's name":        {"/name", asset.ErrConflict, []Mutation{putLink("shop", "x", "b")}},
		"link again":                  {"", nil, []Mutation{putLink("shop", "x", "a")}},
		"link of no product":          {"/product", asset.ErrNotFound, []Mutation{putLink("nobody", "x", "a")}},
		"link to no asset":            {"/asset", asset.ErrNotFound, []Mutation{putLink("shop", "y", "c")}},
		"link before its asset":       {"/asset", asset.ErrNotFound, []Mutation{putLink("shop", "y", "c"), putAsset("c", 1)}},
		"link pinned":                 {"", nil, []Mutation{pinned(putLink("shop", "y", "a"), 2)}},
		"link pinned to no version":   {"/pin", asset.ErrInvalid, []Mutation{pinned(putLink("shop", "y", "a"), 3)}},
		"link without name":           {"name", asset.ErrInvalid, []Mutation{putLink("shop", "", "a")}},
		"link with empty segment":     {"name", asset.ErrInvalid, []Mutation{putLink("shop", "a//b", "a")}},
		"link with slash in front":    {"name", asset.ErrInvalid, []Mutation{putLink("shop", "/b", "a")}},
		"link with dots":              {"name", asset.ErrInvalid, []Mutation{putLink("shop", "a/../b", "a")}},
		"link with a control":         {"name", asset.ErrInvalid, []Mutation{putLink("shop", "a\x00b", "a")}},
		"link that is no UTF-8":       {"name", asset.ErrInvalid, []Mutation{putLink("shop", "a\xff", "a")}},
		"link that is encoded twice":  {"name", asset.ErrInvalid, []Mutation{putLink("shop", "a%2Fb", "a")}},
		"longest link":                {"", nil, []Mutation{putLink("shop", long, "a")}},
		"link that is too long":       {"name", asset.ErrInvalid, []Mutation{putLink("shop", long+"x", "a")}},
		"asset without id":            {"/id", asset.ErrInvalid, []Mutation{putAsset("", 1)}},
		"asset with a control":        {"/id", asset.ErrInvalid, []Mutation{putAsset("a\x00", 1)}},
		"asset of no product":         {"/owner", asset.ErrNotFound, []Mutation{with(putAsset("c", 1), func(a *asset.Asset) { a.Owner = "nobody" })}},
		"asset given away":            {"", nil, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Owner = "blog" })}},
		"asset of a version 2":        {"/versions/0", asset.ErrInvalid, []Mutation{with(putAsset("c", 1), func(a *asset.Asset) { a.Versions[0].Number = 2 })}},
		"asset with a gap":            {"/versions/1", asset.ErrInvalid, []Mutation{with(putAsset("c", 1, 2), func(a *asset.Asset) { a.Versions[1].Number = 3 })}},
		"asset without versions":      {"/versions", asset.ErrInvalid, []Mutation{putAsset("c")}},
		"asset pending":               {"", nil, []Mutation{with(putAsset("c"), func(a *asset.Asset) { a.Status = asset.Pending })}},
		"asset current nothing":       {"/current", asset.ErrInvalid, []Mutation{with(putAsset("c", 1), func(a *asset.Asset) { a.Current = 2 })}},
		"pending current something":   {"/current", asset.ErrInvalid, []Mutation{with(putAsset("c"), func(a *asset.Asset) { a.Status, a.Current = asset.Pending, 1 })}},
		"next version":                {"", nil, []Mutation{putAsset("a", 1, 2, 3)}},
		"version added":               {"", nil, []Mutation{addVersion("a", 3, 9), addVersion("a", 4, 9)}},
		"version added to nothing":    {"/asset", asset.ErrNotFound, []Mutation{addVersion("c", 1, 9)}},
		"version that is there":       {"/version/version", asset.ErrConflict, []Mutation{addVersion("a", 2, 9)}},
		"version after a gap":         {"/version/version", asset.ErrConflict, []Mutation{addVersion("a", 4, 9)}},
		"version of what is archived": {"/status", asset.ErrConflict, []Mutation{with(putAsset("b", 3), func(a *asset.Asset) { a.Status = asset.Archived }), addVersion("b", 2, 9)}},
		"roll back":                   {"", nil, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Current = 1 })}},
		"moved to another provider":   {"", nil, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Versions[0].Providers = []string{"s3"} })}},
		"fewer versions":              {"/versions", asset.ErrConflict, []Mutation{putAsset("a", 1)}},
		"another digest":              {"/versions/1", asset.ErrConflict, []Mutation{putAsset("a", 1, 3)}},
		"another type":                {"/versions/0", asset.ErrConflict, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Versions[0].MediaType = "x/y" })}},
		"another size":                {"/versions/0", asset.ErrConflict, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Versions[0].Size++ })}},
		"another time":                {"/versions/0", asset.ErrConflict, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Versions[0].Created = time.Now() })}},
		"another picture":             {"/versions/0", asset.ErrConflict, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Versions[0].Picture = &asset.Picture{} })}},
		"archive":                     {"", nil, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Status = asset.Archived })}},
		"back to pending":             {"/status", asset.ErrConflict, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Status = asset.Pending })}},
		"new and archived":            {"/status", asset.ErrInvalid, []Mutation{with(putAsset("c", 1), func(a *asset.Asset) { a.Status = asset.Archived })}},
		"no status":                   {"/status", asset.ErrInvalid, []Mutation{with(putAsset("c", 1), func(a *asset.Asset) { a.Status = "" })}},
		"status that is none":         {"/status", asset.ErrConflict, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Status = "LOST" })}},
		"archived and back":           {"/status", asset.ErrConflict, []Mutation{with(putAsset("b", 3), func(a *asset.Asset) { a.Status = asset.Archived }), putAsset("b", 3)}},
		"purge":                       {"", nil, []Mutation{with(putAsset("a", 1, 2), func(a *asset.Asset) { a.Generation = 5 })}},
		"purge undone":                {"/generation", asset.ErrConflict, []Mutation{with(putAsset("b", 3), func(a *asset.Asset) { a.Generation = 5 }), with(putAsset("b", 3), func(a *asset.Asset) { a.Generation = 4 })}},
		"picture of less than none":   {"/versions/0/picture", asset.ErrInvalid, []Mutation{pictured(-1)}},
		"picture with a long hash":    {"/versions/0/picture", asset.ErrInvalid, []Mutation{with(pictured(1), func(a *asset.Asset) { a.Versions[0].Picture.ThumbHash = long })}},
		"version with no orientation": {"/version/picture", asset.ErrInvalid, []Mutation{addPicture(asset.Picture{Orientation: 256})}},
		"pictures that are the same":  {"", nil, []Mutation{pictured(1), pictured(1)}},
		"pictures that are different": {"/versions/0", asset.ErrConflict, []Mutation{pictured(1), pictured(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := base().with(c.m)
			var fault *asset.Fault
			switch {
			case c.kind == nil && err == nil:
			case c.kind == nil || !errors.As(err, &fault) || !errors.Is(err, c.kind) || fault.Part != c.part || fault.Detail == "":
				t.Fatalf("%v at %q: %+v (%v)", c.kind, c.part, fault, err)
			}
		})
	}
}

// addPicture gives asset a its version 3.
func addPicture(p asset.Picture) Mutation {
	m := addVersion("a", 3, 9)
	m.AddVersion.Version.Picture = &p
	return m
}

// pictured puts an asset with a picture of that width.
func pictured(width int) Mutation {
	return with(putAsset("c", 1), func(a *asset.Asset) { a.Versions[0].Picture = &asset.Picture{Width: width} })
}
