package assetmatrix

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/assetmatrix/assetmatrix"

// floors is the table of ARCHITECTURE.md. An import goes to a lower floor only, or stays within its room.
var floors = map[string]int{
	"asset":   1,
	"resolve": 2, "cache": 2, "transform": 2, "origin": 2, "catalog": 2,
	"asset/assettest": 2, // the suite that the stores of the rooms run
	"control/client":  2, // what the API says, for the server and for the programs that speak to it
	"transform/ssim":  1, // how much alike two pictures look
	"bench/corpus":    2, // pictures, for the demo, the load and the tests
	"bench/chromium":  2, // for the tests that look at pages
	"proxy":           3, "control": 3, "ingest": 3,
	".":               4,
	"bench":           5,
	"cmd/assetmatrix": 6, "cmd/demo": 6,
}

func TestFloors(t *testing.T) {
	for _, pkg := range packages(t) {
		floor, placed := floors[pkg.room]
		if !placed {
			t.Errorf("%s stands on no floor: place it in the table", pkg.room)
			continue
		}
		for _, to := range pkg.imports {
			if floors[to] >= floor {
				t.Errorf("%s (F%d) imports %s (F%d): an import goes to a lower floor only", pkg.room, floor, to, floors[to])
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, pkg := range packages(t) {
		if pkg.doc == "" {
			t.Errorf("%s has no package comment", pkg.room)
		}
	}
}

type parcel struct {
	room, doc string
	imports   []string // rooms of this module; those of its tests are free
}

func packages(t *testing.T) []parcel {
	t.Helper()
	var all []parcel
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); dir != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "data" || name == "bin") {
			return fs.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		if err != nil {
			return nil // no Go files
		}
		all = append(all, parcel{filepath.ToSlash(dir), p.Doc, rooms(p.Imports)})
		return nil
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("found %d packages, %v", len(all), err)
	}
	return all
}

func rooms(imports []string) []string {
	var in []string
	for _, path := range imports {
		if path == module {
			in = append(in, ".")
		} else if room, ok := strings.CutPrefix(path, module+"/"); ok {
			in = append(in, room)
		}
	}
	return in
}
