package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A restart over a base with a damaged block shows all of a transaction in the journal, or nothing of it.
func TestJournalOverDamagedTable(t *testing.T) {
	const assets = 3000
	id := func(i int) string { return fmt.Sprintf("0190c5a8-0000-7000-8000-%012x", i) }
	name := func(i int) string { return fmt.Sprintf("%06d.jpg", i) }
	dir := t.TempDir()
	if err := Import(t.Context(), dir, Manifest{}, func(yield func(Mutation) bool) {
		more := yield(putProduct("shop"))
		for i := 0; i < assets && more; i++ {
			more = yield(putAsset(id(i), byte(i), byte(i/256))) && yield(putLink("shop", name(i), id(i)))
		}
	}); err != nil {
		t.Fatal(err)
	}
	c := openWith(t, config(dir), new(told))
	var all []Mutation
	for i := range 100 {
		all = append(all, Mutation{ChangeAsset: &AssetChange{Asset: id(i * 20), Status: asset.Archived, At: time.Now().UTC()}})
	}
	revision := update(t, c, all...)
	c.Close()
	spoilAssetTable(t, dir)
	e := openWith(t, edgeConfig(dir, nowhere), new(told))
	archived := 0
	for i := range 100 {
		if found, ok := e.View().Find("shop", name(i*20), 0); ok && found.Status == asset.Archived {
			archived++
		}
	}
	if archived != 0 || e.View().Revision() == revision {
		t.Errorf("revision %d shows %d of 100 changes", e.View().Revision(), archived)
	}
	if len(files(t, dir, journalName)) != 1 || e.replica.applied.revision != revision {
		t.Errorf("what was applied is forgotten: %d", e.replica.applied.revision)
	}
}

// A damaged base makes no backup, whenever the damage came; and a good one afterwards.
func TestBackupOfDamagedBase(t *testing.T) {
	for name, before := range map[string]bool{"before the start": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := openWith(t, config(dir), new(told))
			uploads(t, c, 0, 200)
			if _, err := c.Backup(t.Context(), io.Discard); err != nil {
				t.Fatal(err)
			}
			if before {
				c.Close()
			}
			spoilBase(t, dir)
			if before {
				c = openWith(t, config(dir), new(told))
			}
			if m, err := c.Backup(t.Context(), io.Discard); !errors.Is(err, asset.ErrCorrupt) {
				t.Fatal(m, err)
			}
			var file bytes.Buffer
			within(t, "a backup of what was made anew", func() bool {
				file.Reset()
				_, err := c.Backup(t.Context(), &file)
				return err == nil
			})
			if _, err := Restore(t.Context(), config(t.TempDir()), &file); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A fold that is given up, as a snapshot of another history is adopted meanwhile, leaves no base; nor does the end of one take
// away what is being adopted.
func TestFoldLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	uploads(t, c, 0, 20)
	r := c.replica
	f, err := r.beginFold()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.applying.Lock()
	r.era++
	r.applying.Unlock()
	if err := errors.Join(f.begin(t.Context()), f.catchUp(t.Context())); !errors.Is(err, errBusy) {
		t.Fatal(err)
	}
	if f.end(); len(files(t, dir, "base-*")) != 0 {
		t.Error(files(t, dir, "base-*"))
	}
	later := r.dir.base(1 << 40)
	if err := os.WriteFile(later, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(later); err != nil {
		t.Error(err)
	}
}

// An opening that fails at the journal leaves nothing that watches the base.
func TestFailedOpenEnds(t *testing.T) {
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	uploads(t, c, 0, 20)
	if _, err := c.Backup(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	c.Close()
	newer := appendFrame(nil, func(b []byte) []byte { return append(b, strings.Replace(journalMagic, "1", "2", 1)...) })
	if err := os.WriteFile(filepath.Join(dir, journalName), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(dir)
	r, err := openReplica(cfg, nil, Events{})
	if err == nil || r != nil {
		t.Fatal(r, err)
	}
}

// What was purged by a tag stays so when the tag goes, and when the asset does and is made again.
func TestPurgedTagGoes(t *testing.T) {
	tagged := putAsset("a", 1)
	tagged.PutAsset.Tags = []string{"summer"}
	v := made(t, putProduct("shop"), tagged, putLink("shop", "a", "a"), Mutation{Purge: &Purge{Tag: "summer"}})
	before, ok := v.Find("shop", "a", 0)
	if !ok || before.Generation == 0 {
		t.Fatal(before, ok)
	}
	for name, base := range map[string]*View{"in memory": v, "in a base": folded(t, v)} {
		w := base.fork()
		none := Mutation{ChangeAsset: &AssetChange{Asset: "a", Tags: &[]string{}, At: time.Now().UTC()}}
		w.apply(&none)
		if e, ok := w.Find("shop", "a", 0); !ok || e.Generation < before.Generation {
			t.Errorf("%s: without the tag: %d, %d before", name, e.Generation, before.Generation)
		}
		w = base.fork()
		again, link, gone, unlinked := putAsset("a", 1), putLink("shop", "a", "a"), Mutation{DeleteAsset: "a"}, deleteLink("shop", "a")
		for _, m := range []*Mutation{&unlinked, &gone, &again, &link} {
			w.apply(m)
		}
		if e, ok := w.Find("shop", "a", 0); !ok || e.Generation < before.Generation {
			t.Errorf("%s: made again: %d, %d before", name, e.Generation, before.Generation)
		}
	}
}
