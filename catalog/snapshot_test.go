package catalog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/assetmatrix/assetmatrix/asset"
)

// backedUp returns a matrix with something of everything, and its backup.
func backedUp(t *testing.T) (*Catalog, Manifest, []byte) {
	t.Helper()
	c := openWith(t, foldEvery(config(t.TempDir()), 40), new(told))
	uploads(t, c, 0, 60)
	update(t, c, putProduct("blog"), putLink("blog", "shared", upload(0)[0].PutAsset.ID))
	update(t, c, Mutation{Purge: &Purge{Product: "shop"}}, Mutation{Purge: &Purge{Tag: "summer"}}, deleteLink("shop", upload(1)[1].PutLink.Name))
	update(t, c, Mutation{DeleteAsset: upload(1)[0].PutAsset.ID}) // leaves an orphan
	var file bytes.Buffer
	m, err := c.Backup(t.Context(), &file)
	if err != nil {
		t.Fatal(err)
	}
	return c, m, file.Bytes()
}

// What a restoration has left that was killed is nothing to start on, and no obstacle to the next one.
func TestRestoreAgain(t *testing.T) {
	_, m, file := backedUp(t)
	dir := t.TempDir()
	for name, content := range map[string]string{restoringName: "", "base-00000000000000000009.tmp": "half", "base-00000000000000000008": "whole", "lock": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), config(dir), Events{}); !errors.Is(err, asset.ErrCorrupt) || !strings.Contains(err.Error(), "interrupted") {
		t.Fatal(err)
	}
	if got, err := Restore(t.Context(), config(dir), bytes.NewReader(file)); err != nil || got.Revision != m.Revision {
		t.Fatal(got, err)
	}
	if left := files(t, dir, "*.tmp"); len(left) > 0 {
		t.Error(left)
	}
	if v := openWith(t, config(dir), new(told)).View(); v.Revision() <= m.Revision || v.Err() != nil {
		t.Error(v.Revision(), v.Err())
	}
}

