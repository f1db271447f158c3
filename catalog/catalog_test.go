package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/assetmatrix/assetmatrix/asset"
)

func config(dir string) Config {
	cfg := DefaultConfig()
	cfg.Dir = dir
	return cfg
}

// opened returns a catalog in dir that is closed at the end of the test.
func opened(t testing.TB, dir string) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), config(dir), Events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// update commits the mutations.
func update(t testing.TB, c *Catalog, mutations ...Mutation) uint64 {
	t.Helper()
	revision, err := c.Update(context.Background(), func(*View) ([]Mutation, error) { return mutations, nil })
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// try returns the error of committing the mutations.
func try(c *Catalog, mutations ...Mutation) error {
	_, err := c.Update(context.Background(), func(*View) ([]Mutation, error) { return mutations, nil })
	return err
}

func putProduct(name string) Mutation { return Mutation{PutProduct: &asset.Product{Name: name}} }

// putAsset puts an active asset of product shop with a version for each original.
func putAsset(id string, originals ...byte) Mutation {
	a := &asset.Asset{ID: id, Owner: "shop", Status: asset.Active, Current: len(originals)}
	for i, o := range originals {
		a.Versions = append(a.Versions, asset.Version{Number: i + 1, Digest: asset.Digest{o}, Size: 1, MediaType: "image/png"})
	}
	return Mutation{PutAsset: a}
}

func putLink(product, name, id string) Mutation {
	return Mutation{PutLink: &asset.Link{Product: product, Name: name, Asset: id}}
}

func deleteLink(product, name string) Mutation {
	return Mutation{DeleteLink: &LinkRef{Product: product, Name: name}}
}

// history returns the messages in the log.
func history(t testing.TB, c *Catalog) []*message {
	t.Helper()
	_, last, err := c.replica.log.bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []*message
	for seq := uint64(1); seq <= last; seq++ {
		data, err := c.replica.log.read(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decodeMessage(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// dump is everything a view says, for comparing.
func dump(v *View) map[string]any {
	all := map[string]any{"revision": v.revision, "epoch": v.epoch, "hash": v.hash, "rest": v.rest(), "error": v.Err()}
	for p := range v.Products() {
		all["product "+p.Name] = *p
		owned, _ := v.owned.Get(p.Name)
		linked, _ := v.linked.Get(p.Name)
		all["counts of "+p.Name] = [...]int{owned, linked}
	}
	f := &folding{view: v, written: map[string]bool{}}
	f.records(func(m Mutation) bool {
		switch {
		case m.PutLink != nil:
			all["link "+m.PutLink.Product+"/"+m.PutLink.Name] = *m.PutLink
		case m.PutAsset != nil:
			dumpAsset(v, m.PutAsset, all)
		}
		return true
	})
	if err := f.missing(); err != nil {
		all["missing"] = err
	}
	return all
}

func dumpAsset(v *View, a *asset.Asset, all map[string]any) {
	all["asset "+a.ID] = *a
	found, _ := v.Asset(a.ID)
	all["found "+a.ID] = *found
	var links []string
	for _, l := range v.LinksOf(a.ID) {
		links = append(links, l.Product+"/"+l.Name)
	}
	all["links of "+a.ID] = links
	for _, version := range a.Versions {
		all["references "+version.Digest.String()] = v.References(version.Digest)
	}
}

func TestCommitIsReadable(t *testing.T) {
	c := opened(t, t.TempDir())
	if v := c.View(); v.Revision() != 0 {
		t.Fatalf("an empty catalog has revision %d", v.Revision())
	}
	before := c.View()
	revision := update(t, c, putProduct("shop"), putAsset("a", 1, 2), putLink("shop", "banners/hero.jpg", "a"))
	if revision != 1 || c.View().Revision() != 1 {
		t.Fatalf("Update said %d, the view has %d", revision, c.View().Revision())
	}
	l, a, ok := c.View().Lookup("shop", "banners/hero.jpg")
	if !ok || l.Asset != "a" || a.ID != "a" || a.Version(0).Digest != (asset.Digest{2}) {
		t.Fatal(l, a, ok)
	}
	if _, ok := before.Product("shop"); ok || before.Revision() != 0 {
		t.Fatal("a view changed")
	}
	if seq, at := c.LastApplied(); seq != 1 || time.Since(at) > time.Minute {
		t.Fatal(seq, at)
	}
	if err := c.Healthy(); err != nil {
		t.Fatal(err)
	}
}

func TestNothingToCommit(t *testing.T) {
	c := opened(t, t.TempDir())
	update(t, c, putProduct("shop"))
	if revision := update(t, c); revision != 1 {
		t.Fatal(revision)
	}
	boom := errors.New("boom")
	if _, err := c.Update(t.Context(), func(*View) ([]Mutation, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if n := len(history(t, c)); n != 1 {
		t.Fatalf("the log has %d messages", n)
	}
}

func TestPanicIsItsCallersError(t *testing.T) {
	c := opened(t, t.TempDir())
	_, err := c.Update(t.Context(), func(*View) ([]Mutation, error) { panic("ouch") })
	if err == nil || !strings.Contains(err.Error(), "ouch") {
		t.Fatal(err)
	}
	update(t, c, putProduct("shop"))
}

func TestRestartRebuildsTheView(t *testing.T) {
	dir := t.TempDir()
	c := opened(t, dir)
	update(t, c, putProduct("shop"), putProduct("blog"))
	for i := range 50 {
		id := fmt.Sprint("a", i)
		update(t, c, putAsset(id, byte(i)), putLink("shop", id, id), putLink("blog", "of/shop/"+id, id))
	}
	update(t, c, deleteLink("blog", "of/shop/a7"), deleteLink("shop", "a7"), Mutation{DeleteAsset: "a7"})
	want := dump(c.View())
	for range 3 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = opened(t, dir)
		if got := dump(c.View()); !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%v\nwant\n%v", got, want)
		}
	}
	if revision := update(t, c, putProduct("news")); revision != 53 {
		t.Fatal(revision)
	}
}

func TestManyWriters(t *testing.T) {
	const writers, each = 64, 8
	var groups, transactions, largest atomic.Int64
	c, err := Open(t.Context(), config(t.TempDir()), Events{Committed: func(n int, _ time.Duration) {
		groups.Add(1)
		transactions.Add(int64(n))
		largest.Store(max(largest.Load(), int64(n)))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	update(t, c, putProduct("shop"), putAsset("counter", 1))

	stop := make(chan struct{})
	var readers, wg sync.WaitGroup
	readers.Go(func() { watch(t, c, stop) })
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d-%d", w, i)
				revision := increment(t, c, putLink("shop", name, "counter"))
				if _, _, ok := c.View().Lookup("shop", name); !ok || c.View().Revision() < revision {
					t.Errorf("%s of revision %d is not in the view", name, revision)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	if a, _ := c.View().Asset("counter"); a.Generation != writers*each {
		t.Errorf("%d increments became %d", writers*each, a.Generation)
	}
	if n := len(c.View().LinksOf("counter")); n != writers*each {
		t.Errorf("%d links", n)
	}
	if transactions.Load() != writers*each+1 || largest.Load() < 2 {
		t.Errorf("%d transactions in %d groups of at most %d", transactions.Load(), groups.Load(), largest.Load())
	}
	t.Logf("%d transactions in %d messages, at most %d in one", transactions.Load(), groups.Load(), largest.Load())
}

// increment raises the counter's generation by one, together with the mutations.
func increment(t testing.TB, c *Catalog, with ...Mutation) uint64 {
	revision, err := c.Update(context.Background(), func(v *View) ([]Mutation, error) {
		a, _ := v.Asset("counter")
		next := *a
		next.Generation++
		return append([]Mutation{{PutAsset: &next}}, with...), nil
	})
	if err != nil {
		t.Error(err)
	}
	return revision
}

// watch reads views while they are made: what belongs together must be seen together, and nothing goes back.
func watch(t *testing.T, c *Catalog, stop chan struct{}) {
	var last uint64
	for {
		select {
		case <-stop:
			return
		default:
		}
		v := c.View()
		a, _ := v.Asset("counter")
		if links := len(v.LinksOf("counter")); uint64(links) != a.Generation || v.Revision() < last {
			t.Errorf("revision %d after %d: %d links at generation %d", v.Revision(), last, links, a.Generation)
			return
		}
		last = v.Revision()
	}
}

func TestCompareAndSetHasOneWinner(t *testing.T) {
	c := opened(t, t.TempDir())
	update(t, c, putProduct("shop"), putAsset("a", 1))
	for round := range 5 {
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for w := range 64 {
			wg.Go(func() {
				_, err := c.Update(context.Background(), func(v *View) ([]Mutation, error) {
					a, _ := v.Asset("a")
					if a.Current != round+1 {
						return nil, &asset.Fault{Kind: asset.ErrPrecondition, Detail: "another version"}
					}
					next := *a
					next.Versions = append(next.Versions, asset.Version{Number: round + 2, Digest: asset.Digest{byte(w)}})
					next.Current = round + 2
					return []Mutation{{PutAsset: &next}}, nil
				})
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, asset.ErrPrecondition):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 63 {
			t.Fatalf("round %d: %d won, %d lost", round, won.Load(), lost.Load())
		}
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	c := opened(t, t.TempDir())
	update(t, c, putProduct("shop"))
	if err := try(c, putAsset("a", 1), putLink("shop", "x", "a"), putLink("shop", "y", "b")); !errors.Is(err, asset.ErrNotFound) {
		t.Fatal(err)
	}
	if _, ok := c.View().Asset("a"); ok || c.View().Revision() != 1 {
		t.Fatal("half a transaction is there")
	}
}

func TestTooLargeATransaction(t *testing.T) {
	c := opened(t, t.TempDir())
	big := putProduct("shop")
	big.PutProduct.Presets = map[string]string{"thumb": strings.Repeat("x", maxTransactionBytes)}
	var fault *asset.Fault
	if err := try(c, big); !errors.As(err, &fault) || fault.Kind != asset.ErrTooLarge {
		t.Fatal(err)
	}
	if n := len(history(t, c)); n != 0 {
		t.Fatal("the log got it")
	}
	big.PutProduct.Presets["thumb"] = strings.Repeat("x", maxTransactionBytes-300)
	update(t, c, big)
}

// Large transactions are parted into several messages, none of them over the limit.
func TestGroupsFitIntoMessages(t *testing.T) {
	c := opened(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 24 {
		m := putProduct(fmt.Sprint("p", i))
		m.PutProduct.Presets = map[string]string{"thumb": strings.Repeat("x", maxTransactionBytes/5)}
		wg.Go(func() {
			if err := try(c, m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(history(t, c)); n < 6 || c.View().products.Len() != 24 {
		t.Fatal(n, c.View().products.Len())
	}
}

func TestCallerLeaves(t *testing.T) {
	c := opened(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Update(ctx, func(*View) ([]Mutation, error) {
		cancel()
		return []Mutation{putProduct("shop")}, nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := c.Update(ctx, func(*View) ([]Mutation, error) { panic("run for one who has left") }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	update(t, c, putProduct("shop")) // the committer goes on
}

func TestClosed(t *testing.T) {
	dir := t.TempDir()
	c := opened(t, dir)
	var wg sync.WaitGroup
	var stored atomic.Int64
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				err := try(c, putProduct(fmt.Sprintf("p%d-%d", w, i)))
				if err == nil {
					stored.Add(1)
					continue
				}
				if !errors.Is(err, asset.ErrUnavailable) {
					t.Error(err)
				}
				return
			}
		})
	}
	for c.View().Revision() < 10 {
		time.Sleep(time.Millisecond)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := c.Healthy(); !errors.Is(err, asset.ErrUnavailable) {
		t.Fatal(err)
	}
	if got := c.View().products.Len(); got != int(stored.Load()) {
		t.Fatalf("%d acknowledged, %d in the last view", stored.Load(), got)
	}
	if got := opened(t, dir).View().products.Len(); got != int(stored.Load()) {
		t.Fatalf("%d acknowledged, %d after the restart", stored.Load(), got)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	c := opened(t, dir)
	_, err := Open(t.Context(), config(dir), Events{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("in use by process ", os.Getpid())) {
		t.Fatal(err)
	}
	c.Close()
	opened(t, dir)
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"dir":            {CommitTimeout: time.Second},
		"commit_timeout": {Dir: "x", CommitTimeout: time.Millisecond},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
		if _, err := Open(t.Context(), cfg, Events{}); err == nil {
			t.Errorf("%+v opens", cfg)
		}
	}
	if err := config("x").Validate(); err != nil {
		t.Error(err)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(file), Events{}); err == nil {
		t.Error("a file was taken for a directory")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said atomic.Bool
	_, err := Open(t.Context(), config(dir), Events{Server: func(string) { said.Store(true) }})
	if err == nil || !strings.Contains(err.Error(), "JetStream") || !said.Load() {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, config(t.TempDir()), Events{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The embedded server and its stream keep what they acknowledge, or we do not start.
func TestDurability(t *testing.T) {
	c := opened(t, t.TempDir())
	if got := c.server.srv.Load().JetStreamConfig(); !got.SyncAlways || got.MaxStore != maxStoreBytes || got.MaxMemory != maxMemoryBytes {
		t.Errorf("%+v", got)
	}
	if c.server.srv.Load().Addr() != nil {
		t.Error("the server listens at", c.server.srv.Load().Addr())
	}
	if requireSync(&server.JetStreamConfig{}) == nil || requireSync(nil) == nil {
		t.Error("a server without sync_interval: always is accepted")
	}
	for name, spoil := range map[string]func(*jetstream.StreamConfig){
		"memory":   func(s *jetstream.StreamConfig) { s.Storage = jetstream.MemoryStorage },
		"async":    func(s *jetstream.StreamConfig) { s.PersistMode = jetstream.AsyncPersistMode },
		"delete":   func(s *jetstream.StreamConfig) { s.DenyDelete = false },
		"purge":    func(s *jetstream.StreamConfig) { s.DenyPurge = false },
		"age":      func(s *jetstream.StreamConfig) { s.MaxAge = time.Hour },
		"bytes":    func(s *jetstream.StreamConfig) { s.MaxBytes = 1 },
		"subjects": func(s *jetstream.StreamConfig) { s.Subjects = []string{">"} },
	} {
		cfg := streamConfig(1)
		if err := checkStream(&cfg); err != nil {
			t.Fatal(err)
		}
		if spoil(&cfg); checkStream(&cfg) == nil {
			t.Error(name, "is accepted")
		}
	}
}