// A backup makes the same matrix anew in an empty directory, in a history of its own that goes on from there.
func TestRestore(t *testing.T) {
	c, m, file := backedUp(t)
	want := c.View()
	if m.Revision != want.Revision() || m.Epoch != want.epoch || m.Hash != want.hash {
		t.Fatal(m)
	}
	dir := filepath.Join(t.TempDir(), "new")
	restored, err := Restore(t.Context(), config(dir), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if restored.Revision != m.Revision || restored.Epoch == m.Epoch || restored.Epoch == "" || restored.Hash != m.Hash {
		t.Fatal(restored)
	}
	var begins uint64
	for i := range 3 {
		n := openWith(t, config(dir), new(told))
		if i == 0 {
			begins = n.View().Revision()
			sameRecords(t, n.View(), want, restored.Epoch)
		}
		if revision := update(t, n, putProduct(fmt.Sprint("new", i))); revision != begins+1+uint64(i) || n.View().epoch != restored.Epoch {
			t.Fatal(revision, n.View().epoch)
		}
		if i == 1 { // the base alone, and the log that begins behind it
			n.Close()
			remove(t, dir, journalName)
			n = openWith(t, config(dir), new(told))
			if n.View().Revision() != begins+2 {
				t.Fatal(n.View().Revision())
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(t.Context(), config(dir), bytes.NewReader(file)); !errors.Is(err, asset.ErrConflict) {
		t.Fatal(err)
	}
}

// sameRecords fails unless got shows what want does, in a history of that name.
func sameRecords(t *testing.T, got, want *View, epoch string) {
	t.Helper()
	other := want.fork()
	other.epoch, other.revision = epoch, got.revision
	sameMatrix(t, got, other)
}

// The first message behind a restored matrix continues the backup's history, under another name.
func TestRestoredChain(t *testing.T) {
	_, m, file := backedUp(t)
	dir := t.TempDir()
	if _, err := Restore(t.Context(), config(dir), bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	c := openWith(t, config(dir), new(told))
	update(t, c, putProduct("next"))
	first, last, err := c.replica.log.bounds(t.Context())
	if err != nil || first <= m.Revision || first != c.View().Revision() || last != first {
		t.Fatal(first, last, err)
	}
	data, err := c.replica.log.read(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if next, err := decodeMessage(data); err != nil || next.PrevHash != m.Hash || next.Epoch == m.Epoch {
		t.Fatal(next, err)
	}
}

// No history that a backup was made in, or that was restored from it before, comes to where the next one begins.
func TestRestoredRevisions(t *testing.T) {
	now := time.Now()
	if r := beyond(40, now); r < 1<<50 || r >= 1<<53 {
		t.Error(r)
	}
	if r := beyond(1<<60, now); r != 1<<60+1 {
		t.Error(r)
	}
	if a, b := beyond(40, now), beyond(40, now.Add(time.Millisecond)); b != a+1000 {
		t.Error(a, b)
	}
}

// An empty matrix can be backed up as well, and a snapshot of it can be had.
func TestRestoreOfNothing(t *testing.T) {
	c := openWith(t, config(t.TempDir()), new(told))
	var file bytes.Buffer
	if _, err := c.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := Restore(t.Context(), config(dir), &file); err != nil {
		t.Fatal(err)
	}
	n := openWith(t, config(dir), new(told))
	begins := n.View().Revision()
	if revision := update(t, n, putProduct("shop")); revision != begins+1 || begins == 0 {
		t.Fatal(revision)
	}
}

// A backup that was cut off anywhere, or with any bit flipped, or with anything behind it, makes nothing.
func TestSpoiledBackup(t *testing.T) {
	_, _, file := backedUp(t)
	dir := t.TempDir()
	refused := func(what string, at int, data []byte) {
		t.Helper()
		m, _, err := restoreBase(t.Context(), directory(dir), bytes.NewReader(data))
		if !errors.Is(err, asset.ErrCorrupt) {
			t.Fatalf("%s at %d: %v %v", what, at, m, err)
		}
		if left := files(t, dir, "*"); len(left) > 0 {
			t.Fatalf("%s at %d leaves %v", what, at, left)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for cut := 0; cut < len(file); cut += 1 + r.IntN(1+cut/4) {
		refused("cut", cut, file[:cut])
	}
	refused("cut", len(file)-1, file[:len(file)-1])
	refused("more", len(file), append(bytes.Clone(file), 0))
	for bit := 0; bit < 8*len(file); bit += 1 + r.IntN(1+bit/8) {
		flipped := bytes.Clone(file)
		flipped[bit/8] ^= 1 << (bit % 8)
		refused("flip", bit, flipped)
	}
}

// What fails leaves nothing behind, and nothing that was there is touched.
func TestRestoreFails(t *testing.T) {
	_, _, file := backedUp(t)
	missing := filepath.Join(t.TempDir(), "new")
	for _, dir := range []string{missing, t.TempDir()} {
		if _, err := Restore(t.Context(), config(dir), bytes.NewReader(file[:len(file)-1])); !errors.Is(err, asset.ErrCorrupt) {
			t.Fatal(err)
		}
		if left := files(t, dir, "*"); len(left) > 0 {
			t.Fatal(left)
		}
		boom := errors.New("boom")
		broken := io.MultiReader(bytes.NewReader(file[:len(file)/2]), readerOf(boom))
		if _, err := Restore(t.Context(), config(dir), broken); !errors.Is(err, boom) {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	update(t, c, putProduct("shop"))
	if _, err := Restore(t.Context(), config(dir), bytes.NewReader(file)); !errors.Is(err, asset.ErrConflict) {
		t.Fatal(err)
	}
	update(t, c, putProduct("blog"))
	if _, err := Restore(t.Context(), edgeConfig(t.TempDir(), nowhere), bytes.NewReader(file)); !errors.Is(err, asset.ErrForbidden) {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), Config{}, bytes.NewReader(file)); !errors.Is(err, asset.ErrInvalid) {
		t.Fatal(err)
	}
}

// readerOf is a reader that fails.
func readerOf(err error) io.Reader {
	r, w := io.Pipe()
	_ = w.CloseWithError(err)
	return r
}

// A snapshot is made when there is none, is the file itself, and is as new as it has to be.
func TestSnapshot(t *testing.T) {
	c := openWith(t, config(t.TempDir()), new(told))
	uploads(t, c, 0, 10)
	m, f, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m.Revision != c.View().Revision() {
		t.Fatal(m)
	}
	path := filepath.Join(t.TempDir(), "received")
	if err := receive(path, &m, f); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context(), path, &m); err != nil {
		t.Fatal(err)
	}
	uploads(t, c, 10, 12)
	if again, g, err := c.Snapshot(t.Context()); err != nil || again != m {
		t.Fatal(again, err)
	} else {
		g.Close()
	}
	old := time.Now().Add(-2 * snapshotAge)
	if err := os.Chtimes(f.Name(), old, old); err != nil {
		t.Fatal(err)
	}
	c.replica.sums.of = Manifest{} // as after a restart
	newer, g, err := c.Snapshot(t.Context())
	if err != nil || newer.Revision != c.View().Revision() {
		t.Fatal(newer, err)
	}
	g.Close()
}

// A spoiledSource has the snapshot of another one with something wrong.
type spoiledSource struct {
	sourceOf
	spoil func(m *Manifest, data []byte) []byte
}

// Newest spoils the newest snapshot.
func (s spoiledSource) Newest(ctx context.Context) (Manifest, io.ReadCloser, error) {
	m, body, err := s.sourceOf.Newest(ctx)
	if err != nil {
		return m, nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	data = s.spoil(&m, data)
	return m, io.NopCloser(bytes.NewReader(data)), err
}

// A snapshot that is not what its manifest says, or no whole base, is not believed: the edge reads the log instead.
func TestSpoiledSnapshot(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	uploads(t, c, 0, 20)
	for name, spoil := range map[string]func(m *Manifest, data []byte) []byte{
		"cut":      func(_ *Manifest, data []byte) []byte { return data[:len(data)-1] },
		"more":     func(_ *Manifest, data []byte) []byte { return append(data, 0) },
		"empty":    func(*Manifest, []byte) []byte { return nil },
		"flipped":  func(_ *Manifest, data []byte) []byte { data[len(data)/2] ^= 4; return data },
		"revision": func(m *Manifest, data []byte) []byte { m.Revision++; return data },
		"epoch":    func(m *Manifest, data []byte) []byte { m.Epoch = "other"; return data },
		"sum":      func(m *Manifest, data []byte) []byte { m.SHA256[0]++; return data },
		"hash":     func(m *Manifest, data []byte) []byte { m.Hash[0]++; return data },
		"damaged before it was hashed": func(m *Manifest, data []byte) []byte {
			data[len(data)/2] ^= 4
			m.SHA256 = sha256.Sum256(data)
			return data
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := edgeConfig(dir, url)
			cfg.Source = spoiledSource{sourceOf{c}, spoil}
			r, err := openReplica(cfg, nil, Events{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			if s, err := r.fetch(t.Context(), func(*Manifest) bool { return true }); !errors.Is(err, asset.ErrCorrupt) || s != nil {
				t.Fatal(s, err)
			}
			if left := append(files(t, dir, "base-*"), files(t, dir, "*.tmp")...); len(left) > 0 {
				t.Fatal(left)
			}
			r.close()
			o := new(told)
			e := openWith(t, cfg, o)
			reaches(t, e, c.View().Revision())
			sameMatrix(t, e.View(), c.View())
			if _, err := o.copy(); !errors.Is(err, asset.ErrCorrupt) || !strings.Contains(err.Error(), "the newest snapshot cannot be received") {
				t.Error(err)
			}
		})
	}
}

// An edge that is new begins with a snapshot, and reads of the log only what is behind it.
func TestBootstrap(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	uploads(t, c, 0, 20)
	dir, o := t.TempDir(), new(told)
	cfg := edgeConfig(dir, url)
	cfg.Source = sourceOf{c}
	e := openWith(t, cfg, o)
	reaches(t, e, c.View().Revision())
	if len(files(t, dir, "base-*")) != 1 {
		t.Error(files(t, dir, "*"))
	}
	reaches(t, e, update(t, c, putProduct("blog")))
	sameMatrix(t, e.View(), c.View())
	if err := e.Healthy(); err != nil || len(o.adopted) > 0 {
		t.Error(err, o.adopted)
	}
}

// The matrix is restored from a backup that is older than what edges have seen: they notice, take the restored one, and
// follow it, whether or not anything was written since.
func TestEdgeAdoptsARestoredMatrix(t *testing.T) {
	for name, written := range map[string]int{"nothing written": 0, "less written": 3, "more written": 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, url := accepting(t, t.TempDir(), nil)
			uploads(t, c, 0, 20)
			var file bytes.Buffer
			if _, err := c.Backup(t.Context(), &file); err != nil {
				t.Fatal(err)
			}
			uploads(t, c, 20, 30)
			source, dir, o := new(laterSource), t.TempDir(), new(told)
			cfg := edgeConfig(dir, url)
			cfg.Source = source
			e := openWith(t, cfg, o)
			reaches(t, e, c.View().Revision())
			port := c.server.port
			c.Close()

			anew := t.TempDir()
			if _, err := Restore(t.Context(), config(anew), &file); err != nil {
				t.Fatal(err)
			}
			c, _ = accepting(t, anew, func(cfg *Config) { cfg.NATS.Listen = fmt.Sprint("127.0.0.1:", port) })
			begins := c.View().Revision()
			for i := range written {
				update(t, c, putProduct(fmt.Sprint("new", i)))
			}
			within(t, "a frozen edge", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.frozen) > 0 })
			source.set(sourceOf{c})
			within(t, "the restored matrix", func() bool { return o.thawed() && e.View().epoch == c.View().epoch })
			reaches(t, e, update(t, c, putProduct("last")))
			sameMatrix(t, e.View(), c.View())
			if c.View().Revision() != begins+uint64(written)+1 || len(o.adopted) != 1 {
				t.Error(c.View().Revision(), o.adopted)
			}
			e.Close()
			sameMatrix(t, openWith(t, edgeConfig(dir, nowhere), new(told)).View(), c.View())
		})
	}
}

// A log that exists is not restored over, wherever it is.
func TestRestoreIntoACluster(t *testing.T) {
	c, m, file := backedUp(t)
	js, err := jetstream.New(c.server.nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := absent(t.Context(), js); !errors.Is(err, asset.ErrConflict) {
		t.Fatal(err)
	}
	if got, err := decodeBackup(bufio.NewReader(bytes.NewReader(file))); err != nil || got.Revision != m.Revision || !got.Created.Equal(m.Created) {
		t.Fatal(got, err)
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
